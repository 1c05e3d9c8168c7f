/*
 * sandbox.stats: what sandboxes use at this moment, as their control groups
 * tell it. Runs in the supervisor; the kernel's own files are all that is read.
 * A figure that this host cannot give is left out, which is not zero.
 */
#include "sandbox/cgroup_pressure.h"
#include "supervisor/ops.h"
#include "supervisor/sandboxes.h"

static void
line_write(struct jw *w, const char *name, const struct cgroup_stall *st)
{
	if (st->total_usec < 0)
		return;
	jw_key(w, name);
	jw_object(w);
	jw_key(w, "avg10");
	jw_double(w, st->avg10);
	jw_key(w, "avg60");
	jw_double(w, st->avg60);
	jw_kint(w, "total_usec", st->total_usec);
	jw_object_end(w);
}

static void
pressure_write(const struct sandbox *sb, struct jw *w)
{
	struct cgroup_pressure p;

	if (sb->cgroup == NULL)
		return;
	cgroup_pressure(sb->cgroup, &p);
	jw_key(w, "pressure");
	jw_object(w);
	for (int i = 0; i < PRESSURE_N; i++) {
		if (p.some[i].total_usec < 0 && p.full[i].total_usec < 0)
			continue;
		jw_key(w, cgroup_pressure_name((enum pressure)i));
		jw_object(w);
		line_write(w, "some", &p.some[i]);
		line_write(w, "full", &p.full[i]);
		jw_object_end(w);
	}
	jw_object_end(w);
}

static void
limits_write(const struct sandbox *sb, struct jw *w)
{
	const struct plan_limits *l = &sb->spec.limits;

	jw_key(w, "limits");
	jw_object(w);
	if (l->memory_bytes > 0)
		jw_kint(w, "memory", l->memory_bytes);
	if (l->pids > 0)
		jw_kint(w, "pids", l->pids);
	if (l->cpu_millis > 0) {
		jw_key(w, "cpu");
		jw_double(w, (double)l->cpu_millis / 1000.0);
	}
	jw_object_end(w);
}

static void
stats_write(struct sandbox *sb, struct jw *w)
{
	bool up = sb->state == SB_RUNNING || sb->state == SB_PAUSED;

	jw_object(w);
	jw_kstr(w, "id", sb->id);
	jw_kstr(w, "state", sandbox_state_name(sb->state));
	jw_kint(w, "at", now_realtime_ms());
	if (up) {
		jw_kint(w, "started_at", sb->started_at_ms);
		sandbox_write_usage(sb, w);
		pressure_write(sb, w);
	}
	limits_write(sb, w);
	jw_object_end(w);
}

void
op_sandbox_stats(struct request *r)
{
	struct sandbox *sb = NULL;
	struct jw *w;

	if (json_get(r->op.args, "id") != NULL) {
		sb = op_sandbox(r);
		if (sb == NULL)
			return;
	}
	w = request_ok(r);
	jw_object(w);
	jw_key(w, "sandboxes");
	jw_array(w);
	if (sb != NULL) {
		stats_write(sb, w);
	} else {
		LIST_FOREACH (sb, &r->s->sandboxes, link) {
			if (sb->born && sb->state != SB_DESTROYING)
				stats_write(sb, w);
		}
	}
	jw_array_end(w);
	jw_object_end(w);
	request_end_ok(r);
}
