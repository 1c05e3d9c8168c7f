/*
 * What can be set for Codex: permission modes, models, thought levels. Runs in
 * the session worker. All of it goes with each turn (codex_call.c), so that a
 * setting needs no talk with the process.
 *
 * Modes: the four universal ones and Codex's own three. As its own sandbox is
 * off, "auto" may do within our sandbox what "full-access" may; the difference
 * that remains is that servers of MCP are asked about. A plan is made by the
 * collaboration mode of that name, which only asks the model to change
 * nothing; so the adapter refuses changes of files meanwhile.
 */
#include "session/agents/codex.h"

#include "lib/strutil.h"
#include <string.h>

#define OPTIONS_MAX (256u << 10)
#define MODELS_MAX 128

static const struct codex_mode modes[] = {
	{ "read-only", "read-only", "Read Only", "untrusted", EDITS_ASK,
	    false },
	{ "auto", "auto", "Default", "on-request", EDITS_ASK, false },
	{ "full-access", "full-access", "Full Access", "never", EDITS_ACCEPT,
	    false },
	{ "acceptEdits", "acceptEdits", "Accept Edits", "untrusted",
	    EDITS_ACCEPT, false },
	{ "plan", "plan", "Plan", "untrusted", EDITS_REFUSE, true },
	{ "default", "read-only", NULL, "untrusted", EDITS_ASK, false },
	{ "bypass", "full-access", NULL, "never", EDITS_ACCEPT, false },
};

const struct codex_mode *
codex_mode_find(const char *word)
{
	size_t i;

	for (i = 0; word != NULL && i < countof(modes); i++)
		if (strcmp(modes[i].word, word) == 0)
			return &modes[i];
	return NULL;
}

const struct codex_mode *
codex_mode_of(const struct codex *c)
{
	const struct codex_mode *m =
	    codex_mode_find(c->a.conf->permission_mode);

	return m != NULL ? m : codex_mode_find("default");
}

bool
codex_plans(const struct codex *c)
{
	const char *mode = c->a.conf->agent_mode;

	return (mode != NULL && strcmp(mode, "plan") == 0) ||
	       codex_mode_of(c)->plan;
}

int
codex_check(const struct agent_settings *set, struct err *e)
{
	const char *mode = set->agent_mode;

	if (set->permission_mode != NULL &&
	    codex_mode_find(set->permission_mode) == NULL)
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "codex has no permission mode %s", set->permission_mode);
	if (mode != NULL && strcmp(mode, "build") != 0 &&
	    strcmp(mode, "plan") != 0)
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "codex has no agent mode %s", mode);
	if (set->model != NULL && !agent_word_ok(set->model))
		return err_set(e, ERR_BAD_REQUEST, "not a model's name");
	if (set->thought_level != NULL && !agent_word_ok(set->thought_level))
		return err_set(e, ERR_BAD_REQUEST, "not a thought level");
	return 0;
}

/* --- options ----------------------------------------------------------------
 */

static void
option_begin(struct jw *w, const char *id, const char *name, const char *value)
{
	jw_object(w);
	jw_kstr(w, "id", id);
	jw_kstr(w, "name", name);
	jw_kstr(w, "category", id);
	jw_kstr(w, "type", "select");
	jw_kstr(w, "currentValue", value);
	jw_key(w, "options");
	jw_array(w);
}

static void
option_end(struct jw *w)
{
	jw_array_end(w);
	jw_object_end(w);
}

static void
choice(struct jw *w, const char *value, const char *name, const char *about)
{
	jw_object(w);
	jw_kstr(w, "value", value);
	jw_kstr(w, "name", name);
	if (about != NULL && *about != '\0')
		jw_kstr(w, "description", about);
	jw_object_end(w);
}

/* The model of this name among those listed; NULL for the default one. */
static const struct json *
find_model(const struct codex *c, const char *name)
{
	unsigned i;

	for (i = 0; i < c->npages; i++)
		json_foreach (m, json_get(c->pages[i], "data"))
			if (name != NULL
				? strcmp(json_str(m, "id", ""), name) == 0
				: json_bool(m, "isDefault", false))
				return m;
	return NULL;
}

static void
write_models(const struct codex *c, struct jw *w, const char *model)
{
	unsigned i, n = 0;

	option_begin(w, "model", "Model", model);
	if (find_model(c, model) == NULL)
		choice(w, model, model, NULL);
	for (i = 0; i < c->npages; i++)
		json_foreach (m, json_get(c->pages[i], "data")) {
			const char *id = json_str(m, "id", NULL);

			if (id == NULL || n == MODELS_MAX ||
			    (json_bool(m, "hidden", false) &&
				strcmp(id, model) != 0))
				continue;
			n++;
			choice(w, id, json_str(m, "displayName", id),
			    json_str(m, "description", NULL));
		}
	option_end(w);
}

static void
write_modes(struct jw *w, const struct codex_mode *mode)
{
	size_t i;

	option_begin(w, "mode", "Mode", mode->native);
	for (i = 0; i < countof(modes); i++)
		if (modes[i].name != NULL)
			choice(w, modes[i].native, modes[i].name, NULL);
	option_end(w);
}

/* The first letter large, as the others are shown. */
static void
write_level(struct jw *w, const char *level, const char *about)
{
	char name[64];

	if (str_copy(name, sizeof(name), level) == -1)
		return;
	if (name[0] >= 'a' && name[0] <= 'z')
		name[0] = (char)(name[0] - 'a' + 'A');
	choice(w, level, name, about);
}

static void
write_levels(struct jw *w, const struct json *model, const char *level)
{
	static const char *const usual[] = { "low", "medium", "high", "xhigh" };
	const struct json *list = json_get(model, "supportedReasoningEfforts");
	bool listed = false;
	size_t i;

	option_begin(w, "thought_level", "Thought Level", level);
	json_foreach (it, list) {
		const char *word = json_str(it, "reasoningEffort", NULL);

		if (word == NULL)
			continue;
		listed |= strcmp(word, level) == 0;
		write_level(w, word, json_str(it, "description", NULL));
	}
	for (i = 0; list == NULL && i < countof(usual); i++) {
		listed |= strcmp(usual[i], level) == 0;
		write_level(w, usual[i], NULL);
	}
	if (!listed)
		write_level(w, level, NULL);
	option_end(w);
}

static const char *
first(const char *a, const char *b, const char *c, const char *d)
{
	return a != NULL ? a : b != NULL ? b : c != NULL ? c : d;
}

void
codex_tell_options(struct codex *c, const struct agent_settings *set)
{
	static const struct agent_settings none = { NULL, NULL, NULL, NULL };
	const struct agent_conf *conf = c->a.conf;
	const struct codex_mode *mode;
	const struct json *m;
	const char *model;
	struct buf b;
	struct jw w;

	if (c->npages == 0)
		return; /* it has not told; what the definition says holds */
	if (set == NULL)
		set = &none;
	model = first(set->model, conf->model, c->model,
	    json_str(find_model(c, NULL), "id", "default"));
	m = find_model(c, model);
	mode = codex_mode_find(
	    first(set->permission_mode, conf->permission_mode, NULL, NULL));
	buf_init(&b, OPTIONS_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	write_models(c, &w, model);
	write_modes(&w, mode != NULL ? mode : codex_mode_find("default"));
	write_levels(&w, m,
	    first(set->thought_level, conf->thought_level, c->effort,
		json_str(m, "defaultReasoningEffort", "medium")));
	jw_array_end(&w);
	if (!b.failed)
		agent_options(&c->a, b.data);
	buf_free(&b);
}

void
codex_models_free(struct codex *c)
{
	while (c->npages > 0)
		json_free(c->pages[--c->npages]);
}
