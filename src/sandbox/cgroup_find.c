/*
 * Our own control groups, from what the kernel says in /proc/self/mountinfo and
 * /proc/self/cgroup. Runs in the supervisor at start. A process may be in a
 * different place of each hierarchy, and a mount may show only a part of one.
 */
#include "sandbox/cgroup_find.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "sandbox/cgroup_priv.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define TABLE_MAX (4 * 1024 * 1024)

const char *const cgroup_names[HIER_N] = {
	[HIER_MEMORY] = "memory",
	[HIER_CPU] = "cpu",
	[HIER_PIDS] = "pids",
	[HIER_FREEZER] = "freezer",
};

bool
cgroup_word_in(const char *list, const char *word, char sep)
{
	size_t n = strlen(word);

	while (list != NULL && *list != '\0') {
		if (strncmp(list, word, n) == 0 &&
		    (list[n] == sep || list[n] == '\0' || list[n] == '\n'))
			return true;
		list = strchr(list, sep);
		if (list != NULL)
			list++;
	}
	return false;
}

/* Cut WORD off the end of PATH, if it stands there. */
static void
cut_end(char *path, const char *word)
{
	size_t n = strlen(path), w = strlen(word);

	if (n >= w && strcmp(path + n - w, word) == 0)
		path[n - w] = '\0';
}

/* Our path in hierarchy H, from the text of /proc/self/cgroup, whose lines are
 * <number>:<controllers>:<path>. */
static int
own_path(char *text, enum hier h, char path_out[PATH_MAX])
{
	char *line, *next, *names, *path;
	bool hit;

	for (line = text; line != NULL && *line != '\0'; line = next) {
		next = strchr(line, '\n');
		names = strchr(line, ':');
		path = names ? strchr(names + 1, ':') : NULL;
		if (path == NULL || next == NULL)
			return -1;
		*next = *path = '\0';
		hit = h == HIER_V2
			  ? names[1] == '\0'
			  : cgroup_word_in(names + 1, cgroup_names[h], ',');
		if (hit && str_copy(path_out, PATH_MAX, path + 1) == -1)
			hit = false;
		*next = '\n';
		*path = ':';
		next++;
		if (!hit)
			continue;
		/* A supervisor that was executed anew is there already. */
		if (h == HIER_V2)
			cut_end(path_out, "/" CGROUP_OWN_NAME);
		return 0;
	}
	return -1;
}

/* Fields of a line of mountinfo that matter here. */
struct mountinfo {
	char *root, *point, *type, *options;
};

static bool
mountinfo_parse(char *line, struct mountinfo *mi)
{
	char *save = NULL, *f;
	int i;

	memset(mi, 0, sizeof(*mi));
	f = strtok_r(line, " ", &save);
	for (i = 0; f != NULL; i++, f = strtok_r(NULL, " ", &save)) {
		if (i == 3)
			mi->root = f;
		else if (i == 4)
			mi->point = f;
		else if (i >= 6 && strcmp(f, "-") == 0)
			break;
	}
	mi->type = strtok_r(NULL, " ", &save);
	(void)strtok_r(NULL, " ", &save);
	mi->options = strtok_r(NULL, " ", &save);
	return mi->options != NULL;
}

/* Open our own group: its path below the root that the mount shows. */
static int
own_open(const struct mountinfo *mi, const char *path)
{
	char full[PATH_MAX];
	size_t n = strlen(mi->root);

	if (strcmp(mi->root, "/") == 0)
		n = 0;
	else if (strncmp(path, mi->root, n) != 0 ||
		 (path[n] != '\0' && path[n] != '/'))
		return -1; /* we are outside of what is shown */
	if (str_format(full, sizeof(full), "%s%s", mi->point, path + n) == -1)
		return -1;
	return open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int
slurp(const char *path, char **text_out, struct err *e)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len;

	if (fd == -1)
		return err_sys(e, "open %s", path);
	return fd_slurp(fd, TABLE_MAX, text_out, &len, e);
}

int
cgroup_find(int own_fds[HIER_N], struct err *e)
{
	autofree char *mounts = NULL, *groups = NULL;
	char *line, *next, path[PATH_MAX];
	struct mountinfo mi;
	unsigned k;
	bool hit;

	if (slurp("/proc/self/mountinfo", &mounts, e) == -1 ||
	    slurp("/proc/self/cgroup", &groups, e) == -1)
		return -1;
	for (line = mounts; *line != '\0'; line = next) {
		next = line + strcspn(line, "\n");
		if (*next == '\n')
			*next++ = '\0';
		if (!mountinfo_parse(line, &mi))
			continue;
		for (k = 0; k < HIER_N; k++) {
			hit = k == HIER_V2 ? strcmp(mi.type, "cgroup2") == 0
					   : strcmp(mi.type, "cgroup") == 0 &&
						 cgroup_word_in(mi.options,
						     cgroup_names[k], ',');
			if (!hit || own_fds[k] != -1 ||
			    own_path(groups, (enum hier)k, path) == -1)
				continue;
			own_fds[k] = own_open(&mi, path);
		}
	}
	return 0;
}

int
cgroup_of(const struct cgroup_host *h, pid_t pid, char *name_out, size_t size)
{
	autofree char *text = NULL, *ours = NULL;
	char path[64];
	size_t len = 0, n;
	struct err e;
	char *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1 || fd_slurp(fd, TABLE_MAX, &text, &len, &e) == -1)
		return -1;
	if (asprintf(&ours, "/%s/", h->name) == -1) {
		ours = NULL;
		return -1;
	}
	/* The same in each hierarchy where it is in one of ours at all. */
	at = strstr(text, ours);
	if (at == NULL)
		return -1;
	at += strlen(ours);
	n = strcspn(at, "/\n");
	if (n == 0 || n >= size)
		return -1;
	memcpy(name_out, at, n);
	name_out[n] = '\0';
	return 0;
}
