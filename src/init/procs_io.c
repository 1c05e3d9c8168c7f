/*
 * What managed processes print and are sent; runs in init.
 *
 * One read makes one record; a process that prints without end takes its turn
 * like the others. Nothing here waits for a process to read: what its pipe does
 * not take is kept up to the limit of one request, and more is refused.
 */
#include "init/procs_priv.h"
#include "lib/fdio.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* Of input that waits for its reader, whatever the limit says: it is memory of
 * process 1. */
#define INPUT_MAX_BYTES ((int64_t)8 << 20)
#define PTY_READ 4095
#define DRAIN_READS 64 /* what pipes and terminals hold, and some */

/*
 * Output
 */

/* One record. 1: there may be more; 0: not now; -1: that was the end. */
static int
output_read(struct output *o)
{
	struct mproc *p = o->p;
	size_t max = o->stream == PROCLOG_PTY ? PTY_READ : PROCLOG_DATA_MAX;
	char record[PROCLOG_MAX];
	struct proclog r = { .stream = o->stream };
	ssize_t n = read(o->fd, record + PROCLOG_HEADER, max);
	bool kept;

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) /* of a terminal the end is EIO */
		return -1;
	r.len = (size_t)n;
	r.sequence = ++p->log.sequence;
	r.time_ms = now_realtime_ms();
	proclog_put(record, &r);
	kept = plog_append(&p->log, record, PROCLOG_HEADER + r.len,
		   (uint64_t)p->ps->limits[LIMIT_LOG]) == 0;
	followers_tell(p, record, PROCLOG_HEADER + r.len, kept);
	return 1;
}

void
output_stop(struct output *o)
{
	if (o->fd == -1)
		return;
	ev_io_stop(o->p->ps->in->loop, &o->io);
	fd_close(&o->fd);
}

static void
on_output(struct ev_loop *loop, ev_io *io, int revents)
{
	struct output *o = io->data;

	(void)loop;
	(void)revents;
	if (output_read(o) == -1)
		output_stop(o);
	else
		init_awake(o->p->ps->in);
}

void
output_start(struct output *o)
{
	if (o->fd == -1)
		return;
	ev_io_init(&o->io, on_output, o->fd, EV_READ);
	o->io.data = o;
	/* Of what is ready at the same time the output comes first. */
	ev_set_priority(&o->io, o->stream == PROCLOG_STDOUT ? 1 : 0);
	ev_io_start(o->p->ps->in->loop, &o->io);
}

void
output_drain(struct output *o)
{
	int i, r = 1;

	for (i = 0; o->fd != -1 && r == 1 && i < DRAIN_READS; i++)
		r = output_read(o);
	if (o->fd != -1 && r == -1)
		output_stop(o);
}

/*
 * Input
 */

void
input_stop(struct mproc *p)
{
	ev_io_stop(p->ps->in->loop, &p->input_io);
	fd_close(&p->in_fd);
	buf_free(&p->input);
}

size_t
input_room(const struct mproc *p)
{
	size_t max = (size_t)MIN(p->ps->limits[LIMIT_INPUT], INPUT_MAX_BYTES);

	return p->in_fd == -1 || p->input.len >= max ? 0 : max - p->input.len;
}

static void
on_input(struct ev_loop *loop, ev_io *io, int revents)
{
	struct mproc *p = io->data;
	ssize_t n = write(p->in_fd, p->input.data, p->input.len);

	(void)revents;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1) { /* nobody will read it */
		input_stop(p);
		return;
	}
	buf_consume(&p->input, (size_t)n);
	buf_trim(&p->input, 0);
	if (p->input.len == 0)
		ev_io_stop(loop, io);
	followers_input(p);
}

/* Let DATA wait until the pipe takes it. */
static int
input_queue(struct mproc *p, const char *data, size_t n, struct err *e)
{
	if (buf_add(&p->input, data, n) == -1) {
		p->input.failed = false;
		return err_set(e, ERR_LIMIT, "no memory for input");
	}
	ev_io_stop(p->ps->in->loop, &p->input_io);
	ev_io_init(&p->input_io, on_input, p->in_fd, EV_WRITE);
	p->input_io.data = p;
	ev_io_start(p->ps->in->loop, &p->input_io);
	return 0;
}

int
input_write(struct mproc *p, const char *data, size_t n, struct err *e)
{
	ssize_t put = 0;

	if (p->in_fd == -1) {
		e->sys = EPIPE;
		e->code = ERR_SYSTEM;
		procs_os_error(e);
		return -1;
	}
	if (n > input_room(p))
		return err_set(e, ERR_LIMIT,
		    "the process does not read its input: %zu bytes wait",
		    p->input.len);
	if (p->input.len == 0)
		put = write(p->in_fd, data, n);
	if (put == -1 && errno != EAGAIN && errno != EINTR) {
		(void)err_sys(e, "input");
		procs_os_error(e);
		return -1;
	}
	put = MAX(put, 0);
	return (size_t)put == n
		   ? 0
		   : input_queue(p, data + put, n - (size_t)put, e);
}

/* The bytes of a memory file: of any other a read might have to wait. */
static int
input_load(
    struct procs *ps, int fd, char **data_out, size_t *len_out, struct err *e)
{
	int64_t max = ps->limits[LIMIT_INPUT];
	struct stat st;

	if (fcntl(fd, F_GET_SEALS) == -1 || fstat(fd, &st) == -1)
		return err_set(e, ERR_BAD_REQUEST, "input: no memory file");
	if (st.st_size > max)
		return err_set(e, ERR_TOO_LARGE,
		    "input payload exceeds maxInputBytesPerRequest (%lld)",
		    (long long)max);
	*data_out = malloc((size_t)st.st_size + 1);
	if (*data_out == NULL)
		return err_set(e, ERR_LIMIT, "no memory for input");
	if (pread(fd, *data_out, (size_t)st.st_size, 0) != st.st_size)
		return err_sys(e, "input");
	*len_out = (size_t)st.st_size;
	return 0;
}

void
input_request(struct procs *ps, struct gate *g, int64_t id,
    const struct json *msg, const struct chan_frame *f)
{
	autofree char *data = NULL;
	struct mproc *p = NULL;
	struct err e;
	struct jw *w;
	size_t n = 0;
	int r = -1;

	if (f->nfds != 1)
		(void)err_set(&e, ERR_BAD_REQUEST, "fds: one is needed");
	else if (input_load(ps, f->fds[0], &data, &n, &e) == 0)
		p = mproc_find(ps, msg, &e);
	if (p != NULL && p->state != MPROC_RUNNING)
		(void)err_set(&e, ERR_PROCESS_STATE, "process is not running");
	else if (p != NULL)
		r = input_write(p, data, n, &e);
	if (r == -1) {
		(void)chan_reply_err(g->ch, id, &e);
		return;
	}
	w = chan_reply(g->ch, id);
	jw_kint(w, "bytes", (int64_t)n);
	jw_object_end(w);
	(void)chan_end(g->ch, NULL, 0);
}

void
resize_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg)
{
	const struct winsize size = {
		.ws_col = (unsigned short)json_int(msg, "columns", 0),
		.ws_row = (unsigned short)json_int(msg, "rows", 0),
	};
	struct err e;
	struct mproc *p = mproc_find(ps, msg, &e);

	if (p == NULL)
		;
	else if (!p->tty)
		(void)err_set(&e, ERR_PROCESS_STATE,
		    "process is not running in tty mode");
	else if (p->state != MPROC_RUNNING || p->in_fd == -1)
		(void)err_set(
		    &e, ERR_PROCESS_STATE, "PTY resize handle unavailable");
	else if (ioctl(p->in_fd, TIOCSWINSZ, &size) == -1)
		(void)err_sys(&e, "resize");
	else {
		(void)chan_reply_ok(g->ch, id);
		return;
	}
	(void)chan_reply_err(g->ch, id, &e);
}
