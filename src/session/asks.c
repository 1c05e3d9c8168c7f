/*
 * Permission requests and questions: what the agent asks and what the user
 * answers. Runs in the session worker. The agent is told first and the answer
 * logged after, so that the log never claims an answer that could not be
 * given.
 */
#include "session/session.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include <string.h>

/* Settle every open request as declined; those of the turn alone, or all. */
void
session_decline(struct session *s, bool all)
{
	struct request *r, *next;

	for (r = TAILQ_FIRST(&s->pending.requests); r != NULL; r = next) {
		next = TAILQ_NEXT(r, link);
		if (!all && !r->of_turn)
			continue;
		pending_log_resolved(&s->uni, FROM_DAEMON, r,
		    r->question ? "rejected" : "reject", NULL);
		pending_drop(&s->pending, r);
	}
}

/* A parked turn ends with its last request. */
static void
unpark(struct session *s)
{
	if (s->turn_open && s->parked && pending_of_turn(&s->pending) == 0)
		agent_turn_ended(s->agent, "end_turn", NULL);
}

static const char *
permission_status(enum agent_reply r)
{
	return r == REPLY_ONCE	   ? "accept"
	       : r == REPLY_ALWAYS ? "accept_for_session"
				   : "reject";
}

void
session_permission(struct session *s, struct asker who, const char *id,
    enum agent_reply reply, const char *message)
{
	struct request *r = pending_find(&s->pending, id);
	struct err e;

	if (r == NULL || r->question) {
		session_reply_err(s, who, ERR_PERMISSION_NOT_FOUND,
		    "no open permission request has this id");
		return;
	}
	if (s->agent->ops->permission(s->agent, id, reply, message, &e) == -1) {
		session_reply_failed(s, who, &e);
		return;
	}
	pending_log_resolved(
	    &s->uni, FROM_DAEMON, r, permission_status(reply), NULL);
	if (reply == REPLY_ALWAYS)
		pending_allow(&s->pending, r);
	pending_drop(&s->pending, r);
	session_reply_stored(s, who);
	unpark(s);
}

char *
agent_answer_text(const struct json *list, bool all)
{
	struct buf b;
	bool any = false;

	if (list != NULL && list->type == JSON_STRING)
		return xstrndup(list->str, strnlen(list->str, list->len));
	buf_init(&b, 65536);
	json_foreach (word, list) {
		if (word->type != JSON_STRING)
			continue;
		if (any)
			(void)buf_adds(&b, ", ");
		(void)buf_add(&b, word->str, strnlen(word->str, word->len));
		any = true;
		if (!all)
			break;
	}
	return any ? buf_steal(&b) : NULL;
}

void
session_question(struct session *s, struct asker who, const char *id,
    const struct json *answers)
{
	struct request *r = pending_find(&s->pending, id);
	autofree char *text = NULL;
	struct err e;

	if (r == NULL || !r->question) {
		session_reply_err(s, who, ERR_QUESTION_NOT_FOUND,
		    "no open question has this id");
		return;
	}
	if (s->agent->ops->question(s->agent, id, answers, &e) == -1) {
		session_reply_failed(s, who, &e);
		return;
	}
	text = agent_answer_text(
	    answers != NULL ? answers->child : NULL, r->multi);
	pending_log_resolved(&s->uni, FROM_DAEMON, r,
	    answers != NULL ? "answered" : "rejected", text);
	pending_drop(&s->pending, r);
	session_reply_stored(s, who);
	unpark(s);
}

int
session_ask_permission(
    struct agent *a, const char *id, const char *action, const char *metadata)
{
	struct session *s = a->session;
	struct request *r;
	struct err e;

	r = pending_add(&s->pending, false, id, action, metadata, false);
	if (r == NULL)
		return -1;
	pending_log_requested(&s->uni, r);
	if (!pending_allowed(&s->pending, r))
		return 0;
	if (a->ops->permission(a, id, REPLY_ONCE, NULL, &e) == -1) {
		log_warn("session", "allowed request cannot be answered",
		    LOG_STR("why", e.text));
		return 0; /* it stays open */
	}
	pending_log_resolved(
	    &s->uni, FROM_DAEMON, r, permission_status(REPLY_ALWAYS), NULL);
	pending_drop(&s->pending, r);
	return 0;
}

int
session_ask_question(struct agent *a, const char *id, const char *prompt,
    const char *options, bool multi)
{
	struct session *s = a->session;
	struct request *r;

	r = pending_add(&s->pending, true, id, prompt, options, multi);
	if (r == NULL)
		return -1;
	pending_log_requested(&s->uni, r);
	return 0;
}

void
session_request_settled(
    struct agent *a, enum origin from, const char *id, const char *response)
{
	struct session *s = a->session;
	struct request *r = pending_find(&s->pending, id);

	if (r == NULL)
		return;
	pending_log_resolved(&s->uni, from, r,
	    !r->question       ? "reject"
	    : response != NULL ? "answered"
			       : "rejected",
	    response);
	pending_drop(&s->pending, r);
}
