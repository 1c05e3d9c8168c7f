/*
 * What is beside OpenSandbox's own routes below /v1/sandboxes: addresses of
 * ports, and what that API lacks (stop, start, stats, events, isolation,
 * network, mounts, limits). Runs in sandboxd-gateway.
 */
#include "gateway/doors/osb.h"
#include "lib/frame.h"

#include <string.h>

/* Members of a record, by the names that the answer has. */
struct part {
	const char *name, *of;
};

static void
reply_parts(
    struct req *r, const struct json *rec, const struct part *parts, size_t n)
{
	struct buf b;
	struct jw w;

	buf_init(&b, FRAME_MAX * 2);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", json_str(rec, "id", ""));
	for (size_t i = 0; i < n; i++) {
		const struct json *v = json_get(rec, parts[i].of);

		if (v != NULL)
			jw_kvalue(&w, parts[i].name, v);
	}
	jw_object_end(&w);
	req_reply_json(r, 200, &b);
}

/* --- stop and start ------------------------------------------------------ */

static void
on_changed(struct req *r, const struct json *result, const struct err *e)
{
	if (e != NULL)
		osb_fail(r, e, NULL, NULL);
	else
		osb_reply(r, 200, result, true);
}

void
route_osb_start(struct req *r)
{
	osb_call_id(r, "sandbox.start", on_changed);
}

static void
on_stopped(struct req *r, const struct json *result, const struct err *e)
{
	struct buf b;
	struct jw w;

	if (e != NULL) {
		osb_fail(r, e, NULL, NULL);
		return;
	}
	buf_init(&b, 1024);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", json_str(result, "id", ""));
	jw_kstr(&w, "state", osb_state(json_str(result, "state", "")));
	jw_object_end(&w);
	req_reply_json(r, 200, &b);
}

void
route_osb_stop(struct req *r)
{
	const char *id = osb_sandbox(r);
	struct buf b;
	struct jw w;

	if (id == NULL)
		return;
	buf_init(&b, 1024);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", id);
	if (json_get(r->json, "graceMs") != NULL)
		jw_kint(&w, "grace_ms", json_int(r->json, "graceMs", 0));
	jw_object_end(&w);
	osb_call(r, "sandbox.stop", &b, on_stopped);
	buf_free(&b);
}

/* --- what is to be read -------------------------------------------------- */

static void
on_stats(struct req *r, const struct json *result, const struct err *e)
{
	static const struct part parts[] = { { "usage", "usage" },
		{ "limits", "limits" }, { "restarts", "restarts" } };

	if (e != NULL)
		osb_fail(r, e, NULL, NULL);
	else
		reply_parts(r, result, parts, countof(parts));
}

void
route_osb_stats(struct req *r)
{
	osb_call_id(r, "sandbox.get", on_stats);
}

static void
on_isolation(struct req *r, const struct json *result, const struct err *e)
{
	static const struct part parts[] = { { "wanted", "isolation_wanted" },
		{ "holds", "isolation" }, { "missing", "isolation_missing" } };

	if (e != NULL)
		osb_fail(r, e, NULL, NULL);
	else
		reply_parts(r, result, parts, countof(parts));
}

void
route_osb_isolation(struct req *r)
{
	osb_call_id(r, "sandbox.get", on_isolation);
}

static void
on_network(struct req *r, const struct json *result, const struct err *e)
{
	static const struct part parts[] = { { "network", "network" },
		{ "egress", "egress" } };

	if (e != NULL)
		osb_fail(r, e, NULL, NULL);
	else
		reply_parts(r, result, parts, countof(parts));
}

void
route_osb_network(struct req *r)
{
	osb_call_id(r, "sandbox.get", on_network);
}

static void
on_mounts(struct req *r, const struct json *result, const struct err *e)
{
	static const struct part parts[] = { { "mounts", "mounts" } };

	if (e != NULL)
		osb_fail(r, e, NULL, NULL);
	else
		reply_parts(r, result, parts, countof(parts));
}

void
route_osb_mounts(struct req *r)
{
	osb_call_id(r, "sandbox.get", on_mounts);
}

static void
on_limits(struct req *r, const struct json *result, const struct err *e)
{
	static const struct part parts[] = { { "limits", "limits" } };

	if (e != NULL)
		osb_fail(r, e, "SANDBOX::LIMIT_FIXED", NULL);
	else
		reply_parts(r, result, parts, countof(parts));
}

void
route_osb_limits(struct req *r)
{
	osb_call_id(r, "sandbox.get", on_limits);
}

void
route_osb_limits_set(struct req *r)
{
	const char *id = osb_sandbox(r);
	struct buf b;
	struct jw w;

	if (id == NULL)
		return;
	buf_init(&b, 65536);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", id);
	jw_kvalue(&w, "limits", r->json);
	jw_object_end(&w);
	osb_call(r, "sandbox.update", &b, on_limits);
	buf_free(&b);
}

/* --- ports --------------------------------------------------------------- */

static void
on_endpoint(struct req *r, const struct json *result, const struct err *e)
{
	const char *key = req_header(r, "OPEN-SANDBOX-API-KEY");
	bool proxy = req_query_bool(r, "use_server_proxy", false);
	struct buf b;
	struct jw w;

	if (e != NULL) {
		osb_fail(r, e, NULL, NULL);
		return;
	}
	buf_init(&b, 65536);
	jw_init(&w, &b);
	jw_object(&w);
	jw_key(&w, "endpoint");
	jw_str_begin(&w);
	for (const char *const *p = (const char *const[]){ req_header(
							       r, "Host"),
		 proxy ? "/v1/sandboxes/" : "/i/", json_str(result, "id", ""),
		 proxy ? "/proxy/" : "/port/", r->params[1], NULL };
	     *p != NULL; p++)
		jw_str_add(&w, *p, strlen(*p));
	jw_str_end(&w);
	jw_key(&w, "headers");
	jw_object(&w);
	/* What the client has sent us, for where only this is looked for. */
	if (key != NULL && !proxy) {
		jw_key(&w, "OPEN-SANDBOX-API-KEY");
		jw_strn(&w, key, strlen(key));
	}
	jw_object_end(&w);
	jw_object_end(&w);
	req_reply_json(r, 200, &b);
}

/* Whether something listens there is not asked: addresses are handed out
 * before it does. */
void
route_osb_endpoint(struct req *r)
{
	const char *host = req_header(r, "Host");
	int64_t port;
	struct err e;

	if (osb_port(r, &port, &e) == -1) {
		osb_fail(r, &e, NULL, "DOCKER::INVALID_PORT");
		return;
	}
	if (req_query(r, "expires", NULL) != NULL) {
		req_problem_code(r, PROBLEM_INVALID_REQUEST,
		    "SANDBOX::API_NOT_SUPPORTED",
		    "expires: signed addresses are not supported");
		return;
	}
	if (host == NULL || host[0] == '\0' ||
	    utf8_valid_prefix(host, strlen(host)) != strlen(host)) {
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "a Host header is needed to form the address");
		return;
	}
	osb_call_id(r, "sandbox.get", on_endpoint);
}

/* --- and besides --------------------------------------------------------- */

void
route_osb_health(struct req *r)
{
	struct buf b;

	buf_init(&b, 64);
	(void)buf_adds(&b, "{\"status\":\"healthy\"}"); /* fits */
	req_reply_json(r, 200, &b);
}

/* Figures that clients of the SDK send home: nobody here wants them. */
void
route_osb_metrics(struct req *r)
{
	req_reply_empty(r, 204);
}
