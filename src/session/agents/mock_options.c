/*
 * What can be set of the mock agent: a model, a mode, a thought level. It does
 * the same whatever they are. Runs in the session worker.
 */
#include "session/agents/mock.h"

#include "lib/xalloc.h"
#include <string.h>

/* The daemon's own words for modes, and those of the table below. */
static const char *const permission_modes[] = { "default", "acceptEdits",
	"plan", "bypass", "normal" };
static const char *const agent_modes[] = { "build", "plan", "normal" };
static const char *const thought_levels[] = { "low", "medium", "high" };

static bool
listed(const char *const *list, size_t n, const char *word)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(list[i], word) == 0)
			return true;
	return false;
}

#define LISTED(list, word) listed((list), countof(list), (word))

int
mock_settings_check(const struct agent_settings *set, struct err *e)
{
	const char *mode = set->permission_mode, *agent = set->agent_mode;
	const char *level = set->thought_level;

	if (mode != NULL && !LISTED(permission_modes, mode))
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "mock has no permission mode %s", mode);
	if (agent != NULL && !LISTED(agent_modes, agent))
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "mock has no agent mode %s", agent);
	if (level != NULL && !LISTED(thought_levels, level))
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "mock has no thought level %s", level);
	return 0;
}

static void
option(struct jw *w, const char *id, const char *name, const char *current,
    const char *const *values)
{
	jw_object(w);
	jw_kstr(w, "id", id);
	jw_kstr(w, "name", name);
	jw_kstr(w, "category", id);
	jw_kstr(w, "type", "select");
	jw_kstr(w, "currentValue", current);
	jw_key(w, "options");
	jw_array(w);
	for (; *values != NULL; values += 2) {
		jw_object(w);
		jw_kstr(w, "value", values[0]);
		jw_kstr(w, "name", values[1]);
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_object_end(w);
}

void
mock_tell_options(struct mock *m, const struct agent_settings *set)
{
	static const char *const models[] = { "mock", "Mock", "mock-fast",
		"Mock Fast", NULL };
	static const char *const modes[] = { "normal", "Normal", "plan", "Plan",
		NULL };
	static const char *const levels[] = { "low", "Low", "medium", "Medium",
		"high", "High", NULL };
	const struct agent_conf *c = m->a.conf;
	const char *model = set->model != NULL ? set->model : c->model;
	const char *mode = set->permission_mode != NULL ? set->permission_mode
							: c->permission_mode;
	const char *level =
	    set->thought_level != NULL ? set->thought_level : c->thought_level;
	struct buf b;
	struct jw w;

	buf_init(&b, 16u << 10);
	jw_init(&w, &b);
	jw_array(&w);
	option(&w, "model", "Model", model != NULL ? model : "mock", models);
	option(&w, "mode", "Mode", strcmp(mode, "plan") == 0 ? mode : "normal",
	    modes);
	option(&w, "thought_level", "Thought Level",
	    level != NULL ? level : "low", levels);
	jw_array_end(&w);
	if (!b.failed)
		agent_options(&m->a, b.data);
	buf_free(&b);
}
