/*
 * The table of sessions: making them, asking them, what happens around them.
 * Runs in the supervisor. Their processes are in session_worker.c, their end in
 * session_end.c.
 */
#include "supervisor/sessions.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/sandboxes.h"
#include "supervisor/session_priv.h"
#include "supervisor/spec.h"

#include <signal.h>
#include <string.h>

struct session *
session_find(struct super *s, const char *id)
{
	struct session *ss;

	LIST_FOREACH (ss, &s->sessions, link) {
		if (strcmp(ss->id, id) == 0)
			return ss;
	}
	return NULL;
}

/* --- records ------------------------------------------------------------- */

static void
record_put(struct session *ss, storec_done *done, void *ctx)
{
	struct buf b;
	struct jw w;

	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", ss->id);
	jw_kstr(&w, "sandbox", ss->sb->id);
	jw_kstr(&w, "agent", ss->agent->name);
	jw_kstr(&w, "state", "starting");
	jw_kstr(&w, "model", ss->model);
	jw_kstr(&w, "permission_mode", ss->permission_mode);
	jw_kstr(&w, "agent_mode", ss->agent_mode);
	jw_kstr(&w, "directory", ss->directory);
	jw_kstr(&w, "title", ss->title);
	jw_kint(&w, "created_at", ss->created_at_ms);
	jw_key(&w, "env");
	strmap_write(&w, ss->env);
	if (ss->command != NULL) {
		jw_key(&w, "command");
		jw_array(&w);
		for (char **v = ss->command; *v != NULL; v++)
			jw_str(&w, *v);
		jw_array_end(&w);
	}
	jw_object_end(&w);
	storec_put(ss->s->store, "sessions", ss->id, &b, done, ctx);
	buf_free(&b);
}

void
session_state_put(
    struct session *ss, const char *state, storec_done *done, void *ctx)
{
	struct buf b;

	buf_init(&b, 256);
	(void)buf_addf(&b, "{\"state\":\"%s\"}", state); /* fits */
	storec_put(ss->s->store, "sessions", ss->id, &b, done, ctx);
	buf_free(&b);
}

/* --- waiting requests ---------------------------------------------------- */

void
session_fail_waits(struct session *ss, const struct err *e)
{
	struct session_wait *w;

	while ((w = TAILQ_FIRST(&ss->waits)) != NULL) {
		TAILQ_REMOVE(&ss->waits, w, link);
		request_end_err(w->r, e);
		free(w);
	}
}

void
session_serve_waits(struct session *ss)
{
	struct session_wait *w;

	while (ss->ready && (w = TAILQ_FIRST(&ss->waits)) != NULL) {
		TAILQ_REMOVE(&ss->waits, w, link);
		session_send(ss, w->r);
		free(w);
	}
}

/* --- making and freeing -------------------------------------------------- */

static void
session_free(struct session *ss)
{
	LIST_REMOVE(ss, link);
	if (!ss->ended)
		ss->s->nsessions--;
	ev_timer_stop(ss->s->loop, &ss->free_timer);
	proc_free(&ss->proc);
	storec_forget(ss->s->store, ss);
	if (ss->sb != NULL)
		sandbox_forget(ss->sb, ss);
	free(ss->model);
	free(ss->permission_mode);
	free(ss->agent_mode);
	free(ss->directory);
	free(ss->title);
	strv_free(ss->env);
	strv_free(ss->command);
	free(ss);
}

static void
on_free_timer(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	session_free(t->data);
}

/* A create that failed: nothing of it stays. */
void
session_create_failed(struct session *ss, const struct err *e)
{
	struct request *r = ss->creating;

	if (ss->creating == NULL)
		return;
	ss->creating = NULL;
	session_fail_waits(ss, e);
	if (!ss->ended) {
		ss->ended = true; /* no restart, no further request */
		ss->s->nsessions--;
	}
	if (ss->proc.state != PS_DOWN)
		proc_kill(&ss->proc);
	if (ss->stored)
		storec_delete(ss->s->store, "sessions", ss->id, NULL, NULL);
	ev_timer_init(&ss->free_timer, on_free_timer, 0., 0.);
	ss->free_timer.data = ss;
	ev_timer_start(ss->s->loop, &ss->free_timer);
	request_end_err(r, e);
}

/* --- create -------------------------------------------------------------- */

static char *
opt_str(const struct json *args, const char *key)
{
	const char *v = json_str(args, key, NULL);

	return v == NULL ? NULL : xstrdup(v);
}

static struct session *
session_new(struct super *s, const char *id, const struct agent_def *agent,
    const struct json *args)
{
	struct session *ss = xcalloc(1, sizeof(*ss));
	const struct json *command = json_get(args, "command");

	ss->s = s;
	(void)!str_copy(ss->id, sizeof(ss->id), id);
	ss->agent = agent;
	ss->model = opt_str(args, "model");
	ss->permission_mode =
	    xstrdup(json_str(args, "permission_mode", "default"));
	ss->agent_mode = xstrdup(json_str(args, "agent_mode", "build"));
	ss->directory = opt_str(args, "directory");
	ss->title = opt_str(args, "title");
	ss->env = strmap_parse(json_get(args, "env"));
	if (command != NULL && command->type == JSON_ARRAY && command->len > 0)
		ss->command = json_strv(command);
	ss->created_at_ms = json_int(args, "created_at", now_realtime_ms());
	ss->want_worker = true;
	TAILQ_INIT(&ss->waits);
	session_worker_init(ss);
	LIST_INSERT_HEAD(&s->sessions, ss, link);
	s->nsessions++;
	return ss;
}

static int
check_mode(const char *agent, const char *what, const char *const *known,
    const char *word, struct err *e)
{
	for (; *known != NULL; known++) {
		if (strcmp(*known, word) == 0)
			return 0;
	}
	return err_set(e, ERR_MODE_NOT_SUPPORTED, "%s: %s does not have '%s'",
	    what, agent, word);
}

static int
check_create(struct super *s, const struct json *args, const char *id,
    const struct agent_def **agent_out, struct err *e)
{
	const char *name = json_str(args, "agent", "");
	const char *dir = json_str(args, "directory", "/");
	const struct agent_def *a = agent_find(name);
	autofree char *program = NULL;

	if (!session_id_valid(id))
		return err_set(e, ERR_BAD_REQUEST,
		    "id: 1 to 128 bytes without control characters");
	if (session_find(s, id) != NULL)
		return err_set(e, ERR_SESSION_EXISTS, "session exists: %s", id);
	if (s->nsessions >= (size_t)s->conf.max_sessions)
		return err_set(e, ERR_LIMIT, "there are %zu sessions already",
		    s->nsessions);
	if (a == NULL)
		return err_set(e, ERR_AGENT_UNKNOWN, "no such agent: %s", name);
	if (check_mode(name, "permission_mode", a->permission_modes,
		json_str(args, "permission_mode", "default"), e) == -1 ||
	    check_mode(name, "agent_mode", a->agent_modes,
		json_str(args, "agent_mode", "build"), e) == -1)
		return -1;
	if (dir[0] != '/')
		return err_set(e, ERR_BAD_REQUEST,
		    "directory: '%s' is not an absolute path", dir);
	json_foreach (it, json_get(args, "env")) {
		if (!env_name_valid(it->key) || strlen(it->key) > 200)
			return err_set(e, ERR_BAD_REQUEST,
			    "env: '%.64s' is no name of a variable", it->key);
	}
	program = a->program != NULL ? agent_program(s, a) : NULL;
	if (a->program != NULL && json_get(args, "command") == NULL &&
	    program == NULL)
		return err_set(e, ERR_AGENT_NOT_INSTALLED,
		    "%s: no program '%s' on this host", name, a->program);
	*agent_out = a;
	return 0;
}

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
	/* The store works in order, so the record is there when the worker is
	 * attached; both travel at once. */
	ss->stored = true;
	record_put(ss, on_record, ss);
	if (proc_start(&ss->proc, &why) == -1 && ss->creating != NULL)
		session_create_failed(ss, &why);
}

int
session_create(struct request *r, struct err *e)
{
	struct super *s = r->s;
	const struct json *args = r->op.args;
	const char *sandbox = json_str(args, "sandbox", NULL);
	const char *id = json_str(args, "id", NULL);
	const struct agent_def *agent = NULL;
	char made[RANDOM_ID_MAX];
	struct sandbox *sb;
	struct session *ss;

	if (id == NULL) {
		random_id(made, "s-");
		id = made;
	}
	if (check_create(s, args, id, &agent, e) == -1)
		return -1;
	if (sandbox == NULL || strcmp(sandbox, "default") == 0) {
		if (sandbox_default(s, &sb, e) == -1)
			return -1;
	} else if ((sb = sandbox_find(s, sandbox)) == NULL ||
		   sb->state == SB_DESTROYING) {
		return err_set(
		    e, ERR_SANDBOX_NOT_FOUND, "no such sandbox: %s", sandbox);
	}
	ss = session_new(s, id, agent, args);
	ss->sb = sb;
	ss->creating = r;
	sandbox_ensure(sb, on_sandbox_for_create, ss);
	return 0;
}

/* --- asking -------------------------------------------------------------- */

static void
on_sandbox_for_ask(void *ctx, const struct err *e)
{
	struct session *ss = ctx;
	struct err why;

	if (e != NULL) {
		session_fail_waits(ss, e);
		return;
	}
	ss->want_worker = true;
	if (ss->proc.state == PS_STOPPING)
		return; /* worker_down() starts it again */
	if (proc_start(&ss->proc, &why) == -1 && ss->proc.state != PS_WAITING)
		session_fail_waits(ss, &why);
}

void
session_ask(struct session *ss, struct request *r)
{
	struct session_wait *w;
	struct err e;

	if (ss->ended || ss->sb == NULL) {
		err_set(&e, ERR_SESSION_ENDED, "session has ended: %s", ss->id);
		request_end_err(r, &e);
		return;
	}
	if (ss->ready && proc_up(&ss->proc) && TAILQ_EMPTY(&ss->waits)) {
		session_send(ss, r);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->r = r;
	TAILQ_INSERT_TAIL(&ss->waits, w, link);
	if (ss->creating == NULL)
		sandbox_ensure(ss->sb, on_sandbox_for_ask, ss);
}

/* --- what happens around it ---------------------------------------------- */

void
sessions_loaded(struct super *s, const struct json *rec)
{
	const char *id = json_str(rec, "id", "");
	const char *state = json_str(rec, "state", "");
	const struct agent_def *a = agent_find(json_str(rec, "agent", ""));
	struct session *ss;

	if (!session_id_valid(id) || session_find(s, id) != NULL)
		return;
	if (a == NULL) {
		log_error("session", "record names an agent we do not have",
		    LOG_STR("session", id));
		return;
	}
	ss = session_new(s, id, a, rec);
	ss->stored = true;
	ss->sb = sandbox_find(s, json_str(rec, "sandbox", ""));
	/* Idle ones get a worker when they are asked for something. */
	ss->want_worker = strcmp(state, "idle") != 0;
	if (strcmp(state, "ended") == 0 || ss->sb == NULL) {
		if (strcmp(state, "ended") != 0)
			session_state_put(ss, "ended", NULL, NULL);
		ss->ended = true;
		ss->want_worker = false;
		s->nsessions--;
	} else if (!ss->sb->want && strcmp(state, "stopped") != 0) {
		session_state_put(ss, "stopped", NULL, NULL);
	}
}

void
sessions_store_up(struct super *s)
{
	struct session *ss;

	LIST_FOREACH (ss, &s->sessions, link) {
		if (proc_up(&ss->proc) && session_reattach(ss) == -1)
			log_warn("session", "not attached to the store",
			    LOG_STR("session", ss->id));
	}
}

void
sessions_sandbox_up(struct sandbox *sb)
{
	struct session *ss;
	struct err e;

	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb != sb || ss->ended || ss->creating != NULL ||
		    !ss->want_worker || ss->proc.state == PS_STOPPING)
			continue;
		if (proc_start(&ss->proc, &e) == -1)
			log_warn("session", "worker not started",
			    LOG_STR("session", ss->id),
			    LOG_STR("detail", e.text));
	}
}

void
sessions_sandbox_stopping(struct sandbox *sb)
{
	struct session *ss;

	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb != sb || ss->ended)
			continue;
		ss->proc.stop_wanted = true;
		ss->want_worker = true; /* when it starts again */
	}
}

void
sessions_sandbox_down(struct sandbox *sb)
{
	bool gone = sb->state == SB_DESTROYING;
	struct session *ss;

	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb != sb)
			continue;
		/* Its restart is sessions_sandbox_up()'s. */
		ss->proc.stop_wanted = true;
		if (ss->proc.state == PS_WAITING)
			proc_stop(&ss->proc);
		if (ss->proc.alive)
			proc_exited(&ss->proc, SIGKILL);
		if (!ss->ended && ss->stored && !gone &&
		    !(sb->want && sb->proc.state == PS_WAITING))
			session_state_put(ss, "stopped", NULL, NULL);
		if (gone)
			ss->sb = NULL;
	}
}

void
sessions_sandbox_free(struct sandbox *sb)
{
	struct session *ss;

	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb == sb)
			ss->sb = NULL;
	}
}

void
sessions_write_ids(struct sandbox *sb, struct jw *w)
{
	struct session *ss;

	jw_key(w, "sessions");
	jw_array(w);
	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb == sb && !ss->ended)
			jw_str(w, ss->id);
	}
	jw_array_end(w);
}

void
sessions_free(struct super *s)
{
	struct session *ss;

	while ((ss = LIST_FIRST(&s->sessions)) != NULL)
		session_free(ss);
}
