/*
 * Sessions as they are: the list, one of them, who may see which. Runs in
 * sandboxd-gateway, which reads the store's map; the records in it were
 * written by the supervisor and, in some members, by workers inside sandboxes.
 */
#include "gateway/doors/sessions.h"

#include "gateway/auth.h"
#include "gateway/doors/list.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>

#define KEY_MAX 255
#define ENTRY_MAX (4u << 20)

/* --- who may see what ---------------------------------------------------- */

const char *
session_scope(const struct req *r)
{
	return strncmp(r->path, "/i/", 3) == 0 ? r->sandbox : auth_sandbox(r);
}

bool
session_is_hidden(const char *id, size_t len)
{
	return (len >= 4 && memcmp(id, "acp:", 4) == 0) ||
	       (len >= 6 && memcmp(id, "probe:", 6) == 0);
}

/* The supervisor writes `sandbox` right behind `id`, and the store `log`
 * before both: the first match cannot lie inside of a string, where a quote
 * would be escaped. */
static bool
session_in_scope(const struct db_session *s, const char *scope)
{
	static const char name[] = "\",\"sandbox\":\"";
	const char *at, *end;

	if (scope == NULL)
		return true;
	at = memmem(s->record, s->record_len, name, sizeof(name) - 1);
	if (at == NULL)
		return false;
	at += sizeof(name) - 1;
	end = memchr(at, '"', s->record_len - (size_t)(at - s->record));
	return end != NULL && (size_t)(end - at) == strlen(scope) &&
	       memcmp(at, scope, strlen(scope)) == 0;
}

bool
session_look(const struct req *r, struct db_session *s_out)
{
	const char *id = r->params[0];

	return strlen(id) <= SESSION_ID_MAX &&
	       !session_is_hidden(id, strlen(id)) &&
	       db_session(r->gw->db, id, s_out) &&
	       session_in_scope(s_out, session_scope(r));
}

void
session_missing(struct req *r)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 64u << 10);
	(void)buf_adds(&b, "\"sessionId\":");
	jw_init(&w, &b);
	jw_str(&w, r->params[0]);
	req_problem_ext(r, PROBLEM_SESSION_NOT_FOUND, b.failed ? NULL : b.data,
	    "%s", r->params[0]);
	buf_free(&b);
}

bool
session_find(struct req *r, struct db_session *s_out)
{
	struct err e;
	bool found;

	if (db_begin(r->gw->db, &e) == -1) {
		req_fail(r, &e);
		return false;
	}
	found = session_look(r, s_out);
	db_end(r->gw->db);
	s_out->record = NULL;
	if (!found)
		session_missing(r);
	return found;
}

/* --- one session --------------------------------------------------------- */

static void
kopt(struct jw *w, const char *key, const struct json *rec, const char *name)
{
	const struct json *v = json_get(rec, name);

	if (v != NULL)
		jw_kvalue(w, key, v);
}

static void
record_write(struct jw *w, const struct db_session *s, const struct json *rec)
{
	const char *agent = json_str(rec, "agent", "");
	const char *model = json_str(rec, "model", NULL);

	if (model == NULL && strcmp(agent, "mock") == 0)
		model = "mock";
	jw_object(w);
	jw_kstr(w, "sessionId", json_str(rec, "id", ""));
	jw_kstr(w, "agent", agent);
	jw_kstr(w, "agentMode", json_str(rec, "agent_mode", "build"));
	jw_kstr(w, "permissionMode", json_str(rec, "permission_mode", ""));
	jw_kstr(w, "model", model);
	jw_kstr(w, "variant", json_str(rec, "variant", NULL));
	jw_kstr(w, "nativeSessionId", json_str(rec, "native_session_id", NULL));
	jw_kbool(w, "ended", strcmp(json_str(rec, "state", ""), "ended") == 0);
	jw_kint(w, "eventCount", (int64_t)(s->last + 1 - s->first));
	jw_kint(w, "createdAt", json_int(rec, "created_at", 0));
	jw_kint(w, "updatedAt", s->updated_ms);
	jw_kstr(w, "directory", json_str(rec, "directory", NULL));
	jw_kstr(w, "title", json_str(rec, "title", NULL));
	kopt(w, "thoughtLevel", rec, "thought_level");
	kopt(w, "mcp", rec, "mcp");
	kopt(w, "skills", rec, "skills");
	jw_kstr(w, "sandbox", json_str(rec, "sandbox", NULL));
	jw_kstr(w, "state", json_str(rec, "state", NULL));
	jw_object_end(w);
}

int
session_key(struct req *r, const char **key_out)
{
	const char *key = req_header(r, "idempotency-key");

	*key_out = key;
	if (key == NULL)
		return 0;
	if (key[0] != '\0' && strlen(key) <= KEY_MAX &&
	    utf8_valid_prefix(key, strlen(key)) == strlen(key))
		return 0;
	req_problem(r, PROBLEM_INVALID_REQUEST,
	    "Idempotency-Key: 1 to %d bytes of text", KEY_MAX);
	return -1;
}

/* Write one session as clients see it; -1: its record is damaged. */
static int
session_write(struct jw *w, const struct db_session *s)
{
	struct json *rec;

	if (json_parse(s->record, s->record_len, RECORD_DEPTH, &rec, NULL) ==
	    -1)
		return -1;
	record_write(w, s, rec);
	json_free(rec);
	return 0;
}

void
route_session_get(struct req *r)
{
	struct db_session s;
	struct err e;
	struct buf b;
	struct jw w;
	bool found;
	int rc = 0;

	if (db_begin(r->gw->db, &e) == -1) {
		req_fail(r, &e);
		return;
	}
	buf_init(&b, ENTRY_MAX);
	jw_init(&w, &b);
	found = session_look(r, &s);
	if (found)
		rc = session_write(&w, &s);
	db_end(r->gw->db);
	if (found && rc == 0) {
		req_reply_json(r, 200, &b);
		return;
	}
	buf_free(&b);
	if (!found)
		session_missing(r);
	else
		req_problem(r, PROBLEM_INTERNAL, "the record is damaged");
}

/* --- the list ------------------------------------------------------------ */

struct sessions {
	char *scope; /* owned, or NULL */
	uint64_t cursor;
};

static int
sessions_next(struct req *r, void *at, struct jw *w)
{
	struct sessions *l = at;
	struct db_session s;
	const char *id;
	size_t id_len;

	while (db_session_next(r->gw->db, &l->cursor, &id, &id_len, &s)) {
		if (!session_is_hidden(id, id_len) &&
		    session_in_scope(&s, l->scope))
			return session_write(w, &s) == 0 ? 1 : -1;
	}
	return 0;
}

static void
sessions_rewind(void *at)
{
	struct sessions *l = at;

	l->cursor = UINT64_MAX;
}

static void
sessions_done(void *at)
{
	struct sessions *l = at;

	free(l->scope);
	free(l);
}

void
route_session_list(struct req *r)
{
	static const struct list_kind kind = { "sessions", sessions_next,
		sessions_rewind, sessions_done };
	struct sessions *l = xcalloc(1, sizeof(*l));
	const char *scope = session_scope(r);

	l->scope = scope != NULL ? xstrdup(scope) : NULL;
	list_reply(r, &kind, l);
}
