/*
 * What the next worker has to know of an ACP server's sessions, in its
 * checkpoint: {"forms":true,"sessions":[{…},…]}, those used last first, as many
 * as fit. Runs in the session worker.
 */
#include "session/acp/serve.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/conf.h"
#include <string.h>

#define STATE_BYTES_MAX (11u << 10)
#define MCP_BYTES_MAX 1024 /* longer ones are not kept */
#define TEXT_BYTES_MAX 1024

/* A short string; a longer one is left out. */
static void
kshort(struct jw *w, const char *key, const char *s)
{
	if (s != NULL && strlen(s) <= TEXT_BYTES_MAX)
		jw_kstr(w, key, s);
}

static void
session_write(struct jw *w, const struct serve_session *ss)
{
	const struct agent_conf *c = &ss->conf;

	jw_object(w);
	jw_kstr(w, "id", ss->id);
	jw_kstr(w, "cwd", c->directory);
	jw_kint(w, "turn", (int64_t)ss->turn);
	jw_kint(w, "used", ss->used_ms);
	kshort(w, "native", ss->out.u.native_session);
	kshort(w, "model", c->model);
	kshort(w, "mode", c->permission_mode);
	kshort(w, "thought", c->thought_level);
	kshort(w, "title", ss->title);
	if (c->mcp != NULL && strlen(c->mcp) <= MCP_BYTES_MAX) {
		jw_key(w, "mcp");
		jw_raw(w, c->mcp, strlen(c->mcp));
	}
	jw_object_end(w);
}

void
serve_state_write(const struct acp_backend *b, struct jw *w)
{
	const struct serve *sv = (const struct serve *)b;
	const struct serve_session *ss;
	size_t total = 0;
	struct buf one;
	struct jw o;

	jw_kbool(w, "forms", sv->forms);
	jw_kbool(w, "terminal", sv->terminal);
	jw_key(w, "sessions");
	jw_array(w);
	buf_init(&one, STATE_BYTES_MAX);
	TAILQ_FOREACH_REVERSE(ss, &sv->sessions, serve_sessions, link)
	{
		buf_clear(&one);
		jw_init(&o, &one);
		session_write(&o, ss);
		total += one.len;
		if (one.failed || total > STATE_BYTES_MAX)
			break;
		jw_raw(w, one.data, one.len);
	}
	buf_free(&one);
	jw_array_end(w);
}

/* JSON text of V; the caller's. */
static char *
text_of(const struct json *v)
{
	struct buf b;
	struct jw w;

	if (v == NULL)
		return NULL;
	buf_init(&b, 8 * MCP_BYTES_MAX);
	jw_init(&w, &b);
	jw_value(&w, v);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

static void
session_read(struct serve *sv, const struct json *c)
{
	const char *id = json_str(c, "id", NULL);
	const char *cwd = json_str(c, "cwd", NULL);
	autofree char *mcp = text_of(json_get(c, "mcp"));
	const char *v;
	struct serve_session *ss;

	if (id == NULL || cwd == NULL || serve_find(sv, id) != NULL)
		return;
	ss = serve_session_new(sv, id, cwd, mcp);
	if (ss == NULL)
		return;
	/* It was used before those that were read before it. */
	TAILQ_REMOVE(&sv->sessions, ss, link);
	TAILQ_INSERT_HEAD(&sv->sessions, ss, link);
	ss->used_ms = json_int(c, "used", 0);
	ss->turn = (uint64_t)MAX(json_int(c, "turn", 0), 0);
	uni_native_session(&ss->out.u, json_str(c, "native", NULL));
	if ((v = json_str(c, "model", NULL)) != NULL)
		conf_set(&ss->conf.model, v);
	if ((v = json_str(c, "mode", NULL)) != NULL)
		conf_set(&ss->conf.permission_mode, v);
	if ((v = json_str(c, "thought", NULL)) != NULL)
		conf_set(&ss->conf.thought_level, v);
	conf_set(&ss->title, json_str(c, "title", NULL));
	ss->known = true;
	serve_choices_init(ss);
}

void
serve_state_read(struct acp_backend *b, const struct json *c)
{
	struct serve *sv = (struct serve *)b;

	sv->forms = json_bool(c, "forms", false);
	sv->terminal = json_bool(c, "terminal", false);
	json_foreach (it, json_get(c, "sessions"))
		session_read(sv, it);
}
