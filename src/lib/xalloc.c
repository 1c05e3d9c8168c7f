/*
 * Allocation that exits. Runs in every process of ours, for sizes that our
 * own code chose; a size that a peer chose goes through buf or a checked
 * malloc instead, so that nobody outside can end us by asking for much.
 *
 * A size of zero or a product that overflows is a defect of ours: abort, with
 * a core to look at, rather than go on with a wrong idea of the size.
 */
#include "xalloc.h"
#include "log.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void out_of_memory(size_t size) ATTR_NORETURN;

static void
out_of_memory(size_t size)
{
	fatal("memory", "cannot allocate %zu bytes", size);
}

void *
xmalloc(size_t size)
{
	void *p;

	if (size == 0)
		abort();
	p = malloc(size);
	if (p == NULL)
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
	p = calloc(n, size);
	if (p == NULL)
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
	q = realloc(p, total);
	if (q == NULL)
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

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory(0);
	return s;
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
