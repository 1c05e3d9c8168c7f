/*
 * What can be set in Pi: models, thinking levels, and its commands, as it tells
 * them. Runs in the session worker; the answers are hostile input.
 *
 * A model is called PROVIDER/ID here, as on pi's command line.
 */
#include "session/agents/pi.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agents/messages.h"
#include <string.h>

#define OPTIONS_MAX (256u << 10)
#define MODELS_MAX 512

static const char *const levels[] = { "off", "minimal", "low", "medium", "high",
	"xhigh" };

static bool
same(const struct json *model, const char *name)
{
	const char *provider = json_str(model, "provider", "");
	const char *id = json_str(model, "id", "");
	size_t n = strlen(provider);

	return strcmp(id, name) == 0 ||
	       (strncmp(name, provider, n) == 0 && name[n] == '/' &&
		   strcmp(name + n + 1, id) == 0);
}

static const struct json *
model_find(const struct pi *p, const char *name)
{
	json_foreach (it, p->models)
		if (same(it, name))
			return it;
	return NULL;
}

int64_t
pi_window(const struct pi *p)
{
	return p->model != NULL
		   ? json_int(model_find(p, p->model), "contextWindow", 0)
		   : 0;
}

/* --- setting -------------------------------------------------------------- */

static int
level_check(const char *level, struct err *e)
{
	size_t i;

	for (i = 0; i < countof(levels); i++)
		if (strcmp(levels[i], level) == 0)
			return 0;
	if (strcmp(level, "default") == 0)
		return 0;
	return err_set(
	    e, ERR_MODE_NOT_SUPPORTED, "pi has no thought level %s", level);
}

int
pi_settings_check(
    const struct pi *p, const struct agent_settings *set, struct err *e)
{
	const char *mode = set->permission_mode;

	/* Pi asks nobody: both words come to the same. */
	if (mode != NULL && strcmp(mode, "default") != 0 &&
	    strcmp(mode, "bypass") != 0)
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "pi has no permission mode %s", mode);
	if (set->agent_mode != NULL && strcmp(set->agent_mode, "build") != 0)
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "pi has no agent mode %s", set->agent_mode);
	if (set->thought_level != NULL &&
	    level_check(set->thought_level, e) == -1)
		return -1;
	if (set->model == NULL || strcmp(set->model, "default") == 0)
		return 0;
	if (!agent_word_ok(set->model))
		return err_set(e, ERR_BAD_REQUEST, "not a model's name");
	if (p->models != NULL && model_find(p, set->model) == NULL)
		return err_set(
		    e, ERR_BAD_REQUEST, "pi has no model %s", set->model);
	return 0;
}

static int
set_model(struct pi *p, const char *name, struct err *e)
{
	const struct json *model = model_find(p, name);
	struct buf b;
	struct jw w;

	if (model == NULL) {
		/* The default, or the list is not there yet: the next process
		 * is started with it. */
		p->restart = true;
		return 0;
	}
	(void)pi_command(p, &w, &b, "set_model");
	jw_kstr(&w, "provider", json_str(model, "provider", ""));
	jw_kstr(&w, "modelId", json_str(model, "id", ""));
	return pi_send(p, &w, &b, e);
}

static int
set_level(struct pi *p, const char *level, struct err *e)
{
	struct buf b;
	struct jw w;

	if (strcmp(level, "default") == 0) {
		p->restart = true;
		return 0;
	}
	(void)pi_command(p, &w, &b, "set_thinking_level");
	jw_kstr(&w, "level", level);
	return pi_send(p, &w, &b, e);
}

int
pi_configure(struct agent *a, const struct agent_settings *set, struct err *e)
{
	struct pi *p = (struct pi *)a;

	if (pi_settings_check(p, set, e) == -1)
		return -1;
	if (p->proc == NULL || p->retiring)
		return 0; /* the next process is started with it */
	if (set->model != NULL && set_model(p, set->model, e) == -1)
		return -1;
	return set->thought_level != NULL ? set_level(p, set->thought_level, e)
					  : 0;
}

/* --- telling -------------------------------------------------------------- */

void
pi_model_is(struct pi *p, const struct json *model)
{
	const char *provider = json_str(model, "provider", NULL);
	const char *id = json_str(model, "id", NULL);

	free(STEAL(p->model));
	/* Without any that it has a key for, pi calls it unknown. */
	if (provider != NULL && id != NULL && strcmp(provider, "unknown") != 0)
		p->model = xasprintf("%.128s/%.128s", provider, id);
}

void
pi_models_are(struct pi *p, const struct json *models)
{
	autofree char *text = agent_json(models);

	json_free(STEAL(p->models));
	if (text == NULL || models->type != JSON_ARRAY ||
	    models->len > MODELS_MAX ||
	    json_parse(
		text, strlen(text), JSON_DEPTH_AGENT, &p->models, NULL) == -1)
		p->models = NULL;
	pi_tell_options(p);
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
choice(struct jw *w, const char *value, const char *name)
{
	jw_object(w);
	jw_kstr(w, "value", value);
	jw_kstr(w, "name", name);
	jw_object_end(w);
}

static void
write_models(struct jw *w, const struct pi *p)
{
	const char *current = p->model != NULL ? p->model : "default";

	option_begin(w, "model", "Model", current);
	if (model_find(p, current) == NULL)
		choice(w, current, p->model != NULL ? current : "Default");
	json_foreach (it, p->models) {
		autofree char *value = xasprintf("%.128s/%.128s",
		    json_str(it, "provider", ""), json_str(it, "id", ""));
		autofree char *name =
		    xasprintf("%.128s/%.128s", json_str(it, "provider", ""),
			json_str(it, "name", json_str(it, "id", "")));

		choice(w, value, name);
	}
	jw_array_end(w);
	jw_object_end(w);
}

/* Which levels a model has, as pi sees it: all but the highest, unless its map
 * says otherwise. */
static bool
has_level(const struct json *model, const char *level)
{
	const struct json *v = json_path(model, "thinkingLevelMap");

	v = json_get(v, level);
	if (v != NULL)
		return v->type != JSON_NULL;
	return strcmp(level, "xhigh") != 0;
}

static void
write_levels(struct jw *w, const struct pi *p)
{
	static const char *const names[] = { "Off", "Minimal", "Low", "Medium",
		"High", "Xhigh" };
	const struct json *model =
	    p->model != NULL ? model_find(p, p->model) : NULL;
	size_t i;

	if (!json_bool(model, "reasoning", false) || p->level[0] == '\0')
		return;
	option_begin(w, "thought_level", "Thought Level", p->level);
	for (i = 0; i < countof(levels); i++)
		if (has_level(model, levels[i]) ||
		    strcmp(levels[i], p->level) == 0)
			choice(w, levels[i], names[i]);
	jw_array_end(w);
	jw_object_end(w);
}

void
pi_tell_options(struct pi *p)
{
	struct buf b;
	struct jw w;

	if (p->models == NULL)
		return; /* its list comes first */
	buf_init(&b, OPTIONS_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	write_models(&w, p);
	write_levels(&w, p);
	jw_array_end(&w);
	if (!b.failed)
		agent_options(&p->a, b.data);
	buf_free(&b);
}

void
pi_commands_are(struct pi *p, const struct json *commands)
{
	struct buf b;
	struct jw w;

	if (commands == NULL || commands->type != JSON_ARRAY)
		return;
	buf_init(&b, OPTIONS_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	json_foreach (it, commands) {
		if (json_str(it, "name", NULL) == NULL)
			continue;
		jw_object(&w);
		jw_kstr(&w, "name", json_str(it, "name", ""));
		jw_kstr(&w, "description", json_str(it, "description", ""));
		jw_object_end(&w);
	}
	jw_array_end(&w);
	if (!b.failed)
		agent_commands(&p->a, b.data);
	buf_free(&b);
}
