/*
 * The routes of routes.def as tables, and which of them a request is for.
 */
#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

#include "gateway/req.h"

enum route_scope {
	SCOPE_TOP,
	SCOPE_BOTH,
	SCOPE_INST,
	SCOPE_OSB
};

enum route_who {
	WHO_OPEN,
	WHO_READ,
	WHO_WRITE,
	WHO_ADMIN,
	WHO_READ_Q,
	WHO_WRITE_Q
};

enum route_body {
	BODY_NONE,
	BODY_JSON,
	BODY_JSON_OPT,
	BODY_WHOLE, /* kept until it is all there, of any type */
	BODY_STREAM
};

enum query_kind {
	QK_STR,
	QK_INT,
	QK_BOOL,
	QK_STRV /* may be repeated */
};

struct route_query {
	enum route_id route;
	const char *name;
	enum query_kind kind;
	bool required;
	int64_t min, max; /* QK_INT: of the value, else of its length */
	const char *help;
};

struct route {
	enum route_id id;
	enum method method;
	enum route_scope scope;
	enum route_who who;
	enum route_body body;
	const char *name;
	const char *path;
	uint64_t limit;
	const char *help;
	void (*door)(struct req *r);
	const struct route_query *query; /* set by routes_open */
	size_t nquery;
	const struct json_field *fields;
	size_t nfields;
};

extern struct route route_table[ROUTE_N];

const char *method_text(enum method m); /* "GET"; "ANY" for M_ANY */

/* What a path leads to. */
struct route_match {
	const struct route *by_method[M_N]; /* NULL: no such method */
	char *sandbox;			    /* in ARENA, or "default" */
	char *params[REQ_PARAMS_MAX];
	size_t nparams;
};

enum route_found {
	ROUTE_FOUND,
	ROUTE_NONE,
	ROUTE_BAD /* a segment is no text */
};

/* Which of all BODY rows this one is, in the order of routes.def. */
size_t route_field_index(const struct json_field *f);

/* Build the tree; before the first match. */
void routes_open(void);
void routes_close(void);
/* ARENA has room for strlen(PATH) + 1 bytes: decoded parameters are put there.
 * PATH begins with "/" and has no query. */
enum route_found
route_match(const char *path, char *arena, struct route_match *m_out);
/* "GET,HEAD": the methods of what was found. */
void route_allow(const struct route_match *m, struct buf *out);

#endif
