/*
 * Allocation that exits, or waits where the end of a process would be worse
 * than its standing still. Runs in every process of ours, for sizes that our
 * own code chose; a size that a peer chose goes through buf or a checked
 * malloc instead, so that nobody outside can end us by asking for much.
 *
 * A size of zero or a product that overflows is a defect of ours: abort, with
 * a core to look at, rather than go on with a wrong idea of the size.
 */
#include "xalloc.h"
#include "log.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool patient;

void
xalloc_wait(void)
{
	patient = true;
}

/* Returns only to try again. */
static void
out_of_memory(size_t size)
{
	const struct timespec nap = { .tv_nsec = 10000000 };

	if (!patient)
		fatal("memory", "cannot allocate %zu bytes", size);
	(void)nanosleep(&nap, NULL);
}

void *
xmalloc(size_t size)
{
	void *p;

	if (size == 0)
		abort();
	while ((p = malloc(size)) == NULL)
		out_of_memory(size);
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	void *p;
	size_t total;

	if (__builtin_mul_overflow(n, size, &total) || total == 0)
		abort();
	while ((p = calloc(n, size)) == NULL)
		out_of_memory(total);
	return p;
}

void *
xreallocarray(void *p, size_t n, size_t size)
{
	void *q;
	size_t total;

	if (__builtin_mul_overflow(n, size, &total) || total == 0)
		abort();
	while ((q = realloc(p, total)) == NULL)
		out_of_memory(total);
	return q;
}

char *
xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *
xstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy;

	copy = xmalloc(len + 1);
	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	for (;;) {
		va_start(ap, fmt);
		n = vasprintf(&s, fmt, ap);
		va_end(ap);
		if (n >= 0)
			return s;
		out_of_memory(0);
	}
}

char **
strv_dup(char *const *v)
{
	size_t n = strv_len(v);
	char **copy;
	size_t i;

	copy = xcalloc(n + 1, sizeof(*copy));
	for (i = 0; i < n; i++)
		copy[i] = xstrdup(v[i]);
	return copy;
}

void
strv_free(char **v)
{
	size_t i;

	if (v == NULL)
		return;
	for (i = 0; v[i] != NULL; i++)
		free(v[i]);
	free(v);
}

size_t
strv_len(char *const *v)
{
	size_t n = 0;

	while (v != NULL && v[n] != NULL)
		n++;
	return n;
}
