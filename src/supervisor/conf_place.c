/*
 * Where things are unless it is said: for root the places that were chosen when
 * it was built, for others the XDG base directories. Runs in the supervisor, on
 * the environment of whoever starts it.
 */
#include "supervisor/conf.h"

#include "lib/rundir.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#ifndef SYSCONFDIR
#	define SYSCONFDIR "/etc"
#endif
#ifndef LOCALSTATEDIR
#	define LOCALSTATEDIR "/var"
#endif
#ifndef RUNSTATEDIR
#	define RUNSTATEDIR "/run"
#endif

/* For users other than root: the XDG base directories. */
static char *
user_dir(const char *var, const char *below_home, const char *fallback)
{
	const char *dir = getenv(var);
	const char *home = getenv("HOME");

	if (dir != NULL && dir[0] == '/')
		return xasprintf("%s/sandboxd", dir);
	if (home != NULL && home[0] == '/')
		return xasprintf("%s/%s/sandboxd", home, below_home);
	return xasprintf("%s/sandboxd-%lu", fallback, (unsigned long)getuid());
}

static char *
user_run_dir(void)
{
	char dir[4096];

	/* The last one may be somebody else's, who was there before us: then
	 * instance_open() says so. */
	if (rundir_candidate(0, dir, sizeof(dir)))
		return xstrdup(dir);
	return xasprintf("/tmp/sandboxd-%lu", (unsigned long)getuid());
}

void
conf_place_defaults(struct conf *c, bool root)
{
	if (root) {
		c->state_dir = xstrdup(LOCALSTATEDIR "/lib/sandboxd");
		c->run_dir = xstrdup(RUNSTATEDIR "/sandboxd");
	} else {
		c->state_dir =
		    user_dir("XDG_STATE_HOME", ".local/state", "/var/tmp");
		c->run_dir = user_run_dir();
	}
}

const char *
conf_default_path(bool root)
{
	static char path[4096];
	char *dir;
	int bad;

	if (root)
		return SYSCONFDIR "/sandboxd/sandboxd.conf";
	dir = user_dir("XDG_CONFIG_HOME", ".config", "/nonexistent");
	bad = str_format(path, sizeof(path), "%s/sandboxd.conf", dir);
	free(dir);
	return bad ? SYSCONFDIR "/sandboxd/sandboxd.conf" : path;
}
