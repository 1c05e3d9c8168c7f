/*
 * Where a server is and with what it lets us in: an endpoint that a person
 * wrote, taken apart once.
 *
 *	http://HOST[:PORT][/PREFIX]   https://…   unix:PATH   HOST:PORT
 */
#ifndef CTL_HTTP_TARGET_H
#define CTL_HTTP_TARGET_H

#include "ctl/backend.h"
#include "lib/buf.h"

#define TARGET_DEFAULT "http://127.0.0.1:2468"

struct target {
	char *base;	 /* owned; scheme, host, port and prefix, no "/" last */
	char *host;	 /* owned; what the Host header says */
	char *prefix;	 /* owned; path of base, "" when there is none */
	char *unix_path; /* owned; NULL over TCP */
	char *token;	 /* owned; NULL: none */
	bool is_near;	 /* this machine: no proxy is asked */
};

/* Of what was told, and of SANDBOXCTL_TOKEN. */
int
target_open(struct target *t, const struct backend_where *where, struct err *e);
void target_free(struct target *t);

/* Append S as one segment of a path, or as a value of a query. */
void target_escape(struct buf *b, const char *s);

#endif
