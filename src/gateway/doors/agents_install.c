/*
 * POST /v1/agents/{agent}/install. Runs in sandboxd-gateway; what there is to
 * do is done by the supervisor and its courier, and the answer comes when it
 * is.
 */
#include "gateway/call.h"
#include "gateway/doors/acp.h"
#include "lib/xalloc.h"

#include <string.h>

static void
artifact_write(struct jw *w, const struct json *result)
{
	bool builtin = json_bool(result, "builtin", false);

	jw_object(w);
	jw_kstr(w, "kind", builtin ? "agent_process" : "native_agent");
	jw_kstr(w, "path", builtin ? "builtin" : json_str(result, "path", ""));
	jw_kstr(w, "source", builtin ? "builtin" : "registry");
	if (json_str(result, "version", NULL) != NULL)
		jw_kstr(w, "version", json_str(result, "version", ""));
	jw_object_end(w);
}

static void
on_installed(void *ctx, const struct json *result, const struct err *e)
{
	struct req *r = ctx;
	bool already = json_bool(result, "already", false);
	struct buf b;
	struct jw w;

	/* What is built in was there before, but may be asked for again. */
	if (json_bool(result, "builtin", false))
		already = !json_bool(r->json, "reinstall", false);
	if (result == NULL) {
		acp_fail(r, r->params[0], e);
		req_release(r);
		return;
	}
	buf_init(&b, 65536);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kbool(&w, "already_installed", already);
	jw_key(&w, "artifacts");
	jw_array(&w);
	if (!already)
		artifact_write(&w, result);
	jw_array_end(&w);
	jw_object_end(&w);
	req_reply_json(r, 200, &b);
	req_release(r);
}

void
route_agent_install(struct req *r)
{
	const char *version = json_str(r->json, "agentVersion", "");
	struct err e;
	struct buf b;
	struct jw w;

	if (r->params[0][0] == '\0' || strlen(r->params[0]) > ACP_AGENT_MAX) {
		err_set(&e, ERR_AGENT_UNKNOWN, "no such agent");
		acp_fail(r, r->params[0], &e);
		return;
	}
	buf_init(&b, 1024);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", r->params[0]);
	if (version[0] != '\0')
		jw_kstr(&w, "version", version);
	if (json_bool(r->json, "reinstall", false))
		jw_kbool(&w, "reinstall", true);
	jw_object_end(&w);
	req_hold(r);
	super_call(r->gw, "agent.install", &b, on_installed, r);
	buf_free(&b);
}
