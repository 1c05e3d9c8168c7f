/*
 * Descriptors: close-on-exec from the call that creates them, non-blocking
 * where an event loop reads them, passed with SCM_RIGHTS.
 */
#ifndef LIB_FDIO_H
#define LIB_FDIO_H

#include "defs.h"
#include "err.h"
#include <sys/types.h>

#define FDIO_MAX_FDS 8 /* more in one message: closed and an error */

/* Stream socketpair, both close-on-exec and non-blocking. */
int fd_socketpair(int *a_out, int *b_out, struct err *e);
int fd_pipe(int *read_out, int *write_out, struct err *e); /* blocking */
int fd_set_nonblock(int fd, int on);
int fd_set_cloexec(int fd, int on);
/* A descriptor that came to us over our exec, by the number that somebody wrote
 * down: close-on-exec from now on. -1 when there is none, or it is not from
 * there: those that we opened, or took before, are close-on-exec. */
int fd_inherit(int64_t number);
/* All of N bytes, blocking or not (polls when it would block); for set-up
 * paths and clients, never in an event loop. */
int fd_write_all(int fd, const void *p, size_t n);
/* sendmsg with FDS attached to the first byte. Returns bytes, or -1 errno. */
ssize_t fd_send(int fd, const void *p, size_t n, const int *fds, size_t nfds);
/* recvmsg; descriptors land in FDS[*nfds_out], close-on-exec. Never returns
 * more than FDIO_MAX_FDS: surplus ones are closed and errno is EPROTO with
 * -1. MSG_CTRUNC is treated the same way. */
ssize_t fd_recv(int fd, void *p, size_t n, int *fds, size_t *nfds_out);
void fd_close_all(int *fds, size_t n);
/* No change to a memory file from now on. -1 errno; EBUSY when something holds
 * a page of it, be it the kernel itself, for longer than the 0.15 s that the
 * kernel waits: seen once in thousands of times. */
int fd_seal(int fd);
#define FD_SEAL_TRIES 5
/* A sealed, close-on-exec memory file holding P[0..n). Waits for less than a
 * second if the kernel makes it, as above; else for nothing. */
int fd_sealed(
    const char *name, const void *p, size_t n, int *fd_out, struct err *e);
/* Whole file into memory, at most MAX bytes, NUL-terminated; caller frees. */
int
fd_slurp(int fd, size_t max, char **data_out, size_t *len_out, struct err *e);

#endif
