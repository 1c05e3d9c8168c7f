/*
 * Records of what a process has printed, as they lie in its log and travel from
 * a sandbox's init to the gateway, and of how it ended. Pure: no I/O here.
 *
 *	u32 length of the data    u8 stream    3 zero bytes
 *	u64 sequence    u64 milliseconds since 1970    data
 *
 * All big endian.
 */
#ifndef LIB_PROCLOG_H
#define LIB_PROCLOG_H

#include "defs.h"
#include <stdbool.h>

#define PROCLOG_HEADER 24
#define PROCLOG_DATA_MAX 8192 /* in one record */
#define PROCLOG_MAX (PROCLOG_HEADER + PROCLOG_DATA_MAX)

enum proclog_stream {
	PROCLOG_STDOUT = 1,
	PROCLOG_STDERR,
	PROCLOG_PTY,
	PROCLOG_EXIT, /* its data is a struct proclog_exit */
	PROCLOG_N
};

struct proclog {
	enum proclog_stream stream;
	size_t len; /* of the data behind the header */
	uint64_t sequence;
	int64_t time_ms;
};

void proclog_put(char h[PROCLOG_HEADER], const struct proclog *r);
/* Is there a whole record at P[0..n)? 1: *R_OUT tells; 0: more bytes are
 * needed, and *R_OUT tells all the same once the header is there; -1: that is
 * none (a breach). */
int proclog_get(const char *p, size_t n, struct proclog *r_out);

#define PROCLOG_EXIT_LEN 8

struct proclog_exit {
	int code; /* -1: ended by the signal */
	int sig;  /* 0: none */
	bool timed_out;
};

/* A whole record. Returns its length. */
size_t proclog_put_exit(char p[PROCLOG_HEADER + PROCLOG_EXIT_LEN],
    const struct proclog_exit *x, int64_t time_ms);
/* The data of a PROCLOG_EXIT record of LEN bytes. -1: it is damaged. */
int proclog_get_exit(const char *data, size_t len, struct proclog_exit *x_out);

/* "stdout", "stderr", "pty", "exit"; NULL for no stream. */
const char *proclog_stream_name(enum proclog_stream s);

#endif
