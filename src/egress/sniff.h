/*
 * What a client begins to say in a tunnel, as far as that tells which server it
 * means: TLS, HTTP, or something else.
 */
#ifndef EGRESS_SNIFF_H
#define EGRESS_SNIFF_H

#include "lib/netrule.h"

#define SNIFF_MAX 40000 /* bytes after which it must be clear */

enum sniff {
	SNIFF_MORE, /* not clear yet */
	SNIFF_TLS,
	SNIFF_HTTP, /* version 1 */
	SNIFF_OTHER,
	SNIFF_BAD, /* made to be understood in two ways */
	SNIFF_N
};

/* SNIFF_TLS: the name that the server is asked for is in NAME, "" without one.
 * SNIFF_BAD: *WHY_OUT, static words. */
enum sniff sniff(
    const char *s, size_t n, char name[NETNAME_MAX + 1], const char **why_out);

#endif
