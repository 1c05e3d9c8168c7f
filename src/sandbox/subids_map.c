/*
 * Mapping lent ids; see subids.h. Runs in the supervisor of an ordinary user at
 * its start, and later in children of its, since it waits for programs of the
 * host. Those read their arguments, which are numbers of ours, and files of
 * root's; what they say is shown to people and otherwise not looked at.
 */
#include "sandbox/subids.h"

#include "lib/fdio.h"
#include "lib/hostprog.h"
#include "lib/strutil.h"
#include "sandbox/creds.h"
#include "sandbox/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define MAP_MS 10000
#define LINES (SUBIDS_RANGES + 1)

/* The arguments of one of the programs, which it gets as text. */
struct args {
	char text[1 + 3 * LINES][12];
	char *argv[1 + 1 + 3 * LINES + 1];
};

static char *const *
args_fill(struct args *a, const char *name, pid_t pid, const struct id_map *m)
{
	size_t i, n = 0, t = 0;

	a->argv[n++] = (char *)(uintptr_t)name; /* exec does not write */
	(void)snprintf(a->text[t], sizeof(a->text[0]), "%d", (int)pid);
	a->argv[n++] = a->text[t++];
	for (i = 0; i < m->n; i++) {
		const uint32_t numbers[] = { m->v[i].inside, m->v[i].outside,
			m->v[i].count };

		for (size_t k = 0; k < countof(numbers); k++) {
			(void)snprintf(a->text[t], sizeof(a->text[0]), "%u",
			    (unsigned)numbers[k]);
			a->argv[n++] = a->text[t++];
		}
	}
	a->argv[n] = NULL;
	return a->argv;
}

/* The first line of what was said, if anything was. */
static void
said_read(int fd, char *dst, size_t size)
{
	char raw[160];
	ssize_t n = -1;

	if (fd_set_nonblock(fd, 1) == 0)
		n = read(fd, raw, sizeof(raw) - 1);
	raw[n > 0 ? n : 0] = '\0';
	str_show(dst, size, raw, strcspn(raw, "\n"));
}

static void
why_ended(const char *path, int status, int said_fd, char *why, size_t size)
{
	char said[200];

	said_read(said_fd, said, sizeof(said));
	if (status == -1)
		(void)snprintf(why, size, "%s did not end in time", path);
	else if (WIFSIGNALED(status))
		(void)snprintf(why, size, "%s was ended by signal %d", path,
		    WTERMSIG(status));
	else
		(void)snprintf(why, size, "%s: exit status %d: %s", path,
		    WEXITSTATUS(status), said);
}

int
subids_map(const struct subids *si, pid_t pid, const struct id_map *uids,
    const struct id_map *gids, int64_t until_ms, char *why, size_t size)
{
	static char locale[] = "LC_ALL=C";
	char *envp[] = { locale, NULL };
	const struct {
		const char *path, *name;
		const struct id_map *m;
	} programs[] = { { si->newuidmap, "newuidmap", uids },
		{ si->newgidmap, "newgidmap", gids } };
	pid_t pids[countof(programs)];
	int said[countof(programs)][2], status, rc = 0;
	struct args a;
	size_t i, n;

	/* PRIV: the caller's rights before; each program takes root's for
	 * itself, by its set-user-id bit or its capabilities, and decides by
	 * root's files what it does for us. They go side by side. PID is a
	 * child of ours or of our parent's that waits to be mapped: should it
	 * die and its number come to another process meanwhile, then that is
	 * one of the caller's, without a map, or is refused. */
	for (n = 0; n < countof(programs); n++) {
		if (pipe2(said[n], O_CLOEXEC) == -1) {
			(void)snprintf(why, size, "pipe: %s", strerror(errno));
			rc = -1;
			break;
		}
		if (hostprog_start(programs[n].path,
			args_fill(&a, programs[n].name, pid, programs[n].m),
			envp, said[n][1], &pids[n]) == -1) {
			(void)snprintf(why, size, "%s: %s", programs[n].path,
			    strerror(errno));
			fd_close_all(said[n], 2);
			rc = -1;
			break;
		}
		fd_close(&said[n][1]);
	}
	for (i = 0; i < n; i++) {
		if (!hostprog_wait(pids[i], until_ms, &status) && rc == 0) {
			why_ended(
			    programs[i].path, status, said[i][0], why, size);
			rc = -1;
		}
		fd_close(&said[i][0]);
	}
	return rc;
}

/* --- root over all that is ours ------------------------------------------ */

static void
whole_map(struct id_map *m, const struct id_range *v, size_t n, uint32_t own)
{
	uint32_t at = 1;

	m->n = 0;
	m->v[m->n++] = (struct id_line){ 0, own, 1 };
	for (size_t i = 0; i < n && v[i].count <= UINT32_MAX - at; i++) {
		m->v[m->n++] = (struct id_line){ at, v[i].first, v[i].count };
		at += v[i].count;
	}
}

static void ATTR_NORETURN
as_root(int go_fd, int (*fn)(void *ctx), void *ctx)
{
	char c;

	/* PRIV: nobody yet; then root of a user namespace in which there are
	 * the caller and the ids that he was lent, and nobody else. No exec. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(go_fd, &c, 1) != 1 || creds_become_root(true) == -1)
		_exit(255);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* changed ids take it back */
	_exit(fn(ctx));
}

int
subids_as_root(
    const struct subids *si, int (*fn)(void *ctx), void *ctx, struct err *e)
{
	struct id_map uids, gids;
	int go[2], pidfd = -1, status = 0, rc;
	char why[256] = "";
	pid_t pid;

	whole_map(&uids, si->uids, si->nuids, si->own_uid);
	whole_map(&gids, si->gids, si->ngids, si->own_gid);
	if (pipe2(go, O_CLOEXEC) == -1)
		return err_sys(e, "pipe");
	pid = ns_clone(CLONE_NEWUSER, -1, &pidfd);
	if (pid == 0) {
		(void)close(go[1]);
		as_root(go[0], fn, ctx);
	}
	(void)close(go[0]);
	if (pid == -1) {
		(void)close(go[1]);
		return err_sys(e, "start a process in a user namespace");
	}
	rc = subids_map(si, pid, &uids, &gids, now_monotonic_ms() + MAP_MS, why,
	    sizeof(why));
	if (rc == 0 && fd_write_all(go[1], "", 1) == -1)
		rc = -1;
	(void)close(go[1]); /* without the byte it ends */
	(void)close(pidfd);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (rc == -1)
		return err_set(e, ERR_SYSTEM, "map ids: %s", why);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}
