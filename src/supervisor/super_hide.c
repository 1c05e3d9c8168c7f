/*
 * What of the host is not for sandboxes, kept up to date. Runs in the
 * supervisor as root; the look itself is sandbox/hide.c.
 */
#include "sandbox/hide.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "supervisor/super.h"

#define HIDE_S 0.05
#define HIDE_AGAIN_S 4.
#define HIDE_USED_MS (10 * 60 * 1000) /* after the last start */

int
super_hide(struct super *s, struct err *e)
{
	const char *extra[] = { s->conf.state_dir, s->conf.run_dir,
		s->conf_path, NULL };

	if (!s->root || !s->host.root || s->host.reduced || s->hide != NULL)
		return 0;
	ev_timer_stop(s->loop, &s->hide_timer);
	return hide_open(extra, &s->hide, e);
}

static void
hide_again(struct super *s)
{
	if (ev_is_active(&s->hide_timer))
		return;
	ev_timer_set(&s->hide_timer, HIDE_AGAIN_S, 0.);
	ev_timer_start(s->loop, &s->hide_timer);
}

/* The first start after a minute would take 30 ms instead of 5, if it had to
 * look at the host: as long as starts may come, that is done between them. */
void
super_hide_used(struct super *s)
{
	s->hide_used_ms = now_monotonic_ms();
	hide_again(s);
}

static void
on_hide(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct super *s = t->data;
	struct err e;
	int rc = 0;

	if (s->hide == NULL) {
		rc = super_hide(s, &e);
	} else if (now_monotonic_ms() - s->hide_used_ms < HIDE_USED_MS) {
		rc = hide_refresh(s->hide, &e);
		hide_again(s);
	}
	/* The next launch tries again, and says why not. */
	if (rc == -1)
		log_error("super", "the host's private files are not hidden",
		    LOG_STR("detail", e.text));
}

void
super_hide_init(struct super *s)
{
	ev_timer_init(&s->hide_timer, on_hide, HIDE_S, 0.);
	s->hide_timer.data = s;
}
