/*
 * Which sandboxes were in use lately. Runs in sandboxd-gateway. What is told is
 * the name only; whether anything comes of it, the supervisor knows.
 *
 * A slot of the table may be taken over by another name: then one of them is
 * told a little more often, which does no harm.
 */
#include "gateway/touch.h"
#include "gateway/call.h"
#include "lib/strutil.h"

#include <string.h>

#define SLOTS 256
/* That it is in use, and that its end is to be put off: that is stored. */
#define TELL_MS 1000
#define RENEW_MS 5000

static struct {
	char id[SANDBOX_ID_MAX + 1];
	int64_t told_ms, renewed_ms; /* monotonic */
} slots[SLOTS];

static size_t
slot_of(const char *id)
{
	uint32_t h = 2166136261u;

	for (; *id != '\0'; id++)
		h = (h ^ (unsigned char)*id) * 16777619u;
	return h % SLOTS;
}

static void
on_told(void *ctx, const struct json *result, const struct err *e)
{
	(void)ctx;
	(void)result;
	(void)e; /* it may have gone meanwhile */
}

static void
touch(struct gateway *gw, const char *sandbox, bool renew)
{
	size_t i = slot_of(sandbox);
	int64_t now_ms = now_monotonic_ms();
	bool same = strcmp(slots[i].id, sandbox) == 0;
	struct buf b;
	struct jw w;

	if (same && renew && now_ms - slots[i].renewed_ms < RENEW_MS)
		renew = false;
	if (same && !renew && now_ms - slots[i].told_ms < TELL_MS)
		return;
	if (!sandbox_id_valid(sandbox) ||
	    str_copy(slots[i].id, sizeof(slots[i].id), sandbox) == -1)
		return;
	slots[i].told_ms = now_ms;
	if (renew)
		slots[i].renewed_ms = now_ms;
	else if (!same)
		slots[i].renewed_ms = now_ms - RENEW_MS;
	buf_init(&b, 256);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", sandbox);
	if (!renew)
		jw_kbool(&w, "idle_only", true);
	jw_object_end(&w);
	super_call(gw, "sandbox.touch", &b, on_told, NULL);
	buf_free(&b);
}

void
touch_sandbox(struct gateway *gw, const char *sandbox)
{
	touch(gw, sandbox, true);
}

void
touch_busy(struct gateway *gw, const char *sandbox)
{
	touch(gw, sandbox, false);
}
