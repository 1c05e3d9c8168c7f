/*
 * Control groups; see cgroup.h. Runs in the supervisor. It reads files of the
 * kernel and writes numbers to them; names of groups are sandbox ids, which
 * were validated.
 *
 * A group is made only in the hierarchies that somebody asked something of.
 * With version 1 controllers each costs a directory and a move: 0.05 ms from
 * making to removing, and 0.2 ms for memory. So a sandbox without a memory
 * limit has no memory group there, and its memory is unknown. Version 2,
 * controllers or not, is always used: it kills, freezes and counts cpu time.
 *
 * Who moves matters too. Moving another process takes a lock over all forks of
 * the machine, with a wait of 0.7 ms when nobody had it lately; a process that
 * writes "0" to a `tasks` file moves itself without. So the child does it, on
 * descriptors that are opened here.
 */
#include "sandbox/cgroup.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "sandbox/cgroup_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KILL_ROUNDS 16
#define NAMES_MAX 9 /* of groups of one sandbox that are dying */

/* --- files --------------------------------------------------------------- */

int
cgroup_write(int dir_fd, const char *path, const char *text)
{
	autofd int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);

	if (fd == -1)
		return -1;
	return write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

static int
cgroup_write_int(int dir_fd, const char *path, int64_t v)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%lld", (long long)v);
	return cgroup_write(dir_fd, path, text);
}

int
cgroup_read(int dir_fd, const char *path, char *buf, size_t size)
{
	autofd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return -1;
	n = read(fd, buf, size - 1);
	if (n == -1)
		return -1;
	buf[n] = '\0';
	return 0;
}

/* --- version 2 controllers ----------------------------------------------- */

/* cgroup_own_take() has given our group what it hands out. */
static int
v2_enable(struct cgroup_host *h)
{
	/* Figures only; a group above ours may not hand it out. */
	(void)cgroup_write(
	    h->dir_fds[HIER_V2], "cgroup.subtree_control", "+io");
	return cgroup_write(
	    h->dir_fds[HIER_V2], "cgroup.subtree_control", CGROUP_V2_WANTED);
}

static void
v2_probe(struct cgroup_host *h)
{
	int fd = h->dir_fds[HIER_V2];

	if (fd == -1)
		return;
	h->v2_limits = v2_enable(h) == 0;
	h->v2_kill = faccessat(fd, "cgroup.kill", W_OK, 0) == 0;
	h->v2_freeze = faccessat(fd, "cgroup.freeze", W_OK, 0) == 0;
}

/* --- the host ------------------------------------------------------------ */

struct cgroup_host *
cgroup_host_open(const char *instance, struct err *e)
{
	struct cgroup_host *h = calloc(1, sizeof(*h));
	bool any = false;
	unsigned k;

	if (h == NULL) {
		(void)err_sys(e, "control groups");
		return NULL;
	}
	for (k = 0; k < HIER_N; k++)
		h->dir_fds[k] = h->own_fds[k] = -1;
	if (str_format(h->name, sizeof(h->name), "sandboxd-%s", instance) ==
	    -1) {
		(void)err_set(e, ERR_INTERNAL, "instance name too long");
		goto fail;
	}
	if (cgroup_find(h->own_fds, e) == -1)
		goto fail;
	(void)err_set(e, ERR_SYSTEM, "no control group hierarchy is mounted");
	for (k = 0; k < HIER_N; k++) {
		if (h->own_fds[k] == -1)
			continue;
		if (mkdirat(h->own_fds[k], h->name, 0755) == -1 &&
		    errno != EEXIST) {
			(void)err_sys(e, "make control group %s", h->name);
			continue;
		}
		h->dir_fds[k] = openat(
		    h->own_fds[k], h->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		any = any || h->dir_fds[k] != -1;
	}
	if (!any)
		goto fail;
	err_clear(e);
	v2_probe(h);
	return h;
fail:
	cgroup_host_free(h);
	return NULL;
}

void
cgroup_host_free(struct cgroup_host *h)
{
	unsigned k;

	if (h == NULL)
		return;
	for (k = 0; k < HIER_N; k++) {
		fd_close(&h->dir_fds[k]);
		/* Goes if no sandbox is left in it. */
		if (h->own_fds[k] != -1)
			(void)unlinkat(h->own_fds[k], h->name, AT_REMOVEDIR);
		fd_close(&h->own_fds[k]);
	}
	free(h);
}

bool
cgroup_host_limits(const struct cgroup_host *h)
{
	return h->v2_limits || h->dir_fds[HIER_PIDS] != -1;
}

const char *
cgroup_host_kind(const struct cgroup_host *h)
{
	if (h->v2_limits)
		return "v2";
	return h->dir_fds[HIER_V2] == -1 ? "v1" : "hybrid";
}

/* --- one group ----------------------------------------------------------- */

int
cgroup_set(const struct cgroup *cg, enum hier k, const char *file, int64_t v)
{
	char path[SANDBOX_ID_MAX + 64];

	(void)snprintf(path, sizeof(path), "%s/%s", cg->id, file);
	return cgroup_write_int(cg->host->dir_fds[k], path, v);
}

/* Hierarchies that a sandbox with limits L needs a group in. */
static unsigned
hierarchies_wanted(const struct cgroup_host *h, const struct plan_limits *l)
{
	unsigned want = 0;

	if (h->dir_fds[HIER_V2] != -1)
		want |= BIT(HIER_V2);
	if (h->v2_limits)
		return want;
	if (l->memory_bytes > 0)
		want |= BIT(HIER_MEMORY);
	if (l->cpu_millis > 0 || l->cpu_weight > 0)
		want |= BIT(HIER_CPU);
	if (l->pids > 0)
		want |= BIT(HIER_PIDS);
	if (!h->v2_freeze && h->dir_fds[HIER_FREEZER] != -1)
		want |= BIT(HIER_FREEZER);
	/* Something to hold its processes by, if all else is missing. */
	if (want == 0 && h->dir_fds[HIER_PIDS] != -1)
		want |= BIT(HIER_PIDS);
	return want;
}

/* Is the name free in all of WANT? An empty group is of a sandbox that has
 * ended, in this life of the supervisor or the one before, and goes. */
static bool
name_free(const struct cgroup_host *h, unsigned want, const char *name)
{
	for (unsigned k = 0; k < HIER_N; k++)
		if ((want & BIT(k)) && h->dir_fds[k] != -1 &&
		    unlinkat(h->dir_fds[k], name, AT_REMOVEDIR) == -1 &&
		    errno != ENOENT)
			return false;
	return true;
}

/* The sandbox's id; while a former group of that name is still dying, the id
 * and a number. */
static int
pick_name(const struct cgroup_host *h, unsigned want, const char *id,
    struct cgroup *cg)
{
	if (str_copy(cg->id, sizeof(cg->id), id) == -1)
		return -1;
	for (int n = 1; !name_free(h, want, cg->id); n++)
		if (n > NAMES_MAX ||
		    str_format(cg->id, sizeof(cg->id),
			"%s" CGROUP_NAME_MARK "%d", id, n) == -1)
			return -1;
	return 0;
}

const char *
cgroup_name(const struct cgroup *cg)
{
	return cg->id;
}

int
cgroup_create(struct cgroup_host *h, const char *id,
    const struct plan_limits *l, struct cgroup **cg_out, struct err *e)
{
	struct cgroup *cg = calloc(1, sizeof(*cg));
	unsigned want = hierarchies_wanted(h, l), k;

	if (cg == NULL)
		return err_sys(e, "control group of %s", id);
	cg->host = h;
	cg->v2_fd = -1;
	if (pick_name(h, want, id, cg) == -1) {
		(void)err_sys(e, "make control group %s", id);
		goto fail;
	}
	for (k = 0; k < HIER_N; k++) {
		if (!(want & BIT(k)))
			continue;
		if (h->dir_fds[k] == -1) {
			(void)err_set(e, ERR_ISOLATION_UNAVAILABLE,
			    "limit %s: the control group that sandboxd runs in "
			    "has no such controller",
			    cgroup_names[k]);
			goto fail;
		}
		if (mkdirat(h->dir_fds[k], cg->id, 0755) == -1) {
			(void)err_sys(e, "make control group %s", id);
			goto fail;
		}
		cg->in |= BIT(k);
	}
	if (cgroup_limits_set(cg, l, e) == -1)
		goto fail;
	if (cg->in & BIT(HIER_V2)) {
		cg->v2_fd = openat(h->dir_fds[HIER_V2], cg->id,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (cg->v2_fd == -1) {
			(void)err_sys(e, "open control group %s", id);
			goto fail;
		}
	}
	*cg_out = cg;
	return 0;
fail:
	(void)cgroup_remove(cg); /* empty: nobody has joined */
	cgroup_free(cg);
	return -1;
}

struct cgroup *
cgroup_reopen(struct cgroup_host *h, const char *name)
{
	struct cgroup *cg = calloc(1, sizeof(*cg));
	unsigned k;

	if (cg == NULL)
		return NULL;
	cg->host = h;
	cg->v2_fd = -1;
	if (str_copy(cg->id, sizeof(cg->id), name) == 0) {
		for (k = 0; k < HIER_N; k++) {
			if (h->dir_fds[k] != -1 &&
			    faccessat(h->dir_fds[k], name, F_OK, 0) == 0)
				cg->in |= BIT(k);
		}
	}
	if (cg->in & BIT(HIER_V2))
		cg->v2_fd = openat(h->dir_fds[HIER_V2], name,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cg->in != 0)
		return cg;
	cgroup_free(cg);
	return NULL;
}

int
cgroup_v2_fd(const struct cgroup *cg)
{
	return cg->v2_fd;
}

int
cgroup_task_fds(
    const struct cgroup *cg, int *fds_out, size_t max, struct err *e)
{
	char path[SANDBOX_ID_MAX + 16];
	size_t n = 0;
	unsigned k;

	(void)snprintf(path, sizeof(path), "%s/tasks", cg->id);
	for (k = HIER_V2 + 1; k < HIER_N; k++) {
		if (!(cg->in & BIT(k)))
			continue;
		if (n == max) {
			fd_close_all(fds_out, n);
			return err_set(e, ERR_INTERNAL, "too many hierarchies");
		}
		fds_out[n] =
		    openat(cg->host->dir_fds[k], path, O_WRONLY | O_CLOEXEC);
		if (fds_out[n] == -1) {
			(void)err_sys(e, "open control group %s", cg->id);
			fd_close_all(fds_out, n);
			return -1;
		}
		n++;
	}
	return (int)n;
}

int
cgroup_join(const struct cgroup *cg, pid_t pid, bool with_v2, struct err *e)
{
	unsigned k;

	for (k = with_v2 ? HIER_V2 : HIER_V2 + 1; k < HIER_N; k++)
		if ((cg->in & BIT(k)) &&
		    cgroup_set(cg, (enum hier)k, "cgroup.procs", pid) == -1)
			return err_sys(e, "join control group %s", cg->id);
	return 0;
}

int
cgroup_freeze(const struct cgroup *cg, bool on, struct err *e)
{
	char path[SANDBOX_ID_MAX + 32];
	int r;

	if ((cg->in & BIT(HIER_V2)) && cg->host->v2_freeze)
		r = cgroup_set(cg, HIER_V2, "cgroup.freeze", on ? 1 : 0);
	else if (cg->in & BIT(HIER_FREEZER)) {
		(void)snprintf(path, sizeof(path), "%s/freezer.state", cg->id);
		r = cgroup_write(cg->host->dir_fds[HIER_FREEZER], path,
		    on ? "FROZEN" : "THAWED");
	} else {
		return err_set(
		    e, ERR_ISOLATION_UNAVAILABLE, "this host has no freezer");
	}
	return r == 0 ? 0 : err_sys(e, "freeze %s", cg->id);
}

bool
cgroup_freezes(const struct cgroup *cg)
{
	char path[SANDBOX_ID_MAX + 32], text[32];

	if ((cg->in & BIT(HIER_V2)) && cg->host->v2_freeze)
		return cgroup_get(cg, HIER_V2, "cgroup.freeze", NULL) == 1;
	(void)snprintf(path, sizeof(path), "%s/freezer.state", cg->id);
	return (cg->in & BIT(HIER_FREEZER)) != 0 &&
	       cgroup_read(cg->host->dir_fds[HIER_FREEZER], path, text,
		   sizeof(text)) == 0 &&
	       str_starts(text, "FR"); /* FREEZING too */
}

bool
cgroup_frozen(const struct cgroup *cg)
{
	char path[SANDBOX_ID_MAX + 32], text[32];

	if ((cg->in & BIT(HIER_V2)) && cg->host->v2_freeze)
		return cgroup_get(cg, HIER_V2, "cgroup.events", "frozen") == 1;
	(void)snprintf(path, sizeof(path), "%s/freezer.state", cg->id);
	return (cg->in & BIT(HIER_FREEZER)) != 0 &&
	       cgroup_read(cg->host->dir_fds[HIER_FREEZER], path, text,
		   sizeof(text)) == 0 &&
	       str_starts(text, "FROZEN");
}

/* SIGKILL whatever hierarchy K lists now. Returns how many. */
static size_t
kill_listed(const struct cgroup *cg, enum hier k)
{
	autofree char *buf = malloc(CGROUP_FILE_MAX);
	char path[SANDBOX_ID_MAX + 32], *p, *end;
	size_t n = 0;
	long pid;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", cg->id);
	if (buf == NULL ||
	    cgroup_read(cg->host->dir_fds[k], path, buf, CGROUP_FILE_MAX) == -1)
		return 0;
	for (p = buf; *p != '\0'; p = end + (*end == '\n')) {
		pid = strtol(p, &end, 10);
		if (end == p)
			break;
		/* Frozen, and nobody else's to reap: the number is theirs. */
		if (pid > 1 && kill((pid_t)pid, SIGKILL) == 0)
			n++;
	}
	return n;
}

void
cgroup_kill(const struct cgroup *cg)
{
	enum hier k = HIER_V2;
	int round;

	cgroup_hurry(cg);
	if ((cg->in & BIT(HIER_V2)) && cg->host->v2_kill &&
	    cgroup_set(cg, HIER_V2, "cgroup.kill", 1) == 0)
		return;
	while (k < HIER_N && !(cg->in & BIT(k)))
		k++;
	if (k == HIER_N)
		return;
	/* Frozen they cannot fork; SIGKILL takes effect on thawing. Freezing
	 * is not instant, hence the rounds. */
	(void)cgroup_freeze(cg, true, NULL);
	for (round = 0; round < KILL_ROUNDS; round++)
		if (kill_listed(cg, k) == 0)
			break;
	(void)cgroup_freeze(cg, false, NULL);
}

int
cgroup_remove(struct cgroup *cg)
{
	unsigned k;

	for (k = 0; k < HIER_N; k++) {
		if (!(cg->in & BIT(k)))
			continue;
		if (unlinkat(cg->host->dir_fds[k], cg->id, AT_REMOVEDIR) == 0 ||
		    errno == ENOENT)
			cg->in &= ~BIT(k);
	}
	return cg->in == 0 ? 0 : -1;
}

void
cgroup_free(struct cgroup *cg)
{
	if (cg == NULL)
		return;
	fd_close(&cg->v2_fd);
	free(cg);
}

/* --- what an earlier life has left --------------------------------------- */

/* Kill and remove the group named ID in hierarchy K. */
static bool
group_end(const struct cgroup_host *h, enum hier k, const char *id)
{
	struct cgroup cg = { .host = h, .in = BIT(k), .v2_fd = -1 };

	if (str_copy(cg.id, sizeof(cg.id), id) == -1)
		return false;
	if (k == HIER_V2 || h->dir_fds[HIER_V2] == -1) {
		cgroup_kill(&cg);
	} else {
		cgroup_hurry(&cg);
		(void)kill_listed(&cg, k);
	}
	return cgroup_remove(&cg) == 0;
}

int
cgroup_host_sweep(struct cgroup_host *h, cgroup_live *live, void *ctx)
{
	const struct dirent *ent;
	int left = 0, fd;
	unsigned k;
	DIR *d;

	for (k = 0; k < HIER_N; k++) {
		if (h->dir_fds[k] == -1)
			continue;
		fd = openat(
		    h->dir_fds[k], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		d = fd == -1 ? NULL : fdopendir(fd);
		if (d == NULL) {
			fd_close(&fd);
			continue;
		}
		while ((ent = readdir(d)) != NULL)
			if (ent->d_type == DT_DIR && ent->d_name[0] != '.' &&
			    (live == NULL || !live(ctx, ent->d_name)) &&
			    !group_end(h, (enum hier)k, ent->d_name))
				left++;
		(void)closedir(d);
	}
	return left;
}
