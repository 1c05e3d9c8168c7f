/*
 * What a program that follows another would have to be told: who its clients
 * are (initialize, authenticate), which sessions they have, and what they have
 * set in these. Runs in the session worker. It is kept in the checkpoint, so it
 * is small: what is too long for it is not remembered.
 */
#include "session/acp/pass.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>

#define STATE_BYTES_MAX (11u << 10)

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* --- sessions ------------------------------------------------------------- */

struct pass_session *
pass_find(struct pass *p, const char *id)
{
	struct pass_session *s;

	TAILQ_FOREACH (s, &p->sessions, link)
		if (is(s->id, id))
			return s;
	return NULL;
}

struct pass_session *
pass_find_native(struct pass *p, const char *native)
{
	struct pass_session *s;

	TAILQ_FOREACH (s, &p->sessions, link)
		if (s->native != NULL && is(s->native, native))
			return s;
	return NULL;
}

static void
session_drop(struct pass *p, struct pass_session *s)
{
	unsigned i;

	if (s == NULL)
		return;
	TAILQ_REMOVE(&p->sessions, s, link);
	p->nsessions--;
	for (i = 0; i < s->nset; i++) {
		free(s->set[i].method);
		free(s->set[i].params);
	}
	free(s->id);
	free(s->native);
	free(s->former);
	free(s->params);
	free(s);
}

/* The oldest one that is not being restored makes room. */
static void
make_room(struct pass *p)
{
	struct pass_session *s;

	if (p->nsessions < PASS_SESSIONS_MAX)
		return;
	TAILQ_FOREACH (s, &p->sessions, link)
		if (s != p->restoring)
			break;
	session_drop(p, s);
}

static struct pass_session *
session_add(struct pass *p, const char *id, const char *params)
{
	struct pass_session *s = pass_find(p, id);

	if (s != NULL) {
		free(s->params);
		s->params = xstrdup(params);
		return s;
	}
	make_room(p);
	s = xcalloc(1, sizeof(*s));
	s->id = xstrdup(id);
	s->params = xstrdup(params);
	TAILQ_INSERT_TAIL(&p->sessions, s, link);
	p->nsessions++;
	return s;
}

/* --- settings ------------------------------------------------------------- */

/* Two settings of one thing: the later counts. */
static bool
same_setting(
    const struct pass_setting *a, const char *method, const struct json *params)
{
	struct json *j = NULL;
	bool same;

	if (!is(a->method, method))
		return false;
	if (json_parse(
		a->params, strlen(a->params), JSON_DEPTH_AGENT, &j, NULL) == -1)
		return false;
	same =
	    is(json_str(j, "configId", ""), json_str(params, "configId", ""));
	json_free(j);
	return same;
}

static void
setting_put(struct pass_session *s, const char *method, const char *params)
{
	if (s->nset == PASS_SETTINGS_MAX)
		return;
	s->set[s->nset].method = xstrdup(method);
	s->set[s->nset++].params = xstrdup(params);
}

static void
setting_add(struct pass *p, const char *method, const struct json *params)
{
	struct pass_session *s =
	    pass_find(p, json_str(params, "sessionId", ""));
	autofree char *text = pass_json(params);
	unsigned i;

	if (s == NULL || text == NULL || strlen(text) > PASS_TEXT_MAX / 4)
		return;
	for (i = 0; i < s->nset; i++)
		if (same_setting(&s->set[i], method, params))
			break;
	if (i < s->nset) {
		free(s->set[i].method);
		free(s->set[i].params);
		s->nset--;
		memmove(&s->set[i], &s->set[i + 1],
		    (s->nset - i) * sizeof(s->set[0]));
	}
	setting_put(s, method, text);
	acp_touch(p->b.door);
}

/* --- watching ------------------------------------------------------------- */

static void
keep(struct pass *p, char **dst, const struct json *params)
{
	char *text = pass_json(params);

	if (text != NULL && strlen(text) > PASS_TEXT_MAX) {
		free(text);
		text = NULL;
	}
	free(*dst);
	*dst = text;
	acp_touch(p->b.door);
}

static void
open_drop(struct pass *p, unsigned i)
{
	struct pass_open *o = &p->opens[i];

	free(o->id);
	free(o->params);
	free(o->session);
	p->opens[i] = p->opens[--p->nopens];
}

/* Without what is too long to be remembered. */
static char *
short_params(const struct json *params)
{
	struct buf b;
	struct jw w;

	buf_init(&b, PASS_TEXT_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "cwd", json_str(params, "cwd", "/"));
	jw_key(&w, "mcpServers");
	jw_array(&w);
	jw_array_end(&w);
	jw_object_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : xstrdup("{}");
}

static void
open_add(struct pass *p, const struct json *env, bool named, bool hello)
{
	const struct json *params = json_get(env, "params");
	struct pass_open o = { .hello = hello };

	o.id = pass_json(json_get(env, "id"));
	o.params = pass_json(params);
	if (named)
		o.session = xstrdup(json_str(params, "sessionId", ""));
	if (p->nopens == PASS_OPENS_MAX)
		open_drop(p, 0);
	if (o.params == NULL || strlen(o.params) > PASS_TEXT_MAX) {
		free(o.params);
		o.params = short_params(params);
	}
	p->opens[p->nopens++] = o;
}

void
pass_watch(struct pass *p, const struct json *env)
{
	const char *method = json_str(env, "method", "");
	const struct json *params = json_get(env, "params");

	if (json_get(env, "id") == NULL || params == NULL ||
	    params->type != JSON_OBJECT)
		return;
	if (is(method, "initialize")) {
		keep(p, &p->hello, params);
		open_add(p, env, false, true);
	} else if (is(method, "authenticate")) {
		keep(p, &p->key, params);
	} else if (is(method, "session/new") || is(method, "session/fork")) {
		open_add(p, env, false, false);
	} else if (is(method, "session/load") || is(method, "session/resume")) {
		open_add(p, env, true, false);
	} else if (is(method, "session/set_mode") ||
		   is(method, "session/set_model") ||
		   is(method, "session/set_config_option")) {
		setting_add(p, method, params);
	} else if (is(method, "session/close") ||
		   is(method, "session/delete")) {
		session_drop(
		    p, pass_find(p, json_str(params, "sessionId", "")));
		acp_touch(p->b.door);
	}
}

static bool
has(const struct json *object, const char *key)
{
	const struct json *v = json_get(object, key);

	return v != NULL &&
	       (v->type == JSON_OBJECT || (v->type == JSON_BOOL && v->b));
}

void
pass_capabilities(struct pass *p, const struct json *result)
{
	const struct json *can = json_get(result, "agentCapabilities");

	p->can_load = json_bool(can, "loadSession", false);
	p->can_resume = has(json_get(can, "sessionCapabilities"), "resume");
	p->greeted = true;
}

/* A program may give a new session the name that clients know another by,
 * which the program before had given. The caller's. */
static char *
free_name(struct pass *p, const char *id)
{
	char *name = xstrdup(id);
	unsigned n;

	for (n = 2; pass_find(p, name) != NULL; n++) {
		free(name);
		name = xasprintf("%s~%u", id, n);
	}
	return name;
}

static void
opened(struct pass *p, const struct pass_open *o, const struct json *result)
{
	const char *id = o->session != NULL
			     ? o->session
			     : json_str(result, "sessionId", NULL);
	autofree char *name = NULL;
	struct pass_session *s;

	if (id == NULL || *id == '\0' || strlen(id) > NAME_BYTES_MAX)
		return;
	s = pass_find_native(p, id);
	name = o->session != NULL || s != NULL ? xstrdup(id) : free_name(p, id);
	s = session_add(p, name, o->params != NULL ? o->params : "{}");
	if (s->native == NULL)
		s->native = xstrdup(id);
	acp_touch(p->b.door);
}

void
pass_watch_response(struct pass *p, const struct json *env)
{
	const struct json *result = json_get(env, "result");
	autofree char *id = pass_json(json_get(env, "id"));
	unsigned i;

	for (i = 0; i < p->nopens && id != NULL; i++)
		if (p->opens[i].id != NULL && is(p->opens[i].id, id))
			break;
	if (id == NULL || i == p->nopens)
		return;
	if (result != NULL && p->opens[i].hello)
		pass_capabilities(p, result);
	else if (result != NULL)
		opened(p, &p->opens[i], result);
	open_drop(p, i);
}

/* --- the checkpoint ------------------------------------------------------- */

/* {"hello":{…},"key":{…},"sessions":[[id,{params},lost,[[method,{…}],…]],…]} */
static void
session_write(const struct pass_session *s, struct jw *w)
{
	unsigned i;

	jw_array(w);
	jw_str(w, s->id);
	jw_raw(w, s->params, strlen(s->params));
	/* Nobody has told the former program either. */
	jw_bool(w, s->lost);
	jw_array(w);
	for (i = 0; i < s->nset; i++) {
		jw_array(w);
		jw_str(w, s->set[i].method);
		jw_raw(w, s->set[i].params, strlen(s->set[i].params));
		jw_array_end(w);
	}
	jw_array_end(w);
	/* By what name a program knew it last: another finds it by that. */
	jw_str(w, s->native != NULL   ? s->native
		  : s->former != NULL ? s->former
				      : s->id);
	jw_array_end(w);
}

static size_t
session_bytes(const struct pass_session *s)
{
	size_t n = 2 * strlen(s->id) + strlen(s->params) + 64;
	unsigned i;

	for (i = 0; i < s->nset; i++)
		n += strlen(s->set[i].method) + strlen(s->set[i].params) + 8;
	return n;
}

void
pass_state_write(const struct pass *p, struct jw *w)
{
	const struct pass_session *s;
	size_t n = 256;

	if (p->hello != NULL) {
		jw_key(w, "hello");
		jw_raw(w, p->hello, strlen(p->hello));
		n += strlen(p->hello);
	}
	if (p->key != NULL) {
		jw_key(w, "key");
		jw_raw(w, p->key, strlen(p->key));
		n += strlen(p->key);
	}
	jw_key(w, "sessions");
	jw_array(w);
	TAILQ_FOREACH_REVERSE(s, &p->sessions, pass_sessions, link)
	{
		n += session_bytes(s);
		if (n > STATE_BYTES_MAX)
			break;
		session_write(s, w);
	}
	jw_array_end(w);
}

/* Of a checkpoint it may be anything. NULL: no parameters. */
static char *
params_read(const struct json *v)
{
	return v != NULL && v->type == JSON_OBJECT ? pass_json(v) : NULL;
}

static void
session_read(struct pass *p, const struct json *v)
{
	const struct json *id = v->type == JSON_ARRAY ? v->child : NULL;
	const struct json *params = id != NULL ? id->next : NULL;
	const struct json *lost = params != NULL ? params->next : NULL;
	const struct json *set = lost != NULL ? lost->next : NULL;
	const struct json *native = set != NULL ? set->next : NULL;
	autofree char *text = params_read(params);
	struct pass_session *s;

	if (native == NULL || id->type != JSON_STRING || text == NULL ||
	    native->type != JSON_STRING)
		return;
	if (pass_find(p, id->str) != NULL)
		return;
	s = session_add(p, id->str, text);
	s->former = xstrdup(native->str);
	s->lost = lost->type == JSON_BOOL && lost->b;
	json_foreach (it, set) {
		const struct json *method =
		    it->type == JSON_ARRAY ? it->child : NULL;
		autofree char *words =
		    method != NULL ? params_read(method->next) : NULL;

		if (words != NULL && method->type == JSON_STRING)
			setting_put(s, method->str, words);
	}
	/* They were written newest first. */
	TAILQ_REMOVE(&p->sessions, s, link);
	TAILQ_INSERT_HEAD(&p->sessions, s, link);
}

void
pass_state_read(struct pass *p, const struct json *c)
{
	TAILQ_INIT(&p->sessions);
	if (c == NULL)
		return;
	p->hello = params_read(json_get(c, "hello"));
	p->key = params_read(json_get(c, "key"));
	json_foreach (it, json_get(c, "sessions"))
		session_read(p, it);
}

void
pass_state_free(struct pass *p)
{
	unsigned i;

	while (p->sessions.tqh_last != NULL && !TAILQ_EMPTY(&p->sessions))
		session_drop(p, TAILQ_FIRST(&p->sessions));
	while (p->nopens > 0)
		open_drop(p, p->nopens - 1);
	for (i = 0; i < p->nasked; i++)
		free(p->asked[i]);
	p->nasked = 0;
	free(STEAL(p->hello));
	free(STEAL(p->key));
}
