/*
 * A sandbox without namespaces of its own: where user, pid and mount
 * namespaces or overlayfs are not to be had (as in most containers) and the
 * operator accepts it, a sandbox is a tree of processes in the container that
 * we are in ourselves. Runs in the supervisor; enter_reduced() in enter.c is
 * the child's side.
 *
 * What holds then: a control group if there is one, resource limits, few
 * capabilities, no_new_privs, the system call filter, Landlock (nobody outside
 * of the tree can be signalled or traced from inside). What does not: files,
 * processes, networks are the container's, and are seen.
 */
#include "lib/fdio.h"
#include "lib/proctree.h"
#include "sandbox/cgroup.h"
#include "sandbox/creds.h"
#include "sandbox/ns.h"
#include "sandbox/seccomp.h"
#include "sandbox/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* Without these there is no sandbox of the usual kind. */
static const enum mechanism needed[] = { MECH_USER, MECH_PID, MECH_MOUNT,
	MECH_OVERLAY };

static enum mechanism
lacking(const struct host *h)
{
	for (size_t i = 0; i < countof(needed); i++)
		if (!h->have[needed[i]])
			return needed[i];
	return MECH_N;
}

/* Does the kernel let us load the filter? A filter that was put on us may well
 * forbid it. */
static bool
filter_loads(const struct host *h)
{
	int status = -1, pidfd = -1;
	pid_t pid = ns_clone(0, -1, &pidfd);

	if (pid == 0) {
		/* PRIV: ours, then with less; it tries and ends. */
		if (creds_reduce_to(CREDS_CAPS_INIT) == -1 ||
		    filter_enter(h->filter, h->filter_len) == -1)
			_exit(1);
		_exit(0);
	}
	if (pid == -1)
		return false;
	(void)close(pidfd); /* only needed by others */
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void
reduced_probe(struct host *h)
{
	static const enum mechanism with_it[] = { MECH_USER, MECH_PID,
		MECH_MOUNT, MECH_OVERLAY, MECH_NET, MECH_IPC, MECH_UTS,
		MECH_IDMAP };
	enum mechanism lack = lacking(h);

	h->reduced = lack != MECH_N;
	if (!h->reduced)
		return;
	for (size_t i = 0; i < countof(with_it); i++) {
		enum mechanism m = with_it[i];

		if (h->have[m])
			(void)snprintf(h->why_not[m], sizeof(h->why_not[m]),
			    "not without %s", mechanism_name(lack));
		h->have[m] = false;
	}
	/* Those that we have are taken away, whoever we are. */
	h->have[MECH_CAPS] = true;
	h->why_not[MECH_CAPS][0] = '\0';
	if (h->have[MECH_SECCOMP] && !filter_loads(h)) {
		h->have[MECH_SECCOMP] = false;
		(void)snprintf(h->why_not[MECH_SECCOMP], sizeof(h->why_not[0]),
		    "the filter cannot be loaded here");
	}
}

static int
check(const struct host *h, const struct plan *p, struct err *e)
{
	enum mechanism lack = lacking(h);
	autofd int proc_fd = -1;

	if (!h->accept_reduced)
		return err_set(e, ERR_ISOLATION_UNAVAILABLE,
		    "this host gives no %s: %s (sandbox.minimum = reduced "
		    "accepts sandboxes without)",
		    mechanism_name(lack), h->why_not[lack]);
	if (p->image != NULL)
		return err_set(e, ERR_ISOLATION_UNAVAILABLE,
		    "image %.200s: without a mount namespace there is image "
		    "host only",
		    p->image);
	if (p->nmounts > 0)
		return err_set(e, ERR_ISOLATION_UNAVAILABLE,
		    "mount on %.200s: there is no mount namespace to make it "
		    "in",
		    p->mounts[0].target);
	if (p->ntmpfs > 0 || p->hosts_asked)
		return err_set(e, ERR_ISOLATION_UNAVAILABLE,
		    "%s: there is no mount namespace to make it in",
		    p->ntmpfs > 0 ? "tmpfs" : "hosts");
	if (p->proxy)
		return err_set(e, ERR_ISOLATION_UNAVAILABLE,
		    "network filtered: there is no network of its own to "
		    "filter");
	proc_fd = proctree_open();
	if (proc_fd == -1)
		return err_set(e, ERR_ISOLATION_UNAVAILABLE,
		    "/proc does not show our own processes: a sandbox could "
		    "not be ended");
	return 0;
}

static int
start(struct setup *s, struct launched *out, struct err *e)
{
	int v2_fd = s->plan->cgroup ? cgroup_v2_fd(s->plan->cgroup) : -1;
	int chan_fd = -1, report_fd = -1, pidfd = -1;
	ssize_t n = 0;
	pid_t pid;

	if (fd_socketpair(&chan_fd, &s->chan_fd, e) == -1 ||
	    fd_pipe(&report_fd, &s->report_fd, e) == -1)
		goto fail;
	if (s->plan->cgroup != NULL)
		n = cgroup_task_fds(
		    s->plan->cgroup, s->cgroup_fds, countof(s->cgroup_fds), e);
	if (n == -1)
		goto fail;
	s->ncgroups = (size_t)n;
	pid = ns_clone(0, v2_fd, &pidfd);
	if (pid == 0) {
		/* PRIV: a copy of the supervisor; gives up what it can in
		 * enter_reduced(). */
		(void)close(chan_fd);
		(void)close(report_fd);
		enter_reduced(s);
	}
	if (pid == -1) {
		(void)err_sys(e, "start a process");
		goto fail;
	}
	out->pid = pid;
	out->pidfd = pidfd;
	out->chan_fd = chan_fd;
	out->report_fd = report_fd;
	return 0;
fail:
	fd_close(&chan_fd);
	fd_close(&report_fd);
	return -1;
}

int
reduced_launch(const struct host *h, const struct plan *p, struct launched *out,
    struct err *e)
{
	static struct setup s; /* large; see sandbox_launch() */
	int r;

	if (check(h, p, e) == -1)
		return -1;
	memset(&s, 0, sizeof(s));
	s.host = h;
	s.plan = p;
	s.chan_fd = s.report_fd = s.go_fd = -1;
	r = start(&s, out, e);
	fd_close(&s.chan_fd);
	fd_close(&s.report_fd);
	fd_close_all(s.cgroup_fds, s.ncgroups);
	memcpy(out->have, h->have, sizeof(out->have));
	out->have[MECH_CGROUP] = p->cgroup != NULL;
	return r;
}
