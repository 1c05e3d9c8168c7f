/*
 * Downloads: several at once over libcurl's multi interface on the event loop,
 * each tried again where that can help, and gone on with where it broke off.
 */
#ifndef COURIER_FETCH_H
#define COURIER_FETCH_H

#include "courier/digest.h"
#include "lib/buf.h"
#include "lib/err.h"
#include <ev.h>
#include <stdbool.h>

struct fetches; /* all of them */
struct fetch;	/* one */

/* Strings are borrowed for as long as the fetches live; NULL or "": none. */
struct fetch_settings {
	const char *http_proxy, *https_proxy, *no_proxy;
	const char *ca_file;
	const char *token;     /* sent to TOKEN_URL's host and to no other */
	const char *token_url; /* the registry's address */
};

struct fetch_want {
	const char *url;
	const char *accept; /* of the answer; NULL: anything */
	int64_t max_bytes;
	/* Into a file: NAME below DIR_FD, which may hold a beginning of it from
	 * an earlier try. NAME NULL: into memory. */
	int dir_fd;
	const char *name;
	struct digest digest; /* of a file: what it must be */
};

/* E NULL: it is there, whole, and what it should be. F stays the caller's. */
typedef void fetch_done_cb(void *ctx, struct fetch *f, const struct err *e);

int fetches_open(struct ev_loop *loop, const struct fetch_settings *s,
    struct fetches **fs_out, struct err *e);
void fetches_free(struct fetches *fs);

/* DONE comes once, from the loop, never before this returns. */
struct fetch *fetch_start(struct fetches *fs, const struct fetch_want *w,
    fetch_done_cb *done, void *ctx);
/* Accepts NULL. One that still runs is broken off; what its file has stays. */
void fetch_free(struct fetch *f);
/* What came, into memory. */
const struct buf *fetch_body(const struct fetch *f);
/* Bytes there are, and that there will be (0: not known yet). */
void
fetch_progress(const struct fetch *f, int64_t *done_out, int64_t *total_out);
/* Bytes that came over the network. */
int64_t fetch_received(const struct fetch *f);

/* URL as it may be shown: without a user and password. */
void url_show(char *dst, size_t size, const char *url);

#endif
