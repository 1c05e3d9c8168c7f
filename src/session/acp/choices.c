/*
 * What a client may choose in a session: the agent's options (ACP's
 * configOptions), and the modes and models of them once more in the form that
 * older clients know. Runs in the session worker.
 *
 * The options are those of the agent's definition until the agent has told its
 * own. Which value is current stands in their text, and nowhere else.
 */
#include "session/acp/serve.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/conf.h"
#include <string.h>

#define OPTIONS_BYTES_MAX (256u << 10)

static struct json *
parse(const char *text)
{
	struct json *j = NULL;

	if (text == NULL ||
	    json_parse(text, strlen(text), JSON_DEPTH_AGENT, &j, NULL) == -1)
		return NULL;
	if (j->type != JSON_ARRAY) {
		json_free(j);
		return NULL;
	}
	return j;
}

static bool
member_is(const struct json *o, const char *key, const char *value)
{
	const char *s = json_str(o, key, NULL);

	return s != NULL && strcmp(s, value) == 0;
}

static const struct json *
of_category(const struct json *options, const char *category)
{
	json_foreach (o, options)
		if (member_is(o, "category", category))
			return o;
	return NULL;
}

/* Is VALUE among the option's values, or those of its groups? */
static bool
offers(const struct json *option, const char *value)
{
	json_foreach (v, json_get(option, "options")) {
		if (member_is(v, "value", value))
			return true;
		json_foreach (g, json_get(v, "options"))
			if (member_is(g, "value", value))
				return true;
	}
	return false;
}

/* The session's options, with VALUE current in those of CATEGORY. */
static void
make_current(struct serve_session *ss, const char *category, const char *value)
{
	struct json *options = parse(ss->options);
	struct buf b;
	struct jw w;

	if (options == NULL)
		return;
	buf_init(&b, OPTIONS_BYTES_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	json_foreach (o, options) {
		bool hit = member_is(o, "category", category);

		jw_object(&w);
		json_foreach (m, o)
			if (!hit || strcmp(m->key, "currentValue") != 0)
				jw_kvalue(&w, m->key, m);
		if (hit)
			jw_kstr(&w, "currentValue", value);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	if (!b.failed) {
		free(ss->options);
		ss->options = buf_steal(&b);
	}
	buf_free(&b);
	json_free(options);
}

/* What the session was created with, as far as the definition offers it: the
 * daemon's own words for modes are not the agent's. */
static void
init_one(struct serve_session *ss, const struct json *options,
    const char *category, const char *value, bool any)
{
	const struct json *o = of_category(options, category);

	if (o != NULL && value != NULL && *value != '\0' &&
	    (any || offers(o, value)))
		make_current(ss, category, value);
}

void
serve_choices_init(struct serve_session *ss)
{
	struct json *options = parse(ss->conf.options);

	if (options == NULL)
		return;
	conf_set(&ss->options, ss->conf.options);
	init_one(ss, options, "model", ss->conf.model, true);
	init_one(ss, options, "mode", ss->conf.permission_mode, false);
	init_one(ss, options, "thought_level", ss->conf.thought_level, false);
	json_free(options);
}

/* --- telling -------------------------------------------------------------- */

void
serve_config_options(struct serve_session *ss, struct jw *w)
{
	jw_key(w, "configOptions");
	if (ss->options != NULL)
		jw_raw(w, ss->options, strlen(ss->options));
	else
		jw_raw(w, "[]", 2);
}

static void
write_value(struct jw *w, const char *id_key, const struct json *v)
{
	jw_object(w);
	jw_kstr(w, id_key, json_str(v, "value", ""));
	jw_kstr(w, "name", json_str(v, "name", json_str(v, "value", "")));
	if (json_str(v, "description", NULL) != NULL)
		jw_kstr(w, "description", json_str(v, "description", NULL));
	jw_object_end(w);
}

/* The option of CATEGORY as {CURRENT_KEY, LIST_KEY: [{ID_KEY, name}]}. */
static void
write_state(struct jw *w, const struct json *options, const char *category,
    const char *key, const char *current_key, const char *list_key,
    const char *id_key)
{
	const struct json *o = of_category(options, category);

	if (o == NULL || json_str(o, "currentValue", NULL) == NULL)
		return;
	jw_key(w, key);
	jw_object(w);
	jw_kstr(w, current_key, json_str(o, "currentValue", ""));
	jw_key(w, list_key);
	jw_array(w);
	json_foreach (v, json_get(o, "options")) {
		if (json_str(v, "value", NULL) != NULL)
			write_value(w, id_key, v);
		json_foreach (g, json_get(v, "options"))
			write_value(w, id_key, g);
	}
	jw_array_end(w);
	jw_object_end(w);
}

void
serve_choices_write(struct serve_session *ss, struct jw *w)
{
	struct json *options = parse(ss->options);

	write_state(w, options, "mode", "modes", "currentModeId",
	    "availableModes", "id");
	write_state(w, options, "model", "models", "currentModelId",
	    "availableModels", "modelId");
	if (options != NULL && options->len > 0)
		serve_config_options(ss, w);
	json_free(options);
}

static void
tell_options(struct serve_session *ss)
{
	enc_update_json(&ss->out, "config_option_update", "configOptions",
	    ss->options != NULL ? ss->options : "[]");
}

static void
tell_mode(struct serve_session *ss, const char *mode)
{
	struct jw *w = enc_update(&ss->out, "current_mode_update");

	jw_kstr(w, "currentModeId", mode);
	enc_update_end(&ss->out);
}

/* --- changes -------------------------------------------------------------- */

void
serve_choices_told(struct serve_session *ss, const char *json)
{
	struct json *options;

	if (ss->options != NULL && strcmp(ss->options, json) == 0)
		return;
	options = strlen(json) <= OPTIONS_BYTES_MAX ? parse(json) : NULL;
	if (options == NULL)
		return;
	json_free(options);
	conf_set(&ss->options, json);
	if (ss->known && !ss->choosing)
		tell_options(ss);
}

bool
serve_choice_category(
    struct serve_session *ss, const char *id, char category[32])
{
	struct json *options = parse(ss->options);
	const char *found = NULL;
	bool ok = false;

	json_foreach (o, options)
		if (member_is(o, "id", id))
			found = json_str(o, "category", NULL);
	/* The ids that everybody gives them, also for an agent whose options
	 * are not known. */
	if (found == NULL && options == NULL)
		found = id;
	if (found != NULL)
		ok = str_copy(category, 32, found) == 0;
	json_free(options);
	return ok;
}

int
serve_choose(struct serve_session *ss, const char *category, const char *value,
    struct err *e)
{
	struct agent_conf *c = &ss->conf;
	struct agent_settings set = { 0 };
	char **member;
	int rc;

	if (strcmp(category, "model") == 0) {
		set.model = value;
		member = &c->model;
	} else if (strcmp(category, "mode") == 0) {
		set.permission_mode = value;
		member = &c->permission_mode;
	} else if (strcmp(category, "thought_level") == 0) {
		set.thought_level = value;
		member = &c->thought_level;
	} else {
		return err_set(
		    e, ERR_BAD_REQUEST, "this option cannot be changed");
	}
	if (serve_session_open(ss, e) == -1)
		return -1;
	ss->choosing = true;
	rc = ss->agent->ops->configure(ss->agent, &set, e);
	ss->choosing = false;
	if (rc == -1)
		return -1;
	conf_set(member, value);
	make_current(ss, category, value);
	acp_touch(ss->sv->b.door);
	if (strcmp(category, "mode") == 0)
		tell_mode(ss, value);
	tell_options(ss);
	return 0;
}

void
serve_mode_changed(struct agent *a, const char *mode)
{
	struct serve_session *ss = a->host_data;
	struct json *options;
	bool known;

	if (strcmp(ss->conf.permission_mode, mode) == 0)
		return;
	conf_set(&ss->conf.permission_mode, mode);
	acp_touch(ss->sv->b.door);
	options = parse(ss->options);
	known = offers(of_category(options, "mode"), mode);
	json_free(options);
	if (!known)
		return;
	make_current(ss, "mode", mode);
	tell_mode(ss, mode);
	tell_options(ss);
}
