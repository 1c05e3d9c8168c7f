/*
 * MCP servers for an ACP agent. Runs in the session worker. Servers are members
 * of session/new, so that what they are told (tokens in headers and
 * environments) passes through the agent's pipe alone.
 */
#include "session/agents/acp.h"

#include "lib/xalloc.h"
#include "session/tools.h"
#include <string.h>

struct servers {
	struct acp *p;
	struct jw *w;
};

/* {name: value, …} as [{name, value}, …]. */
static void
write_pairs(struct jw *w, const char *key, const struct json *map)
{
	jw_key(w, key);
	jw_array(w);
	json_foreach (it, map) {
		if (it->type != JSON_STRING)
			continue;
		jw_object(w);
		jw_kstr(w, "name", it->key);
		jw_kvalue(w, "value", it);
		jw_object_end(w);
	}
	jw_array_end(w);
}

static void
write_server(struct agent *a, const struct mcp_server *server, void *ctx)
{
	const struct servers *s = ctx;
	const char *type = server->sse ? "sse" : "http";
	struct jw *w = s->w;
	char **arg = server->argv;

	if (arg == NULL && !(server->sse ? s->p->mcp_sse : s->p->mcp_http)) {
		autofree char *say = xasprintf("MCP server %.64s: this agent "
					       "cannot use servers on %s",
		    server->name, type);

		uni_error(a->out, FROM_DAEMON, "invalid_config", say, NULL);
		return;
	}
	jw_object(w);
	if (arg == NULL)
		jw_kstr(w, "type", type);
	jw_kstr(w, "name", server->name);
	if (arg != NULL) {
		jw_kstr(w, "command", *arg++);
		jw_key(w, "args");
		jw_array(w);
		for (; *arg != NULL; arg++)
			jw_str(w, *arg);
		jw_array_end(w);
		write_pairs(w, "env", server->env);
	} else {
		jw_kstr(w, "url", server->url);
		write_pairs(w, "headers", server->headers);
	}
	jw_object_end(w);
}

void
acp_servers(struct acp *p, struct jw *w)
{
	struct servers s = { p, w };

	jw_array(w);
	if (!p->probing)
		tools_mcp(&p->a, MCP_CWD_WRAPPED, write_server, &s);
	jw_array_end(w);
}
