/*
 * Operations on sandboxes over HTTP; see bridge.h. Runs as the caller.
 *
 * The routes speak another wire format than the control socket; here one
 * becomes the other, so that commands show the same whichever way they came.
 */
#include "ctl/http/bridge.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>
#include <time.h>

#define B "/v1/sandboxes"
#define BODY_MAX (8u << 20)

static char *
box_path(const struct json *args, const char *form)
{
	const char *words[] = { json_str(args, "id", "") };

	return bridge_path(NULL, form, words);
}

/* --- records ------------------------------------------------------------- */

static int64_t
time_ms(const char *text)
{
	struct tm tm = { 0 };
	char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	return end == NULL ? 0 : (int64_t)timegm(&tm) * 1000;
}

/* One sandbox in the control socket's words. ISOLATION and STATS: what other
 * routes tell of it, or NULL. */
static void
write_box(struct jw *w, const struct json *s, const struct json *isolation,
    const struct json *stats)
{
	const struct json *ours = json_get(s, "sandboxd");
	const char *expires = json_str(s, "expiresAt", NULL);

	jw_object(w);
	jw_kstr(w, "id", json_str(s, "id", ""));
	jw_kstr(w, "state", json_str(ours, "state", "unknown"));
	jw_kstr(w, "image", json_str(json_get(s, "image"), "uri", "host"));
	jw_kint(w, "created_at", time_ms(json_str(s, "createdAt", "")));
	if (expires != NULL)
		jw_kint(w, "expires_at", time_ms(expires));
	if (json_get(s, "metadata") != NULL)
		jw_kvalue(w, "labels", json_get(s, "metadata"));
	json_foreach (m, ours)
		if (strcmp(m->key, "state") != 0)
			jw_kvalue(w, m->key, m);
	if (json_get(isolation, "holds") != NULL)
		jw_kvalue(w, "isolation", json_get(isolation, "holds"));
	if (json_get(isolation, "missing") != NULL)
		jw_kvalue(
		    w, "isolation_missing", json_get(isolation, "missing"));
	if (json_get(stats, "usage") != NULL)
		jw_kvalue(w, "usage", json_get(stats, "usage"));
	jw_object_end(w);
}

/* The sandbox as OP has left it, with what holds in it. */
static int
answer_box(struct bridge *b, const char *id, struct err *e)
{
	const char *words[] = { id };
	autofree char *path = bridge_path(NULL, B "/{}", words);
	autofree char *isolation_path =
	    bridge_path(NULL, B "/{}/isolation", words);
	autofree char *stats_path = bridge_path(NULL, B "/{}/stats", words);
	struct json *isolation = NULL;
	struct json *stats = NULL;
	struct json *j;
	struct err none;

	if (bridge_ask(b, "GET", path, NULL, &j, e) == -1)
		return -1;
	/* Only lines of the answer hang on these. */
	(void)bridge_ask(b, "GET", isolation_path, NULL, &isolation, &none);
	(void)bridge_ask(b, "GET", stats_path, NULL, &stats, &none);
	write_box(bridge_begin(b, "ok"), j, isolation, stats);
	bridge_send(b, -1);
	json_free(j);
	json_free(isolation);
	json_free(stats);
	return 0;
}

int
bridge_sandbox_get(struct bridge *b, const struct json *args, struct err *e)
{
	return answer_box(b, json_str(args, "id", ""), e);
}

/* --- the list ------------------------------------------------------------ */

/* What the route calls a state of ours. */
static const char *
their_state(const char *state)
{
	static const char *const names[][2] = { { "creating", "Pending" },
		{ "stopped", "Terminated" }, { "error", "Failed" } };
	size_t i;

	for (i = 0; i < countof(names); i++)
		if (strcmp(names[i][0], state) == 0)
			return names[i][1];
	return state;
}

/* The filter of the request as a query: state, and labels as one encoded
 * query string. */
static void
write_filter(struct buf *q, const struct json *args)
{
	const char *state = json_str(args, "state", NULL);
	struct buf pairs;

	if (state != NULL) {
		(void)buf_adds(q, "&state=");
		target_escape(q, their_state(state));
	}
	buf_init(&pairs, 65536);
	json_foreach (m, json_get(args, "labels")) {
		if (pairs.len > 0)
			(void)buf_addc(&pairs, '&');
		target_escape(&pairs, m->key);
		(void)buf_addc(&pairs, '=');
		target_escape(&pairs, m->str);
	}
	if (pairs.len > 0) {
		(void)buf_adds(q, "&metadata=");
		target_escape(q, pairs.data);
	}
	buf_free(&pairs);
}

static int
list_page(struct bridge *b, const struct json *args, unsigned page,
    bool *more_out, struct jw *w, struct err *e)
{
	struct json *j = NULL;
	struct buf q;
	int r;

	buf_init(&q, 1u << 20);
	(void)buf_addf(&q, B "?pageSize=200&page=%u", page);
	write_filter(&q, args);
	r = q.failed ? err_set(e, ERR_TOO_LARGE, "the filter is too long")
		     : bridge_ask(b, "GET", q.data, NULL, &j, e);
	buf_free(&q);
	if (r == -1)
		return -1;
	json_foreach (s, json_get(j, "items"))
		write_box(w, s, NULL, NULL);
	*more_out = json_bool(json_get(j, "pagination"), "hasNextPage", false);
	json_free(j);
	return 0;
}

int
bridge_sandbox_list(struct bridge *b, const struct json *args, struct err *e)
{
	bool more = true;
	unsigned page;
	struct jw *w = bridge_begin(b, "ok");

	jw_object(w);
	jw_key(w, "sandboxes");
	jw_array(w);
	for (page = 1; more && page < 1000; page++)
		if (list_page(b, args, page, &more, w, e) == -1)
			return -1;
	jw_array_end(w);
	jw_object_end(w);
	bridge_send(b, -1);
	return 0;
}

/* --- create -------------------------------------------------------------- */

/* The members that the routes have under names of ours. */
static void
write_ours(struct jw *w, const struct json *args)
{
	static const char *const same[] = { "id", "network", "egress", "mounts",
		"limits", "isolation", "user", "directory", "hostname",
		"ephemeral", "tmpfs", "hosts", "service" };
	size_t i;

	jw_key(w, "sandboxd");
	jw_object(w);
	for (i = 0; i < countof(same); i++)
		if (json_get(args, same[i]) != NULL)
			jw_kvalue(w, same[i], json_get(args, same[i]));
	jw_object_end(w);
}

static int
write_create(struct jw *w, const struct json *args, struct err *e)
{
	const struct json *timeout = json_get(args, "timeout");
	int64_t ms;

	jw_object(w);
	jw_key(w, "image");
	jw_object(w);
	jw_kstr(w, "uri", json_str(args, "image", "host"));
	jw_object_end(w);
	jw_key(w, "entrypoint");
	if (json_get(args, "entrypoint") != NULL) {
		jw_value(w, json_get(args, "entrypoint"));
	} else { /* one is asked for; this ends at once */
		jw_array(w);
		jw_str(w, "true");
		jw_array_end(w);
	}
	if (json_get(args, "env") != NULL)
		jw_kvalue(w, "env", json_get(args, "env"));
	if (json_get(args, "labels") != NULL)
		jw_kvalue(w, "metadata", json_get(args, "labels"));
	if (timeout != NULL && timeout->type == JSON_STRING) {
		if (str_to_ms(timeout->str, &ms) == -1)
			return err_set(e, ERR_BAD_REQUEST,
			    "timeout: '%s' is no time", timeout->str);
		jw_kint(w, "timeout", ms / 1000);
	} else if (timeout != NULL) {
		jw_kvalue(w, "timeout", timeout);
	}
	write_ours(w, args);
	jw_object_end(w);
	return 0;
}

int
bridge_sandbox_create(struct bridge *b, const struct json *args, struct err *e)
{
	struct json *j = NULL;
	struct buf body;
	struct jw w;
	int r;

	buf_init(&body, BODY_MAX);
	jw_init(&w, &body);
	r = write_create(&w, args, e);
	if (r == 0)
		r = bridge_ask(b, "POST", B, &body, &j, e);
	buf_free(&body);
	if (r == -1) {
		if (e->code == ERR_SANDBOX_STATE)
			e->code = ERR_SANDBOX_EXISTS;
		return -1;
	}
	r = answer_box(b, json_str(j, "id", ""), e);
	json_free(j);
	return r;
}

/* --- the rest ------------------------------------------------------------ */

/* Ask for FORM of the sandbox; then its record answers, or nothing. */
static int
change(struct bridge *b, const struct json *args, const char *method,
    const char *form, const struct buf *body, bool record, struct err *e)
{
	autofree char *path = box_path(args, form);

	if (body != NULL && body->failed)
		return err_set(e, ERR_TOO_LARGE, "the request is too long");
	if (bridge_ask(b, method, path, body, NULL, e) == -1)
		return -1;
	if (record)
		return answer_box(b, json_str(args, "id", ""), e);
	bridge_ok_empty(b);
	return 0;
}

int
bridge_sandbox_stop(struct bridge *b, const struct json *args, struct err *e)
{
	const struct json *grace = json_get(args, "grace_ms");
	struct buf body;
	struct jw w;
	int r;

	buf_init(&body, 256);
	jw_init(&w, &body);
	jw_object(&w);
	if (grace != NULL)
		jw_kvalue(&w, "graceMs", grace);
	jw_object_end(&w);
	r = change(b, args, "POST", B "/{}/stop", &body, true, e);
	buf_free(&body);
	return r;
}

int
bridge_sandbox_start(struct bridge *b, const struct json *args, struct err *e)
{
	return change(b, args, "POST", B "/{}/start", NULL, true, e);
}

int
bridge_sandbox_pause(struct bridge *b, const struct json *args, struct err *e)
{
	return change(b, args, "POST", B "/{}/pause", NULL, true, e);
}

int
bridge_sandbox_resume(struct bridge *b, const struct json *args, struct err *e)
{
	return change(b, args, "POST", B "/{}/resume", NULL, true, e);
}

int
bridge_sandbox_destroy(struct bridge *b, const struct json *args, struct err *e)
{
	return change(b, args, "DELETE", B "/{}", NULL, false, e);
}

/* The route wants to know when, the command says in how long. */
int
bridge_sandbox_renew(struct bridge *b, const struct json *args, struct err *e)
{
	const struct json *timeout = json_get(args, "timeout");
	int64_t at_ms = json_int(args, "expires_at", 0);
	char text[TIME_TEXT_MAX];
	struct buf body;
	struct jw w;
	int64_t ms;
	int r;

	if (timeout != NULL) {
		if (timeout->type == JSON_STRING
			? str_to_ms(timeout->str, &ms) == -1
			: json_number_int(timeout, &ms) == -1)
			return err_set(e, ERR_BAD_REQUEST,
			    "timeout: write seconds, or 10m");
		if (timeout->type != JSON_STRING)
			ms = ms > INT64_MAX / 1000 ? INT64_MAX : ms * 1000;
		at_ms = now_realtime_ms() + MIN(ms, INT64_MAX / 2);
	}
	(void)time_format(
	    text, at_ms / 1000, (long)(at_ms % 1000) * 1000000, 3);
	buf_init(&body, 256);
	jw_init(&w, &body);
	jw_object(&w);
	jw_kstr(&w, "expiresAt", text);
	jw_object_end(&w);
	r = change(b, args, "POST", B "/{}/renew-expiration", &body, true, e);
	buf_free(&body);
	return r;
}

/* Labels and limits are two routes. */
int
bridge_sandbox_update(struct bridge *b, const struct json *args, struct err *e)
{
	static const char *const parts[][2] = { { "labels", B "/{}/metadata" },
		{ "limits", B "/{}/limits" } };
	size_t i;

	if (json_get(args, "timeout") != NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "over HTTP `renew` sets when a sandbox ends");
	for (i = 0; i < countof(parts); i++) {
		autofree char *path = box_path(args, parts[i][1]);
		const struct json *v = json_get(args, parts[i][0]);
		struct buf body;
		struct jw w;
		int r;

		if (v == NULL)
			continue;
		buf_init(&body, BODY_MAX);
		jw_init(&w, &body);
		jw_value(&w, v);
		r = bridge_ask(b, "PATCH", path, &body, NULL, e);
		buf_free(&body);
		if (r == -1)
			return -1;
	}
	return answer_box(b, json_str(args, "id", ""), e);
}

/* An entry as the control socket has it: its time in milliseconds. */
static void
write_entry(struct jw *w, const struct json *ev)
{
	jw_object(w);
	json_foreach (m, ev) {
		if (strcmp(m->key, "at") == 0 && m->type == JSON_STRING)
			jw_kint(w, "at", time_ms(m->str));
		else
			jw_kvalue(w, m->key, m);
	}
	jw_object_end(w);
}

static int
recent_events(struct bridge *b, const char *id, const char *path, struct err *e)
{
	struct json *j;
	struct jw *w;

	if (bridge_ask(b, "GET", path, NULL, &j, e) == -1)
		return -1;
	w = bridge_begin(b, "ok");
	jw_object(w);
	jw_kstr(w, "id", id);
	jw_key(w, "events");
	jw_array(w);
	json_foreach (ev, json_get(j, "events"))
		write_entry(w, ev);
	jw_array_end(w);
	jw_kint(w, "first", json_int(j, "first", 0));
	jw_kint(w, "last", json_int(j, "last", 0));
	jw_object_end(w);
	bridge_send(b, -1);
	json_free(j);
	return 0;
}

/* In pages; *AFTER and *LEFT (-1: no limit) move along. */
static int
list_entries(struct bridge *b, const char *path, int64_t *after, int64_t *left,
    int64_t *count, struct err *e)
{
	bool more = *left != 0;

	while (more) {
		int64_t page = *left < 0 ? 1000 : MIN(*left, (int64_t)1000);
		autofree char *piece = xasprintf("%s?after=%lld&limit=%lld",
		    path, (long long)*after, (long long)page);
		struct json *j;

		if (bridge_ask(b, "GET", piece, NULL, &j, e) == -1)
			return -1;
		json_foreach (ev, json_get(j, "events")) {
			write_entry(bridge_begin(b, "item"), ev);
			bridge_send(b, -1);
			++*count;
			if (*left > 0)
				--*left;
		}
		*after = json_int(j, "last", *after);
		more = json_bool(j, "more", false) && *left != 0;
		json_free(j);
	}
	return 0;
}

int
bridge_sandbox_events(struct bridge *b, const struct json *args, struct err *e)
{
	autofree char *path = box_path(args, B "/{}/events");
	int64_t after = json_int(args, "after", 0), count = 0;
	int64_t left = json_int(args, "limit", -1);
	bool live = json_bool(args, "follow", false);
	struct jw *w;

	if (!live && json_get(args, "after") == NULL &&
	    json_get(args, "limit") == NULL)
		return recent_events(b, json_str(args, "id", ""), path, e);
	if (list_entries(b, path, &after, &left, &count, e) == -1)
		return -1;
	if (live && left != 0) {
		autofree char *stream =
		    xasprintf("%s?after=%lld", path, (long long)after);

		if (bridge_stream(b, stream, left, e) == -1)
			return -1;
	}
	w = bridge_begin(b, "ok");
	jw_object(w);
	jw_kint(w, "last", after);
	jw_kint(w, "count", count);
	jw_object_end(w);
	bridge_send(b, -1);
	return 0;
}

int
bridge_sandbox_expose(struct bridge *b, const struct json *args, struct err *e)
{
	static const char *const same[] = { "port", "listen", "public" };
	autofree char *path =
	    bridge_path(json_str(args, "id", ""), "/v1/ports", NULL);
	struct json *j = NULL;
	struct buf body;
	struct jw w;
	size_t i;
	int r;

	buf_init(&body, BODY_MAX);
	jw_init(&w, &body);
	jw_object(&w);
	for (i = 0; i < countof(same); i++)
		if (json_get(args, same[i]) != NULL)
			jw_kvalue(&w, same[i], json_get(args, same[i]));
	jw_object_end(&w);
	r = bridge_ask(b, "POST", path, &body, &j, e);
	buf_free(&body);
	if (r == -1)
		return -1;
	bridge_ok(b, j);
	json_free(j);
	return 0;
}

int
bridge_sandbox_unexpose(
    struct bridge *b, const struct json *args, struct err *e)
{
	const char *words[] = { json_get(args, "port")->str };
	autofree char *path =
	    bridge_path(json_str(args, "id", ""), "/v1/ports/{}", words);

	if (bridge_ask(b, "DELETE", path, NULL, NULL, e) == -1)
		return -1;
	bridge_ok_empty(b);
	return 0;
}

/* What can be said of a server from outside. */
int
bridge_status(struct bridge *b, const struct json *args, struct err *e)
{
	const struct target *t = b->http.target;
	struct json *root = NULL;
	struct json *ready = NULL;
	struct err why;
	struct jw *w;

	(void)args;
	if (bridge_ask(b, "GET", "/v1/health", NULL, NULL, e) == -1 ||
	    bridge_ask(b, "GET", "/", NULL, &root, e) == -1)
		return -1;
	w = bridge_begin(b, "ok");
	jw_object(w);
	jw_kstr(w, "endpoint", t->unix_path != NULL ? t->unix_path : t->base);
	jw_kstr(w, "version", json_str(root, "version", "?"));
	if (bridge_ask(b, "GET", "/v1/ready", NULL, &ready, &why) == 0) {
		json_foreach (m, ready)
			jw_kvalue(w, m->key, m);
	} else {
		jw_kstr(w, "status", why.text);
	}
	jw_object_end(w);
	bridge_send(b, -1);
	json_free(root);
	json_free(ready);
	return 0;
}
