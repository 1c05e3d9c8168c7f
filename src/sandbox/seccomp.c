/*
 * The system call filter: an allow-list; see seccomp.h, and seccomp.def for the
 * list. filter_compile() runs in the supervisor at start, filter_enter() in the
 * child, last before exec.
 *
 * A call that is on no list gives ENOSYS, as on a kernel that does not have
 * it, so that programs fall back instead of failing. Calls that are known and
 * refused give EPERM, as they would give to a user without privilege. Nothing
 * is killed: a program that tries something odd goes on. Foreign system call
 * tables (i386 and x32 on x86_64) give ENOSYS throughout.
 */
#include "sandbox/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define S(name) SCMP_SYS(name)
#define GROUP(name, reason)
#define ABSENT(call)
#define ABSENT_NR(call, nr)
#define RULE(call, err, strict, conds, reason)
#define RULE_NR(call, nr, err, strict, conds, reason)

static const int allowed[] = {
#define ALLOW(call) S(call),
#define ALLOW_NR(call, nr) nr,
#define REFUSE(call)
#define REFUSE_NR(call, nr)
#include "sandbox/seccomp.def"
#undef ALLOW
#undef ALLOW_NR
#undef REFUSE
#undef REFUSE_NR
};

static const int refused[] = {
#define ALLOW(call)
#define ALLOW_NR(call, nr)
#define REFUSE(call) S(call),
#define REFUSE_NR(call, nr) nr,
#include "sandbox/seccomp.def"
};

/* Append CALLS to OUT[0..*N). The library's numbers of calls that this
 * architecture lacks are negative; these need no entry. */
static void
list_add(const int *calls, size_t ncalls, uint32_t action,
    struct filter_call *out, size_t *n)
{
	size_t i;

	for (i = 0; i < ncalls; i++) {
		if (calls[i] < 0)
			continue;
		out[*n].nr = (uint32_t)calls[i];
		out[(*n)++].action = action;
	}
}

int
filter_compile(bool strict, struct filter *f_out, struct err *e)
{
	autofree struct sock_filter *prog = NULL;
	struct filter_call calls[countof(allowed) + countof(refused)];
	size_t len, n = 0;

	memset(f_out, 0, sizeof(*f_out));
	prog = calloc(BPF_MAXINSNS, sizeof(*prog));
	if (prog == NULL)
		return err_sys(e, "memory for the system call filter");
	list_add(allowed, countof(allowed), SECCOMP_RET_ALLOW, calls, &n);
	list_add(refused, countof(refused), FILTER_ERRNO(EPERM), calls, &n);
	len = filter_write(strict, calls, n, prog, BPF_MAXINSNS);
	if (len == 0)
		return err_sys(e, "write the system call filter");
	f_out->prog = reallocarray(prog, len, sizeof(*prog));
	if (f_out->prog == NULL)
		return err_sys(e, "memory for the system call filter");
	(void)STEAL(prog);
	f_out->len = len;
	return 0;
}

void
filter_release(struct filter *f)
{
	free(f->prog);
	f->prog = NULL;
	f->len = 0;
}

int
filter_enter(const void *prog, size_t len)
{
	struct sock_fprog fprog = { .len = (unsigned short)len,
		.filter = (struct sock_filter *)(uintptr_t)prog };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u, &fprog);
}
