/*
 * `sandbox-agent mock-agent-process`: an agent that says everything back, for
 * tests of what stands between a client and an agent. Lines of JSON come on
 * standard input and go to standard output; it ends with the input. Runs as
 * whoever started it.
 */
#include "ctl/compat/compat.h"

#include "lib/buf.h"
#include "lib/fdio.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES (64u << 20)
#define LINE_DEPTH 512

/* The members of the object W begins, up to "method". */
static void
begin_notice(struct jw *w, const char *method)
{
	jw_object(w);
	jw_kstr(w, "jsonrpc", "2.0");
	jw_kstr(w, "method", method);
	jw_key(w, "params");
	jw_object(w);
}

static void
end_notice(struct jw *w, struct buf *b)
{
	jw_object_end(w);
	jw_object_end(w);
	(void)buf_addc(b, '\n');
}

static void
echo(struct buf *b, const struct json *m)
{
	struct jw w;

	jw_init(&w, b);
	begin_notice(&w, "mock/echo");
	jw_kvalue(&w, "message", m);
	end_notice(&w, b);
}

static void
answer(struct buf *b, const struct json *m)
{
	struct jw w;

	jw_init(&w, b);
	jw_object(&w);
	jw_kvalue(&w, "id", json_get(m, "id"));
	jw_kstr(&w, "jsonrpc", "2.0");
	jw_key(&w, "result");
	jw_object(&w);
	jw_kvalue(&w, "echoed", m);
	jw_object_end(&w);
	jw_object_end(&w);
	(void)buf_addc(b, '\n');
}

static void
tell_response(struct buf *b, const struct json *m)
{
	struct jw w;

	jw_init(&w, b);
	begin_notice(&w, "mock/client_response");
	jw_kvalue(&w, "error", json_get(m, "error"));
	jw_kvalue(&w, "id", json_get(m, "id"));
	jw_kvalue(&w, "result", json_get(m, "result"));
	end_notice(&w, b);
}

static void
tell_garbage(struct buf *b, const char *line, size_t n, const struct err *e)
{
	struct jw w;

	jw_init(&w, b);
	begin_notice(&w, "mock/parse_error");
	jw_kstr(&w, "error", e->text);
	jw_key(&w, "raw");
	jw_strn(&w, line, n);
	end_notice(&w, b);
}

static void
take_line(struct buf *b, const char *line, size_t n)
{
	struct json *m = NULL;
	const struct json *method;
	struct err e;

	buf_clear(b);
	if (json_parse(line, n, LINE_DEPTH, &m, &e) == -1) {
		tell_garbage(b, line, n, &e);
		return;
	}
	method = json_get(m, "method");
	echo(b, m);
	if (method != NULL && method->type == JSON_STRING &&
	    json_get(m, "id") != NULL)
		answer(b, m);
	else if (method == NULL && json_get(m, "id") != NULL)
		tell_response(b, m);
	json_free(m);
}

static int
run_echo(struct ctl *ctl, const struct args *a)
{
	char *line = NULL;
	size_t room = 0;
	struct buf b;
	ssize_t n;
	int code = EXIT_OK;

	(void)ctl;
	(void)a;
	buf_init(&b, 8 * (size_t)LINE_MAX_BYTES);
	while (code == EXIT_OK && (n = getline(&line, &room, stdin)) > 0) {
		while (n > 0 && strchr("\r\n", line[n - 1]) != NULL)
			n--;
		if (n == 0)
			continue;
		take_line(&b, line, (size_t)n);
		if (b.failed ||
		    fd_write_all(STDOUT_FILENO, b.data, b.len) == -1)
			code = EXIT_FAILED;
	}
	free(line);
	buf_free(&b);
	return code;
}

const struct command compat_mock_process = {
	.name = "mock-agent-process",
	.operands = "",
	.help = "Say back what comes on standard input.",
	.max = 0,
	.run = run_echo,
};
