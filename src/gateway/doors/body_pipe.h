/*
 * A request's body into a pipe, as fast as whoever reads it: a slow reader
 * slows its client and costs no memory. Runs in sandboxd-gateway.
 */
#ifndef GATEWAY_DOORS_BODY_PIPE_H
#define GATEWAY_DOORS_BODY_PIPE_H

#include "gateway/req.h"

#include <ev.h>

struct body_pipe {
	struct req *r; /* borrowed */
	int fd;	       /* owned; what we write to, -1: no more */
	ev_io io;      /* the pipe has room again */
};

/* Open B for R; *READ_FD_OUT, the callee's, is the other end. -1: errno. */
int body_pipe_open(struct body_pipe *b, struct req *r, int *read_fd_out);
/* For on_body: takes what goes in now, or drops it where nobody reads. */
size_t body_pipe_take(struct body_pipe *b, const char *data, size_t len);
/* The reader sees the end. May be called again. */
void body_pipe_close(struct body_pipe *b);

#endif
