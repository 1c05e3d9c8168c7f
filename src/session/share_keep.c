/*
 * The keeper of a shared agent; see share.h. Runs inside the sandbox as its
 * user, a child of its init. It owns the agent's process and the pipes of the
 * sessions that have joined; which line goes where is codex_route.c's to say.
 *
 * The agent is hostile, and so is whoever connects. A session that does not
 * read what is its own makes the agent wait, and with it the others, for
 * STALL_S and no longer; then it is dropped. An agent that answers nobody is
 * ended when a session has left for it. The end of the agent is told to all
 * and is our own; without sessions we end it.
 */
#include "session/share.h"

#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agents/codex_route.h"
#include "session/agents/program.h"
#include "session/children.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLIENTS_MAX 256
#define OUT_HIGH (4u << 20) /* beyond it the agent waits for the reader */
#define OUT_LOW (1u << 20)
#define OUT_MAX (64u << 20) /* what one read of the agent may still add */
#define READ_BYTES (64u << 10)
#define STALL_S 10.0
#define KNOCK_S 5.0	 /* from connecting to being a session */
#define LAST_WORDS_S 2.0 /* to read them */
#define AGAIN_S 0.02	 /* the agent does not read: look again */
#define HUNG_MS 45000	 /* without an answer: sessions give up after 60 s */
#define LONELY_S 15.0	 /* for the first session to come */
#define FAREWELL_S 1.5

extern char **environ;

struct client {
	TAILQ_ENTRY(client) link;
	struct keeper *k;
	unsigned id;	      /* 0: has not joined yet */
	int fd;		      /* owned: to the stand-in */
	int pipes[SHARE_FDS]; /* owned, as they are sent */
	ev_io io, in_io, out_io;
	ev_timer patience, again;
	struct buf in, out;
	size_t scanned; /* of `in`: no newline before */
	bool full;	/* the agent waits for it */
	bool leaving;	/* when `out` is written */
	bool dropped;	/* it does not read */
	unsigned char status;
};

struct keeper {
	struct ev_loop *loop;
	struct route *route;
	struct process *proc;
	struct ladder ladder;
	struct buf what; /* the identity */
	struct share_door door;
	ev_io listen_io;
	ev_timer lonely;
	TAILQ_HEAD(clients, client) clients;
	unsigned n, last_id, joined, nfull;
	int64_t blocked_ms; /* since when the agent reads nothing; 0: it does */
	bool ending;
};

/* --- leaving -------------------------------------------------------------- */

/* No session is left, or none shall come: a next one makes a keeper of its own
 * as soon as the lock is free. */
static void
keeper_end(struct keeper *k)
{
	if (k->ending)
		return;
	k->ending = true;
	ev_io_stop(k->loop, &k->listen_io);
	ev_timer_stop(k->loop, &k->lonely);
	share_door_shut(&k->door);
	if (k->proc == NULL)
		return; /* those that are left get its last words */
	process_pause(k->proc, false);
	process_finish_input(k->proc);
	ladder_climb(&k->ladder, k->proc, RUNG_TERM, FAREWELL_S);
}

static void
full_set(struct client *c, bool full)
{
	struct keeper *k = c->k;

	if (c->full == full)
		return;
	c->full = full;
	k->nfull += full ? 1u : -1u;
	ev_timer_stop(k->loop, &c->patience);
	if (full) {
		ev_timer_set(&c->patience, STALL_S, 0.);
		ev_timer_start(k->loop, &c->patience);
	}
	if (k->proc != NULL && !k->ending)
		process_pause(k->proc, k->nfull > 0);
}

/* An agent that has not answered this session for long answers nobody. */
static void
look_for_hung(struct keeper *k, const struct client *c)
{
	bool hung = route_waits_ms(k->route, c->id) >= HUNG_MS ||
		    (k->blocked_ms != 0 &&
			now_monotonic_ms() - k->blocked_ms >= HUNG_MS);

	if (hung && k->proc != NULL)
		process_signal(k->proc, SIGKILL, true);
}

/* WORDS, when there are any, are its last from us. */
static void
client_end(struct client *c, unsigned char status, const char *words)
{
	struct keeper *k = c->k;
	bool last = c->id != 0 && --k->joined == 0;

	full_set(c, false);
	ev_io_stop(k->loop, &c->io);
	ev_io_stop(k->loop, &c->in_io);
	ev_io_stop(k->loop, &c->out_io);
	ev_timer_stop(k->loop, &c->patience);
	ev_timer_stop(k->loop, &c->again);
	/* Nobody may be there to hear; then nothing is lost. */
	if (words != NULL && c->pipes[2] != -1)
		(void)!write(c->pipes[2], words, strlen(words));
	fd_close_all(c->pipes, SHARE_FDS);
	if (c->id != 0) {
		(void)send(c->fd, &status, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		look_for_hung(k, c);
		route_leave(k->route, c->id);
	}
	fd_close(&c->fd);
	TAILQ_REMOVE(&k->clients, c, link);
	k->n--;
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
	if (k->ending && k->proc == NULL && TAILQ_EMPTY(&k->clients))
		ev_break(k->loop, EVBREAK_ALL);
	else if (last)
		keeper_end(k);
}

static void
on_patience(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct client *c = w->data;

	(void)loop;
	(void)revents;
	if (c->id == 0 || c->leaving)
		client_end(c, c->status, NULL);
	else
		client_end(c, 1,
		    "this session did not read, and was dropped from the "
		    "shared process");
}

/* --- to sessions ---------------------------------------------------------- */

static void
on_out(struct ev_loop *loop, ev_io *w, int revents)
{
	struct client *c = w->data;
	ssize_t n;

	(void)revents;
	n = write(c->pipes[1], c->out.data, c->out.len);
	if (n > 0)
		buf_consume(&c->out, (size_t)n);
	else if (n == -1 && errno != EAGAIN && errno != EINTR)
		buf_clear(&c->out); /* its stand-in goes, too */
	if (c->out.len < OUT_LOW)
		full_set(c, false);
	if (c->out.len > 0)
		return;
	ev_io_stop(loop, &c->out_io);
	buf_trim(&c->out, 0);
	if (c->leaving)
		client_end(c, c->status, NULL);
}

/* Called by the route: nobody is freed here. */
static void
client_put(struct client *c, const char *line, size_t len)
{
	if (c->id == 0 || c->leaving || c->dropped)
		return;
	if (buf_add(&c->out, line, len) == -1 ||
	    buf_addc(&c->out, '\n') == -1) {
		/* Half a line would be worse than none. */
		c->dropped = true;
		ev_feed_event(c->k->loop, &c->patience, EV_TIMER);
		return;
	}
	ev_io_start(c->k->loop, &c->out_io);
	if (c->out.len > OUT_HIGH)
		full_set(c, true);
}

static void
to_client(void *ctx, unsigned id, const char *line, size_t len)
{
	struct keeper *k = ctx;
	struct client *c;

	TAILQ_FOREACH (c, &k->clients, link)
		if (id == 0 || c->id == id)
			client_put(c, line, len);
}

/* --- from sessions -------------------------------------------------------- */

static int
to_server(void *ctx, const char *line, size_t len)
{
	struct keeper *k = ctx;
	autofree char *whole = xmalloc(len + 1);

	if (k->proc == NULL || k->ending)
		return 0; /* it has gone: everybody is told */
	memcpy(whole, line, len);
	whole[len] = '\n';
	return process_write(k->proc, whole, len + 1);
}

/* One line may be as long as all that may wait for the agent. */
static bool
server_takes(struct client *c, size_t len)
{
	struct keeper *k = c->k;
	size_t waiting = k->proc != NULL ? process_waiting(k->proc) : 0;

	if (waiting == 0 || waiting + len <= STDIN_BYTES_MAX / 2) {
		k->blocked_ms = 0;
		return true;
	}
	if (k->blocked_ms == 0)
		k->blocked_ms = now_monotonic_ms();
	ev_io_stop(k->loop, &c->in_io);
	ev_timer_set(&c->again, AGAIN_S, 0.);
	ev_timer_start(k->loop, &c->again);
	return false;
}

/* False: the client has gone. */
static bool
take_lines(struct client *c)
{
	size_t len;
	char *nl;
	struct err e;

	while ((nl = memchr(c->in.data + c->scanned, '\n',
		    c->in.len - c->scanned)) != NULL) {
		len = (size_t)(nl - c->in.data);
		c->scanned = len; /* found at once, if it has to wait */
		if (!server_takes(c, len))
			return true;
		if (route_from_client(
			c->k->route, c->id, c->in.data, len, &e) == -1) {
			(void)err_prefix(&e, "dropped");
			client_end(c, 1, e.text);
			return false;
		}
		buf_consume(&c->in, len + 1);
		c->scanned = 0;
	}
	c->scanned = c->in.len;
	buf_trim(&c->in, 0);
	return true;
}

static void
on_in(struct ev_loop *loop, ev_io *w, int revents)
{
	struct client *c = w->data;
	ssize_t n;
	char *room;

	(void)loop;
	(void)revents;
	if ((c->in.len > 0 && !take_lines(c)) || !ev_is_active(w))
		return;
	room = buf_reserve(&c->in, READ_BYTES);
	if (room == NULL) {
		client_end(c, 1, "a message is too long");
		return;
	}
	n = read(c->pipes[0], room, READ_BYTES);
	if (n > 0) {
		c->in.len += (size_t)n;
		(void)take_lines(c); /* C may be gone */
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		client_end(c, 0, NULL);
	}
}

static void
on_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct client *c = w->data;

	(void)revents;
	ev_io_start(loop, &c->in_io);
	ev_feed_event(loop, &c->in_io, EV_READ);
}

/* --- joining -------------------------------------------------------------- */

/* Is it the process that we keep? FD holds what is wanted: nothing is read that
 * could make us wait, nor more than we have ourselves. */
static bool
is_ours(const struct keeper *k, int fd)
{
	struct stat st;
	autofree char *text = NULL;

	if (fcntl(fd, F_GET_SEALS) == -1 || fstat(fd, &st) == -1 ||
	    !S_ISREG(st.st_mode) || st.st_size != (off_t)k->what.len)
		return false;
	text = xmalloc(k->what.len);
	return pread(fd, text, k->what.len, 0) == (ssize_t)k->what.len &&
	       memcmp(text, k->what.data, k->what.len) == 0;
}

static void
client_join(struct client *c, const int fds[SHARE_FDS])
{
	static const unsigned char joined = SHARE_JOINED, other = SHARE_OTHER;
	struct keeper *k = c->k;
	int i;

	memcpy(c->pipes, fds, sizeof(c->pipes));
	if (!is_ours(k, c->pipes[3])) {
		(void)send(c->fd, &other, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		client_end(c, 1, NULL);
		return;
	}
	if (k->ending || send(c->fd, &joined, 1, MSG_NOSIGNAL) != 1) {
		client_end(c, 1, NULL); /* it tries again */
		return;
	}
	fd_close(&c->pipes[3]);
	ev_timer_stop(k->loop, &c->patience);
	ev_timer_stop(k->loop, &k->lonely);
	for (i = 0; i < 3; i++)
		(void)fd_set_nonblock(c->pipes[i], 1);
	c->id = ++k->last_id;
	k->joined++;
	ev_io_set(&c->in_io, c->pipes[0], EV_READ);
	ev_io_set(&c->out_io, c->pipes[1], EV_WRITE);
	ev_io_start(k->loop, &c->in_io);
}

/* The stand-in joins, once; after that only its end is heard. */
static void
on_stand_in(struct ev_loop *loop, ev_io *w, int revents)
{
	struct client *c = w->data;
	int fds[FDIO_MAX_FDS];
	size_t nfds = 0;
	char byte;
	ssize_t n = fd_recv(c->fd, &byte, 1, fds, &nfds);

	(void)loop;
	(void)revents;
	if (n == -1 && errno == EAGAIN)
		return;
	if (n == 1 && c->id == 0 && nfds == SHARE_FDS) {
		client_join(c, fds);
		return;
	}
	fd_close_all(fds, nfds);
	client_end(c, 1, NULL);
}

static void
on_listen(struct ev_loop *loop, ev_io *w, int revents)
{
	struct keeper *k = w->data;
	autofd int fd = accept4(
	    k->door.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;

	(void)revents;
	if (fd == -1 || k->n >= CLIENTS_MAX || !share_peer_ok(fd))
		return; /* without room it tries again */
	c = xcalloc(1, sizeof(*c));
	c->k = k;
	c->status = 1;
	c->fd = fd_steal(&fd);
	memset(c->pipes, -1, sizeof(c->pipes));
	buf_init(&c->in, STDIN_BYTES_MAX + 2 * READ_BYTES);
	buf_init(&c->out, OUT_MAX);
	ev_io_init(&c->io, on_stand_in, c->fd, EV_READ);
	ev_init(&c->in_io, on_in);
	ev_init(&c->out_io, on_out);
	ev_timer_init(&c->patience, on_patience, KNOCK_S, 0.);
	ev_timer_init(&c->again, on_again, 0., 0.);
	c->io.data = c->in_io.data = c->out_io.data = c;
	c->patience.data = c->again.data = c;
	ev_io_start(loop, &c->io);
	ev_timer_start(loop, &c->patience);
	TAILQ_INSERT_TAIL(&k->clients, c, link);
	k->n++;
}

/* --- the agent ------------------------------------------------------------ */

static void
on_line(
    struct process *p, const char *line, size_t len, size_t total, void *ctx)
{
	struct keeper *k = ctx;

	(void)p;
	if (!k->ending)
		route_from_server(k->route, line, len, total);
}

/* Its end as its stand-ins tell it: what it wrote last, and a status. */
static unsigned char
last_words(struct process *p, const struct err *failed, char **words_out)
{
	const char *words = process_last_words(p);
	int code = process_exit_code(p), sig = process_exit_signal(p);

	if (failed != NULL)
		*words_out = xasprintf("%s\n", failed->text);
	else if (code == -1)
		*words_out = xasprintf(
		    "%s%sthe shared process was killed by signal %d\n",
		    words != NULL ? words : "", words != NULL ? "\n" : "", sig);
	else
		*words_out = xasprintf("%s\n",
		    words != NULL ? words : "the shared process has ended");
	return (unsigned char)(code != -1 ? code : 128 + sig);
}

static void
on_exited(struct process *p, const struct err *failed, void *ctx)
{
	struct keeper *k = ctx;
	autofree char *words = NULL;
	unsigned char status = last_words(p, failed, &words);
	struct client *c, *next;

	ladder_stop(&k->ladder);
	process_free(STEAL(k->proc));
	for (c = TAILQ_FIRST(&k->clients); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->id == 0 || c->out.len == 0) {
			client_end(c, status, words);
			continue;
		}
		(void)!write(c->pipes[2], words, strlen(words));
		c->status = status;
		c->leaving = true;
		full_set(c, false);
		ev_io_stop(k->loop, &c->in_io);
		ev_timer_stop(k->loop, &c->again);
		ev_timer_set(&c->patience, LAST_WORDS_S, 0.);
		ev_timer_start(k->loop, &c->patience);
	}
	keeper_end(k);
	if (TAILQ_EMPTY(&k->clients))
		ev_break(k->loop, EVBREAK_ALL);
}

/* --- being the keeper ----------------------------------------------------- */

static void
on_lonely(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	keeper_end(w->data);
}

static int
start(struct keeper *k, const char *directory, char *const *argv)
{
	static const struct process_ops ops = { .line = on_line,
		.exited = on_exited };
	static const struct route_ops route_ops = { .to_client = to_client,
		.to_server = to_server };
	const struct process_spec spec = {
		.argv = argv, .env = environ, .directory = directory
	};

	share_identity(&k->what, directory, argv, environ);
	if (k->what.failed)
		return -1;
	k->route = route_new(&route_ops, k);
	ladder_init(&k->ladder, k->loop, "share");
	ev_io_init(&k->listen_io, on_listen, k->door.listen_fd, EV_READ);
	ev_timer_init(&k->lonely, on_lonely, LONELY_S, 0.);
	k->listen_io.data = k->lonely.data = k;
	ev_io_start(k->loop, &k->listen_io);
	ev_timer_start(k->loop, &k->lonely);
	return process_start(k->loop, &spec, &ops, k, &k->proc, NULL);
}

int
share_keep(struct ev_loop *loop, const char *socket, const char *directory,
    char *const *argv)
{
	struct keeper k = { .loop = loop };
	int rc = EXIT_OK;

	TAILQ_INIT(&k.clients);
	children_init(loop);
	if (!share_door_open(&k.door, socket)) {
		share_door_leave(&k.door);
		return EXIT_OK;
	}
	if (start(&k, directory, argv) == 0)
		(void)ev_run(loop, 0);
	else
		rc = EXIT_SYS;
	share_door_shut(&k.door);
	process_free(STEAL(k.proc));
	children_end();
	while (!TAILQ_EMPTY(&k.clients))
		client_end(TAILQ_FIRST(&k.clients), 1, NULL);
	route_free(k.route);
	buf_free(&k.what);
	share_door_leave(&k.door);
	return rc;
}
