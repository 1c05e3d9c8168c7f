/*
 * The log of one managed process: a ring of records (lib/proclog.h) in a file
 * that has no name, so that it costs init no memory and nothing else in the
 * sandbox can reach it.
 *
 * Positions count all bytes ever written and never go back; what is before
 * `head` has been dropped.
 */
#ifndef INIT_PROCS_LOG_H
#define INIT_PROCS_LOG_H

#include "lib/proclog.h"
#include <sys/types.h>

struct plog {
	int fd; /* owned; -1 until something is printed */
	uint64_t ring_bytes;
	uint64_t head, tail;
	uint64_t raw_bytes; /* of output between them, without headers */
	uint64_t sequence;  /* of the last record, written or not */
};

void plog_init(struct plog *l);
void plog_close(struct plog *l);
/* Append the record R (PROCLOG_HEADER and R's data, LEN bytes in all), and drop
 * the oldest ones until at most MAX_BYTES of output are kept. -1: it could not
 * be kept. */
int plog_append(struct plog *l, const char *r, size_t len, uint64_t max_bytes);
/* Up to N bytes from POS, which lies in the log, on. Less than PROCLOG_HEADER
 * means that the log cannot be read. */
size_t plog_read(const struct plog *l, uint64_t pos, char *dst, size_t n);
/* The sequence before that of the last N records of STREAMS (bits) after SINCE:
 * what to read on from to get just those. */
uint64_t
plog_tail(const struct plog *l, unsigned streams, uint64_t since, uint64_t n);

#endif
