/*
 * Handing out what processes print: logs, and terminals that somebody looks at;
 * runs in init.
 *
 * A follower takes records at its own speed. One that has all gets each record
 * as it is printed; one that lags reads on from the log and misses what was
 * dropped there meanwhile. Of the record that its pipe cut in two the rest is
 * kept, and nothing else: so a follower that never reads costs one record.
 */
#include "init/procs_priv.h"
#include "lib/fdio.h"
#include "lib/strutil.h"

#include <errno.h>
#include <string.h>

#define FOLLOWERS_MAX 256	/* of the sandbox */
#define CHUNK_BYTES (32u << 10) /* of the log at one go */
#define TURN_BYTES (512u << 10) /* then others have their turn */
#define TYPED_MAX 4096		/* bytes at one go */

struct follower {
	LIST_ENTRY(follower) link;
	struct mproc *p;
	int fd;		  /* owned; pipe, or socket of an attached viewer */
	bool attached;	  /* live output only, its end, and what is typed */
	bool exit_due;	  /* attached: the end is still to be told */
	unsigned streams; /* bits */
	uint64_t since;
	uint64_t pos, end; /* in the log; end UINT64_MAX: never */
	char *rest;	   /* owned: of a record that was cut, NULL: none */
	size_t rest_len, rest_at;
	ev_io gone, ready;
};

static void
follower_free(struct follower *w)
{
	struct ev_loop *loop = w->p->ps->in->loop;

	LIST_REMOVE(w, link);
	w->p->ps->nfollowers--;
	ev_io_stop(loop, &w->gone);
	ev_io_stop(loop, &w->ready);
	fd_close(&w->fd);
	free(w->rest);
	free(w);
}

/* Keep the rest of a record that was cut. */
static int
rest_keep(struct follower *w, const char *p, size_t n)
{
	w->rest = malloc(n);
	if (w->rest == NULL)
		return -1;
	memcpy(w->rest, p, n);
	w->rest_len = n;
	w->rest_at = 0;
	return 0;
}

/* Whole records P[0..n), of which the first DONE bytes went: what must still
 * follow. The length of the records that are done with is returned, or 0 when
 * that cannot be said. */
static size_t
records_cut(struct follower *w, const char *p, size_t n, size_t done)
{
	struct proclog r;
	size_t at = 0;

	while (at < done) {
		if (proclog_get(p + at, n - at, &r) != 1)
			return 0;
		at += PROCLOG_HEADER + r.len;
	}
	if (at > done && rest_keep(w, p + done, at - done) == -1)
		return 0;
	return at;
}

/* Write whole records. Returns how much of P is done with, -1 when W is of no
 * use any more. */
static ssize_t
records_write(struct follower *w, const char *p, size_t n)
{
	ssize_t put = write(w->fd, p, n);
	size_t done;

	if (put == -1)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if ((size_t)put == n || put == 0)
		return put;
	done = records_cut(w, p, n, (size_t)put);
	return done == 0 ? -1 : (ssize_t)done;
}

/* 0: nothing is left of a cut record; 1: wait; -1: W is of no use. */
static int
rest_write(struct follower *w)
{
	ssize_t put;

	if (w->rest == NULL)
		return 0;
	put = write(w->fd, w->rest + w->rest_at, w->rest_len - w->rest_at);
	if (put == -1)
		return errno == EAGAIN || errno == EINTR ? 1 : -1;
	w->rest_at += (size_t)put;
	if (w->rest_at < w->rest_len)
		return 1;
	free(w->rest);
	w->rest = NULL;
	return 0;
}

static bool
wanted(const struct follower *w, const struct proclog *r)
{
	return (w->streams & BIT(r->stream)) != 0 && r->sequence > w->since;
}

/* Hand on what W wants of the records C[0..n), which stand in the log at its
 * position. 0: all; 1: wait; -1: W is of no use. */
static int
chunk_write(struct follower *w, const char *c, size_t n)
{
	size_t from = 0, at = 0, len;
	struct proclog r;
	ssize_t done;

	while (from < n) {
		/* As many as follow one another and are wanted. */
		for (at = from; at < n &&
				proclog_get(c + at, n - at, &r) == 1 &&
				wanted(w, &r);)
			at += PROCLOG_HEADER + r.len;
		len = at - from;
		if (len == 0) { /* one that is not */
			if (proclog_get(c + from, n - from, &r) != 1)
				return -1;
			from += PROCLOG_HEADER + r.len;
			w->pos += PROCLOG_HEADER + r.len;
			continue;
		}
		done = records_write(w, c + from, len);
		if (done == -1)
			return -1;
		w->pos += (uint64_t)done;
		if ((size_t)done < len || w->rest != NULL)
			return 1;
		from = at;
	}
	return 0;
}

/* The bytes of whole records at the start of C[0..n). */
static size_t
whole_records(const char *c, size_t n)
{
	struct proclog r;
	size_t at = 0;

	while (proclog_get(c + at, n - at, &r) == 1)
		at += PROCLOG_HEADER + r.len;
	return at;
}

/* From the log. 0: W has all there is; 1: wait; -1: W is of no use. */
static int
log_write(struct follower *w)
{
	const struct plog *l = &w->p->log;
	autofree char *chunk = malloc(CHUNK_BYTES);
	size_t n, turn = 0;
	uint64_t to;
	int r = 0;

	if (chunk == NULL)
		return 1;
	while (r == 0 && turn < TURN_BYTES) {
		w->pos = MAX(w->pos, l->head);
		to = MIN(w->end, l->tail);
		if (w->pos >= to)
			return 0;
		n = plog_read(l, w->pos, chunk, MIN(CHUNK_BYTES, to - w->pos));
		n = whole_records(chunk, n);
		if (n == 0)
			return -1;
		r = chunk_write(w, chunk, n);
		turn += n;
	}
	return r == 0 ? 1 : r;
}

/* How the process ended. The same values as log_write. */
static int
exit_write(struct follower *w)
{
	const struct proclog_exit how = {
		.code = w->p->code,
		.sig = w->p->sig,
	};
	char record[PROCLOG_HEADER + PROCLOG_EXIT_LEN];
	size_t n = proclog_put_exit(record, &how, w->p->exited_ms);
	ssize_t done = records_write(w, record, n);

	if (done <= 0)
		return done == -1 ? -1 : 1;
	w->exit_due = false;
	return w->rest != NULL ? 1 : 0;
}

/* Give W all that it can take; may free it. */
static void
follower_pump(struct follower *w)
{
	struct ev_loop *loop = w->p->ps->in->loop;
	int r = rest_write(w);

	if (r == 0)
		r = log_write(w);
	if (r == 0 && w->exit_due)
		r = exit_write(w);
	if (r == 1) {
		ev_io_start(loop, &w->ready);
		return;
	}
	ev_io_stop(loop, &w->ready);
	if (r == -1 || w->pos >= w->end ||
	    (w->attached && w->p->state == MPROC_EXITED))
		follower_free(w);
}

static void
on_ready(struct ev_loop *loop, ev_io *io, int revents)
{
	struct follower *w = io->data;

	(void)loop;
	(void)revents;
	init_awake(w->p->ps->in);
	follower_pump(w);
}

/* An attached viewer types, or has left. */
static void
on_typed(struct follower *w)
{
	size_t room = input_room(w->p);
	char typed[TYPED_MAX];
	struct err e;
	ssize_t n;

	if (room == 0 && w->p->in_fd != -1) {
		/* The process does not read; nor do we, for a while. */
		ev_io_stop(w->p->ps->in->loop, &w->gone);
		return;
	}
	n = read(w->fd, typed, MIN(sizeof(typed), MAX(room, 1)));
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		follower_free(w);
	else if (w->p->in_fd != -1) /* else it is lost with its reader */
		(void)input_write(w->p, typed, (size_t)n, &e);
}

static void
on_gone(struct ev_loop *loop, ev_io *io, int revents)
{
	struct follower *w = io->data;

	(void)loop;
	(void)revents;
	/* The write end of a pipe is readable when nobody reads any more. */
	if (w->attached)
		on_typed(w);
	else
		follower_free(w);
}

void
followers_input(struct mproc *p)
{
	struct follower *w;

	LIST_FOREACH (w, &p->followers, link)
		if (w->attached)
			ev_io_start(p->ps->in->loop, &w->gone);
}

void
followers_tell(struct mproc *p, const char *record, size_t len, bool kept)
{
	struct follower *w, *next;
	uint64_t before = p->log.tail - (kept ? len : 0);
	struct proclog r;
	ssize_t done;

	if (proclog_get(record, len, &r) != 1)
		return;
	for (w = LIST_FIRST(&p->followers); w != NULL; w = next) {
		next = LIST_NEXT(w, link);
		if (w->pos < before || w->rest != NULL || w->end <= w->pos) {
			ev_io_start(p->ps->in->loop, &w->ready); /* lags */
			continue;
		}
		done = wanted(w, &r) ? records_write(w, record, len) : 0;
		if (done == -1) {
			follower_free(w);
			continue;
		}
		if (done == 0 && wanted(w, &r)) /* full: later, if kept */
			ev_io_start(p->ps->in->loop, &w->ready);
		else
			w->pos = p->log.tail;
		if (w->rest != NULL)
			ev_io_start(p->ps->in->loop, &w->ready);
	}
}

void
followers_exited(struct mproc *p)
{
	struct follower *w, *next;

	for (w = LIST_FIRST(&p->followers); w != NULL; w = next) {
		next = LIST_NEXT(w, link);
		if (!w->attached)
			continue;
		w->exit_due = true;
		follower_pump(w);
	}
}

void
followers_free(struct mproc *p)
{
	while (!LIST_EMPTY(&p->followers))
		follower_free(LIST_FIRST(&p->followers));
}

/*
 * Beginning
 */

/* W takes FD, also on failure. */
static struct follower *
follower_add(struct mproc *p, int fd, struct err *e)
{
	struct follower *w = NULL;

	if (p->ps->nfollowers >= FOLLOWERS_MAX)
		(void)err_set(
		    e, ERR_LIMIT, "%d logs are being read", FOLLOWERS_MAX);
	else if ((w = calloc(1, sizeof(*w))) == NULL)
		(void)err_set(e, ERR_LIMIT, "no memory");
	if (w == NULL) {
		(void)close(fd);
		return NULL;
	}
	(void)fd_set_nonblock(fd, 1); /* a pipe of ours can always */
	w->p = p;
	w->fd = fd;
	w->pos = p->log.tail;
	w->end = UINT64_MAX;
	ev_io_init(&w->gone, on_gone, fd, EV_READ);
	ev_io_init(&w->ready, on_ready, fd, EV_WRITE);
	w->gone.data = w->ready.data = w;
	LIST_INSERT_HEAD(&p->followers, w, link);
	p->ps->nfollowers++;
	ev_io_start(p->ps->in->loop, &w->gone);
	return w;
}

static int
streams_parse(const char *name, unsigned *bits_out)
{
	static const struct {
		const char *name;
		unsigned bits;
	} words[] = {
		{ "stdout", BIT(PROCLOG_STDOUT) },
		{ "stderr", BIT(PROCLOG_STDERR) },
		{ "combined", BIT(PROCLOG_STDOUT) | BIT(PROCLOG_STDERR) },
		{ "pty", BIT(PROCLOG_PTY) },
	};
	size_t i;

	for (i = 0; i < countof(words); i++) {
		if (strcmp(words[i].name, name) != 0)
			continue;
		*bits_out = words[i].bits;
		return 0;
	}
	return -1;
}

/* {"id","ok":{KEY:…}} with FD; a string where S is one, else N. */
static void
follow_reply(struct gate *g, int64_t id, const char *key, const char *s,
    int64_t n, int fd)
{
	struct jw *w = chan_reply(g->ch, id);

	if (s != NULL)
		jw_kstr(w, key, s);
	else
		jw_kint(w, key, n);
	jw_object_end(w);
	(void)chan_end(g->ch, &fd, 1);
}

void
logs_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg)
{
	int read_fd = -1, write_fd = -1;
	struct follower *w = NULL;
	const char *stream = NULL;
	unsigned bits = 0;
	struct err e;
	struct mproc *p = mproc_find(ps, msg, &e);

	if (p != NULL)
		stream = json_str(msg, "stream", p->tty ? "pty" : "combined");
	if (stream != NULL && streams_parse(stream, &bits) == -1)
		(void)err_set(&e, ERR_BAD_REQUEST, "stream: unknown");
	else if (p != NULL && fd_pipe(&read_fd, &write_fd, &e) == 0)
		w = follower_add(p, write_fd, &e);
	if (w == NULL) {
		fd_close(&read_fd);
		(void)chan_reply_err(g->ch, id, &e);
		return;
	}
	w->streams = bits;
	w->since = (uint64_t)json_int(msg, "since", 0);
	w->pos = p->log.head;
	if (!json_bool(msg, "follow", false))
		w->end = p->log.tail;
	if (json_get(msg, "tail") != NULL)
		w->since = plog_tail(&p->log, bits, w->since,
		    (uint64_t)json_int(msg, "tail", 0));
	follow_reply(g, id, "stream", stream, 0, read_fd);
	follower_pump(w);
}

void
attach_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg)
{
	int ours_fd = -1, theirs_fd = -1;
	struct follower *w = NULL;
	struct err e;
	struct mproc *p = mproc_find(ps, msg, &e);

	if (p != NULL && !p->tty && !json_bool(msg, "any", false))
		(void)err_set(&e, ERR_PROCESS_STATE,
		    "process is not running in tty mode");
	else if (p != NULL && fd_socketpair(&ours_fd, &theirs_fd, &e) == 0)
		w = follower_add(p, ours_fd, &e);
	if (w == NULL) {
		fd_close(&theirs_fd);
		(void)chan_reply_err(g->ch, id, &e);
		return;
	}
	w->attached = true;
	w->streams = ~0U;
	w->exit_due = p->state == MPROC_EXITED;
	if (json_bool(msg, "replay", false))
		w->pos = p->log.head;
	follow_reply(
	    g, id, "input_bytes", NULL, ps->limits[LIMIT_INPUT], theirs_fd);
	follower_pump(w);
}
