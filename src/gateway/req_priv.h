/*
 * Shared by req*.c, auth.c, cors.c and problem.c: all of a request.
 */
#ifndef GATEWAY_REQ_PRIV_H
#define GATEWAY_REQ_PRIV_H

#include "gateway/http_priv.h"

#define QUERY_MAX 24		/* parameters that a route may have */
#define JSON_BODY_MAX 2097152	/* where a route says nothing */
#define DRAIN_MAX (256 * 1024)	/* of a refused body that is read to its end */
#define BODIES_MAX (256U << 20) /* of all clients, kept at one time */
#define TARGET_ROOM 512
#define CALLER_MAX 64
#define REQUEST_ID_MAX 128
#define METHOD_MAX 24

struct hreq {
	struct req r; /* first */
	struct hreq *next_spare;
	struct conn *conn;	   /* NULL once the client has left */
	struct MHD_Connection *mc; /* the same */
	unsigned holds;
	unsigned nth;	/* of its connection, from 1 */
	bool begun;	/* the headers were looked at */
	bool body_done; /* all of the body was here */
	bool called;	/* the door was */
	bool answered;	/* one of the answers was given */
	bool queued;	/* MHD has it */
	bool suspended;
	bool inside; /* MHD is calling us: no need to wake it */
	bool woken;  /* meanwhile */
	bool over;   /* MHD has finished with it */
	bool refuse; /* what comes of the body is thrown away */
	bool upgraded;
	bool old;	/* HTTP/1.0 */
	bool body_held; /* the door takes no more for now */
	bool head_held; /* nor has MHD been told that any is wanted */
	bool bad_header, long_length;
	bool osb;	   /* errors in OpenSandbox's form */
	bool caller_reads; /* its token is for reading only */

	/* Headers, MHD's; only while there is a connection. */
	const char *authorization, *content_type, *request_id, *origin;
	const char *api_key, *expect, *transfer;
	unsigned nhost, nlength, ntransfer, norigin;
	size_t header_bytes;

	struct route_match match;
	uint64_t limit;
	uint64_t body_seen;
	struct buf body;
	size_t buffered; /* of it, counted in http->buffered */
	struct json *root;

	unsigned status;
	struct MHD_Response *resp;
	bool shared;	  /* resp is one for many */
	struct buf extra; /* headers of the answer: name NUL value NUL */
	uint64_t sent;	  /* bytes of the answer */
	struct buf late;  /* a problem told in the midst of a body */

	const struct req_stream *stream;
	void *stream_ctx;

	struct MHD_Response *chunked; /* borrowed; while it is one */
	req_upgraded *upgrade;
	void *upgrade_ctx;

	struct buf query_text; /* decoded values */
	const char *query_values[QUERY_MAX];

	ev_tstamp began;
	char caller[CALLER_MAX];
	char method[METHOD_MAX]; /* what r.method_name points to */
	char *caller_sandbox;	 /* of a token limited to one, else NULL */
	char *target;		 /* what r.path and r.query lie in */
	char *arena;		 /* decoded parameters */
	size_t target_room;	 /* of each of these two */
	size_t target_len;	 /* as MHD gave it */
	char fixed[2 * TARGET_ROOM];
};

static inline struct hreq *
hreq_of(const struct req *r)
{
	return (struct hreq *)(uintptr_t)r;
}

/* req_life.c */
struct hreq *
hreq_new(struct http *h, struct MHD_Connection *mc, const char *target);

/* req_check.c: before a door is asked. False: it was answered. */
bool req_check_head(
    struct hreq *q, const char *url, const char *method, const char *version);
bool req_check_json(struct hreq *q);
/* In the midst of a body: the lines of its chunks. */
bool req_check_lines(struct hreq *q);

/* req_head.c: what is wrong with the headers, or NULL. */
const char *req_head_take(struct hreq *q, const char *url, const char *version);

/* req_query.c */
bool query_take(struct hreq *q);

/* req_reply.c */
void req_answer(struct hreq *q, unsigned status, const char *content_type,
    struct MHD_Response *resp);
enum MHD_Result req_queue(struct hreq *q);
void req_raw_answer(struct hreq *q);

#endif
