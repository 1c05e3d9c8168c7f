/*
 * The messages of proto.def as tables, and their check. Runs in every process
 * of ours that has a channel. The sender is trusted with nothing but its
 * place: which role it has and which state it is in, its channel knows.
 *
 * The check never acts and never logs; it says which rule was broken, and
 * whoever owns the channel drops it.
 */
#include "proto.h"
#include "fdio.h"
#include "frame.h"
#include <string.h>

/* Who CHILD and the other words of the table are. */
#define WHO_SUPER BIT(ROLE_SUPER)
#define WHO_STORE BIT(ROLE_STORE)
#define WHO_INIT BIT(ROLE_INIT)
#define WHO_SESSION BIT(ROLE_SESSION)
#define WHO_RELAY BIT(ROLE_RELAY)
#define WHO_GATEWAY BIT(ROLE_GATEWAY)
#define WHO_COURIER BIT(ROLE_COURIER)
#define WHO_EGRESS BIT(ROLE_EGRESS)
/* Of a session worker, of an init's processes. */
#define WHO_CALLER (WHO_SUPER | WHO_GATEWAY)
#define WHO_CHILD                                                       \
	(WHO_STORE | WHO_INIT | WHO_SESSION | WHO_RELAY | WHO_GATEWAY | \
	    WHO_COURIER | WHO_EGRESS)
#define IS_REQUEST true
#define IS_NOTICE false
#define ANY (BIT(PS_N) - 1)

/* Members that frames carry for themselves stand before the fields of each
 * message, so that one table checks the whole frame. */
#define ENVELOPE                                                              \
	{ "op", JK_STR, true, 1, 32 }, { "id", JK_INT, false, 1, INT64_MAX }, \
	    { "fds", JK_INT, false, 0, FDIO_MAX_FDS },
#define ENVELOPE_N 3

/* One array for each message: its MSG row closes the array of the one before
 * and opens its own. The first, of no message, is there to be closed. */
static const struct json_field fields_[] ATTR_UNUSED = { ENVELOPE
#define MSG(sym, wire, sender, receiver, type, states, max, fds, help) \
	}                                                              \
	;                                                              \
	static const struct json_field fields_##sym[] = { ENVELOPE
#define FIELD(msg, name, kind, required, min, max) \
	{ name, kind, required, min, max },
#include "proto.def"
};

/* The same for replies. C has no empty arrays: a row stands before. */
#define NO_FIELD { "", JK_ANY, false, 0, 0 },
static const struct json_field reply_[] ATTR_UNUSED = { NO_FIELD
#define MSG(sym, wire, sender, receiver, type, states, max, fds, help) \
	}                                                              \
	;                                                              \
	static const struct json_field reply_##sym[] = { NO_FIELD
#define REPLY(msg, name, kind, required, min, max) \
	{ name, kind, required, min, max },
#include "proto.def"
};

const struct proto_msg proto_table[MSG_N] = {
#define MSG(sym, wire, sender, receiver, type, states_, max, fds, help_) \
	[MSG_##sym] = { .name = (wire),                                  \
		.senders = WHO_##sender,                                 \
		.receivers = WHO_##receiver,                             \
		.request = IS_##type,                                    \
		.states = (states_),                                     \
		.max_bytes = (max),                                      \
		.max_fds = (fds),                                        \
		.fields = fields_##sym + ENVELOPE_N,                     \
		.nfields = countof(fields_##sym) - ENVELOPE_N,           \
		.reply = reply_##sym + 1,                                \
		.nreply = countof(reply_##sym) - 1,                      \
		.help = (help_) },
#include "proto.def"
};

/* What a reply may be. `proc.run` brings most descriptors. */
#define REPLY_FDS_MAX 3
static const struct json_field reply_ok[] = {
	{ "id", JK_INT, true, 1, INT64_MAX },
	{ "ok", JK_OBJECT, true, 0, 0 },
	{ "fds", JK_INT, false, 0, REPLY_FDS_MAX },
};
static const struct json_field reply_error[] = {
	{ "id", JK_INT, true, 1, INT64_MAX },
	{ "error", JK_OBJECT, true, 0, 0 },
};
static const struct json_field error_body[] = {
	{ "code", JK_STR, true, 1, 64 },
	/* Each byte that is not UTF-8 was written as three. */
	{ "detail", JK_STR, true, 0, 3 * ERR_TEXT_MAX },
};

const char *
role_name(enum role r)
{
	static const char *const names[ROLE_N] = {
		[ROLE_SUPER] = "sandboxd",
		[ROLE_STORE] = "store",
		[ROLE_INIT] = "init",
		[ROLE_SESSION] = "session",
		[ROLE_RELAY] = "relay",
		[ROLE_GATEWAY] = "gateway",
		[ROLE_COURIER] = "courier",
		[ROLE_EGRESS] = "egress",
	};

	return (unsigned)r < ROLE_N ? names[r] : "unknown";
}

/* MSG_N when there is none. */
static enum msg_type
msg_find(const char *name)
{
	unsigned i;

	for (i = 0; i < MSG_N; i++) {
		if (strcmp(proto_table[i].name, name) == 0)
			break;
	}
	return (enum msg_type)i;
}

static int
check_reply_frame(
    const struct json *msg, size_t nfds, struct proto_in *in_out, struct err *e)
{
	const struct json *ok = json_get(msg, "ok");

	if (ok != NULL) {
		if (json_check(msg, reply_ok, countof(reply_ok), e) == -1)
			return err_prefix(e, "reply");
		if (nfds > REPLY_FDS_MAX)
			return err_set(
			    e, ERR_BAD_REQUEST, "reply: %zu descriptors", nfds);
		in_out->kind = PROTO_OK;
		in_out->body = ok;
	} else {
		if (json_check(msg, reply_error, countof(reply_error), e) == -1)
			return err_prefix(e, "reply");
		in_out->kind = PROTO_ERROR;
		in_out->body = json_get(msg, "error");
		if (json_check(
			in_out->body, error_body, countof(error_body), e) == -1)
			return err_prefix(e, "reply: error");
		if (nfds > 0)
			return err_set(e, ERR_BAD_REQUEST,
			    "reply: an error with descriptors");
	}
	in_out->type = MSG_N;
	in_out->id = json_int(msg, "id", 0);
	return 0;
}

int
proto_check(enum role sender, enum proc_state state, enum role receiver,
    const struct json *msg, size_t len, size_t nfds, struct proto_in *in_out,
    struct err *e)
{
	const struct proto_msg *m;
	const char *op;
	enum msg_type type;

	memset(in_out, 0, sizeof(*in_out));
	if (json_get(msg, "op") == NULL)
		return check_reply_frame(msg, nfds, in_out, e);
	op = json_str(msg, "op", "");
	type = msg_find(op);
	if (type == MSG_N)
		return err_set(e, ERR_BAD_REQUEST, "no message has this name");
	/* Who and when before what: a message from the wrong place is a
	 * breach however well it is made. */
	m = &proto_table[type];
	if ((m->senders & BIT(sender)) == 0)
		return err_set(e, ERR_BAD_REQUEST, "%s: not a message of %s",
		    m->name, role_name(sender));
	if ((m->receivers & BIT(receiver)) == 0)
		return err_set(e, ERR_BAD_REQUEST, "%s: not a message for %s",
		    m->name, role_name(receiver));
	if (sender != ROLE_SUPER && (m->states & BIT(state)) == 0)
		return err_set(
		    e, ERR_BAD_REQUEST, "%s: not allowed now", m->name);
	if (len > m->max_bytes)
		return err_set(e, ERR_TOO_LARGE,
		    "%s: %zu bytes, at most %zu allowed", m->name, len,
		    m->max_bytes);
	if (nfds > m->max_fds)
		return err_set(e, ERR_BAD_REQUEST,
		    "%s: %zu descriptors, at most %u allowed", m->name, nfds,
		    m->max_fds);
	if (json_check(
		msg, m->fields - ENVELOPE_N, m->nfields + ENVELOPE_N, e) == -1)
		return err_prefix(e, "%s", m->name);
	if (m->request != (json_get(msg, "id") != NULL))
		return err_set(e, ERR_BAD_REQUEST, "%s: %s an id", m->name,
		    m->request ? "without" : "with");
	in_out->kind = PROTO_MESSAGE;
	in_out->type = type;
	in_out->id = json_int(msg, "id", 0);
	in_out->body = msg;
	return 0;
}

int
proto_check_reply(enum msg_type request, const struct json *ok, struct err *e)
{
	const struct proto_msg *m = &proto_table[request];

	if (json_check(ok, m->reply, m->nreply, e) == -1)
		return err_prefix(e, "reply to %s", m->name);
	return 0;
}

void
proto_begin(struct jw *w, enum msg_type type, int64_t id)
{
	jw_kstr(w, "op", proto_table[type].name);
	if (id > 0)
		jw_kint(w, "id", id);
}
