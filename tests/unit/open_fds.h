/*
 * How many descriptors are open here, to see that none was lost. Included after
 * cmocka's headers.
 */
#ifndef OPEN_FDS_H
#define OPEN_FDS_H

#include <dirent.h>

static inline int
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

#endif
