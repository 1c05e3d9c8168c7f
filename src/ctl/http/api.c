/*
 * `sandboxctl api`; see api.h. Runs as the caller.
 */
#include "ctl/http/api.h"
#include "ctl/spread.h"
#include "ctl/text.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* --- finding an action --------------------------------------------------- */

static const struct api_action *
action_at(size_t i)
{
	if (i < api_nsessions)
		return &api_sessions[i];
	i -= api_nsessions;
	if (i < api_nacp)
		return &api_acp[i];
	i -= api_nacp;
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

static const char *
program(const struct ctl *ctl)
{
	return ctl->program == NULL ? "sandboxctl" : ctl->program;
}

/* GROUP "": all. */
static void
list_actions(const struct ctl *ctl, FILE *f, const char *group)
{
	const struct api_action *x;
	size_t i;

	(void)fprintf(f, "usage: %s api GROUP ACTION [...]\n\n", program(ctl));
	for (i = 0; (x = action_at(i)) != NULL; i++) {
		char left[128];

		if (*group != '\0' && strcmp(group, x->group) != 0)
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
usage_error(const struct ctl *ctl, const struct err *e)
{
	(void)ctl_misuse(ctl, e);
	return API_EXIT_USAGE;
}

int
api_misuse(struct api *a, const struct err *e)
{
	return usage_error(a->ctl, e);
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

/* What stands at P, from { to }. -1: it is missing. */
static int
write_part(
    struct api *a, struct buf *b, const char *p, size_t *operand, struct err *e)
{
	char flag[32];
	const char *v;

	if (p[1] == '}') {
		target_escape(b, a->args.operands[(*operand)++]);
		return 0;
	}
	if (str_format(flag, sizeof(flag), "%.*s", (int)strcspn(p + 1, "}"),
		p + 1) == -1)
		return err_set(e, ERR_INTERNAL, "a path of ours is wrong");
	v = args_str(&a->args, flag, NULL);
	if (v == NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "the following required arguments were not provided: --%s",
		    flag);
	target_escape(b, v);
	return 0;
}

/* Operands that are left over are the body's. */
char *
api_path(struct api *a, struct err *e)
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
		if (*p != '{') {
			(void)buf_addc(&b, *p++);
			continue;
		}
		if (write_part(a, &b, p, &operand, e) == -1) {
			buf_free(&b);
			return NULL;
		}
		p += strcspn(p, "}") + 1;
	}
	write_query(a, &b);
	path = buf_steal(&b);
	if (path == NULL)
		(void)err_set(e, ERR_BAD_REQUEST, "the path is too long");
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

/* A body that came, spread over lines when it is JSON. Scripts of that other
 * program know members in order. */
static void
print_body(const struct api *a, const struct buf *in, FILE *f)
{
	bool sorted = a->ctl->program != NULL &&
		      strcmp(a->action->group, "sessions") != 0;

	if (in->len > 0 && spread_text(f, in->data, in->len, sorted) == -1)
		(void)fwrite(in->data, 1, in->len, f);
}

static int
refused(const struct api *a, const struct http_call *c)
{
	const char *status = http_status_text(c->status);
	struct err e;

	(void)fflush(stdout);
	print_body(a, &c->body_in, stderr);
	if (a->ctl->program != NULL) {
		(void)err_set(
		    &e, ERR_DENIED, "unexpected http status: %s", status);
		return ctl_fail(a->ctl, &e);
	}
	(void)fprintf(stderr, "sandboxctl: the server says %s\n", status);
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

int
api_fetch(struct api *a, struct http_call *c)
{
	char *line[2];
	struct err e;
	size_t n = 0;
	size_t i;
	int code;

	line[0] = header_line(a, "last-event-id", "Last-Event-ID");
	line[1] = header_line(a, "idempotency-key", "Idempotency-Key");
	for (i = 0; i < HTTP_HEADERS && c->headers[i] != NULL; i++)
		n++;
	for (i = 0; i < countof(line) && n < HTTP_HEADERS; i++)
		if (line[i] != NULL)
			c->headers[n++] = line[i];
	code = http_do(&a->http, c, &e);
	free(line[0]);
	free(line[1]);
	if (code == -1) {
		if (a->ctl->program != NULL)
			(void)err_prefix(&e, "http error");
		(void)ctl_fail(a->ctl, &e);
		return EXIT_FAILED;
	}
	return c->status >= 200 && c->status < 300 ? EXIT_OK : refused(a, c);
}

int
api_perform(struct api *a, struct http_call *c)
{
	int code = api_fetch(a, c);

	if (code == EXIT_OK)
		print_body(a, &c->body_in, stdout);
	return code;
}

/* Only what is no JSON after all is found by the body itself. */
static int
body_failed(struct api *a, const struct err *e)
{
	if (e->code == ERR_BAD_REQUEST &&
	    !str_starts(e->text, "answers is no JSON"))
		return usage_error(a->ctl, e);
	(void)ctl_fail(a->ctl, e);
	return EXIT_FAILED;
}

static int
send_action(struct api *a, const char *path)
{
	autofd int upload_fd = -1;
	struct http_call c;
	struct buf body;
	struct err e;
	int code;

	http_call_init(&c, a->action->method, path);
	buf_init(&body, API_BODY_MAX);
	if (a->action->out == API_STREAM)
		c.on_data = copy_out;
	if (a->action->body != NULL && write_body(a, &body, &e) == -1) {
		code = body_failed(a, &e);
	} else if (a->action->upload != NULL &&
		   open_upload(a, &c, &upload_fd, &e) == -1) {
		code = (ctl_fail(a->ctl, &e), EXIT_FAILED);
	} else {
		c.body = body.data;
		c.body_len = body.len;
		code = api_perform(a, &c);
	}
	http_end(&a->http, &c);
	buf_free(&body);
	return code;
}

static int
run_action(struct api *a)
{
	struct err e;
	autofree char *path = api_path(a, &e);

	return path == NULL ? usage_error(a->ctl, &e) : send_action(a, path);
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
int
api_request(struct api *a)
{
	const char *text = args_str(&a->args, "json", NULL);
	const char *file = args_str(&a->args, "file", NULL);
	autofd int fd = -1;
	struct http_call c;
	struct err e;
	int code;

	if (!is_method(a->args.operands[0]) || !is_path(a->args.operands[1]) ||
	    (text != NULL && file != NULL)) {
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "request takes a method in capitals, an escaped path from "
		    "its /, and --json or --file, not both");
		return usage_error(a->ctl, &e);
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
	code = api_perform(a, &c);
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
			return usage_error(a->ctl, &e);
		(void)ctl_fail(a->ctl, &e);
		return EXIT_FAILED;
	}
	if (http_open(&a->http, &a->target, &e) == -1) {
		(void)ctl_fail(a->ctl, &e);
		code = EXIT_FAILED;
	} else if (a->action->run != NULL) {
		code = a->action->run(a);
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
		code = usage_error(a->ctl, &e);
		(void)fprintf(stderr, "usage: %s %s [flags] %s\n",
		    program(a->ctl), name, cmd.operands);
	} else if (args_has(&a->args, "help")) {
		cmd.program = a->ctl->program;
		opt_usage(&cmd, stdout);
		code = EXIT_OK;
	} else {
		code = open_and_run(a, early, told);
	}
	args_free(&a->args);
	free(opts);
	return code;
}

static bool
is_group(const char *word)
{
	const struct api_action *x;
	size_t i;

	for (i = 0; (x = action_at(i)) != NULL; i++)
		if (*word != '\0' && strcmp(x->group, word) == 0)
			return true;
	return false;
}

/* The words name no action: a group alone, or its help, or nothing. */
static int
no_action(const struct ctl *ctl, const struct args *early)
{
	const char *first = early->noperands > 0 ? early->operands[0] : "";
	const char *second = early->noperands > 1 ? early->operands[1] : "";
	const char *group = is_group(first) ? first : "";
	struct err e;
	int code;

	if (*group != '\0' &&
	    (strcmp(second, "-h") == 0 || strcmp(second, "--help") == 0)) {
		list_actions(ctl, stdout, group);
		return EXIT_OK;
	}
	if (*first == '\0')
		(void)err_set(&e, ERR_BAD_REQUEST, "api needs an action");
	else if (*group != '\0' && *second == '\0')
		(void)err_set(
		    &e, ERR_BAD_REQUEST, "api %s needs an action", group);
	else
		(void)err_set(&e, ERR_BAD_REQUEST, "api has no action '%s%s%s'",
		    first, *second == '\0' ? "" : " ", second);
	code = usage_error(ctl, &e);
	list_actions(ctl, stderr, group);
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
		code = usage_error(ctl, &e);
	} else if (args_has(&early, "help")) {
		list_actions(ctl, stdout, "");
		code = EXIT_OK;
	} else if ((a.action = find_action(
			early.operands, early.noperands, &used)) == NULL) {
		code = no_action(ctl, &early);
	} else {
		code = parse_and_run(&a, &early, where, used);
	}
	args_free(&early);
	return code;
}
