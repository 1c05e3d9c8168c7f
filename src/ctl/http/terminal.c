/*
 * A process on a terminal of the server, as a terminal of this machine: the
 * command gets the master, as the supervisor would hand it one, and this
 * process carries bytes and sizes between the slave and a WebSocket. Runs as
 * the caller.
 */
#include "ctl/http/bridge.h"
#include "ctl/http/ws.h"
#include "lib/base64.h"
#include "lib/strutil.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#define INPUT_MAX                                                   \
	16384 /* bytes of one message; the server's limit is higher \
	       */
#define EVENT_DEPTH 8
#define TICK_MS 1000

struct terminal {
	struct bridge *b;
	struct ws ws;
	int slave_fd; /* owned */
	struct winsize size;
	bool ended;
	bool has_code;
	int64_t code;
};

static void
on_winch(int number)
{
	(void)number; /* that poll is interrupted is all */
}

/* A pair in raw mode: what arrives at one end leaves at the other. The slave
 * becomes this process's own terminal, so that a change of size is told. */
static int
open_pair(int *master_out, int *slave_out, struct err *e)
{
	struct sigaction sa = { .sa_handler = on_winch };
	autofd int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios tio;
	char name[64];
	int slave;

	if (master == -1 || grantpt(master) == -1 || unlockpt(master) == -1 ||
	    ptsname_r(master, name, sizeof(name)) != 0)
		return err_sys(e, "make a terminal");
	(void)
	    setsid(); /* a second terminal of this process: it leads already */
	slave = open(name, O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (slave == -1)
		return err_sys(e, "open %s", name);
	if (tcgetattr(slave, &tio) == 0) {
		cfmakeraw(&tio);
		(void)tcsetattr(slave, TCSANOW, &tio);
	}
	(void)sigaction(SIGWINCH, &sa, NULL);
	(void)ioctl(
	    slave, TIOCSCTTY, 0); /* without it sizes come by the tick */
	*master_out = fd_steal(&master);
	*slave_out = slave;
	return 0;
}

/* --- from here to there -------------------------------------------------- */

static int
send_size(struct terminal *t, struct err *e)
{
	struct winsize now;
	char text[80];

	if (ioctl(t->slave_fd, TIOCGWINSZ, &now) == -1 ||
	    (now.ws_col == t->size.ws_col && now.ws_row == t->size.ws_row))
		return 0;
	t->size = now;
	(void)snprintf(text, sizeof(text),
	    "{\"type\":\"resize\",\"cols\":%u,\"rows\":%u}", now.ws_col,
	    now.ws_row);
	return ws_send(&t->ws, WS_TEXT, text, strlen(text), e);
}

static int
send_input(struct terminal *t, struct err *e)
{
	unsigned char bytes[INPUT_MAX];
	ssize_t n = read(t->slave_fd, bytes, sizeof(bytes));
	struct buf b;
	int r;

	if (n <= 0)
		return 0; /* nothing yet, or the command has left: poll tells */
	buf_init(&b, 3 * INPUT_MAX);
	(void)buf_adds(&b, "{\"type\":\"input\",\"data\":\"");
	(void)base64_add(&b, bytes, (size_t)n);
	(void)buf_adds(&b, "\",\"encoding\":\"base64\"}");
	r = ws_send(&t->ws, WS_TEXT, b.data, b.len, e);
	buf_free(&b);
	return r;
}

/* --- from there to here -------------------------------------------------- */

static int
on_text(struct terminal *t, struct err *e)
{
	const struct buf *m = &t->ws.message;
	const struct json *code;
	const char *type;
	struct json *j;

	if (json_parse(m->data, m->len, EVENT_DEPTH, &j, e) == -1)
		return bridge_nonsense(e, "the terminal's message");
	type = json_str(j, "type", "");
	if (strcmp(type, "exit") == 0) {
		t->ended = true;
		code = json_get(j, "exitCode");
		t->has_code =
		    code != NULL && json_number_int(code, &t->code) == 0;
	}
	json_free(j);
	return 0;
}

static int
take_messages(struct terminal *t, struct err *e)
{
	int r;

	while (!t->ended && (r = ws_next(&t->ws, e)) != 0) {
		if (r == -1)
			return -1;
		if (t->ws.kind == WS_CLOSE)
			return err_set(
			    e, ERR_SYSTEM, "the server closed the terminal");
		if (t->ws.kind == WS_TEXT) {
			if (on_text(t, e) == -1)
				return -1;
		} else if (t->ws.message.len > 0 &&
			   fd_write_all(t->slave_fd, t->ws.message.data,
			       t->ws.message.len) == -1) {
			return err_sys(e, "the terminal has gone");
		}
	}
	return 0;
}

static bool
command_left(const struct terminal *t)
{
	char c;

	return recv(t->b->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static int
carry(struct terminal *t, struct err *e)
{
	while (!t->ended) {
		struct pollfd pfd[3] = {
			{ .fd = t->ws.fd, .events = POLLIN },
			{ .fd = t->slave_fd, .events = POLLIN },
			{ .fd = t->b->fd, .events = POLLIN },
		};

		/* Bytes that libcurl holds already are not polled for. */
		if (take_messages(t, e) == -1)
			return -1;
		if (t->ended)
			break;
		if (send_size(t, e) == -1)
			return -1;
		if (poll(pfd, 3, TICK_MS) == -1) {
			if (errno != EINTR)
				return err_sys(e, "poll");
			continue;
		}
		if (pfd[0].revents != 0 && ws_fill(&t->ws, e) == -1)
			return -1;
		if ((pfd[1].revents & POLLIN) != 0 && send_input(t, e) == -1)
			return -1;
		if (pfd[2].revents != 0 && command_left(t))
			return err_set(e, ERR_INTERNAL, "nobody listens");
	}
	return 0;
}

int
bridge_terminal(
    struct bridge *b, const char *sandbox, const char *process, struct err *e)
{
	const char *words[] = { process };
	autofree char *path = bridge_path(
	    sandbox, "/v1/processes/{}/terminal/ws?replay=true", words);
	struct terminal t = { .b = b, .slave_fd = -1 };
	autofd int master = -1;
	int r;

	if (ws_open(&t.ws, b->http.target, path, e) == -1 ||
	    open_pair(&master, &t.slave_fd, e) == -1) {
		ws_close(&t.ws);
		return -1;
	}
	jw_object(bridge_begin(b, "item"));
	jw_kbool(&b->w, "tty", true);
	jw_object_end(&b->w);
	bridge_send(b, master);
	fd_close(&master);
	r = carry(&t, e);
	ws_close(&t.ws);
	if (r == 0) {
		jw_object(bridge_begin(b, "ok"));
		if (t.has_code)
			jw_kint(&b->w, "exit_code", t.code);
		else
			jw_kint(&b->w, "signal", SIGKILL);
		jw_object_end(&b->w);
		bridge_send(b, -1);
	}
	fd_close(&t.slave_fd);
	return r;
}
