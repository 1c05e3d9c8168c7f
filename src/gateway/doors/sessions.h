/*
 * What the doors of /v1/sessions share.
 *
 * Below /i/{sandbox}, and for a token that is limited to a sandbox, only the
 * sessions of that sandbox exist.
 */
#ifndef GATEWAY_DOORS_SESSIONS_H
#define GATEWAY_DOORS_SESSIONS_H

#include "gateway/db.h"
#include "gateway/req.h"

/* Of a record: what a worker may put into it, and what is around that. */
#define RECORD_DEPTH (JSON_DEPTH_AGENT + 4)

/* The sandbox whose sessions exist for R; NULL: all. */
const char *session_scope(const struct req *r);
/* Is this id one of those that ACP servers and probes have? They are sessions
 * too, but none of these routes. */
bool session_is_hidden(const char *id, size_t len);
/* The session that the path names, between db_begin and db_end. */
bool session_look(const struct req *r, struct db_session *s_out);
/* The same, alone; when it is not there the request has been answered. */
bool session_find(struct req *r, struct db_session *s_out);
/* 404 for the session of the path. */
void session_missing(struct req *r);
/* The request's Idempotency-Key, NULL without one; -1: the request was
 * answered, as it is none. */
int session_key(struct req *r, const char **key_out);
/* What a worker, or the way to it, has refused. */
void session_fail(struct req *r, const struct err *e);

/* Events of a session behind AFTER. */
struct events_from {
	uint64_t log, after;
	bool raw;
	bool envelopes; /* the native messages alone, as `message` events */
	const char *session; /* NULL: the one that the path names */
	const char *sandbox; /* NULL; or of its log, not of a session's */
	const char *turn;    /* a turn's stream: which; NULL: it has no end */
};
/* Answer R by a stream of server-sent events. */
void events_stream(struct req *r, const struct events_from *from);

/* The members of a create's body that need more than a look at their type:
 * write them to W as the supervisor gets them; -1: the request was answered. */
int session_mcp_write(struct req *r, struct jw *w);
int session_skills_write(struct req *r, struct jw *w);

#endif
