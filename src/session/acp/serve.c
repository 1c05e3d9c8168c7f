/*
 * ACP served from native adapters; see serve.h. Runs in the session worker.
 * What comes in was checked to be an object and no more: every member may be
 * missing or of a wrong type. Each request is answered once, by its method or
 * when its turn has ended.
 */
#include "session/acp/serve.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "session/acp/waits.h"
#include "session/session.h"
#include <string.h>

#define ECHO_BYTES_MAX (400u << 10) /* repeated; it comes twice */

/* --- answers -------------------------------------------------------------- */

struct jw *
serve_result(struct serve *sv, const char *echo, const char *id)
{
	struct jw *w = &sv->w;

	buf_clear(&sv->text);
	jw_init(w, &sv->text);
	jw_object(w);
	jw_kstr(w, "jsonrpc", "2.0");
	jw_key(w, "id");
	jw_raw(w, id, strlen(id));
	jw_key(w, "result");
	jw_object(w);
	if (echo != NULL) {
		jw_key(w, "echoed");
		jw_raw(w, echo, strlen(echo));
	}
	return w;
}

static void
respond(struct serve *sv, const char *id)
{
	jw_object_end(&sv->w);
	if (sv->text.failed) {
		serve_error(sv, id, RPC_INTERNAL,
		    "the response is longer than its limit", NULL);
		return;
	}
	acp_respond(sv->b.door, id, sv->text.data, sv->text.len);
	buf_clear(&sv->text);
	buf_trim(&sv->text, 4096);
}

void
serve_result_end(struct serve *sv, const char *id)
{
	jw_object_end(&sv->w);
	respond(sv, id);
}

void
serve_empty(struct serve *sv, const struct serve_request *rq)
{
	if (rq->id == NULL)
		return;
	(void)serve_result(sv, rq->echo, rq->id);
	serve_result_end(sv, rq->id);
}

void
serve_error(struct serve *sv, const char *id, int code, const char *message,
    const char *data)
{
	struct jw *w = &sv->w;

	buf_clear(&sv->text);
	jw_init(w, &sv->text);
	jw_object(w);
	jw_kstr(w, "jsonrpc", "2.0");
	jw_key(w, "id");
	jw_raw(w, id, strlen(id));
	jw_key(w, "error");
	jw_object(w);
	jw_kint(w, "code", code);
	jw_key(w, "message");
	jw_strn(w, message, strlen(message));
	if (data != NULL) {
		jw_key(w, "data");
		jw_raw(w, data, strlen(data));
	}
	jw_object_end(w);
	respond(sv, id);
}

void
serve_refuse(struct serve *sv, const struct serve_request *rq, int code,
    const char *message)
{
	if (rq->id == NULL)
		return;
	if (sv->echo)
		serve_empty(sv, rq);
	else
		serve_error(sv, rq->id, code, message, NULL);
}

struct jw *
serve_ask(struct serve *sv, const char *method, int64_t *id_out)
{
	struct jw *w = &sv->w;

	/* The sequence that it will have: no other request of this server
	 * ever had it, in this worker or an earlier one. */
	*id_out = acp_last(sv->b.door) + 1;
	buf_clear(&sv->text);
	jw_init(w, &sv->text);
	jw_object(w);
	jw_kstr(w, "jsonrpc", "2.0");
	jw_kint(w, "id", *id_out);
	jw_kstr(w, "method", method);
	jw_key(w, "params");
	jw_object(w);
	return w;
}

void
serve_ask_end(struct serve *sv)
{
	jw_object_end(&sv->w);
	jw_object_end(&sv->w);
	if (!sv->text.failed)
		acp_notify(sv->b.door, sv->text.data, sv->text.len);
	else
		log_warn("acp", "a request of the agent is too long");
	buf_clear(&sv->text);
	buf_trim(&sv->text, 4096);
}

/* --- the mock ------------------------------------------------------------- */

/* TEXT as it is repeated; the caller's. */
static char *
echo_text(const char *text, size_t len)
{
	return len <= ECHO_BYTES_MAX
		   ? xstrndup(text, len)
		   : xasprintf("{\"truncated\":true,\"bytes\":%zu}", len);
}

/* A notification mock/METHOD about MESSAGE, which is JSON text. */
static void
mock_notify(struct serve *sv, const char *method, const char *params)
{
	autofree char *text = xasprintf(
	    "{\"jsonrpc\":\"2.0\",\"method\":\"mock/%s\",\"params\":%s}",
	    method, params);

	acp_notify(sv->b.door, text, strlen(text));
}

static void
mock_echo(struct serve *sv, const char *message)
{
	autofree char *params = xasprintf("{\"message\":%s}", message);

	mock_notify(sv, "echo", params);
}

static void
mock_client_response(struct serve *sv, const struct json *env)
{
	struct buf b;
	struct jw w;

	buf_init(&b, ACP_ENVELOPE_MAX - 256);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kvalue(&w, "error", json_get(env, "error"));
	jw_kvalue(&w, "id", json_get(env, "id"));
	jw_kvalue(&w, "result", json_get(env, "result"));
	jw_object_end(&w);
	if (!b.failed)
		mock_notify(sv, "client_response", b.data);
	buf_free(&b);
}

/* --- the backend ---------------------------------------------------------- */

static void
request(struct serve *sv, const struct json *env, const char *echo)
{
	const struct json *id = json_get(env, "id");
	autofree char *id_text = id != NULL ? acp_id_text(id) : NULL;
	const struct serve_request rq = { .id = id_text,
		.echo = echo,
		.method = json_str(env, "method", NULL),
		.params = json_get(env, "params") };

	if (rq.method == NULL)
		serve_refuse(
		    sv, &rq, RPC_INVALID_REQUEST, "the method is not a string");
	else if (!serve_method(sv, &rq))
		serve_refuse(sv, &rq, RPC_METHOD_UNKNOWN, "Method not found");
}

static void
serve_envelope(
    struct acp_backend *b, const struct json *env, const char *text, size_t len)
{
	struct serve *sv = (struct serve *)b;
	autofree char *echo = NULL;

	if (sv->echo) {
		echo = echo_text(text, len);
		mock_echo(sv, echo);
	}
	if (json_get(env, "method") != NULL) {
		request(sv, env, echo);
	} else if (json_get(env, "id") != NULL) {
		if (sv->echo)
			mock_client_response(sv, env);
		(void)serve_answered(sv, env);
	}
}

/* Can this agent be served at all? An adapter tells without starting it. */
static int
try_agent(struct serve *sv, struct err *e)
{
	static const struct agent_host nobody = { 0 };
	const struct agent_ops *ops = agent_find(sv->b.conf->protocol);
	struct universal mute;
	struct agent *a;
	int rc;

	uni_init(&mute, &sv->b.session->out);
	mute.as = &encoder_mute;
	a = agent_new(
	    ops, &nobody, NULL, sv->b.session, sv->b.conf, &mute, sv->b.loop);
	rc = ops->open(a, true, e);
	ops->close(a);
	free(a);
	uni_free(&mute);
	return rc;
}

static void
init(struct serve *sv)
{
	if (sv->later.data != NULL)
		return;
	TAILQ_INIT(&sv->sessions);
	TAILQ_INIT(&sv->gone);
	buf_init(&sv->text, ACP_ENVELOPE_MAX);
	ev_timer_init(&sv->later, serve_later, 0., 0.);
	sv->later.data = sv;
}

static int
serve_open(struct acp_backend *b, bool fresh, struct err *e)
{
	struct serve *sv = (struct serve *)b;

	(void)fresh;
	init(sv);
	sv->echo = strcmp(b->conf->protocol, "mock") == 0;
	return try_agent(sv, e);
}

static void
serve_read(struct acp_backend *b, const struct json *c)
{
	init((struct serve *)b);
	serve_state_read(b, c);
}

static void
serve_pause(struct acp_backend *b, bool on)
{
	struct serve *sv = (struct serve *)b;
	struct serve_session *ss;

	sv->paused = on;
	TAILQ_FOREACH (ss, &sv->sessions, link)
		if (ss->agent != NULL && !ss->stopping)
			ss->agent->ops->pause(ss->agent, on);
}

static void
serve_stop(struct acp_backend *b)
{
	struct serve *sv = (struct serve *)b;
	struct serve_session *ss, *next;

	sv->stopping = true;
	for (ss = TAILQ_FIRST(&sv->sessions); ss != NULL; ss = next) {
		next = TAILQ_NEXT(ss, link);
		if (ss->agent != NULL && !ss->stopping) {
			ss->stopping = true;
			ss->agent->ops->stop(ss->agent);
		}
	}
	serve_stopped(sv);
}

static void
serve_close(struct acp_backend *b)
{
	struct serve *sv = (struct serve *)b;

	if (sv->later.data == NULL)
		return;
	ev_timer_stop(b->loop, &sv->later);
	while (!TAILQ_EMPTY(&sv->sessions)) {
		struct serve_session *ss = TAILQ_FIRST(&sv->sessions);

		TAILQ_REMOVE(&sv->sessions, ss, link);
		serve_session_free(ss);
	}
	while (!TAILQ_EMPTY(&sv->gone)) {
		struct serve_session *ss = TAILQ_FIRST(&sv->gone);

		TAILQ_REMOVE(&sv->gone, ss, link);
		serve_session_free(ss);
	}
	buf_free(&sv->text);
}

const struct acp_backend_ops acp_serve = {
	.name = "serve",
	.size = sizeof(struct serve),
	.open = serve_open,
	.envelope = serve_envelope,
	.pause = serve_pause,
	.stop = serve_stop,
	.close = serve_close,
	.checkpoint_write = serve_state_write,
	.checkpoint_read = serve_read,
};
