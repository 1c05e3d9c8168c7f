/*
 * What has become of a sandbox: a short list in its record, the oldest dropped.
 * Runs in the supervisor. It is written with the record, or a moment later by
 * itself: an entry is worth no wait of anybody.
 */
#include "lib/frame.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/storec.h"

#include <string.h>

#define STORE_AFTER_S 0.25

struct sandbox_event {
	int64_t at_ms; /* epoch */
	enum sandbox_happening what;
	char *why; /* owned; may be NULL */
};

static const char *const names[SH_N] = {
	[SH_CREATED] = "created",
	[SH_STARTED] = "started",
	[SH_STOPPED] = "stopped",
	[SH_PAUSED] = "paused",
	[SH_RESUMED] = "resumed",
	[SH_EXPIRED] = "expired",
	[SH_DESTROYED] = "destroyed",
	[SH_ERROR] = "error",
};

static void
add(struct sandbox *sb, int64_t at_ms, enum sandbox_happening what,
    const char *why)
{
	struct sandbox_event *ev;

	if (sb->history == NULL)
		sb->history = xcalloc(HISTORY_MAX, sizeof(*sb->history));
	if (sb->nhistory == HISTORY_MAX) {
		free(sb->history[0].why);
		memmove(sb->history, sb->history + 1,
		    (HISTORY_MAX - 1) * sizeof(*sb->history));
		sb->nhistory--;
	}
	ev = &sb->history[sb->nhistory++];
	ev->at_ms = at_ms;
	ev->what = what;
	ev->why = why != NULL && why[0] != '\0' ? xstrdup(why) : NULL;
	sb->changed_at_ms = at_ms;
}

static void
on_history_timer(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct sandbox *sb = t->data;
	struct buf b;
	struct jw w;

	if (!sb->put || sb->state == SB_DESTROYING)
		return; /* there is no record that it could be in */
	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kint(&w, "changed_at", sb->changed_at_ms);
	jw_key(&w, "events");
	sandbox_write_history(sb, &w);
	jw_object_end(&w);
	storec_put(sb->s->store, "sandboxes", sb->id, &b, NULL, NULL);
	buf_free(&b);
}

void
sandbox_event(struct sandbox *sb, enum sandbox_happening what, const char *why)
{
	struct ev_loop *loop = sb->s->loop;

	log_write(
	    what == SH_EXPIRED || what == SH_ERROR ? LOG_L_INFO : LOG_L_DEBUG,
	    "sandbox", names[what],
	    (const struct log_field[]){ LOG_STR("sandbox", sb->id),
		LOG_STR("why", why != NULL ? why : "") },
	    2);
	add(sb, now_realtime_ms(), what, why);
	if (!ev_is_active(&sb->history_timer)) {
		ev_timer_set(&sb->history_timer, STORE_AFTER_S, 0.);
		ev_timer_start(loop, &sb->history_timer);
	}
}

void
sandbox_write_history(const struct sandbox *sb, struct jw *w)
{
	jw_array(w);
	for (size_t i = 0; i < sb->nhistory; i++) {
		const struct sandbox_event *ev = &sb->history[i];

		jw_object(w);
		jw_kint(w, "at", ev->at_ms);
		jw_kstr(w, "event", names[ev->what]);
		if (ev->why != NULL)
			jw_kstr(w, "reason", ev->why);
		jw_object_end(w);
	}
	jw_array_end(w);
}

/* From our own record; what it cannot be is left out. */
void
sandbox_history_load(struct sandbox *sb, const struct json *list)
{
	json_foreach (it, list) {
		const char *name = json_str(it, "event", "");

		for (int i = 0; i < SH_N; i++) {
			if (strcmp(names[i], name) == 0)
				add(sb, json_int(it, "at", 0),
				    (enum sandbox_happening)i,
				    json_str(it, "reason", NULL));
		}
	}
}

void
sandbox_history_init(struct sandbox *sb)
{
	ev_timer_init(&sb->history_timer, on_history_timer, 0., 0.);
	sb->history_timer.data = sb;
}

void
sandbox_history_free(struct sandbox *sb)
{
	ev_timer_stop(sb->s->loop, &sb->history_timer);
	for (size_t i = 0; i < sb->nhistory; i++)
		free(sb->history[i].why);
	free(sb->history);
}
