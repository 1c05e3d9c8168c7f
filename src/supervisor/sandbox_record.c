/*
 * What is said of a sandbox: the record that the store keeps, and the one that
 * clients see. Runs in the supervisor.
 */
#include "supervisor/sandbox_init.h"
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
		[SB_STOPPING] = "running", /* until it has stopped */
		[SB_STOPPED] = "stopped",
		[SB_ERROR] = "error",
		[SB_DESTROYING] = "destroyed",
	};

	return names[st];
}

void
sandbox_record_put(struct sandbox *sb, storec_done *done)
{
	struct buf b;
	struct jw w;

	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", sb->id);
	jw_kstr(&w, "state", sandbox_state_name(sb->state));
	jw_kbool(&w, "want", sb->want);
	jw_kint(&w, "slot", sb->slot);
	jw_kint(&w, "created_at", sb->created_at_ms);
	jw_kstr(&w, "reason", sb->reason);
	spec_write(&sb->spec, &w);
	jw_object_end(&w);
	sb->put = true;
	storec_put(sb->s->store, "sandboxes", sb->id, &b, done, sb);
	buf_free(&b);
}

static void
usage_write(struct sandbox *sb, struct jw *w)
{
	struct cgroup_stats st;

	if (sb->cgroup == NULL)
		return;
	cgroup_stats(sb->cgroup, &st);
	jw_key(w, "usage");
	jw_object(w);
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
	jw_object_end(w);
}

void
sandbox_write(struct sandbox *sb, struct jw *w, bool with_usage)
{
	struct super *s = sb->s;
	bool up = sb->state == SB_RUNNING || sb->state == SB_STOPPING;

	jw_object(w);
	jw_kstr(w, "id", sb->id);
	jw_kstr(w, "state", sandbox_state_name(sb->state));
	if (sb->reason[0] != '\0')
		jw_kstr(w, "reason", sb->reason);
	jw_kint(w, "created_at", sb->created_at_ms);
	if (up) {
		jw_kint(w, "started_at", sb->started_at_ms);
		jw_kint(w, "pid", sb->proc.pid);
	}
	jw_kint(w, "restarts", sb->proc.restarts);
	spec_write(&sb->spec, w);
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
		if (with_usage)
			usage_write(sb, w);
	}
	sessions_write_ids(sb, w);
	jw_object_end(w);
}
