/*
 * The list of adapters. Runs in the session worker.
 */
#include "session/agent.h"

#include "lib/defs.h"
#include "lib/strutil.h"
#include <string.h>

static const struct agent_ops *const agents[] = {
	&agent_mock,
	&agent_claude,
	&agent_codex,
	&agent_acp,
	&agent_pi,
	&agent_amp,
};

const struct agent_ops *
agent_find(const char *name)
{
	size_t i;

	for (i = 0; i < countof(agents); i++)
		if (strcmp(agents[i]->name, name) == 0)
			return agents[i];
	return NULL;
}

bool
agent_word_ok(const char *s)
{
	const unsigned char *p;

	if (*s == '\0' || *s == '-' ||
	    utf8_valid_prefix(s, strlen(s)) != strlen(s))
		return false;
	for (p = (const unsigned char *)s; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f)
			return false;
	return true;
}
