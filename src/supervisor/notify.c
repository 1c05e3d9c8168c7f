/*
 * The notify protocol of service managers. Runs in the supervisor, which
 * writes datagrams to the one socket that the environment named at start and
 * reads nothing back. Lost datagrams cost nothing but the manager's patience;
 * so nothing here waits, and nothing here is an error of ours.
 *
 * The watchdog is fed only while both halves of us move: the timer shows that
 * our own loop does, and each ping is the answer of the store to a write that
 * has gone through its commits. Whoever does not answer in time starves it.
 */
#include "supervisor/notify.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/storec.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define TEXT_MAX 1024
/* A ping more often than this is a mistake of the unit's. */
#define WATCHDOG_MIN_US 10000
/* A key that no token has: removing it goes through the store's commits and
 * changes nothing, not even the disk. */
#define PULSE_KEY "-pulse"

struct notify {
	struct super *s;
	int fd; /* owned; -1: nobody listens */
	struct sockaddr_un sa;
	socklen_t sa_len;
	char *socket, *usec, *pid; /* owned; as they were, for a re-exec */
	ev_timer ping;
	bool asked; /* the store owes an answer */
};

/* --- datagrams ----------------------------------------------------------- */

static void
send_fd(struct super *s, const char *text, int fd)
{
	struct notify *nt = s->notify;
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nt == NULL || nt->fd == -1)
		return;
	msg.msg_name = &nt->sa;
	msg.msg_namelen = nt->sa_len;
	if (fd != -1) {
		struct cmsghdr *c;

		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	if (sendmsg(nt->fd, &msg, MSG_NOSIGNAL) == -1)
		log_debug("notify", "lost", LOG_STR("error", strerror(errno)));
}

static void ATTR_PRINTF(2, 3) tell(struct super *s, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut: a status line */
	va_end(ap);
	send_fd(s, text, -1);
}

/* --- the watchdog -------------------------------------------------------- */

static void
on_pulse(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e ATTR_UNUSED)
{
	struct notify *nt = ctx;

	nt->asked = false;
	if (ok != NULL)
		send_fd(nt->s, "WATCHDOG=1", -1);
}

static void
on_ping(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct notify *nt = t->data;
	struct proc *store = storec_proc(nt->s->store);
	struct jw *w;

	if (nt->asked || !proc_up(store))
		return; /* no answer, no ping; it may still come */
	w = proc_call(store, MSG_STORE_DELETE, 0, on_pulse, nt);
	if (w == NULL)
		return;
	nt->asked = true;
	jw_kstr(w, "db", "tokens");
	jw_kstr(w, "key", PULSE_KEY);
	(void)proc_send(store, NULL, 0); /* failure comes as an answer */
}

static void
watchdog_open(struct notify *nt)
{
	int64_t us = 0, pid = getpid();

	ev_timer_init(&nt->ping, on_ping, 0., 0.);
	nt->ping.data = nt;
	if (nt->usec == NULL)
		return;
	if (nt->pid != NULL && str_to_int(nt->pid, 1, INT32_MAX, &pid) == -1)
		pid = 0;
	if (pid != getpid())
		return; /* meant for somebody else */
	if (str_to_int(nt->usec, WATCHDOG_MIN_US, INT64_MAX / 2, &us) == -1) {
		log_warn("notify", "no watchdog",
		    LOG_STR("WATCHDOG_USEC", nt->usec));
		return;
	}
	nt->ping.repeat = (double)us / 2e6;
}

/* --- opening ------------------------------------------------------------- */

/* A variable, taken out of the environment. */
static char *
take_env(const char *name)
{
	const char *value = getenv(name);
	char *copy = value != NULL ? xstrdup(value) : NULL;

	(void)unsetenv(name); /* cannot fail for a good name */
	return copy;
}

static int
parse_socket(struct notify *nt, struct err *e)
{
	size_t n = strlen(nt->socket);

	if ((nt->socket[0] != '/' && nt->socket[0] != '@') || n < 2)
		return err_set(e, ERR_BAD_REQUEST,
		    "NOTIFY_SOCKET: neither a path nor an abstract name");
	if (n >= sizeof(nt->sa.sun_path))
		return err_set(e, ERR_TOO_LARGE, "NOTIFY_SOCKET: too long");
	nt->sa.sun_family = AF_UNIX;
	memcpy(nt->sa.sun_path, nt->socket, n);
	if (nt->sa.sun_path[0] == '@')
		nt->sa.sun_path[0] = '\0';
	/* An abstract name ends with the length, a path with a null byte. */
	nt->sa_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n +
				 (nt->socket[0] == '/'));
	nt->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return nt->fd == -1 ? err_sys(e, "socket") : 0;
}

void
notify_open(struct super *s)
{
	struct notify *nt = xcalloc(1, sizeof(*nt));
	struct err e;

	nt->s = s;
	nt->fd = -1;
	nt->socket = take_env("NOTIFY_SOCKET");
	nt->usec = take_env("WATCHDOG_USEC");
	nt->pid = take_env("WATCHDOG_PID");
	s->notify = nt;
	if (nt->socket != NULL && parse_socket(nt, &e) == -1)
		log_warn(
		    "notify", "nobody is notified", LOG_STR("detail", e.text));
	watchdog_open(nt);
}

void
notify_close(struct super *s)
{
	struct notify *nt = s->notify;

	if (nt == NULL)
		return;
	ev_timer_stop(s->loop, &nt->ping);
	if (s->store != NULL)
		proc_forget(storec_proc(s->store), nt);
	fd_close(&nt->fd);
	free(nt->socket);
	free(nt->usec);
	free(nt->pid);
	free(nt);
	s->notify = NULL;
}

void
notify_restore_env(const struct super *s)
{
	const struct notify *nt = s->notify;

	/* Failing costs the manager's knowledge, not the exec. */
	if (nt->socket != NULL)
		(void)setenv("NOTIFY_SOCKET", nt->socket, 1);
	if (nt->usec != NULL)
		(void)setenv("WATCHDOG_USEC", nt->usec, 1);
	if (nt->pid != NULL)
		(void)setenv("WATCHDOG_PID", nt->pid, 1);
}

void
notify_forget_env(void)
{
	(void)unsetenv("NOTIFY_SOCKET"); /* cannot fail for a good name */
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

/* --- what is told -------------------------------------------------------- */

void
notify_ready(struct super *s)
{
	struct notify *nt = s->notify;

	tell(s, "READY=1\nMAINPID=%ld\nSTATUS=Serving %s", (long)getpid(),
	    s->conf.run_dir);
	if (nt->ping.repeat > 0. && !ev_is_active(&nt->ping)) {
		ev_timer_again(s->loop, &nt->ping);
		on_ping(s->loop, &nt->ping, 0); /* and one at once */
	}
}

void
notify_reloading(struct super *s)
{
	struct timespec now;

	/* The manager compares it with when it asked: no other clock will do.
	 */
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
	tell(s, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=Reading %s",
	    (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000, s->conf_path);
}

void
notify_reloaded(struct super *s, const char *why)
{
	char line[512];

	if (!s->ready)
		return; /* whoever waits for READY=1 gets it then */
	if (why == NULL) {
		tell(s, "READY=1\nSTATUS=Serving %s", s->conf.run_dir);
		return;
	}
	(void)snprintf(line, sizeof(line), "%s", why); /* cut */
	line[strcspn(line, "\n")] = '\0';
	tell(s, "READY=1\nSTATUS=Not reloaded: %s", line);
}

void
notify_stopping(struct super *s, int64_t ms)
{
	tell(s,
	    "STOPPING=1\nSTATUS=Stopping %zu sandboxes\n"
	    "EXTEND_TIMEOUT_USEC=%lld",
	    s->nsandboxes, (long long)ms * 1000);
}

void
notify_status(struct super *s, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap); /* cut */
	va_end(ap);
	line[strcspn(line, "\n")] = '\0'; /* a line is a message's member */
	tell(s, "STATUS=%s", line);
}

void
notify_keep(struct super *s, const char *name, int fd)
{
	char text[300];

	if (str_format(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name) == 0)
		send_fd(s, text, fd);
}

void
notify_drop(struct super *s, const char *name)
{
	tell(s, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}
