/*
 * Logs of servers; see log.h. Runs as the caller.
 */
#include "ctl/compat/log.h"

#include "ctl/compat/place.h"
#include "ctl/text.h"
#include "lib/fdio.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define SHOW_MAX 8192

static int
log_path(char path[PATH_MAX], struct err *e)
{
	const char *told = getenv("SANDBOX_AGENT_LOG_DIR");
	time_t now = time(NULL);
	char dir[PATH_MAX];
	char day[16] = "";
	struct tm tm;

	if (told != NULL && *told != '\0') {
		if (mkdir(told, 0700) == -1 && errno != EEXIST)
			return err_sys(e, "make %s", told);
		if (str_copy(dir, sizeof(dir), told) == -1)
			return err_set(
			    e, ERR_SYSTEM, "SANDBOX_AGENT_LOG_DIR: too long");
	} else if (place_data_dir("logs", dir, e) == -1) {
		return -1;
	}
	if (gmtime_r(&now, &tm) != NULL)
		(void)strftime(day, sizeof(day), "%m-%d-%y", &tm);
	if (str_format(path, PATH_MAX, "%s/log-%s", dir, day) == -1)
		return err_set(e, ERR_SYSTEM, "the log's path is too long");
	return 0;
}

void
log_show(const char *path, off_t from)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[SHOW_MAX];
	struct buf b;
	struct stat st;
	ssize_t n;

	if (fd == -1 || fstat(fd, &st) == -1)
		return;
	n = pread(fd, text, sizeof(text), MAX(from, st.st_size - SHOW_MAX));
	if (n <= 0)
		return;
	buf_init(&b, 8 * (size_t)SHOW_MAX);
	text_clean(&b, text, (size_t)n, true);
	if (!b.failed && b.len > 0)
		(void)fd_write_all(STDERR_FILENO, b.data, b.len);
	buf_free(&b);
}

/* In a process of its own, whose parent is gone. Nothing of the server's may
 * stay open in it: neither its port nor its log. */
static void
watch(int ready_fd, const char *path, off_t from)
{
	char byte;
	ssize_t n;

	(void)dup2(ready_fd, STDIN_FILENO);
	(void)close(STDOUT_FILENO);
	(void)close_range(STDERR_FILENO + 1, ~0u, 0);
	do
		n = read(STDIN_FILENO, &byte, 1);
	while (n == -1 && errno == EINTR);
	if (n != 1)
		log_show(path, from);
	_exit(EXIT_OK);
}

static int
start_watch(int *ready_out, const char *path, off_t from, struct err *e)
{
	autofd int in = -1, out = -1;
	pid_t pid;

	if (fd_pipe(&in, &out, e) == -1)
		return -1;
	/* PRIV: none before, none after. Twice, so that it is no child of the
	 * daemon's, which would have to wait for it. */
	pid = fork();
	if (pid == -1)
		return err_sys(e, "fork");
	if (pid == 0) {
		fd_close(&out);
		pid = fork();
		if (pid == 0)
			watch(in, path, from);
		_exit(pid == -1 ? EXIT_SYS : EXIT_OK);
	}
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		;
	*ready_out = fd_steal(&out);
	return 0;
}

int
log_open(int *log_out, int *ready_out, struct err *e)
{
	const char *to_stdout = getenv("SANDBOX_AGENT_LOG_STDOUT");
	char path[PATH_MAX];
	autofd int fd = -1;
	struct stat st;

	if (to_stdout != NULL && strcmp(to_stdout, "1") == 0) {
		*log_out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		return *log_out == -1 ? err_sys(e, "open the log") : 0;
	}
	if (log_path(path, e) == -1)
		return -1;
	fd = open(
	    path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1 || fstat(fd, &st) == -1)
		return err_sys(e, "open %s", path);
	if (start_watch(ready_out, path, st.st_size, e) == -1)
		return -1;
	*log_out = fd_steal(&fd);
	return 0;
}
