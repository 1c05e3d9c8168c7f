/*
 * Operations on a sandbox that is there: pause, resume, another end, other
 * labels and limits; and what became of it. Runs in the supervisor.
 */
#include "lib/xalloc.h"
#include "supervisor/egress.h"
#include "supervisor/ops.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/spec.h"

#include <string.h>

/* R->work holds the sandbox: callbacks of it and of its record come before it
 * is freed. */
static void
on_done(void *ctx, const struct err *e)
{
	struct request *r = ctx;

	if (e != NULL) {
		request_end_err(r, e);
		return;
	}
	sandbox_write(r->work, request_ok(r), true);
	request_end_ok(r);
}

void
op_sandbox_pause(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);

	if (sb == NULL)
		return;
	r->work = sb;
	sandbox_pause(sb, on_done, r);
}

void
op_sandbox_resume(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);

	if (sb == NULL)
		return;
	r->work = sb;
	sandbox_resume(sb, on_done, r);
}

/* --- another end --------------------------------------------------------- */

static int
renewed(const struct sandbox *sb, const struct json *args, int64_t *at_ms_out,
    struct err *e)
{
	const struct json *at = json_get(args, "expires_at");
	const struct json *timeout = json_get(args, "timeout");

	if ((at == NULL) == (timeout == NULL))
		return err_set(e, ERR_BAD_REQUEST,
		    "one of expires_at and timeout must be given");
	if (sb->expires_at_ms == 0)
		return err_set(
		    e, ERR_SANDBOX_STATE, "sandbox never expires: %s", sb->id);
	if (timeout != NULL &&
	    sandbox_timeout_parse(timeout, at_ms_out, e) == -1)
		return -1;
	if (at != NULL)
		*at_ms_out = json_int(args, "expires_at", 0);
	if (*at_ms_out <= now_realtime_ms())
		return err_set(e, ERR_BAD_REQUEST, "%s: must lie in the future",
		    at != NULL ? "expires_at" : "timeout");
	return 0;
}

void
op_sandbox_renew(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);
	int64_t at_ms = 0;
	struct err e;

	if (sb == NULL)
		return;
	if (renewed(sb, r->op.args, &at_ms, &e) == -1) {
		request_end_err(r, &e);
		return;
	}
	r->work = sb;
	sandbox_expiry_set(sb, at_ms);
	sandbox_record_store(sb, on_done, r);
}

/* Said often, and no reason to wait for the disk. */
void
op_sandbox_touch(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);
	int64_t at_ms;
	struct jw *w;

	if (sb == NULL)
		return;
	sandbox_used(sb);
	at_ms = now_realtime_ms() + sb->spec.renew_ms;
	if (!json_bool(r->op.args, "idle_only", false) &&
	    sb->spec.renew_ms > 0 && sb->expires_at_ms != 0 &&
	    at_ms > sb->expires_at_ms) {
		sandbox_expiry_set(sb, at_ms);
		sandbox_record_store(sb, NULL, NULL);
	}
	w = request_ok(r);
	jw_object(w);
	jw_kstr(w, "id", sb->id);
	if (sb->expires_at_ms != 0)
		jw_kint(w, "expires_at", sb->expires_at_ms);
	jw_object_end(w);
	request_end_ok(r);
}

/* --- other labels and limits --------------------------------------------- */

/* LABELS with PATCH put over them: texts are set, null removes. */
static int
labels_patch(char *const *labels, const struct json *patch, char ***labels_out,
    struct err *e)
{
	size_t have = 0, n = 0;
	char **v;

	json_foreach (it, patch) {
		if (it->type != JSON_NULL &&
		    (it->type != JSON_STRING || strlen(it->str) != it->len))
			return err_set(e, ERR_BAD_REQUEST,
			    "labels: '%.64s' must be text, or null to remove "
			    "it",
			    it->key);
	}
	while (labels != NULL && labels[have] != NULL)
		have++;
	v = xcalloc(have + (patch != NULL ? patch->len : 0) + 1, sizeof(*v));
	for (size_t i = 0; i < have; i++) {
		autofree char *key =
		    xstrndup(labels[i], strcspn(labels[i], "="));

		if (json_get(patch, key) == NULL)
			v[n++] = xstrdup(labels[i]);
	}
	json_foreach (it, patch) {
		if (it->type == JSON_STRING)
			v[n++] = xasprintf("%s=%s", it->key, it->str);
	}
	if (n > LABELS_MAX) {
		strv_free(v);
		return err_set(
		    e, ERR_BAD_REQUEST, "labels: more than %d", LABELS_MAX);
	}
	*labels_out = v;
	return 0;
}

/* A file system has its size from the beginning; a quota is a number, which
 * the next start sets. */
static int
disk_update_check(
    struct sandbox *sb, const struct plan_limits *next, struct err *e)
{
	const struct plan_limits *now = &sb->spec.limits;

	if (now->disk_bytes == next->disk_bytes && now->inodes == next->inodes)
		return 0;
	if (now->disk_bytes == 0 || next->disk_bytes == 0)
		return err_set(e, ERR_SANDBOX_STATE,
		    "limits.disk: a sandbox has one from its creation, or "
		    "never: %s",
		    sb->id);
	if (sandbox_disk_by(sb) == DISK_BY_IMAGE)
		return err_set(e, ERR_SANDBOX_STATE,
		    "limits: disk and inodes of an image cannot be changed: %s",
		    sb->id);
	return sandbox_disk_change(sb, next, e);
}

/* The same sandbox with other limits; those of a running one are changed at
 * once, or not at all. */
static int
limits_update(struct sandbox *sb, const struct json *limits, struct err *e)
{
	struct sandbox_spec next = sb->spec; /* a copy of the numbers only */
	bool up = sb->state == SB_RUNNING || sb->state == SB_PAUSED;

	if (limits == NULL)
		return 0;
	if (sb->state != SB_STOPPED && !up)
		return err_set(e, ERR_SANDBOX_STATE, "sandbox is %s: %s",
		    sandbox_state_name(sb->state), sb->id);
	if (spec_parse_limits(limits, &next, e) == -1)
		return -1;
	if (disk_update_check(sb, &next.limits, e) == -1)
		return -1;
	if (up && (next.limits.open_files != sb->spec.limits.open_files ||
		      next.time_ms != sb->spec.time_ms))
		return err_set(e, ERR_SANDBOX_STATE,
		    "limits: open_files and time can be changed only while it "
		    "is stopped: %s",
		    sb->id);
	if (up && next.limits.io_weight != sb->spec.limits.io_weight)
		return err_set(e, ERR_SANDBOX_STATE,
		    "limits: io_weight can be changed only while it is "
		    "stopped: %s",
		    sb->id);
	if (!up && sandbox_weights_check(sb->s, &next.limits, e) == -1)
		return -1;
	if (up && sb->cgroup == NULL)
		return err_set(e, ERR_ISOLATION_UNAVAILABLE,
		    "limits need control groups: %s", sb->s->cgroups_why.text);
	if (up && cgroup_limits_change(
		      sb->cgroup, &sb->spec.limits, &next.limits, e) == -1)
		return err_prefix(e, "sandbox %s", sb->id);
	sb->spec.limits = next.limits;
	sb->spec.time_ms = next.time_ms;
	sb->spec.idle_ms = next.idle_ms;
	if (sb->state == SB_RUNNING)
		sandbox_idle_begin(sb);
	return 0;
}

static int
update(struct sandbox *sb, const struct json *args, struct err *e)
{
	const struct json *patch = json_get(args, "labels");
	const struct json *timeout = json_get(args, "timeout");
	const struct json *egress = json_get(args, "egress");
	int64_t at_ms = sb->expires_at_ms;
	char **labels = NULL, **old = sb->spec.labels;
	struct netpolicy was = sb->spec.egress;

	if (timeout != NULL && sandbox_timeout_parse(timeout, &at_ms, e) == -1)
		return -1;
	if (spec_check_labels(patch, e) == -1 ||
	    labels_patch(old, patch, &labels, e) == -1)
		return -1;
	sb->spec.labels = labels;
	if (egress != NULL)
		memset(&sb->spec.egress, 0, sizeof(sb->spec.egress));
	if (spec_parse_egress(egress, &sb->spec, e) == -1 ||
	    spec_check_size(&sb->spec, e) == -1 ||
	    limits_update(sb, json_get(args, "limits"), e) == -1) {
		sb->spec.labels = old;
		strv_free(labels);
		if (egress != NULL)
			netpolicy_free(&sb->spec.egress);
		sb->spec.egress = was;
		return -1;
	}
	strv_free(old);
	if (egress != NULL) {
		netpolicy_free(&was);
		egress_rules(sb);
	}
	if (timeout != NULL)
		sandbox_expiry_set(sb, at_ms);
	return 0;
}

void
op_sandbox_update(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);
	struct err e;

	if (sb == NULL)
		return;
	if (update(sb, r->op.args, &e) == -1) {
		request_end_err(r, &e);
		return;
	}
	r->work = sb;
	sandbox_record_store(sb, on_done, r);
}
