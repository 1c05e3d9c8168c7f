/*
 * Sandboxes over an exec of ourselves (carry.h): their record as the store has
 * it, and what lives. Runs in the supervisor.
 */
#include "lib/xalloc.h"
#include "supervisor/carry_parts.h"
#include "supervisor/egress.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/service.h"

#include <stdio.h>
#include <string.h>

static void
one_put(struct sandbox *sb, struct carry *c)
{
	struct jw *w = &c->w;

	jw_object(w);
	jw_key(w, "record");
	sandbox_record_write(sb, w);
	jw_kint(w, "state", sb->state);
	jw_kbool(w, "frozen", sb->frozen);
	jw_kbool(w, "adopting", sb->adopting);
	jw_kint(w, "started_at_ms", sb->started_at_ms);
	jw_key(w, "have");
	jw_array(w);
	for (int m = 0; m < MECH_N; m++)
		jw_int(w, sb->have[m]);
	jw_array_end(w);
	jw_kint(w, "oom_kills_seen", sb->seen.oom_kills);
	jw_kint(w, "pids_refused_seen", sb->seen.pids_refused);
	jw_kbool(w, "disk_full", sb->seen.disk_full);
	jw_kbool(w, "inodes_full", sb->seen.inodes_full);
	jw_kint(w, "used_ms", sb->used_ms);
	if (sb->cgroup != NULL)
		jw_kstr(w, "group", cgroup_name(sb->cgroup));
	service_put(sb, w);
	carry_put_fd(c, "proxy", sb->proxy_fd);
	proc_put(&sb->proc, c, "proc");
	execs_put(sb, c);
	jw_object_end(w);
}

void
sandboxes_put(struct super *s, struct carry *c)
{
	struct sandbox *sb;

	jw_key(&c->w, "list");
	jw_array(&c->w);
	LIST_FOREACH (sb, &s->sandboxes, link) {
		one_put(sb, c);
	}
	jw_array_end(&c->w);
}

void
sandbox_time_limit_set(struct sandbox *sb)
{
	int64_t left_ms;

	if (sb->spec.time_ms <= 0)
		return;
	left_ms = sb->started_at_ms + sb->spec.time_ms - now_realtime_ms();
	left_ms = MIN(MAX(left_ms, 1), sb->spec.time_ms);
	ev_timer_stop(sb->s->loop, &sb->time_limit);
	ev_timer_set(&sb->time_limit, (double)left_ms / 1000.0, 0.);
	ev_timer_start(sb->s->loop, &sb->time_limit);
}

static int
one_take(struct super *s, const struct json *j, struct err *e)
{
	int64_t state = json_int(j, "state", -1);
	struct sandbox *sb = sandbox_from_record(s, json_get(j, "record"));
	int m = 0;

	if (sb == NULL || state < 0 || state >= SB_N)
		return err_set(
		    e, ERR_BAD_REQUEST, "a record is not understood");
	sb->state = (enum sandbox_state)state;
	sb->frozen = json_bool(j, "frozen", false);
	sb->adopting = json_bool(j, "adopting", false);
	sb->started_at_ms = json_int(j, "started_at_ms", 0);
	json_foreach (it, json_get(j, "have")) {
		int64_t v = 0;

		if (m < MECH_N && json_number_int(it, &v) == 0)
			sb->have[m++] = v != 0;
	}
	if (proc_take(&sb->proc, json_get(j, "proc"), e) == -1)
		return -1;
	if (s->cgroups != NULL && json_get(j, "group") != NULL)
		sb->cgroup =
		    cgroup_reopen(s->cgroups, json_str(j, "group", sb->id));
	service_carried(sb, json_get(j, "service"));
	egress_take_socket(sb, carry_take_fd(j, "proxy"));
	sandbox_expiry_set(sb, sb->expires_at_ms);
	if (sb->state == SB_RUNNING || sb->state == SB_PAUSED) {
		sandbox_time_limit_set(sb);
		sandbox_watch_begin(sb);
		sandbox_idle_begin(sb);
		sb->used_ms = json_int(j, "used_ms", sb->used_ms);
		sb->seen = (struct sandbox_seen){
			.oom_kills = json_int(j, "oom_kills_seen", 0),
			.pids_refused = json_int(j, "pids_refused_seen", 0),
			.disk_full = json_bool(j, "disk_full", false),
			.inodes_full = json_bool(j, "inodes_full", false),
		};
	}
	return execs_take(sb, json_get(j, "execs"), e);
}

int
sandboxes_take(struct super *s, const struct json *j, struct err *e)
{
	const struct json *list = json_get(j, "list");
	size_t n = list != NULL ? list->len : 0, i = 0;
	autofree const struct json **v = xcalloc(n + 1, sizeof(*v));

	/* The list is in order of age: each goes to its head. */
	json_foreach (it, list)
		v[i++] = it;
	while (i > 0) {
		if (one_take(s, v[--i], e) == -1)
			return -1;
	}
	return 0;
}

const char *
sandboxes_busy(struct super *s)
{
	static char text[192];
	struct sandbox *sb;
	const char *why;

	LIST_FOREACH (sb, &s->sandboxes, link) {
		why = proc_busy(&sb->proc);
		if (why != NULL)
			return why;
		if (sb->state == SB_CREATING || sb->state == SB_STOPPING ||
		    sb->state == SB_DESTROYING || sb->puts > 0 ||
		    sandbox_disk_busy(sb) || ev_is_active(&sb->freeze_timer) ||
		    !TAILQ_EMPTY(&sb->start_waiters) ||
		    !TAILQ_EMPTY(&sb->stop_waiters) ||
		    !TAILQ_EMPTY(&sb->pause_waiters)) {
			(void)snprintf(text, sizeof(text),
			    "sandbox %s is being %s", sb->id,
			    sb->state == SB_STOPPING	 ? "stopped"
			    : sb->state == SB_DESTROYING ? "destroyed"
			    : sb->state == SB_PAUSED	 ? "paused"
							 : "started");
			return text;
		}
	}
	return NULL;
}
