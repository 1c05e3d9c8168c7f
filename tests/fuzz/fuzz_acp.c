/*
 * The ACP server: envelopes of clients, and what the agents behind it say, be
 * they driven by an adapter or speak ACP themselves; also what a worker goes on
 * from when the one before it has gone.
 *
 * Input: a line with the adapter's name (`acp`: the program speaks ACP itself),
 * then what happens; see stage.h.
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
	static const char *const names[] = { "mock", "acp", "claude", "codex",
		"pi", "amp" };
	const uint8_t *nl = memchr(data, '\n', size);
	size_t head = nl != NULL ? (size_t)(nl - data) : 0, i;

	if (nl == NULL || size > INPUT_MAX)
		return 0;
	for (i = 0; i < countof(names); i++)
		if (head == strlen(names[i]) &&
		    memcmp(data, names[i], head) == 0)
			stage_play("acp", names[i], nl + 1, size - head - 1);
	return 0;
}
