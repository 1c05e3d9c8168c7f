/*
 * What an agent tells about itself besides its turns: its options, its
 * commands, how full its context is. Runs in the session worker.
 *
 * Readers of a universal log get to see changes of what is known: options and
 * commands as status items would be noise, so that only the agent's record
 * (a probe's) and ACP clients are told of them.
 */
#include "session/session.h"

void
session_forgot(struct agent *a)
{
	replay_begin(a->session);
}

const struct agent_host session_host = {
	.native_id = session_native_id,
	.turn_begun = session_turn_begun,
	.turn_open = session_turn_open,
	.cancelling = session_cancelling,
	.turn_ended = session_turn_ended,
	.turn_parked = session_turn_parked,
	.mode_changed = session_mode_changed,
	.forgot = session_forgot,
	.settled = session_settled,
	.stopped = session_stopped,
	.ask_permission = session_ask_permission,
	.ask_question = session_ask_question,
	.request_settled = session_request_settled,
};
