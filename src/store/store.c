/*
 * The store's life: open, hello, loop, orderly end. Runs in sandboxd-store as
 * a user of its own, confined to its directory (confine.c).
 *
 * One turn of the loop reads what has arrived, then `before_wait` commits all
 * of it at once, then running streams get their share; only then does it wait
 * again. Durable, then visible: nothing leaves before the commit that holds
 * it. The end comes from outside at any instant, so there is none to prepare:
 * when the parent is gone, what has arrived is committed and that is all.
 */
#include "store/store.h"

#include "lib/log.h"
#include "lib/parent.h"
#include "lib/xalloc.h"
#include "store/append.h"
#include "store/backup.h"
#include "store/batch.h"
#include "store/compact.h"
#include "store/feed.h"
#include "store/notes.h"
#include "store/purge.h"
#include "store/requests.h"
#include "store/retain.h"
#include "store/sessions.h"
#include "store/stream.h"
#include "store/worker.h"

#include <signal.h>
#include <string.h>

/* Log lines go to the parent, which bounds and writes them. */
static void
log_to_parent(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct store *st = ctx;

	if (st->super != NULL)
		parent_log(st->super, level, line, len);
}

void
store_stay_busy(struct store *st)
{
	ev_idle_start(st->loop, &st->busy);
}

void
store_stop(struct store *st, int exit_code)
{
	batch_commit(st);
	st->exit_code = exit_code;
	ev_break(st->loop, EVBREAK_ALL);
}

static void
on_before_wait(struct ev_loop *loop, ev_prepare *w, int revents ATTR_UNUSED)
{
	struct store *st = w->data;

	ev_idle_stop(loop, &st->busy);
	batch_commit(st);
	/* In a commit of its own: what fails for it fails for nobody else. */
	purge_stage(st);
	batch_commit(st);
	retain_stage(st);
	batch_commit(st);
	streams_run(st);
}

static void
on_busy(struct ev_loop *loop ATTR_UNUSED, ev_idle *w ATTR_UNUSED,
    int revents ATTR_UNUSED)
{
	/* Its being active is what keeps the loop from waiting. */
}

static void
on_retry(struct ev_loop *loop ATTR_UNUSED, ev_timer *w, int revents ATTR_UNUSED)
{
	struct store *st = w->data;

	st->purge_later = false;
}

static void
on_readers(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *w, int revents ATTR_UNUSED)
{
	struct store *st = w->data;

	db_readers_clear(&st->db);
}

static void
on_term(struct ev_loop *loop ATTR_UNUSED, ev_signal *w, int revents ATTR_UNUSED)
{
	store_stop(w->data, EXIT_OK);
}

static void
watchers_start(struct store *st)
{
	ev_prepare_init(&st->before_wait, on_before_wait);
	st->before_wait.data = st;
	ev_prepare_start(st->loop, &st->before_wait);
	ev_idle_init(&st->busy, on_busy);
	ev_timer_init(&st->retry, on_retry, 0., 0.);
	st->retry.data = st;
	ev_timer_init(&st->readers, on_readers, 0., 0.);
	st->readers.data = st;
	ev_signal_init(&st->on_term, on_term, SIGTERM);
	st->on_term.data = st;
	ev_signal_start(st->loop, &st->on_term);
	/* A terminal's interrupt is for the supervisor, which ends us last;
	 * a closed connection and a file size limit are errors, not ends. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
}

static int
store_open(struct store *st, const struct store_options *opt, struct err *e)
{
	if (compact_here(opt->compact_share, e) == -1)
		log_warn("store", "not compacted", LOG_STR("detail", e->text));
	if (db_open(&st->db, &opt->db, e) == -1)
		return err_prefix(e, "database");
	if (streams_open(st, e) == -1)
		return -1;
	return purge_load(st, e);
}

static void
store_close(struct store *st)
{
	struct worker *w;

	while ((w = LIST_FIRST(&st->workers)) != NULL)
		worker_free(w);
	noters_close(st);
	feeds_close(st);
	retain_close(st);
	backup_close(st);
	streams_close(st);
	batch_free(STEAL(st->batch));
	append_scanner_free(STEAL(st->scanner));
	free(STEAL(st->purge));
	db_close(&st->db);
	log_sink(NULL, NULL);
	chan_free(STEAL(st->super));
	ev_loop_destroy(st->loop);
}

int
store_run(const struct store_options *opt)
{
	struct store *st = xcalloc(1, sizeof(*st));
	struct err e;
	int code;

	st->exit_code = EXIT_OK;
	LIST_INIT(&st->workers);
	LIST_INIT(&st->feeds);
	LIST_INIT(&st->noters);
	st->loop = ev_loop_new(EVFLAG_AUTO);
	if (st->loop == NULL)
		fatal("store", "no event loop");
	st->super =
	    chan_new(st->loop, opt->super_fd, "supervisor", requests_frame, st);
	log_sink(log_to_parent, st);
	st->scanner = append_scanner_new();
	st->batch = batch_new();
	retain_open(st);
	watchers_start(st);
	if (store_open(st, opt, &e) == -1) {
		log_error("store", "cannot start", LOG_STR("detail", e.text));
		st->exit_code =
		    e.code == ERR_PRECONDITION ? EXIT_NEWER : EXIT_SYS;
	} else {
		/* Its end of file tells when nobody listens. */
		(void)parent_hello(st->super, ROLE_STORE);
		(void)ev_run(st->loop, 0);
	}
	code = st->exit_code;
	store_close(st);
	free(st);
	return code;
}
