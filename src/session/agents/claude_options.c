/*
 * What can be set in Claude Code: permission modes, models and levels of
 * effort, as it tells them in answer to `initialize` and `get_settings`, and
 * its commands. Runs in the session worker; the answers are hostile input.
 */
#include "session/agents/claude.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>
#include <unistd.h>

#define OPTIONS_MAX (256u << 10)
#define CHOICES_MAX 64

/* Modes go by two names: the one that all agents share, and claude's own. */
static const struct {
	const char *ours, *theirs, *name;
} modes[] = {
	{ "default", "default", "Default" },
	{ "acceptEdits", "acceptEdits", "Accept Edits" },
	{ "plan", "plan", "Plan" },
	{ "dontAsk", "dontAsk", "Don't Ask" },
	{ "auto", "auto", "Auto" },
	{ "bypass", "bypassPermissions", "Bypass Permissions" },
};
static const char *const levels[] = { "low", "medium", "high", "xhigh", "max" };

/* --- modes ---------------------------------------------------------------- */

const char *
claude_mode_native(const char *word)
{
	size_t i;

	for (i = 0; i < countof(modes); i++)
		if (strcmp(modes[i].ours, word) == 0 ||
		    strcmp(modes[i].theirs, word) == 0)
			return modes[i].theirs;
	return NULL;
}

const char *
claude_mode_shared(const char *native)
{
	size_t i;

	for (i = 0; i < countof(modes); i++)
		if (strcmp(modes[i].theirs, native) == 0)
			return modes[i].ours;
	return NULL;
}

const char *
claude_mode_of(const char *permission_mode, const char *agent_mode)
{
	const char *mode = claude_mode_native(agent_mode);

	/* Planning may be asked for by either word. */
	if (mode != NULL && (strcmp(mode, "plan") != 0 ||
				strcmp(permission_mode, "default") == 0))
		return mode;
	return claude_mode_native(permission_mode);
}

int
claude_mode_check(const struct claude *c, const char *permission_mode,
    const char *agent_mode, struct err *e)
{
	const char *mode;

	if (strcmp(agent_mode, "build") != 0 &&
	    claude_mode_native(agent_mode) == NULL)
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "claude has no agent mode %s", agent_mode);
	mode = claude_mode_of(permission_mode, agent_mode);
	if (claude_mode_native(permission_mode) == NULL || mode == NULL)
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "claude has no permission mode %s", permission_mode);
	if (strcmp(mode, "bypassPermissions") == 0 && geteuid() == 0 &&
	    !program_env_has(c->a.conf->env, "IS_SANDBOX=1"))
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "claude refuses bypass as root unless IS_SANDBOX=1 is in "
		    "the session's environment");
	return 0;
}

int
claude_level_check(const char *level, struct err *e)
{
	size_t i;

	for (i = 0; i < countof(levels); i++)
		if (strcmp(levels[i], level) == 0)
			return 0;
	if (strcmp(level, "default") == 0)
		return 0;
	return err_set(
	    e, ERR_MODE_NOT_SUPPORTED, "claude has no thought level %s", level);
}

/* --- options -------------------------------------------------------------- */

static void
choice(struct jw *w, const char *value, const char *name, const char *more)
{
	jw_object(w);
	jw_kstr(w, "value", value);
	jw_kstr(w, "name", name);
	if (more != NULL)
		jw_kstr(w, "description", more);
	jw_object_end(w);
}

static void
option_begin(
    struct jw *w, const char *id, const char *name, const char *current)
{
	jw_object(w);
	jw_kstr(w, "id", id);
	jw_kstr(w, "name", name);
	jw_kstr(w, "category", id);
	jw_kstr(w, "type", "select");
	jw_kstr(w, "currentValue", current);
	jw_key(w, "options");
	jw_array(w);
}

static void
option_end(struct jw *w)
{
	jw_array_end(w);
	jw_object_end(w);
}

/* The entry of the model that is set. */
static const struct json *
model_entry(const struct json *models, const char *name)
{
	json_foreach (it, models)
		if (strcmp(json_str(it, "value", ""), name) == 0 ||
		    strcmp(json_str(it, "resolvedModel", ""), name) == 0)
			return it;
	return NULL;
}

static void
write_models(struct jw *w, const struct json *models, const char *current)
{
	size_t n = 0;

	option_begin(w, "model", "Model", current);
	if (model_entry(models, current) == NULL)
		choice(w, current, current, NULL);
	json_foreach (it, models) {
		const char *value = json_str(it, "value", NULL);

		if (value == NULL || n++ >= CHOICES_MAX)
			continue;
		choice(w, value, json_str(it, "displayName", value),
		    json_str(it, "description", NULL));
	}
	option_end(w);
}

static void
write_modes(struct jw *w, const struct claude *c, const struct json *model)
{
	const struct agent_conf *conf = c->a.conf;
	const char *current =
	    claude_mode_of(conf->permission_mode, conf->agent_mode);
	size_t i;

	option_begin(w, "mode", "Mode", current);
	for (i = 0; i < countof(modes); i++)
		if (strcmp(modes[i].theirs, "auto") != 0 ||
		    strcmp(current, "auto") == 0 ||
		    json_bool(model, "supportsAutoMode", false))
			choice(w, modes[i].theirs, modes[i].name, NULL);
	option_end(w);
}

static void
write_levels(struct jw *w, const struct claude *c, const struct json *model)
{
	const struct json *list = json_get(model, "supportedEffortLevels");
	const char *current = c->a.conf->thought_level;
	char name[16];
	size_t n = 0;

	if (list == NULL || list->type != JSON_ARRAY || list->child == NULL)
		return;
	if (current == NULL || strcmp(current, "default") == 0)
		current = c->effort;
	if (*current == '\0')
		return; /* not known yet */
	option_begin(w, "thought_level", "Thought Level", current);
	json_foreach (it, list) {
		if (it->type != JSON_STRING || n++ >= CHOICES_MAX ||
		    str_copy(name, sizeof(name), it->str) == -1)
			continue;
		if (name[0] >= 'a' && name[0] <= 'z')
			name[0] = (char)(name[0] - 'a' + 'A');
		choice(w, it->str, name, NULL);
	}
	option_end(w);
}

static void
tell_options(struct claude *c)
{
	const char *current =
	    c->a.conf->model != NULL ? c->a.conf->model : "default";
	const struct json *model = model_entry(c->models, current);
	struct buf b;
	struct jw w;

	if (model == NULL)
		model = model_entry(c->models, "default");
	buf_init(&b, OPTIONS_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	write_models(&w, c->models, current);
	write_modes(&w, c, model);
	write_levels(&w, c, model);
	jw_array_end(&w);
	if (!b.failed)
		agent_options(&c->a, b.data);
	buf_free(&b);
}

static void
tell_commands(struct claude *c, const struct json *list)
{
	struct buf b;
	struct jw w;

	if (list == NULL || list->type != JSON_ARRAY)
		return;
	buf_init(&b, OPTIONS_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	json_foreach (it, list) {
		const char *hint = json_str(it, "argumentHint", "");

		if (json_str(it, "name", NULL) == NULL)
			continue;
		jw_object(&w);
		jw_kstr(&w, "name", json_str(it, "name", ""));
		jw_kstr(&w, "description", json_str(it, "description", ""));
		if (*hint != '\0') {
			jw_key(&w, "input");
			jw_object(&w);
			jw_kstr(&w, "hint", hint);
			jw_object_end(&w);
		}
		jw_object_end(&w);
	}
	jw_array_end(&w);
	if (!b.failed)
		agent_commands(&c->a, b.data);
	buf_free(&b);
}

/* The tree of the models, kept: levels depend on the model that is set. */
static void
keep_models(struct claude *c, const struct json *models)
{
	autofree char *text = agent_json(models);

	json_free(STEAL(c->models));
	if (text == NULL || strlen(text) > OPTIONS_MAX ||
	    json_parse(
		text, strlen(text), JSON_DEPTH_AGENT, &c->models, NULL) == -1)
		c->models = NULL;
}

void
claude_control_response(struct claude *c, const struct json *m)
{
	const struct json *outer = json_get(m, "response");
	const struct json *answer = json_get(outer, "response");
	const struct json *models = json_get(answer, "models");
	const char *effort =
	    json_str(json_get(answer, "applied"), "effort", "");

	if (strcmp(json_str(outer, "subtype", ""), "success") != 0)
		return; /* what it does not know it goes on without */
	if (models != NULL && models->type == JSON_ARRAY) {
		keep_models(c, models);
		tell_commands(c, json_get(answer, "commands"));
		tell_options(c);
	} else if (*effort != '\0' && c->models != NULL &&
		   str_copy(c->effort, sizeof(c->effort), effort) == 0) {
		tell_options(c);
	}
}
