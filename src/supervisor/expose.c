/*
 * Exposing ports of sandboxes; see expose.h. Runs in the supervisor, which
 * binds the sockets and lends them to the gateways; what comes in there it
 * never sees. The address is a client's word: a number and a port, checked
 * before anything is opened.
 */
#include "supervisor/expose.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/address.h"
#include "supervisor/gateway.h"
#include "supervisor/ops.h"
#include "supervisor/sandbox_init.h"

#include <fcntl.h>
#include <string.h>

#define BACKLOG 1024
#define LISTEN_MAX 64	   /* of an address as text */
#define NAME_MAX_BYTES 128 /* "port:SANDBOX:PORT" */
#define PORT_FREE_MIN 1024 /* those below are root's */

struct exposed {
	LIST_ENTRY(exposed) link;
	unsigned port;
	bool open;		 /* to everybody, without a token */
	char listen[LISTEN_MAX]; /* where it listens; "" for nowhere */
	int fd;			 /* owned: that socket, or -1 */
};

/* --- addresses ------------------------------------------------------------ */

/* "127.0.0.1:8080", "[::1]:8080", or ":8080" and "8080" on 127.0.0.1. */
static int
address_parse(const char *text, struct address *a, struct err *e)
{
	char host[LISTEN_MAX] = "127.0.0.1";
	const char *colon = strrchr(text, ':');
	const char *number = colon != NULL ? colon + 1 : text;
	size_t n = colon != NULL ? (size_t)(colon - text) : 0;
	int64_t port;

	if (n >= sizeof(host) || str_to_int(number, 0, 65535, &port) == -1)
		goto bad;
	if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
		memcpy(host, text + 1, n - 2);
		host[n - 2] = '\0';
	} else if (n > 0) {
		memcpy(host, text, n);
		host[n] = '\0';
		if (strchr(host, ':') != NULL)
			goto bad;
	}
	if (strcmp(host, "localhost") == 0)
		(void)!str_copy(host, sizeof(host), "127.0.0.1");
	if (address_set(a, host, (uint16_t)port) == -1)
		goto bad;
	if (port != 0 && port < PORT_FREE_MIN)
		return err_set(e, ERR_BAD_REQUEST,
		    "listen: ports below %d are not for this", PORT_FREE_MIN);
	return 0;
bad:
	return err_set(e, ERR_BAD_REQUEST,
	    "listen: not an address and a port, such as 127.0.0.1:8080");
}

/* Others than this machine could connect: only where the configuration says
 * so. */
static int
address_allowed(const struct super *s, const struct address *a, struct err *e)
{
	autofree char *copy = xstrdup(s->conf.expose_addresses);
	char *rest = copy, *word;
	struct address one;

	if (address_is_local(a))
		return 0;
	while ((word = strtok_r(rest, " \t", &rest)) != NULL) {
		if (address_set(&one, word, 0) == 0 &&
		    address_same_host(&one, a))
			return 0;
	}
	return err_set(e, ERR_DENIED,
	    "listen: only loopback addresses, and those in "
	    "gateway.expose_addresses of the configuration");
}

/* --- sockets -------------------------------------------------------------- */

static void
socket_name(const struct sandbox *sb, unsigned port, char dst[NAME_MAX_BYTES])
{
	(void)!str_format(dst, NAME_MAX_BYTES, "port:%s:%u", sb->id, port);
}

static void
unlisten(struct sandbox *sb, struct exposed *x)
{
	char name[NAME_MAX_BYTES];

	if (x->fd == -1)
		return;
	/* The gateways' copies last a moment longer: without this the address
	 * would be taken for as long. */
	(void)shutdown(x->fd, SHUT_RD);
	fd_close(&x->fd);
	socket_name(sb, x->port, name);
	gateways_unlisten(sb->s->gateways, name);
}

static int
bound_socket(const struct address *a, int *fd_out, struct err *e)
{
	autofd int fd = socket(
	    a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int one = 1;

	if (fd == -1)
		return err_sys(e, "listen: socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1 ||
	    (a->sa.sa_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) ==
		    -1))
		return err_sys(e, "listen: socket option");
	if (bind(fd, &a->sa, a->len) == -1 || listen(fd, BACKLOG) == -1)
		return err_sys(e, "listen");
	*fd_out = fd_steal(&fd);
	return 0;
}

/* Listen where TEXT says; X->listen is then where that is. */
static int
listen_at(
    struct sandbox *sb, struct exposed *x, const char *text, struct err *e)
{
	char name[NAME_MAX_BYTES];
	autofree char *at = NULL;
	struct address a;
	int fd = -1;

	socket_name(sb, x->port, name);
	fd = gateways_lent(sb->s->gateways, name);
	if (fd != -1) {
		/* It went on listening while we were replaced. */
		x->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (x->fd == -1 ||
		    str_copy(x->listen, sizeof(x->listen), text) == -1)
			return err_sys(e, "listen: descriptor");
		return 0;
	}
	if (address_parse(text, &a, e) == -1 ||
	    address_allowed(sb->s, &a, e) == -1 ||
	    bound_socket(&a, &fd, e) == -1)
		return -1;
	a.len = sizeof(a.in6);
	if (getsockname(fd, &a.sa, &a.len) == 0)
		at = address_text(&a);
	if (at == NULL || str_copy(x->listen, sizeof(x->listen), at) == -1) {
		fd_close(&fd);
		return err_sys(e, "listen: address");
	}
	x->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (x->fd == -1) {
		fd_close(&fd);
		return err_sys(e, "listen: descriptor");
	}
	if (gateways_listen(
		sb->s->gateways, name, fd, sb->id, (int)x->port, e) == -1) {
		fd_close(&x->fd);
		return -1;
	}
	return 0;
}

/* --- the list ------------------------------------------------------------- */

static struct exposed *
find(const struct sandbox *sb, unsigned port)
{
	struct exposed *x;

	LIST_FOREACH (x, &sb->exposed, link) {
		if (x->port == port)
			break;
	}
	return x;
}

static void
drop(struct sandbox *sb, struct exposed *x)
{
	unlisten(sb, x);
	LIST_REMOVE(x, link);
	free(x);
}

void
exposed_free(struct sandbox *sb)
{
	struct exposed *x;

	while ((x = LIST_FIRST(&sb->exposed)) != NULL)
		drop(sb, x);
}

static void
write_one(const struct exposed *x, struct jw *w)
{
	jw_object(w);
	jw_kint(w, "port", x->port);
	jw_kbool(w, "public", x->open);
	if (x->listen[0] != '\0')
		jw_kstr(w, "listen", x->listen);
	jw_object_end(w);
}

void
exposed_write(const struct sandbox *sb, struct jw *w)
{
	const struct exposed *x;

	jw_array(w);
	LIST_FOREACH (x, &sb->exposed, link) {
		write_one(x, w);
	}
	jw_array_end(w);
}

void
exposed_load(struct sandbox *sb, const struct json *list)
{
	size_t n = 0;

	json_foreach (it, list) {
		int64_t port = json_int(it, "port", 0);
		const char *where = json_str(it, "listen", "");
		struct exposed *x;
		struct err e;

		if (port < 1 || port > 65535 || n++ == EXPOSED_MAX ||
		    find(sb, (unsigned)port) != NULL)
			continue;
		x = xcalloc(1, sizeof(*x));
		x->fd = -1;
		x->port = (unsigned)port;
		x->open = json_bool(it, "public", false);
		LIST_INSERT_HEAD(&sb->exposed, x, link);
		if (*where == '\0' ||
		    str_copy(x->listen, sizeof(x->listen), where) == -1)
			continue;
		if (listen_at(sb, x, where, &e) == -1)
			log_warn("expose", "an exposed port does not listen",
			    LOG_STR("sandbox", sb->id), LOG_INT("port", port),
			    LOG_STR("cause", e.text));
	}
}

/* --- operations ----------------------------------------------------------- */

static void
on_exposed(void *ctx, const struct err *e)
{
	struct request *r = ctx;
	struct sandbox *sb = r->work;
	const struct exposed *x =
	    find(sb, (unsigned)json_int(r->op.args, "port", 0));
	struct err gone;

	if (e == NULL && x == NULL) {
		err_set(&gone, ERR_SANDBOX_STATE,
		    "the port was unexposed meanwhile");
		e = &gone;
	}
	if (e != NULL) {
		request_end_err(r, e);
		return;
	}
	write_one(x, request_ok(r));
	request_end_ok(r);
}

/* Make or change the entry. */
static int
expose(struct sandbox *sb, const struct json *args, struct err *e)
{
	unsigned port = (unsigned)json_int(args, "port", 0);
	const char *where = json_str(args, "listen", NULL);
	struct exposed *x = find(sb, port), *it;
	char before[LISTEN_MAX] = "";
	size_t n = 0;

	LIST_FOREACH (it, &sb->exposed, link) {
		n++;
	}
	if (x == NULL && n == EXPOSED_MAX)
		return err_set(e, ERR_LIMIT,
		    "%zu ports of the sandbox are exposed already", n);
	if (x == NULL) {
		x = xcalloc(1, sizeof(*x));
		x->fd = -1;
		x->port = port;
		LIST_INSERT_HEAD(&sb->exposed, x, link);
	} else {
		(void)!str_copy(before, sizeof(before), x->listen);
	}
	if (where != NULL && (x->fd == -1 || strcmp(where, before) != 0)) {
		unlisten(sb, x);
		if (listen_at(sb, x, where, e) == -1) {
			struct err ignored;

			/* As it was. */
			if (before[0] == '\0' ||
			    listen_at(sb, x, before, &ignored) == -1)
				drop(sb, x);
			return -1;
		}
	} else if (where == NULL) {
		unlisten(sb, x);
		x->listen[0] = '\0';
	}
	x->open = json_bool(args, "public", false);
	return 0;
}

void
op_sandbox_expose(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);
	struct err e;

	if (sb == NULL)
		return;
	if (!sb->born) {
		err_set(&e, ERR_SANDBOX_STATE, "sandbox is being created: %s",
		    sb->id);
		request_end_err(r, &e);
		return;
	}
	if (expose(sb, r->op.args, &e) == -1) {
		request_end_err(r, &e);
		return;
	}
	r->work = sb;
	sandbox_record_store(sb, on_exposed, r);
}

static void
on_unexposed(void *ctx, const struct err *e)
{
	struct request *r = ctx;
	struct jw *w;

	if (e != NULL) {
		request_end_err(r, e);
		return;
	}
	w = request_ok(r);
	jw_object(w);
	jw_kint(w, "port", json_int(r->op.args, "port", 0));
	jw_object_end(w);
	request_end_ok(r);
}

void
op_sandbox_unexpose(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);
	int64_t port = json_int(r->op.args, "port", 0);
	struct exposed *x;
	struct err e;

	if (sb == NULL)
		return;
	x = find(sb, (unsigned)port);
	if (x == NULL) {
		err_set(
		    &e, ERR_PORT_CLOSED, "port %d is not exposed", (int)port);
		request_end_err(r, &e);
		return;
	}
	drop(sb, x);
	r->work = sb;
	sandbox_record_store(sb, on_unexposed, r);
}
