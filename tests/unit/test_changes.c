/*
 * changes_write() on an upper layer made by hand, hostile parts included. The
 * stream is read back by a reader of the test's own.
 */
#include "sandbox/changes.h"
#include "lib/fdio.h"
#include "lib/json.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <cmocka.h>

#define ENTRIES_MAX 256

static char dir[64];
static int dir_fd;

struct entry {
	char type[16], path[5000], target[256], content[256];
	int64_t mode, size;
};

static struct entry entries[ENTRIES_MAX];
static size_t nentries;

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/changes-XXXXXX");
	assert_non_null(mkdtemp(dir));
	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir_fd == -1;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	(void)close(dir_fd);
	(void)snprintf(command, sizeof(command), "%s", dir);
	/* tree_remove has its own test; here plain unlinks would do as well */
	if (fork() == 0) {
		(void)execlp("rm", "rm", "-rf", command, (char *)NULL);
		_exit(1);
	}
	return 0;
}

static void
file_make(const char *name, const char *text, mode_t mode)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

/* Parse the stream in FD into entries[]; checks the framing. */
static void
stream_read(int fd)
{
	struct json *j;
	struct err e;
	size_t len, at = 0, line;
	char *data;
	int64_t size;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(fd_slurp(fd, 1 << 24, &data, &len, &e), 0);
	nentries = 0;
	for (;;) {
		struct entry *n = &entries[nentries];

		assert_true(at < len);
		line = (size_t)((char *)memchr(data + at, '\n', len - at) -
				(data + at));
		assert_int_equal(
		    json_parse(data + at, line, JSON_DEPTH_CONTROL, &j, &e), 0);
		at += line + 1;
		if (json_bool(j, "end", false)) {
			assert_int_equal(json_int(j, "entries", -1), nentries);
			json_free(j);
			break;
		}
		assert_true(nentries < ENTRIES_MAX);
		memset(n, 0, sizeof(*n));
		(void)snprintf(
		    n->type, sizeof(n->type), "%s", json_str(j, "type", ""));
		(void)snprintf(
		    n->path, sizeof(n->path), "%s", json_str(j, "path", "?"));
		(void)snprintf(n->target, sizeof(n->target), "%s",
		    json_str(j, "target", ""));
		n->mode = json_int(j, "mode", -1);
		n->size = size = json_int(j, "size", -1);
		json_free(j);
		nentries++;
		if (size > 0) {
			assert_true(at + (size_t)size <= len);
			(void)snprintf(n->content, sizeof(n->content), "%.*s",
			    (int)size, data + at);
			at += (size_t)size;
		}
	}
	assert_int_equal(at, len);
	free(data);
}

static void
changes_take(void)
{
	int fd = memfd_create("changes", MFD_CLOEXEC);
	int64_t n = -1;
	struct err e;

	if (changes_write(dir_fd, fd, &n, &e) == -1)
		fail_msg("%s", e.text);
	stream_read(fd);
	assert_int_equal(n, nentries);
	(void)close(fd);
}

static const struct entry *
entry_of(const char *path)
{
	size_t i;

	for (i = 0; i < nentries; i++)
		if (strcmp(entries[i].path, path) == 0)
			return &entries[i];
	fail_msg("no entry %s", path);
	return NULL;
}

static void
tells_each_kind(void **state)
{
	int fd;

	(void)state;
	file_make("file", "hello", 0640);
	file_make("suid", "x", 06755);
	file_make("empty", "", 0600);
	assert_int_equal(mkdirat(dir_fd, "d", 0755), 0);
	assert_int_equal(mkdirat(dir_fd, "new", 0700), 0);
	file_make("d/in", "in", 0600);
	assert_int_equal(symlinkat("/etc/passwd", dir_fd, "link"), 0);
	assert_int_equal(mknodat(dir_fd, "fifo", S_IFIFO | 0600, 0), 0);
	fd = openat(dir_fd, "new", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsetxattr(fd, "user.overlay.opaque", "y", 1, 0), 0);
	(void)close(fd);
	changes_take();
	assert_int_equal(nentries, 8);
	assert_string_equal(entry_of("file")->type, "file");
	assert_string_equal(entry_of("file")->content, "hello");
	assert_int_equal(entry_of("file")->mode, 0640);
	assert_int_equal(entry_of("suid")->mode, 0755);
	assert_int_equal(entry_of("empty")->size, 0);
	assert_string_equal(entry_of("d")->type, "dir");
	assert_string_equal(entry_of("new")->type, "replace_dir");
	assert_true(entry_of("d/in") > entry_of("d"));
	assert_string_equal(entry_of("link")->target, "/etc/passwd");
	assert_int_equal(entry_of("link")->size, -1);
	assert_string_equal(entry_of("fifo")->type, "error");
}

static void
tells_what_is_deleted(void **state)
{
	(void)state;
	if (mknodat(dir_fd, "gone", S_IFCHR, makedev(0, 0)) == -1)
		skip();
	if (geteuid() == 0)
		assert_int_equal(
		    mknodat(dir_fd, "null", S_IFCHR | 0666, makedev(1, 3)), 0);
	changes_take();
	assert_string_equal(entry_of("gone")->type, "delete");
	if (geteuid() == 0)
		assert_string_equal(entry_of("null")->type, "error");
}

static void
survives_odd_names(void **state)
{
	size_t i;

	(void)state;
	file_make("a\nb\"c\\d", "1", 0600);
	file_make("not-\xff-utf8", "2", 0600);
	file_make("caf\xc3\xa9", "3", 0600);
	assert_int_equal(symlinkat("bad-\xff", dir_fd, "l"), 0);
	changes_take();
	assert_int_equal(nentries, 4);
	assert_string_equal(entry_of("a\nb\"c\\d")->content, "1");
	assert_string_equal(entry_of("caf\xc3\xa9")->content, "3");
	assert_string_equal(entry_of("l")->type, "error");
	for (i = 0; i < nentries; i++)
		if (strncmp(entries[i].path, "not-", 4) == 0)
			assert_string_equal(entries[i].type, "error");
}

static void
ends_in_the_deep(void **state)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_CLOEXEC), next, i;

	(void)state;
	for (i = 0; i < 600; i++) {
		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)close(fd);
		fd = next;
	}
	(void)close(fd);
	changes_take();
	assert_true(nentries > 100 && nentries < 200);
	assert_string_equal(entries[nentries - 1].type, "error");
}

static void
tells_when_nobody_reads(void **state)
{
	int64_t n;
	int p[2];
	struct err e;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	file_make("file", "hello", 0640);
	assert_int_equal(pipe(p), 0);
	(void)close(p[0]);
	assert_int_equal(changes_write(dir_fd, p[1], &n, &e), -1);
	(void)close(p[1]);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(tells_each_kind),
		T(tells_what_is_deleted),
		T(survives_odd_names),
		T(ends_in_the_deep),
		T(tells_when_nobody_reads),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
