/*
 * What Codex is asked for: a handshake, a thread, turns. Runs in the session
 * worker; the answers are hostile input.
 *
 * The way to a turn: initialize, then config/read and model/list at once, then
 * account/login/start if a key of the session's is needed, then thread/start or
 * thread/resume. An answer that does not come in time ends the process
 * (codex.c's patience).
 */
#include "session/agents/codex.h"

#include "config.h"
#include "lib/defs.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agents/messages.h"
#include "session/tools.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FILE_SCHEME "file://"

/* --- requests ------------------------------------------------------------- */

void
codex_call(struct codex *c, enum codex_call what, const char *method,
    struct jw *w, struct buf *b)
{
	unsigned i;

	buf_init(b, STDIN_BYTES_MAX);
	jw_init(w, b);
	jw_object(w);
	jw_kstr(w, "method", method);
	jw_kint(w, "id", ++c->ncalls);
	jw_key(w, "params");
	jw_object(w);
	/* With no room the oldest is forgotten: an answer that has not come
	 * after so many later requests is none. */
	for (i = 0; i < CODEX_CALLS_MAX - 1 && c->calls[i].id != 0; i++)
		;
	if (c->calls[i].id != 0) {
		memmove(&c->calls[0], &c->calls[1],
		    sizeof(c->calls) - sizeof(c->calls[0]));
		i = CODEX_CALLS_MAX - 1;
	}
	c->calls[i].id = c->ncalls;
	c->calls[i].what = what;
}

int
codex_call_end(struct codex *c, struct jw *w, struct buf *b, struct err *e)
{
	jw_object_end(w);
	jw_object_end(w);
	return codex_send(c, b, e);
}

int
codex_greet(struct codex *c, struct err *e)
{
	struct buf b;
	struct jw w;

	c->stage = CODEX_GREETED;
	c->owed = 0;
	codex_call(c, CALL_INITIALIZE, "initialize", &w, &b);
	jw_key(&w, "clientInfo");
	jw_object(&w);
	jw_kstr(&w, "name", PACKAGE_NAME);
	jw_kstr(&w, "title", PACKAGE_NAME);
	jw_kstr(&w, "version", PACKAGE_VERSION);
	jw_object_end(&w);
	/* Collaboration modes, and with them questions, are experimental. */
	jw_key(&w, "capabilities");
	jw_object(&w);
	jw_kbool(&w, "experimentalApi", true);
	jw_object_end(&w);
	return codex_call_end(c, &w, &b, e);
}

static int
ask_models(struct codex *c, const char *cursor, struct err *e)
{
	struct buf b;
	struct jw w;

	codex_call(c, CALL_MODELS, "model/list", &w, &b);
	if (cursor != NULL)
		jw_kstr(&w, "cursor", cursor);
	c->owed++;
	return codex_call_end(c, &w, &b, e);
}

static int
ask_around(struct codex *c, struct err *e)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 64);
	(void)buf_adds(&b, "{\"method\":\"initialized\"}");
	if (codex_send(c, &b, e) == -1)
		return -1;
	c->stage = CODEX_ASKED;
	codex_call(c, CALL_CONFIG, "config/read", &w, &b);
	jw_kstr(&w, "cwd", c->a.conf->directory);
	c->owed++;
	if (codex_call_end(c, &w, &b, e) == -1)
		return -1;
	codex_models_free(c);
	return ask_models(c, NULL, e);
}

static int
log_in(struct codex *c, struct err *e)
{
	struct buf b;
	struct jw w;

	codex_call(c, CALL_LOGIN, "account/login/start", &w, &b);
	jw_kstr(&w, "type", "apiKey");
	jw_kstr(&w, "apiKey", tools_env(&c->a, codex_key_variable(c)));
	c->owed++;
	return codex_call_end(c, &w, &b, e);
}

/*
 * Codex's own sandbox stays off: it needs namespaces of its own, which a
 * sandbox of ours does not give away, so that every command in it would fail;
 * and ours is the isolation. What is asked for follows from the approval
 * policy alone: `untrusted` asks for every command and every change of a file,
 * `on-request` and `never` for none.
 */
static void
write_policy(const struct codex *c, struct jw *w, bool of_turn)
{
	jw_kstr(w, "approvalPolicy", codex_mode_of(c)->approval);
	if (!of_turn) {
		jw_kstr(w, "sandbox", "danger-full-access");
		return;
	}
	jw_key(w, "sandboxPolicy");
	jw_object(w);
	jw_kstr(w, "type", "dangerFullAccess");
	jw_object_end(w);
}

int
codex_open_thread(struct codex *c, struct err *e)
{
	const char *native = c->a.out->native_session;
	struct buf b;
	struct jw w;

	c->stage = CODEX_OPENING;
	c->resuming = native != NULL;
	if (c->resuming) {
		codex_call(c, CALL_RESUME, "thread/resume", &w, &b);
		jw_kstr(&w, "threadId", native);
		jw_kbool(&w, "excludeTurns", true);
	} else {
		codex_call(c, CALL_START, "thread/start", &w, &b);
	}
	jw_kstr(&w, "cwd", c->a.conf->directory);
	if (c->a.conf->model != NULL)
		jw_kstr(&w, "model", c->a.conf->model);
	write_policy(c, &w, false);
	codex_write_config(c, &w);
	return codex_call_end(c, &w, &b, e);
}

/* --- turns ---------------------------------------------------------------- */

static void
write_image(struct jw *w, const struct json *part)
{
	const char *data = json_str(part, "data", "");
	const char *mime = json_str(part, "mimeType", "image/png");

	jw_object(w);
	jw_kstr(w, "type", "image");
	jw_key(w, "url");
	jw_str_begin(w);
	jw_str_add(w, "data:", 5);
	jw_str_add(w, mime, strlen(mime));
	jw_str_add(w, ";base64,", 8);
	jw_str_add(w, data, strlen(data));
	jw_str_end(w);
	jw_object_end(w);
}

/* A picture in a file of the sandbox. */
static void
write_file(struct jw *w, const struct json *part)
{
	const char *uri = json_str(part, "uri", "");
	const char *path = uri + strlen(FILE_SCHEME);

	if (!str_starts(json_str(part, "mimeType", ""), "image/") ||
	    !str_starts(uri, FILE_SCHEME) || access(path, R_OK) == -1)
		return; /* it is named in the text */
	jw_object(w);
	jw_kstr(w, "type", "localImage");
	jw_kstr(w, "path", path);
	jw_object_end(w);
}

char *
codex_input(const struct agent_message *m)
{
	autofree char *text = agent_message_flat(m, true);
	struct buf b;
	struct jw w;

	buf_init(&b, STDIN_BYTES_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	if (*text != '\0' || m->parts == NULL) {
		jw_object(&w);
		jw_kstr(&w, "type", "text");
		jw_kstr(&w, "text", text);
		jw_object_end(&w);
	}
	json_foreach (part, m->parts) {
		if (strcmp(json_str(part, "type", ""), "image") == 0)
			write_image(&w, part);
		else if (strcmp(json_str(part, "type", ""), "resource_link") ==
			 0)
			write_file(&w, part);
	}
	jw_array_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

/* The mode stays as it was said last: nothing need be said of `default` until
 * it was another, here or in the process that had the thread before. */
static void
write_collaboration(struct codex *c, struct jw *w)
{
	const struct agent_conf *conf = c->a.conf;
	const char *model = conf->model != NULL ? conf->model : c->model;
	bool plan = codex_plans(c);

	if (model == NULL || (c->settled && !plan && !c->planning))
		return;
	c->settled = true;
	c->planning = plan;
	jw_key(w, "collaborationMode");
	jw_object(w);
	jw_kstr(w, "mode", plan ? "plan" : "default");
	jw_key(w, "settings");
	jw_object(w);
	jw_kstr(w, "model", model);
	jw_kstr(w, "reasoning_effort",
	    conf->thought_level != NULL ? conf->thought_level : c->effort);
	jw_knull(w, "developer_instructions");
	jw_object_end(w);
	jw_object_end(w);
}

int
codex_start_turn(struct codex *c, const char *input, struct err *e)
{
	const struct agent_conf *conf = c->a.conf;
	struct buf b;
	struct jw w;

	codex_call(c, CALL_TURN, "turn/start", &w, &b);
	jw_kstr(&w, "threadId", c->thread);
	jw_key(&w, "input");
	jw_raw(&w, input, strlen(input));
	write_policy(c, &w, true);
	if (conf->model != NULL)
		jw_kstr(&w, "model", conf->model);
	if (conf->thought_level != NULL)
		jw_kstr(&w, "effort", conf->thought_level);
	write_collaboration(c, &w);
	return codex_call_end(c, &w, &b, e);
}

int
codex_interrupt(struct codex *c, struct err *e)
{
	struct buf b;
	struct jw w;

	c->interrupt = false;
	codex_call(c, CALL_INTERRUPT, "turn/interrupt", &w, &b);
	jw_kstr(&w, "threadId", c->thread);
	jw_kstr(&w, "turnId", c->turn);
	return codex_call_end(c, &w, &b, e);
}

void
codex_clean(struct codex *c)
{
	struct buf b;
	struct jw w;

	if (c->thread == NULL)
		return;
	codex_call(c, CALL_CLEAN, "thread/backgroundTerminals/clean", &w, &b);
	jw_kstr(&w, "threadId", c->thread);
	(void)codex_call_end(c, &w, &b, NULL); /* it may be leaving */
}

void
codex_steer(struct codex *c, const char *text)
{
	struct buf b;
	struct jw w;

	if (c->thread == NULL || c->turn == NULL)
		return;
	codex_call(c, CALL_STEER, "turn/steer", &w, &b);
	jw_kstr(&w, "threadId", c->thread);
	jw_kstr(&w, "expectedTurnId", c->turn);
	jw_key(&w, "input");
	jw_array(&w);
	jw_object(&w);
	jw_kstr(&w, "type", "text");
	jw_kstr(&w, "text", text);
	jw_object_end(&w);
	jw_array_end(&w);
	(void)codex_call_end(c, &w, &b, NULL); /* only words */
}

/* --- answers -------------------------------------------------------------- */

static void
keep(char **dst, const char *s)
{
	free(*dst);
	*dst = s != NULL && strlen(s) < CODEX_ID_MAX ? xstrdup(s) : NULL;
}

/* One of the handshake's answers is here. */
static void
one_less_owed(struct codex *c)
{
	struct err e;

	if (c->owed > 0)
		c->owed--;
	if (c->owed > 0 || c->stage != CODEX_ASKED)
		return;
	if (c->own_key && !c->own_server && !c->probing) {
		c->own_key = false;
		if (log_in(c, &e) == -1)
			codex_fail(c, &e);
		return;
	}
	c->stage = CODEX_KNOWN;
	codex_tell_options(c, NULL);
	if (c->probing && c->npages == 0) {
		(void)err_set(
		    &e, ERR_AGENT_FAILED, "codex does not tell its models");
		codex_fail(c, &e);
		return;
	}
	codex_advance(c);
}

static void
on_models(struct codex *c, const struct json *result)
{
	const char *next = json_str(result, "nextCursor", NULL);
	struct json *copy = NULL;
	autofree char *text = agent_json(result);
	struct err e;

	if (text != NULL && c->npages < CODEX_PAGES_MAX &&
	    json_parse(text, strlen(text), JSON_DEPTH_AGENT, &copy, NULL) == 0)
		c->pages[c->npages++] = copy;
	if (next != NULL && c->npages < CODEX_PAGES_MAX &&
	    ask_models(c, next, &e) == -1)
		codex_fail(c, &e);
	one_less_owed(c);
}

static void
on_config(struct codex *c, const struct json *result)
{
	const struct json *config = json_get(result, "config");

	codex_config_known(c, config);
	keep(&c->model, json_str(config, "model", NULL));
	keep(&c->effort, json_str(config, "model_reasoning_effort", NULL));
	one_less_owed(c);
}

static void
on_thread(struct codex *c, const struct json *result)
{
	const char *id = json_str(json_get(result, "thread"), "id", NULL);
	struct err e;

	if (id == NULL)
		id = json_str(result, "threadId", NULL);
	if (id == NULL || strlen(id) >= CODEX_ID_MAX || !agent_word_ok(id)) {
		(void)err_set(&e, ERR_AGENT_FAILED,
		    "codex gave the thread no id that can be used");
		codex_fail(c, &e);
		return;
	}
	keep(&c->thread, id);
	if (json_str(result, "model", NULL) != NULL)
		keep(&c->model, json_str(result, "model", NULL));
	if (json_str(result, "reasoningEffort", NULL) != NULL)
		keep(&c->effort, json_str(result, "reasoningEffort", NULL));
	c->stage = CODEX_READY;
	c->fresh = true;
	/* What an earlier process had been told of modes is not known. */
	c->settled = !c->resuming;
	c->planning = false;
	memset(&c->seen, 0, sizeof(c->seen));
	agent_native_id(&c->a, id);
	codex_tell_options(c, NULL);
	codex_advance(c);
}

static void
on_turn(struct codex *c, const struct json *result)
{
	const char *id = json_str(json_get(result, "turn"), "id", NULL);

	free(STEAL(c->given));
	if (c->working && c->turn == NULL)
		keep(&c->turn, id);
}

/* Only what tells of the thread itself loses the conversation: a configuration
 * that does not load can be mended. */
static bool
is_lost(const char *message)
{
	return strstr(message, "rollout") != NULL ||
	       strstr(message, "thread not found") != NULL ||
	       strstr(message, "invalid session id") != NULL;
}

/* Codex has put the thread away: resume it, with the same message. Not when it
 * was only just opened. */
static bool
take_up_again(struct codex *c)
{
	if (c->given == NULL || c->fresh || agent_cancelling(&c->a))
		return false;
	c->held = STEAL(c->given);
	c->working = false;
	c->stage = CODEX_KNOWN;
	codex_advance(c);
	return true;
}

static void
refused(struct codex *c, enum codex_call what, const struct json *error)
{
	const char *message = json_str(error, "message", "no reason given");
	struct err e;

	switch (what) {
	case CALL_CONFIG:
	case CALL_MODELS:
		one_less_owed(c); /* it can be done without */
		return;
	case CALL_INTERRUPT: /* the turn is over, or about to be */
	case CALL_STEER:
	case CALL_CLEAN:
		return;
	case CALL_RESUME:
		if (is_lost(message)) {
			c->stage = CODEX_KNOWN;
			free(STEAL(c->held));
			agent_native_id(&c->a, NULL);
			if (agent_turn_open(&c->a))
				agent_forgot(&c->a);
			return;
		}
		break;
	case CALL_TURN:
		if (is_lost(message) && take_up_again(c))
			return;
		break;
	case CALL_INITIALIZE:
	case CALL_LOGIN:
	case CALL_START:
		break;
	}
	if (c->stage == CODEX_OPENING)
		c->stage = CODEX_KNOWN; /* the next message tries again */
	(void)err_set(&e, ERR_AGENT_FAILED, "codex refused: %.1024s", message);
	codex_fail(c, &e);
}

static bool
take_call(struct codex *c, int64_t id, enum codex_call *what_out)
{
	unsigned i;

	for (i = 0; i < CODEX_CALLS_MAX; i++)
		if (id != 0 && c->calls[i].id == id)
			break;
	if (i == CODEX_CALLS_MAX)
		return false;
	*what_out = c->calls[i].what;
	c->calls[i].id = 0;
	return true;
}

void
codex_response(struct codex *c, const struct json *m)
{
	const struct json *result = json_get(m, "result");
	enum codex_call what;
	struct err e;

	if (!take_call(c, json_int(m, "id", 0), &what))
		return; /* of a request that was given up */
	if (json_get(m, "error") != NULL) {
		refused(c, what, json_get(m, "error"));
		return;
	}
	switch (what) {
	case CALL_INITIALIZE:
		if (ask_around(c, &e) == -1)
			codex_fail(c, &e);
		break;
	case CALL_CONFIG:
		on_config(c, result);
		break;
	case CALL_MODELS:
		on_models(c, result);
		break;
	case CALL_LOGIN:
		one_less_owed(c);
		break;
	case CALL_START:
	case CALL_RESUME:
		on_thread(c, result);
		break;
	case CALL_TURN:
		on_turn(c, result);
		break;
	case CALL_INTERRUPT:
	case CALL_STEER:
	case CALL_CLEAN:
		break;
	}
}
