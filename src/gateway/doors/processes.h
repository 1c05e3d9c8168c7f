/*
 * What the doors to processes share.
 */
#ifndef GATEWAY_DOORS_PROCESSES_H
#define GATEWAY_DOORS_PROCESSES_H

#include "gateway/link.h"
#include "gateway/req.h"

/* Of "proc_7"; 0: it is not such a word. */
int64_t process_number(const char *word);
/* The number of {id}; 0, and the answer is given: there is none. */
int64_t process_id(struct req *r);
/* What init has refused. WHAT stands before what the system said. */
void process_fail(struct req *r, const struct err *e, const char *what);
/* Append what `command`, `args`, `cwd` and `env` of a body are to a message.
 * -1: the answer is given. TTY: which words a failure has. */
int process_command(struct req *r, struct jw *w, bool tty);
/* A message of one member, the process's number. */
void process_fields(struct buf *b, int64_t id);
/* The record of a run's end out of END_FD: 1; 0: not yet; -1: it will never
 * come. */
struct proclog_exit;
int process_read_exit(int end_fd, struct proclog_exit *x_out);
/* Decode DATA of ENCODING (NULL: DEF) into OUT. Returns 0, -1 with a sentence
 * in WHY. */
#define INPUT_WHY_MAX 128
int process_decode(struct buf *out, const char *data, size_t len,
    const char *encoding, const char *def, char why[INPUT_WHY_MAX]);

#endif
