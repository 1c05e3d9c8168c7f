/*
 * What the tests of sandboxctl share: a stream of changes in memory, a
 * directory that is removed again, output caught in a buffer.
 */
#ifndef TEST_CTL_H
#define TEST_CTL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ctl/apply.h"
#include "ctl/text.h"
#include "lib/buf.h"
#include "lib/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static struct ctl test_ctl_ctx ATTR_UNUSED = { .json = true };

/* A stream that holds N bytes, as a descriptor at its start. */
static inline int
stream_of(const char *s, size_t n)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);

	assert_int_not_equal(fd, -1);
	assert_int_equal(fd_write_all(fd, s, n), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static inline int
remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

/* Into DST[64]: a new directory below the temporary one. */
static inline void
make_tmp(char dst[64])
{
	(void)snprintf(dst, 64, "/tmp/test-ctl-XXXXXX");
	assert_non_null(mkdtemp(dst));
}

static inline void
remove_tmp(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void
put_file(const char *dir, const char *path, const char *text)
{
	char full[512];
	FILE *f;

	(void)snprintf(full, sizeof(full), "%s/%s", dir, path);
	f = fopen(full, "w");
	assert_non_null(f);
	(void)fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static inline void
put_dir(const char *dir, const char *path)
{
	char full[512];

	(void)snprintf(full, sizeof(full), "%s/%s", dir, path);
	assert_int_equal(mkdir(full, 0755), 0);
}

static inline void
put_link(const char *dir, const char *path, const char *target)
{
	char full[512];

	(void)snprintf(full, sizeof(full), "%s/%s", dir, path);
	assert_int_equal(symlink(target, full), 0);
}

/* The content of a file, or NULL when there is none; valid until the next
 * call. Links are not followed. */
static inline const char *
get_file(const char *dir, const char *path)
{
	static char text[65536];
	char full[512];
	ssize_t n;
	int fd;

	(void)snprintf(full, sizeof(full), "%s/%s", dir, path);
	fd = open(full, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return NULL;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static inline mode_t
get_mode(const char *dir, const char *path)
{
	char full[512];
	struct stat st;

	(void)snprintf(full, sizeof(full), "%s/%s", dir, path);
	return lstat(full, &st) == -1 ? 0 : st.st_mode;
}

#endif
