/*
 * Pipes of commands to connections of clients; runs in sandboxd-relay.
 *
 * Bytes from the pipes are hostile, and so is a client's slowness: a client
 * that does not read stops the reading of its own pipes (and so, in the end,
 * its command) and nobody else's. Per carry at most OUT_HIGH plus one chunk
 * waits in memory; an idle one holds no buffer at all.
 *
 * All descriptors of carries are in an epoll set of our own, which libev
 * watches, for two reasons. The client's connection is shared with the
 * supervisor and must never be read, not even looked at for input: what it
 * sends belongs to its next request; a hang-up is to be noticed all the same,
 * which epoll tells without being asked for anything. And since the
 * connection outlives our descriptor, it must be taken out of the set before
 * the descriptor is closed.
 */
#include "relay/carry.h"
#include "relay/lines.h"
#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/proto.h"
#include "lib/strutil.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define CHUNK (16u << 10)    /* bytes read at a time */
#define OUT_HIGH (64u << 10) /* waiting for the client: stop reading pipes */
#define OUT_LOW (16u << 10)  /* and go on */
#define LINE_MAX_BYTES \
	(6u * CHUNK + 8192) /* each byte as \u00xx, and the rest */
#define BATCH 64

enum which {
	W_STDOUT,
	W_STDERR,
	W_CLIENT,
	W_N
};
static const char *const stream_name[] = { "stdout", "stderr" };

struct watch { /* what epoll hands back */
	struct carry *c;
	enum which which;
	int fd; /* owned, -1 when closed */
	bool added;
	uint32_t events;
};

struct stream {
	char tail[LINES_TAIL_MAX];
	size_t ntail;
	int64_t bytes; /* that the command has written */
	int64_t left;  /* after `finish`: still to be read; before: -1 */
};

struct carry {
	struct carry *next; /* in carries.all or carries.dead */
	struct carries *cs; /* borrowed */
	int64_t id;
	struct watch w[W_N];
	struct stream s[2];
	struct buf out; /* what the client did not take yet */
	int64_t budget; /* bytes that may still go out as items */
	bool truncated;
	bool paused;
	bool gone;	  /* the client */
	bool ended;	  /* in carries.dead */
	bool final_out;	  /* the final line was written or queued */
	char *ok, *error; /* owned; of `finish`, NULL before */
	char request[];	  /* JSON text */
};

struct carries {
	struct ev_loop *loop; /* borrowed */
	struct chan *ch;      /* borrowed */
	int epoll_fd;
	ev_io io;
	struct carry *all;
	struct carry *dead; /* events of the batch may still name them */
	bool in_batch;
	size_t n, max;
	struct buf line; /* the one being made; shared by all */
	char chunk[LINES_TAIL_MAX + CHUNK];
};

static void carry_advance(struct carry *c);

/*
 * The epoll set
 */

/* Only adding can fail: at a limit of the kernel, or for what is no pipe and
 * no socket. */
static int
watch_want(struct watch *w, uint32_t events, bool on)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };
	int op;

	if (w->fd == -1 || (w->added == on && (!on || w->events == events)))
		return 0;
	op = !on ? EPOLL_CTL_DEL : w->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(w->c->cs->epoll_fd, op, w->fd, &ev) == -1)
		return -1;
	w->added = on;
	w->events = events;
	return 0;
}

static void
watch_close(struct watch *w)
{
	(void)watch_want(w, 0, false);
	fd_close(&w->fd);
}

/* A paused pipe leaves the set: its hang-up would be told again and again. */
static int
pipes_pause(struct carry *c, bool pause)
{
	c->paused = pause;
	return watch_want(&c->w[W_STDOUT], EPOLLIN, !pause) |
	       watch_want(&c->w[W_STDERR], EPOLLIN, !pause);
}

/*
 * Ends
 */

static void
carry_free(struct carry *c)
{
	buf_free(&c->out);
	free(c->ok);
	free(c->error);
	free(c);
}

static void
carry_end(struct carry *c)
{
	struct carries *cs = c->cs;
	struct carry **p = &cs->all;
	struct jw *w;
	size_t i;

	if (c->ended)
		return;
	/* Once answered the connection is the supervisor's alone. */
	for (i = 0; i < W_N; i++)
		watch_close(&c->w[i]);
	w = chan_reply(cs->ch, c->id);
	jw_kbool(w, "gone", c->gone);
	jw_object_end(w);
	(void)chan_end(cs->ch, NULL, 0); /* a full queue ends the channel */
	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	cs->n--;
	c->ended = true;
	c->next = cs->dead;
	cs->dead = c;
}

static void
bury_dead(struct carries *cs)
{
	struct carry *c;

	while ((c = cs->dead) != NULL) {
		cs->dead = c->next;
		carry_free(c);
	}
}

static void
client_gone(struct carry *c)
{
	struct jw *w;

	if (c->gone)
		return;
	c->gone = true;
	watch_close(&c->w[W_CLIENT]);
	buf_free(&c->out);
	if (c->ok != NULL || c->error != NULL)
		return; /* then the answer tells it */
	w = chan_begin(c->cs->ch);
	proto_begin(w, MSG_RELAY_GONE, 0);
	jw_kint(w, "carry", c->id);
	(void)chan_end(c->cs->ch, NULL, 0);
}

/*
 * To the client
 */

/* How many bytes went out; less than N when the client does not take more, or
 * has gone. */
static size_t
client_send(struct carry *c, const char *p, size_t n)
{
	size_t done = 0;
	ssize_t k;

	while (done < n && !c->gone) {
		k = send(c->w[W_CLIENT].fd, p + done, n - done,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (k >= 0)
			done += (size_t)k;
		else if (errno == EAGAIN || errno == ENOBUFS)
			break;
		else if (errno != EINTR)
			client_gone(c);
	}
	return done;
}

/* Send the line that was made in cs->line, after what waits already. */
static void
line_out(struct carry *c)
{
	struct buf *line = &c->cs->line;
	size_t done = 0;

	if (line->failed || c->gone) {
		if (line->failed)
			log_error("relay", "no memory for a line",
			    LOG_INT("carry", c->id));
		buf_clear(line);
		return;
	}
	if (c->out.len == 0)
		done = client_send(c, line->data, line->len);
	if (!c->gone && done < line->len &&
	    buf_add(&c->out, line->data + done, line->len - done) == -1) {
		/* Half a line cannot be taken back. */
		log_error(
		    "relay", "no memory for a client", LOG_INT("carry", c->id));
		client_gone(c);
	}
	buf_clear(line);
}

static void
out_flush(struct carry *c)
{
	size_t n;

	if (c->out.len > 0) {
		n = client_send(c, c->out.data, c->out.len);
		if (!c->gone)
			buf_consume(&c->out, n);
	}
	if (c->out.len == 0)
		buf_free(&c->out);
}

/*
 * From the command
 */

/* N bytes at p, new ones behind TAIL left from before. */
static void
stream_output(struct carry *c, enum which which, const char *p, size_t n)
{
	struct stream *s = &c->s[which];
	size_t whole = lines_whole(p, n);

	if (whole > 0) {
		lines_item(
		    &c->cs->line, c->request, stream_name[which], p, whole);
		line_out(c);
	}
	s->ntail = n - whole;
	memmove(s->tail, p + whole, s->ntail);
}

static void
stream_end(struct carry *c, enum which which)
{
	struct stream *s = &c->s[which];

	watch_close(&c->w[which]);
	s->left = 0;
	/* What was cut by the command itself, not by our cap. */
	if (s->ntail > 0 && !c->truncated && !c->gone) {
		lines_item(&c->cs->line, c->request, stream_name[which],
		    s->tail, s->ntail);
		line_out(c);
	}
	s->ntail = 0;
}

static void
stream_read(struct carry *c, enum which which)
{
	struct stream *s = &c->s[which];
	char *chunk = c->cs->chunk;
	size_t want = CHUNK, pass;
	ssize_t n;

	if (s->left >= 0)
		want = (size_t)MIN((int64_t)CHUNK, s->left);
	n = read(c->w[which].fd, chunk + s->ntail, want);
	if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
		if (s->left >= 0 && errno == EAGAIN)
			stream_end(c, which);
		return;
	}
	if (n <= 0) {
		stream_end(c, which);
		return;
	}
	s->bytes += n;
	pass = (size_t)MIN((int64_t)n, c->budget);
	c->budget -= (int64_t)pass;
	if (pass < (size_t)n)
		c->truncated = true;
	if (pass > 0 && !c->gone) {
		memcpy(chunk, s->tail, s->ntail);
		stream_output(c, which, chunk, s->ntail + pass);
	}
	if (s->left >= 0) {
		s->left -= n;
		if (s->left == 0)
			stream_end(c, which);
	}
}

/* Do whatever is due; may end C. */
static void
carry_advance(struct carry *c)
{
	bool finished = c->ok != NULL || c->error != NULL;
	struct lines_totals t;

	out_flush(c);
	if (finished && !c->gone && !c->final_out && c->w[W_STDOUT].fd == -1 &&
	    c->w[W_STDERR].fd == -1) {
		t.stdout_bytes = c->s[W_STDOUT].bytes;
		t.stderr_bytes = c->s[W_STDERR].bytes;
		t.truncated = c->truncated;
		lines_final(&c->cs->line, c->request, c->ok, c->error, &t);
		line_out(c);
		c->final_out = true;
	}
	if (finished && (c->gone || (c->final_out && c->out.len == 0))) {
		carry_end(c);
		return;
	}
	if (!c->paused && c->out.len >= OUT_HIGH)
		(void)pipes_pause(c, true);
	else if (c->paused && c->out.len <= OUT_LOW &&
		 pipes_pause(c, false) == -1)
		c->paused = true; /* tried again at the client's next event */
	/* Hang-up and error are told even when nothing is asked for. While
	 * pipes are paused the client always has an event to come. */
	(void)watch_want(&c->w[W_CLIENT],
	    c->out.len > 0 || c->paused ? EPOLLOUT : 0, !c->gone);
}

static void
watch_event(struct watch *w, uint32_t events)
{
	struct carry *c = w->c;

	if (c->ended || !w->added)
		return; /* an earlier event of this batch has ended it */
	if (w->which != W_CLIENT)
		stream_read(c, w->which);
	else if ((events & (EPOLLHUP | EPOLLERR)) != 0)
		client_gone(c);
	carry_advance(c);
}

static void
on_events(struct ev_loop *loop, ev_io *io, int revents)
{
	struct carries *cs = io->data;
	struct epoll_event ev[BATCH];
	int i, n;

	(void)loop;
	(void)revents;
	n = epoll_wait(cs->epoll_fd, ev, BATCH, 0);
	cs->in_batch = true;
	for (i = 0; i < n; i++)
		watch_event(ev[i].data.ptr, ev[i].events);
	cs->in_batch = false;
	bury_dead(cs);
}

/*
 * Messages
 */

int
carries_open(struct ev_loop *loop, struct chan *ch, size_t max,
    struct carries **cs_out, struct err *e)
{
	struct carries *cs = calloc(1, sizeof(*cs));

	if (cs == NULL)
		return err_sys(e, "carries");
	cs->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (cs->epoll_fd == -1) {
		free(cs);
		return err_sys(e, "epoll");
	}
	cs->loop = loop;
	cs->ch = ch;
	cs->max = max;
	buf_init(&cs->line, LINE_MAX_BYTES);
	ev_io_init(&cs->io, on_events, cs->epoll_fd, EV_READ);
	cs->io.data = cs;
	ev_io_start(loop, &cs->io);
	*cs_out = cs;
	return 0;
}

static struct carry *
carry_find(struct carries *cs, int64_t id)
{
	struct carry *c;

	for (c = cs->all; c != NULL && c->id != id; c = c->next)
		;
	return c;
}

/* The text goes into every line as it is; a supervisor that let a line break
 * through would let a client forge lines to itself. Cheap to refuse here. */
static bool
request_valid(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20)
			return false;
	return true;
}

static int
carry_check(struct carries *cs, int64_t id, const char *request,
    const struct chan_frame *f, struct err *e)
{
	if (f->nfds != W_N)
		return err_set(e, ERR_BAD_REQUEST, "fds: three are needed");
	if (!request_valid(request))
		return err_set(e, ERR_BAD_REQUEST, "request: not JSON");
	if (carry_find(cs, id) != NULL)
		return err_set(e, ERR_BAD_REQUEST, "id: in use");
	if (cs->n >= cs->max)
		return err_set(
		    e, ERR_LIMIT, "carry: %zu commands at once", cs->max);
	return 0;
}

void
carry_request(struct carries *cs, int64_t id, const struct json *msg,
    const struct chan_frame *f)
{
	static const enum which order[] = { W_CLIENT, W_STDOUT, W_STDERR };
	const char *request = json_str(msg, "request", "null");
	struct carry *c;
	struct err e;
	size_t i;

	if (carry_check(cs, id, request, f, &e) == -1) {
		(void)chan_reply_err(cs->ch, id, &e);
		return;
	}
	c = calloc(1, sizeof(*c) + strlen(request) + 1);
	if (c == NULL) {
		(void)err_set(&e, ERR_LIMIT, "carry: out of memory");
		(void)chan_reply_err(cs->ch, id, &e);
		return;
	}
	memcpy(c->request, request, strlen(request) + 1);
	c->cs = cs;
	c->id = id;
	c->budget = json_int(msg, "output_bytes", 0);
	c->s[W_STDOUT].left = c->s[W_STDERR].left = -1;
	buf_init(&c->out, OUT_HIGH + LINE_MAX_BYTES + 8192);
	for (i = 0; i < W_N; i++) {
		c->w[order[i]] = (struct watch){
			.c = c,
			.which = order[i],
			.fd = fd_steal(&f->fds[i]),
		};
		/* Of the pipes this is our end only; the connection is
		 * non-blocking for everybody who holds it. */
		(void)fd_set_nonblock(c->w[order[i]].fd, 1);
	}
	if (pipes_pause(c, false) == -1 ||
	    watch_want(&c->w[W_CLIENT], 0, true) == -1) {
		(void)err_sys(&e, "carry: watch");
		(void)chan_reply_err(cs->ch, id, &e);
		for (i = 0; i < W_N; i++)
			watch_close(&c->w[i]);
		carry_free(c);
		return;
	}
	c->next = cs->all;
	cs->all = c;
	cs->n++;
}

static char *
object_text(const struct json *v)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 8192);
	jw_init(&w, &b);
	jw_value(&w, v);
	return buf_steal(&b);
}

/* What is in the pipe now is the command's; what processes it left behind
 * write later is not, and they may write for ever. */
static void
stream_finish(struct carry *c, enum which which)
{
	int held = 0;

	if (c->w[which].fd == -1)
		return;
	if (ioctl(c->w[which].fd, FIONREAD, &held) == -1)
		held = 0;
	c->s[which].left = held;
	if (held == 0)
		stream_end(c, which);
}

void
carry_finish(struct carries *cs, const struct json *msg)
{
	int64_t id = json_int(msg, "carry", 0);
	const struct json *ok = json_get(msg, "ok");
	const struct json *error = json_get(msg, "error");
	struct carry *c = carry_find(cs, id);

	if (c == NULL || c->ok != NULL || c->error != NULL) {
		log_warn("relay", "finish of no running carry",
		    LOG_INT("carry", id));
		return;
	}
	if (ok != NULL)
		c->ok = object_text(ok);
	else if (error != NULL)
		c->error = object_text(error);
	if (c->ok == NULL && c->error == NULL)
		c->error = strdup("{\"code\":\"internal\",\"detail\":"
				  "\"relay: no result\"}");
	stream_finish(c, W_STDOUT);
	stream_finish(c, W_STDERR);
	carry_advance(c);
	if (!cs->in_batch)
		bury_dead(cs);
}
