/*
 * The MCP servers that a client names for a session, in the form that adapters
 * read (toolconf.h). Runs in the session worker, on what a client wrote.
 */
#include "session/acp/serve.h"

#include "lib/toolconf.h"
#include "lib/xalloc.h"
#include <string.h>

#define SERVERS_MAX 128

/* [{name, value}] as an object. */
static int
write_pairs(
    struct jw *w, const char *key, const struct json *list, struct err *e)
{
	const char *name, *value;

	if (list == NULL || list->len == 0)
		return 0;
	jw_key(w, key);
	jw_object(w);
	json_foreach (it, list) {
		name = json_str(it, "name", NULL);
		value = json_str(it, "value", NULL);
		if (name == NULL || value == NULL)
			return err_set(e, ERR_BAD_REQUEST,
			    "%s: not a list of names and values", key);
		jw_kstr(w, name, value);
	}
	jw_object_end(w);
	return 0;
}

/* One server as an entry that toolconf_normal() takes. */
static int
write_entry(struct jw *w, const struct json *server, struct err *e)
{
	const char *type = json_str(server, "type", "stdio");
	bool remote = strcmp(type, "http") == 0 || strcmp(type, "sse") == 0;

	jw_object(w);
	jw_kstr(w, "type", remote ? "remote" : type);
	if (remote) {
		jw_kvalue(w, "url", json_get(server, "url"));
		jw_kstr(w, "transport", type);
		if (write_pairs(w, "headers", json_get(server, "headers"), e) ==
		    -1)
			return -1;
	} else {
		jw_kvalue(w, "command", json_get(server, "command"));
		if (json_get(server, "args") != NULL)
			jw_kvalue(w, "args", json_get(server, "args"));
		if (write_pairs(w, "env", json_get(server, "env"), e) == -1)
			return -1;
	}
	jw_object_end(w);
	return 0;
}

static int
add_server(struct jw *w, const struct json *server, struct err *e)
{
	const char *name = json_str(server, "name", NULL);
	struct json *entry = NULL;
	struct buf b;
	struct jw raw;
	int rc = -1;

	if (name == NULL)
		return err_set(
		    e, ERR_BAD_REQUEST, "an MCP server without a name");
	buf_init(&b, TOOLCONF_FILE_MAX);
	jw_init(&raw, &b);
	if (write_entry(&raw, server, e) == -1)
		(void)err_prefix(e, "MCP server %.64s", name);
	else if (b.failed)
		(void)err_set(e, ERR_TOO_LARGE, "an MCP server is too long");
	else if (json_parse(b.data, b.len, JSON_DEPTH_AGENT, &entry, e) == 0) {
		jw_key(w, name);
		rc = toolconf_normal(TOOLCONF_MCP, entry, w, e);
		if (rc == -1)
			(void)err_prefix(e, "MCP server %.64s", name);
	}
	json_free(entry);
	buf_free(&b);
	return rc;
}

static bool
named(const struct json *list, const char *name)
{
	json_foreach (it, list)
		if (strcmp(json_str(it, "name", ""), name) == 0)
			return true;
	return false;
}

int
serve_mcp(
    const struct json *list, const char *base, char **mcp_out, struct err *e)
{
	struct json *others = NULL;
	struct buf b;
	struct jw w;
	int rc = 0;

	*mcp_out = NULL;
	if (list != NULL && list->type != JSON_NULL &&
	    (list->type != JSON_ARRAY || list->len > SERVERS_MAX))
		return err_set(
		    e, ERR_BAD_REQUEST, "mcpServers is no list of servers");
	/* Checked when the server was made. */
	if (base != NULL && json_parse(base, strlen(base), JSON_DEPTH_AGENT,
				&others, NULL) == -1)
		others = NULL;
	buf_init(&b, 2 * TOOLCONF_FILE_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	json_foreach (it, list)
		if (rc == 0)
			rc = add_server(&w, it, e);
	json_foreach (it, others)
		if (rc == 0 && !named(list, it->key))
			jw_kvalue(&w, it->key, it);
	/* What was refused has stopped in the midst of a value. */
	if (rc == 0)
		jw_object_end(&w);
	if (rc == 0 && b.failed)
		rc = err_set(e, ERR_TOO_LARGE, "mcpServers are too long");
	if (rc == 0 && b.len > 2)
		*mcp_out = buf_steal(&b);
	buf_free(&b);
	json_free(others);
	return rc;
}
