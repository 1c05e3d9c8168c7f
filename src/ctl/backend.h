/*
 * What takes a command over HTTP. sandboxctl itself links no HTTP library: it
 * starts as fast as a shell expects, and hands such a command over to
 * sandboxctl-http, which is the same commands with another way to connect.
 * Both programs link main.c, and each its own backend.
 */
#ifndef CTL_BACKEND_H
#define CTL_BACKEND_H

#include "ctl/opt.h"

struct backend_where {
	const char *endpoint;	/* NULL: not told */
	const char *token;	/* NULL: not told */
	const char *token_file; /* NULL: not told */
};

/* Make CTL speak HTTP. ARGV is the whole command line, as it came. Returns 0,
 * or -1; or never, when another program took over. */
int backend_http(struct ctl *ctl, const struct backend_where *where,
    char **argv, struct err *e);
/* `api`: ARGC words of ARGV follow it, WHOLE is the whole command line. Returns
 * the code to end with. */
int backend_api(struct ctl *ctl, const struct backend_where *where, int argc,
    char **argv, char **whole);

#endif
