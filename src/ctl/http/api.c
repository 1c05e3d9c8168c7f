/*
 * `sandboxctl api`; see api.h. Runs as the caller.
 */
#include "ctl/http/api.h"
#include "ctl/text.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ANSWER_DEPTH 1000
#define BODY_MAX (128u << 20)

/* --- finding an action --------------------------------------------------- */

static const struct api_action *
action_at(size_t i)
{
	if (i < api_nsessions)
		return &api_sessions[i];
	i -= api_nsessions;
	return i < api_nothers ? &api_others[i] : NULL;
}

/* The action's words at the front of V; *USED_OUT of them. A group of "" is an
 * action of one word. */
static const struct api_action *
find_action(char *const *v, size_t n, size_t *used_out)
{
	const struct api_action *x;
	size_t i;

	for (i = 0; (x = action_at(i)) != NULL; i++) {
		*used_out = *x->group == '\0' ? 1 : 2;
		if (*x->group == '\0' && n > 0 && strcmp(v[0], x->name) == 0)
			return x;
		if (n > 1 && strcmp(v[0], x->group) == 0 &&
		    strcmp(v[1], x->name) == 0)
			return x;
	}
	return NULL;
}

static void
list_actions(FILE *f, const char *group)
{
	const struct api_action *x;
	size_t i;

	(void)fputs("usage: sandboxctl api GROUP ACTION [...]\n\n", f);
	for (i = 0; (x = action_at(i)) != NULL; i++) {
		char left[128];

		if (group != NULL && strcmp(group, x->group) != 0)
			continue;
		(void)snprintf(left, sizeof(left), "%s%s%s %s", x->group,
		    *x->group == '\0' ? "" : " ", x->name, x->operands);
		(void)fprintf(f, "  %-46s %s\n", left, x->help);
	}
	(void)fputs("\nEach takes -e/--endpoint URL, -t/--token TOKEN, "
		    "--token-file FILE, -n/--no-token,\nand tells of its own "
		    "flags with --help.\n",
	    f);
}

static int
usage_error(const struct err *e)
{
	struct buf b;

	buf_init(&b, 16384);
	text_clean(&b, e->text, strlen(e->text), false);
	(void)fprintf(stderr, "sandboxctl: %s\n",
	    b.failed || b.len == 0 ? "wrong use" : b.data);
	buf_free(&b);
	return API_EXIT_USAGE;
}

/* --- the request --------------------------------------------------------- */

static void
write_query(struct api *a, struct buf *b)
{
	const struct api_query *q;
	char sep = strchr(a->action->path, '?') != NULL ? '&' : '?';

	for (q = a->action->query; q != NULL && q->flag != NULL; q++) {
		size_t pos = 0;
		const char *v;

		while ((v = args_next(&a->args, q->flag, &pos)) != NULL) {
			(void)buf_addf(b, "%c%s=", sep, q->name);
			target_escape(b, *v == '\0' ? "true" : v);
			sep = '&';
		}
	}
}

/* The path with the operands in place of each {}; those left over are the
 * body's. */
static char *
make_path(struct api *a)
{
	const char *p = a->action->path;
	size_t operand = 0;
	struct buf b;
	char *path;

	buf_init(&b, 1u << 20);
	if (a->action->in_sandbox && a->sandbox != NULL) {
		(void)buf_adds(&b, "/i/");
		target_escape(&b, a->sandbox);
	}
	while (*p != '\0') {
		if (p[0] == '{' && p[1] == '}') {
			target_escape(&b, a->args.operands[operand++]);
			p += 2;
		} else {
			(void)buf_addc(&b, *p++);
		}
	}
	write_query(a, &b);
	path = buf_steal(&b);
	buf_free(&b);
	return path;
}

static int
write_body(struct api *a, struct buf *b, struct err *e)
{
	struct jw w;

	jw_init(&w, b);
	jw_object(&w);
	if (a->action->body(a, &w, e) == -1)
		return -1;
	jw_object_end(&w);
	if (b->failed)
		return err_set(e, ERR_TOO_LARGE, "the body is too long");
	return 0;
}

static int
open_upload(struct api *a, struct http_call *c, int *fd_out, struct err *e)
{
	size_t n = a->args.noperands;
	const char *path =
	    n >= (size_t)a->action->max ? a->args.operands[n - 1] : "-";
	struct stat st;

	c->content_type = a->action->upload;
	*fd_out = strcmp(path, "-") == 0 ? dup(STDIN_FILENO)
					 : open(path, O_RDONLY | O_CLOEXEC);
	if (*fd_out == -1)
		return err_sys(e, "open %s", path);
	c->upload_fd = *fd_out;
	if (fstat(*fd_out, &st) == 0 && S_ISREG(st.st_mode) &&
	    lseek(*fd_out, 0, SEEK_CUR) == 0)
		c->upload_len = st.st_size;
	return 0;
}

static int
copy_out(void *ctx, const char *p, size_t n)
{
	(void)ctx;
	/* Line by line means: nothing waits here. */
	return fwrite(p, 1, n, stdout) == n && fflush(stdout) == 0 ? 0 : -1;
}

/* --- the answer ---------------------------------------------------------- */

static void
indent(struct buf *b, unsigned depth)
{
	(void)buf_addf(b, "\n%*s", (int)(2 * depth), "");
}

static void
spread(struct buf *b, const struct json *v, unsigned depth)
{
	bool is_object = v->type == JSON_OBJECT;
	const char *gap = "";
	struct jw w;

	jw_init(&w, b);
	if (v->type != JSON_OBJECT && v->type != JSON_ARRAY) {
		jw_value(&w, v);
		return;
	}
	if (v->len == 0) {
		(void)buf_adds(b, is_object ? "{}" : "[]");
		return;
	}
	(void)buf_addc(b, is_object ? '{' : '[');
	json_foreach (m, v) {
		(void)buf_adds(b, gap);
		indent(b, depth + 1);
		if (is_object) {
			jw_init(&w, b);
			jw_str(&w, m->key);
			(void)buf_adds(b, ": ");
		}
		spread(b, m, depth + 1);
		gap = ",";
	}
	indent(b, depth);
	(void)buf_addc(b, is_object ? '}' : ']');
}

/* A body that came, spread over lines when it is JSON. */
static void
print_body(const struct buf *in, FILE *f)
{
	struct json *j = NULL;
	struct buf b;

	if (in->len == 0)
		return;
	if (json_parse(in->data, in->len, ANSWER_DEPTH, &j, NULL) == -1) {
		(void)fwrite(in->data, 1, in->len, f);
		return;
	}
	buf_init(&b, 4 * (size_t)HTTP_BODY_MAX);
	spread(&b, j, 0);
	ctl_write_json(f, &b);
	buf_free(&b);
	json_free(j);
}

static int
show_answer(const struct http_call *c)
{
	if (c->status >= 200 && c->status < 300) {
		print_body(&c->body_in, stdout);
		return EXIT_OK;
	}
	(void)fflush(stdout);
	print_body(&c->body_in, stderr);
	(void)fprintf(stderr, "sandboxctl: the server says %s\n",
	    http_status_text(c->status));
	return EXIT_FAILED;
}

/* A flag as a header; a line break in it would be a header of its own. */
static char *
header_line(struct api *a, const char *flag, const char *name)
{
	const char *v = args_str(&a->args, flag, NULL);

	if (v == NULL || strpbrk(v, "\r\n") != NULL)
		return NULL;
	return xasprintf("%s: %s", name, v);
}

static int
perform(struct api *a, struct http_call *c, const struct buf *body)
{
	char *line[2];
	struct err e;
	size_t n = 0;
	size_t i;
	int code;

	if (a->action->body != NULL) {
		c->body = body->data;
		c->body_len = body->len;
	}
	line[0] = header_line(a, "last-event-id", "Last-Event-ID");
	line[1] = header_line(a, "idempotency-key", "Idempotency-Key");
	for (i = 0; i < countof(line); i++)
		if (line[i] != NULL)
			c->headers[n++] = line[i];
	code = http_do(&a->http, c, &e);
	free(line[0]);
	free(line[1]);
	if (code == -1) {
		(void)ctl_fail(a->ctl, &e);
		return EXIT_FAILED;
	}
	return show_answer(c);
}

static int
run_action(struct api *a)
{
	autofree char *path = make_path(a);
	autofd int upload_fd = -1;
	struct http_call c;
	struct buf body;
	struct err e;
	int code;

	http_call_init(&c, a->action->method, path);
	buf_init(&body, BODY_MAX);
	if (a->action->out == API_STREAM)
		c.on_data = copy_out;
	if (a->action->body != NULL && write_body(a, &body, &e) == -1) {
		code = e.code == ERR_BAD_REQUEST &&
			       !str_starts(e.text, "answers is no JSON")
			   ? usage_error(&e)
			   : (ctl_fail(a->ctl, &e), EXIT_FAILED);
	} else if (a->action->upload != NULL &&
		   open_upload(a, &c, &upload_fd, &e) == -1) {
		code = (ctl_fail(a->ctl, &e), EXIT_FAILED);
	} else {
		code = perform(a, &c, &body);
	}
	http_end(&a->http, &c);
	buf_free(&body);
	return code;
}

/* --- `api request` ------------------------------------------------------- */

static bool
is_method(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-");

	return n > 0 && n <= 20 && s[n] == '\0';
}

static bool
is_path(const char *s)
{
	if (*s != '/')
		return false;
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~' || *s == '#')
			return false;
	return true;
}

/* Any request: METHOD PATH, with a body or without. */
static int
run_request(struct api *a)
{
	const char *text = args_str(&a->args, "json", NULL);
	const char *file = args_str(&a->args, "file", NULL);
	autofd int fd = -1;
	struct http_call c;
	struct buf none;
	struct err e;
	int code;

	if (!is_method(a->args.operands[0]) || !is_path(a->args.operands[1]) ||
	    (text != NULL && file != NULL)) {
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "request takes a method in capitals, an escaped path from "
		    "its /, and --json or --file, not both");
		return usage_error(&e);
	}
	http_call_init(&c, a->args.operands[0], a->args.operands[1]);
	c.content_type = args_str(&a->args, "content-type", NULL);
	if (text != NULL) {
		c.body = text;
		c.body_len = strlen(text);
	} else if (file != NULL) {
		fd = strcmp(file, "-") == 0 ? dup(STDIN_FILENO)
					    : open(file, O_RDONLY | O_CLOEXEC);
		if (fd == -1) {
			(void)err_sys(&e, "open %s", file);
			(void)ctl_fail(a->ctl, &e);
			return EXIT_FAILED;
		}
		c.upload_fd = fd;
	}
	if (args_has(&a->args, "stream"))
		c.on_data = copy_out;
	buf_init(&none, 1);
	code = perform(a, &c, &none);
	http_end(&a->http, &c);
	return code;
}

/* --- the command line ---------------------------------------------------- */

static const struct opt_def front_opts[] = { API_OPTS };

static const struct command front = {
	.name = "api",
	.operands = "GROUP ACTION",
	.help = "",
	COMMAND_OPTS(front_opts),
	.max = -1,
	.verbatim = true,
};

/* Flags stand in front of the group too. */
static void
find_where(struct backend_where *where, const struct args *early,
    const struct args *late)
{
	where->endpoint = args_str(early, "endpoint", where->endpoint);
	where->endpoint = args_str(late, "endpoint", where->endpoint);
	if (where->endpoint == NULL)
		where->endpoint = TARGET_DEFAULT;
	where->token = args_str(early, "token", where->token);
	where->token = args_str(late, "token", where->token);
	where->token_file = args_str(early, "token-file", where->token_file);
	where->token_file = args_str(late, "token-file", where->token_file);
	if (args_has(early, "no-token") || args_has(late, "no-token")) {
		where->token = NULL;
		where->token_file = NULL;
		(void)unsetenv("SANDBOXCTL_TOKEN");
	}
}

static int
open_and_run(
    struct api *a, const struct args *early, const struct backend_where *told)
{
	struct backend_where where = *told;
	struct err e;
	int code;

	find_where(&where, early, &a->args);
	a->sandbox =
	    args_str(&a->args, "sandbox", args_str(early, "sandbox", NULL));
	if (target_open(&a->target, &where, &e) == -1) {
		if (e.code == ERR_BAD_REQUEST)
			return usage_error(&e);
		(void)ctl_fail(a->ctl, &e);
		return EXIT_FAILED;
	}
	if (http_open(&a->http, &a->target, &e) == -1) {
		(void)ctl_fail(a->ctl, &e);
		code = EXIT_FAILED;
	} else if (strcmp(a->action->name, "request") == 0) {
		code = run_request(a);
	} else {
		code = run_action(a);
	}
	http_close(&a->http);
	target_free(&a->target);
	return code;
}

/* The action's own flags as a command of its own, so that one parser serves
 * both sides. */
static int
parse_and_run(struct api *a, struct args *early,
    const struct backend_where *told, size_t used)
{
	autofree char *name = xasprintf("api %s%s%s", a->action->group,
	    *a->action->group == '\0' ? "" : " ", a->action->name);
	struct opt_def *opts =
	    xcalloc(a->action->nopts + countof(front_opts), sizeof(*opts));
	struct command cmd = { .name = name,
		.operands = a->action->operands,
		.help = a->action->help,
		.opts = opts,
		.nopts = a->action->nopts + countof(front_opts),
		.min = a->action->min,
		.max = a->action->max };
	struct err e;
	int code;

	if (a->action->nopts > 0)
		memcpy(opts, a->action->opts, a->action->nopts * sizeof(*opts));
	memcpy(opts + a->action->nopts, front_opts, sizeof(front_opts));
	if (args_parse(&a->args, &cmd, (int)(early->noperands - used),
		early->operands + used, &e) == -1) {
		code = usage_error(&e);
		(void)fprintf(stderr, "usage: sandboxctl %s [flags] %s\n", name,
		    cmd.operands);
	} else if (args_has(&a->args, "help")) {
		opt_usage(&cmd, stdout);
		code = EXIT_OK;
	} else {
		code = open_and_run(a, early, told);
	}
	args_free(&a->args);
	free(opts);
	return code;
}

int
backend_api(struct ctl *ctl, const struct backend_where *where, int argc,
    char **argv, char **whole)
{
	struct api a = { .ctl = ctl };
	struct args early;
	struct err e;
	size_t used;
	int code;

	(void)whole;
	ctl->json = false; /* errors of ours are for people here */
	if (args_parse(&early, &front, argc, argv, &e) == -1) {
		code = usage_error(&e);
	} else if (args_has(&early, "help")) {
		list_actions(stdout, NULL);
		code = EXIT_OK;
	} else if ((a.action = find_action(
			early.operands, early.noperands, &used)) == NULL) {
		if (early.noperands == 0)
			(void)err_set(
			    &e, ERR_BAD_REQUEST, "api needs an action");
		else
			(void)err_set(&e, ERR_BAD_REQUEST,
			    "api has no action '%s%s%s'", early.operands[0],
			    early.noperands > 1 ? " " : "",
			    early.noperands > 1 ? early.operands[1] : "");
		code = usage_error(&e);
		list_actions(stderr, NULL);
	} else {
		code = parse_and_run(&a, &early, where, used);
	}
	args_free(&early);
	return code;
}
