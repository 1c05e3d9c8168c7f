/*
 * Bytes from one descriptor to another without ever blocking on the source:
 * whole pages by splice where both ends allow it, a buffer where not.
 *
 * A pump waits for its source, then for its sink, then moves what is there:
 * so a slow reader of ours slows the command, and nothing is kept in between.
 */
#ifndef CTL_PUMP_H
#define CTL_PUMP_H

#include "lib/defs.h"
#include <poll.h>
#include <stdbool.h>

struct pump {
	int src_fd; /* owned, non-blocking; -1: finished */
	int dst_fd; /* borrowed */
	bool has_data;
	bool no_splice;
	bool broken;  /* the sink has gone away */
	int64_t left; /* bytes still wanted; -1: until end of file */
};

void pump_init(struct pump *p, int src_fd, int dst_fd);
/* What to poll for now. Fills one entry; fd -1 when finished. */
void pump_poll(const struct pump *p, struct pollfd *pfd_out);
/* Act on what poll said. */
void pump_go(struct pump *p, const struct pollfd *pfd);
/* From now on move only what is in the source already. */
void pump_last(struct pump *p);
void pump_close(struct pump *p);

/* Our standard input into a pipe. */
struct feed {
	int src_fd; /* borrowed; -1: not read any more */
	int dst_fd; /* owned, non-blocking; -1: closed */
	char *data; /* owned */
	size_t at, len;
	bool tty; /* end of input is told by ^D, not by closing */
};

int feed_init(struct feed *f, int src_fd, int dst_fd);
void feed_poll(const struct feed *f, struct pollfd pfd_out[2]);
void feed_go(struct feed *f, const struct pollfd pfd[2]);
void feed_close(struct feed *f);

#endif
