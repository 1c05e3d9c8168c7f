/*
 * The ACP server whose agent speaks ACP itself: envelopes go to its program and
 * come from it byte for byte. Runs in the session worker. Both sides are
 * hostile; the worker looks at what they say only to remember what another
 * program would have to be told (pass_state.c), and changes nothing as long as
 * there was no other.
 *
 * The program is started with the first envelope. When it ends in the life of a
 * worker the server is broken, as its clients expect it; when the worker was
 * restarted, the next envelope starts a program that is told who its clients
 * are (pass_restore.c).
 */
#include "session/acp/pass.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/acp/waits.h"
#include <string.h>

#define FAREWELL_S 0.5 /* to leave by itself when its input is closed */
#define STDERR_LINES 16

char *
pass_json(const struct json *v)
{
	return json_text(v, 2 * ACP_INPUT_MAX);
}

/* --- session ids ---------------------------------------------------------- */

/* ENV with the session id FROM replaced by TO where the protocol has it: in
 * params and in the result. The caller's; NULL: it does not fit. */
static char *
with_id(const struct json *env, const char *from, const char *to)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 2 * ACP_INPUT_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	json_foreach (v, env) {
		jw_key(&w, v->key);
		if (v->type != JSON_OBJECT ||
		    (strcmp(v->key, "params") != 0 &&
			strcmp(v->key, "result") != 0)) {
			jw_value(&w, v);
			continue;
		}
		jw_object(&w);
		json_foreach (m, v) {
			jw_key(&w, m->key);
			if (strcmp(m->key, "sessionId") == 0 &&
			    m->type == JSON_STRING && strcmp(m->str, from) == 0)
				jw_str(&w, to);
			else
				jw_value(&w, m);
		}
		jw_object_end(&w);
	}
	jw_object_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

/* --- to the program ------------------------------------------------------- */

int
pass_write(struct pass *p, const char *text, size_t len)
{
	struct buf b;
	int rc;

	if (p->proc == NULL)
		return -1;
	buf_init(&b, ACP_INPUT_MAX + 1);
	(void)buf_add(&b, text, len);
	(void)buf_addc(&b, '\n');
	rc = b.failed ? -1 : process_write(p->proc, b.data, b.len);
	buf_free(&b);
	return rc;
}

/* Nobody will answer this request. */
static void
refuse(struct pass *p, const struct json *env, const char *why)
{
	autofree char *id = pass_json(json_get(env, "id"));
	autofree char *text = NULL;

	if (id == NULL || json_get(env, "method") == NULL)
		return;
	text = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":"
			 "-32603,\"message\":\"%s\"}}",
	    id, why);
	acp_respond(p->b.door, id, text, strlen(text));
}

void
pass_forward(
    struct pass *p, const struct json *env, const char *text, size_t len)
{
	const char *id = json_str(json_get(env, "params"), "sessionId", NULL);
	const struct pass_session *s = id != NULL ? pass_find(p, id) : NULL;
	autofree char *other = NULL;

	if (s != NULL && s->native != NULL && strcmp(s->native, id) != 0)
		other = with_id(env, id, s->native);
	pass_watch(p, env); /* may be the end of S */
	if (other != NULL) {
		text = other;
		len = strlen(other);
	}
	if (pass_write(p, text, len) == -1)
		refuse(p, env, "the agent does not read what it is sent");
}

static void
pass_envelope(
    struct acp_backend *b, const struct json *env, const char *text, size_t len)
{
	struct pass *p = (struct pass *)b;

	if (p->stopping || p->ended) {
		refuse(p, env, "the agent has ended");
	} else if (p->second) {
		pass_queue(p, text, len);
		pass_pump(p);
	} else if (p->proc != NULL || pass_start(p) == 0) {
		pass_forward(p, env, text, len);
	}
}

/* --- from the program ----------------------------------------------------- */

static void
note_request(struct pass *p, const struct json *env)
{
	if (json_get(env, "method") != NULL && json_get(env, "id") != NULL &&
	    p->nasked < PASS_ASKED_MAX)
		p->asked[p->nasked++] = pass_json(json_get(env, "id"));
}

/* The session that ENV is about. */
static const char *
session_of(const struct json *env)
{
	const char *id = json_str(json_get(env, "params"), "sessionId", NULL);

	return id != NULL
		   ? id
		   : json_str(json_get(env, "result"), "sessionId", NULL);
}

/* A line that must be looked at. */
static void
look(struct pass *p, const char *line, size_t len)
{
	const struct pass_session *s = NULL;
	autofree char *other = NULL;
	struct json *env = NULL;
	const char *id;

	if (json_parse(line, len, JSON_DEPTH_AGENT, &env, NULL) == -1) {
		acp_say(p->b.door, line, len); /* which tells what is wrong */
		return;
	}
	if (p->second && pass_ours(p, env)) {
		json_free(env);
		return;
	}
	if (p->second)
		note_request(p, env);
	if (json_get(env, "method") == NULL)
		pass_watch_response(p, env);
	id = session_of(env);
	if (id != NULL)
		s = pass_find_native(p, id);
	if (s != NULL && strcmp(s->id, id) != 0)
		other = with_id(env, id, s->id);
	json_free(env);
	if (other != NULL)
		acp_say(p->b.door, other, strlen(other));
	else
		acp_say(p->b.door, line, len);
}

static void
on_line(
    struct process *proc, const char *line, size_t len, size_t total, void *ctx)
{
	struct pass *p = ctx;

	(void)proc;
	if (p->stopping)
		return;
	if (total > len)
		acp_say_invalid(p->b.door, line, len, total);
	else if (p->second || p->nopens > 0)
		look(p, line, len);
	else
		acp_say(p->b.door, line, len);
}

/* The last lines of its stderr, the caller's; NULL: there are none. */
static char *
stderr_tail(struct process *proc)
{
	struct json *j = NULL;
	const char *text, *at;
	char *tail = NULL;
	unsigned lines = 0;
	struct buf b;
	struct jw w;

	buf_init(&b, 64u << 10);
	jw_init(&w, &b);
	jw_object(&w);
	process_describe(proc, &w);
	jw_object_end(&w);
	if (!b.failed &&
	    json_parse(b.data, b.len, JSON_DEPTH_AGENT, &j, NULL) == 0) {
		text = json_str(json_path(j, "stderr"), "tail",
		    json_str(json_path(j, "stderr"), "head", NULL));
		for (at = text != NULL ? text + strlen(text) : NULL;
		     at != NULL && at > text; at--)
			if (at[-1] == '\n' && *at != '\0' &&
			    ++lines == STDERR_LINES)
				break;
		if (text != NULL && *text != '\0')
			tail = xstrdup(at);
		json_free(j);
	}
	buf_free(&b);
	while (tail != NULL && *tail != '\0' && tail[strlen(tail) - 1] == '\n')
		tail[strlen(tail) - 1] = '\0';
	return tail;
}

static void
on_exited(struct process *proc, const struct err *failed, void *ctx)
{
	struct pass *p = ctx;
	autofree char *tail = stderr_tail(proc);
	int code = process_exit_code(proc);
	bool stopping = p->stopping;

	ladder_stop(&p->ladder);
	p->proc = NULL;
	p->ended = true;
	pass_queue_free(p);
	process_free(proc);
	if (failed != NULL)
		acp_exited(p->b.door, 127, failed->text);
	else
		acp_exited(p->b.door, code, tail);
	if (stopping)
		acp_stopped(p->b.door);
}

static const struct process_ops process_ops = { .line = on_line,
	.exited = on_exited };

int
pass_start(struct pass *p)
{
	const struct agent_conf *conf = p->b.conf;
	char **argv = acp_program(conf);
	struct process_spec spec = {
		.argv = argv, .env = conf->env, .directory = conf->directory
	};
	struct err e;
	int rc = -1;

	if (argv == NULL || argv[0] == NULL)
		(void)err_set(&e, ERR_AGENT_NOT_INSTALLED,
		    "agent %s has no program: name one as command",
		    conf->agent);
	else
		rc = process_start(
		    p->b.loop, &spec, &process_ops, p, &p->proc, &e);
	strv_free(argv);
	if (rc == 0) {
		process_pause(p->proc, p->paused);
		return 0;
	}
	p->proc = NULL;
	p->ended = true;
	pass_queue_free(p);
	acp_exited(p->b.door, 127, e.text);
	return -1;
}

/* --- life ----------------------------------------------------------------- */

static int
pass_open(struct acp_backend *b, bool fresh, struct err *e)
{
	struct pass *p = (struct pass *)b;
	autofree char *path = NULL;
	char **argv;
	int rc;

	/* checkpoint_read was here before. */
	if (p->sessions.tqh_last == NULL)
		pass_state_read(p, NULL);
	TAILQ_INIT(&p->queue);
	ladder_init(&p->ladder, b->loop, "acp");
	p->second = !fresh && p->hello != NULL;
	if (!fresh)
		return 0;
	argv = acp_program(b->conf);
	if (argv == NULL || argv[0] == NULL)
		rc = err_set(e, ERR_AGENT_NOT_INSTALLED,
		    "agent %s has no program: name one as command",
		    b->conf->agent);
	else
		rc = process_find(argv[0], b->conf->env, &path, e);
	strv_free(argv);
	return rc;
}

static void
pass_pause(struct acp_backend *b, bool on)
{
	struct pass *p = (struct pass *)b;

	p->paused = on;
	if (p->proc != NULL)
		process_pause(p->proc, on);
}

static void
pass_stop(struct acp_backend *b)
{
	struct pass *p = (struct pass *)b;

	p->stopping = true;
	pass_queue_free(p);
	if (p->proc == NULL) {
		acp_stopped(b->door);
		return;
	}
	/* Nothing is read any more, so that nothing is left to be held up. */
	process_pause(p->proc, false);
	process_finish_input(p->proc);
	ladder_climb(&p->ladder, p->proc, RUNG_TERM, FAREWELL_S);
}

static void
pass_close(struct acp_backend *b)
{
	struct pass *p = (struct pass *)b;

	ladder_stop(&p->ladder);
	process_free(STEAL(p->proc));
	if (p->queue.tqh_last != NULL) /* it was opened */
		pass_queue_free(p);
	pass_state_free(p);
}

static void
pass_checkpoint_write(const struct acp_backend *b, struct jw *w)
{
	pass_state_write((const struct pass *)b, w);
}

static void
pass_checkpoint_read(struct acp_backend *b, const struct json *c)
{
	pass_state_read((struct pass *)b, c);
}

const struct acp_backend_ops acp_pass = {
	.name = "pass",
	.size = sizeof(struct pass),
	.open = pass_open,
	.envelope = pass_envelope,
	.pause = pass_pause,
	.stop = pass_stop,
	.close = pass_close,
	.checkpoint_write = pass_checkpoint_write,
	.checkpoint_read = pass_checkpoint_read,
};
