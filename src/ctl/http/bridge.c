/*
 * Control requests over HTTP; see bridge.h. Runs as the caller.
 *
 * What comes from the command was written by ourselves and is checked as the
 * supervisor would check it. What comes from the server is parsed strictly.
 */
#include "ctl/http/bridge.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define READ_CHUNK 65536
#define ANSWER_DEPTH (JSON_DEPTH_AGENT + 8)

static const struct {
	enum op_type op;
	bridge_op *fn;
} ops[] = {
	{ OP_STATUS, bridge_status },
	{ OP_SANDBOX_CREATE, bridge_sandbox_create },
	{ OP_SANDBOX_LIST, bridge_sandbox_list },
	{ OP_SANDBOX_GET, bridge_sandbox_get },
	{ OP_SANDBOX_EXEC, bridge_sandbox_exec },
	{ OP_SANDBOX_STOP, bridge_sandbox_stop },
	{ OP_SANDBOX_EXPOSE, bridge_sandbox_expose },
	{ OP_SANDBOX_UNEXPOSE, bridge_sandbox_unexpose },
	{ OP_SANDBOX_START, bridge_sandbox_start },
	{ OP_SANDBOX_DESTROY, bridge_sandbox_destroy },
	{ OP_SANDBOX_PAUSE, bridge_sandbox_pause },
	{ OP_SANDBOX_RESUME, bridge_sandbox_resume },
	{ OP_SANDBOX_RENEW, bridge_sandbox_renew },
	{ OP_SANDBOX_UPDATE, bridge_sandbox_update },
	{ OP_SANDBOX_EVENTS, bridge_sandbox_events },
	{ OP_PROCESS_ATTACH, bridge_process_attach },
	{ OP_SESSION_CREATE, bridge_session_create },
	{ OP_SESSION_LIST, bridge_session_list },
	{ OP_SESSION_GET, bridge_session_get },
	{ OP_SESSION_PROMPT, bridge_session_prompt },
	{ OP_SESSION_EVENTS, bridge_session_events },
	{ OP_SESSION_CANCEL, bridge_session_cancel },
	{ OP_SESSION_PERMISSION_REPLY, bridge_session_permission },
	{ OP_SESSION_QUESTION_REPLY, bridge_session_question },
	{ OP_SESSION_QUESTION_REJECT, bridge_session_reject },
	{ OP_SESSION_CONFIGURE, bridge_session_configure },
	{ OP_SESSION_END, bridge_session_end },
};

/* --- answers ------------------------------------------------------------- */

struct jw *
bridge_begin(struct bridge *b, const char *what)
{
	buf_clear(&b->out);
	jw_init(&b->w, &b->out);
	jw_object(&b->w);
	jw_key(&b->w, "id");
	jw_raw(&b->w, b->req.id, strlen(b->req.id));
	jw_key(&b->w, what);
	return &b->w;
}

void
bridge_send(struct bridge *b, int fd_sent)
{
	size_t done = 0;

	jw_object_end(&b->w);
	(void)buf_addc(&b->out, '\n');
	if (b->out.failed)
		_exit(EXIT_SYS); /* the command sees that we hung up */
	while (done < b->out.len) {
		ssize_t n =
		    fd_send(b->fd, b->out.data + done, b->out.len - done,
			&fd_sent, done == 0 && fd_sent != -1 ? 1 : 0);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			_exit(EXIT_OK); /* nobody listens any more */
		done += (size_t)n;
	}
}

void
bridge_ok_empty(struct bridge *b)
{
	struct jw *w = bridge_begin(b, "ok");

	jw_object(w);
	jw_object_end(w);
	bridge_send(b, -1);
}

void
bridge_ok(struct bridge *b, const struct json *v)
{
	jw_value(bridge_begin(b, "ok"), v);
	bridge_send(b, -1);
}

static void
send_error(struct bridge *b, const struct err *e)
{
	struct jw *w = bridge_begin(b, "error");

	jw_object(w);
	jw_kstr(w, "code", err_wire(e->code));
	jw_key(w, "detail");
	jw_strn(w, e->text, strlen(e->text));
	jw_object_end(w);
	bridge_send(b, -1);
}

/* --- asking -------------------------------------------------------------- */

char *
bridge_path(const char *sandbox, const char *form, const char *const *words)
{
	struct buf b;
	char *path;

	buf_init(&b, 1u << 20);
	if (sandbox != NULL) {
		(void)buf_adds(&b, "/i/");
		target_escape(&b, sandbox);
	}
	while (*form != '\0') {
		if (form[0] == '{' && form[1] == '}') {
			target_escape(&b, *words++);
			form += 2;
		} else {
			(void)buf_addc(&b, *form++);
		}
	}
	path = buf_steal(&b);
	buf_free(&b);
	return path == NULL ? xstrdup("/") : path;
}

int
bridge_nonsense(struct err *e, const char *what)
{
	(void)err_prefix(e, "%s", what);
	e->code = ERR_INTERNAL;
	return -1;
}

int
bridge_ask(struct bridge *b, const char *method, const char *path,
    const struct buf *body, struct json **j_out, struct err *e)
{
	struct http_call c;
	int r;

	if (j_out != NULL)
		*j_out = NULL;
	if (body != NULL && body->failed)
		return err_set(e, ERR_TOO_LARGE, "the request is too long");
	http_call_init(&c, method, path);
	if (body != NULL) {
		c.body = body->data;
		c.body_len = body->len;
	}
	r = http_do(&b->http, &c, e);
	if (r == 0 && (c.status < 200 || c.status >= 300))
		r = http_problem(&c, e);
	if (r == 0 && j_out != NULL && c.body_in.len > 0 &&
	    json_parse(c.body_in.data, c.body_in.len, ANSWER_DEPTH, j_out, e) ==
		-1)
		r = bridge_nonsense(e, "the server's answer");
	http_end(&b->http, &c);
	return r;
}

/* --- requests ------------------------------------------------------------ */

static void
on_request(struct bridge *b, const char *line, size_t len)
{
	struct err e;
	size_t i;
	int r;

	r = op_parse_line(line, len, ++b->number, &b->req, &e);
	if (r == 0) {
		for (i = 0; i < countof(ops); i++)
			if (ops[i].op == b->req.op)
				break;
		r = (i == countof(ops) ? bridge_operation : ops[i].fn)(
		    b, b->req.args, &e);
		if (r == -1)
			send_error(b, &e);
		op_request_free(&b->req);
	} else {
		send_error(b, &e);
	}
	fd_close_all(b->fds, b->nfds);
	b->nfds = 0;
}

/* Nothing of the command's stays open here but our connection: neither what
 * it holds for others, nor its output, whose end somebody may wait for. */
static void
cut_loose(int *fd)
{
	static const int quiet[] = { SIGINT, SIGHUP, SIGTERM, SIGWINCH, SIGPIPE,
		SIGCONT };
	int null_fd;
	size_t i;

	for (i = 0; i < countof(quiet); i++)
		(void)signal(quiet[i], SIG_IGN); /* our connection tells us */
	(void)signal(SIGCHLD, SIG_DFL);
	if (dup2(*fd, 3) == -1)
		_exit(EXIT_SYS);
	*fd = 3;
	(void)fd_set_cloexec(3, 1);
	(void)close_range(4, ~0u, 0);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd == -1)
		_exit(EXIT_SYS);
	for (i = 0; i < 3; i++)
		(void)dup2(null_fd, (int)i);
	(void)close(null_fd);
}

void
bridge_main(int fd, const struct target *t, bool is_first)
{
	struct bridge b = { .fd = fd, .is_first = is_first };
	struct err e;

	cut_loose(&b.fd);
	buf_init(&b.in, CONTROL_LINE_MAX + 1);
	buf_init(&b.out, HTTP_BODY_MAX);
	if (http_open(&b.http, t, &e) == -1)
		_exit(EXIT_SYS);
	b.http.peer_fd = b.fd;
	for (;;) {
		char *room = buf_reserve(&b.in, READ_CHUNK);
		int fds[FDIO_MAX_FDS];
		size_t nfds = 0;
		char *nl;
		ssize_t n;

		if (room == NULL)
			_exit(EXIT_SYS);
		n = fd_recv(b.fd, room, READ_CHUNK, fds, &nfds);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(EXIT_OK);
		if (b.nfds + nfds > FDIO_MAX_FDS)
			_exit(EXIT_BUG);
		memcpy(b.fds + b.nfds, fds, nfds * sizeof(fds[0]));
		b.nfds += nfds;
		b.in.len += (size_t)n;
		while (b.in.len > 0 &&
		       (nl = memchr(b.in.data, '\n', b.in.len)) != NULL) {
			size_t len = (size_t)(nl - b.in.data);

			on_request(&b, b.in.data, len);
			buf_consume(&b.in, len + 1);
		}
	}
}
