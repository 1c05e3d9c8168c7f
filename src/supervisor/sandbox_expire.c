/*
 * The end that a sandbox was given: a time of the clock, kept in its record, at
 * which it is destroyed. Runs in the supervisor. What came due while we were
 * not there is due at our start.
 */
#include "lib/log.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/spec.h"

#include <string.h>

/* A hundred years; more is meant as never, or a mistake. */
#define TIMEOUT_MAX_MS (100ll * 366 * 86400 * 1000)

static void
on_expiry(
    struct ev_loop *loop ATTR_UNUSED, ev_periodic *w, int revents ATTR_UNUSED)
{
	struct sandbox *sb = w->data;
	struct super *s = sb->s;

	/* In a stop of ours it must not begin anew; our next start sees it. */
	if (s->stopping || sb->state == SB_DESTROYING)
		return;
	sandbox_event(sb, SH_EXPIRED, NULL);
	sandbox_destroy(sb, NULL, NULL);
}

void
sandbox_expiry_init(struct sandbox *sb)
{
	ev_periodic_init(&sb->expiry, on_expiry, 0., 0., NULL);
	sb->expiry.data = sb;
}

void
sandbox_expiry_set(struct sandbox *sb, int64_t expires_at_ms)
{
	ev_periodic_stop(sb->s->loop, &sb->expiry);
	sb->expires_at_ms = expires_at_ms;
	if (expires_at_ms == 0)
		return;
	/* The clock's, not the time that passes: it may be set meanwhile. */
	ev_periodic_set(&sb->expiry, (double)expires_at_ms / 1000.0, 0., NULL);
	ev_periodic_start(sb->s->loop, &sb->expiry);
}

int
sandbox_timeout_parse(
    const struct json *timeout, int64_t *expires_at_ms_out, struct err *e)
{
	int64_t ms = 0;

	if (spec_time(timeout, "timeout", 100, TIMEOUT_MAX_MS, &ms, e) == -1)
		return -1;
	*expires_at_ms_out = ms > 0 ? now_realtime_ms() + ms : 0;
	return 0;
}
