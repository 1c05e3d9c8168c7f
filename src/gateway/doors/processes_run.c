/*
 * POST /v1/processes/run: a command from its start to its end. Runs in
 * sandboxd-gateway, which reads the pipes that init has made: hostile bytes, of
 * which so many are kept and the rest is dropped, for the command must never
 * stand still because nobody reads.
 *
 * What is in the pipes when the command has ended is its output; whoever else
 * still holds them is not waited for. A client that leaves changes nothing for
 * the command.
 */
#include "gateway/doors/processes.h"
#include "gateway/lossy.h"
#include "lib/fdio.h"
#include "lib/proclog.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>

#define START_MS 60000
#define READ_BYTES (64u << 10)
#define DRAIN_BYTES ((1u << 20) + READ_BYTES) /* a pipe holds less */
#define KEEP_MAX (64 << 20) /* of a stream, whatever is asked */
#define ANSWER_MAX ((size_t)KEEP_MAX * 12 + 4096)

struct output {
	struct run *run;
	int fd; /* owned; -1 at its end */
	ev_io io;
	struct buf kept;
	bool truncated;
};

struct run {
	struct req *r; /* held */
	struct output out[2];
	int end_fd; /* owned */
	ev_io end;
	size_t max; /* of each stream */
	int64_t started_ms;
	uint64_t pin; /* while it runs its sandbox is in use */
};

static void
output_close(struct output *o)
{
	if (o->fd == -1)
		return;
	ev_io_stop(o->run->r->gw->loop, &o->io);
	fd_close(&o->fd);
}

static void
run_free(struct run *x)
{
	struct req *r = x->r;

	link_unpin(r->gw, x->pin);
	output_close(&x->out[0]);
	output_close(&x->out[1]);
	ev_io_stop(r->gw->loop, &x->end);
	fd_close(&x->end_fd);
	buf_free(&x->out[0].kept);
	buf_free(&x->out[1].kept);
	free(x);
	r->ctx = NULL;
	req_release(r);
}

/* One read. How much came; 0: nothing now; -1: that was the end. */
static ssize_t
output_read(struct output *o)
{
	static char scratch[READ_BYTES];
	ssize_t n = read(o->fd, scratch, sizeof(scratch));
	size_t room = o->run->max - MIN(o->kept.len, o->run->max);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	if ((size_t)n > room)
		o->truncated = true;
	if (room > 0 &&
	    buf_add(&o->kept, scratch, MIN((size_t)n, room)) == -1) {
		o->kept.failed = false;
		o->truncated = true;
		o->run->max = 0; /* no memory: no more of it */
	}
	return n;
}

static void
on_output(struct ev_loop *loop, ev_io *io, int revents)
{
	struct output *o = io->data;

	(void)loop;
	(void)revents;
	if (output_read(o) == -1)
		output_close(o);
}

static void
output_drain(struct output *o)
{
	size_t all = 0;
	ssize_t n = 1;

	while (o->fd != -1 && n > 0 && all < DRAIN_BYTES) {
		n = output_read(o);
		all += (size_t)MAX(n, 0);
	}
}

static void
run_answer(struct run *x, const struct proclog_exit *how)
{
	struct buf b;
	struct jw w;

	buf_init(&b, ANSWER_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	if (how->code == -1)
		jw_knull(&w, "exitCode");
	else
		jw_kint(&w, "exitCode", how->code);
	jw_kbool(&w, "timedOut", how->timed_out);
	jw_key(&w, "stdout");
	lossy_put(&w, x->out[0].kept.data, x->out[0].kept.len);
	jw_key(&w, "stderr");
	lossy_put(&w, x->out[1].kept.data, x->out[1].kept.len);
	jw_kbool(&w, "stdoutTruncated", x->out[0].truncated);
	jw_kbool(&w, "stderrTruncated", x->out[1].truncated);
	jw_kint(&w, "durationMs", now_monotonic_ms() - x->started_ms);
	jw_object_end(&w);
	req_reply_json(x->r, 200, &b);
}

static void
on_end(struct ev_loop *loop, ev_io *io, int revents)
{
	struct run *x = io->data;
	struct proclog_exit how;

	(void)loop;
	(void)revents;
	switch (process_read_exit(x->end_fd, &how)) {
	case 0:
		return;
	case 1:
		output_drain(&x->out[0]);
		output_drain(&x->out[1]);
		run_answer(x, &how);
		break;
	default:
		req_problem(x->r, PROBLEM_UNAVAILABLE,
		    "the sandbox ended while the command ran");
		break;
	}
	run_free(x);
}

/* What was printed for somebody who has left. */
static void
on_gone(struct req *r)
{
	struct run *x = r->ctx;

	if (x == NULL)
		return;
	x->max = 0;
	buf_free(&x->out[0].kept);
	buf_free(&x->out[1].kept);
}

static void
run_watch(struct run *x, int *fds)
{
	struct ev_loop *loop = x->r->gw->loop;
	struct output *o;
	int i;

	for (i = 0; i < 2; i++) {
		o = &x->out[i];
		o->fd = fd_steal(&fds[i]);
		(void)fd_set_nonblock(o->fd, 1); /* a pipe can always */
		ev_io_init(&o->io, on_output, o->fd, EV_READ);
		o->io.data = o;
		ev_io_start(loop, &o->io);
	}
	x->end_fd = fd_steal(&fds[2]);
	(void)fd_set_nonblock(x->end_fd, 1);
	ev_io_init(&x->end, on_end, x->end_fd, EV_READ);
	x->end.data = x;
	ev_io_start(loop, &x->end);
}

static void
on_started(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct run *x = ctx;
	int64_t max;

	if (ok == NULL) {
		process_fail(x->r, e, "failed to spawn process");
	} else if (nfds != 3) {
		req_problem(x->r, PROBLEM_UNAVAILABLE, "no pipes came");
	} else {
		max = json_int(ok, "output_bytes", 0);
		max = json_int(x->r->json, "maxOutputBytes", max) < max
			  ? json_int(x->r->json, "maxOutputBytes", max)
			  : max;
		x->max = x->r->gone ? 0 : (size_t)MIN(max, KEEP_MAX);
		x->started_ms = now_monotonic_ms();
		x->pin = link_pin(x->r->gw, LINK_INIT, x->r->sandbox);
		run_watch(x, fds);
		return;
	}
	run_free(x);
}

void
route_process_run(struct req *r)
{
	int64_t ms = json_int(r->json, "timeoutMs", 0);
	struct run *x;
	struct buf b;
	struct jw w;

	buf_init(&b, proto_table[MSG_PROC_RUN].max_bytes);
	jw_init(&w, &b);
	jw_object(&w);
	if (process_command(r, &w, false) == -1) {
		buf_free(&b);
		return;
	}
	jw_kint(&w, "timeout_ms", ms);
	jw_object_end(&w);
	x = xcalloc(1, sizeof(*x));
	x->r = r;
	x->end_fd = x->out[0].fd = x->out[1].fd = -1;
	x->out[0].run = x->out[1].run = x;
	buf_init(&x->out[0].kept, KEEP_MAX);
	buf_init(&x->out[1].kept, KEEP_MAX);
	r->ctx = x;
	r->on_gone = on_gone;
	req_hold(r);
	(void)link_call(r->gw, LINK_INIT, r->sandbox, MSG_PROC_RUN, &b, NULL, 0,
	    START_MS, on_started, x);
	buf_free(&b);
}
