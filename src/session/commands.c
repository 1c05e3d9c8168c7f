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
#include <ev.h>
#include <string.h>

#define MESSAGE_BYTES_MAX (2u << 20)

static char *
dup_or_null(const char *s)
{
	return s != NULL ? xstrdup(s) : NULL;
}

/* A value as JSON text, the caller's; NULL for NULL. */
static char *
text_or_null(const struct json *v)
{
	struct buf b;
	struct jw w;

	if (v == NULL)
		return NULL;
	buf_init(&b, MESSAGE_BYTES_MAX);
	jw_init(&w, &b);
	jw_value(&w, v);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

/* {"NAME":"value"} as NAME=value strings. */
static char **
env_vector(const struct json *map)
{
	char **v = xcalloc(map->len + 1, sizeof(*v));
	size_t n = 0;

	json_foreach (it, map)
		v[n++] = xasprintf("%s=%s", it->key, it->str);
	return v;
}

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
	s->conf.session = xstrdup(json_str(m, "session", ""));
	s->conf.agent = xstrdup(json_str(m, "agent", ""));
	if (json_get(m, "command") != NULL)
		s->conf.command = json_strv(json_get(m, "command"));
	if (s->conf.command != NULL && s->conf.command[0] == NULL) {
		strv_free(s->conf.command);
		s->conf.command = NULL;
	}
	s->conf.env = env_vector(json_get(m, "env"));
	s->conf.directory = xstrdup(json_str(m, "directory", "/"));
	s->conf.model = dup_or_null(json_str(m, "model", NULL));
	s->conf.permission_mode = xstrdup(json_str(m, "permission_mode", ""));
	s->conf.agent_mode = xstrdup(json_str(m, "agent_mode", ""));
	s->conf.mcp = text_or_null(json_get(m, "mcp"));
	s->conf.skills = text_or_null(json_get(m, "skills"));
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

/* The message, with its attachments as lines below it. */
static char *
message_text(const struct json *m, size_t *len_out)
{
	const struct json *text = json_get(m, "text");
	const struct json *list = json_get(m, "attachments");
	const char *path;
	struct buf b;

	buf_init(&b, MESSAGE_BYTES_MAX);
	(void)buf_add(&b, text->str, text->len);
	if (list != NULL && list->len > 0) {
		(void)buf_adds(&b, "\n\nAttachments:\n");
		json_foreach (it, list) {
			path = json_str(it, "path", NULL);
			if (path != NULL)
				(void)buf_addf(&b, "- %s\n", path);
		}
	}
	if (b.failed) {
		buf_free(&b);
		return NULL;
	}
	*len_out = b.len;
	return b.data != NULL ? buf_steal(&b) : xstrdup("");
}

static void
on_prompt(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f)
{
	const char *name = json_str(m, "key", NULL);
	struct key key = { 0 };
	size_t len = 0;
	char *text = message_text(m, &len);

	(void)f;
	if (name != NULL)
		key = key_of(
		    name, json_get(m, "text"), json_get(m, "attachments"));
	if (text == NULL)
		session_reply_err(s, who, ERR_TOO_LARGE,
		    "message and attachments are too long");
	else
		session_prompt(s, who, text, len, name != NULL ? &key : NULL);
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
	const char *model = json_str(m, "model", NULL);
	const char *mode = json_str(m, "permission_mode", NULL);
	struct err e;

	(void)f;
	if (s->agent->ops->configure(s->agent, model, mode, &e) == -1) {
		session_reply_failed(s, who, &e);
		return;
	}
	if (model != NULL) {
		free(s->conf.model);
		s->conf.model = xstrdup(model);
		s->dirty |= SET_MODEL;
	}
	if (mode != NULL) {
		free(s->conf.permission_mode);
		s->conf.permission_mode = xstrdup(mode);
		s->dirty |= SET_MODE;
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

static command *const commands[MSG_N] = {
	[MSG_SESSION_START] = on_start,
	[MSG_SESSION_STORE] = on_store,
	[MSG_SESSION_GATEWAY] = on_gateway,
	[MSG_SESSION_PROMPT] = on_prompt,
	[MSG_SESSION_CANCEL] = on_cancel,
	[MSG_SESSION_PERMISSION] = on_permission,
	[MSG_SESSION_QUESTION] = on_question,
	[MSG_SESSION_CONFIGURE] = on_configure,
	[MSG_SESSION_END] = on_end,
};

void
session_command(struct session *s, struct asker who, const struct proto_in *in,
    const struct chan_frame *f)
{
	command *fn = commands[in->type];

	if (fn == on_start || fn == on_store || fn == on_gateway ||
	    s->stage == STAGE_READY) {
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
	    in.kind != PROTO_MESSAGE || commands[in.type] == NULL) {
		log_error("session", "breach by the supervisor",
		    LOG_STR(
			"why", in.kind == PROTO_MESSAGE ? e.text : "a reply"));
		ev_break(s->loop, EVBREAK_ALL);
		return;
	}
	session_command(s, (struct asker){ 0, in.id }, &in, f);
}
