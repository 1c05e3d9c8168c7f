/*
 * Is the service ready, and does it still live? Runs in init.
 *
 * Ready: a newline on a descriptor that it got (NOTIFY_FD), or a probe that
 * succeeds: a connection to a TCP port, an HTTP answer of 2xx or 3xx, a command
 * that ends with 0. Probes of the network run in a forked child, which may
 * wait; what they are told is not looked at further.
 *
 * Alive: it prints, or writes to the descriptor, often enough. What it writes
 * is thrown away unread.
 */
#include "init/service_priv.h"
#include "init/child.h"
#include "lib/fdio.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PROBE_S 5 /* one waits at most so long */
#define READ_BYTES 4096
#define PIPE_READS 16 /* are all that a pipe holds */
#define PATIENCE_STEPS 8
#define READY_MS 30000
#define INTERVAL_MS 500

static const struct json *
ready_how(const struct service *sv, const char *what)
{
	return json_get(json_get(sv->policy, "ready"), what);
}

static bool
wants_notify(const struct service *sv)
{
	return json_bool(json_get(sv->policy, "ready"), "notify", false);
}

static int64_t
watchdog_ms(const struct service *sv)
{
	return json_int(json_get(sv->policy, "watchdog"), "ms", 0);
}

static void
timer_ms(struct service *sv, ev_timer *t, int64_t ms)
{
	ev_timer_stop(sv->in->loop, t);
	ev_now_update(sv->in->loop);
	ev_timer_set(t, (double)ms / 1e3, 0.);
	ev_timer_start(sv->in->loop, t);
}

/* --- patience ------------------------------------------------------------ */

static void
patience_begin(struct service *sv, struct patience *p, int64_t ms)
{
	p->step_ms = MAX(ms / PATIENCE_STEPS, 1);
	p->left_ms = ms;
	p->at_ms = now_monotonic_ms();
	timer_ms(sv, &p->step, MIN(p->step_ms, ms));
}

/* A step is over. True: so is the patience. */
static bool
patience_over(struct service *sv, struct patience *p)
{
	int64_t now = now_monotonic_ms();

	p->left_ms -= MIN(now - p->at_ms, p->step_ms);
	p->at_ms = now;
	if (p->left_ms <= 0)
		return true;
	timer_ms(sv, &p->step, MIN(p->step_ms, p->left_ms));
	return false;
}

/* --- its pipes ----------------------------------------------------------- */

static void alive(struct service *sv);
static void is_ready(struct service *sv);

static void
pipe_stop(struct service *sv, ev_io *io, int *fd)
{
	ev_io_stop(sv->in->loop, io);
	fd_close(fd);
}

/* The bytes that came; 0: none for now, or no more. */
static size_t
pipe_read(struct service *sv, ev_io *io, int *fd, char buf[READ_BYTES])
{
	ssize_t n;

	if (*fd == -1)
		return 0;
	n = read(*fd, buf, READ_BYTES);
	if (n > 0)
		return (size_t)n;
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		pipe_stop(sv, io, fd);
	return 0;
}

static bool
notify_read(struct service *sv)
{
	char buf[READ_BYTES];
	size_t n = pipe_read(sv, &sv->notify, &sv->notify_fd, buf);

	if (n == 0)
		return false;
	alive(sv);
	if (wants_notify(sv) && memchr(buf, '\n', n) != NULL)
		is_ready(sv);
	return true;
}

static bool
output_read(struct service *sv)
{
	char buf[READ_BYTES];

	if (pipe_read(sv, &sv->output, &sv->output_fd, buf) == 0)
		return false;
	alive(sv);
	return true;
}

static void
on_notify(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	(void)revents;
	(void)notify_read(io->data);
}

static void
on_output(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	(void)revents;
	(void)output_read(io->data);
}

/* --- watchdog ------------------------------------------------------------ */

static void
watch(struct service *sv)
{
	if (watchdog_ms(sv) > 0 && sv->running)
		patience_begin(sv, &sv->watchdog, watchdog_ms(sv));
}

/* It has said something. */
static void
alive(struct service *sv)
{
	if (sv->told_hung) {
		sv->told_hung = false;
		service_tell(sv, "alive", NULL);
		watch(sv);
	}
	/* The step that is under way goes on. */
	sv->watchdog.left_ms = watchdog_ms(sv);
	sv->watchdog.at_ms = now_monotonic_ms();
}

static void
on_watchdog(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct service *sv = t->data;
	const char *action =
	    json_str(json_get(sv->policy, "watchdog"), "action", "restart");

	(void)loop;
	(void)revents;
	/* A timer that is late is served before what has come meanwhile. */
	(void)notify_read(sv);
	(void)output_read(sv);
	if (!patience_over(sv, &sv->watchdog))
		return;
	service_tell(sv, "hung", action);
	if (strcmp(action, "nothing") == 0) {
		sv->told_hung = true; /* until it speaks */
		return;
	}
	sv->hung = true;
	service_kill(sv);
}

/* --- ready --------------------------------------------------------------- */

static void
is_ready(struct service *sv)
{
	if (sv->ready || !sv->running)
		return;
	sv->ready = true;
	ev_timer_stop(sv->in->loop, &sv->ready_by.step);
	ev_timer_stop(sv->in->loop, &sv->probe_at);
	service_tell(sv, "ready", NULL);
	watch(sv); /* until now there was another bound */
}

static void
on_too_late(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct service *sv = t->data;

	(void)loop;
	(void)revents;
	(void)notify_read(sv);
	if (sv->ready || !patience_over(sv, &sv->ready_by))
		return;
	sv->late = true;
	service_kill(sv);
}

/* --- probes -------------------------------------------------------------- */

static void probe_child(int64_t port, const char *path) ATTR_NORETURN;

/* PRIV: a copy of init without its descriptors, for a connection to the
 * sandbox's own loopback. */
static void
probe_child(int64_t port, const char *path)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char text[1200];
	ssize_t n, got = 0;
	int fd;

	init_signals_child();
	(void)alarm(PROBE_S);
	(void)close_range(0, ~0U, 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1)
		_exit(1);
	if (path == NULL)
		_exit(0);
	n = snprintf(text, sizeof(text),
	    "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
	    path);
	if (n >= (ssize_t)sizeof(text) || fd_write_all(fd, text, (size_t)n))
		_exit(1);
	/* "HTTP/1.1 200" */
	while (got < 12 && (n = read(fd, text + got, 12 - (size_t)got)) > 0)
		got += n;
	_exit(got == 12 && memcmp(text, "HTTP/1.", 7) == 0 &&
		      (text[9] == '2' || text[9] == '3')
		  ? 0
		  : 1);
}

static void
probe_next(struct service *sv)
{
	const struct json *ready = json_get(sv->policy, "ready");

	sv->probing = false;
	if (sv->running && !sv->ready)
		timer_ms(sv, &sv->probe_at,
		    json_int(ready, "interval_ms", INTERVAL_MS));
}

/* Of a former life it says nothing. */
static void
probe_succeeded(struct service *sv)
{
	if (sv->probe_of == sv->nstarts)
		is_ready(sv);
}

static void
probe_nothing(struct exec *x)
{
	(void)x;
}

static void
probe_failed(struct exec *x, const struct err *e)
{
	(void)e;
	probe_next(x->ctx);
}

static void
probe_ended(struct exec *x)
{
	struct service *sv = x->ctx;

	if (x->code == CLD_EXITED && x->value == 0 && !x->timed_out)
		probe_succeeded(sv);
	probe_next(sv);
}

static const struct exec_ops probe_ops = { probe_nothing, probe_failed,
	probe_ended };

static int
probe_exec(struct service *sv)
{
	struct exec_how how = {
		.plan = { .fds = { sv->in->null_fd, sv->in->null_fd,
			      sv->in->null_fd } },
		.timeout_ms = PROBE_S * 1000,
	};

	if (sv->probe_msg == NULL)
		sv->probe_msg =
		    service_command(sv, ready_how(sv, "exec"), NULL);
	how.plan.msg = sv->probe_msg;
	if (how.plan.msg == NULL)
		return -1;
	return exec_start(sv->in, &how, &probe_ops, sv, NULL, NULL);
}

static int
probe_fork(struct service *sv)
{
	const struct json *http = ready_how(sv, "http");
	int64_t port = http != NULL
			   ? json_int(http, "port", 0)
			   : json_int(json_get(sv->policy, "ready"), "tcp", 0);

	sv->probe_pid = init_fork();
	if (sv->probe_pid == 0)
		probe_child(
		    port, http == NULL ? NULL : json_str(http, "path", "/"));
	if (sv->probe_pid != -1)
		return 0;
	sv->probe_pid = 0;
	return -1;
}

static void
on_probe_at(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct service *sv = t->data;

	(void)loop;
	(void)revents;
	if (sv->probing)
		return;
	sv->probing = true;
	sv->probe_of = sv->nstarts;
	if ((ready_how(sv, "exec") != NULL ? probe_exec(sv) : probe_fork(sv)) ==
	    -1)
		probe_next(sv);
}

void
service_reaped(struct init *in, const siginfo_t *si)
{
	struct service *sv = in->service;

	if (sv == NULL || sv->probe_pid == 0 || si->si_pid != sv->probe_pid)
		return;
	sv->probe_pid = 0;
	if (si->si_code == CLD_EXITED && si->si_status == 0)
		probe_succeeded(sv);
	probe_next(sv);
}

/* --- one life of it ----------------------------------------------------- */

void
ready_init(struct service *sv)
{
	sv->notify_fd = sv->output_fd = -1;
	ev_init(&sv->notify, on_notify);
	ev_init(&sv->output, on_output);
	ev_init(&sv->ready_by.step, on_too_late);
	ev_init(&sv->watchdog.step, on_watchdog);
	ev_init(&sv->probe_at, on_probe_at);
	sv->notify.data = sv->output.data = sv->probe_at.data = sv;
	sv->ready_by.step.data = sv->watchdog.step.data = sv;
}

int
ready_pipes(struct service *sv, struct exec_how *how, struct err *e)
{
	if (wants_notify(sv) || watchdog_ms(sv) > 0) {
		if (fd_pipe(&sv->notify_fd, &how->plan.notify_fd, e) == -1)
			return -1;
		(void)fd_set_nonblock(sv->notify_fd, 1);
	}
	if (watchdog_ms(sv) > 0) {
		if (fd_pipe(&sv->output_fd, &how->plan.fds[1], e) == -1)
			return -1;
		(void)fd_set_nonblock(sv->output_fd, 1);
		how->plan.fds[2] = how->plan.fds[1];
	}
	return 0;
}

void
ready_started(struct service *sv)
{
	const struct json *ready = json_get(sv->policy, "ready");
	struct ev_loop *loop = sv->in->loop;

	sv->ready = sv->told_hung = false;
	if (sv->notify_fd != -1) {
		ev_io_set(&sv->notify, sv->notify_fd, EV_READ);
		ev_io_start(loop, &sv->notify);
	}
	if (sv->output_fd != -1) {
		ev_io_set(&sv->output, sv->output_fd, EV_READ);
		ev_io_start(loop, &sv->output);
	}
	if (ready == NULL) {
		watch(sv);
		return;
	}
	patience_begin(
	    sv, &sv->ready_by, json_int(ready, "timeout_ms", READY_MS));
	if (!wants_notify(sv))
		timer_ms(sv, &sv->probe_at, 0);
}

void
ready_ended(struct service *sv)
{
	int i;

	/* Its end may be seen before its last words are. */
	for (i = 0; i < PIPE_READS && sv->running && notify_read(sv); i++)
		continue;
	ev_timer_stop(sv->in->loop, &sv->ready_by.step);
	ev_timer_stop(sv->in->loop, &sv->watchdog.step);
	ev_timer_stop(sv->in->loop, &sv->probe_at);
	pipe_stop(sv, &sv->notify, &sv->notify_fd);
	pipe_stop(sv, &sv->output, &sv->output_fd);
}
