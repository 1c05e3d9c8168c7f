/*
 * What has become of a sandbox: entries of its log, which the store keeps. Runs
 * in the supervisor, which only adds: who wants to read them is served by the
 * store, and so nothing that the courier wrote there is ever parsed here.
 */
#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/storec.h"

#include <string.h>

/* A sandbox is being made: its log begins with its record. */
struct sandbox_event {
	STAILQ_ENTRY(sandbox_event) link;
	char *note; /* owned: JSON text */
};

#define NOTE_MAX 8192

static const char *const names[SH_N] = {
	[SH_CREATED] = "created",
	[SH_STARTED] = "started",
	[SH_STOPPED] = "stopped",
	[SH_PAUSED] = "paused",
	[SH_RESUMED] = "resumed",
	[SH_EXPIRED] = "expired",
	[SH_DESTROYED] = "destroyed",
	[SH_ERROR] = "error",
	[SH_OOM] = "oom",
	[SH_LIMIT] = "limit",
	[SH_SERVICE_STARTED] = "service.started",
	[SH_SERVICE_RESTARTED] = "service.restarted",
	[SH_SERVICE_READY] = "service.ready",
	[SH_SERVICE_EXITED] = "service.exited",
	[SH_SERVICE_HUNG] = "service.hung",
	[SH_SERVICE_ALIVE] = "service.alive",
	[SH_SERVICE_FAILED] = "service.failed",
	[SH_ADOPTED] = "adopted",
};

void
sandbox_event(struct sandbox *sb, enum sandbox_happening what, const char *why)
{
	sandbox_event_with(sb, what, why, NULL, 0);
}

static void
keep(struct sandbox *sb, struct buf *b)
{
	struct sandbox_event *ev = xcalloc(1, sizeof(*ev));

	ev->note = buf_steal(b);
	STAILQ_INSERT_TAIL(&sb->history, ev, link);
}

void
sandbox_event_with(struct sandbox *sb, enum sandbox_happening what,
    const char *why, const struct log_field *fields, size_t n)
{
	struct buf b;
	struct jw w;

	log_write(what == SH_EXPIRED || what == SH_ERROR || what == SH_OOM ||
			  what == SH_LIMIT
		      ? LOG_L_INFO
		      : LOG_L_DEBUG,
	    "sandbox", names[what],
	    (const struct log_field[]){ LOG_STR("sandbox", sb->id),
		LOG_STR("why", why != NULL ? why : "") },
	    2);
	sb->changed_at_ms = now_realtime_ms();
	buf_init(&b, NOTE_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "event", names[what]);
	if (why != NULL && why[0] != '\0')
		jw_kstr(&w, "reason", why);
	for (size_t i = 0; i < n; i++) {
		if (fields[i].str != NULL)
			jw_kstr(&w, fields[i].key, fields[i].str);
		else
			jw_kint(&w, fields[i].key, fields[i].num);
	}
	jw_object_end(&w);
	if (sb->put)
		storec_note(sb->s->store, sb->id, &b);
	else if (!b.failed)
		keep(sb, &b);
	buf_free(&b);
}

void
sandbox_history_put(struct sandbox *sb)
{
	struct sandbox_event *ev;
	struct buf b;

	while ((ev = STAILQ_FIRST(&sb->history)) != NULL) {
		STAILQ_REMOVE_HEAD(&sb->history, link);
		buf_init(&b, NOTE_MAX);
		(void)buf_adds(&b, ev->note);
		storec_note(sb->s->store, sb->id, &b);
		buf_free(&b);
		free(ev->note);
		free(ev);
	}
}

void
sandbox_history_init(struct sandbox *sb)
{
	STAILQ_INIT(&sb->history);
}

void
sandbox_history_free(struct sandbox *sb)
{
	struct sandbox_event *ev;

	while ((ev = STAILQ_FIRST(&sb->history)) != NULL) {
		STAILQ_REMOVE_HEAD(&sb->history, link);
		free(ev->note);
		free(ev);
	}
}

/* --- the courier's way there --------------------------------------------- */

static void
on_attached(void *ctx ATTR_UNUSED, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	/* Its other end is closed: the proxy asks for another if need be. */
	if (ok == NULL)
		log_warn("sandbox", "no channel for notes",
		    LOG_STR("detail", e->text));
}

int
sandbox_notes_channel(struct sandbox *sb, int *fd_out, struct err *e)
{
	struct proc *store = storec_proc(sb->s->store);
	int store_fd = -1;
	struct jw *w;

	if (!sb->put || sb->state == SB_DESTROYING)
		return err_set(
		    e, ERR_SANDBOX_STATE, "sandbox has no log now: %s", sb->id);
	if (!proc_up(store))
		return err_set(
		    e, ERR_STORE_UNAVAILABLE, "the store is restarting");
	if (fd_socketpair(&store_fd, fd_out, e) == -1)
		return -1;
	w = proc_call(store, MSG_STORE_ATTACH, 0, on_attached, NULL);
	jw_kstr(w, "sandbox", sb->id);
	(void)proc_send(store, &store_fd, 1); /* failure comes as an answer */
	return 0;
}
