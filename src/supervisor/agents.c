/*
 * The table of agents. Runs in the supervisor; looks at the host's file system
 * along our own PATH, which is trusted as our environment is.
 */
#include "supervisor/agents.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_DEFAULT \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *const claude_modes[] = { "default", "acceptEdits", "plan",
	"bypass", NULL };
static const char *const mock_modes[] = { "default", "plan", "bypass",
	"acceptEdits", NULL };
static const char *const build_plan[] = { "build", "plan", NULL };

static const struct agent_def agents[] = {
	{ "claude", "claude", claude_modes, build_plan },
	{ "mock", NULL, mock_modes, build_plan },
};

const struct agent_def *
agent_find(const char *name)
{
	for (size_t i = 0; i < countof(agents); i++) {
		if (strcmp(agents[i].name, name) == 0)
			return &agents[i];
	}
	return NULL;
}

static char *
executable(const char *path)
{
	struct stat st;
	char *real;

	/* One look at each place of PATH; the rest only where it is. */
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == -1)
		return NULL;
	real = realpath(path, NULL);

	if (real != NULL && stat(real, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & 0111) != 0)
		return real;
	free(real);
	return NULL;
}

char *
agent_program(struct super *s, const struct agent_def *a)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];
	char *found;

	if (a->program == NULL)
		return NULL;
	if (strcmp(a->name, "claude") == 0 && s->conf.claude[0] != '\0')
		return executable(s->conf.claude);
	if (path == NULL)
		path = PATH_DEFAULT;
	for (;;) {
		size_t n = strcspn(path, ":");

		if (n > 0 && path[0] == '/' &&
		    str_format(file, sizeof(file), "%.*s/%s", (int)n, path,
			a->program) == 0) {
			found = executable(file);
			if (found != NULL)
				return found;
		}
		if (path[n] == '\0')
			return NULL;
		path += n + 1;
	}
}

char *
agent_program_dir(const char *program)
{
	static const char modules[] = "/node_modules/";
	const char *at = strstr(program, modules);
	const char *slash;

	if (at != NULL)
		return xstrndup(
		    program, (size_t)(at - program) + sizeof(modules) - 2);
	slash = strrchr(program, '/');
	return xstrndup(
	    program, slash == program ? 1 : (size_t)(slash - program));
}

/* Does a sandbox with SP's image show host path PATH at the same place? */
static bool
agent_path_shown(const struct sandbox_spec *sp, const char *path)
{
	/* Of the host's root these are shown, and hide.h takes away only what
	 * others may not read. */
	static const char *const shown[] = { "/usr/", "/bin/", "/sbin/", "/lib",
		"/opt/" };

	for (size_t i = 0; i < sp->nmounts; i++) {
		size_t n = strlen(sp->mounts[i].target);

		if (strcmp(sp->mounts[i].source, sp->mounts[i].target) == 0 &&
		    strncmp(path, sp->mounts[i].target, n) == 0 &&
		    (path[n] == '/' || path[n] == '\0'))
			return true;
	}
	if (strcmp(sp->image, "host") != 0)
		return false;
	for (size_t i = 0; i < countof(shown); i++) {
		if (str_starts(path, shown[i]))
			return true;
	}
	return false;
}

struct plan_mount *
agents_mounts(struct super *s, const struct sandbox_spec *sp, size_t *n_out)
{
	/* One path per agent, replaced when the program has moved: a plan uses
	 * it only until its launch returns. */
	static char *dirs[countof(agents)];
	struct plan_mount *v =
	    xcalloc(sp->nmounts + countof(agents), sizeof(*v));
	size_t n = sp->nmounts;

	if (n > 0)
		memcpy(v, sp->mounts, n * sizeof(*v));
	for (size_t i = 0; i < countof(agents); i++) {
		autofree char *program = agent_program(s, &agents[i]);
		struct stat st;

		if (program == NULL || agent_path_shown(sp, program))
			continue;
		free(dirs[i]);
		dirs[i] = agent_program_dir(program);
		if (strcmp(dirs[i], "/") == 0 || stat(dirs[i], &st) == -1)
			continue;
		v[n].source = v[n].target = dirs[i];
		v[n].mode = MOUNT_RO;
		n++;
	}
	*n_out = n;
	return v;
}
