/*
 * Sandboxes that have outlived a supervisor that was killed; init's side is
 * init/adopt.c. Runs in the supervisor.
 *
 * Each init listens on STATE/sandboxes/ID/adopt.sock, whose directory is ours
 * alone. At our start we connect there, before anything is swept, and never
 * wait: the connection stands at once, and the kernel says which process
 * listens. Only if that is process 1 of a pid namespace, in this sandbox's own
 * control group, it becomes our child again as far as it can: what it says is
 * checked as if we had just started it, and if it says nothing in time, or
 * nonsense, it is killed and the sandbox is started anew.
 */
#include "lib/log.h"
#include "lib/strutil.h"
#include "supervisor/instance.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#	define SO_PEERPIDFD 77
#endif

#define SOCKET "adopt.sock"
#define HELLO_MS 5000
#define PROC_FILE_MAX 8192

struct left {
	int fd;	   /* a connection to it */
	int pidfd; /* itself */
	pid_t pid;
};

static void
left_close(struct left *l)
{
	fd_close(&l->fd);
	fd_close(&l->pidfd);
}

/* By way of the directory's descriptor: a path may be too long for this. */
static void
address(struct sockaddr_un *sa, int dir_fd)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	(void)snprintf(sa->sun_path, sizeof(sa->sun_path),
	    "/proc/self/fd/%d/" SOCKET, dir_fd);
}

static int
stream_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* --- before a start ------------------------------------------------------- */

/* The next main process of a service is put by systemd into the service's own
 * group, which version 2 refuses while that hands out controllers to sandboxes:
 * it could not even begin. So there they end with us, and the group is free. */
static bool
in_the_way(const struct super *s)
{
	return getenv("INVOCATION_ID") != NULL && s->cgroups != NULL &&
	       strcmp(cgroup_host_kind(s->cgroups), "v2") == 0;
}

void
sandbox_adopt_prepare(struct sandbox *sb, struct plan *p)
{
	const struct super *s = sb->s;
	struct sockaddr_un sa;
	int fd;

	p->adopt_fd = -1;
	p->adopt_ms = 0;
	/* As process 1 we take all others with us. Without a pid namespace
	 * nobody could tell who knocks; one that ends with its client has none
	 * to go on for; and the proxy of a filtered one ends with us. */
	if (s->conf.adopt_ms == 0 || getpid() == 1 || s->host.reduced ||
	    sb->spec.ephemeral || p->proxy || in_the_way(s))
		return;
	(void)unlinkat(p->dir_fd, SOCKET, 0); /* of an earlier start */
	address(&sa, p->dir_fd);
	fd = stream_socket();
	/* Its file gets the mode that the socket has. */
	if (fd == -1 || fchmod(fd, 0600) == -1 ||
	    bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) == -1) {
		log_warn("sandbox", "would end with us",
		    LOG_STR("sandbox", sb->id),
		    LOG_STR("error", strerror(errno)));
		fd_close(&fd);
		return;
	}
	p->adopt_fd = fd;
	p->adopt_ms = s->conf.adopt_ms;
}

/* --- at our start ----------------------------------------------------------
 */

static int
proc_read(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd == -1 ? -1 : read(fd, text, size - 1);
	text[MAX(n, 0)] = '\0';
	return n > 0 ? 0 : -1;
}

/* Its last number, the one inside, is 1; and it has one outside, ours. */
static bool
is_first_of_namespace(pid_t pid)
{
	char text[PROC_FILE_MAX];
	const char *at, *end;

	if (proc_read(pid, "status", text, sizeof(text)) == -1 ||
	    (at = strstr(text, "\nNSpid:")) == NULL ||
	    (end = strchr(at + 1, '\n')) == NULL)
		return false;
	return end - at > 10 && strncmp(end - 2, "\t1", 2) == 0;
}

/* When it was started, by the clock. */
static int64_t
started_at_ms(pid_t pid)
{
	char text[PROC_FILE_MAX];
	const char *at;
	struct timespec up;
	long long ticks = 0;
	int64_t age_ms;

	if (proc_read(pid, "stat", text, sizeof(text)) == -1 ||
	    (at = strrchr(text, ')')) == NULL)
		return now_realtime_ms();
	/* Field 22; behind the name begins the third. */
	for (int i = 2; i < 22 && at != NULL; i++)
		at = strchr(at + 1, ' ');
	if (at != NULL)
		ticks = strtoll(at + 1, NULL, 10);
	(void)clock_gettime(CLOCK_BOOTTIME, &up);
	age_ms = (int64_t)up.tv_sec * 1000 + up.tv_nsec / 1000000 -
		 (int64_t)ticks * 1000 / sysconf(_SC_CLK_TCK);
	return now_realtime_ms() - MAX(age_ms, 0);
}

/* Who called listen() at the other end. */
static int
peer(struct left *l)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred), fd_len = sizeof(l->pidfd);

	if (getsockopt(l->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1 ||
	    cred.pid <= 0)
		return -1;
	l->pid = cred.pid;
	if (getsockopt(l->fd, SOL_SOCKET, SO_PEERPIDFD, &l->pidfd, &fd_len) ==
	    -1)
		l->pidfd = pidfd_open(cred.pid, 0); /* before Linux 6.5 */
	/* What /proc says of the number is true of that process if it is still
	 * there afterwards. */
	if (l->pidfd == -1 || !is_first_of_namespace(l->pid) ||
	    pidfd_send_signal(l->pidfd, 0, NULL, 0) == -1)
		return -1;
	return 0;
}

/* True: *L is an init that was left of sandbox ID. */
static bool
knock(struct super *s, const char *id, struct left *l)
{
	struct sockaddr_un sa;
	autofd int dir_fd = -1;
	struct err e;

	*l = (struct left){ -1, -1, -1 };
	if (instance_open_dir(s, id, &dir_fd, &e) == -1 ||
	    faccessat(dir_fd, SOCKET, F_OK, AT_SYMLINK_NOFOLLOW) == -1)
		return false;
	address(&sa, dir_fd);
	l->fd = stream_socket();
	/* Without who listens it is refused, and never waits. */
	if (l->fd != -1 &&
	    connect(l->fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 &&
	    peer(l) == 0)
		return true;
	left_close(l);
	return false;
}

static void
end(const char *id, struct left *l, const char *why)
{
	log_info("sandbox", "ending what an earlier life has left",
	    LOG_STR("sandbox", id), LOG_STR("because", why));
	(void)pidfd_send_signal(l->pidfd, SIGKILL, NULL, 0); /* or it is gone */
	left_close(l);
}

void
sandbox_adopt_end(struct super *s, const char *id)
{
	struct left l;

	if (knock(s, id, &l))
		end(id, &l, "nobody knows it");
}

/* Its control group, which must be one of this sandbox's. */
static int
take_group(struct sandbox *sb, pid_t pid)
{
	char name[SANDBOX_ID_MAX + 3];
	size_t n = strlen(sb->id);

	if (sb->s->cgroups == NULL)
		return 0;
	if (cgroup_of(sb->s->cgroups, pid, name, sizeof(name)) == -1 ||
	    strncmp(name, sb->id, n) != 0 ||
	    (name[n] != '\0' && name[n] != CGROUP_NAME_MARK[0]))
		return -1;
	sb->cgroup = cgroup_reopen(sb->s->cgroups, name);
	return sb->cgroup == NULL ? -1 : 0;
}

bool
sandbox_adopt(struct sandbox *sb)
{
	struct super *s = sb->s;
	struct left l;
	bool frozen;

	if (!knock(s, sb->id, &l))
		return false;
	/* One that an orderly end of ours stopped, and the next of us started,
	 * is called stopped still: that it is to run is what counts. */
	if ((!sb->lost && !sb->want) || s->conf.adopt_ms == 0 ||
	    take_group(sb, l.pid) == -1) {
		end(sb->id, &l,
		    !sb->lost && !sb->want ? "it is not to run"
					   : "it cannot be adopted");
		return false;
	}
	/* The group is right about it; the record may be a moment behind. */
	frozen = sb->cgroup != NULL && cgroup_freezes(sb->cgroup);
	sb->frozen = frozen;
	sb->state = frozen ? SB_PAUSED : SB_CREATING;
	sb->want = sb->adopting = true;
	sb->lost = false;
	sb->reason[0] = '\0';
	sb->started_at_ms = started_at_ms(l.pid);
	proc_adopted(&sb->proc, l.pid, l.pidfd, l.fd,
	    frozen ? 0 : MIN(s->conf.start_ms, HELLO_MS));
	sandbox_time_limit_set(sb);
	sandbox_watch_begin(sb);
	return true;
}

int
sandbox_adopt_heard(struct sandbox *sb, const struct json *msg, struct err *e)
{
	if (!sb->adopting)
		return err_set(
		    e, ERR_BAD_REQUEST, "adopted: it was started by us");
	/* Answers to what the former supervisor asked may still come: none is
	 * for a call of ours. */
	sb->proc.next_id = MAX(sb->proc.next_id, json_int(msg, "last", 0));
	return service_adopted(sb, msg, e);
}
