/*
 * The end of an installation: the programs of packages as links, launchers in
 * bin/, and the switch to the new version. Runs in the courier. Until the
 * switch nothing has changed for anybody.
 */
#include "courier/courier.h"

#include "courier/beneath.h"
#include "lib/defs.h"
#include "lib/log.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Make the file that a program is executable. False: there is none. */
static bool
make_executable(const struct job *j, const char *path, int *fd_out)
{
	struct stat st;
	struct err ignored;
	autofd int fd = -1;

	if (beneath_open(j->tmp_fd, path, &fd, &ignored) == -1 ||
	    fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    fchmod(fd, 0755) == -1)
		return false;
	if (fd_out != NULL)
		*fd_out = fd_steal(&fd);
	return true;
}

/* node_modules/.bin beside package N: ../a/cli.js, as npm makes them. */
static int
link_bins(struct job *j, const struct tree_node *n, struct err *e)
{
	char path[BENEATH_PATH_MAX], clean[BENEATH_PATH_MAX];
	char from[BENEATH_PATH_MAX], target[BENEATH_PATH_MAX];
	size_t up;

	if (n->pkg->nbins == 0 || tree_path(n, path, sizeof(path)) == -1)
		return 0;
	up = strlen(path) - strlen(n->name);
	for (size_t i = 0; i < n->pkg->nbins; i++) {
		const struct pkg_bin *b = &n->pkg->bins[i];

		if (beneath_clean(clean, b->path, 0) == -1 ||
		    str_format(from, sizeof(from), "%s/%s", path, clean) ==
			-1 ||
		    !make_executable(j, from, NULL))
			continue; /* npm does without it, too */
		if (str_format(target, sizeof(target), "../%s/%s", n->name,
			clean) == -1 ||
		    str_format(from, sizeof(from), "%.*s.bin/%s", (int)up, path,
			b->name) == -1)
			continue;
		if (beneath_link(j->tmp_fd, from, target, e) == -1)
			return -1;
	}
	return 0;
}

/* Can the kernel start it: is it a program, or a script whose first line names
 * an interpreter and does not end as on other systems? */
static bool
kernel_starts(int fd)
{
	char head[256];
	ssize_t n = pread(fd, head, sizeof(head) - 1, 0);

	if (n < 4)
		return false;
	head[n] = '\0';
	if (memcmp(head, "\177ELF", 4) == 0)
		return true;
	return head[0] == '#' && head[1] == '!' &&
	       memchr(head, '\n', (size_t)n) != NULL &&
	       strchr(head, '\r') == NULL;
}

/* What begins with neither is for Node.js. The shell finds its place by $0,
 * which is a path: nobody starts a launcher otherwise. */
static int
write_script(struct job *j, const char *path, const char *target, struct err *e)
{
	char text[BENEATH_PATH_MAX + 64];

	for (const char *c = target; *c != '\0'; c++) {
		if (strchr("\"$`\\", *c) != NULL)
			return err_set(e, ERR_INSTALL_FAILED,
			    "the program's path is not for a shell");
	}
	(void)snprintf(text, sizeof(text),
	    "#!/bin/sh\nexec node \"${0%%/*}/../%s\" \"$@\"\n", target);
	return beneath_write(j->tmp_fd, path, text, 0755, e);
}

static int
make_launcher(struct job *j, const struct launcher *l, struct err *e)
{
	char path[100], target[BENEATH_PATH_MAX + 4];
	autofd int fd = -1;

	if (!make_executable(j, l->target, &fd))
		return err_set(e, ERR_INSTALL_FAILED,
		    "%s: there is no program %s in it", l->program, l->target);
	(void)snprintf(path, sizeof(path), "bin/%s", l->program);
	if (!kernel_starts(fd))
		return write_script(j, path, l->target, e);
	(void)snprintf(target, sizeof(target), "../%s", l->target);
	return beneath_link(j->tmp_fd, path, target, e);
}

static int
finish(struct job *j, char dir[SHELF_NAME_MAX], struct err *e)
{
	const struct tree_node *n;

	if (j->tree != NULL) {
		TAILQ_FOREACH (n, tree_nodes(j->tree), link) {
			if (link_bins(j, n, e) == -1)
				return -1;
		}
	}
	for (size_t i = 0; i < j->nlaunchers; i++) {
		if (make_launcher(j, &j->launchers[i], e) == -1)
			return -1;
	}
	if (shelf_commit(j->agent_fd, j->tmp, j->version, dir, e) == -1)
		return -1;
	j->tmp[0] = '\0'; /* it stays */
	return shelf_switch(j->agent_fd, dir, e);
}

void
job_finish(struct job *j)
{
	char dir[SHELF_NAME_MAX];
	struct err e;

	j->stage = JOB_FINISHING;
	if (finish(j, dir, &e) == -1) {
		job_fail(j, &e);
		return;
	}
	shelf_drop_partials(j->c->partial_fd, j->agent);
	job_done(j, dir, false);
}
