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
#include <inttypes.h>
#include <malloc.h>
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
	    json_parse(b.data, b.len, JSON_DEPTH_AGENT, &s->record, NULL) == -1)
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
	struct buf b;

	if (s->dirty & SET_STATE)
		jw_kstr(w, "state", s->state);
	if (s->dirty & SET_NATIVE && s->uni.native_session != NULL)
		jw_kstr(w, "native_session_id", s->uni.native_session);
	if (s->dirty & SET_MODEL && s->conf.model != NULL)
		jw_kstr(w, "model", s->conf.model);
	if (s->dirty & SET_MODE)
		jw_kstr(w, "permission_mode", s->conf.permission_mode);
	if (s->dirty & SET_KEYS) {
		jw_key(w, "keys");
		keys_write(&s->keys, w);
	}
	s->dirty = 0;
	buf_init(&b, 256u << 10);
	checkpoint_write(s, &b);
	if (b.failed ||
	    (s->checkpoint != NULL && strcmp(s->checkpoint, b.data) == 0)) {
		buf_free(&b);
		return;
	}
	jw_key(w, "checkpoint");
	jw_raw(w, b.data, b.len);
	free(s->checkpoint);
	s->checkpoint = buf_steal(&b);
}

static void
on_full(void *ctx, bool full)
{
	struct session *s = ctx;

	if (s->agent != NULL && s->stage == STAGE_READY)
		s->agent->ops->pause(s->agent, full);
}

static void
on_settled(void *ctx)
{
	struct session *s = ctx;

	/* An idle session is to cost little. */
	if (!s->turn_open)
		(void)malloc_trim(0);
}

static void
on_broken(void *ctx, const char *why)
{
	struct session *s = ctx;

	/* Going on would tear the log; the next worker starts from what the
	 * store says. */
	log_error("session", "store channel broken", LOG_STR("why", why));
	if (s->agent != NULL)
		s->agent->ops->close(s->agent);
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
session_state(struct session *s, const char *state)
{
	s->state = state;
	s->dirty |= SET_STATE;
	outbox_touch(&s->out);
}

/* --- beginning and end --------------------------------------------------- */

static void
log_started(struct session *s)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 64u << 10);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "agent", s->conf.agent);
	jw_kstr(&w, "model", s->conf.model);
	jw_kstr(&w, "permission_mode", s->conf.permission_mode);
	jw_kstr(&w, "agent_mode", s->conf.agent_mode);
	jw_kstr(&w, "directory", s->conf.directory);
	jw_object_end(&w);
	uni_session_started(&s->uni, b.failed ? NULL : b.data);
	buf_free(&b);
}

/* The worker before us died, or its machine did: what it left open cannot go
 * on, and the log must say so. */
static void
close_left_open(struct session *s)
{
	if (!s->turn_open)
		return;
	uni_close_items(&s->uni);
	session_decline(s, false);
	uni_error(&s->uni, FROM_DAEMON, "worker_restarted",
	    "the session's worker was restarted while a turn ran", NULL);
	agent_turn_ended(s->agent, "error", NULL);
}

static void
adopt_record(struct session *s)
{
	const char *v;

	v = json_str(s->record, "native_session_id", NULL);
	uni_native_session(&s->uni, v);
	if ((v = json_str(s->record, "model", NULL)) != NULL) {
		free(s->conf.model);
		s->conf.model = xstrdup(v);
	}
	if ((v = json_str(s->record, "permission_mode", NULL)) != NULL) {
		free(s->conf.permission_mode);
		s->conf.permission_mode = xstrdup(v);
	}
	checkpoint_read(s, json_get(s->record, "checkpoint"));
	keys_read(&s->keys, json_get(s->record, "keys"));
}

void
session_go(struct session *s)
{
	const struct agent_ops *ops = agent_find(s->conf.agent);
	bool fresh = s->next == 1;
	struct err e;

	if (ops == NULL) {
		s->stage = STAGE_REFUSED;
		session_reply_err(s, (struct asker){ 0, s->start_id },
		    ERR_AGENT_UNKNOWN,
		    "the worker knows no agent of this name");
		callers_resume(s);
		return;
	}
	s->agent = xcalloc(1, ops->size);
	s->agent->ops = ops;
	s->agent->session = s;
	s->agent->conf = &s->conf;
	s->agent->out = &s->uni;
	s->agent->loop = s->loop;
	if (!fresh)
		adopt_record(s);
	if (ops->open(s->agent, fresh, &e) == -1) {
		s->stage = STAGE_REFUSED;
		(void)chan_reply_err(s->super, s->start_id, &e);
		callers_resume(s);
		return;
	}
	s->stage = STAGE_READY;
	if (fresh) {
		log_started(s);
		session_state(s, "idle");
		session_reply_stored(s, (struct asker){ 0, s->start_id });
	} else {
		close_left_open(s);
		/* It may have been stopped, or given up, in the meantime. */
		if (strcmp(json_str(s->record, "state", ""), "idle") != 0)
			session_state(s, "idle");
		(void)chan_reply_ok(s->super, s->start_id);
	}
	json_free(STEAL(s->record));
	session_pump(s);
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
agent_stopped(struct agent *a)
{
	struct session *s = a->session;

	if (s->stage == STAGE_ENDING) {
		uni_session_ended(&s->uni, "terminated", "daemon");
		session_state(s, "ended");
	}
	outbox_when_stored(&s->out, on_all_stored, NULL);
}

void
session_end(struct session *s, int64_t request_id)
{
	struct prompt *p;

	s->stage = STAGE_ENDING;
	s->end_id = request_id;
	TAILQ_FOREACH (p, &s->queue, link)
		p->cancelled = true;
	session_decline(s, true);
	agent_turn_ended(s->agent, "cancelled", NULL);
	s->agent->ops->stop(s->agent);
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
	if (s->turn_open) {
		uni_error(&s->uni, FROM_DAEMON, "worker_stopped",
		    "the sandbox was stopped while a turn ran", NULL);
		agent_turn_ended(s->agent, "error", NULL);
	}
	s->agent->ops->stop(s->agent);
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
	if (s->agent != NULL)
		s->agent->ops->close(s->agent);
	free(s->agent);
	ev_timer_stop(s->loop, &s->leave);
	session_drop_queue(s);
	pending_free(&s->pending);
	uni_free(&s->uni);
	outbox_free(&s->out);
	callers_free(s);
	chan_free(s->super);
	keys_free(&s->keys);
	json_free(s->record);
	free(s->checkpoint);
	free(s->conf.session);
	free(s->conf.agent);
	strv_free(s->conf.command);
	strv_free(s->conf.env);
	free(s->conf.directory);
	free(s->conf.model);
	free(s->conf.permission_mode);
	free(s->conf.agent_mode);
	free(s->conf.mcp);
	free(s->conf.skills);
}
