/*
 * Modes, models and other options of an ACP agent as the session wishes them.
 * Runs in the session worker. Modes have names of the agent's own; ours are
 * matched with the words that are common.
 *
 * Wishes are set one after the other, since a model may change what there is to
 * choose; the prompt waits until all are in force.
 */
#include "session/agents/acp.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>

static bool
same(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static void
replace(char **dst, const char *s)
{
	char *new = s != NULL ? xstrdup(s) : NULL;

	free(*dst);
	*dst = new;
}

static struct json *
copy(const struct json *v)
{
	autofree char *text = agent_json(v);
	struct json *j = NULL;

	if (text == NULL ||
	    json_parse(text, strlen(text), JSON_DEPTH_AGENT, &j, NULL) == -1)
		return NULL;
	return j;
}

/* --- what the agent told -------------------------------------------------- */

void
acp_settings_config(struct acp *p, const struct json *options)
{
	const struct json *it;
	int i;

	if (options == NULL || options->type != JSON_ARRAY)
		return;
	json_free(p->config);
	p->config = copy(options);
	for (i = 0; i < SETTING_MODE; i++) {
		it = acp_option_of(p, (enum acp_setting)i);
		if (it != NULL)
			replace(&p->now[i], json_str(it, "currentValue", NULL));
	}
	it = acp_option_of(p, SETTING_MODE);
	if (it != NULL)
		acp_settings_mode(p, json_str(it, "currentValue", NULL));
	acp_tell_options(p);
}

void
acp_settings_learn(struct acp *p, const struct json *result)
{
	const struct json *modes = json_get(result, "modes");
	const struct json *models = json_get(result, "models");

	json_free(p->modes);
	p->modes = copy(modes);
	json_free(p->models);
	p->models = copy(models);
	replace(
	    &p->now[acp_modes_are_levels(p) ? SETTING_THOUGHT : SETTING_MODE],
	    json_str(modes, "currentModeId", NULL));
	replace(
	    &p->now[SETTING_MODEL], json_str(models, "currentModelId", NULL));
	if (json_get(result, "configOptions") != NULL)
		acp_settings_config(p, json_get(result, "configOptions"));
	else
		acp_tell_options(p);
	replace(&p->first_mode, p->now[SETTING_MODE]);
}

/* --- modes ---------------------------------------------------------------- */

/* What agents call our modes, the likeliest first. */
static const struct {
	const char *ours, *theirs;
} mode_words[] = {
	{ "default", "default" },
	{ "acceptEdits", "acceptEdits" },
	{ "acceptEdits", "autoEdit" },
	{ "acceptEdits", "auto_edit" },
	{ "acceptEdits", "workspace-write" },
	{ "acceptEdits", "auto" },
	{ "bypass", "bypass" },
	{ "bypass", "bypassPermissions" },
	{ "bypass", "full-access" },
	{ "bypass", "agent-full-access" },
	{ "bypass", "yolo" },
	{ "plan", "plan" },
	{ "plan", "read-only" },
};

static bool
has_mode(const struct acp *p, const char *mode)
{
	const struct json *option = acp_option_of(p, SETTING_MODE);

	if (option != NULL)
		return acp_offers(json_get(option, "options"), mode);
	return !acp_modes_are_levels(p) &&
	       acp_listed(json_get(p->modes, "availableModes"), "id", mode) !=
		   NULL;
}

/* The agent's own word for OURS, or NULL. */
static const char *
native_mode(const struct acp *p, const char *ours)
{
	size_t i;

	if (has_mode(p, ours))
		return ours;
	for (i = 0; i < countof(mode_words); i++)
		if (strcmp(mode_words[i].ours, ours) == 0 &&
		    has_mode(p, mode_words[i].theirs))
			return mode_words[i].theirs;
	return NULL;
}

/* The mode of a session without a wish of its own. */
static const char *
neutral_mode(const struct acp *p, const char *agent_mode)
{
	if (has_mode(p, agent_mode))
		return agent_mode;
	return has_mode(p, "default") ? "default" : p->first_mode;
}

/* Which mode is to be set for these wishes: *OUT, NULL for none. */
static int
mode_for(struct acp *p, const char *permission, const char *agent_mode,
    const char **out, struct err *e)
{
	bool plain = strcmp(permission, "default") == 0;
	bool build = strcmp(agent_mode, "build") == 0;

	*out = NULL;
	if (!plain)
		*out = native_mode(p, permission);
	if (!plain && *out == NULL && strcmp(permission, "bypass") != 0 &&
	    strcmp(permission, "acceptEdits") != 0)
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "the agent has no permission mode %s", permission);
	/* For the two others we answer in the user's place. */
	if (*out != NULL)
		return 0;
	if (!build) {
		*out = native_mode(p, agent_mode);
		if (*out == NULL)
			return err_set(e, ERR_MODE_NOT_SUPPORTED,
			    "the agent has no mode %s", agent_mode);
	} else if (p->mode_chosen) {
		*out = neutral_mode(p, agent_mode);
	}
	return 0;
}

void
acp_settings_mode(struct acp *p, const char *mode)
{
	if (mode == NULL || strlen(mode) >= ACP_ID_MAX ||
	    same(mode, p->now[SETTING_MODE]))
		return;
	replace(
	    &p->now[acp_modes_are_levels(p) ? SETTING_THOUGHT : SETTING_MODE],
	    mode);
	if (p->stage != ACP_READY || p->probing)
		return;
	acp_tell_options(p);
	/* Agents that build or plan have these for modes, and not what is
	 * permitted; and what was wished for is no news. */
	if (p->step_sent || has_mode(p, "build") || acp_modes_are_levels(p))
		return;
	if (strcmp(mode, "bypassPermissions") == 0)
		mode = "bypass";
	replace(&p->want_permission, mode);
	agent_mode_changed(&p->a, mode);
}

/* --- setting -------------------------------------------------------------- */

static int
send_option(struct acp *p, const char *option, const char *value, struct err *e)
{
	struct buf b;
	struct jw w;

	acp_begin(p, &w, &b, "session/set_config_option", true);
	jw_kstr(&w, "sessionId", p->session);
	jw_kstr(&w, "configId", option);
	jw_kstr(&w, "value", value);
	replace(&p->setting, value);
	return acp_send(p, &w, &b, CALL_SETTING, e);
}

static int
send_other(struct acp *p, const char *method, const char *key,
    const char *value, struct err *e)
{
	struct buf b;
	struct jw w;

	acp_begin(p, &w, &b, method, true);
	jw_kstr(&w, "sessionId", p->session);
	jw_kstr(&w, key, value);
	replace(&p->setting, value);
	return acp_send(p, &w, &b, CALL_SETTING, e);
}

/* Set a model or thought level: 1 when it was sent, 0 when it is in force. */
static int
set_value(struct acp *p, enum acp_setting s, const char *value, struct err *e)
{
	const struct json *option = acp_option_of(p, s);
	int rc;

	if (same(p->now[s], value))
		return 0;
	if (option != NULL && acp_offers(json_get(option, "options"), value))
		rc = send_option(p, json_str(option, "id", ""), value, e);
	else if (option == NULL && s == SETTING_MODEL &&
		 acp_listed(json_get(p->models, "availableModels"), "modelId",
		     value) != NULL)
		rc = send_other(p, "session/set_model", "modelId", value, e);
	else if (option == NULL && s == SETTING_THOUGHT &&
		 acp_modes_are_levels(p) &&
		 acp_listed(
		     json_get(p->modes, "availableModes"), "id", value) != NULL)
		rc = send_other(p, "session/set_mode", "modeId", value, e);
	else
		return err_set(e, ERR_BAD_REQUEST, "the agent has no %s %s",
		    s == SETTING_MODEL ? "model" : "thought level", value);
	return rc == -1 ? -1 : 1;
}

static int
set_mode(struct acp *p, struct err *e)
{
	const char *mode;

	if (mode_for(p, p->want_permission, p->want[SETTING_MODE], &mode, e) ==
	    -1)
		return -1;
	p->allow_all = strcmp(p->want_permission, "bypass") == 0 &&
		       native_mode(p, "bypass") == NULL;
	p->allow_edits = strcmp(p->want_permission, "acceptEdits") == 0 &&
			 native_mode(p, "acceptEdits") == NULL;
	if (mode == NULL || same(mode, p->now[SETTING_MODE]))
		return 0;
	if (json_get(p->modes, "availableModes") != NULL &&
	    !acp_modes_are_levels(p))
		return send_other(p, "session/set_mode", "modeId", mode, e) ==
			       -1
			   ? -1
			   : 1;
	return send_option(p,
		   json_str(acp_option_of(p, SETTING_MODE), "id", ""), mode,
		   e) == -1
		   ? -1
		   : 1;
}

static int
take_step(struct acp *p, struct err *e)
{
	if (p->step == SETTING_MODE)
		return set_mode(p, e);
	if (p->want[p->step] == NULL)
		return 0;
	return set_value(p, p->step, p->want[p->step], e);
}

/* The wish cannot be had. A turn that waits for it fails; it is tried again
 * with the next, lest that runs with something else than was wished. */
static void
refused(struct acp *p, enum origin from, const char *code, const char *text)
{
	p->step = 0;
	p->step_sent = p->step_again = false;
	if (!acp_fail_held(p, from, code, text))
		uni_error(p->a.out, from, code, text, NULL);
}

bool
acp_settings_done(struct acp *p)
{
	struct err e;
	int rc;

	if (p->step_sent)
		return false;
	while (p->step < SETTING_N) {
		rc = take_step(p, &e);
		if (rc == 1) {
			p->step_sent = true;
			return false;
		}
		if (rc == -1) {
			refused(p, FROM_DAEMON, err_wire(e.code), e.text);
			return false;
		}
		p->step++;
	}
	return true;
}

void
acp_setting_answered(
    struct acp *p, const struct json *result, const struct json *error)
{
	autofree char *say = NULL, *why = NULL;

	if (!p->step_sent)
		return;
	if (error != NULL) {
		why = acp_error_text(error);
		say = xasprintf("the agent refuses the %s: %s",
		    p->step == SETTING_MODEL	 ? "model"
		    : p->step == SETTING_THOUGHT ? "thought level"
						 : "mode",
		    why);
		refused(p, FROM_AGENT, "setting_refused", say);
		return;
	}
	replace(&p->now[p->step], p->setting);
	acp_tell_options(p);
	acp_settings_config(p, json_get(result, "configOptions"));
	p->step_sent = false;
	p->step = p->step_again ? 0 : p->step + 1;
	p->step_again = false;
	acp_go_on(p);
}

/* --- wishes --------------------------------------------------------------- */

/* Can it be had, as far as is known? */
static int
check(struct acp *p, const struct agent_settings *set, struct err *e)
{
	const struct json *model = acp_option_of(p, SETTING_MODEL);
	const char *mode;

	if (set->model != NULL && !agent_word_ok(set->model))
		return err_set(e, ERR_BAD_REQUEST, "not a model's name");
	if (p->stage != ACP_READY)
		return 0; /* the first turn will tell */
	if (set->model != NULL &&
	    (model != NULL ? !acp_offers(json_get(model, "options"), set->model)
			   : acp_listed(json_get(p->models, "availableModels"),
				 "modelId", set->model) == NULL))
		return err_set(e, ERR_BAD_REQUEST, "the agent has no model %s",
		    set->model);
	if (set->thought_level != NULL && set->model == NULL &&
	    acp_option_of(p, SETTING_THOUGHT) != NULL &&
	    !acp_offers(json_get(acp_option_of(p, SETTING_THOUGHT), "options"),
		set->thought_level))
		return err_set(e, ERR_BAD_REQUEST,
		    "the agent has no thought level %s", set->thought_level);
	return mode_for(p,
	    set->permission_mode != NULL ? set->permission_mode
					 : p->want_permission,
	    set->agent_mode != NULL ? set->agent_mode : p->want[SETTING_MODE],
	    &mode, e);
}

int
acp_configure(struct agent *a, const struct agent_settings *set, struct err *e)
{
	struct acp *p = (struct acp *)a;

	if (check(p, set, e) == -1)
		return -1;
	if (set->model != NULL)
		replace(&p->want[SETTING_MODEL], set->model);
	if (set->thought_level != NULL)
		replace(&p->want[SETTING_THOUGHT], set->thought_level);
	if (set->agent_mode != NULL)
		replace(&p->want[SETTING_MODE], set->agent_mode);
	if (set->permission_mode != NULL)
		replace(&p->want_permission, set->permission_mode);
	if (set->agent_mode != NULL || set->permission_mode != NULL)
		p->mode_chosen = true;
	p->step_again = p->step_sent;
	if (!p->step_sent)
		p->step = 0;
	acp_go_on(p);
	return 0;
}

void
acp_settings_wish(struct acp *p)
{
	const struct agent_conf *conf = p->a.conf;

	replace(&p->want[SETTING_MODEL], conf->model);
	replace(&p->want[SETTING_THOUGHT], conf->thought_level);
	replace(&p->want[SETTING_MODE], conf->agent_mode);
	replace(&p->want_permission, conf->permission_mode);
}

void
acp_settings_drop(struct acp *p)
{
	size_t i;

	json_free(STEAL(p->config));
	json_free(STEAL(p->modes));
	json_free(STEAL(p->models));
	for (i = 0; i < countof(p->now); i++)
		free(STEAL(p->now[i]));
	free(STEAL(p->first_mode));
	free(STEAL(p->setting));
	p->step = 0;
	p->step_sent = p->step_again = false;
	p->allow_all = p->allow_edits = false;
}

void
acp_settings_free(struct acp *p)
{
	size_t i;

	acp_settings_drop(p);
	for (i = 0; i < countof(p->want); i++)
		free(STEAL(p->want[i]));
	free(STEAL(p->want_permission));
}
