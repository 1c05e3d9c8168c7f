/*
 * A connection to the control socket; see client.h. Runs as the caller. The
 * supervisor's lines are parsed strictly; whatever else happens on the socket
 * is an error with a sentence.
 */
#include "ctl/client.h"
#include "lib/ops.h"
#include "lib/strutil.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define READ_CHUNK 65536

static int
connect_error(const struct ctl *ctl, int number, struct err *e)
{
	errno = number;
	if (number == ENOENT || number == ECONNREFUSED || number == ENOTDIR)
		return err_set(e, ERR_SYSTEM,
		    "no supervisor answers at %s (%s); start one with "
		    "`sandboxd`, or say with --socket or SANDBOXD_SOCKET where "
		    "it listens",
		    ctl->socket, strerror(number));
	return err_sys(e, "connect to %s", ctl->socket);
}

void
client_init(struct client *c, struct ctl *ctl)
{
	*c = (struct client){ .ctl = ctl, .fd = -1 };
	buf_init(&c->in, CLIENT_LINE_MAX);
	buf_init(&c->out, CONTROL_LINE_MAX);
}

static int
open_socket(struct client *c, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	autofd int fd = -1;

	if (c->ctl->connect != NULL)
		return c->ctl->connect(c->ctl, &c->fd, e);
	if (str_copy(sa.sun_path, sizeof(sa.sun_path), c->ctl->socket) == -1)
		return err_set(e, ERR_SYSTEM, "the socket's path is too long");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return err_sys(e, "socket");
	while (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == -1)
		if (errno != EINTR)
			return connect_error(c->ctl, errno, e);
	c->fd = fd_steal(&fd);
	return 0;
}

void
client_close(struct client *c)
{
	if (c->ctl == NULL)
		return;
	fd_close(&c->fd);
	fd_close_all(c->fds, c->nfds);
	buf_free(&c->in);
	buf_free(&c->out);
	*c = (struct client){ .fd = -1 };
}

struct jw *
client_begin(struct client *c, const char *op)
{
	buf_clear(&c->out);
	jw_init(&c->w, &c->out);
	jw_object(&c->w);
	jw_kint(&c->w, "id", ++c->id);
	jw_kstr(&c->w, "op", op);
	jw_key(&c->w, "args");
	jw_object(&c->w);
	return &c->w;
}

static int
send_line(struct client *c, const int *fds, size_t nfds, struct err *e)
{
	size_t done = 0;

	c->ctl->refused = false;
	(void)buf_addc(&c->out, '\n');
	if (c->out.failed)
		return err_set(e, ERR_TOO_LARGE,
		    "the request is longer than %u bytes", CONTROL_LINE_MAX);
	if (c->fd == -1 && open_socket(c, e) == -1)
		return -1;
	/* Descriptors travel with the first byte. */
	while (done < c->out.len) {
		ssize_t n = fd_send(c->fd, c->out.data + done,
		    c->out.len - done, fds, done == 0 ? nfds : 0);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_sys(e, "send the request");
		done += (size_t)n;
	}
	return 0;
}

int
client_send(struct client *c, const int *fds, size_t nfds, struct err *e)
{
	jw_object_end(&c->w);
	jw_object_end(&c->w);
	return send_line(c, fds, nfds, e);
}

int
client_send_text(struct client *c, const char *line, struct err *e)
{
	buf_clear(&c->out);
	(void)buf_adds(&c->out, line);
	return send_line(c, NULL, 0, e);
}

/* Read what is there. *GOT_OUT is CLIENT_GOT when bytes came. */
static int
fill(struct client *c, int timeout_ms, enum client_got *got_out, struct err *e)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
	int fds[FDIO_MAX_FDS];
	size_t nfds = 0;
	char *room;
	ssize_t n;
	int r;

	*got_out = CLIENT_WAIT;
	r = poll(&pfd, 1, timeout_ms);
	if (r == 0 || (r == -1 && errno == EINTR))
		return 0;
	room = buf_reserve(&c->in, READ_CHUNK);
	if (room == NULL)
		return err_set(e, ERR_TOO_LARGE,
		    "the supervisor's answer is longer than %u bytes",
		    CLIENT_LINE_MAX);
	n = fd_recv(c->fd, room, READ_CHUNK, fds, &nfds);
	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n == -1)
		return err_sys(e, "read from %s", c->ctl->socket);
	if (c->nfds + nfds > FDIO_MAX_FDS) {
		fd_close_all(fds, nfds);
		return err_set(e, ERR_INTERNAL,
		    "the supervisor sent more descriptors than was agreed");
	}
	memcpy(c->fds + c->nfds, fds, nfds * sizeof(fds[0]));
	c->nfds += nfds;
	c->in.len += (size_t)n;
	*got_out = n == 0 ? CLIENT_EOF : CLIENT_GOT;
	return 0;
}

static int
parse_answer(struct client *c, const char *line, size_t len,
    struct answer *a_out, struct err *e)
{
	static const char *const names[] = { "item", "ok", "error" };
	struct answer a = { 0 };
	int64_t id = 0;
	size_t i;

	if (json_parse(line, len, CTL_JSON_DEPTH, &a.root, e) == -1)
		return err_prefix(e, "the supervisor's answer");
	for (i = 0; i < countof(names) && a.body == NULL; i++) {
		a.body = json_get(a.root, names[i]);
		a.kind = (enum answer_kind)i;
	}
	if (a.body == NULL ||
	    json_number_int(json_get(a.root, "id"), &id) == -1 || id != c->id) {
		json_free(a.root);
		return err_set(e, ERR_INTERNAL,
		    "the supervisor's answer does not belong to the request");
	}
	*a_out = a;
	return 0;
}

int
client_line(struct client *c, int timeout_ms, enum client_got *got_out,
    struct answer *a_out, struct err *e)
{
	for (;;) {
		char *nl = NULL;
		size_t len;
		int r;

		if (c->in.len > c->looked)
			nl = memchr(c->in.data + c->looked, '\n',
			    c->in.len - c->looked);
		if (nl != NULL) {
			len = (size_t)(nl - c->in.data);
			r = parse_answer(c, c->in.data, len, a_out, e);
			buf_consume(&c->in, len + 1);
			c->looked = 0;
			*got_out = CLIENT_GOT;
			return r;
		}
		c->looked = c->in.len;
		if (fill(c, timeout_ms, got_out, e) == -1)
			return -1;
		if (*got_out == CLIENT_EOF && c->in.len > 0)
			return err_set(e, ERR_SYSTEM,
			    "the supervisor hung up within an answer");
		if (*got_out == CLIENT_EOF ||
		    (*got_out == CLIENT_WAIT && timeout_ms >= 0))
			return 0;
	}
}

int
client_text(struct client *c, char **nl_out, struct err *e)
{
	enum client_got got;

	for (;;) {
		*nl_out =
		    c->in.len == 0 ? NULL : memchr(c->in.data, '\n', c->in.len);
		if (*nl_out != NULL)
			return 0;
		if (fill(c, -1, &got, e) == -1)
			return -1;
		if (got == CLIENT_EOF)
			return err_set(e, ERR_SYSTEM,
			    "the supervisor hung up without an answer");
	}
}

void
client_text_done(struct client *c, size_t len)
{
	buf_consume(&c->in, len + 1);
}

void
answer_free(struct answer *a)
{
	json_free(a->root);
	*a = (struct answer){ 0 };
}

int
answer_error(struct ctl *ctl, const struct answer *a, struct err *e)
{
	const char *code = json_str(a->body, "code", "internal");
	const char *detail = json_str(a->body, "detail", "");
	enum err_code known = err_from_wire(code);

	/* Over HTTP that is our own word for a server that does not answer. */
	ctl->refused = ctl->connect == NULL || known != ERR_SYSTEM;
	/* A newer supervisor may know codes that we do not. */
	if (strcmp(err_wire(known), code) != 0)
		return err_set(e, known, "%s: %s", code, detail);
	return err_set(
	    e, known, "%s", *detail == '\0' ? err_help(known) : detail);
}

int
client_call(struct client *c, struct answer *a_out, struct err *e)
{
	if (client_send(c, NULL, 0, e) == -1)
		return -1;
	return client_final(c, a_out, e);
}

int
client_final(struct client *c, struct answer *a_out, struct err *e)
{
	enum client_got got;

	for (;;) {
		if (client_line(c, -1, &got, a_out, e) == -1)
			return -1;
		if (got == CLIENT_EOF)
			return err_set(e, ERR_SYSTEM,
			    "the supervisor hung up without an answer");
		if (a_out->kind == ANSWER_OK)
			return 0;
		if (a_out->kind == ANSWER_ERROR) {
			(void)answer_error(c->ctl, a_out, e);
			answer_free(a_out);
			return -1;
		}
		answer_free(a_out);
	}
}

int
client_ask(struct ctl *ctl, const char *op, const char *id,
    struct answer *a_out, struct err *e)
{
	struct client c;
	struct jw *w;
	int r;

	client_init(&c, ctl);
	w = client_begin(&c, op);
	if (id != NULL)
		jw_kstr(w, "id", id);
	r = client_call(&c, a_out, e);
	client_close(&c);
	return r;
}
