/*
 * What sandboxes run into: their limits of memory, processes and disk. Runs in
 * the supervisor: one slow timer looks at a few counters of the kernel, and
 * only of sandboxes that have such a limit. At most every POLL_S is an event
 * written of each kind, so that a sandbox that beats its head against a limit
 * fills nobody's log.
 *
 * Memory: the kernel ends a process of the sandbox (the largest, and ours last
 * of all, see enter.c); the others go on, and so does the sandbox.
 */
#include "supervisor/sandbox_priv.h"

#include "lib/strutil.h"
#include "sandbox/disk.h"

#include <stdio.h>

#define POLL_S 1.
/* Less free than this is said; then not again until twice as much is. */
#define FULL_PERCENT 1

void
sandbox_limit_met(struct sandbox *sb, const char *which)
{
	sandbox_event_with(sb, SH_LIMIT, NULL,
	    (const struct log_field[]){ LOG_STR("limit", which) }, 1);
}

static void
look_at_memory(struct sandbox *sb)
{
	int64_t n = cgroup_oom_kills(sb->cgroup);
	int64_t count = n - sb->seen.oom_kills;
	char text[96];

	if (count <= 0)
		return;
	(void)snprintf(text, sizeof(text),
	    "killed %lld: the limit of %lld bytes of memory was met",
	    (long long)count, (long long)sb->spec.limits.memory_bytes);
	sb->ooms += count;
	sb->seen.oom_kills = n;
	sandbox_event_with(sb, SH_OOM, text,
	    (const struct log_field[]){ LOG_INT("count", count) }, 1);
}

static void
look_at_pids(struct sandbox *sb)
{
	int64_t n = cgroup_pids_refused(sb->cgroup);

	if (n <= sb->seen.pids_refused)
		return;
	sb->seen.pids_refused = n;
	sandbox_limit_met(sb, "pids");
}

static bool
is_below(int64_t have, int64_t used, int percent)
{
	return have < (have + used) / 100 * percent + 1;
}

static void
look_at_disk(struct sandbox *sb)
{
	struct disk_use use;
	bool bytes, inodes;

	if (sandbox_disk_use(sb, &use) == -1)
		return;
	bytes = is_below(use.bytes_free, use.bytes,
	    FULL_PERCENT * (sb->seen.disk_full ? 2 : 1));
	inodes = is_below(use.inodes_free, use.inodes,
	    FULL_PERCENT * (sb->seen.inodes_full ? 2 : 1));
	if (bytes && !sb->seen.disk_full)
		sandbox_limit_met(sb, "disk");
	if (inodes && !sb->seen.inodes_full)
		sandbox_limit_met(sb, "inodes");
	sb->seen.disk_full = bytes;
	sb->seen.inodes_full = inodes;
}

void
sandbox_watch_look(struct sandbox *sb)
{
	if (sb->cgroup != NULL && sb->spec.limits.memory_bytes > 0)
		look_at_memory(sb);
	if (sb->cgroup != NULL && sb->spec.limits.pids > 0)
		look_at_pids(sb);
	if (sb->disk != NULL)
		look_at_disk(sb);
}

static void
on_watch(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct super *s = t->data;
	struct sandbox *sb;
	bool any = false;

	LIST_FOREACH (sb, &s->sandboxes, link) {
		if (sb->state != SB_RUNNING && sb->state != SB_STOPPING)
			continue;
		any = true;
		sandbox_watch_look(sb);
	}
	if (!any)
		ev_timer_stop(s->loop, &s->watch_timer);
}

void
sandbox_watch_begin(struct sandbox *sb)
{
	struct super *s = sb->s;

	/* Its group is a new one. */
	sb->seen = (struct sandbox_seen){ 0 };
	if (ev_is_active(&s->watch_timer))
		return;
	ev_timer_init(&s->watch_timer, on_watch, POLL_S, POLL_S);
	s->watch_timer.data = s;
	ev_timer_start(s->loop, &s->watch_timer);
}

void
sandbox_watch_stop(struct super *s)
{
	ev_timer_stop(s->loop, &s->watch_timer);
}
