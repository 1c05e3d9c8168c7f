/*
 * /v1/processes: limits, input and terminal sizes. Runs in sandboxd-gateway.
 */
#include "gateway/doors/processes.h"
#include "lib/fdio.h"

#define CALL_MS 30000

static void
ask(struct req *r, enum msg_type type, struct buf *fields, const int *fds,
    size_t nfds, link_done *done)
{
	req_hold(r);
	(void)link_call(r->gw, LINK_INIT, r->sandbox, type, fields, fds, nfds,
	    CALL_MS, done, r);
	buf_free(fields);
}

/*
 * Limits
 */

static const char *const limits[] = {
	"maxConcurrentProcesses",
	"defaultRunTimeoutMs",
	"maxRunTimeoutMs",
	"maxOutputBytes",
	"maxLogBytesPerProcess",
	"maxInputBytesPerRequest",
};

static void
on_config(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	const struct json *config = json_get(ok, "config");
	struct req *r = ctx;
	struct buf b;
	struct jw w;
	size_t i;

	(void)fds;
	(void)nfds;
	if (ok == NULL) {
		process_fail(r, e, "config");
	} else {
		buf_init(&b, 4096);
		jw_init(&w, &b);
		jw_object(&w);
		for (i = 0; i < countof(limits); i++)
			jw_kint(&w, limits[i], json_int(config, limits[i], 0));
		jw_object_end(&w);
		req_reply_json(r, 200, &b);
	}
	req_release(r);
}

void
route_process_config(struct req *r)
{
	struct buf b;

	buf_init(&b, 8);
	(void)buf_adds(&b, "{}");
	ask(r, MSG_PROC_CONFIG, &b, NULL, 0, on_config);
}

void
route_process_config_set(struct req *r)
{
	static const char *const why[] = {
		"maxConcurrentProcesses must be greater than 0",
		"timeouts must be greater than 0",
		"timeouts must be greater than 0",
		"byte limits must be greater than 0",
		"byte limits must be greater than 0",
		"byte limits must be greater than 0",
	};
	struct buf b;
	struct jw w;
	size_t i;

	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_object(&w);
	jw_key(&w, "set");
	jw_object(&w);
	for (i = 0; i < countof(limits); i++) {
		if (json_int(r->json, limits[i], 0) == 0) {
			req_problem(r, PROBLEM_INVALID_REQUEST, "%s", why[i]);
			buf_free(&b);
			return;
		}
		jw_kint(&w, limits[i], json_int(r->json, limits[i], 0));
	}
	jw_object_end(&w);
	jw_object_end(&w);
	ask(r, MSG_PROC_CONFIG, &b, NULL, 0, on_config);
}

/*
 * Input
 */

static void
on_input(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct req *r = ctx;
	struct buf b;

	(void)fds;
	(void)nfds;
	if (ok == NULL) {
		process_fail(r, e, "failed to write input");
	} else {
		buf_init(&b, 64);
		(void)buf_addf(&b, "{\"bytesWritten\":%lld}",
		    (long long)json_int(ok, "bytes", 0));
		req_reply_json(r, 200, &b);
	}
	req_release(r);
}

void
route_process_input(struct req *r)
{
	const struct json *data = json_get(r->json, "data");
	const char *encoding = json_str(r->json, "encoding", NULL);
	char why[INPUT_WHY_MAX];
	struct buf out, b;
	struct err e;
	int64_t id;
	int fd, bad;

	if (data->type != JSON_STRING) {
		req_problem(r, PROBLEM_BAD_BODY, "data: not a string");
		return;
	}
	buf_init(&out, r->body_len);
	if (process_decode(
		&out, data->str, data->len, encoding, "base64", why) == -1) {
		req_problem(r, PROBLEM_INVALID_REQUEST, "%s", why);
		buf_free(&out);
		return;
	}
	bad = fd_sealed("input", out.data, out.len, &fd, &e);
	buf_free(&out);
	if (bad == -1) {
		req_fail(r, &e);
		return;
	}
	/* Before the size is known to fit, an unknown process is no matter. */
	id = process_number(r->params[0]);
	if (id == 0)
		id = INT64_MAX;
	process_fields(&b, id);
	ask(r, MSG_PROC_INPUT, &b, &fd, 1, on_input);
}

/*
 * Size of the terminal
 */

static void
on_resized(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct req *r = ctx;
	struct buf b;

	(void)fds;
	(void)nfds;
	if (ok == NULL) {
		process_fail(r, e, "failed to resize PTY");
	} else {
		buf_init(&b, 64);
		(void)buf_addf(&b, "{\"cols\":%lld,\"rows\":%lld}",
		    (long long)json_int(r->json, "cols", 0),
		    (long long)json_int(r->json, "rows", 0));
		req_reply_json(r, 200, &b);
	}
	req_release(r);
}

void
route_process_resize(struct req *r)
{
	int64_t id = process_id(r);
	struct buf b;

	if (id == 0)
		return;
	buf_init(&b, 128);
	(void)buf_addf(&b, "{\"process\":%lld,\"columns\":%lld,\"rows\":%lld}",
	    (long long)id, (long long)json_int(r->json, "cols", 0),
	    (long long)json_int(r->json, "rows", 0));
	ask(r, MSG_PROC_RESIZE, &b, NULL, 0, on_resized);
}
