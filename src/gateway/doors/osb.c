/*
 * What the doors of OpenSandbox's lifecycle API share: errors, calls and the
 * object that a sandbox is there. Runs in sandboxd-gateway.
 */
#include "gateway/doors/osb.h"
#include "gateway/auth.h"
#include "gateway/call.h"
#include "lib/frame.h"
#include "lib/xalloc.h"

#include <string.h>

/* --- errors -------------------------------------------------------------- */

void
osb_fail(struct req *r, const struct err *e, const char *state_code,
    const char *request_code)
{
	static const struct {
		enum err_code code;
		enum problem problem;
		const char *word;
	} table[] = {
		{ ERR_SANDBOX_NOT_FOUND, PROBLEM_NOT_FOUND,
		    "DOCKER::SANDBOX_NOT_FOUND" },
		{ ERR_SANDBOX_EXISTS, PROBLEM_CONFLICT,
		    "SANDBOX::ALREADY_EXISTS" },
		{ ERR_IMAGE_NOT_FOUND, PROBLEM_INVALID_REQUEST,
		    "IMAGE_NOT_FOUND" },
		{ ERR_MOUNT_REFUSED, PROBLEM_INVALID_REQUEST, "MOUNT_REFUSED" },
		{ ERR_USER_NOT_FOUND, PROBLEM_INVALID_REQUEST,
		    "USER_NOT_FOUND" },
		{ ERR_ISOLATION_UNAVAILABLE, PROBLEM_INVALID_REQUEST,
		    "ISOLATION_UNAVAILABLE" },
		{ ERR_TOO_LARGE, PROBLEM_TOO_LARGE, "TOO_LARGE" },
		{ ERR_LIMIT, PROBLEM_LIMIT, "LIMIT_REACHED" },
		{ ERR_KEY_REUSED, PROBLEM_KEY_REUSED,
		    "IDEMPOTENCY_KEY_REUSED" },
		{ ERR_STORE_UNAVAILABLE, PROBLEM_UNAVAILABLE, "UNAVAILABLE" },
		{ ERR_SHUTTING_DOWN, PROBLEM_UNAVAILABLE, "UNAVAILABLE" },
		{ ERR_TIMEOUT, PROBLEM_TIMEOUT, "TIMEOUT" },
		{ ERR_DISK_FULL, PROBLEM_DISK_FULL, "DISK_FULL" },
	};

	if (e->code == ERR_SANDBOX_STATE) {
		req_problem_code(r, PROBLEM_CONFLICT,
		    state_code != NULL ? state_code
				       : "DOCKER::SANDBOX_NOT_RUNNING",
		    "%s", e->text);
		return;
	}
	if (e->code == ERR_BAD_REQUEST) {
		req_problem_code(r, PROBLEM_INVALID_REQUEST,
		    request_code != NULL ? request_code : "INVALID_REQUEST",
		    "%s", e->text);
		return;
	}
	for (size_t i = 0; i < countof(table); i++) {
		if (table[i].code != e->code)
			continue;
		req_problem_code(
		    r, table[i].problem, table[i].word, "%s", e->text);
		return;
	}
	req_problem_code(
	    r, PROBLEM_INTERNAL, "GENERAL::UNKNOWN_ERROR", "%s", e->text);
}

const char *
osb_sandbox(struct req *r)
{
	const char *id = r->params[0];

	if (!sandbox_id_valid(id)) {
		req_problem_code(r, PROBLEM_NOT_FOUND,
		    "DOCKER::SANDBOX_NOT_FOUND", "no such sandbox");
		return NULL;
	}
	if (!auth_may_sandbox(r, id)) {
		req_problem(r, PROBLEM_PERMISSION_DENIED,
		    "the token is for another sandbox");
		return NULL;
	}
	return id;
}

int
osb_port(const struct req *r, int64_t *port_out, struct err *e)
{
	if (str_to_int(r->params[1], 1, 65535, port_out) == 0)
		return 0;
	return err_set(
	    e, ERR_BAD_REQUEST, "the port must be a number from 1 to 65535");
}

/* --- calls --------------------------------------------------------------- */

struct call {
	struct req *r;
	osb_answer *done;
};

static void
on_called(void *ctx, const struct json *result, const struct err *e)
{
	struct call *c = ctx;

	c->done(c->r, result, e);
	req_release(c->r);
	free(c);
}

void
osb_call(
    struct req *r, const char *op, const struct buf *args, osb_answer *done)
{
	struct call *c;
	struct err e;

	if (args != NULL && args->failed) {
		err_set(&e, ERR_TOO_LARGE, "the request is too long");
		done(r, NULL, &e);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->r = r;
	c->done = done;
	req_hold(r);
	super_call(r->gw, op, args, on_called, c);
}

void
osb_call_id(struct req *r, const char *op, osb_answer *done)
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
	jw_object_end(&w);
	osb_call(r, op, &b, done);
	buf_free(&b);
}

/* --- the object ---------------------------------------------------------- */

static void
write_time(struct jw *w, const char *key, int64_t ms)
{
	char text[TIME_TEXT_MAX];

	osb_time_write(text, ms);
	jw_kstr(w, key, text);
}

static void
write_status(struct jw *w, const struct json *rec)
{
	const char *state = json_str(rec, "state", "error");

	jw_key(w, "status");
	jw_object(w);
	jw_kstr(w, "state", osb_state(state));
	jw_kstr(w, "reason", osb_reason(state));
	jw_kstr(w, "message", json_str(rec, "reason", ""));
	write_time(w, "lastTransitionAt",
	    json_int(rec, "changed_at", json_int(rec, "created_at", 0)));
	jw_object_end(w);
}

/* What we say of it besides, by our own names. */
static void
write_ours(struct jw *w, const struct json *rec)
{
	static const char *const names[] = { "state", "ephemeral", "was_paused",
		"network", "egress", "user", "directory", "hostname",
		"isolation_wanted", "limits", "mounts", "tmpfs", "hosts",
		"service", "service_state", "disk_by", "ooms", "sessions",
		"restarts", "started_at" };

	jw_key(w, "sandboxd");
	jw_object(w);
	for (size_t i = 0; i < countof(names); i++) {
		const struct json *v = json_get(rec, names[i]);

		if (v != NULL)
			jw_kvalue(w, names[i], v);
	}
	jw_object_end(w);
}

void
osb_write(struct jw *w, const struct json *rec, bool image, bool full)
{
	const struct json *entry = json_get(rec, "entrypoint");
	int64_t expires_at_ms = json_int(rec, "expires_at", 0);

	jw_object(w);
	jw_kstr(w, "id", json_str(rec, "id", ""));
	if (image) {
		jw_key(w, "image");
		jw_object(w);
		jw_kstr(w, "uri",
		    json_str(rec, "image_name", json_str(rec, "image", "")));
		jw_object_end(w);
	}
	write_status(w, rec);
	jw_kvalue(w, "metadata", json_get(rec, "labels"));
	jw_key(w, "entrypoint");
	if (entry != NULL) {
		jw_value(w, entry);
	} else {
		jw_array(w);
		jw_array_end(w);
	}
	if (expires_at_ms != 0)
		write_time(w, "expiresAt", expires_at_ms);
	write_time(w, "createdAt", json_int(rec, "created_at", 0));
	if (full)
		write_ours(w, rec);
	jw_object_end(w);
}

void
osb_reply(struct req *r, unsigned status, const struct json *record, bool image)
{
	struct buf b;
	struct jw w;

	buf_init(&b, FRAME_MAX * 2);
	jw_init(&w, &b);
	osb_write(&w, record, image, true);
	req_reply_json(r, status, &b);
}
