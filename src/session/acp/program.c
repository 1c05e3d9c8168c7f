/*
 * Which program serves an agent as ACP server. Runs in the session worker, in
 * the sandbox: what a user of it has installed for the agent goes before what
 * its definition names.
 */
#include "session/acp/door.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char *
env_get(char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; env != NULL && *env != NULL; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=' &&
		    (*env)[n + 1] != '\0')
			return *env + n + 1;
	return NULL;
}

/* FIRST and MORE in one vector; either may be NULL. */
static char **
join(char *const *first, char *const *more)
{
	size_t n = 0, i;
	char **v;

	for (i = 0; first != NULL && first[i] != NULL; i++)
		n++;
	for (i = 0; more != NULL && more[i] != NULL; i++)
		n++;
	v = xcalloc(n + 1, sizeof(*v));
	for (n = 0; first != NULL && *first != NULL; first++)
		v[n++] = xstrdup(*first);
	for (; more != NULL && *more != NULL; more++)
		v[n++] = xstrdup(*more);
	return v;
}

/* <data>/bin/agent_processes/<agent>-acp, if it can be executed. */
static char *
own_launcher(const struct agent_conf *conf)
{
	const char *data = env_get(conf->env, "XDG_DATA_HOME");
	const char *home = env_get(conf->env, "HOME");
	autofree char *path = NULL;

	if ((data == NULL && home == NULL) || strchr(conf->agent, '/') != NULL)
		return NULL;
	path = xasprintf("%s%s/sandbox-agent/bin/agent_processes/%s-acp",
	    data != NULL ? data : home, data != NULL ? "" : "/.local/share",
	    conf->agent);
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == -1)
		return NULL;
	return STEAL(path);
}

char **
acp_program(const struct agent_conf *conf)
{
	char *own[2] = { NULL, NULL };
	char **v;

	own[0] = own_launcher(conf);
	if (own[0] != NULL) {
		v = join(own, NULL);
		free(own[0]);
		return v;
	}
	if (conf->acp_command != NULL)
		return join(conf->acp_command, NULL);
	if (strcmp(conf->protocol, "acp") == 0 && conf->command != NULL)
		return join(conf->command, conf->program_args);
	return NULL;
}
