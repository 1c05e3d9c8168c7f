/*
 * Commands that a gateway waits for; runs in init. The pipes are made here and
 * not by the gateway, so that they belong to the command's user, who can open
 * /dev/stdout as on any system; no byte of them is read here.
 *
 * How the command ended goes down a pipe of its own, which also tells by its
 * end when we have died.
 */
#include "init/procs_priv.h"
#include "lib/fdio.h"
#include "lib/strutil.h"

#include <string.h>

struct run {
	LIST_ENTRY(run) link;
	struct procs *ps;
	struct gate *g; /* who asked; NULL: it has left */
	struct exec *x; /* borrowed */
	int64_t id;	/* of the request */
	bool tied;
	int fds[3]; /* owned: read ends of stdout, stderr, the end */
	int end_fd; /* owned: the write end of the last */
};

static void
run_free(struct run *r)
{
	LIST_REMOVE(r, link);
	fd_close_all(r->fds, countof(r->fds));
	fd_close(&r->end_fd);
	free(r);
}

static void
run_started(struct exec *x)
{
	struct run *r = x->ctx;
	struct jw *w;

	if (r->g == NULL) {
		fd_close_all(r->fds, countof(r->fds));
		return;
	}
	w = chan_reply(r->g->ch, r->id);
	jw_kint(w, "run", r->id);
	jw_kint(w, "pid", x->pid);
	jw_kint(w, "output_bytes", r->ps->limits[LIMIT_OUTPUT]);
	jw_object_end(w);
	(void)chan_end(r->g->ch, r->fds, countof(r->fds));
	r->fds[0] = r->fds[1] = r->fds[2] = -1; /* the channel's, in any case */
}

static void
run_failed(struct exec *x, const struct err *e)
{
	struct run *r = x->ctx;
	struct err os = *e;

	procs_os_error(&os);
	if (r->g != NULL)
		(void)chan_reply_err(r->g->ch, r->id, &os);
	run_free(r);
}

static void
run_ended(struct exec *x)
{
	const struct proclog_exit how = {
		.code = x->code == CLD_EXITED ? x->value : -1,
		.sig = x->code == CLD_EXITED ? 0 : x->value,
		.timed_out = x->timed_out,
	};
	struct run *r = x->ctx;
	char record[PROCLOG_HEADER + PROCLOG_EXIT_LEN];
	size_t n = proclog_put_exit(record, &how, now_realtime_ms());

	/* An empty pipe takes it; or nobody reads it. */
	(void)!write(r->end_fd, record, n);
	run_free(r);
}

static const struct exec_ops run_ops = { run_started, run_failed, run_ended };

/* Takes what the child needs into FDS (its stdin not among them). */
static int
run_pipes(struct run *r, int fds[CHILD_FDS], struct err *e)
{
	if (fd_pipe(&r->fds[0], &fds[1], e) == -1 ||
	    fd_pipe(&r->fds[1], &fds[2], e) == -1 ||
	    fd_pipe(&r->fds[2], &r->end_fd, e) == -1) {
		e->code = ERR_LIMIT;
		return -1;
	}
	return 0;
}

void
run_request(struct procs *ps, struct gate *g, int64_t id,
    const struct json *msg, const struct chan_frame *f)
{
	struct exec_how how = {
		.plan = { .msg = msg,
		    .defaults = &g->defaults,
		    .term = "xterm-256color",
		    .adopt = true,
		    .own_fds = true,
		    .fds = { f->nfds > 0 ? f->fds[0] : ps->in->null_fd, -1,
			-1 } },
		.timeout_ms = json_int(msg, "timeout_ms", 0),
	};
	struct run *r = calloc(1, sizeof(*r));
	struct err e;
	int started;

	if (r == NULL) {
		(void)err_set(&e, ERR_LIMIT, "no memory");
		(void)chan_reply_err(g->ch, id, &e);
		return;
	}
	/* A tied one ends when its client leaves; only others need a limit. */
	if (!json_bool(msg, "tied", false)) {
		if (how.timeout_ms == 0)
			how.timeout_ms = ps->limits[LIMIT_RUN_MS];
		how.timeout_ms =
		    MIN(how.timeout_ms, ps->limits[LIMIT_RUN_MAX_MS]);
	}
	r->ps = ps;
	r->g = g;
	r->id = id;
	r->tied = json_bool(msg, "tied", false);
	r->fds[0] = r->fds[1] = r->fds[2] = r->end_fd = -1;
	LIST_INSERT_HEAD(&ps->runs, r, link);
	started = run_pipes(r, how.plan.fds, &e) == -1
		      ? -1
		      : exec_start(ps->in, &how, &run_ops, r, &r->x, &e);
	fd_close_all(how.plan.fds + 1, CHILD_FDS - 1);
	if (started == 0)
		return;
	(void)chan_reply_err(g->ch, id, &e);
	run_free(r);
}

void
run_cancel(struct procs *ps, struct gate *g, const struct json *msg)
{
	int64_t id = json_int(msg, "run", 0);
	struct run *r;

	LIST_FOREACH (r, &ps->runs, link) {
		if (r->g == g && r->id == id) {
			exec_signal(r->x, SIGKILL);
			return;
		}
	}
}

void
runs_gate_closed(struct procs *ps, struct gate *g)
{
	struct run *r;

	LIST_FOREACH (r, &ps->runs, link) {
		if (r->g != g)
			continue;
		r->g = NULL;
		if (r->tied)
			exec_signal(r->x, SIGKILL);
	}
}
