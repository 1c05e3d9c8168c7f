/*
 * Process titles. Runs in every process of ours, first thing in main. The
 * kernel shows the memory that argv and environ came in; the environment is
 * copied away so that its part can be overwritten as well.
 *
 * Everything shown is readable by anybody on the host: no secret may stand in
 * a title, and the arguments and environment that stood there are wiped.
 */
#include "proctitle.h"
#include "secret.h"
#include "xalloc.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

static char *area; /* borrowed from the kernel: argv's strings and environ's */
static size_t area_size;
/* What the environment was: setenv() and unsetenv() forget arrays and strings
 * that a leak check then finds. */
static char **first, **kept;

/* The end of the strings in V that follow END without a gap. */
static char *
extend(char *const *v, char *end)
{
	for (; *v != NULL; v++) {
		if (*v == end)
			end += strlen(*v) + 1;
	}
	return end;
}

void
proctitle_init(int argc, char **argv)
{
	char *end;

	if (argc < 1 || argv[0] == NULL)
		return;
	end = extend(argv, argv[0]);
	if (environ != NULL) {
		end = extend(environ, end);
		/* Both the strings and the array must live elsewhere now. */
		first = environ = strv_dup(environ);
		kept = xcalloc(strv_len(first) + 1, sizeof(*kept));
		memcpy(kept, first, strv_len(first) * sizeof(*kept));
	}
	area = argv[0];
	area_size = (size_t)(end - area);
}

void
proctitle_set(const char *comm, const char *fmt, ...)
{
	char title[256];
	va_list ap;
	size_t len;

	(void)prctl(PR_SET_NAME, comm); /* cut at 15 bytes; cannot fail */
	if (area_size == 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(title, sizeof(title), fmt, ap); /* cut */
	va_end(ap);
	/* Everybody on the host may read it. */
	len = MIN(secret_scrub(title, strlen(title)), area_size - 1);
	memcpy(area, title, len);
	memset(area + len, 0, area_size - len);
}
