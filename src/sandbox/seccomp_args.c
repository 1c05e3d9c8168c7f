/*
 * Rules about arguments of system calls, as a small program that runs before
 * the list of calls. Runs in the supervisor at start; see seccomp.h.
 *
 * Written out rather than given to libseccomp because the order matters here:
 * the first rule of a call that matches decides, and the library does not say
 * in which order it compares rules that overlap. Only the lower 32 bits of an
 * argument are looked at. That is what the kernel reads of every argument
 * named here, so bits above cannot get a value past a rule.
 */
#include "sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#	define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#	define NATIVE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#	define NATIVE_ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#	define NATIVE_ARCH AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#	define NATIVE_ARCH AUDIT_ARCH_S390X
#else
#	error "name this machine's AUDIT_ARCH_* here"
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#	define LOW_WORD 0
#else
#	define LOW_WORD 4
#endif

#define NR_fchmodat2 452
#define PERSONALITY_QUERY 0xffffffffu
#define ADDR_NO_RANDOMIZE_BIT 0x0040000u
#define WHOLE 0xffffffffu
#define TMPFILE_BIT ((unsigned)(O_TMPFILE & ~O_DIRECTORY))
#define NEW_NAMESPACES                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

enum compare {
	EQUAL,
	ANY_BIT
};

struct cond {
	unsigned arg;
	enum compare how;
	uint32_t mask; /* EQUAL: applied before the comparison */
	uint32_t value;
};

#define PASS 0 /* on to the list of calls */

struct rule {
	int nr;
	int err;     /* errno, or PASS */
	bool strict; /* only in the strict filter */
	unsigned nconds;
	struct cond conds[2];
};

#define IS(n, v)                               \
	{                                      \
		n, EQUAL, WHOLE, (uint32_t)(v) \
	}
#define TYPE_IS(n, v)               \
	{                           \
		n, EQUAL, S_IFMT, v \
	}
#define ANY(n, bits)                \
	{                           \
		n, ANY_BIT, 0, bits \
	}
#define SET_ID (S_ISUID | S_ISGID)
#define CREATES (O_CREAT | TMPFILE_BIT)

#define SOCKET_RULES(nr)                                              \
	{ nr, PASS, false, 1, { IS(0, AF_UNIX) } },                   \
	    { nr, PASS, false, 1, { IS(0, AF_INET) } },               \
	    { nr, PASS, false, 1, { IS(0, AF_INET6) } },              \
	    { nr, PASS, false, 2,                                     \
		    { IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE) } },    \
	    { nr, EPROTONOSUPPORT, false, 1, { IS(0, AF_NETLINK) } }, \
	{                                                             \
		nr, EAFNOSUPPORT, false, 0,                           \
		{                                                     \
			{                                             \
				0, EQUAL, 0, 0                        \
			}                                             \
		}                                                     \
	}

#define NONE                           \
	{                              \
		{                      \
			0, EQUAL, 0, 0 \
		}                      \
	}

/* Rules of one call stand together. A call that no rule refuses passes. */
static const struct rule rules[] = {
	/* a new namespace brings capabilities, and kernel code to attack */
	{ SYS_clone, EPERM, false, 1, { ANY(0, NEW_NAMESPACES) } },
	{ SYS_personality, PASS, false, 1, { IS(0, 0) } },
	{ SYS_personality, PASS, false, 1, { IS(0, PERSONALITY_QUERY) } },
	{ SYS_personality, PASS, false, 1, { IS(0, ADDR_NO_RANDOMIZE_BIT) } },
	{ SYS_personality, EPERM, false, 0, NONE },
	/* typing into somebody's terminal; the console's own menu and output */
	{ SYS_ioctl, EPERM, false, 1, { IS(1, TIOCSTI) } },
	{ SYS_ioctl, EPERM, false, 1, { IS(1, TIOCLINUX) } },
	{ SYS_ioctl, EPERM, false, 1, { IS(1, TIOCCONS) } },
	SOCKET_RULES(SYS_socket),
	SOCKET_RULES(SYS_socketpair),
	/* devices, 0/0 (overlayfs's whiteout) among them */
	{ SYS_mknodat, EPERM, false, 1, { TYPE_IS(2, S_IFCHR) } },
	{ SYS_mknodat, EPERM, false, 1, { TYPE_IS(2, S_IFBLK) } },
	{ SYS_mknodat, EPERM, true, 1, { ANY(2, SET_ID) } },
#ifdef SYS_mknod
	{ SYS_mknod, EPERM, false, 1, { TYPE_IS(1, S_IFCHR) } },
	{ SYS_mknod, EPERM, false, 1, { TYPE_IS(1, S_IFBLK) } },
	{ SYS_mknod, EPERM, true, 1, { ANY(1, SET_ID) } },
#endif
	/* set-user-id files; without O_CREAT the mode is not read and may be
	 * anything */
	{ SYS_fchmod, EPERM, true, 1, { ANY(1, SET_ID) } },
	{ SYS_fchmodat, EPERM, true, 1, { ANY(2, SET_ID) } },
	{ NR_fchmodat2, EPERM, true, 1, { ANY(2, SET_ID) } },
	{ SYS_openat, EPERM, true, 2, { ANY(2, CREATES), ANY(3, SET_ID) } },
#ifdef SYS_open
	{ SYS_chmod, EPERM, true, 1, { ANY(1, SET_ID) } },
	{ SYS_creat, EPERM, true, 1, { ANY(1, SET_ID) } },
	{ SYS_open, EPERM, true, 2, { ANY(1, CREATES), ANY(2, SET_ID) } },
#endif
	{ SYS_openat2, ENOSYS, true, 0, NONE },
};

#define ERRNO_IS(err) (SECCOMP_RET_ERRNO | ((unsigned)(err)&0xffff))

struct code {
	struct sock_filter *prog;
	size_t len, room;
};

static void
emit(struct code *c, unsigned op, uint32_t k, size_t jt, size_t jf)
{
	if (c->len < c->room)
		c->prog[c->len] =
		    (struct sock_filter)BPF_JUMP((unsigned short)op, k,
			(unsigned char)jt, (unsigned char)jf);
	c->len++;
}

static void
emit_load(struct code *c, size_t offset)
{
	emit(c, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* Instructions that follow a rule's condition I up to the rule's end, each
 * condition being a load, for EQUAL an AND, and a jump; then one to act. */
static size_t
after_cond(const struct rule *r, unsigned i)
{
	size_t n = 1;

	for (i++; i < r->nconds; i++)
		n += r->conds[i].how == EQUAL ? 3 : 2;
	return n;
}

/* Jumps to END, which the caller sets once it knows where that is. */
static void
emit_to_end(struct code *c)
{
	emit(c, BPF_JMP | BPF_JA, UINT32_MAX, 0, 0);
}

static void
emit_rule(struct code *c, const struct rule *r)
{
	unsigned i;

	for (i = 0; i < r->nconds; i++) {
		const struct cond *d = &r->conds[i];

		emit_load(c, offsetof(struct seccomp_data, args) +
				 d->arg * sizeof(uint64_t) + LOW_WORD);
		if (d->how == EQUAL)
			emit(c, BPF_ALU | BPF_AND | BPF_K, d->mask, 0, 0);
		emit(c,
		    BPF_JMP | BPF_K | (d->how == EQUAL ? BPF_JEQ : BPF_JSET),
		    d->value, 0, after_cond(r, i));
	}
	if (r->err == PASS)
		emit_to_end(c);
	else
		emit(c, BPF_RET | BPF_K, ERRNO_IS(r->err), 0, 0);
}

/* One past the last rule of the call that rule I is about. */
static size_t
group_end(size_t i)
{
	int nr = rules[i].nr;

	while (i < countof(rules) && rules[i].nr == nr)
		i++;
	return i;
}

/* Loads and compares the number once for all groups: the kernel runs this part
 * a thousand times when a filter is loaded, to learn which calls it can answer
 * without running it. */
size_t
filter_args(bool strict, struct sock_filter *prog, size_t room)
{
	struct code c = { prog, 0, room };
	size_t entry[countof(rules)], i, k;

	emit_load(&c, offsetof(struct seccomp_data, arch));
	emit(&c, BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
	emit_to_end(&c); /* the list refuses foreign ones */
	emit_load(&c, offsetof(struct seccomp_data, nr));
	for (i = 0; i < countof(rules); i = group_end(i)) {
		emit(
		    &c, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rules[i].nr, 0, 1);
		entry[i] = c.len;
		emit(&c, BPF_JMP | BPF_JA, 0, 0, 0);
	}
	emit_to_end(&c);
	for (i = 0; i < countof(rules); i = group_end(i)) {
		if (c.len > room)
			return 0;
		prog[entry[i]].k = (uint32_t)(c.len - entry[i] - 1);
		for (k = i; k < group_end(i); k++)
			if (strict || !rules[k].strict)
				emit_rule(&c, &rules[k]);
		emit_to_end(&c);
	}
	if (c.len > room)
		return 0;
	for (i = 0; i < c.len; i++)
		if (prog[i].code == (BPF_JMP | BPF_JA) &&
		    prog[i].k == UINT32_MAX)
			prog[i].k = (uint32_t)(c.len - i - 1);
	return c.len;
}
