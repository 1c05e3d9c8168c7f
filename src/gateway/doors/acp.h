/*
 * What the doors of /v1/acp share.
 *
 * An ACP server is a session of kind acp, whose id is made of the sandbox's and
 * the client's name for it. Its record and its envelopes are read from the
 * store's map; what clients say goes to its worker.
 */
#ifndef GATEWAY_DOORS_ACP_H
#define GATEWAY_DOORS_ACP_H

#include "gateway/db.h"
#include "gateway/req.h"

#define ACP_AGENT_MAX 64 /* bytes of an agent's name */

struct acp_found {
	uint64_t log;
	bool starting; /* nobody knows yet whether it can be made */
	char agent[ACP_AGENT_MAX + 1];
};

/* What all ids of SANDBOX's servers begin with, into DST. */
void acp_prefix(char dst[SESSION_ID_MAX + 1], const char *sandbox);
/* The session of the server that R's path names. -1: no server can have this
 * name. */
int acp_session(const struct req *r, char dst[SESSION_ID_MAX + 1]);
/* 1: it is there, 0: not (one that has ended is not there), -1: nobody can
 * tell now. OUT may be NULL. */
int acp_find(struct gateway *gw, const char *session, struct acp_found *out,
    struct err *e);
/* The same of a record; between db_begin and db_end. */
void acp_take(const struct db_session *s, struct acp_found *out);
/* Is it over, though its record is there still? Between db_begin and db_end. */
bool acp_ended(const struct db_session *s);
/* The agent of each server of SANDBOX, and since when it is there. */
void acp_each(struct gateway *gw, const char *sandbox,
    void (*each)(void *ctx, const char *agent, int64_t created_ms), void *ctx);

/* Is one of the kinds of Accept KIND, its kind of everything, or everything?
 * Without Accept: yes. KIND is like "text/event-stream". */
bool acp_accepts(const struct req *r, const char *kind);

/* Problems with the extensions that clients of this API look for: DETAIL
 * without its prefix, and the same as details.message. */
void acp_fail_message(struct req *r, enum problem p, const char *detail);
/* With the member `agent`, whose value is the detail; and with details.stderr
 * and details.exitCode, unless STDERR is NULL, or CODE -1. */
void acp_fail_agent(struct req *r, enum problem p, const char *agent,
    const char *stderr_text, int code);
/* What one of ours has refused. AGENT may be NULL. */
void acp_fail(struct req *r, const char *agent, const struct err *e);

/* A server is there; or E says why it could not be made for AGENT. */
typedef void acp_made(void *ctx, const char *agent, const struct err *e);
/* Make one. Nobody here may be making it already. DONE comes once, later. */
void acp_make(struct gateway *gw, const char *session, const char *sandbox,
    const char *agent, acp_made *done, void *ctx);
/* Is it being made? Then DONE comes as for whoever began it. */
bool acp_make_wait(const char *session, acp_made *done, void *ctx);

#endif
