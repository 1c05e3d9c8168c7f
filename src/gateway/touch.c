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
#define TELL_MS 5000

static struct {
	char id[SANDBOX_ID_MAX + 1];
	int64_t told_ms; /* monotonic */
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

void
touch_sandbox(struct gateway *gw, const char *sandbox)
{
	size_t i = slot_of(sandbox);
	int64_t now_ms = now_monotonic_ms();
	struct buf b;
	struct jw w;

	if (strcmp(slots[i].id, sandbox) == 0 &&
	    now_ms - slots[i].told_ms < TELL_MS)
		return;
	if (!sandbox_id_valid(sandbox) ||
	    str_copy(slots[i].id, sizeof(slots[i].id), sandbox) == -1)
		return;
	slots[i].told_ms = now_ms;
	buf_init(&b, 256);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", sandbox);
	jw_object_end(&w);
	super_call(gw, "sandbox.touch", &b, on_told, NULL);
	buf_free(&b);
}
