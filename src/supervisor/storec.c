/*
 * Writes to the store, kept until they are durable. Runs in the supervisor,
 * which trusts the store's answers as its own words.
 */
#include "supervisor/storec.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/gateway.h"
#include "supervisor/notify.h"
#include "supervisor/retain.h"
#include "supervisor/roles.h"
#include "supervisor/sandboxes.h"
#include "supervisor/sessions.h"
#include "supervisor/spawn.h"
#include "supervisor/tokens.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Without a store there is nothing to serve: at the first start of all we say
 * so and leave, later we keep trying. */
#define START_TRIES 4
#define START_MS 30000
#define BYTES_PER_MS 10000 /* that a slow disk takes, with room to spare */

struct write {
	TAILQ_ENTRY(write) link;
	struct storec *st;
	enum msg_type type;
	char *db, *key, *record; /* owned; record NULL for a delete */
	size_t record_len;
	int64_t at_ms;	  /* of a note */
	bool sent, again; /* now; before */
	bool cut;	  /* there was no memory for its record */
	ev_timer refuse;  /* then it is answered from the loop */
	storec_done *done;
	void *ctx;
};

struct storec {
	struct super *s;
	struct proc proc;
	TAILQ_HEAD(writes, write) writes;
	char load_db[16];
	bool held;
	bool compact_next;
};

static void load_next(struct storec *st, const char *db, const char *after);

static void
write_free(struct write *w)
{
	TAILQ_REMOVE(&w->st->writes, w, link);
	ev_timer_stop(w->st->s->loop, &w->refuse);
	free(w->db);
	free(w->key);
	free(w->record);
	free(w);
}

static void
on_written(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct write *w = ctx;
	storec_done *done = w->done;
	void *done_ctx = w->ctx;

	if (ok == NULL && e->code == ERR_STORE_UNAVAILABLE &&
	    !w->st->proc.stop_wanted) {
		w->sent = false; /* again, when it is back */
		return;
	}
	if (ok == NULL)
		log_error("store", "not written", LOG_STR("db", w->db),
		    LOG_STR("key", w->key), LOG_STR("detail", e->text));
	write_free(w);
	if (done != NULL)
		done(done_ctx, ok != NULL ? NULL : e);
}

static void
send_write(struct write *w)
{
	struct jw *jw;

	if (w->st->held || w->cut)
		return;
	jw = proc_call(&w->st->proc, w->type, 0, on_written, w);

	if (jw == NULL)
		return;
	if (w->type == MSG_STORE_NOTE) {
		jw_kstr(jw, "sandbox", w->key);
		jw_kint(jw, "at", w->at_ms);
		if (w->again)
			jw_kbool(jw, "again", true);
	} else {
		jw_kstr(jw, "db", w->db);
		jw_kstr(jw, "key", w->key);
	}
	if (w->record != NULL) {
		jw_key(jw, w->type == MSG_STORE_NOTE ? "note" : "record");
		jw_raw(jw, w->record, w->record_len);
	}
	w->sent = w->again = true;
	(void)proc_send(&w->st->proc, NULL, 0); /* failure comes as an answer */
}

/* What is no JSON would end the store, and the next one too. */
static void
on_refuse(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct err e;

	err_set(&e, ERR_LIMIT, "no memory for a record");
	on_written(t->data, NULL, NULL, &e);
}

static void
add_write(struct storec *st, enum msg_type type, const char *db,
    const char *key, const struct buf *record, storec_done *done, void *ctx)
{
	struct write *w = xcalloc(1, sizeof(*w));

	w->st = st;
	w->type = type;
	ev_timer_init(&w->refuse, on_refuse, 0., 0.);
	w->refuse.data = w;
	w->db = xstrdup(db);
	w->key = xstrdup(key);
	if (record != NULL && (record->failed || record->len == 0)) {
		w->cut = true;
		ev_timer_start(st->s->loop, &w->refuse);
	} else if (record != NULL) {
		w->record = xstrndup(record->data, record->len);
		w->record_len = record->len;
	}
	w->done = done;
	w->ctx = ctx;
	w->at_ms = now_realtime_ms();
	TAILQ_INSERT_TAIL(&st->writes, w, link);
	if (proc_up(&st->proc))
		send_write(w);
}

void
storec_put(struct storec *st, const char *db, const char *key,
    const struct buf *record, storec_done *done, void *ctx)
{
	add_write(st, MSG_STORE_PUT, db, key, record, done, ctx);
}

void
storec_delete(struct storec *st, const char *db, const char *key,
    storec_done *done, void *ctx)
{
	add_write(st, MSG_STORE_DELETE, db, key, NULL, done, ctx);
}

void
storec_note(struct storec *st, const char *sandbox, const struct buf *note)
{
	add_write(
	    st, MSG_STORE_NOTE, "sandbox_logs", sandbox, note, NULL, NULL);
}

void
storec_forget(struct storec *st, void *ctx)
{
	struct write *w;

	TAILQ_FOREACH (w, &st->writes, link) {
		if (w->ctx == ctx)
			w->done = NULL;
	}
}

bool
storec_idle(const struct storec *st)
{
	return TAILQ_EMPTY(&st->writes);
}

static void
send_all(struct storec *st)
{
	struct write *w;

	TAILQ_FOREACH (w, &st->writes, link) {
		if (!w->sent)
			send_write(w);
	}
}

void
storec_hold(struct storec *st)
{
	st->held = true;
}

void
storec_release(struct storec *st)
{
	if (!st->held)
		return;
	st->held = false;
	if (!proc_up(&st->proc))
		return;
	send_all(st);
	sessions_store_up(st->s); /* those whose records have waited */
}

bool
storec_held(const struct storec *st)
{
	return st->held;
}

const char *
storec_unsettled(const struct storec *st)
{
	const struct write *w;

	if (!proc_up(&st->proc))
		return "the store does not run";
	TAILQ_FOREACH (w, &st->writes, link) {
		if (w->sent)
			return "records are being stored";
	}
	return proc_busy(&st->proc);
}

void
storec_compact_next(struct storec *st)
{
	st->compact_next = true;
}

/* --- loading at start ---------------------------------------------------- */

static void
load_one(struct storec *st, const struct json *rec)
{
	if (strcmp(st->load_db, "sandboxes") == 0)
		sandboxes_loaded(st->s, rec);
	else if (strcmp(st->load_db, "sessions") == 0)
		sessions_loaded(st->s, rec);
	else
		tokens_loaded(st->s->tokens, rec);
}

static void
on_loaded(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct storec *st = ctx;
	bool is_tokens = strcmp(st->load_db, "tokens") == 0;
	const char *last = "";

	if (ok == NULL) {
		/* The store died; its next start loads from the beginning. */
		log_warn("store", "load failed", LOG_STR("detail", e->text));
		return;
	}
	json_foreach (rec, json_get(ok, "records")) {
		load_one(st, rec);
		last = json_str(rec, is_tokens ? "sha256" : "id", last);
	}
	if (json_bool(ok, "more", false) && last[0] != '\0')
		load_next(st, st->load_db, last);
	else if (strcmp(st->load_db, "sandboxes") == 0)
		load_next(st, "sessions", "");
	else if (!is_tokens)
		load_next(st, "tokens", "");
	else
		super_loaded(st->s);
}

static void
load_next(struct storec *st, const char *db, const char *after)
{
	struct jw *w = proc_call(&st->proc, MSG_STORE_LOAD, 0, on_loaded, st);

	if (w == NULL)
		return;
	if (db != st->load_db)
		(void)!str_copy(st->load_db, sizeof(st->load_db), db);
	jw_kstr(w, "db", db);
	jw_kstr(w, "after", after);
	(void)proc_send(&st->proc, NULL, 0); /* failure comes as an answer */
}

/* --- the process --------------------------------------------------------- */

/* It may have to go over all of its file: an upgrade, a compaction. */
static void
start_deadline(struct proc *p, int dir_fd)
{
	struct stat st;

	p->start_ms = START_MS;
	if (fstatat(dir_fd, "data.mdb", &st, AT_SYMLINK_NOFOLLOW) == 0)
		p->start_ms += st.st_size / BYTES_PER_MS;
}

static int
store_start(struct proc *p, struct err *e)
{
	static char program[] = "sandboxd-store", uid_flag[] = "--uid",
		    gid_flag[] = "--gid", map_bytes[] = "--map-bytes",
		    durability[] = "--durability",
		    compact[] = "--compact-share";
	struct storec *st = p->owner;
	struct super *s = st->s;
	char uid[16], map[24], share[24];
	char *argv[12];
	size_t n = 0;
	autofd int dir_fd = openat(s->state_fd, "store",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir_fd == -1)
		return err_sys(e, "open %s/store", s->conf.state_dir);
	(void)snprintf(
	    uid, sizeof(uid), "%lu", (unsigned long)SUPER_STORE_ID(s));
	(void)snprintf(map, sizeof(map), "%lld", (long long)s->conf.map_bytes);
	argv[n++] = program;
	argv[n++] = durability;
	argv[n++] = s->conf.durability;
	argv[n++] = map_bytes;
	argv[n++] = map;
	if (st->compact_next || (!s->ready && s->conf.compact_share > 0)) {
		(void)snprintf(share, sizeof(share), "%lld",
		    st->compact_next ? 1LL : (long long)s->conf.compact_share);
		st->compact_next = false; /* if it fails, once is enough */
		argv[n++] = compact;
		argv[n++] = share;
	}
	start_deadline(p, dir_fd);
	if (s->root) {
		argv[n++] = uid_flag;
		argv[n++] = uid;
		argv[n++] = gid_flag;
		argv[n++] = uid;
	}
	argv[n] = NULL;
	return spawn_helper(s, p, dir_fd, argv, e);
}

static void
store_up(struct proc *p)
{
	struct storec *st = p->owner;

	role_up(st->s, p);
	/* Sessions are attached below: what they need goes before. */
	st->held = false;
	send_all(st);
	retain_tell(st->s);
	gateways_store_up(st->s->gateways); /* the database exists now */
	if (!st->s->ready)
		load_next(st, "sandboxes", "");
	else
		sessions_store_up(st->s);
}

/* End of file makes it commit what it has and exit. */
static void
store_ask_stop(struct proc *p)
{
	chan_free(STEAL(p->ch));
}

static void
store_down(struct proc *p, const char *cause ATTR_UNUSED)
{
	struct storec *st = p->owner;

	role_down(st->s, p);
	if (WIFEXITED(p->exit_status) &&
	    WEXITSTATUS(p->exit_status) == EXIT_NEWER && !p->stop_wanted) {
		/* Trying again helps nobody. */
		log_error("store", "a newer sandboxd has used the database");
		notify_status(st->s, "Failed: a newer sandboxd has used the "
				     "database; see sandboxctl doctor");
		if (p->state != PS_DOWN)
			proc_stop(p);
		if (!st->s->stopping)
			super_stop(st->s, EXIT_NEWER);
		return;
	}
	if (!st->s->ready && p->ncrashes >= START_TRIES) {
		log_error("store", "does not start; giving up");
		super_stop(st->s, EXIT_SYS);
	}
	super_stop_step(st->s);
}

static const struct proc_kind store_kind = {
	.role = ROLE_STORE,
	.start = store_start,
	.up = store_up,
	.ask_stop = store_ask_stop,
	.down = store_down,
	.start_ms = START_MS,
	.stop_ms = 10000,
	.restart = true,
	.keep_trying = true,
};

struct storec *
storec_new(struct super *s)
{
	struct storec *st = xcalloc(1, sizeof(*st));

	st->s = s;
	TAILQ_INIT(&st->writes);
	proc_init(&st->proc, &store_kind, st, s->loop, "store");
	return st;
}

void
storec_free(struct storec *st)
{
	struct write *w;

	if (st == NULL)
		return;
	proc_free(&st->proc);
	while ((w = TAILQ_FIRST(&st->writes)) != NULL)
		write_free(w);
	free(st);
}

int
storec_start(struct storec *st, struct err *e)
{
	return proc_start(&st->proc, e);
}

void
storec_stop(struct storec *st)
{
	proc_stop(&st->proc);
}

struct proc *
storec_proc(struct storec *st)
{
	return &st->proc;
}
