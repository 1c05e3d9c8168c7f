/*
 * The sandbox operations, but for exec. Runs in the supervisor.
 */
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

void
op_sandbox_create(struct request *r)
{
	struct sandbox *sb;
	struct err e;

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

	if (e != NULL)
		request_end_err(r, e);
	else
		answer_state(r, json_str(r->op.args, "id", ""), "stopped");
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
matches(const struct sandbox *sb, const struct json *args)
{
	const char *state = json_str(args, "state", NULL);

	if (sb->state == SB_DESTROYING ||
	    (!sb->born && sb->state != SB_CREATING) ||
	    (state != NULL &&
		strcmp(state, sandbox_state_name(sb->state)) != 0))
		return false;
	json_foreach (it, json_get(args, "labels")) {
		const char *v = strmap_get(sb->spec.labels, it->key);

		if (v == NULL || strcmp(v, it->str) != 0)
			return false;
	}
	return true;
}

void
op_sandbox_list(struct request *r)
{
	struct jw *w = request_ok(r);
	struct sandbox *sb;

	jw_object(w);
	jw_key(w, "sandboxes");
	jw_array(w);
	LIST_FOREACH (sb, &r->s->sandboxes, link) {
		if (matches(sb, r->op.args))
			sandbox_write(sb, w, false);
	}
	jw_array_end(w);
	jw_object_end(w);
	request_end_ok(r);
}
