/*
 * The life of one session; see session.h. Runs in the session worker, inside
 * the sandbox, as its user. It trusts the supervisor's requests, which were
 * checked against proto.def, and the store's numbers. The agent is not
 * trusted: whatever it tells, turns begin and end in order, one at a time, and
 * nothing of a turn stays open when it has ended.
 */
#include "session/session.h"

#include "lib/frame.h"
#include "lib/log.h"
#include "lib/proto.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/conf.h"
#include "session/secrets.h"
#include <inttypes.h>
#include <string.h>

#define LEAVE_S 1.0 /* longest time between TERM and our exit */

struct reply {
	struct asker who;
	struct prompt_answer prompt;
};

void
turn_id(char dst[TURN_ID_MAX], uint64_t number)
{
	if (str_format(dst, TURN_ID_MAX, "turn_%" PRIu64, number) == -1)
		abort(); /* 5 + 20 bytes */
}

/* --- answers ------------------------------------------------------------- */

void
session_reply_failed(struct session *s, struct asker who, const struct err *e)
{
	struct chan *ch = asker_chan(s, who);

	if (ch != NULL && who.id != 0 && chan_reply_err(ch, who.id, e) == -1)
		asker_lost(s, who);
}

void
session_reply_err(
    struct session *s, struct asker who, enum err_code code, const char *text)
{
	struct err e;

	(void)err_set(&e, code, "%s", text);
	session_reply_failed(s, who, &e);
}

void
session_reply_ok(struct session *s, struct asker who)
{
	struct chan *ch = asker_chan(s, who);

	if (ch != NULL && who.id != 0 && chan_reply_ok(ch, who.id) == -1)
		asker_lost(s, who);
}

static int
prompt_reply(struct chan *ch, const struct reply *r)
{
	char id[TURN_ID_MAX];
	struct jw *w = chan_reply(ch, r->who.id);

	turn_id(id, r->prompt.turn);
	jw_kstr(w, "turn_id", id);
	jw_kint(w, "after", r->prompt.after);
	jw_kbool(w, "queued", r->prompt.queued);
	if (r->prompt.repeated)
		jw_kbool(w, "repeated", true);
	jw_object_end(w);
	return chan_end(ch, NULL, 0);
}

static void
on_stored(void *ctx, void *arg, const struct err *e)
{
	struct session *s = ctx;
	struct reply *r = arg;
	struct chan *ch = asker_chan(s, r->who);

	if (e != NULL)
		session_reply_failed(s, r->who, e);
	else if (r->prompt.turn == 0)
		session_reply_ok(s, r->who);
	else if (ch != NULL && prompt_reply(ch, r) == -1)
		asker_lost(s, r->who);
	free(r);
}

void
session_reply_prompt(
    struct session *s, struct asker who, struct prompt_answer answer)
{
	struct reply *r = xcalloc(1, sizeof(*r));

	r->who = who;
	r->prompt = answer;
	outbox_when_stored(&s->out, on_stored, r);
}

void
session_reply_stored(struct session *s, struct asker who)
{
	session_reply_prompt(s, who, (struct prompt_answer){ 0 });
}

/* --- what the outbox asks ------------------------------------------------ */

static void
on_attached(void *ctx, int64_t next, const struct json *record)
{
	struct session *s = ctx;
	struct buf b;
	struct jw w;

	s->next = next;
	/* The record outlives its frame: `start` may come later. */
	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_value(&w, record);
	if (b.failed ||
	    json_parse(b.data, b.len, RECORD_DEPTH, &s->record, NULL) == -1)
		log_warn("session", "the stored record cannot be read",
		    LOG_INT("next", next));
	buf_free(&b);
	if (s->start_id != 0)
		session_go(s);
}

static void
on_set(void *ctx, struct jw *w)
{
	struct session *s = ctx;

	if (s->kind != NULL && s->kind->set != NULL)
		s->kind->set(s, w);
	if (s->dirty & SET_STATE)
		jw_kstr(w, "state", s->state);
	s->dirty &= ~SET_STATE;
}

static void
on_full(void *ctx, bool full)
{
	struct session *s = ctx;

	if (s->stage == STAGE_READY)
		s->kind->pause(s, full);
}

static void
on_settled(void *ctx)
{
	struct session *s = ctx;

	if (s->kind != NULL && s->kind->settled != NULL)
		s->kind->settled(s);
}

static void
on_broken(void *ctx, const char *why)
{
	struct session *s = ctx;

	/* Going on would tear the log; the next worker starts from what the
	 * store says. */
	log_error("session", "store channel broken", LOG_STR("why", why));
	if (s->kind != NULL)
		s->kind->close(s);
	_exit(EXIT_BUG);
}

const struct outbox_hooks session_hooks = {
	.attached = on_attached,
	.set = on_set,
	.full = on_full,
	.settled = on_settled,
	.broken = on_broken,
};

void
session_tell_busy(struct session *s, const char *state)
{
	bool busy = strcmp(state, "turn") == 0;
	struct jw *w;

	if (s->super == NULL || s->told_busy == busy)
		return;
	s->told_busy = busy;
	w = chan_begin(s->super);
	proto_begin(w, MSG_SESSION_BUSY, 0);
	jw_kbool(w, "busy", busy);
	(void)chan_end(s->super, NULL, 0); /* else it is about to end */
}

void
session_state(struct session *s, const char *state)
{
	session_tell_busy(s, state);
	s->state = state;
	s->dirty |= SET_STATE;
	outbox_touch(&s->out);
}

/* --- beginning and end --------------------------------------------------- */

static const struct session_kind *
kind_find(const char *name)
{
	static const struct session_kind *const kinds[] = { &kind_universal,
		&kind_acp, &kind_probe };
	size_t i;

	for (i = 0; i < countof(kinds); i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}

static int
kind_open(struct session *s, bool fresh, struct err *e)
{
	const struct session_kind *kind = kind_find(s->conf.kind);

	if (kind == NULL)
		return err_set(
		    e, ERR_BAD_REQUEST, "there is no session of this kind");
	if (agent_find(s->conf.protocol) == NULL)
		return err_set(e, ERR_AGENT_UNKNOWN,
		    "the worker knows no agent of this name");
	s->kind = kind;
	return kind->open(s, fresh, e);
}

void
session_go(struct session *s)
{
	bool fresh = s->next == 1;
	struct err e;

	if (kind_open(s, fresh, &e) == -1) {
		s->stage = STAGE_REFUSED;
		(void)chan_reply_err(s->super, s->start_id, &e);
		callers_resume(s);
		return;
	}
	s->stage = STAGE_READY;
	if (fresh) {
		session_state(s, "idle");
		if (!s->kind->answers_start)
			session_reply_stored(
			    s, (struct asker){ 0, s->start_id });
	} else {
		/* It may have been stopped, or given up, in the meantime. */
		if (strcmp(json_str(s->record, "state", ""), "idle") != 0)
			session_state(s, "idle");
		if (!s->kind->answers_start)
			(void)chan_reply_ok(s->super, s->start_id);
	}
	json_free(STEAL(s->record));
	if (s->kind->opened != NULL)
		s->kind->opened(s);
	callers_resume(s);
}

static void
on_all_stored(void *ctx, void *arg, const struct err *e)
{
	struct session *s = ctx;

	(void)arg;
	if (e != NULL && s->stage == STAGE_ENDING) {
		/* The end is not stored: it is asked for again. */
		(void)chan_reply_err(s->super, s->end_id, e);
		s->end_id = 0;
		outbox_when_stored(&s->out, on_all_stored, NULL);
		return;
	}
	if (s->stage == STAGE_ENDING && s->end_id != 0)
		(void)chan_reply_ok(s->super, s->end_id);
	ev_break(s->loop, EVBREAK_ALL);
}

void
session_over(struct session *s)
{
	if (s->stage == STAGE_ENDING)
		session_state(s, "ended");
	outbox_when_stored(&s->out, on_all_stored, NULL);
}

void
session_end(struct session *s, int64_t request_id)
{
	s->stage = STAGE_ENDING;
	s->end_id = request_id;
	s->kind->stop(s);
}

static void
on_leave_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

void
session_leave(struct session *s)
{
	if (s->stage == STAGE_LEAVING)
		return;
	ev_timer_start(s->loop, &s->leave);
	if (s->stage == STAGE_ENDING)
		return; /* on its way already; the timer bounds it */
	if (s->stage != STAGE_READY) {
		ev_break(s->loop, EVBREAK_ALL);
		return;
	}
	s->stage = STAGE_LEAVING;
	s->kind->stop(s);
}

void
session_init(struct session *s, struct ev_loop *loop)
{
	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->state = "starting";
	TAILQ_INIT(&s->queue);
	LIST_INIT(&s->callers);
	outbox_init(&s->out, loop, &session_hooks, s);
	uni_init(&s->uni, &s->out);
	pending_init(&s->pending);
	ev_timer_init(&s->leave, on_leave_timeout, LEAVE_S, 0.);
}

void
session_free(struct session *s)
{
	if (s->kind != NULL)
		s->kind->close(s);
	ev_timer_stop(s->loop, &s->leave);
	session_drop_queue(s);
	replay_drop(s);
	pending_free(&s->pending);
	uni_free(&s->uni);
	secrets_free(s->secrets);
	outbox_free(&s->out);
	callers_free(s);
	chan_free(s->super);
	keys_free(&s->keys);
	json_free(s->record);
	free(s->checkpoint);
	conf_free(&s->conf);
}
