/*
 * The list of what the host hides, performed in a directory of the test's own
 * and compared with the host as it is. Needs root.
 */
#include "sandbox/hide.h"
#include "sandbox/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static char dir[64];
static int dir_fd;
static struct hide *hide;

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/hide-XXXXXX");
	assert_non_null(mkdtemp(dir));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(dir_fd, "hide", 0755), 0);
	assert_int_equal(mkdirat(dir_fd, "gone", 0755), 0);
	hide = NULL;
	return 0;
}

static int
teardown(void **state)
{
	int tmp_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t budget = 100000;

	(void)state;
	hide_close(hide);
	(void)close(dir_fd);
	return tree_remove(tmp_fd, strrchr(dir, '/') + 1, &budget, NULL);
}

static void
perform(const char *const *extra)
{
	struct err e;
	int fd;

	if (hide_open(extra, &hide, &e) == -1)
		fail_msg("%s", e.text);
	fd = hide_layer(hide, &e);
	assert_int_not_equal(fd, -1);
	assert_int_equal(hide_perform(fd, dir_fd), 0);
}

static bool
is_whiteout(const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

static bool
is_dir(const char *name, mode_t mode)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode) && (st.st_mode & 07777) == mode;
}

static void
hides_files_and_directories(void **state)
{
	struct stat st;

	(void)state;
	perform(NULL);
	if (stat("/etc/shadow", &st) == 0)
		assert_true(is_whiteout("hide/etc/shadow"));
	assert_false(is_whiteout("hide/etc/passwd"));
	/* what must exist is there, empty, and cut off from what lies below */
	assert_int_equal(stat("/root", &st), 0);
	assert_true(is_dir("hide/root", st.st_mode & 07777));
	assert_true(is_whiteout("gone/root"));
	assert_true(is_dir("hide/tmp", 01777));
	assert_true(is_whiteout("gone/tmp"));
	/* directories on the way look like the host's */
	assert_int_equal(stat("/etc", &st), 0);
	assert_true(is_dir("hide/etc", st.st_mode & 07777));
	assert_false(is_whiteout("gone/etc"));
	/* standard places are not touched */
	assert_int_equal(faccessat(dir_fd, "hide/usr/bin", F_OK, 0), -1);
	assert_int_equal(faccessat(dir_fd, "hide/bin", F_OK, 0), -1);
}

static void
hides_what_it_is_told(void **state)
{
	char link[128];
	const char *extra[] = { link, "/usr/share/doc", "/etc/passwd",
		"/no/such/path", NULL };
	struct err e;

	(void)state;
	/* through a link: the real place is what is hidden */
	(void)snprintf(link, sizeof(link), "%s/link", dir);
	assert_int_equal(symlink("/usr/include", link), 0);
	perform(extra);
	assert_true(is_whiteout("hide/usr/include"));
	assert_true(is_whiteout("hide/usr/share/doc"));
	assert_true(is_whiteout("hide/etc/passwd"));
	hide_close(hide);
	hide = NULL;
	extra[0] = "/";
	assert_int_equal(hide_open(extra, &hide, &e), -1);
}

/* A file that appears is in the next list. Works on /opt, since that is where
 * nobody looks. */
static void
looks_again(void **state)
{
	static const char name[] = "/opt/.sandboxd-test-hide";
	struct stat before, after;
	struct err e;
	int fd, tries;

	(void)state;
	perform(NULL);
	assert_int_equal(fstatat(hide_layer(hide, &e), "list", &before, 0), 0);
	fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		skip();
	(void)close(fd);
	/* "older than 5 s": wait for it, at most 15 */
	for (tries = 0; tries < 150; tries++) {
		fd = hide_layer(hide, &e);
		if (fd == -1 || fstatat(fd, "list", &after, 0) == -1 ||
		    after.st_size != before.st_size)
			break;
		(void)usleep(100000);
	}
	(void)unlink(name);
	assert_true(after.st_size > before.st_size);
}

/* The same at once, when that was asked for. */
static void
looks_ahead(void **state)
{
	static const char name[] = "/opt/.sandboxd-test-ahead";
	struct stat before, same, after;
	struct err e;
	int fd, rc;

	(void)state;
	perform(NULL);
	assert_int_equal(fstatat(hide_layer(hide, &e), "list", &before, 0), 0);
	fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		skip();
	(void)close(fd);
	rc = fstatat(hide_layer(hide, &e), "list", &same, 0);
	rc += hide_refresh(hide, &e);
	rc += fstatat(hide_layer(hide, &e), "list", &after, 0);
	(void)unlink(name);
	assert_int_equal(rc, 0);
	assert_int_equal(same.st_size, before.st_size);
	assert_true(after.st_size > before.st_size);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(hides_files_and_directories),
		T(hides_what_it_is_told),
		T(looks_again),
		T(looks_ahead),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
