/*
 * Lists out of the map that may have thousands of entries.
 */
#ifndef GATEWAY_DOORS_LIST_H
#define GATEWAY_DOORS_LIST_H

#include "gateway/req.h"
#include "lib/json.h"

/* Where a list is; `at` is the caller's. */
struct list_kind {
	const char *name; /* of the array */
	/* Write the entry behind AT, and go on to it; with the map at hand.
	 * 1; 0: there is none; -1: it is damaged, to be left out. */
	int (*next)(struct req *r, void *at, struct jw *w);
	void (*rewind)(void *at); /* to before the first entry */
	void (*done)(void *at);
};

/* Answer R with {"NAME":[…]}: in one piece when it is short, else piece by
 * piece as the client takes them, and the map is held for no longer than one
 * piece takes. AT is the list's from now on, which ends with its done(). */
void list_reply(struct req *r, const struct list_kind *kind, void *at);

#endif
