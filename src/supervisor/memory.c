/*
 * Memory of our processes, as the kernel counts it. Runs in the supervisor;
 * what it reads the kernel wrote.
 */
#include "supervisor/memory.h"

#include "lib/strutil.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

int64_t
memory_of(pid_t pid)
{
	char path[40], text[128], *rest;
	autofd int fd = -1;
	long long pages;
	ssize_t n;

	if (pid <= 0 ||
	    str_format(path, sizeof(path), "/proc/%d/statm", (int)pid) == -1)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	rest = strchr(text, ' '); /* the second number */
	pages = rest != NULL ? strtoll(rest, NULL, 10) : 0;
	return pages > 0 ? pages * sysconf(_SC_PAGESIZE) : 0;
}
