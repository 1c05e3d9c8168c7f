/*
 * Errands: what the supervisor asks about the inside of the sandbox and what a
 * forked child of init does, so that a tree of a million files stops nothing
 * else: changes of a mount, copies in and out, the list of processes, the text
 * of a log. What it reads or writes goes through the one descriptor that came
 * with the request, and never through the supervisor.
 */
#ifndef INIT_ERRAND_H
#define INIT_ERRAND_H

#include "init/init.h"
#include "lib/proto.h"

struct errand_counts {
	int64_t entries, bytes, skipped;
};

/* In the child: a copy of init with all its rights and three descriptors. */
struct errand_child {
	const struct init *in;	/* of the parent: read only */
	const struct json *msg; /* checked */
	int fd;			/* that came with the request */
	int extra_fd; /* what the kind of errand brings along, or -1 */
	struct errand_counts n; /* told in the answer */
};
typedef int errand_fn(struct errand_child *c, struct err *e);

int errands_open(struct init *in, struct err *e);
/* Answers, now or when the child has ended. Takes no descriptor out of F. */
void errand_request(struct init *in, int64_t id, enum msg_type type,
    const struct json *msg, const struct chan_frame *f);

/* The kinds. */
errand_fn errand_changes;		   /* diff.c */
errand_fn errand_copy_in, errand_copy_out; /* errand_copy.c */
errand_fn errand_processes;		   /* errand_ps.c */
errand_fn errand_log;			   /* errand_log.c */
/* In init: what extra_fd is to be a copy of; -1 with E set when the request
 * asks for what is not there. */
int diff_upper(const struct init *in, const struct json *msg, struct err *e);
int errand_log_fd(const struct init *in, const struct json *msg, struct err *e);

#endif
