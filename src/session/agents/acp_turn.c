/*
 * Turns of an ACP agent: the message that waits for the session to be open,
 * what the agent makes of it, and turns that it begins by itself. Runs in the
 * session worker.
 */
#include "session/agents/acp.h"

#include "lib/xalloc.h"
#include <string.h>

#define QUIET_S 2.   /* of silence end a turn of the agent's own … */
#define QUIET_MAX 15 /* … or this many times that, whatever is open */

/* --- the message that waits ----------------------------------------------- */

void
acp_drop_held(struct acp *p)
{
	p->held = false;
	free(STEAL(p->held_text));
	free(STEAL(p->held_parts));
}

void
acp_hold(struct acp *p, const struct agent_message *m)
{
	acp_drop_held(p);
	p->held = true;
	p->held_text = xstrndup(m->text, m->len);
	p->held_len = m->len;
	p->held_parts = agent_json(m->parts);
}

static bool
takes(const struct acp *p, const struct json *part)
{
	const char *type = json_str(part, "type", "");

	return strcmp(type, "resource_link") == 0 ||
	       (strcmp(type, "image") == 0 && p->takes_images) ||
	       (strcmp(type, "resource") == 0 && p->takes_texts);
}

/* The blocks of the message. What the agent does not take as a block is said
 * in words, together with all else that can be. */
static void
write_blocks(const struct acp *p, struct jw *w)
{
	struct agent_message m = { .text = p->held_text, .len = p->held_len };
	struct json *parts = NULL;
	autofree char *flat = NULL;
	bool all = true;

	/* Written by us, from a tree. */
	if (p->held_parts != NULL &&
	    json_parse(p->held_parts, strlen(p->held_parts), JSON_DEPTH_AGENT,
		&parts, NULL) == -1)
		parts = NULL;
	m.parts = parts;
	json_foreach (it, parts)
		all = all && takes(p, it);
	if (!all)
		flat = agent_message_flat(&m, p->takes_images);
	jw_array(w);
	jw_object(w);
	jw_kstr(w, "type", "text");
	jw_key(w, "text");
	if (flat != NULL)
		jw_strn(w, flat, strlen(flat));
	else
		jw_strn(w, m.text, m.len);
	jw_object_end(w);
	json_foreach (it, parts)
		if (all || (p->takes_images &&
			       strcmp(json_str(it, "type", ""), "image") == 0))
			jw_value(w, it);
	jw_array_end(w);
	json_free(parts);
}

int
acp_send_prompt(struct acp *p, struct err *e)
{
	struct buf b;
	struct jw w;

	acp_begin(p, &w, &b, "session/prompt", true);
	jw_kstr(&w, "sessionId", p->session);
	jw_key(&w, "prompt");
	write_blocks(p, &w);
	acp_drop_held(p);
	if (acp_send(p, &w, &b, CALL_PROMPT, e) == -1)
		return -1;
	p->working = true;
	return 0;
}

bool
acp_fail_held(
    struct acp *p, enum origin from, const char *code, const char *text)
{
	if (!p->held || !agent_turn_open(&p->a))
		return false;
	acp_drop_held(p);
	uni_error(p->a.out, from, code, text, NULL);
	agent_turn_ended(
	    &p->a, agent_cancelling(&p->a) ? "cancelled" : "error", NULL);
	return true;
}

/* --- its end -------------------------------------------------------------- */

static const char *
stop_reason(const struct acp *p, const struct json *result)
{
	static const struct {
		const char *theirs, *ours;
	} words[] = {
		{ "max_tokens", "max_tokens" },
		{ "max_turn_requests", "max_turns" },
		{ "refusal", "refusal" },
		{ "cancelled", "cancelled" },
	};
	const char *why = json_str(result, "stopReason", "end_turn");
	size_t i;

	if (agent_cancelling(&p->a))
		return "cancelled";
	for (i = 0; i < countof(words); i++)
		if (strcmp(why, words[i].theirs) == 0)
			return words[i].ours;
	return "end_turn";
}

static void
log_failure(struct acp *p, const struct json *error)
{
	const struct json *data = json_get(error, "data");
	autofree char *text = acp_error_text(error);
	bool auth = json_int(error, "code", 0) == -32000 ||
		    strcmp(json_str(data, "errorKind", ""),
			"authentication_failed") == 0;
	struct buf b;
	struct jw w;

	buf_init(&b, 64u << 10);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kbool(&w, "retrying", false);
	jw_kint(&w, "code", json_int(error, "code", 0));
	if (data != NULL)
		jw_kvalue(&w, "data", data);
	jw_object_end(&w);
	uni_error(p->a.out, FROM_AGENT,
	    auth ? "authentication_required" : "api_error", text,
	    b.failed ? NULL : b.data);
	buf_free(&b);
}

/* Its words for tokens are not ours. */
static char *
usage_metadata(const struct json *result)
{
	static const struct {
		const char *theirs, *ours;
	} words[] = {
		{ "inputTokens", "input_tokens" },
		{ "outputTokens", "output_tokens" },
		{ "cachedReadTokens", "cached_input_tokens" },
		{ "thoughtTokens", "reasoning_tokens" },
		{ "totalTokens", "total_tokens" },
	};
	const struct json *usage = json_get(result, "usage");
	struct buf b;
	struct jw w;
	size_t i;

	if (usage == NULL || usage->type != JSON_OBJECT)
		return NULL;
	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_object(&w);
	jw_key(&w, "usage");
	jw_object(&w);
	for (i = 0; i < countof(words); i++)
		if (json_int(usage, words[i].theirs, -1) >= 0)
			jw_kint(&w, words[i].ours,
			    json_int(usage, words[i].theirs, 0));
	jw_object_end(&w);
	jw_object_end(&w);
	return buf_steal(&b);
}

void
acp_prompt_answered(
    struct acp *p, const struct json *result, const struct json *error)
{
	autofree char *more = usage_metadata(result);
	bool failed = error != NULL && !agent_cancelling(&p->a);
	const char *why = failed ? "error" : stop_reason(p, result);

	ladder_stop(&p->ladder);
	p->working = p->own_turn = false;
	ev_timer_stop(p->a.loop, &p->quiet);
	acp_chunk_close(
	    p, agent_cancelling(&p->a) ? ITEM_FAILED : ITEM_COMPLETED);
	acp_asks_cancel(p);
	if (!agent_turn_open(&p->a)) {
		acp_tools_drop(p);
		return;
	}
	acp_tools_end(p, strcmp(why, "end_turn") == 0);
	if (failed)
		log_failure(p, error);
	uni_raw(p->a.out, NULL, 0);
	agent_turn_ended(&p->a, why, more);
}

/* --- turns of its own ------------------------------------------------------
 */

void
acp_expect_turn(struct acp *p)
{
	if (p->working)
		return;
	if (!agent_turn_open(&p->a)) {
		agent_turn_begun(&p->a);
		p->own_turn = true;
	}
	if (!p->own_turn)
		return;
	ev_timer_stop(p->a.loop, &p->quiet);
	p->quiet_left = QUIET_MAX;
	ev_timer_set(&p->quiet, QUIET_S, 0.);
	ev_timer_start(p->a.loop, &p->quiet);
}

/* Nothing tells the end of a turn that nobody asked for. */
static void
on_quiet(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct acp *p = w->data;

	(void)revents;
	if (!p->own_turn)
		return;
	if (p->nasks > 0 || (acp_tools_running(p) && p->quiet_left-- > 0)) {
		ev_timer_set(&p->quiet, QUIET_S, 0.);
		ev_timer_start(loop, &p->quiet);
		return;
	}
	p->own_turn = false;
	acp_chunk_close(p, ITEM_COMPLETED);
	acp_tools_end(p, true);
	agent_turn_ended(&p->a, "end_turn", NULL);
}

void
acp_turn_init(struct acp *p)
{
	ev_timer_init(&p->quiet, on_quiet, 0., 0.);
	p->quiet.data = p;
}
