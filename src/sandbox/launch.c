/*
 * The supervisor's side of starting a sandbox; see launch.h. Runs as the
 * host's root (or as an ordinary user: then with less). What it handles is the
 * plan, which was validated, and paths, which were validated too but may have
 * changed since and are therefore opened here without following any link.
 *
 * It never waits for the child. The child waits for it, once: for the ids of
 * its user namespace and of its trees to be mapped.
 */
#include "sandbox/launch.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "sandbox/cgroup.h"
#include "sandbox/mapper.h"
#include "sandbox/ns.h"
#include "sandbox/setup.h"
#include "sandbox/trees.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OOM_STEP 300

/* The supervisor's ends, which the child must not keep. */
struct ends {
	int chan_fd, report_fd, go_fd, proxy_fd;
};

static const char *
stage_name(uint32_t stage)
{
	static const char *const names[STAGE_N] = {
#define X(sym, text) [STAGE_##sym] = text,
		STAGES(X)
#undef X
	};

	return stage < STAGE_N ? names[stage] : "unknown stage";
}

void
start_report_text(
    const struct plan *p, const struct start_report *r, struct err *e)
{
	const char *what = stage_name(r->stage);

	if (r->stage == STAGE_IDS) {
		(void)err_set(e, ERR_SYSTEM, "%s: %.*s", what,
		    (int)sizeof(r->why), r->why);
		return;
	}
	errno = r->err;
	if (r->stage == STAGE_TMPFS && r->detail < p->ntmpfs) {
		(void)err_sys(e, "%s on %s", what, p->tmpfs[r->detail].target);
		if (e != NULL)
			e->code = ERR_MOUNT_REFUSED;
		return;
	}
	if (r->stage != STAGE_MOUNTS || r->detail >= p->nmounts) {
		(void)err_sys(e, "%s", what);
		return;
	}
	(void)err_sys(e, "%s: %s on %s", what, p->mounts[r->detail].source,
	    p->mounts[r->detail].target);
	if (e != NULL)
		e->code = ERR_MOUNT_REFUSED;
}

/* TARGET is an absolute, plain path and not one that is ours to fill. */
static bool
target_valid(const char *target)
{
	static const char *const ours[] = { "/proc", "/sys", "/dev" };
	const char *p = target;
	size_t i, n;

	if (*p != '/' || strlen(target) >= PATH_MAX)
		return false;
	while (*p == '/') {
		p++;
		n = strcspn(p, "/");
		if (n == 0 || n > NAME_MAX || (n == 1 && p[0] == '.') ||
		    (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += n;
	}
	for (i = 0; i < countof(ours); i++) {
		n = strlen(ours[i]);
		if (strncmp(target, ours[i], n) == 0 &&
		    (target[n] == '\0' || target[n] == '/'))
			return false;
	}
	return true;
}

static void
mount_add(struct setup *s, enum mount_mode mode, const char *source,
    const char *target, bool optional)
{
	s->mounts[s->nmounts++] = (struct setup_mount){ .mode = mode,
		.source = source,
		.target = target,
		.optional = optional,
		.tree_fd = -1,
		.upper_fd = -1 };
}

/*
 * Image `host`: files of /etc that are not in /etc, because they are links to
 * /run or mounts (as in containers), would be missing inside. They are lent
 * read-only; if that fails, they are missing.
 */
static void
setup_moved(struct setup *s)
{
	static const char *const files[SETUP_MOVED_N] = { "/etc/hosts",
		"/etc/resolv.conf" };
	char real[PATH_MAX];
	struct statx root, st;
	size_t i;

	if (s->plan->image != NULL ||
	    statx(AT_FDCWD, "/", 0, STATX_MNT_ID, &root) == -1)
		return;
	/* The first one may be of our own making. */
	for (i = s->plan->hosts != NULL; i < SETUP_MOVED_N; i++) {
		if (statx(AT_FDCWD, files[i], AT_SYMLINK_NOFOLLOW,
			STATX_TYPE | STATX_MNT_ID, &st) == -1 ||
		    (S_ISREG(st.stx_mode) &&
			st.stx_mnt_id == root.stx_mnt_id) ||
		    realpath(files[i], real) == NULL ||
		    str_copy(s->moved[i], sizeof(s->moved[i]), real) == -1)
			continue;
		mount_add(s, MOUNT_RO, s->moved[i], files[i], true);
	}
}

static int
setup_mounts(struct setup *s, struct err *e)
{
	const struct plan *p = s->plan;
	size_t i;

	if (p->nmounts + SETUP_MOVED_N > SETUP_MOUNTS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d mounts",
		    SETUP_MOUNTS_MAX - SETUP_MOVED_N);
	for (i = 0; i < p->nmounts; i++) {
		if (!target_valid(p->mounts[i].target))
			return err_set(e, ERR_MOUNT_REFUSED,
			    "%s cannot be a mount's target",
			    p->mounts[i].target);
		mount_add(s, p->mounts[i].mode, p->mounts[i].source,
		    p->mounts[i].target, false);
	}
	setup_moved(s);
	return 0;
}

static int
setup_init(
    struct setup *s, const struct host *h, const struct plan *p, struct err *e)
{
	const struct host_private *hp = h->priv;
	char link[32];
	ssize_t n;
	size_t i;

	memset(s, 0, sizeof(*s));
	s->host = h;
	s->plan = p;
	s->chan_fd = s->go_fd = s->report_fd = s->proxy_fd = -1;
	s->lower_fd = s->dev_fd = s->dir_fd = -1;
	for (i = 0; i < HIDE_LAYERS_N; i++)
		s->hide_fds[i] = -1;
	s->scratch_fd = s->root_fd = s->proc_fd = s->sys_fd = -1;
	s->ranged = h->root && p->id_base != 0;
	s->lent = !s->ranged && p->lent.count != 0;
	s->idmap = s->ranged && h->have[MECH_IDMAP] && !hp->dir_no_idmap;
	s->own_net = !p->host_network && h->have[MECH_NET];
	s->own_uid = geteuid();
	s->own_gid = getegid();
	/* Without a network of its own it would be unfiltered. */
	if (p->proxy && !s->own_net)
		return err_set(e, ERR_ISOLATION_UNAVAILABLE,
		    "network filtered needs what this host does not give: %s",
		    h->why_not[MECH_NET]);
	if (!s->ranged) {
		/* The child's mount namespace has other mounts than ours: it
		 * needs the path. */
		(void)snprintf(
		    link, sizeof(link), "/proc/self/fd/%d", p->dir_fd);
		n = readlink(link, s->dir_path, sizeof(s->dir_path) - 1);
		if (n == -1)
			return err_sys(e, "name of the sandbox's directory");
		s->dir_path[n] = '\0';
	}
	return setup_mounts(s, e);
}

static void
setup_close(struct setup *s)
{
	fd_close(&s->chan_fd);
	fd_close(&s->go_fd);
	fd_close(&s->report_fd);
	fd_close(&s->proxy_fd);
	fd_close_all(s->cgroup_fds, s->ncgroups);
	s->ncgroups = 0;
	trees_close(s);
}

static struct netpool *
nets_of(const struct setup *s)
{
	struct host_private *hp = s->host->priv;

	return &hp->nets;
}

static void
net_close(struct ready_net *net)
{
	fd_close(&net->ns_fd);
	fd_close(&net->sys_fd);
}

/* Take a network namespace out of the pool and enter it, so that the child is
 * born there. False: the child gets a new one. */
static bool
net_take(struct setup *s, struct ready_net *net)
{
	if (!s->own_net || !s->ranged || !netpool_take(nets_of(s), net))
		return false;
	if (netpool_enter(net) == -1) {
		net_close(net);
		return false;
	}
	s->sys_fd = net->sys_fd;
	return true;
}

static uint64_t
clone_flags(const struct setup *s)
{
	uint64_t flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS;

	if (s->own_net && !s->net_ready)
		flags |= CLONE_NEWNET;
	if (s->host->have[MECH_IPC])
		flags |= CLONE_NEWIPC;
	if (s->host->have[MECH_UTS])
		flags |= CLONE_NEWUTS;
	return flags;
}

/*
 * When the machine runs out of memory, sandboxes go before us. Whoever started
 * us may have said how dear we are; they are that much less. We write it, not
 * the child: what one with CAP_SYS_RESOURCE has written, one without it cannot
 * lower again.
 */
static void
oom_raise(pid_t pid)
{
	static long own = LONG_MIN;
	char path[48], text[16];
	ssize_t n = 0;
	int fd;

	if (own == LONG_MIN) {
		fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
		n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);
		text[MAX(n, 0)] = '\0';
		own = strtol(text, NULL, 10);
		fd_close(&fd);
	}
	/* A child of ours that waits for us: the number is its own. */
	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	n = snprintf(text, sizeof(text), "%ld", MIN(own + OOM_STEP, 1000));
	if (fd != -1)
		(void)!write(fd, text, (size_t)n); /* then as dear as we */
	fd_close(&fd);
}

/* Give the child its ids and the trees theirs, and let it go on. */
static int
child_release(struct setup *s, pid_t pid, int go_fd, struct err *e)
{
	struct ns_map map = { 0, s->plan->id_base, 0, s->plan->id_base,
		PLAN_IDS };
	autofd int userns_fd = -1;

	if (!s->ranged)
		map = (struct ns_map){ 0, s->own_uid, 0, s->own_gid, 1 };
	oom_raise(pid);
	if (s->lent) /* The child makes the layers, being their owner. */
		return mapper_start(s, pid, go_fd, e);
	if (trees_prepare(s, e) == -1)
		return -1;
	if (ns_write_maps(pid, &map, !s->ranged) == -1)
		return err_sys(e, "map the sandbox's ids");
	if (s->ranged) {
		userns_fd = ns_user_fd(pid);
		if (userns_fd == -1)
			return err_sys(e, "open the user namespace");
		if (trees_map(s, userns_fd, e) == -1)
			return -1;
	}
	if (fd_write_all(go_fd, "", 1) == -1)
		return err_sys(e, "let the child go on");
	return 0;
}

static int
child_start(
    struct setup *s, struct ends *ends, struct launched *out, struct err *e)
{
	int v2_fd = s->plan->cgroup ? cgroup_v2_fd(s->plan->cgroup) : -1;
	struct ready_net net = { -1, -1 };
	int pidfd = -1;
	pid_t pid;

	s->net_ready = net_take(s, &net);
	pid = ns_clone(clone_flags(s), v2_fd, &pidfd);
	if (pid != 0 && s->net_ready)
		netpool_leave(nets_of(s));
	if (pid != 0)
		net_close(&net);
	if (pid == -1)
		return err_sys(e, "start a process in new namespaces");
	if (pid == 0) {
		/* PRIV: a copy of the supervisor until here; from here root of
		 * a user namespace that maps nobody yet. The supervisor's ends
		 * go first: held by us they would hide its death from us. */
		(void)close(ends->chan_fd);
		(void)close(ends->report_fd);
		(void)close(ends->go_fd);
		fd_close(&ends->proxy_fd);
		enter(s);
	}
	if (child_release(s, pid, ends->go_fd, e) == -1) {
		(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
		/* It is dead or as good as: this does not wait. */
		while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
			;
		(void)close(pidfd);
		return -1;
	}
	out->pid = pid;
	out->pidfd = pidfd;
	return 0;
}

static int
launch(struct setup *s, struct ends *ends, struct launched *out, struct err *e)
{
	int go[2];
	ssize_t n;

	/* Not readable in the user namespace: that keeps init undumpable from
	 * its first instruction on, and its memory and descriptors out of
	 * reach of the sandbox's root. */
	if (s->ranged && fchmod(s->plan->init_fd, 0111) == -1)
		return err_sys(e, "close init's program");
	if (fd_socketpair(&ends->chan_fd, &s->chan_fd, e) == -1 ||
	    fd_pipe(&ends->report_fd, &s->report_fd, e) == -1)
		return -1;
	if (s->plan->proxy &&
	    fd_socketpair(&ends->proxy_fd, &s->proxy_fd, e) == -1)
		return -1;
	if (pipe2(go, O_CLOEXEC) == -1)
		return err_sys(e, "pipe");
	s->go_fd = go[0];
	ends->go_fd = go[1];
	if (fd_set_nonblock(ends->report_fd, 1) == -1)
		return err_sys(e, "pipe");
	if (!s->lent && trees_prepare_cow(s, e) == -1)
		return -1;
	if (s->ranged && trees_open(s, e) == -1)
		return -1;
	if (s->plan->cgroup != NULL) {
		n = cgroup_task_fds(
		    s->plan->cgroup, s->cgroup_fds, countof(s->cgroup_fds), e);
		if (n == -1)
			return -1;
		s->ncgroups = (size_t)n;
	}
	return child_start(s, ends, out, e);
}

static void
mechanisms_tell(const struct setup *s, bool have[MECH_N])
{
	memcpy(have, s->host->have, sizeof(s->host->have));
	have[MECH_NET] = s->own_net;
	have[MECH_IDMAP] = s->idmap;
	have[MECH_CGROUP] =
	    s->host->have[MECH_CGROUP] && s->plan->cgroup != NULL;
}

int
sandbox_launch(const struct host *h, const struct plan *p, struct launched *out,
    struct err *e)
{
	/* Large, and not needed twice at a time: the supervisor has one
	 * thread. */
	static struct setup s;
	const struct host_private *hp = h->priv;
	struct ends ends = { -1, -1, -1, -1 };
	bool could;
	int r;

	memset(out, 0, sizeof(*out));
	out->pid = -1;
	out->pidfd = out->chan_fd = out->report_fd = out->proxy_sock = -1;
	if (hp == NULL)
		return err_set(e, ERR_INTERNAL, "the host was not probed");
	if (h->reduced)
		return reduced_launch(h, p, out, e);
	do {
		could = !hp->dir_no_idmap;
		fd_close(&ends.chan_fd);
		fd_close(&ends.report_fd);
		fd_close(&ends.proxy_fd);
		r = setup_init(&s, h, p, e);
		if (r == 0)
			r = launch(&s, &ends, out, e);
		setup_close(&s);
		fd_close(&ends.go_fd);
		/* Once more, if that was what was wrong. */
	} while (r == -1 && could && hp->dir_no_idmap);
	if (r == -1) {
		fd_close(&ends.chan_fd);
		fd_close(&ends.report_fd);
		fd_close(&ends.proxy_fd);
		return -1;
	}
	out->chan_fd = ends.chan_fd;
	out->report_fd = ends.report_fd;
	out->proxy_sock = ends.proxy_fd;
	mechanisms_tell(&s, out->have);
	return 0;
}
