/*
 * /v1/agents: which agents there are, and what each can do. Runs in
 * sandboxd-gateway. Definitions come from the supervisor; what an agent has
 * told of itself goes before what its definition says.
 *
 * All agents that have to be asked are asked at one time, and waited for only
 * so long: who does not answer is told of as its definition has it.
 */
#include "gateway/doors/agents.h"

#include "gateway/call.h"
#include "gateway/doors/acp.h"
#include "lib/frame.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <ctype.h>
#include <string.h>

#define ASK_S 15.0
#define ANSWER_MAX (4u << 20)
#define LIST_DEPTH (JSON_DEPTH_AGENT + 4)

struct look {
	struct req *r; /* held */
	/* Write the answer for the agents of LIST. */
	void (*write)(struct look *l, struct jw *w);
	bool ask, again;   /* the agents themselves; though they were before */
	struct json *list; /* owned: of agent.list */
	unsigned left;	   /* that have not answered yet */
	ev_timer timer;
};

/* --- finding out --------------------------------------------------------- */

static void
look_free(struct look *l)
{
	ev_timer_stop(l->r->gw->loop, &l->timer);
	json_free(l->list);
	req_release(l->r);
	free(l);
}

static void
look_answer(struct look *l)
{
	struct buf b;
	struct jw w;

	buf_init(&b, ANSWER_MAX);
	jw_init(&w, &b);
	l->write(l, &w);
	req_reply_json(l->r, 200, &b);
	look_free(l);
}

static void
on_asked(void *ctx)
{
	struct look *l = ctx;

	if (--l->left == 0)
		look_answer(l);
}

static void
on_timer(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct look *l = t->data;

	agent_ask_forget(on_asked, l);
	look_answer(l);
}

static const struct json *
agents_of(const struct look *l)
{
	return json_get(l->list, "agents");
}

static void
look_ask(struct look *l)
{
	l->left = 1; /* ours, so that nobody answers in the midst of it */
	json_foreach (agent, agents_of(l)) {
		if (!l->ask || !agent_must_ask(l->r->gw, agent, l->again))
			continue;
		l->left++;
		agent_ask(l->r->gw, agent, on_asked, l);
	}
	if (l->left > 1) {
		ev_timer_set(&l->timer, ASK_S, 0.);
		ev_timer_start(l->r->gw->loop, &l->timer);
	}
	on_asked(l);
}

/* The result is lent: keep a copy. */
static struct json *
copy_of(const struct json *v)
{
	struct json *j = NULL;
	struct buf b;
	struct jw w;

	buf_init(&b, 2 * FRAME_MAX);
	jw_init(&w, &b);
	jw_value(&w, v);
	if (b.failed || json_parse(b.data, b.len, LIST_DEPTH, &j, NULL) == -1)
		j = NULL;
	buf_free(&b);
	return j;
}

static void
on_list(void *ctx, const struct json *result, const struct err *e)
{
	struct look *l = ctx;

	if (result == NULL) {
		acp_fail(l->r, l->r->nparams > 0 ? l->r->params[0] : NULL, e);
		look_free(l);
		return;
	}
	l->list = copy_of(result);
	look_ask(l);
}

/* ID NULL: all. */
static void
look(struct req *r, const char *id, bool ask,
    void (*write)(struct look *l, struct jw *w))
{
	struct look *l;
	struct err e;
	struct buf b;
	struct jw w;

	if (id != NULL && (id[0] == '\0' || strlen(id) > ACP_AGENT_MAX)) {
		err_set(&e, ERR_AGENT_UNKNOWN, "no such agent");
		acp_fail(r, id, &e);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->r = r;
	l->write = write;
	l->ask = ask;
	l->again = req_query_bool(r, "no_cache", false);
	ev_timer_init(&l->timer, on_timer, ASK_S, 0.);
	l->timer.data = l;
	req_hold(r);
	buf_init(&b, 1024);
	jw_init(&w, &b);
	jw_object(&w);
	if (id != NULL)
		jw_kstr(&w, "id", id);
	if (id != NULL || req_query_bool(r, "all", false))
		jw_kbool(&w, "all", true);
	jw_object_end(&w);
	super_call(r->gw, "agent.list", &b, on_list, l);
	buf_free(&b);
}

/* --- one agent ----------------------------------------------------------- */

struct servers {
	const char *agent;
	int64_t since_ms; /* of the oldest; -1: there is none */
};

static void
on_server(void *ctx, const char *agent, int64_t created_ms)
{
	struct servers *s = ctx;

	if (strcmp(agent, s->agent) == 0 &&
	    (s->since_ms == -1 || created_ms < s->since_ms))
		s->since_ms = created_ms;
}

static void
status_write(struct look *l, struct jw *w, const char *id)
{
	struct servers s = { .agent = id, .since_ms = -1 };

	acp_each(l->r->gw, l->r->sandbox, on_server, &s);
	if (s.since_ms == -1)
		return;
	jw_key(w, "serverStatus");
	jw_object(w);
	jw_kstr(w, "status", "running");
	jw_kint(w, "uptimeMs", MAX(now_realtime_ms() - s.since_ms, 0));
	jw_object_end(w);
}

static void
agent_write(struct look *l, struct jw *w, const struct json *agent)
{
	const char *id = json_str(agent, "id", "");
	const char *path = json_str(agent, "path", NULL);
	struct agent_told told = { .record = NULL };

	if (path == NULL &&
	    strcmp(json_str(agent, "protocol", ""), "mock") == 0)
		path = "builtin";
	if (l->ask)
		agent_told_get(l->r->gw, agent, &told);
	jw_object(w);
	jw_kstr(w, "id", id);
	jw_kbool(w, "installed", json_bool(agent, "installed", false));
	jw_kbool(w, "credentialsAvailable",
	    json_bool(agent, "credentials_available", false));
	if (told.version != NULL)
		jw_kstr(w, "version", told.version);
	if (l->ask && path != NULL)
		jw_kstr(w, "path", path);
	jw_kvalue(w, "capabilities", json_get(agent, "capabilities"));
	status_write(l, w, id);
	if (l->ask)
		jw_kvalue(w, "configOptions",
		    told.options != NULL ? told.options
					 : json_get(agent, "options"));
	if (told.error != NULL)
		jw_kstr(w, "configError", told.error);
	jw_object_end(w);
	agent_told_free(&told);
}

static void
write_list(struct look *l, struct jw *w)
{
	jw_object(w);
	jw_key(w, "agents");
	jw_array(w);
	json_foreach (agent, agents_of(l))
		agent_write(l, w, agent);
	jw_array_end(w);
	jw_object_end(w);
}

static void
write_one(struct look *l, struct jw *w)
{
	json_foreach (agent, agents_of(l)) {
		agent_write(l, w, agent);
		break; /* there is one */
	}
}

void
route_agent_list(struct req *r)
{
	look(r, NULL, req_query_bool(r, "config", false), write_list);
}

void
route_agent_get(struct req *r)
{
	look(r, r->params[0], req_query_bool(r, "config", false), write_one);
}

/* --- modes --------------------------------------------------------------- */

/* The values of the options of CATEGORY. */
static const struct json *
option_of(const struct json *options, const char *category)
{
	json_foreach (o, options) {
		if (strcmp(json_str(o, "category", json_str(o, "id", "")),
			category) == 0)
			return o;
	}
	return NULL;
}

static const struct json *
choice_of(const struct json *option, const char *value)
{
	json_foreach (c, json_get(option, "options")) {
		if (strcmp(json_str(c, "value", ""), value) == 0)
			return c;
	}
	return NULL;
}

/* NAME NULL: the id, with a capital. */
static void
mode_write(struct jw *w, const char *id, const char *name, const char *help)
{
	char made[128];

	if (name == NULL && str_copy(made, sizeof(made), id) == 0) {
		made[0] = (char)toupper((unsigned char)made[0]);
		name = made;
	}
	jw_object(w);
	jw_kstr(w, "id", id);
	jw_kstr(w, "name", name != NULL ? name : id);
	jw_kstr(w, "description", help);
	jw_object_end(w);
}

static void
modes_write(struct look *l, struct jw *w, const struct json *agent)
{
	const struct json *modes = json_get(agent, "agent_modes");
	const struct json *option, *choice;
	struct agent_told told;
	bool any = false;

	agent_told_get(l->r->gw, agent, &told);
	option = option_of(
	    told.options != NULL ? told.options : json_get(agent, "options"),
	    "mode");
	jw_key(w, "modes");
	jw_array(w);
	json_foreach (m, modes) {
		if (m->type != JSON_STRING || strcmp(m->str, "*") == 0) {
			any = true;
			continue;
		}
		choice = choice_of(option, m->str);
		mode_write(w, m->str, json_str(choice, "name", NULL),
		    json_str(choice, "description", ""));
	}
	/* One that takes any has those that it tells. */
	json_foreach (c, any ? json_get(option, "options") : NULL)
		mode_write(w, json_str(c, "value", ""),
		    json_str(c, "name", NULL), json_str(c, "description", ""));
	if (modes == NULL || modes->len == 0)
		mode_write(w, "build", NULL, "");
	jw_array_end(w);
	agent_told_free(&told);
}

static void
write_modes(struct look *l, struct jw *w)
{
	jw_object(w);
	json_foreach (agent, agents_of(l)) {
		modes_write(l, w, agent);
		break; /* there is one */
	}
	jw_object_end(w);
}

void
route_agent_modes(struct req *r)
{
	look(r, r->params[0], true, write_modes);
}

/* --- models -------------------------------------------------------------- */

static void
models_write(struct look *l, struct jw *w, const struct json *agent)
{
	const struct json *option;
	struct agent_told told;

	agent_told_get(l->r->gw, agent, &told);
	option = option_of(
	    told.options != NULL ? told.options : json_get(agent, "options"),
	    "model");
	jw_key(w, "models");
	jw_array(w);
	json_foreach (c, json_get(option, "options")) {
		jw_object(w);
		jw_kstr(w, "id", json_str(c, "value", ""));
		if (json_str(c, "name", NULL) != NULL)
			jw_kstr(w, "name", json_str(c, "name", ""));
		jw_object_end(w);
	}
	jw_array_end(w);
	if (json_str(option, "currentValue", NULL) != NULL)
		jw_kstr(
		    w, "defaultModel", json_str(option, "currentValue", ""));
	agent_told_free(&told);
}

static void
write_models(struct look *l, struct jw *w)
{
	jw_object(w);
	json_foreach (agent, agents_of(l)) {
		models_write(l, w, agent);
		break; /* there is one */
	}
	jw_object_end(w);
}

void
route_agent_models(struct req *r)
{
	look(r, r->params[0], true, write_models);
}
