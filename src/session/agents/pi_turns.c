/*
 * How Pi's turns end. Runs in the session worker.
 *
 * Pi does not say that it is done: a run that has ended may be followed by
 * another (a retry, or one after its history was made shorter). It says so
 * before it answers the next command, and so it is asked for its state then.
 */
#include "session/agents/pi.h"

#include "lib/xalloc.h"
#include <string.h>

#define CHECK_S 2.0 /* between looks at one that is busy by itself */

static bool
may_be_over(const struct pi *p)
{
	return p->working && p->prompt == 0 && !p->running && !p->announced;
}

void
pi_check(struct pi *p)
{
	if (may_be_over(p) && !p->retiring)
		(void)pi_order(p, "get_state");
}

void
pi_settled(struct pi *p)
{
	if (may_be_over(p))
		pi_turn_over(p);
}

void
pi_checked(struct pi *p, const struct json *state)
{
	if (!may_be_over(p))
		return;
	if (json_bool(state, "isStreaming", false) ||
	    json_bool(state, "isCompacting", false) ||
	    json_int(state, "pendingMessageCount", 0) > 0)
		pi_watch(p, CHECK_S);
	else
		pi_turn_over(p);
}

static char *
turn_metadata(const struct pi *p)
{
	struct buf b;
	struct jw w;

	if (p->total == 0)
		return NULL;
	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_object(&w);
	jw_key(&w, "usage");
	jw_object(&w);
	jw_kint(&w, "input_tokens", p->input);
	jw_kint(&w, "output_tokens", p->output);
	jw_kint(&w, "cached_input_tokens", p->cached);
	if (p->reasoning > 0)
		jw_kint(&w, "reasoning_tokens", p->reasoning);
	jw_kint(&w, "total_tokens", p->total);
	jw_object_end(&w);
	if (p->cost > 0) {
		jw_key(&w, "total_cost_usd");
		jw_double(&w, p->cost);
	}
	jw_object_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

/* What is of one turn only. */
void
pi_turn_reset(struct pi *p)
{
	p->working = p->running = p->announced = false;
	p->prompt = 0;
	p->open = p->complete = 0;
	p->input = p->output = p->cached = p->reasoning = p->total = 0;
	p->cost = 0;
	p->stop[0] = '\0';
	free(STEAL(p->error));
	pi_tools_drop(p);
}

static const char *
stop_reason(const struct pi *p)
{
	if (agent_cancelling(&p->a) || strcmp(p->stop, "aborted") == 0)
		return "cancelled";
	if (strcmp(p->stop, "error") == 0)
		return "error";
	return strcmp(p->stop, "length") == 0 ? "max_tokens" : "end_turn";
}

void
pi_turn_over(struct pi *p)
{
	autofree char *more = turn_metadata(p);
	const char *why = stop_reason(p);

	ev_timer_stop(p->a.loop, &p->watch);
	ladder_stop(&p->ladder);
	pi_dialogs_cancel(p, NULL);
	uni_raw(p->a.out, NULL, 0);
	if (strcmp(why, "error") == 0 && agent_turn_open(&p->a))
		uni_error(p->a.out, FROM_AGENT, "api_error",
		    p->error != NULL ? p->error : "the model call failed",
		    "{\"retrying\":false}");
	if (p->context > 0)
		agent_usage(&p->a, p->context, pi_window(p));
	pi_turn_reset(p);
	if (p->restart)
		pi_retire(p);
	agent_turn_ended(&p->a, why, more);
}

void
pi_refused(struct pi *p, const char *why)
{
	pi_turn_reset(p);
	if (!agent_turn_open(&p->a))
		return;
	uni_error(p->a.out, FROM_AGENT,
	    strstr(why, "API key") != NULL ||
		    strstr(why, "Authentication") != NULL
		? "auth_required"
		: "agent_failed",
	    why, NULL);
	agent_turn_ended(
	    &p->a, agent_cancelling(&p->a) ? "cancelled" : "error", NULL);
}
