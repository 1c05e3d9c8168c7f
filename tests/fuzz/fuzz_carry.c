/*
 * The document of a live upgrade, as if it were anybody's: channels, children
 * and clients are made of it, run for a while, and written again. What was
 * taken must come out as a document that names nothing but descriptors that are
 * open, each once, and no descriptor may be lost on the way.
 *
 * Input: the document's text: an object with "chan", "proc" and "clients".
 *
 * Also: src/supervisor/carry_fd.c
 * Also: src/supervisor/client_carry.c
 * Also: src/supervisor/proc.c
 * Also: src/supervisor/proc_call.c
 * Also: src/supervisor/proc_carry.c
 * Also: src/supervisor/proc_life.c
 * Also: src/supervisor/proc_restart.c
 */
#include "fuzz.h"
#include "lib/fdio.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/carry_parts.h"
#include "supervisor/client.h"
#include "supervisor/command.h"
#include "supervisor/exec_priv.h"
#include "supervisor/storec.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The descriptors that a document can find: 3 to here, sockets and files by
 * turns. Everything of our own is above. */
#define FDS 24
#define OWN 100

static struct ev_loop *loop;
static LIST_HEAD(, client) clients = LIST_HEAD_INITIALIZER(clients);
static struct proc store;

/* --- what is not tested here --------------------------------------------- */

void
kin_add(pid_t pid)
{
	(void)pid;
}

void
kin_remove(pid_t pid)
{
	(void)pid;
}

struct client *
client_new(struct super *s, int fd, uid_t uid, bool allowed)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->s = s;
	c->fd = fd;
	c->uid = uid;
	c->allowed = allowed;
	buf_init(&c->in, 1 << 16);
	buf_init(&c->out, 1 << 16);
	LIST_INSERT_HEAD(&clients, c, link);
	return c;
}

struct client *
clients_first(const struct super *s)
{
	(void)s;
	return LIST_FIRST(&clients);
}

void
client_touch(struct client *c)
{
	(void)c;
}

struct proc *
storec_proc(struct storec *st)
{
	(void)st;
	return &store;
}

bool
upgrade_is(const struct super *s, const struct request *r)
{
	return s->upgrade_request == r;
}

bool
exec_waits(const struct super *s, const struct request *r)
{
	(void)s;
	(void)r;
	return false;
}

void
request_serve_take(struct request *r, int64_t call)
{
	proc_call_take(&store, call, MSG_STORE_SERVE, NULL, r);
}

static void
clients_drop(void)
{
	struct client *c;

	while ((c = LIST_FIRST(&clients)) != NULL) {
		LIST_REMOVE(c, link);
		if (c->req != NULL) {
			fd_close_all(c->req->fds, c->req->nfds);
			op_request_free(&c->req->op);
			free(c->req);
		}
		fd_close_all(c->fds, c->nfds);
		fd_close(&c->fd);
		buf_free(&c->in);
		buf_free(&c->out);
		free(c);
	}
}

/* --- one document -------------------------------------------------------- */

static int
no_start(struct proc *p, struct err *e)
{
	(void)p;
	return err_set(e, ERR_SYSTEM, "not here");
}

static int
no_kill(int pidfd, int sig)
{
	(void)pidfd;
	(void)sig;
	return 0;
}

static int64_t
fixed_clock(void)
{
	return 1000000;
}

static const struct proc_kind kind = {
	.role = ROLE_INIT,
	.start = no_start,
	.start_ms = 1000,
	.stop_ms = 1000,
	.restart = true,
};

/* The same descriptors each time, as an exec leaves them. */
static void
descriptors(void)
{
	for (int fd = 3; fd < FDS; fd += 2) {
		int pair[2];

		CHECK(socketpair(
			  AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
		if (pair[0] != fd)
			CHECK(dup2(pair[0], fd) == fd);
		if (pair[1] != fd + 1)
			CHECK(dup2(pair[1], fd + 1) == fd + 1);
		if (pair[0] > fd + 1)
			(void)close(pair[0]);
		if (pair[1] > fd + 1)
			(void)close(pair[1]);
	}
}

static void
descriptors_close(void)
{
	for (int fd = 3; fd < OWN; fd++)
		(void)close(fd);
}

static void
on_chan(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	(void)ch;
	(void)f;
	(void)why;
	*(int *)ctx += what == CHAN_CLOSED;
}

/* C's text is JSON, and each of its descriptors is open and there once. */
static void
written(struct carry *c)
{
	const int *fds = (const int *)(const void *)c->fds.data;
	bool seen[OWN] = { false };
	struct json *j = NULL;
	struct err e;

	CHECK(!c->text.failed && !c->fds.failed);
	CHECK(json_parse(c->text.data, c->text.len, 64, &j, &e) == 0);
	for (size_t i = 0; i < c->fds.len / sizeof(*fds); i++) {
		if (fds[i] == -1)
			continue; /* of a channel that has ended */
		CHECK(fds[i] >= 3 && fds[i] < OWN && !seen[fds[i]]);
		CHECK(fcntl(fds[i], F_GETFD) == FD_CLOEXEC);
		seen[fds[i]] = true;
	}
	json_free(j);
}

static void
play(struct super *s, const struct json *doc)
{
	struct carry c = { 0 };
	struct chan *ch;
	struct proc p;
	struct err e;
	int ends = 0;

	proc_init(&p, &kind, NULL, loop, "carried");
	proc_init(&store, &kind, NULL, loop, "store");
	buf_init(&c.text, 8 << 20);
	buf_init(&c.fds, 1 << 16);
	jw_init(&c.w, &c.text);
	jw_object(&c.w);
	ch = chan_take(loop, json_get(doc, "chan"), "any", on_chan, &ends);
	if (proc_take(&p, json_get(doc, "proc"), &e) == 0)
		proc_put(&p, &c, "proc");
	if (clients_take(s, json_get(doc, "clients"), &e) == 0)
		clients_put(s, &c);
	if (ch != NULL) {
		jw_key(&c.w, "chan");
		chan_put(ch, &c.w, &c.fds);
	}
	jw_object_end(&c.w);
	written(&c);
	buf_free(&c.text);
	buf_free(&c.fds);
	for (int i = 0; i < 3; i++)
		ev_run(loop, EVRUN_NOWAIT);
	CHECK(ends <= 1);
	chan_free(ch);
	proc_free(&p);
	proc_free(&store);
	clients_drop();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct super s;
	struct json *j = NULL;
	struct err e;

	if (loop == NULL) {
		log_init("fuzz", LOG_L_ERROR, LOG_F_TEXT);
		sysops.pidfd_kill = no_kill;
		sysops.now_ms = fixed_clock;
		/* What the loop opens for itself is above. */
		descriptors_close();
		for (int fd = 3; fd < OWN; fd++)
			CHECK(open("/dev/null", O_RDWR | O_CLOEXEC) == fd);
		loop = ev_default_loop(0);
		CHECK(loop != NULL);
		ev_run(loop, EVRUN_NOWAIT);
	}
	memset(&s, 0, sizeof(s));
	s.loop = loop;
	if (json_parse((const char *)data, size, 32, &j, &e) == -1)
		return 0;
	descriptors_close();
	descriptors();
	play(&s, j);
	json_free(j);
	return 0;
}
