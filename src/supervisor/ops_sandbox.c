/*
 * The sandbox operations, but for exec. Runs in the supervisor.
 */
#include "lib/xalloc.h"
#include "supervisor/ops.h"
#include "supervisor/sandboxes.h"
#include "supervisor/spec.h"

#include <string.h>

static void
answer_record(struct request *r, struct sandbox *sb)
{
	sandbox_write(sb, request_ok(r), true);
	request_end_ok(r);
}

/* R->work holds the sandbox: it lives at least until its waiters are told. */
static void
on_running(void *ctx, const struct err *e)
{
	struct request *r = ctx;

	if (e != NULL)
		request_end_err(r, e);
	else
		answer_record(r, r->work);
}

/* Was this asked already? True: R is answered, or will be. */
static bool
repeated(struct request *r)
{
	const char *key = json_str(r->op.args, "idempotency_key", NULL);
	const char *hash = json_str(r->op.args, "request_hash", "");
	const char *known;
	struct sandbox *sb;
	struct err e;

	if (key == NULL)
		return false;
	LIST_FOREACH (sb, &r->s->sandboxes, link) {
		if (sb->state != SB_DESTROYING &&
		    sb->spec.idempotency_key != NULL &&
		    strcmp(sb->spec.idempotency_key, key) == 0)
			break;
	}
	if (sb == NULL)
		return false;
	known = sb->spec.request_hash;
	if (strcmp(known != NULL ? known : "", hash) != 0) {
		err_set(&e, ERR_KEY_REUSED,
		    "the key was used for another request, for sandbox %s",
		    sb->id);
		request_end_err(r, &e);
		return true;
	}
	r->work = sb;
	if (sb->born)
		answer_record(r, sb);
	else
		sandbox_ensure(sb, on_running, r);
	return true;
}

/* The former sandbox of this id is gone. */
static void
on_id_free(void *ctx, const struct err *e ATTR_UNUSED)
{
	struct request *r = ctx;
	struct err stopping;

	if (!r->s->stopping) {
		op_sandbox_create(r);
		return;
	}
	err_set(&stopping, ERR_SHUTTING_DOWN, "the supervisor is stopping");
	request_end_err(r, &stopping);
}

void
op_sandbox_create(struct request *r)
{
	const char *id = json_str(r->op.args, "id", "");
	struct sandbox *sb;
	struct err e;

	if (sandbox_when_gone(r->s, id, on_id_free, r) || repeated(r))
		return;
	if (sandbox_create(r->s, r->op.args, &sb, &e) == -1) {
		request_end_err(r, &e);
		return;
	}
	r->work = sb;
	sandbox_ensure(sb, on_running, r);
}

void
op_sandbox_start(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);

	if (sb == NULL)
		return;
	r->work = sb;
	sandbox_ensure(sb, on_running, r);
}

static void
answer_state(struct request *r, const char *id, const char *state)
{
	struct jw *w = request_ok(r);

	jw_object(w);
	jw_kstr(w, "id", id);
	jw_kstr(w, "state", state);
	jw_object_end(w);
	request_end_ok(r);
}

static void
on_stopped(void *ctx, const struct err *e)
{
	struct request *r = ctx;

	const char *id = json_str(r->op.args, "id", "");

	if (e != NULL)
		request_end_err(r, e);
	else /* an ephemeral one is gone by now */
		answer_state(r, id,
		    sandbox_find(r->s, id) != NULL ? "stopped" : "destroyed");
}

void
op_sandbox_stop(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);

	if (sb == NULL)
		return;
	sandbox_stop(sb,
	    json_int(r->op.args, "grace_ms", r->s->conf.stop_grace_ms),
	    "stopped on request", on_stopped, r);
}

static void
on_destroyed(void *ctx, const struct err *e)
{
	struct request *r = ctx;

	if (e != NULL)
		request_end_err(r, e);
	else
		answer_state(r, json_str(r->op.args, "id", ""), "destroyed");
}

void
op_sandbox_destroy(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);

	if (sb != NULL)
		sandbox_destroy(sb, on_destroyed, r);
}

void
op_sandbox_get(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);

	if (sb != NULL)
		answer_record(r, sb);
}

static bool
has_word(const struct json *list, const char *word)
{
	json_foreach (it, list) {
		if (strcmp(it->str, word) == 0)
			return true;
	}
	return false;
}

static bool
matches(const struct sandbox *sb, const struct json *args)
{
	const char *state = json_str(args, "state", NULL);
	const struct json *states = json_get(args, "states");
	const char *name = sandbox_state_name(sb->state);

	if (sb->state == SB_DESTROYING ||
	    (!sb->born && sb->state != SB_CREATING) ||
	    (state != NULL && strcmp(state, name) != 0) ||
	    (states != NULL && !has_word(states, name)))
		return false;
	json_foreach (it, json_get(args, "labels")) {
		const char *v = strmap_get(sb->spec.labels, it->key);

		if (v == NULL || strcmp(v, it->str) != 0)
			return false;
	}
	return true;
}

static int
newest_first(const void *a, const void *b)
{
	const struct sandbox *x = *(struct sandbox *const *)a;
	const struct sandbox *y = *(struct sandbox *const *)b;

	if (x->created_at_ms != y->created_at_ms)
		return x->created_at_ms > y->created_at_ms ? -1 : 1;
	return strcmp(x->id, y->id);
}

void
op_sandbox_list(struct request *r)
{
	const struct json *args = r->op.args;
	size_t offset = (size_t)json_int(args, "offset", 0);
	size_t limit = (size_t)json_int(args, "limit", INT32_MAX);
	bool brief = json_bool(args, "brief", false);
	autofree struct sandbox **all =
	    xcalloc(r->s->nsandboxes + 1, sizeof(*all));
	struct jw *w = request_ok(r);
	struct sandbox *sb;
	size_t n = 0;

	LIST_FOREACH (sb, &r->s->sandboxes, link) {
		if (matches(sb, args))
			all[n++] = sb;
	}
	qsort(all, n, sizeof(*all), newest_first);
	jw_object(w);
	jw_key(w, "sandboxes");
	jw_array(w);
	for (size_t i = offset; i < n && i - offset < limit; i++) {
		if (brief)
			sandbox_write_brief(all[i], w);
		else
			sandbox_write(all[i], w, false);
	}
	jw_array_end(w);
	jw_kint(w, "total", (int64_t)n);
	jw_object_end(w);
	request_end_ok(r);
}
