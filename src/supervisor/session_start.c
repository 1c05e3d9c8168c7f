/*
 * What a session's worker is told when it starts. Runs in the supervisor. The
 * environment is put together here: it holds nothing of ours but what
 * agent_env.c lets through, and values of it are written to no log.
 */
#include "lib/xalloc.h"
#include "supervisor/egress.h"
#include "supervisor/sandboxes.h"
#include "supervisor/session_priv.h"
#include "supervisor/spec.h"

#include <string.h>

#define PATH_DEFAULT \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define ENV_MAX 1024 /* as proto.def has it */

#define LAYERS 4

/* Is NAME set in one of the first N layers? */
static bool
is_set(char *const *const *layers, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strmap_get(layers[i], name) != NULL)
			return true;
	}
	return false;
}

/* What the session was given, over what its sandbox was, over what the agent's
 * definition says, over what of our own may pass; and PATH and HOME if nobody
 * names them. */
static void
write_env(const struct session *ss, struct jw *w)
{
	char **passed = agent_env_passed(ss->s, ss->agent);
	char *const *const layers[LAYERS] = { ss->env, ss->sb->spec.env,
		ss->agent->env, passed };
	size_t count = 0;
	char name[256];

	jw_object(w);
	for (size_t i = 0; i < LAYERS; i++) {
		for (char *const *v = layers[i]; v != NULL && *v; v++) {
			size_t n = strcspn(*v, "=");

			/* Such names were never accepted: see spec.c. */
			if (n >= sizeof(name) || count == ENV_MAX - 2)
				continue;
			memcpy(name, *v, n);
			name[n] = '\0';
			if (is_set(layers, i, name))
				continue;
			jw_kstr(w, name, *v + n + 1);
			count++;
		}
	}
	for (const char *const *v = egress_env(ss->sb); v != NULL && *v; v++) {
		size_t n = strcspn(*v, "=");
		bool set = false;

		for (size_t i = 0; i < LAYERS; i++)
			set = set || egress_env_is_set(*v, layers[i], NULL);
		if (set || count >= ENV_MAX - 2)
			continue;
		memcpy(name, *v, n);
		name[n] = '\0';
		jw_kstr(w, name, *v + n + 1);
		count++;
	}
	if (!is_set(layers, LAYERS, "PATH"))
		jw_kstr(w, "PATH", PATH_DEFAULT);
	if (!is_set(layers, LAYERS, "HOME"))
		jw_kstr(w, "HOME", ss->sb->spec.home);
	jw_object_end(w);
	strv_free(passed);
}

static void
write_words(struct jw *w, char *const *v)
{
	for (; v != NULL && *v != NULL; v++)
		jw_str(w, *v);
}

static void
write_list(struct jw *w, const char *key, char *const *v)
{
	if (v == NULL)
		return;
	jw_key(w, key);
	jw_array(w);
	write_words(w, v);
	jw_array_end(w);
}

/* FIRST and then REST, if there is a first. */
static void
write_command(
    struct jw *w, const char *key, const char *first, char *const *rest)
{
	if (first == NULL)
		return;
	jw_key(w, key);
	jw_array(w);
	jw_str(w, first);
	write_words(w, rest);
	jw_array_end(w);
}

static void
write_agent(const struct session *ss, struct jw *w)
{
	const struct agent_def *a = ss->agent;
	autofree char *program =
	    ss->command == NULL
		? agent_program_inside(ss->s, agent_program(ss->s, a))
		: NULL;
	autofree char *acp =
	    agent_program_inside(ss->s, agent_acp_program(ss->s, a));

	jw_kstr(w, "agent", a->id);
	jw_kstr(w, "protocol", a->protocol);
	if (ss->command != NULL)
		write_list(w, "command", ss->command);
	else
		write_command(w, "command", program, NULL);
	write_list(w, "program_args", a->args);
	write_command(w, "acp_command", acp, a->acp_args);
	write_list(w, "version_args", a->version_args);
	jw_key(w, "options");
	jw_raw(w, a->options, strlen(a->options));
	if (a->shared)
		jw_kbool(w, "shared", true);
}

static void
write_text(struct jw *w, const char *key, const char *json)
{
	if (json == NULL)
		return;
	jw_key(w, key);
	jw_raw(w, json, strlen(json));
}

static void
write_word(struct jw *w, const char *key, const char *word)
{
	if (word != NULL)
		jw_kstr(w, key, word);
}

void
session_start_write(struct session *ss, struct jw *w)
{
	const char *dir = ss->directory != NULL ? ss->directory
			  : ss->sb->spec.directory != NULL
			      ? ss->sb->spec.directory
			      : ss->sb->spec.home;

	jw_kstr(w, "session", ss->id);
	jw_kstr(w, "kind", session_kind_name(ss->kind));
	write_agent(ss, w);
	jw_key(w, "env");
	write_env(ss, w);
	jw_kstr(w, "directory", dir);
	write_word(w, "model", ss->model);
	write_word(w, "variant", ss->variant);
	jw_kstr(w, "permission_mode", ss->permission_mode);
	jw_kstr(w, "agent_mode", ss->agent_mode);
	write_word(w, "thought_level", ss->thought_level);
	write_text(w, "mcp", ss->mcp);
	write_text(w, "skills", ss->skills);
	jw_kint(w, "replay_max_events", ss->s->conf.replay_max_events);
	jw_kint(w, "replay_max_chars", ss->s->conf.replay_max_chars);
}
