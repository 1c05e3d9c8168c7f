/*
 * sandbox.exec over HTTP; see bridge.h. Runs as the caller.
 *
 * On pipes a command is one request whose answer streams its output; what it
 * shall read is sent with the request, so it is read to its end first. On a
 * terminal it is a process of the server's that is ended, and forgotten, when
 * the terminal is left.
 */
#include "ctl/http/bridge.h"
#include "ctl/http/sse.h"
#include "lib/base64.h"
#include "lib/strutil.h"
#include <signal.h>
#include <string.h>

#define BODY_MAX (9u << 20)
#define STDIN_MAX (5u << 20) /* in base64 it still fits in the request */
#define EVENT_DEPTH 8

static void
write_command(struct jw *w, const struct json *args)
{
	const struct json *command = json_get(args, "command");
	bool is_script = command->type == JSON_STRING;

	jw_key(w, "command");
	if (is_script)
		jw_str(w, "/bin/sh");
	else
		jw_value(w, command->child);
	jw_key(w, "args");
	jw_array(w);
	if (is_script) {
		jw_str(w, "-c");
		jw_value(w, command);
	} else if (command->child != NULL) {
		for (const struct json *it = command->child->next; it != NULL;
		     it = it->next)
			jw_value(w, it);
	}
	jw_array_end(w);
	if (json_get(args, "directory") != NULL)
		jw_kvalue(w, "cwd", json_get(args, "directory"));
	if (json_get(args, "env") != NULL)
		jw_kvalue(w, "env", json_get(args, "env"));
	if (json_get(args, "user") != NULL)
		jw_kvalue(w, "user", json_get(args, "user"));
}

/* --- on pipes ------------------------------------------------------------ */

struct exec {
	struct bridge *b;
	bool ended;
	struct err e;
};

/* Nobody reads its output any more: what a command gets then on a pipe of its
 * own. We hang up, and the server ends it. */
static int
reader_gone(struct exec *x)
{
	jw_object(bridge_begin(x->b, "ok"));
	jw_kint(&x->b->w, "signal", SIGPIPE);
	jw_object_end(&x->b->w);
	bridge_send(x->b, -1);
	x->ended = true;
	return -1;
}

/* To the command's pipe, or as an item of the answer. */
static int
on_output(struct exec *x, const char *name, const struct json *ev)
{
	const char *encoding = json_str(ev, "encoding", NULL);
	const struct json *data = json_get(ev, "data");
	struct bridge *b = x->b;
	char why[BASE64_WHY_MAX];
	struct buf bytes;
	int r = 0;

	if (data == NULL || data->type != JSON_STRING)
		return err_set(&x->e, ERR_INTERNAL, "an output without data");
	if (b->nfds < 3) {
		jw_object(bridge_begin(b, "item"));
		jw_kstr(&b->w, "stream", name);
		jw_key(&b->w, encoding == NULL ? "data" : "base64");
		jw_value(&b->w, data);
		jw_object_end(&b->w);
		bridge_send(b, -1);
		return 0;
	}
	buf_init(&bytes, SSE_EVENT_MAX);
	if (encoding == NULL)
		(void)buf_add(&bytes, data->str, data->len);
	else if (base64_get(&bytes, data->str, data->len, why) == -1)
		r = err_set(&x->e, ERR_INTERNAL, "an output of bytes: %s", why);
	if (r == 0 && bytes.len > 0 &&
	    fd_write_all(
		b->fds[name[3] == 'o' ? 1 : 2], bytes.data, bytes.len) == -1)
		r = reader_gone(x);
	buf_free(&bytes);
	return r;
}

static void
on_exit_event(struct exec *x, const struct json *ev)
{
	struct jw *w = bridge_begin(x->b, "ok");

	jw_object(w);
	if (json_int(ev, "signal", 0) != 0)
		jw_kint(w, "signal", json_int(ev, "signal", 0));
	else
		jw_kvalue(w, "exit_code", json_get(ev, "exitCode"));
	jw_kbool(w, "timed_out", json_bool(ev, "timedOut", false));
	jw_kint(w, "duration_ms", json_int(ev, "durationMs", 0));
	jw_object_end(w);
	/* The pipes end before the answer comes. */
	fd_close_all(x->b->fds, x->b->nfds);
	x->b->nfds = 0;
	bridge_send(x->b, -1);
	x->ended = true;
}

static int
on_event(void *ctx, const char *name, const char *data, size_t len)
{
	struct exec *x = ctx;
	struct json *j;
	int r = 0;

	if (json_parse(data, len, EVENT_DEPTH, &j, &x->e) == -1)
		return bridge_nonsense(&x->e, "the server's event");
	if (strcmp(name, "stdout") == 0 || strcmp(name, "stderr") == 0) {
		r = on_output(x, name, j);
	} else if (strcmp(name, "exit") == 0) {
		if (json_str(j, "error", NULL) != NULL)
			r = err_set(&x->e, ERR_SANDBOX_FAILED, "%s",
			    json_str(j, "error", ""));
		else
			on_exit_event(x, j);
		if (r == 0)
			r = -1; /* nothing comes behind it */
	}
	json_free(j);
	return r;
}

static int
on_data(void *ctx, const char *p, size_t n)
{
	return sse_feed(ctx, p, n);
}

static int
stream(
    struct bridge *b, const char *path, const struct buf *body, struct err *e)
{
	struct exec x = { .b = b };
	struct http_call c;
	struct sse sse;
	int r;

	sse_init(&sse, on_event, &x);
	http_call_init(&c, "POST", path);
	c.body = body->data;
	c.body_len = body->len;
	c.on_data = on_data;
	c.ctx = &sse;
	r = http_do(&b->http, &c, e);
	if (r == 0 && (c.status < 200 || c.status >= 300))
		r = http_problem(&c, e);
	else if (r == 0 && !x.ended)
		r = x.e.code != ERR_NONE
			? (*e = x.e, -1)
			: err_set(e, ERR_SYSTEM,
			      "the server hung up while the command ran");
	http_end(&b->http, &c);
	sse_free(&sse);
	return x.ended ? 0 : r;
}

static int
write_stdin(
    struct bridge *b, struct jw *w, const struct json *args, struct err *e)
{
	const struct json *text = json_get(args, "stdin");
	autofree char *data = NULL;
	struct buf code;
	size_t len;

	if (text != NULL)
		jw_kvalue(w, "stdin", text);
	if (b->nfds < 3)
		return 0;
	if (fd_slurp(b->fds[0], STDIN_MAX, &data, &len, e) == -1)
		return err_prefix(e,
		    "standard input (over HTTP all of it goes ahead, at most "
		    "%u bytes)",
		    STDIN_MAX);
	if (len == 0)
		return 0;
	buf_init(&code, BODY_MAX);
	(void)base64_add(&code, data, len);
	jw_key(w, "stdin");
	jw_strn(w, code.data, code.len);
	jw_kstr(w, "stdinEncoding", "base64");
	buf_free(&code);
	return 0;
}

static int
exec_on_pipes(struct bridge *b, const struct json *args, struct err *e)
{
	autofree char *path =
	    bridge_path(json_str(args, "id", ""), "/v1/processes/exec", NULL);
	struct buf body;
	struct jw w;
	int r;

	buf_init(&body, BODY_MAX);
	jw_init(&w, &body);
	jw_object(&w);
	write_command(&w, args);
	if (json_get(args, "timeout_ms") != NULL)
		jw_kvalue(&w, "timeoutMs", json_get(args, "timeout_ms"));
	r = write_stdin(b, &w, args, e);
	jw_object_end(&w);
	if (r == 0 && body.failed)
		r = err_set(e, ERR_TOO_LARGE, "the request is too long");
	if (r == 0)
		r = stream(b, path, &body, e);
	buf_free(&body);
	return r;
}

/* --- on a terminal ------------------------------------------------------- */

static int
start_process(
    struct bridge *b, const struct json *args, char **id_out, struct err *e)
{
	autofree char *path =
	    bridge_path(json_str(args, "id", ""), "/v1/processes", NULL);
	struct json *j = NULL;
	struct buf body;
	struct jw w;
	int r;

	buf_init(&body, BODY_MAX);
	jw_init(&w, &body);
	jw_object(&w);
	write_command(&w, args);
	jw_kbool(&w, "tty", true);
	jw_kbool(&w, "interactive", true);
	jw_object_end(&w);
	r = bridge_ask(b, "POST", path, &body, &j, e);
	buf_free(&body);
	if (r == 0)
		*id_out = strdup(json_str(j, "id", ""));
	json_free(j);
	return r;
}

/* Nothing of it is to stay: neither the process nor its record. */
static void
forget_process(struct bridge *b, const char *sandbox, const char *id)
{
	const char *words[] = { id };
	autofree char *kill_path =
	    bridge_path(sandbox, "/v1/processes/{}/kill?waitMs=2000", words);
	autofree char *path = bridge_path(sandbox, "/v1/processes/{}", words);
	struct err none;

	b->http.peer_fd = -1; /* also when the command has left */
	(void)bridge_ask(b, "POST", kill_path, NULL, NULL, &none);
	(void)bridge_ask(b, "DELETE", path, NULL, NULL, &none);
	b->http.peer_fd = b->fd;
}

static int
exec_on_terminal(struct bridge *b, const struct json *args, struct err *e)
{
	const char *sandbox = json_str(args, "id", "");
	autofree char *id = NULL;
	int r;

	if (json_get(args, "timeout_ms") != NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "over HTTP a command on a terminal has no --timeout");
	if (start_process(b, args, &id, e) == -1)
		return -1;
	if (id == NULL || *id == '\0')
		return err_set(e, ERR_INTERNAL, "a process without an id");
	r = bridge_terminal(b, sandbox, id, e);
	forget_process(b, sandbox, id);
	return r;
}

int
bridge_sandbox_exec(struct bridge *b, const struct json *args, struct err *e)
{
	if (json_get(args, "command")->type == JSON_ARRAY &&
	    json_get(args, "command")->child == NULL)
		return err_set(e, ERR_BAD_REQUEST, "the command is empty");
	return json_bool(args, "tty", false) ? exec_on_terminal(b, args, e)
					     : exec_on_pipes(b, args, e);
}
