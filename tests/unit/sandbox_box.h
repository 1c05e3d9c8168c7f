/*
 * A sandbox for a unit test: its plan, its directory, and a conversation with
 * the probe (probe_init.c) that is its init. Included by one test program.
 */
#ifndef TESTS_SANDBOX_BOX_H
#define TESTS_SANDBOX_BOX_H

#include "lib/fdio.h"
#include "sandbox/hide.h"
#include "sandbox/launch.h"
#include "sandbox/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define BOX_MS 20000 /* a step that takes longer has failed */
#define BOX_ID_BASE 1000000u
#define BOX_OUT_MAX 65536
#define BOX_END '\036' /* before the probe's last line */

struct box {
	char dir[PATH_MAX]; /* state; removed at the end */
	int state_fd;
	struct plan plan;
	struct plan_mount mounts[8];
	struct launched run;
	struct err e;
	char out[BOX_OUT_MAX];
};

static struct host box_host;
static struct hide *box_hide;
static int box_init_fd = -1;

/* Make ready what all boxes share. 0 or -1. */
static inline int
box_setup(const char *probe)
{
	struct err e;
	autofd int fd = open(probe, O_RDONLY | O_CLOEXEC);
	char *data;
	size_t len;

	signal(SIGPIPE, SIG_IGN); /* as the supervisor has it */
	host_probe(&box_host);
	if (fd == -1 || fd_slurp(fd, 1u << 26, &data, &len, &e) == -1)
		return -1;
	if (fd_sealed("init", data, len, &box_init_fd, &e) == -1)
		return -1;
	free(data);
	if (geteuid() == 0 && hide_open(NULL, &box_hide, &e) == -1)
		return -1;
	return 0;
}

static inline void
box_teardown(void)
{
	hide_close(box_hide);
	host_free(&box_host);
	fd_close(&box_init_fd);
}

static inline void
box_new(struct box *b)
{
	memset(b, 0, sizeof(*b));
	(void)snprintf(b->dir, sizeof(b->dir), "/tmp/box-XXXXXX");
	if (mkdtemp(b->dir) == NULL)
		abort();
	b->state_fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(b->state_fd, "box", 0700) == -1)
		abort();
	b->plan.dir_fd =
	    openat(b->state_fd, "box", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	b->plan.id = "box";
	b->plan.hostname = "boxhost";
	b->plan.id_base = box_host.root ? BOX_ID_BASE : 0;
	b->plan.hide_fd = box_hide ? hide_layer(box_hide, &b->e) : -1;
	b->plan.init_fd = box_init_fd;
	b->plan.mounts = b->mounts;
	b->run.pid = -1;
}

static inline void
box_mount(
    struct box *b, enum mount_mode mode, const char *source, const char *target)
{
	b->mounts[b->plan.nmounts++] =
	    (struct plan_mount){ source, target, mode };
}

/* Path of NAME below the box's directory (in static room for four). */
static inline const char *
box_path(const struct box *b, const char *name)
{
	static char room[4][PATH_MAX];
	static unsigned next;
	char *p = room[next++ % 4];

	(void)snprintf(p, PATH_MAX, "%.2000s/%.2000s", b->dir, name);
	return p;
}

static inline void
box_file(const struct box *b, const char *name, const char *text)
{
	autofd int fd = open(
	    box_path(b, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd == -1 || write(fd, text, strlen(text)) < 0)
		abort();
}

/* Throw away what the sandbox has written. */
static inline void
box_forget(struct box *b)
{
	int64_t budget = 1000000;

	fd_close(&b->plan.dir_fd);
	if (tree_remove(b->state_fd, "box", &budget, &b->e) != 0 ||
	    mkdirat(b->state_fd, "box", 0700) == -1)
		abort();
	b->plan.dir_fd =
	    openat(b->state_fd, "box", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Launch and wait until init runs: 0, or -1 with b->e. */
static inline int
box_start(struct box *b)
{
	struct start_report r;
	struct pollfd pfd;
	ssize_t n;

	if (sandbox_launch(&box_host, &b->plan, &b->run, &b->e) == -1)
		return -1;
	pfd = (struct pollfd){ b->run.report_fd, POLLIN, 0 };
	if (poll(&pfd, 1, BOX_MS) != 1)
		return err_set(&b->e, ERR_TIMEOUT, "no report");
	n = read(b->run.report_fd, &r, sizeof(r));
	if (n == 0)
		return 0;
	start_report_text(&b->plan, &r, &b->e);
	return -1;
}

/* Wait for init's end; its status as waitpid tells it. */
static inline int
box_wait(struct box *b)
{
	struct pollfd pfd = { b->run.pidfd, POLLIN, 0 };
	int status = -1;

	if (b->run.pid == -1)
		return -1;
	if (poll(&pfd, 1, BOX_MS) != 1)
		(void)pidfd_send_signal(b->run.pidfd, SIGKILL, NULL, 0);
	while (waitpid(b->run.pid, &status, 0) == -1 && errno == EINTR)
		;
	fd_close(&b->run.pidfd);
	fd_close(&b->run.chan_fd);
	fd_close(&b->run.report_fd);
	b->run.pid = -1;
	return status;
}

static inline void
box_stop(struct box *b)
{
	if (b->run.pid == -1)
		return;
	(void)shutdown(b->run.chan_fd, SHUT_RDWR);
	(void)pidfd_send_signal(b->run.pidfd, SIGKILL, NULL, 0);
	(void)box_wait(b);
}

static inline void
box_free(struct box *b)
{
	autofd int tmp_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t budget = 1000000;
	struct err e;

	box_stop(b);
	fd_close(&b->plan.dir_fd);
	fd_close(&b->state_fd);
	if (tree_remove(tmp_fd, strrchr(b->dir, '/') + 1, &budget, &e) != 0)
		fprintf(stderr, "# %s: %s\n", b->dir, e.text);
}

/* Have the probe perform COMMAND; what it prints is in b->out without the
 * last line. Its exit status, or -1. */
static inline int
box_do(struct box *b, const char *fmt, ...)
{
	char line[8192], *last;
	struct pollfd pfd = { b->run.chan_fd, POLLIN, 0 };
	size_t len = 0;
	va_list ap;
	ssize_t n;
	int status;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	(void)strcat(line, "\n");
	b->out[0] = '\0';
	if (fd_write_all(b->run.chan_fd, line, strlen(line)) == -1)
		return -1;
	while (len + 1 < sizeof(b->out)) {
		if (poll(&pfd, 1, BOX_MS) != 1)
			return -1;
		n = read(
		    b->run.chan_fd, b->out + len, sizeof(b->out) - 1 - len);
		if (n == -1 && errno == EAGAIN)
			continue;
		if (n <= 0)
			return -1;
		len += (size_t)n;
		b->out[len] = '\0';
		if (b->out[len - 1] != '\n')
			continue;
		last = strrchr(b->out, BOX_END);
		if (last != NULL && sscanf(last + 1, "exit %d", &status) == 1) {
			*last = '\0';
			return status;
		}
	}
	return -1;
}

#endif
