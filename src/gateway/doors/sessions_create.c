/*
 * Making a session: POST /v1/sessions/{session_id}, and POST /v1/sessions with
 * a name of our choice. Runs in sandboxd-gateway; the body is anybody's, its
 * shape was checked by the route's rows and by sessions_mcp.c, its sense is
 * checked by the supervisor.
 *
 * An Idempotency-Key goes along with a hash of the body: both are kept in the
 * session's record, so that the same request is answered as before, whoever
 * died meanwhile. Where we choose the name it is made of the key.
 */
#include "gateway/doors/sessions.h"

#include "gateway/auth.h"
#include "gateway/call.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <sha2.h>
#include <string.h>

#define ARGS_MAX (900u << 10) /* in one frame with what surrounds them */
#define AGENT_MAX 64	      /* as ops.def has it */
#define EXT_MAX 8192

struct create {
	struct req *r; /* held */
	char id[SESSION_ID_MAX + 1];
	bool named; /* by us */
};

/* --- the answer ---------------------------------------------------------- */

static void
answer(struct create *c, const struct json *result)
{
	struct req *r = c->r;
	struct json *rec = NULL;
	struct db_session s;
	struct buf b;
	struct jw w;

	if (db_begin(r->gw->db, NULL) == 0) {
		if (db_session(r->gw->db, c->id, &s) &&
		    json_parse(
			s.record, s.record_len, RECORD_DEPTH, &rec, NULL) == -1)
			rec = NULL;
		db_end(r->gw->db);
	}
	buf_init(&b, EXT_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kbool(&w, "healthy", true);
	if (json_str(rec, "native_session_id", NULL) != NULL)
		jw_kvalue(
		    &w, "nativeSessionId", json_get(rec, "native_session_id"));
	if (c->named)
		jw_kstr(&w, "sessionId", c->id);
	jw_kstr(&w, "sandbox", json_str(result, "sandbox", NULL));
	jw_object_end(&w);
	json_free(rec);
	req_reply_json(r, 200, &b);
}

/* --- refusals ------------------------------------------------------------ */

static void
fail_mode(struct req *r, const struct err *e)
{
	static const char *const words[] = { "default", "plan", "bypass",
		"acceptEdits" };
	const char *agent = json_str(r->json, "agent", "");
	const char *mode = json_str(r->json, "agentMode", "");
	bool known = true;
	struct buf b;
	struct jw w;
	size_t i;

	/* The worker, which knows its agent best, does not say which. */
	if (!str_starts(e->text, "agent_mode") &&
	    json_str(r->json, "permissionMode", NULL) != NULL) {
		mode = json_str(r->json, "permissionMode", "");
		known = false;
		for (i = 0; i < countof(words); i++)
			known = known || strcmp(words[i], mode) == 0;
	}
	if (!known) {
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "invalid permission mode: %s", mode);
		return;
	}
	buf_init(&b, EXT_MAX);
	(void)buf_adds(&b, "\"agent\":");
	jw_init(&w, &b);
	jw_str(&w, agent);
	(void)buf_adds(&b, ",\"details\":{\"mode\":");
	jw_init(&w, &b);
	jw_str(&w, mode);
	(void)buf_adds(&b, "}");
	req_problem_ext(r, PROBLEM_MODE_NOT_SUPPORTED, b.failed ? NULL : b.data,
	    "%s %s", agent, mode);
	buf_free(&b);
}

/* A problem with one extension member, whose value is also the detail. */
static void
fail_named(struct req *r, enum problem p, const char *member, const char *value)
{
	struct buf b;
	struct jw w;

	buf_init(&b, EXT_MAX);
	(void)buf_addf(&b, "\"%s\":", member);
	jw_init(&w, &b);
	jw_str(&w, value);
	req_problem_ext(r, p, b.failed ? NULL : b.data, "%s", value);
	buf_free(&b);
}

static void
fail(struct create *c, const struct err *e)
{
	const char *agent = json_str(c->r->json, "agent", "");

	switch (e->code) {
	case ERR_AGENT_UNKNOWN:
		fail_named(c->r, PROBLEM_UNSUPPORTED_AGENT, "agent", agent);
		break;
	case ERR_AGENT_NOT_INSTALLED:
		fail_named(c->r, PROBLEM_AGENT_NOT_INSTALLED, "agent", agent);
		break;
	case ERR_SESSION_EXISTS:
		fail_named(c->r, PROBLEM_SESSION_EXISTS, "sessionId", c->id);
		break;
	case ERR_MODE_NOT_SUPPORTED:
		fail_mode(c->r, e);
		break;
	default:
		session_fail(c->r, e);
		break;
	}
}

static void
on_created(void *ctx, const struct json *result, const struct err *e)
{
	struct create *c = ctx;

	if (result != NULL)
		answer(c, result);
	else
		fail(c, e);
	req_release(c->r);
	free(c);
}

/* --- the question -------------------------------------------------------- */

static void
copy(const struct req *r, struct jw *w, const char *from, const char *to)
{
	const struct json *v = json_get(r->json, from);

	if (v != NULL && v->type != JSON_NULL)
		jw_kvalue(w, to, v);
}

/* Where it is to run. -1: the request was answered. */
static int
sandbox_write(struct req *r, struct jw *w)
{
	const struct json *v = json_get(r->json, "sandbox");
	const char *scope = session_scope(r);
	const char *name = json_str(r->json, "sandbox", NULL);

	if (v == NULL || v->type == JSON_NULL)
		name = scope;
	else if (v->type != JSON_STRING && v->type != JSON_OBJECT) {
		req_problem(r, PROBLEM_BAD_BODY,
		    "sandbox: a name, or an object for a fresh one");
		return -1;
	}
	if (scope != NULL && (name == NULL || strcmp(name, scope) != 0)) {
		req_problem(r, PROBLEM_PERMISSION_DENIED,
		    "sandbox: here it can only be %s", scope);
		return -1;
	}
	if (v != NULL && v->type == JSON_OBJECT)
		jw_kvalue(w, "sandbox_spec", v);
	else if (name != NULL)
		jw_kstr(w, "sandbox", name);
	return 0;
}

static void
modes_write(struct req *r, struct jw *w)
{
	const char *mode = json_str(r->json, "permissionMode", NULL);

	copy(r, w, "agentMode", "agent_mode");
	copy(r, w, "thoughtLevel", "thought_level");
	/* Only some agents edit without asking; for the others it is the
	 * default, and listed so. */
	if (mode != NULL && strcmp(mode, "acceptEdits") == 0 &&
	    strcmp(json_str(r->json, "agent", ""), "mock") == 0)
		mode = "default";
	if (mode != NULL)
		jw_kstr(w, "permission_mode", mode);
}

/* Lower-case hexadecimal SHA-256 of texts that are joined by NULs. */
static void
digest(char dst[SHA256_DIGEST_STRING_LENGTH], const char *const *texts,
    const size_t *lens, size_t n)
{
	SHA2_CTX sha;
	size_t i;

	SHA256Init(&sha);
	for (i = 0; i < n; i++) {
		SHA256Update(&sha, (const uint8_t *)texts[i], lens[i]);
		SHA256Update(&sha, (const uint8_t *)"", 1);
	}
	(void)SHA256End(&sha, dst);
}

/* The key of R and the hash of what it stands for; -1: R was answered. */
static int
key_write(struct create *c, struct jw *w)
{
	struct req *r = c->r;
	const char *key;
	char hex[SHA256_DIGEST_STRING_LENGTH];
	const char *texts[] = { r->sandbox, r->body };
	const size_t lens[] = { strlen(r->sandbox), r->body_len };

	if (session_key(r, &key) == -1)
		return -1;
	if (key == NULL)
		return 0;
	digest(hex, texts, lens, countof(texts));
	jw_kstr(w, "idempotency_key", key);
	jw_kstr(w, "request_hash", hex);
	return 0;
}

/* -1: the request was answered. */
static int
args_write(struct create *c, struct buf *b)
{
	static const char *const same[] = { "agent", "model", "variant",
		"directory", "title", "env", "command" };
	struct req *r = c->r;
	struct jw w;
	size_t i;

	jw_init(&w, b);
	jw_object(&w);
	jw_kstr(&w, "id", c->id);
	for (i = 0; i < countof(same); i++)
		copy(r, &w, same[i], same[i]);
	modes_write(r, &w);
	if (sandbox_write(r, &w) == -1 || key_write(c, &w) == -1 ||
	    session_skills_write(r, &w) == -1 || session_mcp_write(r, &w) == -1)
		return -1;
	jw_object_end(&w);
	if (!b->failed)
		return 0;
	req_problem(r, PROBLEM_TOO_LARGE, "the session's options are too long");
	return -1;
}

static void
create(struct create *c)
{
	const char *agent = json_str(c->r->json, "agent", "");
	struct buf b;

	buf_init(&b, ARGS_MAX);
	if (agent[0] == '\0' || strlen(agent) > AGENT_MAX) {
		fail_named(c->r, PROBLEM_UNSUPPORTED_AGENT, "agent", agent);
		free(c);
	} else if (args_write(c, &b) == -1) {
		free(c);
	} else {
		req_hold(c->r);
		super_call(c->r->gw, "session.create", &b, on_created, c);
	}
	buf_free(&b);
}

void
route_session_create(struct req *r)
{
	struct create *c;

	if (!session_id_valid(r->params[0])) {
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "session id: 1 to %d bytes without control characters",
		    SESSION_ID_MAX);
		return;
	}
	if (session_is_hidden(r->params[0], strlen(r->params[0]))) {
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "session id: it must not begin with `acp:` or `probe:`");
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->r = r;
	(void)!str_copy(c->id, sizeof(c->id), r->params[0]);
	create(c);
}

void
route_session_new(struct req *r)
{
	const char *key = req_header(r, "idempotency-key");
	const char *texts[] = { r->caller, r->sandbox, key };
	char hex[SHA256_DIGEST_STRING_LENGTH], id[RANDOM_ID_MAX];
	size_t lens[countof(texts)], i;
	struct create *c = xcalloc(1, sizeof(*c));

	c->r = r;
	c->named = true;
	if (key != NULL) {
		for (i = 0; i < countof(texts); i++)
			lens[i] = strlen(texts[i]);
		digest(hex, texts, lens, countof(texts));
		(void)!str_format(c->id, sizeof(c->id), "s-%.32s", hex);
	} else {
		random_id(id, "s-");
		(void)!str_copy(c->id, sizeof(c->id), id);
	}
	create(c);
}
