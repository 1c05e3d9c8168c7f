/*
 * The supervisor's requests, one handler each. Runs in the session worker. The
 * frames were checked against proto.def; what is left to check is whether a
 * request makes sense now.
 *
 * Every request is answered once: at once with an error, or with ok when what
 * it caused is stored.
 */
#include "session/session.h"

#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/proto.h"
#include "lib/xalloc.h"
#include "session/acp/door.h"
#include "session/conf.h"
#include <ev.h>
#include <string.h>

#define MESSAGE_BYTES_MAX (2u << 20)

static void
on_start(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f)
{
	(void)f;
	if (s->start_id != 0) {
		session_reply_err(s, who, ERR_BAD_REQUEST, "started already");
		return;
	}
	s->start_id = who.id;
	conf_read(&s->conf, m);
	if (s->next != 0)
		session_go(s);
}

static void
on_store(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f)
{
	(void)who;
	(void)m;
	if (f->nfds == 1)
		outbox_connect(&s->out, fd_steal(&f->fds[0]));
	else
		log_warn("session", "store channel without a descriptor");
}

static void
on_gateway(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f)
{
	(void)who;
	(void)m;
	if (f->nfds == 1)
		caller_add(s, fd_steal(&f->fds[0]));
	else
		log_warn("session", "gateway channel without a descriptor");
}

/* The attachments, {path, mime, filename}, as content blocks; NULL when there
 * are none. */
static char *
message_parts(const struct json *list)
{
	const char *path, *name;
	struct buf b;
	struct jw w;

	if (list == NULL || list->len == 0)
		return NULL;
	buf_init(&b, MESSAGE_BYTES_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	json_foreach (it, list) {
		autofree char *uri = NULL;

		path = json_str(it, "path", NULL);
		if (path == NULL)
			continue;
		uri = xasprintf("file://%s", path);
		name = strrchr(path, '/');
		jw_object(&w);
		jw_kstr(&w, "type", "resource_link");
		jw_kstr(&w, "uri", uri);
		jw_kstr(&w, "name",
		    json_str(it, "filename", name != NULL ? name + 1 : path));
		if (json_str(it, "mime", NULL) != NULL)
			jw_kstr(&w, "mimeType", json_str(it, "mime", NULL));
		jw_object_end(&w);
	}
	jw_array_end(&w);
	return buf_steal(&b); /* the list came in a frame */
}

static void
on_prompt(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f)
{
	const char *name = json_str(m, "key", NULL);
	const struct json *text = json_get(m, "text");
	struct key key = { 0 };

	(void)f;
	if (name != NULL)
		key = key_of(name, text, json_get(m, "attachments"));
	session_prompt(s, who, xstrndup(text->str, text->len), text->len,
	    message_parts(json_get(m, "attachments")),
	    name != NULL ? &key : NULL);
}

static void
on_cancel(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f)
{
	(void)m;
	(void)f;
	session_cancel(s, who);
}

static void
on_permission(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f)
{
	static const char *const words[REPLY_N] = {
		[REPLY_ONCE] = "once",
		[REPLY_ALWAYS] = "always",
		[REPLY_REJECT] = "reject",
	};
	const char *word = json_str(m, "reply", "");
	unsigned r;

	(void)f;
	for (r = 0; r < REPLY_N; r++)
		if (strcmp(words[r], word) == 0)
			break;
	if (r == REPLY_N)
		session_reply_err(s, who, ERR_BAD_REQUEST,
		    "reply must be once, always or reject");
	else
		session_permission(s, who, json_str(m, "permission_id", ""),
		    (enum agent_reply)r, json_str(m, "message", NULL));
}

static void
on_question(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f)
{
	(void)f;
	session_question(
	    s, who, json_str(m, "question_id", ""), json_get(m, "answers"));
}

static void
on_configure(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f)
{
	const struct agent_settings set = {
		.model = json_str(m, "model", NULL),
		.permission_mode = json_str(m, "permission_mode", NULL),
		.agent_mode = json_str(m, "agent_mode", NULL),
		.thought_level = json_str(m, "thought_level", NULL),
	};
	struct agent_conf *c = &s->conf;
	const struct {
		const char *value;
		char **member;
		unsigned bit;
	} changes[] = {
		{ set.model, &c->model, SET_MODEL },
		{ set.permission_mode, &c->permission_mode, SET_MODE },
		{ set.agent_mode, &c->agent_mode, SET_AGENT_MODE },
		{ set.thought_level, &c->thought_level, SET_THOUGHT_LEVEL },
	};
	struct err e;
	size_t i;

	(void)f;
	if (s->agent->ops->configure(s->agent, &set, &e) == -1) {
		session_reply_failed(s, who, &e);
		return;
	}
	for (i = 0; i < countof(changes); i++) {
		if (changes[i].value == NULL)
			continue;
		conf_set(changes[i].member, changes[i].value);
		s->dirty |= changes[i].bit;
	}
	outbox_touch(&s->out);
	session_reply_stored(s, who);
}

static void
on_end(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f)
{
	(void)m;
	(void)f;
	session_end(s, who.id);
}

typedef void command(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f);

/* What a session takes when it is ready; ONLY: of this kind. */
static const struct {
	command *fn;
	const struct session_kind *only;
} commands[MSG_N] = {
	[MSG_SESSION_START] = { on_start, NULL },
	[MSG_SESSION_STORE] = { on_store, NULL },
	[MSG_SESSION_GATEWAY] = { on_gateway, NULL },
	[MSG_SESSION_PROMPT] = { on_prompt, &kind_universal },
	[MSG_SESSION_CANCEL] = { on_cancel, &kind_universal },
	[MSG_SESSION_PERMISSION] = { on_permission, &kind_universal },
	[MSG_SESSION_QUESTION] = { on_question, &kind_universal },
	[MSG_SESSION_CONFIGURE] = { on_configure, &kind_universal },
	[MSG_SESSION_ACP] = { acp_door_take, &kind_acp },
	[MSG_SESSION_END] = { on_end, NULL },
};

void
session_command(struct session *s, struct asker who, const struct proto_in *in,
    const struct chan_frame *f)
{
	command *fn = commands[in->type].fn;

	if (fn == on_start || fn == on_store || fn == on_gateway) {
		fn(s, who, in->body, f);
		return;
	}
	if (s->stage == STAGE_READY) {
		if (commands[in->type].only != NULL &&
		    commands[in->type].only != s->kind)
			session_reply_err(s, who, ERR_BAD_REQUEST,
			    "the session is of another kind");
		else
			fn(s, who, in->body, f);
		return;
	}
	switch (s->stage) {
	case STAGE_WAITING:
	case STAGE_REFUSED:
		session_reply_err(
		    s, who, ERR_SESSION_FAILED, "the session has not started");
		break;
	case STAGE_ENDING:
		if (fn == on_end && s->end_id == 0)
			s->end_id =
			    in->id; /* the first was answered: refused */
		else
			session_reply_err(
			    s, who, ERR_SESSION_ENDED, "the session is ending");
		break;
	default:
		session_reply_err(s, who, ERR_SHUTTING_DOWN,
		    "the session's worker is stopping");
		break;
	}
}

void
session_frame(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct session *s = ctx;
	struct proto_in in = { .kind = PROTO_MESSAGE };
	struct err e = { .code = ERR_NONE };

	(void)ch; /* s->super */
	if (what == CHAN_CLOSED) {
		/* The supervisor is gone, and so is whoever would stop us. */
		log_info("session", "supervisor gone", LOG_STR("why", why));
		ev_break(s->loop, EVBREAK_ALL);
		return;
	}
	if (proto_check(ROLE_SUPER, PS_RUNNING, ROLE_SESSION, f->msg, f->len,
		f->nfds, &in, &e) == -1 ||
	    in.kind != PROTO_MESSAGE || commands[in.type].fn == NULL) {
		log_error("session", "breach by the supervisor",
		    LOG_STR(
			"why", in.kind == PROTO_MESSAGE ? e.text : "a reply"));
		ev_break(s->loop, EVBREAK_ALL);
		return;
	}
	session_command(s, (struct asker){ 0, in.id }, &in, f);
}
