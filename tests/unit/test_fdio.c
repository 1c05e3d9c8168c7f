/*
 * lib/fdio: close-on-exec everywhere, descriptors passed, surplus ones closed.
 */
#include "lib/fdio.h"
#include "lib/proctitle.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "open_fds.h"

static int busy; /* so many more seals are refused, as a kernel may do */

/* In place of the C library's. */
int
fcntl(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	if (cmd == F_ADD_SEALS && busy > 0) {
		busy--;
		errno = EBUSY;
		return -1;
	}
	return (int)syscall(SYS_fcntl, fd, cmd, arg);
}

static bool
cloexec(int fd)
{
	return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static bool
nonblock(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

static void
pairs_and_flags(void **state ATTR_UNUSED)
{
	struct err e;
	int a, b;

	assert_int_equal(fd_socketpair(&a, &b, &e), 0);
	assert_true(cloexec(a) && cloexec(b));
	assert_true(nonblock(a) && nonblock(b));
	assert_int_equal(fd_set_nonblock(a, 0), 0);
	assert_false(nonblock(a));
	assert_int_equal(fd_set_cloexec(a, 0), 0);
	assert_false(cloexec(a));
	assert_int_equal(fd_set_cloexec(a, 1), 0);
	assert_true(cloexec(a));
	fd_close(&a);
	fd_close(&b);
	assert_int_equal(a, -1);
	assert_int_equal(fd_pipe(&a, &b, &e), 0);
	assert_true(cloexec(a) && cloexec(b));
	assert_false(nonblock(a));
	fd_close(&a);
	fd_close(&b);
	assert_int_equal(fd_set_nonblock(-1, 1), -1);
	assert_int_equal(fd_set_cloexec(-1, 1), -1);
}

static void
descriptors_travel(void **state ATTR_UNUSED)
{
	int before = open_fds();
	int fds[FDIO_MAX_FDS], got[FDIO_MAX_FDS];
	struct stat st;
	struct err e;
	char text[16];
	size_t n, i;
	int a, b;

	assert_int_equal(fd_socketpair(&a, &b, &e), 0);
	for (i = 0; i < FDIO_MAX_FDS; i++)
		fds[i] = open("/dev/null", O_RDONLY); /* not close-on-exec */
	assert_int_equal(fd_send(a, "hi", 2, fds, FDIO_MAX_FDS), 2);
	assert_int_equal(fd_recv(b, text, sizeof(text), got, &n), 2);
	assert_int_equal(n, FDIO_MAX_FDS);
	for (i = 0; i < n; i++) {
		assert_true(cloexec(got[i]));
		assert_int_equal(fstat(got[i], &st), 0);
		assert_true(S_ISCHR(st.st_mode));
	}
	fd_close_all(got, n);
	assert_int_equal(got[0], -1);
	assert_int_equal(fd_send(a, "x", 1, NULL, 0), 1);
	assert_int_equal(fd_recv(b, text, sizeof(text), got, &n), 1);
	assert_int_equal(n, 0);
	assert_int_equal(fd_recv(b, text, sizeof(text), got, &n), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fd_send(a, "x", 1, fds, FDIO_MAX_FDS + 1), -1);
	assert_int_equal(fd_send(a, "", 0, fds, 1), -1);
	fd_close_all(fds, FDIO_MAX_FDS);
	fd_close(&b);
	assert_int_equal(fd_send(a, "x", 1, NULL, 0), -1); /* no SIGPIPE */
	assert_int_equal(errno, EPIPE);
	fd_close(&a);
	assert_int_equal(open_fds(), before);
}

/* Send N copies of standard input in one message, as we never would. */
static void
send_many(int fd, size_t n)
{
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(int) * 253)];
	} control;
	struct iovec iov = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.data,
		.msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int zero = 0;
	size_t i;

	memset(&control, 0, sizeof(control));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	for (i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(zero), &zero, sizeof(zero));
	assert_int_equal(sendmsg(fd, &msg, 0), 1);
}

static void
surplus_is_closed(void **state ATTR_UNUSED)
{
	static const size_t many[] = { FDIO_MAX_FDS + 1, FDIO_MAX_FDS + 2,
		253 };
	int got[FDIO_MAX_FDS];
	struct err e;
	char text[16];
	size_t i, n;
	int a, b, before;

	assert_int_equal(fd_socketpair(&a, &b, &e), 0);
	before = open_fds();
	for (i = 0; i < countof(many); i++) {
		send_many(a, many[i]);
		errno = 0;
		assert_int_equal(fd_recv(b, text, sizeof(text), got, &n), -1);
		assert_int_equal(errno, EPROTO);
		assert_int_equal(n, 0);
		assert_int_equal(open_fds(), before);
	}
	fd_close(&a);
	fd_close(&b);
}

static void
write_all_waits_for_room(void **state ATTR_UNUSED)
{
	static char data[1 << 20], in[1 << 16];
	struct err e;
	size_t total = 0;
	ssize_t n;
	int r, w, status;
	pid_t pid;

	assert_int_equal(fd_pipe(&r, &w, &e), 0);
	assert_int_equal(fd_set_nonblock(w, 1), 0);
	pid = fork();
	if (pid == 0) {
		alarm(20);
		_exit(fd_write_all(w, data, sizeof(data)) == 0 ? 0 : 1);
	}
	fd_close(&w);
	while ((n = read(r, in, sizeof(in))) > 0)
		total += (size_t)n;
	assert_int_equal(total, sizeof(data));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fd_close(&r);
	assert_int_equal(fd_write_all(-1, "x", 1), -1);
	assert_int_equal(fd_write_all(-1, "x", 0), 0);
}

static void
sealed_files_hold(void **state ATTR_UNUSED)
{
	char text[16] = "";
	struct err e;
	int fd;

	assert_int_equal(fd_sealed("test", "content", 7, &fd, &e), 0);
	assert_true(cloexec(fd));
	assert_int_equal(read(fd, text, sizeof(text)), 7);
	assert_string_equal(text, "content");
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 100), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), -1);
	assert_ptr_equal(
	    mmap(NULL, 7, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
	    MAP_FAILED);
	fd_close(&fd);
	assert_int_equal(fd_sealed("empty", "", 0, &fd, &e), 0);
	assert_int_equal(read(fd, text, sizeof(text)), 0);
	fd_close(&fd);
}

/* A page that is held for a moment is no reason to fail; what lasts is. */
static void
seals_are_tried_again(void **state ATTR_UNUSED)
{
	char text[16] = "";
	struct err e;
	int fd, before = open_fds();

	busy = FD_SEAL_TRIES - 1;
	assert_int_equal(fd_sealed("test", "content", 7, &fd, &e), 0);
	assert_int_equal(busy, 0);
	assert_int_equal(read(fd, text, sizeof(text)), 7);
	assert_string_equal(text, "content");
	assert_int_equal(write(fd, "x", 1), -1);
	fd_close(&fd);
	busy = FD_SEAL_TRIES + 1;
	assert_int_equal(fd_sealed("test", "content", 7, &fd, &e), -1);
	assert_int_equal(busy, 1);
	busy = 0;
	assert_non_null(strstr(e.text, strerror(EBUSY)));
	assert_int_equal(open_fds(), before);
}

static void
slurp_knows_its_limit(void **state ATTR_UNUSED)
{
	static char big[100000];
	struct err e;
	char *data;
	size_t len, n;
	int fd, r, w;

	memset(big, 'x', sizeof(big));
	for (n = 0; n <= sizeof(big); n = n * 3 + 1) {
		assert_int_equal(fd_sealed("test", big, n, &fd, &e), 0);
		assert_int_equal(fd_slurp(fd, n, &data, &len, &e), 0);
		assert_int_equal(len, n);
		assert_int_equal(strlen(data), n);
		free(data);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		if (n > 0) {
			assert_int_equal(
			    fd_slurp(fd, n - 1, &data, &len, &e), -1);
			assert_int_equal(e.code, ERR_TOO_LARGE);
		}
		fd_close(&fd);
		/* The same from where no size is known. */
		if (n > 60000)
			continue;
		assert_int_equal(fd_pipe(&r, &w, &e), 0);
		assert_int_equal(fd_write_all(w, big, n), 0);
		fd_close(&w);
		assert_int_equal(fd_slurp(r, 100000, &data, &len, &e), 0);
		assert_int_equal(len, n);
		free(data);
		fd_close(&r);
	}
	fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_slurp(fd, 1 << 16, &data, NULL, &e), 0);
	assert_true(strlen(data) > 10);
	free(data);
	fd_close(&fd);
	fd = open("/", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_slurp(fd, 1 << 16, &data, &len, &e), -1);
	assert_int_equal(e.code, ERR_SYSTEM);
	fd_close(&fd);
}

static void
titles_show_and_keep_the_environment(void **state ATTR_UNUSED)
{
	struct err e;
	char *data;
	size_t len;
	int fd;

	assert_string_equal(getenv("TEST_FDIO"), "kept");
	proctitle_set("short", "sandboxd: init %s", "box1");
	fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_slurp(fd, 1 << 16, &data, &len, &e), 0);
	assert_string_equal(data, "sandboxd: init box1");
	free(data);
	fd_close(&fd);
	fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_slurp(fd, 100, &data, &len, &e), 0);
	assert_string_equal(data, "short\n");
	free(data);
	fd_close(&fd);
	assert_string_equal(getenv("TEST_FDIO"), "kept");
	proctitle_set("x", "%0500d", 7); /* cut, wherever the room ends */
	assert_string_equal(getenv("TEST_FDIO"), "kept");
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_and_flags),
		cmocka_unit_test(descriptors_travel),
		cmocka_unit_test(surplus_is_closed),
		cmocka_unit_test(write_all_waits_for_room),
		cmocka_unit_test(sealed_files_hold),
		cmocka_unit_test(seals_are_tried_again),
		cmocka_unit_test(slurp_knows_its_limit),
		cmocka_unit_test(titles_show_and_keep_the_environment),
	};

	if (setenv("TEST_FDIO", "kept", 1) == -1)
		return 1;
	proctitle_init(argc, argv);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("fdio", tests, NULL, NULL);
}
