/*
 * What an ACP agent tells of its modes, models and other options, as it told it
 * and as it is told on. Runs in the session worker; the lists are hostile
 * input, bounded by the length of a line.
 *
 * Agents tell of the same thing in up to three ways: config options, modes, and
 * models. Where a config option of a category is there it is used.
 */
#include "session/agents/acp.h"

#include "lib/xalloc.h"
#include <string.h>

#define OPTIONS_BYTES_MAX (1u << 20)

static const char *const categories[SETTING_N] = { "model", "thought_level",
	"mode" };

static bool
same(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

const struct json *
acp_option_of(const struct acp *p, enum acp_setting s)
{
	json_foreach (it, p->config)
		if (same(json_str(it, "category", json_str(it, "id", NULL)),
			categories[s]) &&
		    json_str(it, "id", NULL) != NULL)
			return it;
	return NULL;
}

/* Is VALUE among the options, which may stand in groups? */
bool
acp_offers(const struct json *options, const char *value)
{
	json_foreach (it, options)
		if (same(json_str(it, "value", NULL), value) ||
		    acp_offers(json_get(it, "options"), value))
			return true;
	return false;
}

const struct json *
acp_listed(const struct json *list, const char *key, const char *id)
{
	json_foreach (it, list)
		if (same(json_str(it, key, NULL), id))
			return it;
	return NULL;
}

/* Pi's modes are thought levels. */
bool
acp_modes_are_levels(const struct acp *p)
{
	static const char *const levels[] = { "off", "minimal", "low", "medium",
		"high", "xhigh", "max" };
	const struct json *list = json_get(p->modes, "availableModes");
	size_t i;

	json_foreach (it, list) {
		for (i = 0; i < countof(levels); i++)
			if (same(json_str(it, "id", NULL), levels[i]))
				break;
		if (i == countof(levels))
			return false;
	}
	return list != NULL && list->child != NULL;
}

static void
write_listed(struct jw *w, const struct json *list, const char *key,
    const char *id, const char *name, const char *category, const char *current)
{
	jw_object(w);
	jw_kstr(w, "id", id);
	jw_kstr(w, "name", name);
	jw_kstr(w, "category", category);
	jw_kstr(w, "type", "select");
	jw_kstr(w, "currentValue", current);
	jw_key(w, "options");
	jw_array(w);
	json_foreach (it, list) {
		const char *value = json_str(it, key, NULL);

		if (value == NULL)
			continue;
		jw_object(w);
		jw_kstr(w, "value", value);
		jw_kstr(w, "name", json_str(it, "name", value));
		if (json_str(it, "description", NULL) != NULL)
			jw_kstr(w, "description",
			    json_str(it, "description", NULL));
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_object_end(w);
}

static void
write_option(struct jw *w, const struct json *option, const char *current)
{
	jw_object(w);
	json_foreach (v, option)
		if (current == NULL || strcmp(v->key, "currentValue") != 0)
			jw_kvalue(w, v->key, v);
	if (current != NULL)
		jw_kstr(w, "currentValue", current);
	jw_object_end(w);
}

/* Its value as it was set or told last; NULL: as it says. */
static const char *
now_of(const struct acp *p, const struct json *option)
{
	int i;

	for (i = 0; i < SETTING_N; i++)
		if (acp_option_of(p, (enum acp_setting)i) == option)
			return p->now[i];
	return NULL;
}

void
acp_tell_options(struct acp *p)
{
	const struct json *modes = json_get(p->modes, "availableModes");
	const struct json *models = json_get(p->models, "availableModels");
	bool levels = acp_modes_are_levels(p);
	struct buf b;
	struct jw w;

	buf_init(&b, OPTIONS_BYTES_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	json_foreach (it, p->config)
		if (it->type == JSON_OBJECT)
			write_option(&w, it, now_of(p, it));
	if (acp_option_of(p, SETTING_MODEL) == NULL && models != NULL)
		write_listed(&w, models, "modelId", "model", "Model", "model",
		    p->now[SETTING_MODEL]);
	if (levels && acp_option_of(p, SETTING_THOUGHT) == NULL)
		write_listed(&w, modes, "id", "thought_level", "Thought Level",
		    "thought_level", p->now[SETTING_THOUGHT]);
	else if (!levels && acp_option_of(p, SETTING_MODE) == NULL &&
		 modes != NULL)
		write_listed(&w, modes, "id", "mode", "Mode", "mode",
		    p->now[SETTING_MODE]);
	jw_array_end(&w);
	if (!b.failed)
		agent_options(&p->a, b.data);
	buf_free(&b);
}
