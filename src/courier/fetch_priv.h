/*
 * What fetch.c (one download) and fetch_loop.c (libcurl on the event loop)
 * share.
 */
#ifndef COURIER_FETCH_PRIV_H
#define COURIER_FETCH_PRIV_H

#include "courier/fetch.h"
#include <curl/curl.h>
#include <sys/queue.h>

struct fetches {
	struct ev_loop *loop;
	struct fetch_settings set;
	CURLM *multi;
	ev_timer timer; /* when libcurl wants to be called */
	LIST_HEAD(, fetch) all;
};

struct fetch {
	LIST_ENTRY(fetch) link;
	struct fetches *fs;
	char *url, *name; /* owned; NAME NULL: into memory */
	int64_t max_bytes;
	int dir_fd; /* borrowed */
	struct digest digest;
	fetch_done_cb *done;
	void *ctx;

	CURL *easy; /* of the try that runs; owned */
	struct curl_slist *headers;
	char why[CURL_ERROR_SIZE];
	struct buf body;
	int fd; /* of the file, -1 when it is not open */
	struct hasher hash;
	int64_t size;	    /* bytes there are */
	int64_t total;	    /* that there will be; 0: not known */
	int64_t received;   /* in all tries */
	int64_t range_from; /* what the server says that it sends */
	int64_t tried_from; /* SIZE at the begin of the try */
	bool began;	    /* the answer's body has */
	bool again;	    /* E is worth another try */
	bool whole;	    /* ask for all of it, not for the rest */
	bool patched;	    /* not all is of one answer */
	unsigned tries;	    /* in a row without a byte */
	unsigned tries_all;
	ev_timer timer; /* the next try */
	struct err e;
};

/* libcurl has ended F's try. May free F. */
void fetch_ended(struct fetch *f, CURLcode code);
/* A transfer was added: let it begin. */
void fetches_kick(struct fetches *fs);
/* Do both have the same scheme, host and port? */
bool url_same_host(const char *a, const char *b);

#endif
