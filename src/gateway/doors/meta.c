/*
 * What the server says about itself. Runs in sandboxd-gateway.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif
#include "gateway/call.h"
#include "gateway/db.h"
#include "gateway/metrics.h"
#include "gateway/openapi.h"
#include "gateway/req.h"

#include <ev.h>
#include <inttypes.h>
#include <string.h>

#define METRICS_BYTES_MAX (4U << 20)

void
route_root(struct req *r)
{
	req_reply_text(r, 200, "application/json",
	    "{\"docs\":\"sandboxd-http(7)\",\"name\":\"sandboxd\","
	    "\"version\":\"" PACKAGE_VERSION "\"}");
}

void
route_health(struct req *r)
{
	req_reply_text(r, 200, "application/json", "{\"status\":\"ok\"}");
}

void
route_openapi(struct req *r)
{
	req_reply_text(r, 200, "application/json", openapi_text());
}

/*
 * GET /v1/ready: each part, and the worst of them as the status.
 */

static bool
check_write(struct jw *w, const char *part, const char *why)
{
	jw_kstr(w, part, why != NULL ? why : "ok");
	return why == NULL;
}

static const char *
map_check(struct gateway *gw)
{
	if (gw->db == NULL || db_begin(gw->db, NULL) == -1)
		return "cannot be read";
	db_end(gw->db);
	return NULL;
}

static const char *
store_check(const struct json *status)
{
	const struct json *store = json_get(status, "store");

	return store != NULL && store->type == JSON_OBJECT ? NULL
							   : "restarting";
}

static const char *
gateways_check(const struct json *status)
{
	json_foreach (g, json_get(status, "gateways"))
		if (!json_bool(g, "serving", false))
			return "restarting";
	return NULL;
}

static void
ready_answer(void *ctx, const struct json *status, const struct err *e)
{
	struct req *r = ctx;
	struct buf b, checks;
	const char *bad = NULL;
	struct jw w;

	buf_init(&checks, 4096);
	jw_init(&w, &checks);
	jw_object(&w);
	if (!check_write(&w, "map", map_check(r->gw)))
		bad = "map";
	if (status != NULL &&
	    !check_write(&w, "gateways", gateways_check(status)))
		bad = "gateways";
	if (status != NULL && !check_write(&w, "store", store_check(status)))
		bad = "store";
	if (!check_write(&w, "supervisor", status == NULL ? e->text : NULL))
		bad = "supervisor";
	jw_object_end(&w);
	buf_init(&b, 8192);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "status", bad == NULL ? "ok" : bad);
	jw_key(&w, "checks");
	jw_raw(&w, checks.data, checks.len);
	jw_object_end(&w);
	buf_free(&checks);
	req_reply_json(r, bad == NULL ? 200 : 503, &b);
	req_release(r);
}

void
route_ready(struct req *r)
{
	req_hold(r);
	super_call(r->gw, "status", NULL, ready_answer, r);
}

/*
 * GET /metrics: what the gateways have counted and what the supervisor knows.
 */

struct metrics_ask {
	struct req *r;
	ev_tstamp asked;
};

static void
gauge(struct buf *b, const char *name, const char *help, const char *type)
{
	(void)buf_addf(b, "# HELP sandboxd_%s %s\n# TYPE sandboxd_%s %s\n",
	    name, help, name, type);
}

/* Each number of OBJ with its name as a label. */
static void
labelled(struct buf *b, const struct json *obj, const char *name,
    const char *label, const char *type, const char *help)
{
	int64_t v;

	if (obj == NULL || obj->type != JSON_OBJECT)
		return;
	gauge(b, name, help, type);
	json_foreach (it, obj)
		if (json_number_int(it, &v) == 0)
			(void)buf_addf(b,
			    "sandboxd_%s{%s=\"%s\"} %" PRId64 "\n", name, label,
			    it->key, v);
}

static void
number(struct buf *b, const struct json *obj, const char *key, const char *name,
    const char *type, const char *help)
{
	int64_t v;

	if (json_number_int(json_get(obj, key), &v) == -1)
		return;
	gauge(b, name, help, type);
	(void)buf_addf(b, "sandboxd_%s %" PRId64 "\n", name, v);
}

static void
status_write(struct buf *b, const struct json *st)
{
	const struct json *store = json_get(st, "store");

	number(b, st, "uptime_ms", "uptime_milliseconds", "gauge",
	    "Since the supervisor was started.");
	labelled(b, json_get(st, "sandboxes"), "sandboxes", "state", "gauge",
	    "Sandboxes by state.");
	number(b, st, "sessions", "sessions", "gauge", "Sessions, all states.");
	labelled(b, json_get(st, "restarts"), "restarts_total", "part",
	    "counter", "How often a process of ours was started again.");
	labelled(b, json_get(st, "memory"), "memory_bytes", "part", "gauge",
	    "Resident memory of our processes.");
	number(
	    b, store, "events", "events", "gauge", "Events that are stored.");
	number(b, store, "appended", "events_appended_total", "counter",
	    "Events stored since the store was started.");
	number(b, store, "commits", "store_commits_total", "counter",
	    "Commits since the store was started.");
	number(b, store, "commit_us", "store_commit_microseconds_total",
	    "counter", "Time that these commits took.");
	number(b, store, "followers", "store_followers", "gauge",
	    "Clients of the control socket that follow events.");
	number(b, store, "used_bytes", "store_used_bytes", "gauge",
	    "Of the database, in use.");
	number(b, store, "map_bytes", "store_map_bytes", "gauge",
	    "Of the database, room.");
}

static void
metrics_answer(void *ctx, const struct json *status, const struct err *e)
{
	struct metrics_ask *a = ctx;
	struct buf b;

	(void)e; /* "up" says it */
	buf_init(&b, METRICS_BYTES_MAX);
	gauge(&b, "up", "The supervisor answers.", "gauge");
	(void)buf_addf(&b, "sandboxd_up %d\n", status != NULL);
	gauge(&b, "store_latency_seconds",
	    "A question to the supervisor and on to the store, just now.",
	    "gauge");
	(void)buf_addf(
	    &b, "sandboxd_store_latency_seconds %.6f\n", ev_time() - a->asked);
	if (status != NULL)
		status_write(&b, status);
	metrics_write(a->r->gw, &b);
	req_reply(a->r, 200, "text/plain; version=0.0.4", &b);
	req_release(a->r);
	free(a);
}

void
route_metrics(struct req *r)
{
	struct metrics_ask *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		req_problem(r, PROBLEM_UNAVAILABLE, "no memory");
		return;
	}
	a->r = r;
	a->asked = ev_time();
	req_hold(r);
	super_call(r->gw, "status", NULL, metrics_answer, a);
}
