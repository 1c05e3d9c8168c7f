/*
 * One session of an ACP server: its agent, its turns and the prompts that
 * wait; see serve.h. Runs in the session worker. It is the host of its agent
 * (agent_host.h), which is not trusted: whatever it tells, a prompt is answered
 * once, and nothing of a turn stays open when that has ended.
 */
#include "session/acp/serve.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/conf.h"
#include "session/session.h"
#include <string.h>

#define READ_EVENTS_MAX 20000 /* of the log, for an agent that forgot */
#define READ_BYTES_MAX 800000

struct serve_session *
serve_find(struct serve *sv, const char *id)
{
	struct serve_session *ss;

	TAILQ_FOREACH (ss, &sv->sessions, link)
		if (id != NULL && strcmp(ss->id, id) == 0)
			return ss;
	return NULL;
}

void
serve_session_touch(struct serve_session *ss)
{
	ss->used_ms = now_realtime_ms();
	TAILQ_REMOVE(&ss->sv->sessions, ss, link);
	TAILQ_INSERT_TAIL(&ss->sv->sessions, ss, link);
	acp_touch(ss->sv->b.door);
}

/* --- life ----------------------------------------------------------------- */

/* Room for one more: the session that rests for longest goes. */
static bool
make_room(struct serve *sv)
{
	struct serve_session *ss;

	if (sv->nsessions < SERVE_SESSIONS_MAX)
		return true;
	TAILQ_FOREACH (ss, &sv->sessions, link)
		if (!ss->turn_open)
			break;
	if (ss == NULL)
		return false;
	log_info("acp", "the session unused for longest is closed",
	    LOG_STR("session", ss->id));
	serve_session_close(ss);
	return true;
}

struct serve_session *
serve_session_new(
    struct serve *sv, const char *id, const char *directory, const char *mcp)
{
	const struct agent_conf *base = sv->b.conf;
	char made_up[RANDOM_ID_MAX];
	struct serve_session *ss;

	if (!make_room(sv))
		return NULL;
	random_id(made_up, "ses_");
	ss = xcalloc(1, sizeof(*ss));
	ss->sv = sv;
	ss->id = xstrdup(id != NULL ? id : made_up);
	ss->conf = *base;
	ss->conf.session = xstrdup(ss->id);
	ss->conf.directory = xstrdup(directory);
	ss->conf.model = NULL;
	ss->conf.thought_level = NULL;
	ss->conf.mcp = NULL;
	conf_set(&ss->conf.model, base->model);
	conf_set(&ss->conf.thought_level, base->thought_level);
	conf_set(&ss->conf.mcp, mcp);
	ss->conf.permission_mode = xstrdup(base->permission_mode);
	ss->conf.agent_mode = xstrdup(base->agent_mode);
	enc_init(&ss->out, sv->b.door, ss->id, ss->conf.directory);
	pending_init(&ss->asks);
	TAILQ_INIT(&ss->queue);
	TAILQ_INSERT_TAIL(&sv->sessions, ss, link);
	sv->nsessions++;
	serve_session_touch(ss);
	return ss;
}

static void
dequeue(struct serve_session *ss, struct serve_prompt *p)
{
	TAILQ_REMOVE(&ss->queue, p, link);
	ss->nqueue--;
	ss->sv->queue_bytes -= p->bytes;
}

void
serve_session_free(struct serve_session *ss)
{
	struct serve_prompt *p;

	if (ss->agent != NULL)
		ss->agent->ops->close(ss->agent);
	free(ss->agent);
	while ((p = TAILQ_FIRST(&ss->queue)) != NULL) {
		dequeue(ss, p);
		serve_prompt_free(p);
	}
	serve_prompt_free(ss->current);
	pending_free(&ss->asks);
	enc_free(&ss->out);
	free(ss->conf.session);
	free(ss->conf.directory);
	free(ss->conf.model);
	free(ss->conf.thought_level);
	free(ss->conf.mcp);
	free(ss->conf.permission_mode);
	free(ss->conf.agent_mode);
	free(ss->options);
	free(ss->commands);
	free(ss->title);
	free(ss->id);
	free(ss);
}

int
serve_session_open(struct serve_session *ss, struct err *e)
{
	struct serve *sv = ss->sv;
	const struct agent_ops *ops = agent_find(ss->conf.protocol);
	bool fresh = ss->out.u.native_session == NULL;

	if (ss->agent != NULL)
		return 0;
	ss->agent = agent_new(ops, &serve_host, ss, sv->b.session, &ss->conf,
	    &ss->out.u, sv->b.loop);
	if (ops->open(ss->agent, fresh, e) == -1) {
		ops->close(ss->agent);
		free(STEAL(ss->agent));
		return -1;
	}
	if (sv->paused)
		ops->pause(ss->agent, true);
	return 0;
}

static void
arm_later(struct serve *sv)
{
	if (!ev_is_active(&sv->later))
		ev_timer_start(sv->b.loop, &sv->later);
}

static void
drop_queue(struct serve_session *ss)
{
	struct serve_prompt *p;

	while ((p = TAILQ_FIRST(&ss->queue)) != NULL) {
		dequeue(ss, p);
		serve_prompt_cancelled(ss->sv, p);
		serve_prompt_free(p);
	}
}

/* --- turns ---------------------------------------------------------------- */

static void pump(struct serve_session *ss);

static void
turn_over(struct serve_session *ss, const char *stop_reason, const char *more)
{
	struct serve_prompt *p;

	if (!ss->turn_open)
		return;
	serve_asks_drop(ss);
	enc_turn_ends(&ss->out);
	ss->turn_open = false;
	ss->parked = false;
	ss->again = false;
	ss->reading = false;
	p = STEAL(ss->current);
	if (p != NULL)
		serve_prompt_answer(
		    ss, p, ss->cancelling ? "cancelled" : stop_reason, more);
	ss->cancelling = false;
	serve_prompt_free(p);
	serve_session_touch(ss);
	pump(ss);
}

static void
failed(struct serve_session *ss, const struct err *e)
{
	uni_error(&ss->out.u, FROM_DAEMON, err_wire(e->code), e->text, NULL);
	turn_over(ss, "error", NULL);
}

static void
name_session(struct serve_session *ss, const char *text, size_t len)
{
	size_t n = strcspn(text, "\r\n");

	if (ss->title != NULL)
		return;
	n = utf8_valid_prefix(text, MIN(MIN(n, len), SERVE_TITLE_MAX));
	ss->title = n > 0 ? xstrndup(text, n) : NULL;
}

static void
turn_begin(struct serve_session *ss, struct serve_prompt *p)
{
	ss->current = p;
	ss->turn++;
	ss->turn_open = true;
	ss->parked = false;
	ss->cancelling = false;
	ss->reminded = false;
	enc_turn_begins(&ss->out);
	serve_session_touch(ss);
}

/* Give the agent the message of its turn, with WORDS (or NULL) ahead of it. */
static void
prompt_agent(struct serve_session *ss, const char *words)
{
	const struct serve_prompt *p = ss->current;
	autofree char *text =
	    words != NULL ? xasprintf("%s%s", words, p->text) : NULL;
	struct agent_message m = { .text = text != NULL ? text : p->text,
		.len = text != NULL ? strlen(text) : p->len };
	struct json *parts = NULL;
	struct err e;

	if (serve_session_open(ss, &e) == -1) {
		failed(ss, &e);
		return;
	}
	/* It was written by us. */
	if (p->parts != NULL && json_parse(p->parts, strlen(p->parts),
				    JSON_DEPTH_AGENT, &parts, NULL) == 0)
		m.parts = parts;
	if (ss->agent->ops->prompt(ss->agent, ss->turn, &m, &e) == -1)
		failed(ss, &e);
	json_free(parts);
}

/* Start turns while one may start; an adapter may end one before its prompt
 * function returns: hence the loop and the guard. */
static void
pump(struct serve_session *ss)
{
	struct serve_prompt *p;

	if (ss->pumping)
		return;
	ss->pumping = true;
	while ((!ss->turn_open || ss->parked) && !ss->stopping &&
	       (p = TAILQ_FIRST(&ss->queue)) != NULL) {
		dequeue(ss, p);
		turn_over(ss, "end_turn", NULL); /* of one that is parked */
		name_session(ss, p->text, p->len);
		turn_begin(ss, p);
		prompt_agent(ss, NULL);
	}
	ss->pumping = false;
}

void
serve_session_prompt(struct serve_session *ss, struct serve_prompt *p)
{
	TAILQ_INSERT_TAIL(&ss->queue, p, link);
	ss->nqueue++;
	ss->sv->queue_bytes += p->bytes;
	pump(ss);
}

void
serve_session_unpark(struct serve_session *ss)
{
	if (ss->turn_open && ss->parked && ss->asks.n == 0)
		turn_over(ss, "end_turn", NULL);
}

void
serve_session_cancel(struct serve_session *ss)
{
	struct err e;

	drop_queue(ss);
	if (!ss->turn_open || ss->cancelling)
		return;
	if (ss->parked || ss->again || ss->reading || ss->agent == NULL) {
		turn_over(ss, "cancelled", NULL);
		return;
	}
	ss->cancelling = true;
	if (ss->agent->ops->cancel(ss->agent, &e) == -1) {
		ss->cancelling = false;
		log_warn("acp", "a turn cannot be cancelled",
		    LOG_STR("why", e.text));
	}
}

void
serve_session_close(struct serve_session *ss)
{
	struct serve *sv = ss->sv;

	drop_queue(ss);
	ss->stopping = true;
	turn_over(ss, "cancelled", NULL);
	TAILQ_REMOVE(&sv->sessions, ss, link);
	sv->nsessions--;
	TAILQ_INSERT_TAIL(&sv->gone, ss, link);
	if (ss->agent != NULL)
		ss->agent->ops->stop(ss->agent);
	else
		ss->stopped = true;
	arm_later(sv);
	acp_touch(sv->b.door);
}

/* --- what the agent tells ------------------------------------------------- */

static struct serve_session *
session_of(const struct agent *a)
{
	return a->host_data;
}

static void
on_native_id(struct agent *a, const char *id)
{
	struct serve_session *ss = session_of(a);
	const char *old = ss->out.u.native_session;

	if (id == old || (id != NULL && old != NULL && strcmp(id, old) == 0))
		return;
	uni_native_session(&ss->out.u, id);
	acp_touch(ss->sv->b.door);
}

static void
on_turn_begun(struct agent *a)
{
	struct serve_session *ss = session_of(a);

	if (!ss->turn_open)
		turn_begin(ss, NULL);
}

static bool
on_turn_open(const struct agent *a)
{
	return session_of(a)->turn_open;
}

static bool
on_cancelling(const struct agent *a)
{
	return session_of(a)->cancelling;
}

static void
on_turn_ended(struct agent *a, const char *stop_reason, const char *more)
{
	turn_over(session_of(a), stop_reason, more);
}

static void
on_turn_parked(struct agent *a)
{
	struct serve_session *ss = session_of(a);

	ss->parked = true;
	if (ss->asks.n == 0)
		turn_over(ss, "end_turn", NULL);
	else
		pump(ss);
}

static void
on_forgot(struct agent *a)
{
	struct serve_session *ss = session_of(a);

	if (!ss->turn_open || ss->current == NULL || ss->reminded)
		return;
	ss->reminded = true;
	ss->again = true;
	arm_later(ss->sv);
}

static void
on_options(struct agent *a, const char *json)
{
	serve_choices_told(session_of(a), json);
}

void
serve_tell_commands(struct serve_session *ss)
{
	enc_update_json(&ss->out, "available_commands_update",
	    "availableCommands", ss->commands);
}

static void
on_commands(struct agent *a, const char *json)
{
	struct serve_session *ss = session_of(a);

	if (ss->commands != NULL && strcmp(ss->commands, json) == 0)
		return;
	conf_set(&ss->commands, json);
	if (ss->known)
		serve_tell_commands(ss);
}

static void
on_usage(struct agent *a, int64_t used, int64_t window)
{
	enc_usage(&session_of(a)->out, used, window);
}

static bool
on_settled(const struct agent *a)
{
	return acp_settled(session_of(a)->sv->b.door);
}

static void
on_stopped(struct agent *a)
{
	struct serve_session *ss = session_of(a);

	ss->stopped = true;
	if (ss->sv->stopping)
		serve_stopped(ss->sv);
	else
		arm_later(ss->sv);
}

void
serve_stopped(struct serve *sv)
{
	struct serve_session *ss;

	TAILQ_FOREACH (ss, &sv->sessions, link)
		if (ss->agent != NULL && !ss->stopped)
			return;
	TAILQ_FOREACH (ss, &sv->gone, link)
		if (!ss->stopped)
			return;
	if (sv->stopped)
		return;
	sv->stopped = true;
	acp_stopped(sv->b.door);
}

static void
on_tail(void *arg, const struct json *events, const struct err *e)
{
	struct serve *sv = arg;
	struct serve_session *ss;
	autofree char *words = NULL;

	(void)e; /* then it is told nothing */
	TAILQ_FOREACH (ss, &sv->sessions, link)
		if (ss->reading)
			break;
	if (ss == NULL)
		return;
	ss->reading = false;
	if (events != NULL)
		words = acp_words(events, ss->id, &ss->conf);
	prompt_agent(ss, words);
}

/* The agent has forgotten what was said: it is told, as far as the log knows.
 * That has the agent's half; the client's is with the client. */
static void
remind(struct serve_session *ss)
{
	struct serve *sv = ss->sv;
	struct err e;

	ss->again = false;
	ss->reading = true;
	if (outbox_tail(&sv->b.session->out, READ_EVENTS_MAX, READ_BYTES_MAX,
		true, on_tail, sv, &e) == 0)
		return;
	log_warn("acp", "the log cannot be read back", LOG_STR("why", e.text));
	ss->reading = false;
	prompt_agent(ss, NULL);
}

void
serve_later(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct serve *sv = w->data;
	struct serve_session *ss, *next;

	(void)loop, (void)revents;
	for (ss = TAILQ_FIRST(&sv->gone); ss != NULL; ss = next) {
		next = TAILQ_NEXT(ss, link);
		if (!ss->stopped)
			continue;
		TAILQ_REMOVE(&sv->gone, ss, link);
		serve_session_free(ss);
	}
	for (ss = TAILQ_FIRST(&sv->sessions); ss != NULL; ss = next) {
		next = TAILQ_NEXT(ss, link);
		if (ss->again)
			remind(ss);
	}
}

const struct agent_host serve_host = {
	.native_id = on_native_id,
	.turn_begun = on_turn_begun,
	.turn_open = on_turn_open,
	.cancelling = on_cancelling,
	.turn_ended = on_turn_ended,
	.turn_parked = on_turn_parked,
	.mode_changed = serve_mode_changed,
	.forgot = on_forgot,
	.options = on_options,
	.commands = on_commands,
	.usage = on_usage,
	.settled = on_settled,
	.stopped = on_stopped,
	.ask_permission = serve_ask_permission,
	.ask_question = serve_ask_question,
	.request_settled = serve_request_settled,
};
