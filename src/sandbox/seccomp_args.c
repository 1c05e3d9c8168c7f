/*
 * The program that the kernel runs: rules about arguments of system calls, and
 * a search for the call's number among ranges of equal fate. Runs in the
 * supervisor at start; see seccomp.h. Trusts its caller, takes no input.
 *
 * Written out rather than given to libseccomp for two reasons. The order of
 * rules matters: the first rule of a call that matches decides, and the library
 * does not say in which order it compares rules that overlap. And the kernel
 * translates the program anew for every sandbox: the library compares with
 * every number on the lists, ranges make a quarter of that.
 *
 * Only the lower 32 bits of an argument are looked at. That is what the kernel
 * reads of every argument named here, so bits above cannot get a value past a
 * rule.
 */
#include "sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#	define LOW_WORD 0
#else
#	define LOW_WORD 4
#endif

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

#define PASS 0 /* as the lists say */

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

/* AF_INET and AF_INET6 differ in one bit. */
_Static_assert((AF_INET | 8) == AF_INET6 && AF_INET != AF_INET6, "families");
#define INTERNET(n)                    \
	{                              \
		n, EQUAL, ~8u, AF_INET \
	}
/* Other bits ask for close-on-exec and the like. */
#define SOCKET_TYPE(n, type)        \
	{                           \
		n, EQUAL, 0xf, type \
	}

#define WHEN(cond)   \
	1,           \
	{            \
		cond \
	}
#define BOTH(a, b)   \
	2,           \
	{            \
		a, b \
	}
#define EVER                           \
	0,                             \
	{                              \
		{                      \
			0, EQUAL, 0, 0 \
		}                      \
	}
#define ALWAYS false
#define STRICT true

/* A call that no rule refuses passes. One that this architecture lacks has a
 * negative number, which nothing asks for. */
#define GROUP(name, reason)
#define ALLOW(call)
#define ALLOW_NR(call, nr)
#define REFUSE(call)
#define REFUSE_NR(call, nr)
#define ABSENT(call)
#define ABSENT_NR(call, nr)
#define RULE(call, err, strict, conds, reason) \
	{ SCMP_SYS(call), err, strict, conds },
#define RULE_NR(call, nr, err, strict, conds, reason) \
	{ nr, err, strict, conds },
static const struct rule rules[] = {
#include "sandbox/seccomp.def"
};

/* Grows from the end of its room towards the start: whatever an instruction
 * may jump to is already there when it is added. Places are indices. */
struct code {
	struct sock_filter *prog;
	size_t at;  /* the first instruction so far */
	size_t end; /* one past the last */
	bool overflow;
};

static void
push(struct code *c, unsigned op, uint32_t k, size_t jt, size_t jf)
{
	if (c->at == 0) {
		c->overflow = true;
		return;
	}
	c->prog[--c->at] = (struct sock_filter)BPF_JUMP(
	    (unsigned short)op, k, (unsigned char)jt, (unsigned char)jf);
}

static void
push_load(struct code *c, size_t offset)
{
	push(c, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* PLACE, or a jump to it if the jumps that compare would not reach so far: on
 * some architectures there are that many ranges. */
static size_t
place_near(struct code *c, size_t place)
{
	/* one less than they reach: another such jump may come between */
	if (place - c->at < UINT8_MAX)
		return place;
	push(c, BPF_JMP | BPF_JA, (uint32_t)(place - c->at), 0, 0);
	return c->at;
}

/* Compare with K, then go to YES or to NO. */
static void
push_jump(struct code *c, unsigned how, uint32_t k, size_t yes, size_t no)
{
	yes = place_near(c, yes);
	no = place_near(c, no);
	push(c, BPF_JMP | how | BPF_K, k, yes - c->at, no - c->at);
}

/* The place of a return of ACTION, made only once. */
static size_t
place_return(struct code *c, uint32_t action)
{
	size_t i;

	for (i = c->at; i < c->end; i++)
		if (c->prog[i].code == (BPF_RET | BPF_K) &&
		    c->prog[i].k == action)
			return i;
	push(c, BPF_RET | BPF_K, action, 0, 0);
	return c->at;
}

/* The place of R's code. NEXT is where calls go that do not match it. */
static size_t
place_rule(struct code *c, const struct rule *r, size_t pass, size_t next)
{
	size_t yes =
	    r->err == PASS ? pass : place_return(c, FILTER_ERRNO(r->err));
	unsigned i;

	for (i = r->nconds; i-- > 0;) {
		const struct cond *d = &r->conds[i];

		push_jump(c, d->how == EQUAL ? BPF_JEQ : BPF_JSET, d->value,
		    yes, next);
		if (d->how == EQUAL && d->mask != WHOLE)
			push(c, BPF_ALU | BPF_AND | BPF_K, d->mask, 0, 0);
		push_load(c, offsetof(struct seccomp_data, args) +
				 d->arg * sizeof(uint64_t) + LOW_WORD);
		yes = c->at;
	}
	return yes;
}

/* Where CALL is decided: the code of its rules if it has some. */
static size_t
place_call(struct code *c, bool strict, const struct filter_call *call)
{
	size_t pass = place_return(c, call->action);
	size_t i, place = pass;

	for (i = countof(rules); i-- > 0;)
		if ((uint32_t)rules[i].nr == call->nr &&
		    (strict || !rules[i].strict))
			place = place_rule(c, &rules[i], pass, place);
	return place;
}

/* Numbers from FROM up to the next range's. */
struct range {
	uint32_t from;
	size_t place;
};

/* Append a range that begins at FROM and swallows what began there before. */
static size_t
range_add(struct range *ranges, size_t n, uint32_t from, size_t place)
{
	if (n > 0 && ranges[n - 1].from == from)
		n--;
	if (n > 0 && ranges[n - 1].place == place)
		return n;
	ranges[n] = (struct range){ .from = from, .place = place };
	return n + 1;
}

/* By number; of two that contradict each other the refusal is first, as it has
 * the lower value. */
static int
call_compare(const void *va, const void *vb)
{
	const struct filter_call *a = va, *b = vb;

	if (a->nr != b->nr)
		return a->nr < b->nr ? -1 : 1;
	return (a->action > b->action) - (a->action < b->action);
}

/* Fills RANGES, which has room for two per call and one. The last one reaches
 * to the end of all numbers, x32's among them, and goes to UNKNOWN. */
static size_t
place_calls(struct code *c, bool strict, struct filter_call *calls,
    size_t ncalls, size_t unknown, struct range *ranges)
{
	size_t i, n;

	qsort(calls, ncalls, sizeof(*calls), call_compare);
	n = range_add(ranges, 0, 0, unknown);
	for (i = 0; i < ncalls; i++) {
		if (i > 0 && calls[i].nr == calls[i - 1].nr)
			continue;
		n = range_add(
		    ranges, n, calls[i].nr, place_call(c, strict, &calls[i]));
		n = range_add(ranges, n, calls[i].nr + 1, unknown);
	}
	return n;
}

/* The place of a binary search among RANGES for the number just loaded. */
static size_t
place_search(struct code *c, const struct range *ranges, size_t n)
{
	size_t half = n / 2, yes, no;

	if (n == 1)
		return ranges[0].place;
	yes = place_search(c, ranges + half, n - half);
	no = place_search(c, ranges, half);
	push_jump(c, BPF_JGE, ranges[half].from, yes, no);
	return c->at;
}

/* Looks at the number before all else: the kernel runs this part for every
 * number when a filter is loaded, to learn which calls it can answer without
 * running it. */
size_t
filter_write(bool strict, struct filter_call *calls, size_t ncalls,
    struct sock_filter *prog, size_t room)
{
	struct code c = { prog, room, room, false };
	autofree struct range *ranges = NULL;
	size_t len, n, unknown;

	ranges = calloc(2 * ncalls + 1, sizeof(*ranges));
	if (ranges == NULL)
		return 0;
	unknown = place_return(&c, FILTER_ERRNO(ENOSYS));
	n = place_calls(&c, strict, calls, ncalls, unknown, ranges);
	(void)place_search(&c, ranges, n);
	push_load(&c, offsetof(struct seccomp_data, nr));
	push_jump(&c, BPF_JEQ, seccomp_arch_native(), c.at, unknown);
	push_load(&c, offsetof(struct seccomp_data, arch));
	if (c.overflow) {
		errno = E2BIG;
		return 0;
	}
	len = room - c.at;
	memmove(prog, prog + c.at, len * sizeof(*prog));
	return len;
}
