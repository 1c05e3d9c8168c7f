/*
 * The control socket. Runs in the supervisor (root). Clients are people and
 * scripts of this host that SO_PEERCRED lets in; their bytes are bounded in
 * length, depth and number, and one slow client costs nobody else anything:
 * its next line is read when its last answer is on its way.
 */
#include "supervisor/client.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/listen_given.h"
#include "supervisor/ops.h"
#include "supervisor/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define READ_CHUNK 16384
/* A stranger may ask who we are, in few words. */
#define DENIED_LINE_MAX 1024
/* And few at a time, none for long: the places are for those who may work. */
#define STRANGERS_MAX 16
/* A pipe (`echo status | nc -U …`) brings its first line at once, in words;
 * and nc, unlike socat, never says that its input has ended. Such a client is
 * hung up on when nothing has happened for a while. A program that speaks JSON
 * and a person who types stay as long as they like. */
#define SCRIPT_FIRST_MS 500
#define SCRIPT_IDLE_S 1.0
#define ACCEPT_PAUSE_S 0.1

struct control {
	struct super *s;
	int fd;
	ev_io io;
	ev_timer pause;
	LIST_HEAD(, client) clients;
	size_t n, strangers;
	bool lent; /* systemd's: its path stays */
	bool held; /* nothing new is begun */
};

/* --- a client's life ----------------------------------------------------- */

void
client_free(struct client *c)
{
	struct control *ct = c->s->control;

	if (c->req != NULL) {
		c->req->client = NULL;
		if (c->req->gone != NULL)
			c->req->gone(c->req);
	}
	LIST_REMOVE(c, link);
	ct->n--;
	ct->strangers -= !c->allowed;
	ev_io_stop(c->s->loop, &c->rd);
	ev_io_stop(c->s->loop, &c->wr);
	ev_timer_stop(c->s->loop, &c->idle);
	ev_timer_stop(c->s->loop, &c->brake);
	peer_leave(c->use);
	fd_close_all(c->fds, c->nfds);
	fd_close(&c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
	if (!ev_is_active(&ct->io) && !ev_is_active(&ct->pause) &&
	    ct->s->ready && !ct->held)
		ev_io_start(ct->s->loop, &ct->io);
}

void
client_touch(struct client *c)
{
	if (!c->scripted)
		return;
	ev_timer_stop(c->s->loop, &c->idle);
	if (c->req == NULL) {
		ev_timer_set(&c->idle, SCRIPT_IDLE_S, 0.);
		ev_timer_start(c->s->loop, &c->idle);
	}
}

static void
on_idle(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct client *c = t->data;

	if (c->s->control->held)
		client_touch(c); /* what it said may just not be read */
	else if (c->req == NULL && c->out.len == 0)
		client_free(c);
}

/* Write what the socket takes. False: the client is gone, and freed. */
bool
client_flush(struct client *c)
{
	while (c->out.len > 0) {
		ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);

		if (n > 0) {
			buf_consume(&c->out, (size_t)n);
			continue;
		}
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			ev_io_start(c->s->loop, &c->wr);
			return true;
		}
		client_free(c);
		return false;
	}
	ev_io_stop(c->s->loop, &c->wr);
	buf_trim(&c->out, READ_CHUNK);
	if (c->closing && c->req == NULL) {
		client_free(c);
		return false;
	}
	return true;
}

static void
on_writable(
    struct ev_loop *loop ATTR_UNUSED, ev_io *io, int revents ATTR_UNUSED)
{
	struct client *c = io->data;

	if (client_flush(c))
		client_serve(c);
}

/* --- lines --------------------------------------------------------------- */

/* Descriptors of the request: those that it announces with "fds". */
static int
claim_fds(struct client *c, struct request *r, struct err *e)
{
	int64_t n = json_int(r->op.args, "fds", 0);

	if (n < 0 || (size_t)n > c->nfds)
		return err_set(e, ERR_BAD_REQUEST,
		    "fds: %lld descriptors announced, %zu came", (long long)n,
		    c->nfds);
	for (size_t i = 0; i < (size_t)n; i++)
		r->fds[i] = c->fds[i];
	r->nfds = (size_t)n;
	c->nfds -= (size_t)n;
	memmove(c->fds, c->fds + n, c->nfds * sizeof(c->fds[0]));
	return 0;
}

static void
serve_line(struct client *c, const char *line, size_t len)
{
	struct request *r = xcalloc(1, sizeof(*r));
	struct err e;

	if (++c->lines == 1 && c->allowed)
		c->scripted =
		    line[0] != '{' &&
		    now_monotonic_ms() - c->accepted_ms < SCRIPT_FIRST_MS;
	r->s = c->s;
	r->client = c;
	r->uid = c->uid;
	c->req = r;
	if (op_parse_line(line, len, c->lines, &r->op, &e) == -1 ||
	    claim_fds(c, r, &e) == -1) {
		request_end_err(r, &e);
		return;
	}
	if (op_table[r->op.op].who == OP_OPERATOR && !c->allowed) {
		err_set(&e, ERR_DENIED, "uid %lu may not use %s",
		    (unsigned long)c->uid, op_table[r->op.op].name);
		request_end_err(r, &e);
		return;
	}
	if (c->s->stopping && op_table[r->op.op].who == OP_OPERATOR) {
		err_set(&e, ERR_SHUTTING_DOWN, "the supervisor is stopping");
		request_end_err(r, &e);
		return;
	}
	ops_serve(r);
}

static void
too_long(struct client *c)
{
	char id[24];
	struct err e;

	err_set(&e, ERR_TOO_LARGE, "a line is longer than %u bytes",
	    c->allowed ? CONTROL_LINE_MAX : DENIED_LINE_MAX);
	(void)!str_format(
	    id, sizeof(id), "%llu", (unsigned long long)c->lines + 1);
	client_add_error(c, id, &e);
	ev_io_stop(c->s->loop, &c->rd);
	buf_clear(&c->in);
	c->closing = true;
	(void)client_flush(c);
}

static void
on_brake_off(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	client_serve(t->data);
}

/* Its user has asked for as much as one may: it goes on in a moment. */
static bool
braked(struct client *c)
{
	int64_t ms = peer_wait_ms(c->s, c->use);

	if (ms == 0)
		return false;
	ev_timer_set(&c->brake, (double)ms / 1000.0, 0.);
	ev_timer_start(c->s->loop, &c->brake);
	return true;
}

/* Serve lines as long as they can be served at once. */
void
client_serve(struct client *c)
{
	size_t max = c->allowed ? CONTROL_LINE_MAX : DENIED_LINE_MAX;
	size_t used = 0;
	struct super *s = c->s;
	const struct client *me;

	if (c->serving || s->control->held)
		return;
	while (c->req == NULL && c->out.len == 0 && !c->closing &&
	       !ev_is_active(&c->brake)) {
		char *at = c->in.data + used;
		size_t left = c->in.len - used;
		char *nl = left > 0 ? memchr(at, '\n', left) : NULL;
		autofree char *line = NULL;
		size_t len = nl != NULL ? (size_t)(nl - at) : left;

		if (len > max) {
			too_long(c);
			return;
		}
		/* The last line of a pipe may lack its newline. */
		if (nl == NULL && (!c->eof || left == 0))
			break;
		if (len > 0 && braked(c))
			break;
		used += len + (nl != NULL);
		if (len == 0 || (len == 1 && at[0] == '\r'))
			continue;
		line = xstrndup(at, len);
		buf_consume(&c->in, used);
		used = 0;
		/* It may end in client_free(): look for C again after. Nobody
		 * is accepted meanwhile, so the address tells. */
		me = c;
		c->serving = true;
		serve_line(c, line, len);
		LIST_FOREACH (c, &s->control->clients, link) {
			if (c == me)
				break;
		}
		if (c == NULL)
			return;
		c->serving = false;
	}
	if (used > 0)
		buf_consume(&c->in, used);
	buf_trim(&c->in, READ_CHUNK);
	if (c->req == NULL && c->out.len == 0 && c->eof && c->in.len == 0 &&
	    !ev_is_active(&c->brake)) {
		client_free(c);
		return;
	}
	if (!c->eof && !c->closing && c->in.len <= max)
		ev_io_start(s->loop, &c->rd);
}

/* Both directions shut: not just a script that has said all. */
static bool
hung_up(int fd)
{
	struct pollfd p = { fd, 0, 0 };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static void
on_readable(struct ev_loop *loop, ev_io *io, int revents ATTR_UNUSED)
{
	struct client *c = io->data;
	int fds[FDIO_MAX_FDS];
	size_t nfds = 0;
	char *at = buf_reserve(&c->in, READ_CHUNK);
	ssize_t n;

	if (at == NULL) {
		ev_io_stop(loop, &c->rd); /* full; serve() starts it again */
		return;
	}
	n = fd_recv(c->fd, at, READ_CHUNK, fds, &nfds);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1 || nfds > FDIO_MAX_FDS - c->nfds) {
		fd_close_all(fds, nfds);
		client_free(c);
		return;
	}
	memcpy(c->fds + c->nfds, fds, nfds * sizeof(fds[0]));
	c->nfds += nfds;
	if (n == 0) {
		ev_io_stop(loop, &c->rd);
		c->eof = true;
		if (hung_up(c->fd)) {
			/* A handed-over connection is the other side's to
			 * watch; here too nobody is left to answer. */
			client_free(c);
			return;
		}
	} else {
		c->in.len += (size_t)n;
		if (c->in.len > CONTROL_LINE_MAX + READ_CHUNK)
			ev_io_stop(loop, &c->rd);
		client_touch(c);
	}
	client_serve(c);
}

/* One connection too many of its user's: it is told, and hung up on. */
static void
too_many(struct client *c)
{
	struct err e;

	err_set(&e, ERR_LIMIT, "uid %lu has %lld connections already",
	    (unsigned long)c->uid, (long long)c->s->conf.max_per_user);
	client_add_error(c, "1", &e);
	ev_io_stop(c->s->loop, &c->rd);
	c->closing = true;
	(void)client_flush(c);
}

/* --- the listening socket ------------------------------------------------ */

struct client *
client_new(struct super *s, int fd, uid_t uid, bool allowed)
{
	struct control *ct = s->control;
	struct client *c = xcalloc(1, sizeof(*c));

	c->s = s;
	c->fd = fd;
	c->uid = uid;
	c->allowed = allowed;
	c->accepted_ms = now_monotonic_ms();
	c->scripted = !c->allowed;
	buf_init(&c->in, CONTROL_LINE_MAX + 4 * READ_CHUNK);
	buf_init(&c->out, CLIENT_OUT_MAX);
	ev_io_init(&c->rd, on_readable, fd, EV_READ);
	ev_io_init(&c->wr, on_writable, fd, EV_WRITE);
	ev_timer_init(&c->idle, on_idle, 0., 0.);
	ev_timer_init(&c->brake, on_brake_off, 0., 0.);
	c->rd.data = c->wr.data = c->idle.data = c->brake.data = c;
	c->use = peer_enter(s, uid);
	LIST_INSERT_HEAD(&ct->clients, c, link);
	ct->n++;
	ct->strangers += !c->allowed;
	return c;
}

struct client *
clients_first(const struct super *s)
{
	return LIST_FIRST(&s->control->clients);
}

int
control_fd(const struct super *s, bool *lent_out)
{
	*lent_out = s->control->lent;
	return s->control->fd;
}

static void
accept_one(struct control *ct, int fd)
{
	struct super *s = ct->s;
	struct ucred cr;
	socklen_t len = sizeof(cr);
	struct client *c;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cr, &len) == -1) {
		(void)close(fd); /* nobody we could name */
		return;
	}
	c = client_new(s, fd, cr.uid, peer_allowed(s, fd, &cr));
	ev_io_start(s->loop, &c->rd);
	client_touch(c);
	if (ct->strangers > STRANGERS_MAX)
		client_free(c);
	else if (peer_too_many(s, c->use))
		too_many(c);
}

static void
on_accept(struct ev_loop *loop, ev_io *io, int revents ATTR_UNUSED)
{
	struct control *ct = io->data;

	/* Bounded, so that a crowd at the door does not stop the work inside.
	 */
	for (int i = 0; i < 32; i++) {
		int fd;

		if (ct->n >= (size_t)ct->s->conf.max_clients) {
			ev_io_stop(loop, io); /* client_free() starts it */
			return;
		}
		fd = accept4(ct->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd == -1) {
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOMEM || errno == ENOBUFS) {
				ev_io_stop(loop, io);
				ev_timer_stop(loop, &ct->pause);
				ev_timer_set(&ct->pause, ACCEPT_PAUSE_S, 0.);
				ev_timer_start(loop, &ct->pause);
			}
			return;
		}
		accept_one(ct, fd);
	}
}

static void
on_pause_over(struct ev_loop *loop, ev_timer *t, int revents ATTR_UNUSED)
{
	struct control *ct = t->data;

	ev_io_start(loop, &ct->io);
}

/* A socket that somebody answers belongs to a running instance, even one with
 * another state directory. */
static int
clear_path(const struct sockaddr_un *sa, struct err *e)
{
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ucred cr;
	socklen_t len = sizeof(cr);

	if (fd == -1)
		return err_sys(e, "socket");
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0) {
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cr, &len) == -1)
			cr.pid = 0;
		return err_set(e, ERR_SYSTEM, "%s is in use by pid %ld",
		    sa->sun_path, (long)cr.pid);
	}
	if (unlink(sa->sun_path) == -1 && errno != ENOENT)
		return err_sys(e, "remove %s", sa->sun_path);
	return 0;
}

void
control_new(struct super *s, int fd, bool lent)
{
	struct control *ct = xcalloc(1, sizeof(*ct));

	ct->s = s;
	ct->fd = fd;
	ct->lent = lent;
	LIST_INIT(&ct->clients);
	ev_io_init(&ct->io, on_accept, ct->fd, EV_READ);
	ev_timer_init(&ct->pause, on_pause_over, 0., 0.);
	ct->io.data = ct->pause.data = ct;
	s->control = ct;
}

static int
bind_control(const struct sockaddr_un *sa, int *fd_out, struct err *e)
{
	autofd int fd = -1;

	if (clear_path(sa, e) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_sys(e, "socket");
	/* Anyone may connect: SO_PEERCRED decides what comes of it, so that a
	 * refusal is a clear answer. */
	if (bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) == -1 ||
	    chmod(sa->sun_path, 0666) == -1 || listen(fd, 128) == -1)
		return err_sys(e, "listen on %s", sa->sun_path);
	*fd_out = fd_steal(&fd);
	return 0;
}

int
control_open(struct super *s, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct address kept = { .len = sizeof(sa) };
	autofree char *name = NULL;
	autofd int fd = fd_steal(&s->listeners->control_fd);

	if (fd != -1) {
		control_new(s, fd_steal(&fd), true);
		return 0;
	}
	if (str_format(sa.sun_path, sizeof(sa.sun_path), "%s/control.sock",
		s->conf.run_dir) == -1)
		return err_set(
		    e, ERR_TOO_LARGE, "run_dir: too long for a socket's path");
	memcpy(&kept.un, &sa, sizeof(sa));
	fd = listen_kept_take(s->listeners, &kept);
	if (fd == -1 && bind_control(&sa, &fd, e) == -1)
		return -1;
	name = address_text(&kept);
	listen_keep(s, name, fd);
	control_new(s, fd_steal(&fd), false);
	return 0;
}
void
control_hold(struct super *s)
{
	struct client *c;

	s->control->held = true;
	ev_io_stop(s->loop, &s->control->io);
	ev_timer_stop(s->loop, &s->control->pause);
	LIST_FOREACH (c, &s->control->clients, link) {
		ev_io_stop(s->loop, &c->rd);
	}
}

/* From the loop: serving a line may free any client. */
void
control_release(struct super *s)
{
	struct client *c;

	s->control->held = false;
	LIST_FOREACH (c, &s->control->clients, link) {
		if (c->req == NULL)
			ev_feed_event(s->loop, &c->wr, EV_WRITE);
		else if (!c->eof && !c->closing)
			ev_io_start(s->loop, &c->rd);
	}
	control_accept(s);
}

void
control_accept(struct super *s)
{
	ev_io_start(s->loop, &s->control->io);
}

size_t
control_clients(const struct super *s)
{
	return s->control->n;
}

void
control_close(struct super *s)
{
	struct control *ct = s->control;
	struct client *c;
	char path[128];

	if (ct == NULL)
		return;
	ev_io_stop(s->loop, &ct->io);
	ev_timer_stop(s->loop, &ct->pause);
	while ((c = LIST_FIRST(&ct->clients)) != NULL) {
		if (c->req != NULL)
			c->req->gone = NULL;
		client_free(c);
	}
	ev_io_stop(s->loop, &ct->io); /* freeing a client starts it again */
	peers_free(s);
	fd_close(&ct->fd);
	if (!ct->lent && str_format(path, sizeof(path), "unix:%s/control.sock",
			     s->conf.run_dir) == 0) {
		(void)unlink(path + 5); /* the next start does it otherwise */
		listen_keep_no_more(s, path);
	}
	free(ct);
	s->control = NULL;
}
