/*
 * Turns: the messages that wait, the one that is worked on, and how turns begin
 * and end; see session.h. Runs in the session worker. The agent is not
 * trusted: whatever it tells, there is one turn at a time, its start comes
 * before all else of it, and when it ends nothing of it stays open.
 */
#include "session/session.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <inttypes.h>
#include <string.h>

static void
prompt_drop(struct session *s, struct prompt *p)
{
	TAILQ_REMOVE(&s->queue, p, link);
	s->nqueue--;
	s->queue_bytes -= p->bytes;
	if (p->saved)
		s->saved_bytes -= p->bytes;
	free(p->text);
	free(p->parts);
	free(p);
}

static void
turn_begin(struct session *s, uint64_t number, const char *metadata)
{
	char id[TURN_ID_MAX];

	turn_id(id, number);
	uni_turn_started(&s->uni, id, metadata);
	s->turn = number;
	s->turn_open = true;
	s->parked = false;
	s->cancelling = false;
	session_state(s, "turn");
}

static void
log_user_message(
    struct session *s, const struct prompt *p, const struct agent_message *m)
{
	char native[TURN_ID_MAX];
	autofree char *flat = agent_message_flat(m, false);
	struct part part = PART(PART_TEXT, flat);
	const struct item it = { .native_id = native,
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_USER,
		.origin = FROM_DAEMON,
		.parts = &part,
		.nparts = 1 };

	if (str_format(native, sizeof(native), "user_%" PRIu64, p->number) ==
	    -1)
		abort(); /* 5 + 20 bytes */
	uni_item_started(&s->uni, &it);
	uni_item_completed(&s->uni, &it, ITEM_COMPLETED);
}

/* The message is on its way to the store: who sends its key again is told
 * what became of it. */
static void
key_note(struct session *s, const struct prompt *p, int64_t after)
{
	struct key k = p->key;

	if (!p->keyed)
		return;
	k.turn = p->number;
	k.after = after;
	keys_add(&s->keys, &k);
	s->dirty |= SET_KEYS;
}

static void
turn_start(struct session *s, struct prompt *p)
{
	struct agent_message m = { .text = p->text, .len = p->len };
	struct prompt_answer answer;
	struct json *parts = NULL;
	int64_t after;
	struct err e;
	unsigned i;

	/* It was written by us, or read from our own checkpoint. */
	if (p->parts != NULL && json_parse(p->parts, strlen(p->parts),
				    JSON_DEPTH_AGENT, &parts, NULL) == 0)
		m.parts = parts;

	if (s->turn_open)
		agent_turn_ended(s->agent, "end_turn", NULL);
	uni_raw(&s->uni, NULL, 0);
	after = outbox_last(&s->out);
	turn_begin(s, p->number, NULL);
	if (!s->agent->ops->echoes_user || p->cancelled)
		log_user_message(s, p, &m);
	/* Behind the message, so that no batch holds the key without it. */
	if (!p->saved)
		key_note(s, p, after);
	answer = (struct prompt_answer){ p->number, after, p->saved, false };
	for (i = 0; i < p->naskers; i++) {
		session_reply_prompt(s, p->askers[i], answer);
		answer.repeated = true;
	}
	if (p->cancelled) {
		agent_turn_ended(s->agent, "cancelled", NULL);
		json_free(parts);
		return;
	}
	replay_keep(s, xstrndup(p->text, p->len),
	    p->parts != NULL ? xstrdup(p->parts) : NULL);
	if (s->agent->ops->prompt(s->agent, p->number, &m, &e) == -1) {
		uni_error(&s->uni, FROM_DAEMON, err_wire(e.code), e.text, NULL);
		agent_turn_ended(s->agent, "error", NULL);
	}
	json_free(parts);
}

/* Start turns while one may start. An adapter may end a turn before its
 * prompt function returns: hence the loop, and the guard against recursion. */
void
session_pump(struct session *s)
{
	struct prompt *p;

	if (s->pumping)
		return;
	s->pumping = true;
	while ((!s->turn_open || s->parked) && s->stage != STAGE_LEAVING &&
	       (p = TAILQ_FIRST(&s->queue)) != NULL) {
		turn_start(s, p);
		prompt_drop(s, p);
	}
	s->pumping = false;
}

/* Was KEY here before? Then WHO is answered as the first was. */
static bool
key_known(struct session *s, struct asker who, const struct key *key)
{
	const struct key *k = keys_find(&s->keys, key);
	struct prompt *p = NULL;

	if (k == NULL) {
		TAILQ_FOREACH (p, &s->queue, link) {
			if (p->keyed && !p->saved && key_same(&p->key, key))
				break;
		}
		if (p == NULL)
			return false;
	}
	if ((k != NULL ? k : &p->key)->content != key->content)
		session_reply_err(s, who, ERR_KEY_REUSED,
		    "this key came with another message");
	else if (k != NULL)
		session_reply_prompt(s, who,
		    (struct prompt_answer){ k->turn, k->after, false, true });
	else if (p->naskers == PROMPT_ASKERS)
		session_reply_err(
		    s, who, ERR_LIMIT, "the message waits for its turn");
	else
		p->askers[p->naskers++] = who;
	return true;
}

static bool
no_room(struct session *s, struct asker who, size_t len)
{
	if (s->out.refused)
		session_reply_err(s, who, ERR_DISK_FULL,
		    "the store accepts no events at present");
	else if (s->nqueue >= QUEUE_MAX ||
		 s->queue_bytes + len > QUEUE_BYTES_MAX)
		session_reply_err(s, who, ERR_LIMIT,
		    "too many messages wait for the running turn");
	else
		return false;
	return true;
}

void
session_prompt(struct session *s, struct asker who, char *text, size_t len,
    char *parts, const struct key *key)
{
	size_t bytes = len + (parts != NULL ? strlen(parts) : 0);
	struct prompt *p;
	bool now = (!s->turn_open || s->parked) && TAILQ_EMPTY(&s->queue);

	if ((key != NULL && key_known(s, who, key)) || no_room(s, who, bytes)) {
		free(text);
		free(parts);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->number = ++s->turns;
	p->text = text;
	p->parts = parts;
	p->len = len;
	p->bytes = bytes;
	p->askers[p->naskers++] = who;
	p->keyed = key != NULL;
	if (key != NULL)
		p->key = *key;
	TAILQ_INSERT_TAIL(&s->queue, p, link);
	s->nqueue++;
	s->queue_bytes += bytes;
	/* A waiting message is acknowledged once it is in the checkpoint. One
	 * too long for that is acknowledged when its turn starts. */
	if (!now && s->saved_bytes + bytes <= QUEUE_SAVED_BYTES) {
		p->saved = true;
		s->saved_bytes += bytes;
		p->naskers = 0;
		key_note(s, p, outbox_last(&s->out));
		outbox_touch(&s->out);
		session_reply_prompt(s, who,
		    (struct prompt_answer){
			p->number, outbox_last(&s->out), true, false });
	}
	session_pump(s);
}

void
session_cancel(struct session *s, struct asker who)
{
	struct prompt *p;
	struct err e;

	if (!s->turn_open && s->pending.n == 0) {
		session_reply_err(
		    s, who, ERR_TURN_NOT_RUNNING, "no turn is running");
		return;
	}
	TAILQ_FOREACH (p, &s->queue, link)
		p->cancelled = true;
	if (!s->turn_open || s->parked || replay_waits(s)) {
		session_decline(s, true);
		if (s->turn_open)
			agent_turn_ended(s->agent, "cancelled", NULL);
	} else if (!s->cancelling) {
		s->cancelling = true;
		if (s->agent->ops->cancel(s->agent, &e) == -1) {
			session_reply_failed(s, who, &e);
			return;
		}
	}
	session_reply_ok(s, who);
}

void
session_native_id(struct agent *a, const char *id)
{
	struct session *s = a->session;
	const char *old = s->uni.native_session;

	if (id == old || (id != NULL && old != NULL && strcmp(id, old) == 0))
		return;
	uni_native_session(&s->uni, id);
	s->dirty |= SET_NATIVE;
	outbox_touch(&s->out);
}

bool
session_turn_open(const struct agent *a)
{
	return a->session->turn_open;
}

bool
session_cancelling(const struct agent *a)
{
	return a->session->cancelling;
}

void
session_turn_begun(struct agent *a)
{
	struct session *s = a->session;

	if (!s->turn_open)
		turn_begin(s, ++s->turns, "{\"initiated_by\":\"agent\"}");
}

void
session_turn_ended(struct agent *a, const char *stop_reason, const char *more)
{
	struct session *s = a->session;
	char id[TURN_ID_MAX];
	struct buf b;

	if (!s->turn_open)
		return;
	uni_close_items(&s->uni);
	if (!a->ops->keeps_requests || s->cancelling)
		session_decline(s, false);
	turn_id(id, s->turn);
	buf_init(&b, 64u << 10);
	(void)buf_addf(&b, "{\"stop_reason\":\"%s\"", stop_reason);
	if (more != NULL && strlen(more) > 2)
		(void)buf_addf(&b, ",%s", more + 1);
	else
		(void)buf_addc(&b, '}');
	uni_turn_ended(&s->uni, id, b.failed ? NULL : b.data);
	buf_free(&b);
	s->turn_open = false;
	s->parked = false;
	s->cancelling = false;
	replay_drop(s);
	pending_turn_over(&s->pending);
	session_state(s, "idle");
	session_pump(s);
	if (!s->turn_open)
		uni_trim(&s->uni);
}

void
session_turn_parked(struct agent *a)
{
	a->session->parked = true;
	outbox_touch(&a->session->out);
	session_pump(a->session);
}

void
session_mode_changed(struct agent *a, const char *permission_mode)
{
	struct session *s = a->session;

	if (strcmp(s->conf.permission_mode, permission_mode) == 0)
		return;
	free(s->conf.permission_mode);
	s->conf.permission_mode = xstrdup(permission_mode);
	s->dirty |= SET_MODE;
	outbox_touch(&s->out);
}

bool
session_settled(const struct agent *a)
{
	return outbox_settled(&a->session->out);
}

void
session_drop_queue(struct session *s)
{
	while (!TAILQ_EMPTY(&s->queue))
		prompt_drop(s, TAILQ_FIRST(&s->queue));
}
