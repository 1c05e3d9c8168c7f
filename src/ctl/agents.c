/*
 * What `run` knows of agents; see agents.h. Runs as the caller and looks at
 * the caller's PATH and environment, which it trusts; what it does not know
 * itself it asks the supervisor.
 *
 * An agent gets only the variables that its row names: a key that it needs is
 * there, everything else of the caller's environment is not.
 */
#include "ctl/agents.h"
#include "ctl/client.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char *const claude_env[] = { "ANTHROPIC_API_KEY",
	"ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_*", NULL };
static const char *const claude_keys[] = { "ANTHROPIC_API_KEY",
	"ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", NULL };
static const char *const nothing[] = { NULL };

static const struct agent_info agents[] = {
	{ "claude", "claude", true, claude_env, claude_keys },
	{ "mock", NULL, false, nothing, nothing },
};

const struct agent_info *
agent_info_find(const char *name)
{
	size_t i;

	for (i = 0; i < countof(agents); i++)
		if (strcmp(agents[i].name, name) == 0)
			return &agents[i];
	return NULL;
}

/* --- what the supervisor knows ------------------------------------------- */

/* The texts of LIST; both belong to the tree. */
static const char *const *
words_of(const struct json *list)
{
	const char **v =
	    xcalloc((list != NULL ? list->len : 0) + 1, sizeof(*v));
	size_t n = 0;

	json_foreach (it, list) {
		if (it->type == JSON_STRING && it->len > 0)
			v[n++] = it->str;
	}
	return v;
}

const struct agent_info *
agent_info_ask(struct ctl *ctl, const char *name)
{
	static struct answer ans; /* what INFO points into */
	static struct agent_info info;
	const struct json *agent;
	struct client c;
	struct err e;
	struct jw *w;
	int r;

	answer_free(&ans);
	free((void *)info.env);
	free((void *)info.keys);
	info = (struct agent_info){ 0 };
	client_init(&c, ctl);
	w = client_begin(&c, "agent.list");
	jw_kstr(w, "id", name);
	r = client_call(&c, &ans, &e);
	client_close(&c);
	agent = r == 0 ? json_get(ans.body, "agents") : NULL;
	if (agent == NULL || agent->child == NULL)
		return NULL;
	agent = agent->child;
	info.name = name;
	info.program = json_bool(agent, "installed", false)
			   ? NULL
			   : json_str(agent, "program", NULL);
	info.needs_network =
	    strcmp(json_str(agent, "protocol", ""), "mock") != 0;
	info.env = words_of(json_get(agent, "pass_env"));
	info.keys = words_of(json_get(agent, "credential_env"));
	return &info;
}

/* --- variables ----------------------------------------------------------- */

bool
agent_info_env(const struct agent_info *ai, const char *name, size_t len)
{
	const char *const *v;

	for (v = ai->env; *v != NULL; v++) {
		size_t n = strlen(*v);

		if ((*v)[n - 1] == '*'
			? len >= n - 1 && memcmp(name, *v, n - 1) == 0
			: len == n && memcmp(name, *v, n) == 0)
			return true;
	}
	return false;
}

/* --- where a program is -------------------------------------------------- */

/* NAME on PATH, resolved. 0 or -1. */
static int
find_on_path(const char *name, char dst[PATH_MAX])
{
	const char *p = getenv("PATH");
	char file[PATH_MAX];

	if (p == NULL)
		p = "/usr/local/bin:/usr/bin:/bin";
	for (;;) {
		size_t n = strcspn(p, ":");
		struct stat st;

		if (n > 0 && p[0] == '/' &&
		    str_format(
			file, sizeof(file), "%.*s/%s", (int)n, p, name) == 0 &&
		    access(file, X_OK) == 0 && realpath(file, dst) != NULL &&
		    stat(dst, &st) == 0 && S_ISREG(st.st_mode))
			return 0;
		if (p[n] == '\0')
			return -1;
		p += n + 1;
	}
}

bool
agent_path_is_shown(const char *path)
{
	static const char *const tops[] = { "/usr/", "/bin/", "/sbin/", "/lib/",
		"/lib32/", "/lib64/", "/libx32/", "/etc/", "/opt/", "/var/" };
	char part[PATH_MAX];
	const char *slash;
	struct stat st;
	size_t i;

	for (i = 0; i < countof(tops); i++)
		if (str_starts(path, tops[i]))
			break;
	if (i == countof(tops))
		return false;
	/* What others may not read is hidden there too. */
	for (slash = strchr(path + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		if (str_format(part, sizeof(part), "%.*s", (int)(slash - path),
			path) == -1 ||
		    stat(part, &st) == -1 ||
		    (st.st_mode & (S_IROTH | S_IXOTH)) != (S_IROTH | S_IXOTH))
			return false;
	}
	return stat(path, &st) == 0 && (st.st_mode & S_IROTH) != 0;
}

/* A home, or a directory at the top, holds more than a program. */
static bool
holds_more(const char *dir)
{
	const char *home = getenv("HOME");

	if (*dir == '\0' || strchr(dir + 1, '/') == NULL)
		return true;
	if (home != NULL && strcmp(dir, home) == 0)
		return true;
	return str_starts(dir, "/home/") &&
	       strchr(dir + strlen("/home/"), '/') == NULL;
}

int
agent_program_dir(const char *path, char dst[PATH_MAX])
{
	static const char modules[] = "/node_modules/";
	const char *at = strstr(path, modules);
	const char *slash = strrchr(path, '/');
	size_t n;

	if (at != NULL)
		n = (size_t)(at - path) + sizeof(modules) - 2;
	else
		n = (size_t)(slash - path);
	if (str_format(dst, PATH_MAX, "%.*s", (int)n, path) == -1)
		return -1;
	if (holds_more(dst))
		return str_copy(dst, PATH_MAX, path);
	return 0;
}

static int
add_mount(struct agent_program *p, const char *program, bool host_image)
{
	char dir[PATH_MAX];
	size_t i;

	if (host_image && agent_path_is_shown(program))
		return 0;
	if (agent_program_dir(program, dir) == -1)
		return -1;
	for (i = 0; i < p->nmounts; i++)
		if (strcmp(p->mounts[i], dir) == 0)
			return 0;
	return str_copy(p->mounts[p->nmounts++], PATH_MAX, dir);
}

/* --- scripts ------------------------------------------------------------- */

/* The program that "#!/usr/bin/env NAME" asks for: NAME. False for others. */
static bool
env_interpreter(const char *program, char *name, size_t size)
{
	static const char *const starts[] = { "#!/usr/bin/env -S ",
		"#!/usr/bin/env " };
	autofd int fd = open(program, O_RDONLY | O_CLOEXEC);
	char line[256];
	ssize_t n;
	size_t i;

	if (fd == -1)
		return false;
	n = read(fd, line, sizeof(line) - 1);
	if (n <= 0)
		return false;
	line[n] = '\0';
	for (i = 0; i < countof(starts); i++) {
		const char *word = line + strlen(starts[i]);

		if (str_starts(line, starts[i]))
			return str_format(name, size, "%.*s",
				   (int)strcspn(word, " \t\n"), word) == 0 &&
			       *name != '\0' && strchr(name, '/') == NULL;
	}
	return false;
}

/* Where a sandbox looks for programs by itself. */
static bool
is_on_plain_path(const char *program)
{
	static const char *const dirs[] = { "/usr/local/bin/", "/usr/bin/",
		"/bin/" };
	size_t i;

	for (i = 0; i < countof(dirs); i++)
		if (str_starts(program, dirs[i]) &&
		    strchr(program + strlen(dirs[i]), '/') == NULL)
			return true;
	return false;
}

int
agent_program_find(const struct agent_info *ai, bool host_image,
    struct agent_program *p_out, struct err *e)
{
	struct agent_program *p = p_out;
	char program[PATH_MAX];
	char interpreter[PATH_MAX];
	char name[64];

	*p = (struct agent_program){ 0 };
	if (ai->program == NULL)
		return 0;
	if (find_on_path(ai->program, program) == -1)
		return err_set(e, ERR_AGENT_NOT_INSTALLED,
		    "there is no program %s on PATH", ai->program);
	/* Version managers keep the interpreter in somebody's home: then it
	 * has to come along, and be named. */
	if (env_interpreter(program, name, sizeof(name)) &&
	    find_on_path(name, interpreter) == 0 &&
	    !(is_on_plain_path(interpreter) && host_image)) {
		if (add_mount(p, interpreter, host_image) == -1 ||
		    str_copy(
			p->command[p->ncommand++], PATH_MAX, interpreter) == -1)
			return err_set(e, ERR_TOO_LARGE, "a path is too long");
	}
	if (add_mount(p, program, host_image) == -1 ||
	    str_copy(p->command[p->ncommand++], PATH_MAX, program) == -1)
		return err_set(e, ERR_TOO_LARGE, "a path is too long");
	return 0;
}
