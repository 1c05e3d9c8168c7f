/*
 * What agents' programs say to their adapters, in a session of the universal
 * schema or while they are probed: whatever they say, the log is one that
 * readers can rely on, and the session ends when it is told to.
 *
 * Input: a line `ADAPTER` or `ADAPTER probe`, then what happens; see stage.h.
 *
 * Also: tests/fuzz/stage.c
 * Also: tests/fuzz/stage_outbox.c
 * Also: tests/fuzz/stage_process.c
 * Also: tests/fuzz/stage_store.c
 * Also: src/session/
 * Also: src/session/agents/
 * Also: src/session/acp/
 * Also: src/store/append.c
 * Also: src/store/names.c
 * Not: src/session/agent_find.c
 * Not: src/session/agent_process.c
 * Not: src/session/children.c
 * Not: src/session/outbox.c
 * Not: src/session/main.c
 * Not: src/session/share.c
 * Not: src/session/share_join.c
 * Not: src/session/share_keep.c
 * Not: src/session/share_lock.c
 */
#include "fuzz.h"
#include "stage.h"

#include "lib/defs.h"
#include <string.h>

#define INPUT_MAX (64u << 10)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "claude", "codex", "acp", "pi",
		"amp", "mock" };
	const uint8_t *nl = memchr(data, '\n', size);
	size_t head = nl != NULL ? (size_t)(nl - data) : 0, i, n;

	if (nl == NULL || size > INPUT_MAX)
		return 0;
	for (i = 0; i < countof(names); i++) {
		n = strlen(names[i]);
		if (head >= n && memcmp(data, names[i], n) == 0)
			break;
	}
	if (i < countof(names))
		stage_play(head > n ? "probe" : "universal", names[i], nl + 1,
		    size - head - 1);
	return 0;
}
