/*
 * process.attach over HTTP: the command gets a socket as the supervisor would
 * hand it one, and two processes of ours carry what goes through it. One turns
 * the log as it grows into records, the other posts what is typed. Both run as
 * the caller and end with the socket, or with the process that they look at.
 */
#include "ctl/http/bridge.h"
#include "ctl/http/sse.h"
#include "lib/base64.h"
#include "lib/proclog.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENT_DEPTH 8
#define LOOK_MS 5000 /* one question whether it has ended */
/* Of one request; the server's limit is higher. */
#define TYPED_MAX 16384

struct attached {
	struct bridge b; /* a copy, with a connection of its own */
	const char *sandbox, *process; /* "proc_7" */
	int64_t number;		       /* 7 */
	char *path;	   /* owned: of the log, while it is asked for */
	int fd, far_fd;	   /* owned; the command gets the far one */
	uint64_t sequence; /* of what was told last; 0: nothing */
	bool gone;	   /* the command reads no further */
};

static char *
path_of(const struct attached *x, const char *form)
{
	const char *words[] = { x->process };

	return bridge_path(x->sandbox, form, words);
}

/* --- what is printed ----------------------------------------------------- */

static enum proclog_stream
stream_of(const char *name)
{
	unsigned s;

	for (s = PROCLOG_STDOUT; s < PROCLOG_EXIT; s++)
		if (strcmp(proclog_stream_name((enum proclog_stream)s), name) ==
		    0)
			break;
	return (enum proclog_stream)s;
}

static int
put_record(struct attached *x, const struct json *j, struct err *e)
{
	struct proclog r = { .stream = stream_of(json_str(j, "stream", "")),
		.sequence = (uint64_t)json_int(j, "sequence", 0),
		.time_ms = json_int(j, "timestampMs", 0) };
	const struct json *data = json_get(j, "data");
	char head[PROCLOG_HEADER], why[BASE64_WHY_MAX];
	struct buf bytes;
	int rc = -1;

	if (r.stream == PROCLOG_EXIT || data == NULL ||
	    data->type != JSON_STRING)
		return err_set(e, ERR_INTERNAL, "an entry that is none");
	buf_init(&bytes, PROCLOG_DATA_MAX);
	if (base64_get(&bytes, data->str, data->len, why) == -1) {
		(void)err_set(e, ERR_INTERNAL, "an entry of bytes: %s", why);
	} else {
		r.len = bytes.len;
		x->sequence = r.sequence;
		proclog_put(head, &r);
		rc = fd_write_all(x->fd, head, sizeof(head));
		if (rc == 0 && r.len > 0)
			rc = fd_write_all(x->fd, bytes.data, r.len);
		x->gone = rc == -1;
	}
	buf_free(&bytes);
	return rc;
}

static int
on_event(void *ctx, const char *name, const char *text, size_t len)
{
	struct json *j;
	struct err e;
	int r;

	if (strcmp(name, "log") != 0)
		return 0;
	if (json_parse(text, len, EVENT_DEPTH, &j, &e) == -1)
		return -1;
	r = put_record(ctx, j, &e);
	json_free(j);
	return r;
}

static int
on_data(void *ctx, const char *p, size_t n)
{
	return sse_feed(ctx, p, n);
}

/* The process's record when it has ended, or after WAIT_MS; NULL with E. */
static struct json *
look(struct attached *x, int64_t wait_ms, struct err *e)
{
	struct json *j = NULL;
	struct buf body;
	struct jw w;
	int r;

	buf_init(&body, 1024);
	jw_init(&w, &body);
	jw_object(&w);
	jw_kstr(&w, "id", x->sandbox);
	jw_kint(&w, "process", x->number);
	jw_kint(&w, "timeout_ms", wait_ms);
	jw_object_end(&w);
	r = bridge_ask(
	    &x->b, "POST", "/v1/operations/process.wait", &body, &j, e);
	buf_free(&body);
	return r == -1 ? NULL : j;
}

/* The log as it grows, beside whatever else is asked on this connection's
 * fellows. It has no end of its own. */
static int
follow(struct attached *x, struct http_call *c, struct sse *sse, struct err *e)
{
	autofree char *base = path_of(x, "/v1/processes/{}/logs?follow=true");

	free(x->path);
	x->path =
	    xasprintf("%s&since=%llu", base, (unsigned long long)x->sequence);
	sse_init(sse, on_event, x);
	http_call_init(c, "GET", x->path);
	c->headers[0] = "Accept: text/event-stream";
	c->on_data = on_data;
	c->ctx = sse;
	return http_begin(&x->b.http, c, e);
}

/* Begin behind what has been printed by now. */
static int
skip_past(struct attached *x, struct err *e)
{
	autofree char *path = path_of(x, "/v1/processes/{}/logs?tail=1");
	struct json *j = NULL;

	if (bridge_ask(&x->b, "GET", path, NULL, &j, e) == -1)
		return -1;
	json_foreach (entry, json_get(j, "entries"))
		x->sequence = (uint64_t)json_int(entry, "sequence", 0);
	json_free(j);
	return 0;
}

/* What of the log had not come when the process was seen to have ended. */
static int
put_rest(struct attached *x, struct err *e)
{
	autofree char *base = path_of(x, "/v1/processes/{}/logs");
	autofree char *path =
	    xasprintf("%s?since=%llu", base, (unsigned long long)x->sequence);
	struct json *j = NULL;

	if (bridge_ask(&x->b, "GET", path, NULL, &j, e) == -1)
		return -1;
	json_foreach (entry, json_get(j, "entries"))
		if (!x->gone && put_record(x, entry, e) == -1)
			break;
	json_free(j);
	return x->gone ? -1 : 0;
}

static void
put_end(struct attached *x, const struct json *process)
{
	struct proclog_exit how = { .code = -1,
		.sig = (int)json_int(process, "signal", 0) };
	char record[PROCLOG_HEADER + PROCLOG_EXIT_LEN];

	if (how.sig == 0)
		how.code = (int)(json_int(process, "exit_code", 0) & 0xff);
	/* or nobody reads any more */
	(void)!fd_write_all(
	    x->fd, record, proclog_put_exit(record, &how, now_realtime_ms()));
}

/* A stream that was cut is taken up where it was. */
static void ATTR_NORETURN
carry_output(struct attached *x)
{
	bool over = false;

	while (!over && !x->gone) {
		struct http_call c;
		struct json *j = NULL;
		struct sse sse;
		struct err e;

		over = follow(x, &c, &sse, &e) == -1;
		while (!over && !c.is_done && !x->gone) {
			j = look(x, LOOK_MS, &e);
			over = j == NULL ||
			       strcmp(json_str(j, "state", ""), "exited") == 0;
			if (!over)
				json_free(STEAL(j));
		}
		http_end(&x->b.http, &c);
		sse_free(&sse);
		if (j != NULL && put_rest(x, &e) == 0)
			put_end(x, j);
		json_free(j);
	}
	_exit(EXIT_OK);
}

/* --- what is typed ------------------------------------------------------- */

static void ATTR_NORETURN
carry_input(struct attached *x)
{
	autofree char *path = path_of(x, "/v1/processes/{}/input");
	char bytes[TYPED_MAX];
	struct buf body;
	struct err e;
	ssize_t n;

	while ((n = read(x->fd, bytes, sizeof(bytes))) > 0 ||
	       (n == -1 && errno == EINTR)) {
		if (n == -1)
			continue;
		buf_init(&body, 2 * TYPED_MAX);
		(void)buf_adds(&body, "{\"data\":\"");
		(void)base64_add(&body, bytes, (size_t)n);
		(void)buf_adds(&body, "\",\"encoding\":\"base64\"}");
		/* It may just have ended: the other one tells. */
		(void)bridge_ask(&x->b, "POST", path, &body, NULL, &e);
		buf_free(&body);
	}
	_exit(EXIT_OK);
}

/* --- both ---------------------------------------------------------------- */

/* A process that carries one way; with FD, which the other one has too. */
static int
start(struct attached *x, const struct bridge *b, void carry(struct attached *),
    struct err *e)
{
	/* PRIV: none before, none after; the child is the caller as we are. */
	pid_t pid = fork();

	if (pid == -1)
		return err_sys(e, "fork");
	if (pid > 0)
		return 0;
	(void)close(b->fd);
	(void)close(x->far_fd);
	if (http_open(&x->b.http, b->http.target, e) == -1)
		_exit(EXIT_SYS);
	/* When the command hangs up there is nothing left to do. */
	x->b.http.peer_fd = carry == carry_output ? x->fd : -1;
	carry(x);
	_exit(EXIT_OK);
}

int
bridge_process_attach(struct bridge *b, const struct json *args, struct err *e)
{
	autofree char *id =
	    xasprintf("proc_%lld", (long long)json_int(args, "process", 0));
	struct attached x = {
		.sandbox = json_str(args, "id", ""),
		.process = id,
		.number = json_int(args, "process", 0),
		.fd = -1,
		.far_fd = -1,
	};
	struct json *j;
	int r;

	x.b = *b;
	j = look(&x, 0, e);
	if (j == NULL)
		return -1;
	json_free(j);
	if (!json_bool(args, "replay", true) && skip_past(&x, e) == -1)
		return -1;
	if (fd_socketpair(&x.fd, &x.far_fd, e) == -1)
		return -1;
	r = fd_set_nonblock(x.fd, 0) == -1 ? err_sys(e, "a socket")
					   : start(&x, b, carry_output, e);
	if (r == 0)
		r = start(&x, b, carry_input, e);
	fd_close(&x.fd);
	if (r == 0) {
		jw_object(bridge_begin(b, "item"));
		jw_object_end(&b->w);
		bridge_send(b, x.far_fd);
		bridge_ok_empty(b);
	}
	fd_close(&x.far_fd);
	return r;
}
