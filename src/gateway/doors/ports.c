/*
 * Ports of a sandbox over HTTP: which there are, which are exposed, and
 * requests for what listens on them. Runs in the gateway.
 *
 * What listens is asked of the sandbox's init; what is exposed stands in the
 * sandbox's record, which the supervisor writes.
 */
#include "gateway/auth.h"
#include "gateway/call.h"
#include "gateway/db.h"
#include "gateway/link.h"
#include "gateway/proxy.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>

#define LIST_MS 15000
#define ANSWER_MAX (1u << 20)
#define URL_MAX 512

/* The sandbox's record as a tree, NULL when it has none. */
static struct json *
record_of(struct gateway *gw, const char *sandbox)
{
	struct json *rec = NULL;
	const char *text;
	size_t len;

	if (db_begin(gw->db, NULL) == -1)
		return NULL;
	if (db_record(gw->db, "sandboxes", sandbox, &text, &len) &&
	    json_parse(text, len, JSON_DEPTH_AGENT, &rec, NULL) == -1)
		rec = NULL;
	db_end(gw->db);
	return rec;
}

static const struct json *
exposed_find(const struct json *rec, int64_t port)
{
	json_foreach (it, json_get(rec, "ports"))
		if (json_int(it, "port", 0) == port)
			return it;
	return NULL;
}

static int
port_of(const struct req *r, int64_t *port_out)
{
	return str_to_int(r->params[0], 1, 65535, port_out);
}

bool
proxy_is_public(struct req *r)
{
	struct json *rec;
	int64_t port;
	bool open;

	if (r->nparams < 1 || port_of(r, &port) == -1)
		return false;
	rec = record_of(r->gw, r->sandbox);
	open = json_bool(exposed_find(rec, port), "public", false);
	json_free(rec);
	return open;
}

/* --- the proxy ------------------------------------------------------------ */

static bool
take_port(struct req *r, int64_t *port_out)
{
	if (port_of(r, port_out) == 0)
		return true;
	req_problem(
	    r, PROBLEM_INVALID_REQUEST, "a port is a number from 1 to 65535");
	return false;
}

void
route_port_proxy(struct req *r)
{
	const char *rest = r->params[r->nparams - 1];
	size_t n = strlen(r->path) - strlen(rest);
	autofree char *prefix = xstrndup(r->path, n > 0 ? n - 1 : 0);
	const struct proxy_options opt = { .prefix = prefix };
	int64_t port;

	if (take_port(r, &port))
		proxy_request(r, r->sandbox, port, rest, &opt);
}

/* Relative addresses of a page only work below its own slash. */
void
route_port_slash(struct req *r)
{
	struct buf to;
	int64_t port;

	if (!take_port(r, &port))
		return;
	buf_init(&to, 65536);
	(void)buf_addf(
	    &to, "%s/%s%s", r->path, r->query[0] != '\0' ? "?" : "", r->query);
	if (to.failed) {
		req_problem(r, PROBLEM_INVALID_REQUEST, "the path is too long");
	} else {
		req_add_header(r, "location", to.data);
		req_reply_empty(r, 308);
	}
	buf_free(&to);
}

/* --- the list ------------------------------------------------------------- */

/* The name by which the client has reached us, if it is one. */
static const char *
own_name(const struct req *r)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789.-:[]_";
	const char *host = req_header(r, "Host");

	return host != NULL && *host != '\0' && strlen(host) < 256 &&
		       host[strspn(host, good)] == '\0'
		   ? host
		   : NULL;
}

/* Members of the port P: as it is exposed (X), and how it is reached. */
static void
write_exposed(
    struct jw *w, const struct req *r, int64_t port, const struct json *x)
{
	const char *host = own_name(r);
	char path[URL_MAX], url[URL_MAX];

	jw_kbool(w, "exposed", x != NULL);
	jw_kbool(w, "public", json_bool(x, "public", false));
	if (json_str(x, "listen", NULL) != NULL)
		jw_kstr(w, "listen", json_str(x, "listen", NULL));
	if (str_format(path, sizeof(path), "/i/%s/port/%d/", r->sandbox,
		(int)port) == -1)
		return;
	jw_kstr(w, "path", path);
	if (host != NULL && str_format(url, sizeof(url), "%s://%s%s",
				r->secure ? "https" : "http", host, path) == 0)
		jw_kstr(w, "url", url);
}

static void
write_listening(struct jw *w, const struct req *r, const struct json *p,
    const struct json *rec)
{
	int64_t port = json_int(p, "port", 0);

	jw_object(w);
	jw_kint(w, "port", port);
	jw_kbool(w, "listening", true);
	jw_kvalue(w, "addresses", json_get(p, "addresses"));
	if (json_get(p, "pid") != NULL)
		jw_kvalue(w, "pid", json_get(p, "pid"));
	if (json_get(p, "command") != NULL)
		jw_kvalue(w, "command", json_get(p, "command"));
	write_exposed(w, r, port, exposed_find(rec, port));
	jw_object_end(w);
}

static void
write_silent(struct jw *w, const struct req *r, const struct json *x)
{
	int64_t port = json_int(x, "port", 0);

	jw_object(w);
	jw_kint(w, "port", port);
	jw_kbool(w, "listening", false);
	jw_key(w, "addresses");
	jw_array(w);
	jw_array_end(w);
	write_exposed(w, r, port, x);
	jw_object_end(w);
}

/* What the other side has sent is checked only to be an array. */
static bool
ports_sane(const struct json *list)
{
	int64_t last = 0, port;

	if (list == NULL || list->type != JSON_ARRAY)
		return false;
	json_foreach (it, list) {
		port = json_int(it, "port", 0);
		if (port <= last || port > 65535)
			return false;
		last = port;
	}
	return true;
}

/* The exposed port that comes next after LAST, NULL: none below BEFORE. */
static const struct json *
next_exposed(const struct json *rec, int64_t last, int64_t before)
{
	const struct json *best = NULL;

	json_foreach (it, json_get(rec, "ports")) {
		int64_t port = json_int(it, "port", 0);

		if (port > last && port < before) {
			best = it;
			before = port;
		}
	}
	return best;
}

static void
write_list(struct jw *w, const struct req *r, const struct json *list)
{
	struct json *rec = record_of(r->gw, r->sandbox);
	const struct json *it = list->child, *x;
	int64_t last = 0, port;

	jw_object(w);
	jw_key(w, "ports");
	jw_array(w);
	for (;; it = it->next) {
		port = it != NULL ? json_int(it, "port", 0) : INT64_MAX;
		while ((x = next_exposed(rec, last, port)) != NULL) {
			write_silent(w, r, x);
			last = json_int(x, "port", 0);
		}
		if (it == NULL)
			break;
		write_listening(w, r, it, rec);
		last = port;
	}
	jw_array_end(w);
	jw_object_end(w);
	json_free(rec);
}

static void
on_listed(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	const struct json *list = json_get(ok, "ports");
	struct req *r = ctx;
	struct buf b;
	struct jw w;

	(void)fds;
	(void)nfds;
	if (ok == NULL) {
		req_fail(r, e);
	} else if (!ports_sane(list)) {
		req_problem(
		    r, PROBLEM_STREAM_ERROR, "the sandbox answers nonsense");
	} else {
		buf_init(&b, ANSWER_MAX);
		jw_init(&w, &b);
		write_list(&w, r, list);
		req_reply_json(r, 200, &b);
	}
	req_release(r);
}

void
route_port_list(struct req *r)
{
	req_hold(r);
	(void)link_call(r->gw, LINK_INIT, r->sandbox, MSG_PORT_LIST, NULL, NULL,
	    0, LIST_MS, on_listed, r);
}

/* --- exposing ------------------------------------------------------------- */

static void
on_exposed(void *ctx, const struct json *result, const struct err *e)
{
	struct req *r = ctx;
	struct buf b;
	struct jw w;

	if (result == NULL) {
		req_fail(r, e);
	} else {
		buf_init(&b, 4096);
		jw_init(&w, &b);
		jw_object(&w);
		jw_kint(&w, "port", json_int(result, "port", 0));
		write_exposed(&w, r, json_int(result, "port", 0), result);
		jw_object_end(&w);
		req_reply_json(r, 200, &b);
	}
	req_release(r);
}

static void
expose(struct req *r)
{
	const char *listen = json_str(r->json, "listen", NULL);
	struct buf b;
	struct jw w;

	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", r->sandbox);
	jw_kint(&w, "port", json_int(r->json, "port", 0));
	if (listen != NULL)
		jw_kstr(&w, "listen", listen);
	jw_kbool(&w, "public", json_bool(r->json, "public", false));
	jw_object_end(&w);
	super_call(r->gw, "sandbox.expose", &b, on_exposed, r);
	buf_free(&b);
}

static void
on_there(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct req *r = ctx;

	(void)fds;
	(void)nfds;
	if (ok != NULL) {
		expose(r);
		return;
	}
	req_fail(r, e);
	req_release(r);
}

void
route_port_expose(struct req *r)
{
	struct json *rec;
	bool there;

	/* An address of the host could stand in for a service of it. */
	if (json_str(r->json, "listen", NULL) != NULL &&
	    auth_sandbox(r) != NULL) {
		req_problem(r, PROBLEM_PERMISSION_DENIED,
		    "listen: this needs a token without limits");
		return;
	}
	rec = record_of(r->gw, r->sandbox);
	there = rec != NULL;
	json_free(rec);
	req_hold(r);
	/* The sandbox `default` is made by whoever talks to it first. */
	if (there || strcmp(r->sandbox, "default") != 0)
		expose(r);
	else
		(void)link_call(r->gw, LINK_INIT, r->sandbox, MSG_PORT_LIST,
		    NULL, NULL, 0, LIST_MS, on_there, r);
}

static void
on_unexposed(void *ctx, const struct json *result, const struct err *e)
{
	struct req *r = ctx;

	if (result != NULL)
		req_reply_empty(r, 204);
	else if (e->code == ERR_PORT_CLOSED)
		req_problem(
		    r, PROBLEM_NOT_FOUND, "exposed port %s", r->params[0]);
	else
		req_fail(r, e);
	req_release(r);
}

void
route_port_unexpose(struct req *r)
{
	struct buf b;
	struct jw w;
	int64_t port;

	if (!take_port(r, &port))
		return;
	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", r->sandbox);
	jw_kint(&w, "port", port);
	jw_object_end(&w);
	req_hold(r);
	super_call(r->gw, "sandbox.unexpose", &b, on_unexposed, r);
	buf_free(&b);
}
