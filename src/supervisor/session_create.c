/*
 * Making sessions. Runs in the supervisor. A create is whole or nothing: the
 * sandbox that was made for it, its record and its worker stay together or go
 * together, also when we die in between (a sandbox whose owner is not there is
 * removed at the next start).
 *
 * `mcp` and `skills` are carried as text: what they mean is the agents' affair.
 * They are checked for depth, since they come back inside of other frames.
 */
#include "lib/xalloc.h"
#include "supervisor/sandboxes.h"
#include "supervisor/session_priv.h"
#include "supervisor/spec.h"

#include <string.h>

/* In a frame of records they lie four deeper. */
#define OBJECT_DEPTH_MAX (JSON_DEPTH_CONTROL - 4)
#define OBJECT_BYTES_MAX (256u << 10)

/* --- the record ---------------------------------------------------------- */

static void
text_write(struct jw *w, const char *key, const char *json)
{
	if (json == NULL)
		return;
	jw_key(w, key);
	jw_raw(w, json, strlen(json));
}

void
session_record_write(struct session *ss, const char *state, struct jw *w)
{
	jw_object(w);
	jw_kstr(w, "id", ss->id);
	if (ss->sb != NULL)
		jw_kstr(w, "sandbox", ss->sb->id);
	jw_kstr(w, "kind", session_kind_name(ss->kind));
	jw_kstr(w, "agent", ss->agent->id);
	jw_kstr(w, "state", state);
	jw_kstr(w, "model", ss->model);
	jw_kstr(w, "variant", ss->variant);
	jw_kstr(w, "permission_mode", ss->permission_mode);
	jw_kstr(w, "agent_mode", ss->agent_mode);
	jw_kstr(w, "thought_level", ss->thought_level);
	jw_kstr(w, "directory", ss->directory);
	jw_kstr(w, "title", ss->title);
	jw_kint(w, "created_at", ss->created_at_ms);
	jw_kstr(w, "idempotency_key", ss->idempotency_key);
	jw_kstr(w, "request_hash", ss->request_hash);
	if (ss->own_sandbox)
		jw_kbool(w, "own_sandbox", true);
	jw_key(w, "env");
	strmap_write(w, ss->env);
	if (ss->command != NULL) {
		jw_key(w, "command");
		jw_array(w);
		for (char **v = ss->command; *v != NULL; v++)
			jw_str(w, *v);
		jw_array_end(w);
	}
	text_write(w, "mcp", ss->mcp);
	text_write(w, "skills", ss->skills);
	jw_object_end(w);
}

static void
record_put(struct session *ss, storec_done *done, void *ctx)
{
	struct buf b;
	struct jw w;

	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	session_record_write(ss, "starting", &w);
	storec_put(ss->s->store, "sessions", ss->id, &b, done, ctx);
	buf_free(&b);
}

/* --- a new entry --------------------------------------------------------- */

static char *
opt_str(const struct json *args, const char *key)
{
	const char *v = json_str(args, key, NULL);

	return v == NULL ? NULL : xstrdup(v);
}

static char *
opt_text(const struct json *args, const char *key)
{
	const struct json *v = json_get(args, key);
	struct buf b;
	struct jw w;

	if (v == NULL || v->type != JSON_OBJECT)
		return NULL;
	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_value(&w, v);
	/* It came in a frame, so it fits: only memory can be missing. */
	if (b.failed)
		buf_free(&b);
	return b.data == NULL ? NULL : buf_steal(&b);
}

/* SK_N: a word that none of them has. */
static enum session_kind
kind_of(const struct json *args)
{
	const char *word = json_str(args, "kind", "universal");
	enum session_kind k = 0;

	while (k < SK_N && strcmp(session_kind_name(k), word) != 0)
		k++;
	return k;
}

struct session *
session_new(struct super *s, const char *id, struct agent_def *agent,
    const struct json *args)
{
	struct session *ss = xcalloc(1, sizeof(*ss));
	const struct json *command = json_get(args, "command");

	ss->s = s;
	(void)!str_copy(ss->id, sizeof(ss->id), id);
	ss->kind = kind_of(args);
	ss->agent = agent_hold(agent);
	ss->model = opt_str(args, "model");
	ss->permission_mode =
	    xstrdup(json_str(args, "permission_mode", "default"));
	ss->agent_mode = xstrdup(json_str(args, "agent_mode", "build"));
	ss->thought_level = opt_str(args, "thought_level");
	ss->directory = opt_str(args, "directory");
	ss->title = opt_str(args, "title");
	ss->variant = opt_str(args, "variant");
	ss->mcp = opt_text(args, "mcp");
	ss->skills = opt_text(args, "skills");
	ss->idempotency_key = opt_str(args, "idempotency_key");
	ss->request_hash = opt_str(args, "request_hash");
	ss->own_sandbox = json_bool(args, "own_sandbox", false);
	ss->env = strmap_parse(json_get(args, "env"));
	if (command != NULL && command->type == JSON_ARRAY && command->len > 0)
		ss->command = json_strv(command);
	ss->created_at_ms = json_int(args, "created_at", now_realtime_ms());
	ss->want_worker = true;
	TAILQ_INIT(&ss->waits);
	TAILQ_INIT(&ss->repeats);
	TAILQ_INIT(&ss->gone_waiters);
	session_worker_init(ss);
	LIST_INSERT_HEAD(&s->sessions, ss, link);
	s->nsessions++;
	return ss;
}

void
session_release_sandbox(struct session *ss)
{
	struct sandbox *sb = ss->sb;

	if (ss->own_sandbox && sb != NULL && sb->state != SB_DESTROYING)
		sandbox_destroy(sb, NULL, NULL);
}

/* --- checks -------------------------------------------------------------- */

int
session_check_modes(
    const struct agent_def *a, const struct json *args, struct err *e)
{
	const char *permission = json_str(args, "permission_mode", NULL);
	const char *mode = json_str(args, "agent_mode", NULL);

	if (permission != NULL &&
	    !agent_mode_known(a->permission_modes, permission, "default"))
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "permission_mode: %s does not have '%s'", a->id,
		    permission);
	if (mode != NULL && !agent_mode_known(a->agent_modes, mode, "build"))
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "agent_mode: %s does not have '%s'", a->id, mode);
	return 0;
}

static unsigned
depth_of(const struct json *v)
{
	unsigned most = 0;

	if (v == NULL || (v->type != JSON_OBJECT && v->type != JSON_ARRAY))
		return 0;
	json_foreach (it, v)
		most = MAX(most, depth_of(it));
	return most + 1; /* the parser bounds it */
}

static int
check_object(const struct json *args, const char *name, struct err *e)
{
	const struct json *v = json_get(args, name);
	autofree char *text = NULL;

	if (depth_of(v) > OBJECT_DEPTH_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%s: nested too deep", name);
	text = opt_text(args, name);
	if (text != NULL && strlen(text) > OBJECT_BYTES_MAX)
		return err_set(e, ERR_TOO_LARGE, "%s: longer than %u bytes",
		    name, OBJECT_BYTES_MAX);
	return 0;
}

static int
check_rest(const struct json *args, struct err *e)
{
	const char *dir = json_str(args, "directory", "/");

	if (dir[0] != '/')
		return err_set(e, ERR_BAD_REQUEST,
		    "directory: '%s' is not an absolute path", dir);
	json_foreach (it, json_get(args, "env")) {
		if (!env_name_valid(it->key) || strlen(it->key) > 200)
			return err_set(e, ERR_BAD_REQUEST,
			    "env: '%.64s' is no name of a variable", it->key);
	}
	if (json_get(args, "sandbox_spec") != NULL) {
		if (json_get(args, "sandbox") != NULL)
			return err_set(e, ERR_BAD_REQUEST,
			    "sandbox and sandbox_spec exclude each other");
		if (op_check(OP_SANDBOX_CREATE, json_get(args, "sandbox_spec"),
			e) == -1)
			return err_prefix(e, "sandbox_spec");
	}
	if (check_object(args, "mcp", e) == -1)
		return -1;
	return check_object(args, "skills", e);
}

/* A name tells the kind: one who lists sessions by name leaves out the hidden
 * ones, whatever else stands in the record. */
static int
check_id(const char *id, enum session_kind kind, struct err *e)
{
	const char *prefix = kind == SK_ACP ? "acp:" : "probe:";

	if (!session_id_valid(id))
		return err_set(e, ERR_BAD_REQUEST,
		    "id: 1 to 128 bytes without control characters");
	if (kind == SK_N)
		return err_set(
		    e, ERR_BAD_REQUEST, "kind: none of universal, acp, probe");
	if (kind == SK_UNIVERSAL &&
	    (str_starts(id, "acp:") || str_starts(id, "probe:")))
		return err_set(e, ERR_BAD_REQUEST,
		    "id: what begins with acp: or probe: is no name of a "
		    "session");
	if (kind != SK_UNIVERSAL && !str_starts(id, prefix))
		return err_set(e, ERR_BAD_REQUEST,
		    "id: of this kind it begins with %s", prefix);
	return 0;
}

/* Is the program of the agent at hand? An ACP server's may be inside, which
 * its worker finds out; one that is missing may be installed. */
static int
check_program(struct super *s, const struct agent_def *a,
    const struct json *args, struct err *e)
{
	enum session_kind kind = kind_of(args);
	autofree char *program = NULL;

	if (json_get(args, "command") != NULL || kind == SK_ACP ||
	    strcmp(a->protocol, "mock") == 0)
		return 0;
	if (a->program == NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "command: %s stands for any program, and needs one", a->id);
	program = agent_program(s, a);
	if (program != NULL || session_agent_may_install(s, a, kind, args))
		return 0;
	return err_set(e, ERR_AGENT_NOT_INSTALLED,
	    "%s: no program '%s' on this host", a->id, a->program);
}

/* The order in which the first of several mistakes is told is part of the
 * HTTP API: agent, name, program, modes. */
static int
check_create(struct super *s, const struct json *args, const char *id,
    struct agent_def **agent_out, struct err *e)
{
	const char *name = json_str(args, "agent", "");
	struct agent_def *a = agent_find(s, name);

	if (check_id(id, kind_of(args), e) == -1)
		return -1;
	if (a == NULL)
		return err_set(e, ERR_AGENT_UNKNOWN, "no such agent: %s", name);
	if (session_find(s, id) != NULL)
		return err_set(e, ERR_SESSION_EXISTS, "session exists: %s", id);
	if (s->nsessions >= (size_t)s->conf.max_sessions)
		return err_set(e, ERR_LIMIT, "there are %zu sessions already",
		    s->nsessions);
	if (check_program(s, a, args, e) == -1 ||
	    session_check_modes(a, args, e) == -1)
		return -1;
	*agent_out = a;
	return check_rest(args, e);
}

/* --- the same once more -------------------------------------------------- */

void
session_create_answer(struct session *ss, struct request *r)
{
	struct jw *w = request_ok(r);

	jw_object(w);
	jw_kstr(w, "id", ss->id);
	jw_kstr(w, "sandbox", ss->sb != NULL ? ss->sb->id : NULL);
	jw_kstr(w, "agent", ss->agent->id);
	jw_kstr(w, "state", ss->ended ? "ended" : "idle");
	jw_object_end(w);
	request_end_ok(r);
}

void
session_create_repeats(struct session *ss, const struct err *e)
{
	struct session_wait *w;

	while ((w = TAILQ_FIRST(&ss->repeats)) != NULL) {
		TAILQ_REMOVE(&ss->repeats, w, link);
		if (e != NULL)
			request_end_err(w->r, e);
		else
			session_create_answer(ss, w->r);
		free(w);
	}
}

static void
on_ready_again(void *ctx, struct session *ss, const struct err *e)
{
	struct request *r = ctx;

	if (e != NULL)
		request_end_err(r, e);
	else
		session_create_answer(ss, r);
}

/* Is R a create that was asked for before? Then it is answered, *E_OUT tells
 * why not. */
static bool
create_known(struct request *r, const struct json *args, const char *id,
    struct err *e, int *rc_out)
{
	const char *key = json_str(args, "idempotency_key", NULL);
	const char *hash = json_str(args, "request_hash", "");
	struct session *ss = session_find(r->s, id);
	struct session_wait *w;

	if (key == NULL || !session_is_there(ss) ||
	    ss->idempotency_key == NULL ||
	    strcmp(key, ss->idempotency_key) != 0)
		return false;
	*rc_out = 0;
	if (ss->request_hash == NULL || strcmp(hash, ss->request_hash) != 0) {
		*rc_out = err_set(
		    e, ERR_KEY_REUSED, "this key came with another request");
	} else if (ss->creating != NULL) {
		w = xcalloc(1, sizeof(*w));
		w->r = r;
		TAILQ_INSERT_TAIL(&ss->repeats, w, link);
	} else if (!ss->ended && ss->want_worker && !ss->ready) {
		/* We died in the midst of it: the next worker finishes it. */
		session_ensure(ss, on_ready_again, r);
	} else {
		session_create_answer(ss, r);
	}
	return true;
}

/* --- create -------------------------------------------------------------- */

static void
on_record(void *ctx, const struct err *e)
{
	struct session *ss = ctx;

	if (e != NULL && ss->creating != NULL)
		session_create_failed(ss, e);
}

static void
on_sandbox_for_create(void *ctx, const struct err *e)
{
	struct session *ss = ctx;
	struct err why;

	if (ss->creating == NULL)
		return;
	if (e != NULL) {
		session_create_failed(ss, e);
		return;
	}
	if (ss->proc.alive || ss->proc.state == PS_STOPPING)
		return; /* the former worker's end comes back here */
	ss->start_again = false;
	/* The store works in order, so the record is there when the worker is
	 * attached; both travel at once. */
	ss->stored = true;
	record_put(ss, on_record, ss);
	if (proc_start(&ss->proc, &why) == -1 && ss->creating != NULL)
		session_create_failed(ss, &why);
}

/* A sandbox of the session's own. */
static int
sandbox_fresh(struct super *s, const struct json *spec, const char *session,
    struct sandbox **sb_out, struct err *e)
{
	struct json *args;
	struct buf b;
	struct jw w;
	int rc;

	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	json_foreach (it, spec)
		jw_kvalue(&w, it->key, it);
	jw_kstr(&w, "owner", session);
	jw_object_end(&w);
	rc = b.failed ? err_set(e, ERR_TOO_LARGE, "sandbox_spec: too long")
		      : json_parse(b.data, b.len, JSON_DEPTH_CONTROL, &args, e);
	buf_free(&b);
	if (rc == -1)
		return -1;
	rc = sandbox_create(s, args, sb_out, e);
	json_free(args);
	return rc;
}

static int
sandbox_for(struct super *s, const struct json *args, const char *id,
    struct sandbox **sb_out, struct err *e)
{
	const char *name = json_str(args, "sandbox", NULL);
	const struct json *spec = json_get(args, "sandbox_spec");

	if (spec != NULL)
		return sandbox_fresh(s, spec, id, sb_out, e);
	if (name == NULL || strcmp(name, "default") == 0)
		return sandbox_default(s, sb_out, e);
	*sb_out = sandbox_find(s, name);
	if (*sb_out == NULL || (*sb_out)->state == SB_DESTROYING)
		return err_set(
		    e, ERR_SANDBOX_NOT_FOUND, "no such sandbox: %s", name);
	return 0;
}

void
session_create_go(struct session *ss)
{
	struct err e;

	if (ss->sb != NULL) {
		sandbox_ensure(ss->sb, on_sandbox_for_create, ss);
		return;
	}
	err_set(&e, ERR_SANDBOX_NOT_FOUND, "its sandbox was destroyed");
	session_create_failed(ss, &e);
}

/* Does its agent have to be installed first, so that the worker finds it? */
static bool
must_install(const struct session *ss, const struct json *args)
{
	return ss->kind == SK_UNIVERSAL && !agent_installed(ss->s, ss->agent) &&
	       session_may_install(ss, args);
}

int
session_create_for(struct request *r, const struct json *args, struct err *e)
{
	struct super *s = r->s;
	const char *id = json_str(args, "id", NULL);
	struct agent_def *agent = NULL;
	char made[RANDOM_ID_MAX];
	struct sandbox *sb;
	struct session *ss;
	int rc;

	if (id == NULL) {
		random_id(made, "s-");
		id = made;
	} else if (create_known(r, args, id, e, &rc)) {
		return rc;
	}
	if (check_create(s, args, id, &agent, e) == -1 ||
	    sandbox_for(s, args, id, &sb, e) == -1)
		return -1;
	ss = session_new(s, id, agent, args);
	ss->own_sandbox = json_get(args, "sandbox_spec") != NULL;
	ss->sb = sb;
	ss->creating = r;
	if (must_install(ss, args))
		session_install(ss);
	else
		session_create_go(ss);
	return 0;
}

int
session_create(struct request *r, struct err *e)
{
	return session_create_for(r, r->op.args, e);
}
