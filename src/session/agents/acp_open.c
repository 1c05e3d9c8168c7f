/*
 * From an ACP program that was just started to a session that can be prompted:
 * initialize, authenticate if it insists and a key is there, then the known
 * session again, or a new one. Runs in the session worker; the answers are
 * hostile input.
 *
 * A session that is loaded tells its whole history first. That is in our log
 * already and is not read (acp_read.c).
 */
#include "session/agents/acp.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/tools.h"
#include <string.h>

#ifndef PACKAGE_VERSION
#	define PACKAGE_VERSION "0.1.0"
#endif

#define AUTH_REQUIRED (-32000)

/* --- initialize ----------------------------------------------------------- */

/* Files and terminals are the agent's own affair: it runs where we run. Output
 * of commands as it comes (_meta.terminal_output) is not asked for: some agents
 * then never tell that a command has ended. */
static void
write_capabilities(struct jw *w)
{
	jw_key(w, "clientCapabilities");
	jw_object(w);
	jw_key(w, "fs");
	jw_object(w);
	jw_kbool(w, "readTextFile", false);
	jw_kbool(w, "writeTextFile", false);
	jw_object_end(w);
	jw_kbool(w, "terminal", false);
	jw_key(w, "elicitation");
	jw_object(w);
	jw_key(w, "form");
	jw_object(w);
	jw_object_end(w);
	jw_object_end(w);
	jw_object_end(w);
}

int
acp_hello(struct acp *p, struct err *e)
{
	struct buf b;
	struct jw w;

	acp_begin(p, &w, &b, "initialize", true);
	jw_kint(&w, "protocolVersion", 1);
	write_capabilities(&w);
	jw_key(&w, "clientInfo");
	jw_object(&w);
	jw_kstr(&w, "name", "sandboxd");
	jw_kstr(&w, "title", "sandboxd");
	jw_kstr(&w, "version", PACKAGE_VERSION);
	jw_object_end(&w);
	p->stage = ACP_HELLO;
	return acp_send(p, &w, &b, CALL_INITIALIZE, e);
}

static bool
has(const struct json *object, const char *key)
{
	const struct json *v = json_get(object, key);

	return v != NULL &&
	       (v->type == JSON_OBJECT || (v->type == JSON_BOOL && v->b));
}

/* Are all variables that METHOD wants in the session's environment? */
static bool
key_is_there(const struct acp *p, const struct json *method)
{
	static const struct {
		const char *method, *variable;
	} known[] = {
		{ "codex-api-key", "CODEX_API_KEY" },
		{ "openai-api-key", "OPENAI_API_KEY" },
		{ "anthropic-api-key", "ANTHROPIC_API_KEY" },
		{ "gemini-api-key", "GEMINI_API_KEY" },
		{ "api-key", "OPENAI_API_KEY" },
	};
	const struct json *vars = json_get(method, "vars");
	size_t i;

	if (vars != NULL && vars->type == JSON_ARRAY && vars->len > 0) {
		json_foreach (it, vars)
			if (tools_env(&p->a, json_str(it, "name", "")) == NULL)
				return false;
		return true;
	}
	for (i = 0; i < countof(known); i++)
		if (strcmp(json_str(method, "id", ""), known[i].method) == 0)
			return tools_env(&p->a, known[i].variable) != NULL;
	return false;
}

static void
learn_agent(struct acp *p, const struct json *result)
{
	const struct json *can = json_get(result, "agentCapabilities");
	const struct json *prompt = json_get(can, "promptCapabilities");
	const struct json *mcp = json_get(can, "mcpCapabilities");

	p->can_load = json_bool(can, "loadSession", false);
	p->can_resume = has(json_get(can, "sessionCapabilities"), "resume");
	p->takes_images = json_bool(prompt, "image", false);
	p->takes_texts = json_bool(prompt, "embeddedContext", false);
	p->mcp_http = json_bool(mcp, "http", false);
	p->mcp_sse = json_bool(mcp, "sse", false);
	free(STEAL(p->key_method));
	json_foreach (it, json_get(result, "authMethods")) {
		const char *id = json_str(it, "id", NULL);

		if (p->key_method == NULL && id != NULL && key_is_there(p, it))
			p->key_method = xstrdup(id);
	}
}

/* --- the session ---------------------------------------------------------- */

static int
open_session(struct acp *p, enum acp_call call, struct err *e)
{
	static const char *const methods[] = { [CALL_NEW] = "session/new",
		[CALL_RESUME] = "session/resume",
		[CALL_LOAD] = "session/load" };
	struct buf b;
	struct jw w;

	acp_begin(p, &w, &b, methods[call], true);
	if (call != CALL_NEW)
		jw_kstr(&w, "sessionId", p->a.out->native_session);
	jw_kstr(&w, "cwd", p->a.conf->directory);
	jw_key(&w, "mcpServers");
	acp_servers(p, &w);
	p->stage = ACP_OPENING;
	return acp_send(p, &w, &b, call, e);
}

static enum acp_call
best_way(const struct acp *p)
{
	if (p->a.out->native_session == NULL || p->probing)
		return CALL_NEW;
	return p->can_resume ? CALL_RESUME : p->can_load ? CALL_LOAD : CALL_NEW;
}

static int
authenticate(struct acp *p, struct err *e)
{
	struct buf b;
	struct jw w;

	p->tried_key = true;
	acp_begin(p, &w, &b, "authenticate", true);
	jw_kstr(&w, "methodId", p->key_method);
	return acp_send(p, &w, &b, CALL_AUTHENTICATE, e);
}

static void
refused(struct acp *p, const struct json *error)
{
	autofree char *text = acp_error_text(error);
	autofree char *raw = agent_json(error);
	bool auth = json_int(error, "code", 0) == AUTH_REQUIRED;

	acp_give_up(p, FROM_AGENT,
	    auth ? "authentication_required" : err_wire(ERR_AGENT_FAILED), text,
	    raw);
}

/* The agent does not have, or will not open, the session that we know. */
static int
another_way(
    struct acp *p, enum acp_call call, const struct json *error, struct err *e)
{
	autofree char *why = acp_error_text(error);

	log_info("acp", "the agent cannot go on with the session",
	    LOG_STR("why", why));
	if (call == CALL_RESUME && p->can_load)
		return open_session(p, CALL_LOAD, e);
	return open_session(p, CALL_NEW, e);
}

static void
opened(struct acp *p, enum acp_call call, const struct json *result)
{
	const char *id = json_str(result, "sessionId", NULL);
	const char *known = p->a.out->native_session;

	if (call != CALL_NEW && id == NULL)
		id = known;
	if (id == NULL || *id == '\0' || strlen(id) >= ACP_ID_MAX) {
		acp_give_up(p, FROM_DAEMON, err_wire(ERR_AGENT_FAILED),
		    "the agent opened a session without an id", NULL);
		return;
	}
	ev_timer_stop(p->a.loop, &p->handshake);
	p->lost = call == CALL_NEW && known != NULL && !p->probing;
	p->session = xstrdup(id);
	if (!p->probing)
		agent_native_id(&p->a, id);
	acp_settings_learn(p, result);
	p->stage = ACP_READY;
	acp_go_on(p);
}

void
acp_open_answered(struct acp *p, enum acp_call call, const struct json *result,
    const struct json *error)
{
	bool auth =
	    error != NULL && json_int(error, "code", 0) == AUTH_REQUIRED;
	bool hello = call == CALL_INITIALIZE || call == CALL_AUTHENTICATE;
	struct err e;
	int rc = 0;

	if (error == NULL && call == CALL_INITIALIZE)
		learn_agent(p, result);
	if (error == NULL && hello)
		rc = open_session(p, best_way(p), &e);
	else if (error == NULL)
		opened(p, call, result);
	else if (!hello && auth && p->key_method != NULL && !p->tried_key)
		rc = authenticate(p, &e);
	else if (!hello && !auth && call != CALL_NEW)
		rc = another_way(p, call, error, &e);
	else
		refused(p, error);
	if (rc == -1)
		acp_give_up(p, FROM_DAEMON, err_wire(e.code), e.text, NULL);
}
