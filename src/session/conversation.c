/*
 * A session of kind universal: one agent, one conversation, a log of the
 * universal schema; see session.h. Runs in the session worker. What is here is
 * how it begins, goes on in a later worker, and ends; turns.c and asks.c are
 * what happens in between.
 */
#include "session/session.h"

#include "session/conf.h"
#include "session/secrets.h"

#include "lib/xalloc.h"
#include <malloc.h>
#include <string.h>

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

/* What the last worker has written: it knows better than `start` what was
 * changed meanwhile. */
static void
adopt_record(struct session *s)
{
	struct agent_conf *c = &s->conf;
	const struct {
		const char *key;
		char **member;
	} kept[] = {
		{ "model", &c->model },
		{ "permission_mode", &c->permission_mode },
		{ "agent_mode", &c->agent_mode },
		{ "thought_level", &c->thought_level },
	};
	const char *v;
	size_t i;

	v = json_str(s->record, "native_session_id", NULL);
	uni_native_session(&s->uni, v);
	for (i = 0; i < countof(kept); i++) {
		v = json_str(s->record, kept[i].key, NULL);
		if (v != NULL)
			conf_set(kept[i].member, v);
	}
	checkpoint_read(s, json_get(s->record, "checkpoint"));
	keys_read(&s->keys, json_get(s->record, "keys"));
}

static int
universal_open(struct session *s, bool fresh, struct err *e)
{
	const struct agent_ops *ops = agent_find(s->conf.protocol);

	s->secrets = secrets_of(s->conf.env);
	s->uni.secrets = s->secrets;
	s->agent =
	    agent_new(ops, &session_host, s, s, &s->conf, &s->uni, s->loop);
	if (!fresh)
		adopt_record(s);
	if (ops->open(s->agent, fresh, e) == -1)
		return -1;
	if (fresh)
		log_started(s);
	else
		close_left_open(s);
	return 0;
}

static void
universal_set(struct session *s, struct jw *w)
{
	const struct agent_conf *c = &s->conf;
	struct buf b;

	if (s->dirty & SET_NATIVE && s->uni.native_session != NULL)
		jw_kstr(w, "native_session_id", s->uni.native_session);
	if (s->dirty & SET_MODEL && c->model != NULL)
		jw_kstr(w, "model", c->model);
	if (s->dirty & SET_MODE)
		jw_kstr(w, "permission_mode", c->permission_mode);
	if (s->dirty & SET_AGENT_MODE)
		jw_kstr(w, "agent_mode", c->agent_mode);
	if (s->dirty & SET_THOUGHT_LEVEL && c->thought_level != NULL)
		jw_kstr(w, "thought_level", c->thought_level);
	if (s->dirty & SET_KEYS) {
		jw_key(w, "keys");
		keys_write(&s->keys, w);
	}
	s->dirty &= SET_STATE;
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
universal_pause(struct session *s, bool on)
{
	s->agent->ops->pause(s->agent, on);
}

static void
universal_settled(struct session *s)
{
	/* An idle session is to cost little. */
	if (!s->turn_open)
		(void)malloc_trim(0);
}

static void
universal_stop(struct session *s)
{
	struct prompt *p;

	if (s->stage == STAGE_ENDING) {
		TAILQ_FOREACH (p, &s->queue, link)
			p->cancelled = true;
		session_decline(s, true);
		agent_turn_ended(s->agent, "cancelled", NULL);
	} else if (s->turn_open) {
		uni_error(&s->uni, FROM_DAEMON, "worker_stopped",
		    "the sandbox was stopped while a turn ran", NULL);
		agent_turn_ended(s->agent, "error", NULL);
	}
	s->agent->ops->stop(s->agent);
}

void
session_stopped(struct agent *a)
{
	struct session *s = a->session;

	if (s->stage == STAGE_ENDING)
		uni_session_ended(&s->uni, "terminated", "daemon");
	session_over(s);
}

static void
universal_close(struct session *s)
{
	if (s->agent != NULL)
		s->agent->ops->close(s->agent);
	free(STEAL(s->agent));
}

const struct session_kind kind_universal = {
	.name = "universal",
	.open = universal_open,
	.opened = session_pump,
	.set = universal_set,
	.pause = universal_pause,
	.settled = universal_settled,
	.stop = universal_stop,
	.close = universal_close,
};
