/*
 * Attached to a process; see attach.h. Runs as the caller.
 *
 * The socket that comes back over the control socket leads to the sandbox's
 * init: records of what is printed come out of it (lib/proclog.h), what is
 * typed goes in. What it says is hostile: a record that is none ends it all,
 * and output is bytes that are not looked at, as those of any command are.
 */
#include "ctl/attach.h"
#include "ctl/signals.h"
#include "ctl/term.h"
#include "lib/proclog.h"
#include "lib/strutil.h"
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#define TYPED_MAX 65536 /* waiting; more is lost, but for the keys in it */

struct attached {
	const struct attach_opts *o;
	struct client c;
	int fd; /* owned: the socket */
	int stdin_fd;
	char typed[TYPED_MAX];
	size_t ntyped;
	size_t matched; /* of the keys, typed by now */
	struct buf in;	/* records, the last one maybe cut */
	bool left;
	bool exited;
	int code;
};

/* --- keys ---------------------------------------------------------------- */

static int
key_parse(const char *p, size_t n, char *key_out)
{
	if (n == 1 && isprint((unsigned char)*p)) {
		*key_out = *p;
		return 0;
	}
	if (n != 6 || strncmp(p, "ctrl-", 5) != 0)
		return -1;
	if (isalpha((unsigned char)p[5]))
		*key_out = (char)(tolower((unsigned char)p[5]) - 'a' + 1);
	else if (strchr("@[\\]^_", p[5]) != NULL)
		*key_out = (char)(p[5] - '@');
	else
		return -1;
	return 0;
}

int
attach_keys(struct attach_opts *o, const char *text, struct err *e)
{
	const char *p = text;
	size_t n;

	o->nkeys = 0;
	if (strcmp(text, "none") == 0)
		return 0;
	for (;; p += n + 1) {
		n = strcspn(p, ",");
		if (o->nkeys == ATTACH_KEYS_MAX ||
		    key_parse(p, n, &o->keys[o->nkeys]) == -1)
			return err_set(e, ERR_BAD_REQUEST,
			    "'%.40s' are no keys: up to %d, like "
			    "ctrl-p,ctrl-q or none",
			    text, ATTACH_KEYS_MAX);
		o->nkeys++;
		if (p[n] == '\0')
			return 0;
	}
}

static void
typed_add(struct attached *x, const char *p, size_t n)
{
	n = MIN(n, TYPED_MAX - x->ntyped);
	memcpy(x->typed + x->ntyped, p, n);
	x->ntyped += n;
}

/* A byte of the user's: to the process, unless it belongs to the keys. Those
 * that turn out not to are handed on late. */
static void
typed_byte(struct attached *x, char c)
{
	const struct attach_opts *o = x->o;
	size_t keep;

	while (x->matched > 0 && o->keys[x->matched] != c) {
		/* What is held back begins anew one byte later, if at all. */
		for (keep = x->matched - 1; keep > 0; keep--)
			if (memcmp(o->keys, o->keys + x->matched - keep,
				keep) == 0)
				break;
		typed_add(x, o->keys, x->matched - keep);
		x->matched = keep;
	}
	if (o->nkeys == 0 || o->keys[x->matched] != c) {
		typed_add(x, &c, 1);
		return;
	}
	x->matched++;
	x->left = x->matched == o->nkeys;
}

static void
on_stdin(struct attached *x)
{
	static const char end = 4; /* ^D: what a person would type */
	char buf[4096];
	ssize_t n = read(x->stdin_fd, buf, sizeof(buf));
	ssize_t i;

	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		x->stdin_fd = -1;
		if (x->o->tty && isatty(STDIN_FILENO) != 1)
			typed_add(x, &end, 1);
		return;
	}
	for (i = 0; i < n && !x->left; i++)
		typed_byte(x, buf[i]);
}

static int
typed_send(struct attached *x, struct err *e)
{
	ssize_t n = write(x->fd, x->typed, x->ntyped);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == -1 && (errno == EPIPE || errno == ECONNRESET)) {
		x->ntyped = 0; /* reading tells what has become of it */
		return 0;
	}
	if (n == -1)
		return err_sys(e, "write to the process");
	x->ntyped -= (size_t)n;
	memmove(x->typed, x->typed + n, x->ntyped);
	return 0;
}

/* --- what comes ---------------------------------------------------------- */

static int
record_take(struct attached *x, const struct proclog *r, const char *data,
    struct err *e)
{
	struct proclog_exit how;
	int fd = r->stream == PROCLOG_STDERR ? STDERR_FILENO : STDOUT_FILENO;

	if (r->stream != PROCLOG_EXIT) {
		if (fd_write_all(fd, data, r->len) == 0)
			return 0;
		return err_sys(e, "write");
	}
	if (proclog_get_exit(data, r->len, &how) == -1)
		return err_set(e, ERR_INTERNAL, "a damaged end came");
	x->exited = true;
	x->code = how.sig != 0 ? (128 + how.sig) & 0xff : how.code & 0xff;
	return 0;
}

static int
records_take(struct attached *x, struct err *e)
{
	struct proclog r;
	int got;

	while (
	    !x->exited && (got = proclog_get(x->in.data, x->in.len, &r)) != 0) {
		if (got == -1)
			return err_set(
			    e, ERR_INTERNAL, "what came is no record");
		if (record_take(x, &r, x->in.data + PROCLOG_HEADER, e) == -1)
			return -1;
		buf_consume(&x->in, PROCLOG_HEADER + r.len);
	}
	return 0;
}

static int
on_socket(struct attached *x, struct err *e)
{
	char *room = buf_reserve(&x->in, PROCLOG_MAX);
	ssize_t n;

	if (room == NULL)
		return err_set(e, ERR_INTERNAL, "a record is too long");
	n = read(x->fd, room, PROCLOG_MAX);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return err_set(e, ERR_SANDBOX_FAILED,
		    "the connection to the process has ended");
	x->in.len += (size_t)n;
	return records_take(x, e);
}

/* --- the terminal's size ------------------------------------------------- */

static void
resize(struct attached *x)
{
	struct winsize ws;
	struct answer a;
	struct err e;
	struct jw *w;

	if (!x->o->tty)
		return;
	term_raw_again();
	term_size(&ws);
	w = client_begin(&x->c, "process.resize");
	jw_kstr(w, "id", x->o->sandbox);
	jw_kint(w, "process", x->o->process);
	jw_kint(w, "columns", ws.ws_col);
	jw_kint(w, "rows", ws.ws_row);
	/* It may just have ended. */
	if (client_call(&x->c, &a, &e) == 0)
		answer_free(&a);
}

/* --- the loop ------------------------------------------------------------ */

/* The socket comes with the first answer, its final line behind it. */
static int
socket_await(struct attached *x, struct err *e)
{
	struct jw *w = client_begin(&x->c, "process.attach");
	enum client_got got = CLIENT_WAIT;
	struct answer a;

	jw_kstr(w, "id", x->o->sandbox);
	jw_kint(w, "process", x->o->process);
	jw_kbool(w, "replay", x->o->replay);
	jw_kint(w, "fds", 0);
	if (client_send(&x->c, NULL, 0, e) == -1)
		return -1;
	for (;;) {
		if (client_line(&x->c, -1, &got, &a, e) == -1)
			return -1;
		if (got != CLIENT_GOT)
			return err_set(e, ERR_SYSTEM, "the supervisor hung up");
		if (a.kind == ANSWER_ERROR) {
			(void)answer_error(x->c.ctl, &a, e);
			answer_free(&a);
			return -1;
		}
		if (a.kind == ANSWER_ITEM && x->c.nfds == 1 && x->fd == -1) {
			x->fd = x->c.fds[0];
			x->c.nfds = 0;
		}
		if (a.kind == ANSWER_OK)
			break;
		answer_free(&a);
	}
	answer_free(&a);
	if (x->fd == -1 || fd_set_nonblock(x->fd, 1) == -1)
		return err_set(e, ERR_INTERNAL, "no socket came");
	return 0;
}

/* 128 + a signal that ends us, 0 to go on, -1. */
static int
loop(struct attached *x, struct err *e)
{
	struct pollfd pfd[3];
	struct signals s;

	while (!x->exited && !x->left) {
		pfd[0] = (struct pollfd){ .fd = x->fd,
			.events = POLLIN | (x->ntyped > 0 ? POLLOUT : 0) };
		pfd[1] =
		    (struct pollfd){ .fd = signals_fd(), .events = POLLIN };
		pfd[2] = (struct pollfd){ .fd = x->stdin_fd, .events = POLLIN };
		if (poll(pfd, 3, -1) == -1) {
			if (errno != EINTR)
				return err_sys(e, "poll");
			continue;
		}
		signals_take(&s);
		if (s.resize)
			resize(x);
		if (s.stops > 0)
			return 128 + s.number;
		if (pfd[2].revents != 0)
			on_stdin(x);
		if (x->ntyped > 0 && (pfd[0].revents & POLLOUT) != 0 &&
		    typed_send(x, e) == -1)
			return -1;
		if ((pfd[0].revents & ~POLLOUT) != 0 && on_socket(x, e) == -1)
			return -1;
	}
	return 0;
}

int
attach(struct ctl *ctl, const struct attach_opts *o, enum attach_end *end_out,
    int *code_out, struct err *e)
{
	static struct attached x;
	int r;

	x = (struct attached){
		.o = o, .fd = -1, .stdin_fd = o->with_stdin ? STDIN_FILENO : -1
	};
	buf_init(&x.in, 2 * PROCLOG_MAX);
	client_init(&x.c, ctl);
	r = signals_open(2, e) == -1 || socket_await(&x, e) == -1 ? -1 : 0;
	if (r == 0 && o->tty && o->with_stdin)
		r = term_raw(e);
	if (r == 0) {
		resize(&x);
		r = loop(&x, e);
		term_restore();
	}
	fd_close(&x.fd);
	buf_free(&x.in);
	client_close(&x.c);
	*end_out = x.exited ? ATTACH_EXITED : ATTACH_LEFT;
	*code_out = x.exited ? x.code : r;
	return r == -1 ? -1 : 0;
}
