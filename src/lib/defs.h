/*
 * Attributes and tiny macros that every file may use. Includes nothing of
 * ours, declares no function with a body outside the compiler's reach.
 *
 * Cleanup attributes: a local declared `autofree` or `autofd` is released when
 * it leaves scope; hand it to somebody else with STEAL() or fd_steal().
 */
#ifndef LIB_DEFS_H
#define LIB_DEFS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define ATTR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ATTR_NORETURN __attribute__((noreturn))
#define ATTR_UNUSED __attribute__((unused))
#define ATTR_WARN_UNUSED __attribute__((warn_unused_result))

#define BIT(n) (1u << (n))
#define countof(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/*
 * True, always, in everything that is installed. Tests also link programs of
 * the same sources whose guards can be off, by name, and show that an attack
 * succeeds there: src/sandbox/guard.c. Write it where leaving a guard out is
 * one condition, and where no release could want to; the file is then one of
 * those that tests/local.mk compiles for them. GUARDS_OFF is what a sandbox's
 * init is told about it in its environment: nothing.
 */
#ifdef SANDBOXD_UNGUARDED
int guard_is_on(const char *name);
char *guards_off(void);
#	define GUARD(name) guard_is_on(#	name)
#	define GUARDS_OFF guards_off()
#else
#	define GUARD(name) 1
#	define GUARDS_OFF NULL
#endif

static inline void
cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void
cleanup_fd(const int *fd)
{
	if (*fd != -1)
		(void)close(*fd); /* nothing sensible to do on failure */
}

#define autofree __attribute__((cleanup(cleanup_free)))
#define autofd __attribute__((cleanup(cleanup_fd)))

/* Take the descriptor out of *FD, leaving -1 (empty) behind. */
static inline int
fd_steal(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

/* Close *FD if it holds a descriptor and mark it empty. */
static inline void
fd_close(int *fd)
{
	if (*fd != -1)
		(void)close(fd_steal(fd));
}

#define STEAL(p)                                \
	(__extension__({                        \
		__typeof__(p) steal_tmp_ = (p); \
		(p) = NULL;                     \
		steal_tmp_;                     \
	}))

#endif
