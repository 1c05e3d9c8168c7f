/*
 * The proxy of sandboxes with filtered network: sandboxd-courier started with
 * --egress, a process of its own with ids of its own.
 *
 * What it reads comes from inside sandboxes, from servers and from name
 * servers: anybody. What it holds is sockets: a listening one inside each
 * sandbox, and those of connections. It has no file, and talks to the
 * Internet only. It trusts the supervisor, and ends when descriptor 3 does;
 * the next one gets the same listening sockets.
 */
#include "egress/egress.h"

#include "egress/confine.h"
#include "egress/proxy.h"
#include "lib/confine.h"
#include "lib/log.h"
#include "lib/parent.h"
#include "lib/proctitle.h"
#include "lib/proto.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define RESOLV_CONF_MAX 65536
#define OWN_FDS 64 /* that are not connections' */

/* --- settings ----------------------------------------------------------------
 */

static int
settings(struct proxy *p, const struct json *msg, const struct chan_frame *f,
    struct err *e)
{
	autofree char *text = NULL;
	size_t len;

	if (f->nfds > 0 && fd_slurp(f->fds[0], RESOLV_CONF_MAX, &text, &len, e))
		return err_prefix(e, "resolv.conf");
	if (resolver_set(p->resolver, json_str(msg, "resolver", NULL), text, e))
		return -1;
	p->set = (struct proxy_settings){
		.max_connections = json_int(msg, "max_connections", 0),
		.max_per_sandbox = json_int(msg, "max_per_sandbox", 0),
		.header_ms = json_int(msg, "header_ms", 0),
		.dial_ms = json_int(msg, "dial_ms", 0),
		.idle_ms = json_int(msg, "idle_ms", 0),
	};
	p->most = MIN(p->fits, p->set.max_connections);
	if (!p->started)
		egress_confine_calls_or_die();
	p->started = true;
	return 0;
}

/* --- sandboxes
 * ---------------------------------------------------------------- */

/* Is that a socket that listens for TCP? */
static bool
listens(int fd)
{
	int domain = 0, protocol = 0, accepts = 0;
	socklen_t n = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &n) == 0 &&
	       domain == AF_INET && protocol == IPPROTO_TCP && accepts != 0;
}

static int
serve(struct proxy *p, const struct json *msg, const struct chan_frame *f,
    struct err *e)
{
	const char *id = json_str(msg, "sandbox", "");
	struct netpolicy policy;
	struct box *old = box_find(p, id);
	int log_fd;

	if (f->nfds < 1 || !listens(f->fds[0]) ||
	    fd_set_nonblock(f->fds[0], 1) == -1)
		return err_set(e, ERR_BAD_REQUEST, "no socket that listens");
	if (netpolicy_parse(json_get(msg, "egress"), &policy, e) == -1)
		return -1;
	if (old != NULL)
		box_free(old);
	log_fd = f->nfds > 1 ? fd_steal(&f->fds[1]) : -1;
	box_new(p, id, fd_steal(&f->fds[0]), log_fd, &policy);
	return 0;
}

static int
rules(struct proxy *p, const struct json *msg, struct err *e)
{
	struct box *b = box_find(p, json_str(msg, "sandbox", ""));
	struct netpolicy policy;

	if (netpolicy_parse(json_get(msg, "egress"), &policy, e) == -1)
		return -1;
	if (b != NULL) {
		netpolicy_free(&b->policy);
		b->policy = policy;
	} else {
		netpolicy_free(&policy); /* it has just ended */
	}
	return 0;
}

static int
notes(struct proxy *p, const struct json *msg, const struct chan_frame *f)
{
	struct box *b = box_find(p, json_str(msg, "sandbox", ""));

	if (b != NULL && f->nfds > 0)
		notes_channel(b->notes, fd_steal(&f->fds[0]));
	return 0;
}

static int
leave(struct proxy *p, const struct json *msg)
{
	struct box *b = box_find(p, json_str(msg, "sandbox", ""));

	if (b != NULL)
		box_free(b);
	return 0;
}

/* --- messages
 * ------------------------------------------------------------------ */

static void
on_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct proxy *p = ctx;

	parent_log(p->ch, level, line, len);
}

static void
on_chan(struct chan *ch ATTR_UNUSED, enum chan_what what,
    const struct chan_frame *f, const char *why ATTR_UNUSED, void *ctx)
{
	struct proxy *p = ctx;
	struct proto_in m;
	struct err e;
	int r;

	if (what == CHAN_CLOSED)
		_exit(EXIT_OK);
	if (proto_check(ROLE_SUPER, PS_RUNNING, ROLE_EGRESS, f->msg, f->len,
		f->nfds, &m, &e) == -1)
		fatal("egress", "breach: %s", e.text);
	if (m.kind != PROTO_MESSAGE)
		fatal("egress", "breach: an answer nobody waits for");
	if (m.type == MSG_EGRESS_SETTINGS)
		r = settings(p, m.body, f, &e);
	else if (!p->started)
		fatal("egress", "breach: before the settings");
	else if (m.type == MSG_EGRESS_SERVE)
		r = serve(p, m.body, f, &e);
	else if (m.type == MSG_EGRESS_RULES)
		r = rules(p, m.body, &e);
	else if (m.type == MSG_EGRESS_NOTES)
		r = notes(p, m.body, f);
	else
		r = leave(p, m.body);
	if (m.id == 0)
		return;
	if (r == -1)
		(void)chan_reply_err(p->ch, m.id, &e);
	else
		(void)chan_reply_ok(p->ch, m.id);
}

void
egress_run(int64_t uid, int64_t gid, const char *root)
{
	static struct proxy p;
	size_t fds;

	confine_or_die(uid, gid, root);
	fds = confine_limits();
	proctitle_set("sandboxd-egress", "sandboxd-courier: egress");
	LIST_INIT(&p.boxes);
	/* Two for each connection, and one more while it dials. */
	p.fits = MAX((int64_t)(fds - MIN(fds, OWN_FDS)) / 3, 1);
	p.loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	if (p.loop == NULL)
		fatal("egress", "no event loop");
	p.resolver = resolver_new(p.loop);
	p.ch = chan_new(p.loop, CHILD_SUPER_FD, "supervisor", on_chan, &p);
	log_sink(on_log, &p);
	(void)parent_hello(p.ch, ROLE_EGRESS); /* its end is ours */
	(void)ev_run(p.loop, 0);
	_exit(EXIT_OK);
}
