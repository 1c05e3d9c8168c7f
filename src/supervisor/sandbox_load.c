/*
 * Sandboxes at our own start: their records become a table again, and those
 * that should run are started. Runs in the supervisor.
 */
#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/expose.h"
#include "supervisor/instance.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/sessions.h"
#include "supervisor/spec.h"

#include <string.h>

/* We ended without stopping it first, and it with us. */
static void
lost(struct sandbox *sb)
{
	const char *why = sb->lost_paused
			      ? "it was paused when the daemon ended"
			      : "the daemon ended";

	/* What was frozen is not started unasked. */
	if (sb->lost_paused) {
		sb->was_paused = true;
		sb->want = false;
		sessions_sandbox_lost(sb);
	}
	(void)!str_copy(sb->reason, sizeof(sb->reason), why);
	sandbox_event(sb, SH_STOPPED, why);
}

struct sandbox *
sandbox_from_record(struct super *s, const struct json *rec)
{
	const char *id = json_str(rec, "id", "");
	struct sandbox_spec sp;
	struct sandbox *sb;
	struct err e;
	int64_t slot = json_int(rec, "slot", 0);

	if (!sandbox_id_valid(id) || sandbox_find(s, id) != NULL)
		return NULL;
	if (spec_parse(s, rec, id, true, &sp, &e) == -1) {
		log_error("sandbox", "record not understood",
		    LOG_STR("sandbox", id), LOG_STR("detail", e.text));
		return NULL;
	}
	sb = sandbox_new(s, id, slot > 0 && slot <= 30000 ? (unsigned)slot : 1);
	sb->spec = sp;
	sandbox_ids_load(sb, rec);
	if (sp.limits.disk_bytes != 0)
		sandbox_disk_init(
		    sb, disk_by_find(json_str(rec, "disk_by", "none")));
	sb->ooms = json_int(rec, "ooms", 0);
	if (json_str(rec, "owner", NULL) != NULL)
		sb->owner = xstrdup(json_str(rec, "owner", NULL));
	sb->put = sb->born = true;
	sb->want = json_bool(rec, "want", false);
	sb->state = SB_STOPPED;
	sb->created_at_ms = json_int(rec, "created_at", sb->created_at_ms);
	sb->expires_at_ms = json_int(rec, "expires_at", 0);
	sb->changed_at_ms = json_int(rec, "changed_at", sb->created_at_ms);
	(void)!str_format(sb->reason, sizeof(sb->reason), "%.250s",
	    json_str(rec, "reason", ""));
	exposed_load(sb, json_get(rec, "ports"));
	sb->was_paused = json_bool(rec, "was_paused", false);
	for (int m = 0; m < MECH_N; m++)
		sb->have[m] = (json_int(rec, "have", 0) & BIT(m)) != 0;
	return sb;
}

void
sandboxes_loaded(struct super *s, const struct json *rec)
{
	const char *state = json_str(rec, "state", "");
	struct sandbox *sb = sandbox_from_record(s, rec);

	if (sb == NULL)
		return;
	/* It is stored as it starts, so `creating` is what most have. */
	sb->lost_paused = strcmp(state, "paused") == 0;
	sb->lost = sb->lost_paused || strcmp(state, "creating") == 0 ||
		   strcmp(state, "running") == 0;
}

/* What nobody knows has no init either: a create that we did not live to
 * store. */
static bool
is_known(struct super *s, const char *id)
{
	if (sandbox_find(s, id) != NULL)
		return true;
	sandbox_adopt_end(s, id);
	return false;
}

/* Was it made for a session that has ended, or was never stored? */
static bool
owner_gone(const struct sandbox *sb)
{
	const struct session *ss;

	if (sb->owner == NULL)
		return false;
	ss = session_find(sb->s, sb->owner);
	return ss == NULL || ss->ended;
}

/* Without its disk its start fails, and is tried again with the backoff. */
static void
on_disk_ready(struct sandbox *sb, const struct err *e ATTR_UNUSED)
{
	if (sb->state == SB_CREATING)
		proc_start_soon(&sb->proc);
}

void
sandboxes_all_loaded(struct super *s)
{
	int64_t now_ms = now_realtime_ms();
	struct sandbox *sb;
	struct err e;

	/* Whatever is not adopted is ended, so that nothing is there twice. */
	LIST_FOREACH (sb, &s->sandboxes, link) {
		if (!sandbox_adopt(sb) && sb->lost)
			lost(sb);
	}
	instance_sweep(s, is_known);
	cgroups_sweep(s);
	LIST_FOREACH (sb, &s->sandboxes, link) {
		if (sb->expires_at_ms != 0 && sb->expires_at_ms <= now_ms) {
			sandbox_event(sb, SH_EXPIRED, NULL);
			sandbox_destroy(sb, NULL, NULL);
			continue;
		}
		if (sb->spec.ephemeral || owner_gone(sb)) {
			sandbox_destroy(sb, NULL, NULL);
			continue;
		}
		sandbox_expiry_set(sb, sb->expires_at_ms);
		if (!sb->want || sb->state != SB_STOPPED)
			continue;
		/* With the backoff: what an earlier life has left may be on
		 * its way out still. */
		sb->state = SB_CREATING;
		if (sandbox_disk_ready(sb) ||
		    sandbox_disk_attach(sb, on_disk_ready, &e) == -1)
			proc_start_soon(&sb->proc);
	}
	super_ready(s);
}
