/*
 * The system call filter of a sandbox. Compiled once, in the supervisor, with
 * libseccomp; loaded raw in the child, where nothing is allocated.
 */
#ifndef SANDBOX_SECCOMP_H
#define SANDBOX_SECCOMP_H

#include "lib/err.h"
#include "sandbox/setup.h"

/*
 * STRICT also refuses to make set-user-id and set-group-id files. It is for
 * sandboxes with a read-write mount: such a file there would belong to the
 * source's owner on the host, and anybody on the host could run it. Elsewhere
 * it is harmless (the upper layers lie below a 0700 directory) and package
 * managers need it. openat2, whose mode no filter can see, is then ENOSYS.
 */
int filter_compile(bool strict, struct filter *f_out, struct err *e);
void filter_release(struct filter *f);
/* Child: needs no_new_privs. 0, or -1 with errno. */
int filter_enter(const void *prog, size_t len);

/* The part of the program that looks at arguments (seccomp_args.c), to stand
 * before the list of calls: what it does not refuse falls off its end. At most
 * ROOM instructions; returns how many, 0 when that is too few. */
struct sock_filter;
size_t filter_args(bool strict, struct sock_filter *prog, size_t room);

#endif
