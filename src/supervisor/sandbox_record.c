/*
 * What is said of a sandbox: the record that the store keeps, and the one that
 * clients see. Runs in the supervisor.
 */
#include "supervisor/expose.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/service.h"
#include "supervisor/sessions.h"
#include "supervisor/spec.h"
#include "supervisor/storec.h"

#include <string.h>

const char *
sandbox_state_name(enum sandbox_state st)
{
	static const char *const names[SB_N] = {
		[SB_CREATING] = "creating",
		[SB_RUNNING] = "running",
		[SB_PAUSED] = "paused",
		[SB_STOPPING] = "running", /* until it has stopped */
		[SB_STOPPED] = "stopped",
		[SB_ERROR] = "error",
		[SB_DESTROYING] = "destroyed",
	};

	return names[st];
}

/* When it will end, and whether it is one that was paused. */
static void
life_write(const struct sandbox *sb, struct jw *w)
{
	jw_kint(w, "created_at", sb->created_at_ms);
	if (sb->changed_at_ms != 0)
		jw_kint(w, "changed_at", sb->changed_at_ms);
	if (sb->expires_at_ms != 0)
		jw_kint(w, "expires_at", sb->expires_at_ms);
	if (sb->was_paused)
		jw_kbool(w, "was_paused", true);
}

void
sandbox_record_put(struct sandbox *sb, storec_done *done)
{
	sandbox_record_store(sb, done, sb);
}

void
sandbox_record_write(struct sandbox *sb, struct jw *w)
{
	int64_t have = 0;

	for (int m = 0; m < MECH_N; m++)
		have |= sb->have[m] ? BIT(m) : 0;
	jw_object(w);
	jw_kstr(w, "id", sb->id);
	jw_kstr(w, "state", sandbox_state_name(sb->state));
	jw_kbool(w, "want", sb->want);
	jw_kint(w, "slot", sb->slot);
	sandbox_ids_store(sb, w);
	jw_kint(w, "have", have);
	jw_kstr(w, "reason", sb->reason);
	jw_kstr(w, "owner", sb->owner);
	/* A record is merged into the one before: what is over must be said. */
	if (sb->expires_at_ms == 0)
		jw_knull(w, "expires_at");
	if (!sb->was_paused)
		jw_knull(w, "was_paused");
	life_write(sb, w);
	spec_write(&sb->spec, w);
	spec_write_key(&sb->spec, w);
	if (sb->disk != NULL)
		jw_kstr(w, "disk_by", disk_by_name(sandbox_disk_by(sb)));
	if (sb->ooms > 0)
		jw_kint(w, "ooms", sb->ooms);
	jw_key(w, "ports");
	exposed_write(sb, w);
	jw_object_end(w);
}

void
sandbox_record_store(struct sandbox *sb, sandbox_done *done, void *ctx)
{
	struct buf b;
	struct jw w;

	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	sandbox_record_write(sb, &w);
	sb->put = true;
	storec_put(sb->s->store, "sandboxes", sb->id, &b, done, ctx);
	sandbox_history_put(sb);
	buf_free(&b);
}

void
sandbox_write_usage(struct sandbox *sb, struct jw *w)
{
	struct cgroup_stats st = { -1, -1, -1, -1, -1, -1, -1 };
	struct disk_use use;

	if (sb->cgroup == NULL && sb->disk == NULL)
		return;
	if (sb->cgroup != NULL)
		cgroup_stats(sb->cgroup, &st);
	jw_key(w, "usage");
	jw_object(w);
	if (sandbox_disk_use(sb, &use) == 0) {
		jw_kint(w, "disk_used", use.bytes);
		jw_kint(w, "disk_free", use.bytes_free);
		jw_kint(w, "inodes_used", use.inodes);
		jw_kint(w, "inodes_free", use.inodes_free);
	}
	if (st.memory_bytes >= 0)
		jw_kint(w, "memory", st.memory_bytes);
	if (st.memory_peak_bytes >= 0)
		jw_kint(w, "memory_peak", st.memory_peak_bytes);
	if (st.oom_kills >= 0)
		jw_kint(w, "oom_kills", st.oom_kills);
	if (st.cpu_usec >= 0)
		jw_kint(w, "cpu_usec", st.cpu_usec);
	if (st.pids >= 0)
		jw_kint(w, "pids", st.pids);
	if (st.io_read_bytes >= 0)
		jw_kint(w, "io_read", st.io_read_bytes);
	if (st.io_written_bytes >= 0)
		jw_kint(w, "io_written", st.io_written_bytes);
	jw_object_end(w);
}

void
sandbox_write(struct sandbox *sb, struct jw *w, bool with_usage)
{
	struct super *s = sb->s;
	bool up = sb->state == SB_RUNNING || sb->state == SB_PAUSED ||
		  sb->state == SB_STOPPING;

	jw_object(w);
	jw_kstr(w, "id", sb->id);
	jw_kstr(w, "state", sandbox_state_name(sb->state));
	if (sb->reason[0] != '\0')
		jw_kstr(w, "reason", sb->reason);
	life_write(sb, w);
	if (up) {
		jw_kint(w, "started_at", sb->started_at_ms);
		jw_kint(w, "pid", sb->proc.pid);
	}
	jw_kint(w, "restarts", sb->proc.restarts);
	spec_write(&sb->spec, w);
	service_write(sb, w);
	if (sb->disk != NULL)
		jw_kstr(w, "disk_by", disk_by_name(sandbox_disk_by(sb)));
	if (sb->ooms > 0)
		jw_kint(w, "ooms", sb->ooms);
	if (!LIST_EMPTY(&sb->exposed)) {
		jw_key(w, "ports");
		exposed_write(sb, w);
	}
	if (up) {
		jw_key(w, "isolation");
		jw_object(w);
		for (int m = 0; m < MECH_N; m++)
			jw_kbool(
			    w, mechanism_name((enum mechanism)m), sb->have[m]);
		jw_object_end(w);
		jw_key(w, "isolation_missing");
		jw_object(w);
		for (int m = 0; m < MECH_N; m++) {
			if (sb->have[m])
				continue;
			jw_kstr(w, mechanism_name((enum mechanism)m),
			    m == MECH_NET && s->host.have[m]
				? "network host was asked for"
				: s->host.why_not[m]);
		}
		jw_object_end(w);
		sandbox_ids_write(sb, w);
		if (with_usage)
			sandbox_write_usage(sb, w);
	}
	sessions_write_ids(sb, w);
	jw_object_end(w);
}

void
sandbox_write_brief(struct sandbox *sb, struct jw *w)
{
	jw_object(w);
	jw_kstr(w, "id", sb->id);
	jw_kstr(w, "state", sandbox_state_name(sb->state));
	if (sb->reason[0] != '\0')
		jw_kstr(w, "reason", sb->reason);
	life_write(sb, w);
	spec_write_brief(&sb->spec, w);
	jw_object_end(w);
}
