/*
 * Installations: who waits for which, and how each ends. Runs in the courier;
 * orders come from the supervisor. One installation of an agent at a time.
 */
#include "courier/courier.h"

#include "courier/beneath.h"
#include "lib/defs.h"
#include "lib/log.h"
#include "lib/proto.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <stdio.h>
#include <string.h>

#define RUNNING_MAX 3
#define JOBS_MAX 64
#define WAITERS_MAX 256
#define ENTRIES_MAX 200000
#define PROGRESS_S 0.25
#define LOCKED_MS (15 * 60 * 1000)

static void run_all(struct courier *c);

static const char *const stage_names[] = {
	[JOB_WAITING] = "waiting",
	[JOB_RESOLVING] = "resolving",
	[JOB_DOWNLOADING] = "downloading",
	[JOB_UNPACKING] = "unpacking",
	[JOB_FINISHING] = "finishing",
};

/* --- progress ------------------------------------------------------------ */

static void
progress_send(struct job *j)
{
	int64_t done = 0, total = 0;
	const char *what = "";
	char told[sizeof(j->told)], shown[200];
	struct jw *w;

	if (j->stage >= JOB_DOWNLOADING)
		pieces_progress(j, &done, &total, &what);
	str_show(shown, sizeof(shown), what, strlen(what));
	(void)snprintf(told, sizeof(told), "%d %lld %lld %s", (int)j->stage,
	    (long long)done, (long long)total, shown);
	if (strcmp(told, j->told) == 0)
		return;
	memcpy(j->told, told, sizeof(told));
	w = chan_begin(j->c->ch);
	proto_begin(w, MSG_COURIER_PROGRESS, 0);
	jw_kstr(w, "agent", j->agent);
	jw_kstr(w, "stage", stage_names[j->stage]);
	jw_kstr(w, "what", shown);
	jw_kint(w, "done", done);
	jw_kint(w, "total", total);
	(void)chan_end(j->c->ch, NULL, 0); /* one that is lost is no loss */
}

/* --- ends ---------------------------------------------------------------- */

/* What was begun and is not to be: gone before anybody is told. */
static void
drop_work(struct job *j)
{
	pieces_free(j);
	npm_free(j);
	fd_close(&j->tmp_fd);
	if (j->tmp[0] != '\0')
		shelf_abandon(j->agent_fd, j->tmp);
	j->tmp[0] = '\0';
}

static void
job_free(struct job *j)
{
	struct waiter *w;

	TAILQ_REMOVE(&j->c->jobs, j, link);
	ev_timer_stop(j->c->loop, &j->progress);
	drop_work(j);
	fd_close(&j->lock_fd);
	fd_close(&j->agent_fd);
	while ((w = LIST_FIRST(&j->waiters)) != NULL) {
		LIST_REMOVE(w, link);
		free(w);
	}
	recipe_free(&j->recipe);
	json_free(j->order);
	free(j->key);
	free(j);
}

void
job_fail(struct job *j, struct err *e)
{
	struct courier *c = j->c;
	struct waiter *w;

	if (e->code != ERR_DISK_FULL && e->code != ERR_BAD_REQUEST &&
	    e->code != ERR_LIMIT)
		e->code = ERR_INSTALL_FAILED;
	(void)err_prefix(e, "install %s", j->agent);
	log_warn("job", "failed", LOG_STR("detail", e->text));
	drop_work(j);
	LIST_FOREACH (w, &j->waiters, link)
		(void)chan_reply_err(c->ch, w->id, e); /* or it is gone */
	job_free(j);
	run_all(c);
}

void
job_done(struct job *j, const char *dir, bool already)
{
	struct courier *c = j->c;
	struct waiter *w;

	log_info("job", already ? "is there" : "installed",
	    LOG_STR("agent", j->agent), LOG_STR("version", j->version),
	    LOG_INT("bytes", j->bytes));
	LIST_FOREACH (w, &j->waiters, link) {
		struct jw *out = chan_reply(c->ch, w->id);
		char path[AGENT_ID_MAX + SHELF_NAME_MAX + 2];

		(void)!str_format(path, sizeof(path), "%s/%s", j->agent, dir);
		jw_kstr(out, "version", j->version);
		jw_kstr(out, "path", path);
		jw_kbool(out, "already", already);
		jw_kint(out, "bytes", j->bytes);
		jw_object_end(out);
		(void)chan_end(c->ch, NULL, 0); /* or it is gone */
	}
	job_free(j);
	run_all(c);
}

/* --- beginning ----------------------------------------------------------- */

bool
job_is_there(struct job *j)
{
	const char *program =
	    j->recipe.archive ? j->recipe.program : j->recipe.roots[0].program;
	char dir[SHELF_NAME_MAX];
	struct err e;

	if (j->reinstall || !shelf_find(j->agent_fd, j->version, program, dir))
		return false;
	if (shelf_switch(j->agent_fd, dir, &e) == -1)
		job_fail(j, &e);
	else
		job_done(j, dir, true);
	return true;
}

int
job_begin_dir(struct job *j, struct err *e)
{
	j->room = (struct unpack_room){ .bytes = j->c->max_bytes,
		.entries = ENTRIES_MAX,
		.most = j->c->max_bytes };
	return shelf_begin(j->agent_fd, j->tmp, &j->tmp_fd, e);
}

/* Go on if nobody else installs this agent; else on_progress() comes back. */
static void
lock_and_go(struct job *j)
{
	struct err e;
	int r = shelf_lock(j->agent_fd, &j->lock_fd, &e);

	if (r == 0 && j->lock_fd == -1) {
		if (now_monotonic_ms() - j->since < LOCKED_MS)
			return;
		r = err_set(&e, ERR_INSTALL_FAILED,
		    "another sandboxd is installing it, and does not end");
	}
	if (r == -1) {
		job_fail(j, &e);
		return;
	}
	j->stage = JOB_RESOLVING;
	progress_send(j);
	if (j->recipe.archive)
		archive_begin(j);
	else
		npm_begin(j);
}

static void
on_progress(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct job *j = t->data;

	progress_send(j);
	if (j->running && j->stage == JOB_WAITING)
		lock_and_go(j); /* which may be its end */
}

static void
begin(struct job *j)
{
	struct err e;

	j->running = true;
	j->since = now_monotonic_ms();
	if (recipe_read(&j->recipe, json_get(j->order, "recipe"), j->agent,
		json_str(j->order, "version", NULL), &j->c->platform,
		&e) == -1 ||
	    shelf_agent(j->c->agents_fd, j->agent, &j->agent_fd, &e) == -1)
		job_fail(j, &e);
	else
		lock_and_go(j);
}

static bool
may_run(const struct job *j)
{
	const struct job *other;
	unsigned n = 0;

	TAILQ_FOREACH (other, &j->c->jobs, link) {
		if (!other->running)
			continue;
		if (++n == RUNNING_MAX || strcmp(other->agent, j->agent) == 0)
			return false;
	}
	return !j->running;
}

/* Each job that begins may end at once, and the list with it. */
static void
run_all(struct courier *c)
{
	struct job *j;
	bool again = true;

	while (again) {
		again = false;
		TAILQ_FOREACH (j, &c->jobs, link) {
			if (may_run(j)) {
				begin(j);
				again = true;
				break;
			}
		}
	}
}

/* --- orders -------------------------------------------------------------- */

static void
copy_order(struct job *j, const struct json *order)
{
	struct err ignored;
	struct buf b;
	struct jw w;

	buf_init(&b, 2 << 20);
	jw_init(&w, &b);
	jw_value(&w, order);
	/* It was a frame, so it is well-formed and small. */
	if (b.failed ||
	    json_parse(b.data, b.len, 64, &j->order, &ignored) == -1)
		fatal("job", "no memory for an order");
	buf_free(&b);
}

static char *
order_key(const struct json *order)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 2 << 20);
	jw_init(&w, &b);
	jw_array(&w);
	jw_str(&w, json_str(order, "agent", ""));
	jw_str(&w, json_str(order, "version", NULL));
	jw_bool(&w, json_bool(order, "reinstall", false));
	jw_value(&w, json_get(order, "recipe"));
	jw_array_end(&w);
	return b.failed ? xstrdup("") : buf_steal(&b);
}

/* The one that does the same, or a new one; NULL: there are too many. */
static struct job *
find_or_make(struct courier *c, const struct json *order)
{
	char *key = order_key(order);
	struct job *j;
	size_t n = 0;

	TAILQ_FOREACH (j, &c->jobs, link) {
		n++;
		if (strcmp(j->key, key) == 0) {
			free(key);
			return j;
		}
	}
	if (n >= JOBS_MAX) {
		free(key);
		return NULL;
	}
	j = xcalloc(1, sizeof(*j));
	j->c = c;
	j->key = key;
	j->agent_fd = j->lock_fd = j->tmp_fd = -1;
	(void)!str_copy(
	    j->agent, sizeof(j->agent), json_str(order, "agent", ""));
	j->reinstall = json_bool(order, "reinstall", false);
	LIST_INIT(&j->waiters);
	LIST_INIT(&j->known);
	TAILQ_INIT(&j->pieces);
	copy_order(j, order);
	ev_timer_init(&j->progress, on_progress, PROGRESS_S, PROGRESS_S);
	j->progress.data = j;
	ev_timer_start(c->loop, &j->progress);
	TAILQ_INSERT_TAIL(&c->jobs, j, link);
	return j;
}

void
job_request(struct courier *c, int64_t id, const struct json *order)
{
	struct waiter *w, *other;
	struct job *j = NULL;
	struct err e;
	size_t n = 0;

	if (!recipe_word_valid(json_str(order, "agent", ""), AGENT_ID_MAX)) {
		err_set(&e, ERR_BAD_REQUEST, "agent: not a name of one");
		(void)chan_reply_err(c->ch, id, &e);
		return;
	}
	j = find_or_make(c, order);
	if (j != NULL) {
		LIST_FOREACH (other, &j->waiters, link)
			n++;
	}
	if (j == NULL || n >= WAITERS_MAX) {
		err_set(&e, ERR_LIMIT, "too many installations wait");
		(void)chan_reply_err(c->ch, id, &e);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->id = id;
	LIST_INSERT_HEAD(&j->waiters, w, link);
	run_all(c);
}
