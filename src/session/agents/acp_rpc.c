/*
 * Lines of the ACP adapter to its agent: requests, notifications, answers. Runs
 * in the session worker. Each side numbers its own requests; what the agent
 * answers is looked up among ours, and ids of its own are given back as they
 * came.
 */
#include "session/agents/acp.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include <string.h>

static void
line_begin(struct jw *w, struct buf *b)
{
	buf_init(b, STDIN_BYTES_MAX);
	jw_init(w, b);
	jw_object(w);
	jw_kstr(w, "jsonrpc", "2.0");
}

static int
line_send(struct acp *p, struct jw *w, struct buf *b, struct err *e)
{
	int rc = 0;

	jw_object_end(w);
	jw_object_end(w);
	(void)buf_addc(b, '\n');
	if (p->proc == NULL || p->retiring)
		rc = err_set(e, ERR_AGENT_FAILED, "the agent is not running");
	else if (b->failed || process_write(p->proc, b->data, b->len) == -1)
		rc = err_set(
		    e, ERR_LIMIT, "the agent does not read what it is sent");
	buf_free(b);
	return rc;
}

void
acp_begin(
    struct acp *p, struct jw *w, struct buf *b, const char *method, bool call)
{
	line_begin(w, b);
	if (call)
		jw_kint(w, "id", (int64_t)++p->requests);
	jw_kstr(w, "method", method);
	jw_key(w, "params");
	jw_object(w);
}

int
acp_send(struct acp *p, struct jw *w, struct buf *b, enum acp_call call,
    struct err *e)
{
	if (p->ncalls == ACP_CALLS_MAX) {
		buf_free(b);
		return err_set(e, ERR_LIMIT, "the agent does not answer");
	}
	if (line_send(p, w, b, e) == -1)
		return -1;
	p->calls[p->ncalls].id = p->requests;
	p->calls[p->ncalls++].call = call;
	return 0;
}

int
acp_send_notice(struct acp *p, struct jw *w, struct buf *b, struct err *e)
{
	return line_send(p, w, b, e);
}

bool
acp_take_call(struct acp *p, const struct json *id, enum acp_call *out)
{
	int64_t number;
	unsigned i;

	if (id == NULL || id->type != JSON_NUMBER ||
	    json_number_int(id, &number) == -1)
		return false;
	for (i = 0; i < p->ncalls; i++)
		if (p->calls[i].id == (uint64_t)number)
			break;
	if (i == p->ncalls)
		return false;
	*out = p->calls[i].call;
	p->calls[i] = p->calls[--p->ncalls];
	return true;
}

void
acp_answer_begin(struct jw *w, struct buf *b, const char *rpc_id)
{
	line_begin(w, b);
	jw_key(w, "id");
	jw_raw(w, rpc_id, strlen(rpc_id));
	jw_key(w, "result");
	jw_object(w);
}

int
acp_answer_send(struct acp *p, struct jw *w, struct buf *b, struct err *e)
{
	return line_send(p, w, b, e);
}

void
acp_refuse(struct acp *p, const char *rpc_id, int code, const char *message)
{
	struct buf b;
	struct jw w;
	struct err e;

	line_begin(&w, &b);
	jw_key(&w, "id");
	jw_raw(&w, rpc_id, strlen(rpc_id));
	jw_key(&w, "error");
	jw_object(&w);
	jw_kint(&w, "code", code);
	jw_kstr(&w, "message", message);
	if (line_send(p, &w, &b, &e) == -1)
		log_warn(
		    "acp", "request cannot be refused", LOG_STR("why", e.text));
}

/* Some agents say no more than "Internal error" and put the cause behind. */
char *
acp_error_text(const struct json *error)
{
	static const char *const places[] = { "message", "details", "error" };
	const char *text = json_str(error, "message", "unknown error");
	const struct json *data = json_get(error, "data");
	const char *more = NULL;
	size_t i;

	if (data != NULL && data->type == JSON_STRING)
		more = data->str;
	for (i = 0; more == NULL && i < countof(places); i++)
		more = json_str(data, places[i], NULL);
	if (more == NULL || *more == '\0' || strstr(text, more) != NULL)
		return xstrdup(text);
	return xasprintf("%s: %s", text, more);
}
