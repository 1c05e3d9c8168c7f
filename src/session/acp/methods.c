/*
 * The methods of ACP, as an agent has them; see serve.h. Runs in the session
 * worker. Parameters are a client's: every member may be missing or wrong.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include "session/acp/serve.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/acp/waits.h"
#include <limits.h>
#include <string.h>

typedef void method(struct serve *sv, const struct serve_request *rq);

/* The session that the request is about; NULL: it was refused. */
static struct serve_session *
session_of(struct serve *sv, const struct serve_request *rq)
{
	const char *id = json_str(rq->params, "sessionId", NULL);
	struct serve_session *ss = serve_find(sv, id);

	if (ss != NULL)
		return ss;
	serve_refuse(sv, rq, id == NULL ? RPC_INVALID_PARAMS : RPC_NOT_FOUND,
	    id == NULL ? "sessionId is missing" : "there is no such session");
	return NULL;
}

static void
refuse_err(
    struct serve *sv, const struct serve_request *rq, const struct err *e)
{
	bool ours = e->code != ERR_BAD_REQUEST && e->code != ERR_TOO_LARGE &&
		    e->code != ERR_MODE_NOT_SUPPORTED;

	serve_refuse(sv, rq, ours ? RPC_INTERNAL : RPC_INVALID_PARAMS, e->text);
}

/* --- the connection ------------------------------------------------------- */

static void
write_capabilities(struct jw *w)
{
	static const char text[] =
	    "{\"loadSession\":false,"
	    "\"promptCapabilities\":{\"image\":true,\"audio\":false,"
	    "\"embeddedContext\":true},"
	    "\"mcpCapabilities\":{\"http\":true,\"sse\":true},"
	    "\"sessionCapabilities\":{\"close\":{},\"list\":{},"
	    "\"resume\":{}}}";

	jw_key(w, "agentCapabilities");
	jw_raw(w, text, sizeof(text) - 1);
}

static void
on_initialize(struct serve *sv, const struct serve_request *rq)
{
	const struct json *can = json_get(rq->params, "clientCapabilities");
	struct serve_session *ss;
	const struct json *form = json_path(can, "elicitation.form");
	struct jw *w;

	sv->forms = form != NULL && form->type == JSON_OBJECT;
	sv->terminal =
	    json_bool(json_get(can, "_meta"), "terminal_output", false);
	TAILQ_FOREACH (ss, &sv->sessions, link)
		ss->out.terminal = sv->terminal;
	acp_touch(sv->b.door);
	if (rq->id == NULL)
		return;
	w = serve_result(sv, rq->echo, rq->id);
	jw_kint(w, "protocolVersion", 1);
	write_capabilities(w);
	jw_key(w, "agentInfo");
	jw_object(w);
	jw_kstr(w, "name", sv->b.conf->agent);
	jw_kstr(w, "version", PACKAGE_VERSION);
	jw_object_end(w);
	jw_key(w, "authMethods");
	jw_array(w);
	jw_array_end(w);
	serve_result_end(sv, rq->id);
}

/* --- sessions ------------------------------------------------------------- */

/* A directory that a client names: the sandbox's own affair, if it is one. */
static const char *
directory_of(struct serve *sv, const struct serve_request *rq, struct err *e)
{
	const char *cwd = json_str(rq->params, "cwd", NULL);

	if (cwd != NULL && cwd[0] == '/' && strlen(cwd) < PATH_MAX)
		return cwd;
	if (sv->echo)
		return sv->b.conf->directory;
	(void)err_set(e, ERR_BAD_REQUEST, "cwd is not an absolute path");
	return NULL;
}

/* A session for session/new (ID NULL), session/load or session/resume; NULL:
 * it was refused. */
static struct serve_session *
make_session(struct serve *sv, const struct serve_request *rq, const char *id)
{
	autofree char *mcp = NULL;
	const char *directory;
	struct serve_session *ss;
	struct err e = { .code = ERR_NONE };

	directory = directory_of(sv, rq, &e);
	if (directory == NULL || serve_mcp(json_get(rq->params, "mcpServers"),
				     sv->b.conf->mcp, &mcp, &e) == -1) {
		refuse_err(sv, rq, &e);
		return NULL;
	}
	ss = serve_session_new(sv, id, directory, mcp);
	if (ss == NULL) {
		serve_refuse(
		    sv, rq, RPC_INTERNAL, "too many sessions are at work");
		return NULL;
	}
	ss->out.terminal = sv->terminal;
	/* Its conversation goes by the agent's own name for it. */
	if (id != NULL)
		uni_native_session(&ss->out.u, id);
	if (serve_session_open(ss, &e) == -1) {
		serve_session_close(ss);
		refuse_err(sv, rq, &e);
		return NULL;
	}
	if (ss->options == NULL)
		serve_choices_init(ss);
	return ss;
}

static void
tell_session(struct serve *sv, const struct serve_request *rq,
    struct serve_session *ss, bool with_id)
{
	struct jw *w;

	if (rq->id == NULL)
		return;
	w = serve_result(sv, rq->echo, rq->id);
	if (with_id)
		jw_kstr(w, "sessionId", ss->id);
	serve_choices_write(ss, w);
	serve_result_end(sv, rq->id);
	ss->known = true;
	if (ss->commands != NULL)
		serve_tell_commands(ss);
}

static void
on_new(struct serve *sv, const struct serve_request *rq)
{
	struct serve_session *ss = make_session(sv, rq, NULL);

	if (ss != NULL)
		tell_session(sv, rq, ss, true);
}

/* A session that is known goes on; any other id is taken for the agent's own.
 * The log has what was said in it, so that nothing is told again. */
static void
on_resume(struct serve *sv, const struct serve_request *rq)
{
	const char *id = json_str(rq->params, "sessionId", NULL);
	struct serve_session *ss = serve_find(sv, id);
	struct err e = { .code = ERR_NONE };

	if (id == NULL || strlen(id) > SERVE_ID_MAX || !agent_word_ok(id)) {
		serve_refuse(sv, rq, RPC_INVALID_PARAMS,
		    "sessionId is missing, or no id");
		return;
	}
	if (ss == NULL)
		ss = make_session(sv, rq, id);
	else if (serve_session_open(ss, &e) == -1) {
		refuse_err(sv, rq, &e);
		return;
	}
	if (ss != NULL)
		tell_session(sv, rq, ss, false);
}

static void
write_info(struct jw *w, const struct serve_session *ss)
{
	char updated[TIME_TEXT_MAX];

	(void)time_format(updated, ss->used_ms / 1000,
	    (long)(ss->used_ms % 1000) * 1000000, 3);
	jw_object(w);
	jw_kstr(w, "sessionId", ss->id);
	jw_kstr(w, "cwd", ss->conf.directory);
	if (ss->title != NULL)
		jw_kstr(w, "title", ss->title);
	jw_kstr(w, "updatedAt", updated);
	jw_object_end(w);
}

static void
on_list(struct serve *sv, const struct serve_request *rq)
{
	const char *cwd = json_str(rq->params, "cwd", NULL);
	const struct serve_session *ss;
	struct jw *w;

	if (rq->id == NULL)
		return;
	w = serve_result(sv, rq->echo, rq->id);
	jw_key(w, "sessions");
	jw_array(w);
	TAILQ_FOREACH_REVERSE(ss, &sv->sessions, serve_sessions, link)
	if (cwd == NULL || strcmp(cwd, ss->conf.directory) == 0)
		write_info(w, ss);
	jw_array_end(w);
	serve_result_end(sv, rq->id);
}

static void
on_close(struct serve *sv, const struct serve_request *rq)
{
	struct serve_session *ss = session_of(sv, rq);

	if (ss == NULL)
		return;
	serve_session_close(ss);
	serve_empty(sv, rq);
}

/* --- turns ---------------------------------------------------------------- */

static void
on_prompt(struct serve *sv, const struct serve_request *rq)
{
	struct serve_session *ss;
	struct serve_prompt *p;
	struct err e;

	if (rq->id == NULL)
		return; /* nobody could be told of its end */
	ss = session_of(sv, rq);
	if (ss == NULL)
		return;
	if (ss->nqueue >= SERVE_QUEUE_MAX ||
	    sv->queue_bytes > SERVE_QUEUE_BYTES_MAX) {
		serve_refuse(
		    sv, rq, RPC_INTERNAL, "too many prompts wait their turn");
		return;
	}
	p = xcalloc(1, sizeof(*p));
	if (serve_content(json_get(rq->params, "prompt"), &p->text, &p->len,
		&p->parts, &e) == -1) {
		serve_prompt_free(p);
		refuse_err(sv, rq, &e);
		return;
	}
	p->bytes = p->len + (p->parts != NULL ? strlen(p->parts) : 0);
	p->id = xstrdup(rq->id);
	p->echo = rq->echo != NULL ? xstrdup(rq->echo) : NULL;
	serve_session_prompt(ss, p);
}

static void
on_cancel(struct serve *sv, const struct serve_request *rq)
{
	struct serve_session *ss = session_of(sv, rq);

	if (ss == NULL)
		return;
	serve_session_cancel(ss);
	serve_empty(sv, rq);
}

/* --- settings ------------------------------------------------------------- */

/* Set CATEGORY to the value that stands under KEY. */
static struct serve_session *
set_one(struct serve *sv, const struct serve_request *rq, const char *category,
    const char *key)
{
	struct serve_session *ss = session_of(sv, rq);
	const char *value = json_str(rq->params, key, NULL);
	struct err e;

	if (ss == NULL)
		return NULL;
	if (value == NULL || !agent_word_ok(value) || strlen(value) > 256) {
		(void)err_set(
		    &e, ERR_BAD_REQUEST, "%s is missing, or no word", key);
	} else if (serve_choose(ss, category, value, &e) == 0) {
		return ss;
	}
	refuse_err(sv, rq, &e);
	return NULL;
}

static void
on_set_mode(struct serve *sv, const struct serve_request *rq)
{
	if (set_one(sv, rq, "mode", "modeId") != NULL)
		serve_empty(sv, rq);
}

static void
on_set_model(struct serve *sv, const struct serve_request *rq)
{
	if (set_one(sv, rq, "model", "modelId") != NULL)
		serve_empty(sv, rq);
}

static void
on_set_option(struct serve *sv, const struct serve_request *rq)
{
	struct serve_session *ss = session_of(sv, rq);
	const char *id = json_str(rq->params, "configId", "");
	char category[32];
	struct jw *w;

	if (ss == NULL)
		return;
	if (!serve_choice_category(ss, id, category)) {
		serve_refuse(
		    sv, rq, RPC_INVALID_PARAMS, "there is no such option");
		return;
	}
	if (set_one(sv, rq, category, "value") == NULL || rq->id == NULL)
		return;
	w = serve_result(sv, rq->echo, rq->id);
	serve_config_options(ss, w);
	serve_result_end(sv, rq->id);
}

bool
serve_method(struct serve *sv, const struct serve_request *rq)
{
	static const struct {
		const char *name;
		method *fn;
	} methods[] = {
		{ "initialize", on_initialize },
		{ "authenticate", serve_empty },
		{ "logout", serve_empty },
		{ "session/new", on_new },
		{ "session/load", on_resume },
		{ "session/resume", on_resume },
		{ "session/list", on_list },
		{ "session/close", on_close },
		{ "session/delete", on_close },
		{ "session/prompt", on_prompt },
		{ "session/cancel", on_cancel },
		{ "session/set_mode", on_set_mode },
		{ "session/set_model", on_set_model },
		{ "session/set_config_option", on_set_option },
	};
	size_t i;

	for (i = 0; i < countof(methods); i++)
		if (strcmp(methods[i].name, rq->method) == 0) {
			methods[i].fn(sv, rq);
			return true;
		}
	return false;
}
