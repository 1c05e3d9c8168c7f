/*
 * See conf.h. Runs in the session worker. The frame was checked against
 * proto.def; whether an agent can serve what it says is the adapter's to tell.
 */
#include "session/conf.h"

#include "lib/frame.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#define REPLAY_EVENTS 50 /* unless `start` says otherwise */
#define REPLAY_CHARS 12000

static char *
text(const struct json *m, const char *key, const char *def)
{
	const char *s = json_str(m, key, def);

	return s != NULL ? xstrdup(s) : NULL;
}

/* A value as JSON text; NULL when there is none. */
static char *
value_text(const struct json *m, const char *key)
{
	const struct json *v = json_get(m, key);
	struct buf b;
	struct jw w;

	if (v == NULL)
		return NULL;
	/* It came in a frame; written again it may be longer, as some
	 * characters are escaped. */
	buf_init(&b, 2 * FRAME_MAX);
	jw_init(&w, &b);
	jw_value(&w, v);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

/* A vector of words; NULL when there is none, or none in it. */
static char **
words(const struct json *m, const char *key)
{
	const struct json *v = json_get(m, key);

	return v != NULL && v->len > 0 ? json_strv(v) : NULL;
}

/* {"NAME":"value"} as NAME=value strings. */
static char **
env_vector(const struct json *map)
{
	char **v = xcalloc(map->len + 1, sizeof(*v));
	size_t n = 0;

	json_foreach (it, map)
		v[n++] = xasprintf("%s=%s", it->key, it->str);
	return v;
}

void
conf_read(struct agent_conf *c, const struct json *m)
{
	c->session = text(m, "session", "");
	c->kind = text(m, "kind", "universal");
	c->agent = text(m, "agent", "");
	c->protocol = text(m, "protocol", c->agent);
	c->command = words(m, "command");
	c->program_args = words(m, "program_args");
	c->acp_command = words(m, "acp_command");
	c->version_args = words(m, "version_args");
	c->env = env_vector(json_get(m, "env"));
	c->directory = text(m, "directory", "/");
	c->model = text(m, "model", NULL);
	c->permission_mode = text(m, "permission_mode", "");
	c->agent_mode = text(m, "agent_mode", "");
	c->thought_level = text(m, "thought_level", NULL);
	c->variant = text(m, "variant", NULL);
	c->mcp = value_text(m, "mcp");
	c->skills = value_text(m, "skills");
	c->options = value_text(m, "options");
	c->shared = json_bool(m, "shared", false);
	c->replay_max_events = json_int(m, "replay_max_events", REPLAY_EVENTS);
	c->replay_max_chars = json_int(m, "replay_max_chars", REPLAY_CHARS);
}

void
conf_free(struct agent_conf *c)
{
	free(c->session);
	free(c->kind);
	free(c->agent);
	free(c->protocol);
	strv_free(c->command);
	strv_free(c->program_args);
	strv_free(c->acp_command);
	strv_free(c->version_args);
	strv_free(c->env);
	free(c->directory);
	free(c->model);
	free(c->permission_mode);
	free(c->agent_mode);
	free(c->thought_level);
	free(c->variant);
	free(c->mcp);
	free(c->skills);
	free(c->options);
}

void
conf_set(char **member, const char *value)
{
	char *copy = value != NULL ? xstrdup(value) : NULL;

	free(*member);
	*member = copy;
}
