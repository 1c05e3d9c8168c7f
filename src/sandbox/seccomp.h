/*
 * The system call filter of a sandbox. Compiled once, in the supervisor, with
 * the names and numbers of libseccomp; loaded raw in the child, where nothing
 * is allocated.
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

/* What the lists (seccomp.c) say about a call: SECCOMP_RET_ALLOW, or an errno
 * as SECCOMP_RET_ERRNO has it. */
struct filter_call {
	uint32_t nr;
	uint32_t action;
};

#define FILTER_ERRNO(err) (SECCOMP_RET_ERRNO | ((uint32_t)(err)&0xffff))

/* Write the program that does what CALLS say, less what the rules about
 * arguments refuse (seccomp_args.c). Sorts CALLS. A call that is not among
 * them gives ENOSYS, and so do foreign system call tables. Returns how many of
 * ROOM instructions it took, or 0 with errno: E2BIG, ENOMEM. */
struct sock_filter;
size_t filter_write(bool strict, struct filter_call *calls, size_t ncalls,
    struct sock_filter *prog, size_t room);

#endif
