/*
 * The operations about agents. Runs in the supervisor. Definitions are ours;
 * what an agent tells of itself is read from its probe's record by who wants to
 * know, not here.
 */
#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/courier.h"
#include "supervisor/ops.h"
#include "supervisor/sandboxes.h"
#include "supervisor/sessions.h"

#include <string.h>

/* The agent that the request names, or NULL and R has ended. */
static struct agent_def *
op_agent(struct request *r)
{
	const char *id = json_str(r->op.args, "id", "");
	struct agent_def *a = agent_find(r->s, id);
	struct err e;

	if (a != NULL)
		return a;
	err_set(&e, ERR_AGENT_UNKNOWN, "no such agent: %s", id);
	request_end_err(r, &e);
	return NULL;
}

static bool
is_builtin(const struct agent_def *a)
{
	return strcmp(a->protocol, "mock") == 0;
}

/* --- agent.list ---------------------------------------------------------- */

static void
write_words(struct jw *w, const char *key, char *const *v, const char *def)
{
	jw_key(w, key);
	jw_array(w);
	if (v == NULL && def != NULL)
		jw_str(w, def);
	for (; v != NULL && *v != NULL; v++)
		jw_str(w, *v);
	jw_array_end(w);
}

/* What is on this host of it. */
static void
write_installed(const struct super *s, const struct agent_def *a, struct jw *w)
{
	autofree char *path = agent_program(s, a);
	autofree char *version = agent_version(s, a->id);

	jw_kbool(w, "installed", agent_installed(s, a));
	jw_kbool(w, "installable", a->install != NULL);
	/* One whose program can be asked what it is. */
	jw_kbool(w, "askable", path != NULL);
	jw_kstr(w, "program", a->program);
	jw_kstr(w, "path", path);
	jw_kstr(w, "version", is_builtin(a) ? "builtin" : version);
	jw_key(w, "versions");
	jw_array(w);
	agent_versions_write(s, a->id, w);
	jw_array_end(w);
}

/* Its ACP servers that have not ended. */
static void
write_servers(struct super *s, const struct agent_def *a, struct jw *w)
{
	int64_t n = 0, oldest = INT64_MAX;
	struct session *ss;

	LIST_FOREACH (ss, &s->sessions, link) {
		if (ss->kind != SK_ACP || ss->ended ||
		    strcmp(ss->agent->id, a->id) != 0)
			continue;
		n++;
		oldest = MIN(oldest, ss->created_at_ms);
	}
	jw_kint(w, "servers", n);
	if (n > 0)
		jw_kint(
		    w, "servers_uptime_ms", MAX(now_realtime_ms() - oldest, 0));
}

static void
write_agent(struct super *s, const struct agent_def *a, struct jw *w)
{
	jw_object(w);
	jw_kstr(w, "id", a->id);
	jw_kstr(w, "name", a->name);
	jw_kint(w, "rank", a->rank);
	jw_kbool(w, "hidden", a->hidden);
	jw_kstr(w, "protocol", a->protocol);
	write_installed(s, a, w);
	write_words(w, "credentials", a->credentials, NULL);
	jw_kbool(w, "credentials_available", agent_has_credentials(s, a));
	jw_key(w, "credential_env");
	jw_array(w);
	agent_credential_names_write(a, w);
	jw_array_end(w);
	write_words(w, "pass_env", a->pass_env, NULL);
	jw_key(w, "capabilities");
	jw_raw(w, a->capabilities, strlen(a->capabilities));
	jw_key(w, "options");
	jw_raw(w, a->options, strlen(a->options));
	write_words(w, "permission_modes", a->permission_modes, "default");
	write_words(w, "agent_modes", a->agent_modes, "build");
	write_servers(s, a, w);
	jw_object_end(w);
}

void
op_agent_list(struct request *r)
{
	const struct agents *as = r->s->agents;
	bool all = json_bool(r->op.args, "all", false);
	struct agent_def *only = NULL;
	struct jw *w;

	if (json_get(r->op.args, "id") != NULL && (only = op_agent(r)) == NULL)
		return;
	w = request_ok(r);
	jw_object(w);
	jw_key(w, "agents");
	jw_array(w);
	for (size_t i = 0; i < as->n; i++) {
		if (only != NULL ? as->v[i] == only : all || !as->v[i]->hidden)
			write_agent(r->s, as->v[i], w);
	}
	jw_array_end(w);
	jw_object_end(w);
	request_end_ok(r);
}

/* --- agent.reload -------------------------------------------------------- */

/* As many of them as an answer holds, on one line; the log has them all. */
static void
mistakes_tell(const struct buf *mistakes, struct err *e)
{
	char text[ERR_TEXT_MAX - 16];
	size_t whole = mistakes->len - 1; /* without the last newline */
	size_t n = whole;

	if (n >= sizeof(text)) {
		n = sizeof(text) - 1;
		while (n > 0 && mistakes->data[n] != '\n')
			n--;
		if (n == 0) /* one long line */
			n = sizeof(text) - 1;
	}
	memcpy(text, mistakes->data, n);
	text[n] = '\0';
	for (char *p = text; (p = strchr(p, '\n')) != NULL;)
		*p = ';';
	err_set(
	    e, ERR_BAD_REQUEST, "%s%s", text, n < whole ? "; and more" : "");
}

void
op_agent_reload(struct request *r)
{
	struct buf mistakes;
	struct err e;
	struct jw *w;

	buf_init(&mistakes, AGENT_MISTAKES_MAX);
	if (agents_reload(r->s, &mistakes) == -1) {
		log_error("agents", "definitions not reloaded",
		    LOG_STR("mistakes", mistakes.data));
		mistakes_tell(&mistakes, &e);
		request_end_err(r, &e);
	} else {
		w = request_ok(r);
		jw_object(w);
		jw_kint(w, "agents", (int64_t)r->s->agents->n);
		jw_object_end(w);
		request_end_ok(r);
	}
	buf_free(&mistakes);
}

/* --- agent.probe --------------------------------------------------------- */

static void on_probe_gone(void *ctx, const struct err *e);

static struct json *
probe_args(const char *agent)
{
	autofree char *text = xasprintf(
	    "{\"id\":\"probe:%s\",\"kind\":\"probe\",\"agent\":\"%s\","
	    "\"idempotency_key\":\"probe\",\"request_hash\":\"\"}",
	    agent, agent);
	struct json *args;

	/* An agent's id is made of letters that need no escape. */
	return json_parse(text, strlen(text), 4, &args, NULL) == 0 ? args
								   : NULL;
}

/* A probe that is under way is asked with others; one that is over is made
 * anew. */
static void
probe(struct request *r, const char *agent)
{
	autofree char *id = xasprintf("probe:%s", agent);
	struct session *ss = session_find(r->s, id);
	struct json *args;
	struct err e;

	if (session_when_gone(r->s, id, on_probe_gone, r) ||
	    sandbox_when_gone(r->s, "default", on_probe_gone, r))
		return;
	if (ss != NULL && ss->creating == NULL) {
		session_delete(ss, on_probe_gone, r);
		return;
	}
	args = probe_args(agent);
	if (session_create_for(r, args, &e) == -1)
		request_end_err(r, &e);
	json_free(args);
}

static void
on_probe_gone(void *ctx, const struct err *e ATTR_UNUSED)
{
	struct request *r = ctx;

	if (r->s->stopping) {
		struct err stopping;

		err_set(
		    &stopping, ERR_SHUTTING_DOWN, "the supervisor is stopping");
		request_end_err(r, &stopping);
		return;
	}
	probe(r, json_str(r->op.args, "id", ""));
}

void
op_agent_probe(struct request *r)
{
	struct agent_def *a = op_agent(r);

	if (a != NULL)
		probe(r, a->id);
}

/* --- agent.install ------------------------------------------------------- */

static void
answer_installed(
    struct request *r, const struct courier_installed *done, bool builtin)
{
	struct jw *w = request_ok(r);

	jw_object(w);
	jw_kstr(w, "id", json_str(r->op.args, "id", ""));
	jw_kstr(w, "version", done->version);
	jw_kstr(w, "path", done->path);
	jw_kbool(w, "already", done->already);
	jw_kbool(w, "builtin", builtin);
	jw_kint(w, "bytes", done->bytes);
	jw_object_end(w);
	request_end_ok(r);
}

static void
on_installed(
    void *ctx, const struct courier_installed *done, const struct err *e)
{
	struct request *r = ctx;

	r->gone = NULL;
	r->work = NULL;
	if (done != NULL)
		answer_installed(r, done, false);
	else
		request_end_err(r, e);
}

static void
on_progress(void *ctx, const struct courier_progress *p)
{
	struct request *r = ctx;
	struct jw *w;

	if (!json_bool(r->op.args, "progress", false) ||
	    !request_takes_items(r))
		return;
	w = request_item(r);
	jw_object(w);
	jw_kstr(w, "stage", p->stage);
	jw_kstr(w, "what", p->what);
	jw_kint(w, "done", p->done);
	jw_kint(w, "total", p->total);
	jw_object_end(w);
	request_item_soon(r);
}

/* Whoever asked does not wait any more; what is under way goes on. */
static void
on_asker_gone(struct request *r)
{
	struct err e;

	courier_forget(r->work);
	r->gone = NULL;
	r->work = NULL;
	err_set(&e, ERR_SYSTEM, "who asked has gone");
	request_end_err(r, &e);
}

void
op_agent_install(struct request *r)
{
	struct agent_def *a = op_agent(r);
	const struct courier_installed there = {
		.version = "builtin", .path = "", .already = true
	};
	struct courier_order order;
	struct err e;

	if (a == NULL)
		return;
	if (is_builtin(a)) {
		answer_installed(r, &there, true);
		return;
	}
	if (a->install == NULL || r->s->courier == NULL) {
		err_set(&e, ERR_INSTALL_FAILED,
		    a->install == NULL ? "%s: its definition has no recipe"
				       : "%s: nothing can be installed here",
		    a->id);
		request_end_err(r, &e);
		return;
	}
	order = (struct courier_order){ .agent = a->id,
		.recipe = a->install,
		.version = json_str(r->op.args, "version", NULL),
		.reinstall = json_bool(r->op.args, "reinstall", false) };
	r->gone = on_asker_gone;
	r->work = courier_install(
	    r->s->courier, &order, on_progress, on_installed, r);
}
