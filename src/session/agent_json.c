/*
 * What an agent said, as JSON text again; see agent_process.h. Runs in the
 * session worker. The text is bounded as its lines are: what JSON spells longer
 * than the agent did is at most twice as long.
 */
#include "session/agent_process.h"

char *
agent_json(const struct json *v)
{
	return json_text(v, 2 * LINE_BYTES_MAX);
}
