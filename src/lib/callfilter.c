/*
 * See callfilter.h. Linked into every program; what is built here comes from
 * constants alone.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif
#include "callfilter.h"

#include "log.h"

#include <errno.h>
#include <linux/audit.h>
#include <string.h>
#include <sys/prctl.h>

#if defined(__x86_64__)
#	define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#	define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#	define ARCH AUDIT_ARCH_RISCV64
#endif

static void
put(struct callfilter *f, struct sock_filter instruction)
{
	if (f->len == CALLFILTER_MAX)
		fatal("confine", "the list of calls is too long");
	f->code[f->len++] = instruction;
}

static void
load(struct callfilter *f, size_t offset)
{
	put(f, (struct sock_filter)BPF_STMT(
		   BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

void
callfilter_begin(struct callfilter *f)
{
	f->len = 0;
	load(f, offsetof(struct seccomp_data, arch));
	put(f, (struct sock_filter)BPF_JUMP(
		   BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
	callfilter_verdict(f, SECCOMP_RET_KILL_PROCESS);
	load(f, offsetof(struct seccomp_data, nr));
}

void
callfilter_load_argument(struct callfilter *f, unsigned n)
{
	load(f, offsetof(struct seccomp_data, args) + 8 * n +
		    (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0));
}

void
callfilter_mask(struct callfilter *f, unsigned mask)
{
	put(f, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
}

void
callfilter_when(struct callfilter *f, unsigned v, unsigned char n)
{
	put(f,
	    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, v, 0, n));
}

void
callfilter_when_any(struct callfilter *f, unsigned v, unsigned char n)
{
	put(f,
	    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, v, 0, n));
}

void
callfilter_verdict(struct callfilter *f, unsigned verdict)
{
	put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

void
callfilter_list(
    struct callfilter *f, const unsigned *values, size_t n, unsigned verdict)
{
	for (size_t i = 0; i < n; i++) {
		callfilter_when(f, values[i], 1);
		callfilter_verdict(f, verdict);
	}
}

void
callfilter_apply_or_die(const struct callfilter *f)
{
	struct sock_fprog prog = { .len = f->len };

#ifdef SANITIZED
	return;
#endif
	/* The kernel reads it; its type is older than const. */
	memcpy(&prog.filter, &(const struct sock_filter *){ f->code },
	    sizeof(prog.filter));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) == -1)
		fatal("confine", "seccomp: %s", strerror(errno));
}
