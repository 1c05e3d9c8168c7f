/*
 * What Codex is configured with besides its own files: where its model is, and
 * which MCP servers there are. Runs in the session worker.
 *
 * Nothing is written into the user's files, and no secret stands in arguments,
 * which any process may read: keys are named by their variable or go through
 * the pipe, and so do MCP servers (the `config` of thread/start).
 *
 * Codex itself takes no key from its environment. If the session has one, and
 * its own configuration names no provider, then: with OPENAI_BASE_URL we define
 * a provider for it that reads the key's variable; else Codex is logged in with
 * the key, which it then keeps in memory only. A login that is already in its
 * folder goes before.
 */
#include "session/agents/codex.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/tools.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROVIDER "sandbox"
#define TOOL_TIMEOUT_S 3600 /* longest that a server's calls may be given */

static void
complain(struct agent *a, const char *name, const char *what)
{
	autofree char *say = xasprintf("MCP server %.64s: %s", name, what);

	uni_error(a->out, FROM_DAEMON, "invalid_config", say, NULL);
}

static bool
has_value(const struct codex *c, const char *variable)
{
	const char *value = tools_env(&c->a, variable);

	return value != NULL && *value != '\0';
}

const char *
codex_key_variable(const struct codex *c)
{
	if (has_value(c, "CODEX_API_KEY"))
		return "CODEX_API_KEY";
	return has_value(c, "OPENAI_API_KEY") ? "OPENAI_API_KEY" : NULL;
}

static bool
has_login(const struct codex *c)
{
	const char *own = tools_env(&c->a, "CODEX_HOME");
	const char *home = tools_env(&c->a, "HOME");
	autofree char *path =
	    own != NULL && *own != '\0'
		? xasprintf("%s/auth.json", own)
		: xasprintf("%s/.codex/auth.json", home != NULL ? home : "");

	return access(path, F_OK) == 0;
}

/* Codex cannot run without a folder that it may write to. A user without a
 * home gets one that is nobody else's, in the sandbox's /tmp. */
char **
codex_environment(const struct codex *c)
{
	const char *home = tools_env(&c->a, "HOME");
	autofree char *own = xasprintf("%s/.codex", home != NULL ? home : "");
	autofree char *spare = xasprintf("/tmp/.codex-%ld", (long)geteuid());
	char **env = strv_dup(c->a.conf->env);
	size_t n = strv_len(env);
	struct stat st;

	if (has_value(c, "CODEX_HOME") || access(own, W_OK) == 0 ||
	    (errno == ENOENT && home != NULL && access(home, W_OK) == 0))
		return env;
	if ((mkdir(spare, 0700) == -1 && errno != EEXIST) ||
	    lstat(spare, &st) == -1 || !S_ISDIR(st.st_mode) ||
	    st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return env; /* codex itself says what is wrong */
	env = xreallocarray(env, n + 2, sizeof(*env));
	env[n] = xasprintf("CODEX_HOME=%s", spare);
	env[n + 1] = NULL;
	return env;
}

const char *const *
codex_arguments(struct codex *c)
{
	/* Without these it asks hosts of its makers for updates and plug-ins,
	 * and tells them what it does. */
	static const char *const quiet[] = { "app-server", "-c",
		"check_for_update_on_startup=false", "-c",
		"analytics.enabled=false", "-c", "features.plugins=false",
		NULL };
	static const char *const keyed[] = { "app-server", "-c",
		"check_for_update_on_startup=false", "-c",
		"analytics.enabled=false", "-c", "features.plugins=false", "-c",
		"cli_auth_credentials_store=ephemeral", NULL };

	c->own_key = codex_key_variable(c) != NULL && !has_login(c);
	return c->own_key ? keyed : quiet;
}

void
codex_config_known(struct codex *c, const struct json *config)
{
	if (json_str(config, "model_provider", NULL) != NULL)
		c->own_key = false;
	c->own_server = c->own_key && has_value(c, "OPENAI_BASE_URL") &&
			json_str(config, "openai_base_url", NULL) == NULL;
}

/* By another name than OpenAI's it is not asked for what only their own servers
 * can do: web sockets, compaction. */
static void
write_provider(struct codex *c, struct jw *w)
{
	jw_key(w, "model_providers");
	jw_object(w);
	jw_key(w, PROVIDER);
	jw_object(w);
	jw_kstr(w, "name", PROVIDER);
	jw_kstr(w, "base_url", tools_env(&c->a, "OPENAI_BASE_URL"));
	jw_kstr(w, "env_key", codex_key_variable(c));
	jw_kstr(w, "wire_api", "responses");
	jw_object_end(w);
	jw_object_end(w);
}

static void
write_local(struct jw *w, const struct mcp_server *s)
{
	char *const *arg;

	jw_kstr(w, "command", s->argv[0]);
	jw_key(w, "args");
	jw_array(w);
	for (arg = s->argv + 1; *arg != NULL; arg++)
		jw_str(w, *arg);
	jw_array_end(w);
	if (s->env != NULL)
		jw_kvalue(w, "env", s->env);
	if (s->cwd != NULL)
		jw_kstr(w, "cwd", s->cwd);
}

static void
write_server(struct agent *a, const struct mcp_server *s, void *ctx)
{
	struct jw *w = ctx;

	if (s->argv == NULL && s->sse) {
		complain(a, s->name, "codex has no transport sse");
		return;
	}
	jw_key(w, s->name);
	jw_object(w);
	if (s->argv != NULL) {
		write_local(w, s);
	} else {
		jw_kstr(w, "url", s->url);
		if (s->headers != NULL)
			jw_kvalue(w, "http_headers", s->headers);
	}
	if (s->timeout_ms > 0)
		jw_kint(w, "tool_timeout_sec",
		    MIN((s->timeout_ms + 999) / 1000, TOOL_TIMEOUT_S));
	jw_object_end(w);
}

void
codex_write_config(struct codex *c, struct jw *w)
{
	if (c->own_server)
		jw_kstr(w, "modelProvider", PROVIDER);
	jw_key(w, "config");
	jw_object(w);
	if (c->own_server)
		write_provider(c, w);
	jw_key(w, "mcp_servers");
	jw_object(w);
	tools_mcp(&c->a, MCP_CWD_KEPT, write_server, w);
	jw_object_end(w);
	jw_object_end(w);
}
