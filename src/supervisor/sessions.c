/*
 * The table of sessions and the life of their workers. Runs in the supervisor.
 * A worker is inside its sandbox: what it says is checked by proto.def and
 * believed about its own session only.
 */
#include "supervisor/sessions.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/exec.h"
#include "supervisor/sandboxes.h"
#include "supervisor/spec.h"
#include "supervisor/storec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define PATH_DEFAULT                                                           \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define END_MS 5000

struct session *
session_find(struct super *s, const char *id)
{
	struct session *ss;

	LIST_FOREACH(ss, &s->sessions, link)
	{
		if (strcmp(ss->id, id) == 0)
			return ss;
	}
	return NULL;
}

/* --- records ------------------------------------------------------------------- */

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

static void
state_put(struct session *ss, const char *state, storec_done *done, void *ctx)
{
	struct buf b;

	buf_init(&b, 256);
	(void)buf_addf(&b, "{\"state\":\"%s\"}", state); /* fits */
	storec_put(ss->s->store, "sessions", ss->id, &b, done, ctx);
	buf_free(&b);
}

/* --- waiting requests ------------------------------------------------------------ */

static void
fail_waits(struct session *ss, const struct err *e)
{
	struct session_wait *w;

	while ((w = TAILQ_FIRST(&ss->waits)) != NULL) {
		TAILQ_REMOVE(&ss->waits, w, link);
		request_end_err(w->r, e);
		free(w);
	}
}

static void
serve_waits(struct session *ss)
{
	struct session_wait *w;

	while (ss->ready && (w = TAILQ_FIRST(&ss->waits)) != NULL) {
		TAILQ_REMOVE(&ss->waits, w, link);
		session_send(ss, w->r);
		free(w);
	}
}

/* --- making and freeing ----------------------------------------------------------- */

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
on_free_timer(struct ev_loop *loop ATTR_UNUSED, ev_timer *t,
    int revents ATTR_UNUSED)
{
	session_free(t->data);
}

/* A create that failed: nothing of it stays. */
static void
create_failed(struct session *ss, const struct err *e)
{
	struct request *r = ss->creating;

	if (ss->creating == NULL)
		return;
	ss->creating = NULL;
	fail_waits(ss, e);
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

/* --- the worker ------------------------------------------------------------------- */

static void
on_attached(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct session *ss = ctx;

	if (ok == NULL)
		log_warn("session", "not attached to the store",
		    LOG_STR("session", ss->id), LOG_STR("detail", e->text));
}

/* Give one end of a new channel to the store; the other is *FD_OUT. */
static int
attach(struct session *ss, int *fd_out, struct err *e)
{
	struct proc *store = storec_proc(ss->s->store);
	int store_fd = -1;
	struct jw *w;

	if (!proc_up(store))
		return err_set(e, ERR_STORE_UNAVAILABLE,
		    "the store is restarting");
	if (fd_socketpair(&store_fd, fd_out, e) == -1)
		return -1;
	w = proc_call(store, MSG_STORE_ATTACH, 0, on_attached, ss);
	jw_kstr(w, "session", ss->id);
	(void)proc_send(store, &store_fd, 1); /* failure comes as an answer */
	ss->store_generation = store->generation;
	return 0;
}

static void
on_worker_exec(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct session *ss = ctx;

	if (ok != NULL || !ss->proc.alive)
		return;
	proc_start_failed(&ss->proc, e);
	proc_exited(&ss->proc, 127 << 8);
}

static int
worker_start(struct proc *p, struct err *e)
{
	struct session *ss = p->owner;
	struct sandbox *sb = ss->sb;
	int ours = -1, fds[3] = { -1, -1, -1 };
	struct jw *w;

	if (sb == NULL || sb->state != SB_RUNNING || !proc_up(&sb->proc))
		return err_set(e, ERR_SANDBOX_STATE,
		    "its sandbox is not running");
	fds[0] = fcntl(ss->s->session_fd, F_DUPFD_CLOEXEC, 3);
	if (fds[0] == -1)
		return err_sys(e, "duplicate a descriptor");
	if (fd_socketpair(&ours, &fds[1], e) == -1 ||
	    attach(ss, &fds[2], e) == -1) {
		fd_close(&ours);
		fd_close_all(fds, 3);
		return -1;
	}
	p->start_ms = ss->s->conf.start_session_ms;
	w = proc_call(&sb->proc, MSG_INIT_EXEC, p->start_ms,
	    on_worker_exec, ss);
	ss->exec_id = proc_call_id(&sb->proc);
	jw_kstr(w, "kind", "session");
	jw_key(w, "argv");
	jw_array(w);
	jw_str(w, "sandboxd-session");
	jw_str(w, ss->id); /* for ps; the worker learns it from `start` */
	jw_array_end(w);
	jw_key(w, "env");
	jw_object(w);
	jw_object_end(w);
	jw_kstr(w, "cwd", "/");
	jw_kstr(w, "user", sb->spec.user);
	(void)proc_send(&sb->proc, fds, 3); /* failure comes as an answer */
	proc_spawned(p, -1, -1, ours);
	ss->ready = false;
	return 0;
}

static void
on_started(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct session *ss = ctx;
	struct request *r = ss->creating;
	struct jw *w;

	if (ok == NULL) {
		if (ss->creating != NULL)
			create_failed(ss, e);
		else
			fail_waits(ss, e);
		return;
	}
	ss->ready = true;
	if (r != NULL) {
		ss->creating = NULL;
		w = request_ok(r);
		jw_object(w);
		jw_kstr(w, "id", ss->id);
		jw_kstr(w, "sandbox", ss->sb->id);
		jw_kstr(w, "agent", ss->agent->name);
		jw_kstr(w, "state", "idle");
		jw_object_end(w);
		request_end_ok(r);
	}
	serve_waits(ss);
}

/* The agent's environment: what the sandbox and the session were given, and
 * PATH and HOME if neither names them. Nothing of ours. */
static void
write_env(struct session *ss, struct jw *w)
{
	char *const *const layers[] = { ss->env, ss->sb->spec.env };
	char name[256];

	jw_object(w);
	for (size_t i = 0; i < countof(layers); i++) {
		for (char *const *v = layers[i]; v != NULL && *v; v++) {
			size_t n = strcspn(*v, "=");

			if (n >= sizeof(name))
				continue; /* never accepted: see spec.c */
			memcpy(name, *v, n);
			name[n] = '\0';
			if (i == 0 || strmap_get(ss->env, name) == NULL)
				jw_kstr(w, name, *v + n + 1);
		}
	}
	if (strmap_get(ss->env, "PATH") == NULL &&
	    strmap_get(ss->sb->spec.env, "PATH") == NULL)
		jw_kstr(w, "PATH", PATH_DEFAULT);
	if (strmap_get(ss->env, "HOME") == NULL &&
	    strmap_get(ss->sb->spec.env, "HOME") == NULL)
		jw_kstr(w, "HOME", ss->sb->spec.home);
	jw_object_end(w);
}

static void
write_command(struct session *ss, struct jw *w)
{
	autofree char *program = NULL;

	if (ss->command == NULL) {
		program = agent_program(ss->s, ss->agent);
		if (program == NULL)
			return;
	}
	jw_key(w, "command");
	jw_array(w);
	if (program != NULL)
		jw_str(w, program);
	for (char **v = ss->command; v != NULL && *v != NULL; v++)
		jw_str(w, *v);
	jw_array_end(w);
}

/* A channel to the store that is running now, if the worker's is not. */
static int
reattach(struct session *ss)
{
	struct proc *store = storec_proc(ss->s->store);
	struct jw *w;
	struct err e;
	int fd = -1;

	if (ss->store_generation == store->generation || !proc_up(store))
		return 0; /* comes with sessions_store_up() otherwise */
	if (attach(ss, &fd, &e) == -1)
		return -1;
	w = proc_notice(&ss->proc, MSG_SESSION_STORE);
	if (w == NULL) {
		fd_close(&fd);
		return -1;
	}
	return proc_send(&ss->proc, &fd, 1);
}

static void
worker_up(struct proc *p)
{
	struct session *ss = p->owner;
	const char *dir = ss->directory != NULL ? ss->directory
	    : ss->sb->spec.directory != NULL	? ss->sb->spec.directory
						: ss->sb->spec.home;
	struct jw *w = proc_call(p, MSG_SESSION_START, 0, on_started, ss);

	jw_kstr(w, "session", ss->id);
	jw_kstr(w, "agent", ss->agent->name);
	write_command(ss, w);
	jw_key(w, "env");
	write_env(ss, w);
	jw_kstr(w, "directory", dir);
	if (ss->model != NULL)
		jw_kstr(w, "model", ss->model);
	jw_kstr(w, "permission_mode", ss->permission_mode);
	jw_kstr(w, "agent_mode", ss->agent_mode);
	(void)proc_send(p, NULL, 0); /* failure comes as an answer */
	if (reattach(ss) == -1)
		log_warn("session", "not attached to the store",
		    LOG_STR("session", ss->id));
}

static void
worker_ask_stop(struct proc *p)
{
	chan_free(STEAL(p->ch)); /* at its end of file it leaves at once */
}

static void
worker_kill(struct proc *p)
{
	struct session *ss = p->owner;
	struct jw *w;

	if (ss->sb == NULL ||
	    (w = proc_call(&ss->sb->proc, MSG_INIT_KILL, 0, NULL, NULL)) ==
		NULL)
		return; /* dead with its sandbox */
	jw_kint(w, "exec", ss->exec_id);
	jw_kint(w, "signal", SIGKILL);
	(void)proc_send(&ss->sb->proc, NULL, 0); /* the ladder tries again */
}

static bool
sandbox_runs(const struct session *ss)
{
	return ss->sb != NULL && ss->sb->state == SB_RUNNING &&
	    proc_up(&ss->sb->proc);
}

static void
worker_down(struct proc *p, const char *cause)
{
	struct session *ss = p->owner;
	struct err e;

	ss->ready = false;
	err_set(&e, ERR_SESSION_FAILED, "session %s: its worker: %s", ss->id,
	    cause);
	if (ss->creating != NULL) {
		create_failed(ss, &e);
		return;
	}
	if (ss->ended) {
		fail_waits(ss, &e);
		return;
	}
	if (p->state == PS_FAILED) {
		fail_waits(ss, &e);
		state_put(ss, "error", NULL, NULL);
	} else if (p->state == PS_DOWN && ss->want_worker &&
	    sandbox_runs(ss)) {
		(void)proc_start(p, &e); /* came back while it was dying */
	} else if (p->state == PS_DOWN) {
		fail_waits(ss, &e);
	}
}

static const struct proc_kind worker_kind = {
	.role = ROLE_SESSION,
	.start = worker_start,
	.up = worker_up,
	.ask_stop = worker_ask_stop,
	.kill = worker_kill,
	.down = worker_down,
	.start_ms = 15000,
	.stop_ms = 2000,
	.restart = true,
};

bool
sessions_exited(struct sandbox *sb, int64_t exec, int status)
{
	struct session *ss;

	LIST_FOREACH(ss, &sb->s->sessions, link)
	{
		if (ss->sb == sb && ss->exec_id == exec && ss->proc.alive) {
			proc_exited(&ss->proc, status);
			return true;
		}
	}
	/* One that we have given up already. */
	return true;
}

/* --- create ------------------------------------------------------------------------ */

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
	ss->permission_mode = xstrdup(
	    json_str(args, "permission_mode", "default"));
	ss->agent_mode = xstrdup(json_str(args, "agent_mode", "build"));
	ss->directory = opt_str(args, "directory");
	ss->title = opt_str(args, "title");
	ss->env = strmap_parse(json_get(args, "env"));
	if (command != NULL && command->type == JSON_ARRAY && command->len > 0)
		ss->command = json_strv(command);
	ss->created_at_ms = json_int(args, "created_at", now_realtime_ms());
	ss->want_worker = true;
	TAILQ_INIT(&ss->waits);
	proc_init(&ss->proc, &worker_kind, ss, s->loop, "session %s", id);
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
	json_foreach(it, json_get(args, "env"))
	{
		if (!env_name_valid(it->key) || strlen(it->key) > 200)
			return err_set(e, ERR_BAD_REQUEST,
			    "env: '%.64s' is no name of a variable", it->key);
	}
	if (a->program != NULL && json_get(args, "command") == NULL &&
	    (program = agent_program(s, a)) == NULL)
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
		create_failed(ss, e);
}

static void
on_sandbox_for_create(void *ctx, const struct err *e)
{
	struct session *ss = ctx;
	struct err why;

	if (ss->creating == NULL)
		return;
	if (e != NULL) {
		create_failed(ss, e);
		return;
	}
	/* The store works in order, so the record is there when the worker is
	 * attached; both travel at once. */
	ss->stored = true;
	record_put(ss, on_record, ss);
	if (proc_start(&ss->proc, &why) == -1 && ss->creating != NULL)
		create_failed(ss, &why);
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
		return err_set(e, ERR_SANDBOX_NOT_FOUND, "no such sandbox: %s",
		    sandbox);
	}
	ss = session_new(s, id, agent, args);
	ss->sb = sb;
	ss->creating = r;
	sandbox_ensure(sb, on_sandbox_for_create, ss);
	return 0;
}

/* --- asking -------------------------------------------------------------------------- */

static void
on_sandbox_for_ask(void *ctx, const struct err *e)
{
	struct session *ss = ctx;
	struct err why;

	if (e != NULL) {
		fail_waits(ss, e);
		return;
	}
	ss->want_worker = true;
	if (ss->proc.state == PS_STOPPING)
		return; /* worker_down() starts it again */
	if (proc_start(&ss->proc, &why) == -1 &&
	    ss->proc.state != PS_WAITING)
		fail_waits(ss, &why);
}

void
session_ask(struct session *ss, struct request *r)
{
	struct session_wait *w;
	struct err e;

	if (ss->ended || ss->sb == NULL) {
		err_set(&e, ERR_SESSION_ENDED, "session has ended: %s",
		    ss->id);
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

/* --- the end -------------------------------------------------------------------------- */

struct ending {
	struct session *ss;
	struct request *r;	 /* who asked, or NULL */
	void (*done)(void *ctx); /* who waits for all, or NULL */
	void *ctx;
	unsigned *left;
};

static void
ending_done(struct ending *en, const struct err *e)
{
	struct jw *w;

	if (en->r != NULL && e != NULL) {
		request_end_err(en->r, e);
	} else if (en->r != NULL) {
		w = request_ok(en->r);
		jw_object(w);
		jw_kstr(w, "id", en->ss->id);
		jw_kstr(w, "state", "ended");
		jw_object_end(w);
		request_end_ok(en->r);
	}
	if (en->left != NULL && --*en->left == 0) {
		en->done(en->ctx);
		free(en->left);
	}
	free(en);
}

static void
on_state_ended(void *ctx, const struct err *e)
{
	ending_done(ctx, e);
}

static void
on_worker_ended(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e ATTR_UNUSED)
{
	struct ending *en = ctx;
	struct session *ss = en->ss;

	if (ss->proc.state != PS_DOWN)
		proc_stop(&ss->proc);
	if (ok != NULL)
		ending_done(en, NULL);
	else /* it could not say so itself */
		state_put(ss, "ended", on_state_ended, en);
}

static void
end_one(struct session *ss, struct ending *en)
{
	struct jw *w = NULL;

	ss->ended = true;
	ss->s->nsessions--;
	ss->want_worker = false;
	en->ss = ss;
	if (ss->ready && proc_up(&ss->proc))
		w = proc_call(&ss->proc, MSG_SESSION_END, END_MS,
		    on_worker_ended, en);
	if (w != NULL) {
		/* It exits by itself after its answer. */
		ss->proc.stop_wanted = true;
		(void)proc_send(&ss->proc, NULL, 0); /* comes as an answer */
		return;
	}
	if (ss->proc.state != PS_DOWN)
		proc_kill(&ss->proc);
	state_put(ss, "ended", on_state_ended, en);
}

void
session_end(struct session *ss, struct request *r)
{
	struct ending *en;
	struct err e;

	if (ss->ended || ss->creating != NULL) {
		err_set(&e, ERR_SESSION_ENDED, "session has ended: %s",
		    ss->id);
		request_end_err(r, &e);
		return;
	}
	en = xcalloc(1, sizeof(*en));
	en->r = r;
	end_one(ss, en);
}

void
sessions_end_all(struct sandbox *sb, void (*done)(void *ctx), void *ctx)
{
	unsigned *left = xcalloc(1, sizeof(*left));
	struct session *ss;
	struct ending *en;

	*left = 1; /* ours, so that DONE comes once and last */
	LIST_FOREACH(ss, &sb->s->sessions, link)
	{
		if (ss->sb != sb || ss->ended || ss->creating != NULL)
			continue;
		en = xcalloc(1, sizeof(*en));
		en->done = done;
		en->ctx = ctx;
		en->left = left;
		++*left;
		end_one(ss, en);
	}
	if (--*left == 0) {
		free(left);
		done(ctx);
	}
}

/* --- what happens around it --------------------------------------------------------------- */

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
			state_put(ss, "ended", NULL, NULL);
		ss->ended = true;
		ss->want_worker = false;
		s->nsessions--;
	} else if (!ss->sb->want && strcmp(state, "stopped") != 0) {
		state_put(ss, "stopped", NULL, NULL);
	}
}

void
sessions_store_up(struct super *s)
{
	struct session *ss;

	LIST_FOREACH(ss, &s->sessions, link)
	{
		if (proc_up(&ss->proc) && reattach(ss) == -1)
			log_warn("session", "not attached to the store",
			    LOG_STR("session", ss->id));
	}
}

void
sessions_sandbox_up(struct sandbox *sb)
{
	struct session *ss;
	struct err e;

	LIST_FOREACH(ss, &sb->s->sessions, link)
	{
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

	LIST_FOREACH(ss, &sb->s->sessions, link)
	{
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

	LIST_FOREACH(ss, &sb->s->sessions, link)
	{
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
			state_put(ss, "stopped", NULL, NULL);
		if (gone)
			ss->sb = NULL;
	}
}

void
sessions_write_ids(struct sandbox *sb, struct jw *w)
{
	struct session *ss;

	jw_key(w, "sessions");
	jw_array(w);
	LIST_FOREACH(ss, &sb->s->sessions, link)
	{
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
