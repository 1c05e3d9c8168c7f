/*
 * The surroundings of one run of sandboxctl; see ctl.h. Runs as the caller.
 */
#include "ctl/ctl.h"
#include "ctl/text.h"
#include "lib/rundir.h"
#include "lib/strutil.h"
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NOTE_MAX 4096
#define SYSTEM_SOCKET "/run/sandboxd/control.sock"

void
ctl_init(struct ctl *ctl)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	*ctl = (struct ctl){ 0 };
	/* The locale says what the terminal shows; character widths are looked
	 * up in UTF-8 whatever it is, since that is what agents write. */
	if (setlocale(LC_CTYPE, "") != NULL)
		ctl->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	if (!ctl->utf8)
		(void)setlocale(LC_CTYPE, "C.UTF-8"); /* else widths are 1 */
	ctl->tty = isatty(STDOUT_FILENO) == 1;
	ctl->colour = ctl->tty && (no == NULL || *no == '\0') &&
		      (term == NULL || strcmp(term, "dumb") != 0);
}

/* A process without root's rights has a supervisor of its own, if any. */
static int
default_socket(char *dst, size_t size)
{
	char dir[4096];
	struct stat st;
	unsigned k;

	for (k = 0; geteuid() != 0 && rundir_candidate(k, dir, sizeof(dir));
	     k++)
		if (str_format(dst, size, "%s/control.sock", dir) == 0 &&
		    lstat(dst, &st) == 0)
			return 0;
	/* Without any, the one that a supervisor of his would have. */
	if (geteuid() == 0 || lstat(SYSTEM_SOCKET, &st) == 0 ||
	    !rundir_candidate(0, dir, sizeof(dir)))
		return str_copy(dst, size, SYSTEM_SOCKET);
	return str_format(dst, size, "%s/control.sock", dir);
}

int
ctl_find_socket(struct ctl *ctl, const char *told, struct err *e)
{
	int r;

	if (told == NULL)
		told = getenv("SANDBOXD_SOCKET");
	if (told != NULL && *told != '\0')
		r = str_copy(ctl->socket, sizeof(ctl->socket), told);
	else
		r = default_socket(ctl->socket, sizeof(ctl->socket));
	if (r == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "the socket's path is longer than %zu bytes",
		    sizeof(ctl->socket) - 1);
	return 0;
}

/* As scripts of that other program know it: one line with the time. */
static int
fail_as_program(const struct err *e)
{
	static const char *const kinds[] = { "io error: ", "json error: ",
		"http error: ", "server error: ", "unexpected http status: " };
	const char *kind = e->code == ERR_SYSTEM || e->code == ERR_DISK_FULL
			       ? kinds[0]
			       : "server error: ";
	char now[TIME_TEXT_MAX];
	struct buf b, quoted;

	for (size_t i = 0; i < countof(kinds); i++) {
		if (str_starts(e->text, kinds[i]))
			kind = "";
	}
	time_text(now);
	buf_init(&b, 16384);
	buf_init(&quoted, 16384);
	text_clean(&b, e->text, strlen(e->text), false);
	for (size_t i = 0; i < b.len; i++) {
		if (b.data[i] == '"' || b.data[i] == '\\')
			(void)buf_addc(&quoted, '\\');
		(void)buf_addc(&quoted, b.data[i]);
	}
	(void)fprintf(stderr,
	    "ts=%s level=error target=sandbox_agent "
	    "message=\"sandbox-agent failed\" error=\"%s%s\"\n",
	    now, kind, quoted.len == 0 || quoted.failed ? "?" : quoted.data);
	buf_free(&b);
	buf_free(&quoted);
	return EXIT_FAILED;
}

int
ctl_misuse(const struct ctl *ctl, const struct err *e)
{
	struct err wrong = *e;
	struct buf b;

	if (ctl->program == NULL) {
		wrong.code = ERR_BAD_REQUEST;
		return ctl_fail(ctl, &wrong);
	}
	buf_init(&b, 16384);
	text_clean(&b, e->text, strlen(e->text), false);
	(void)fprintf(stderr,
	    "error: %s\n\nFor more information, try '--help'.\n",
	    b.len == 0 || b.failed ? "wrong use" : b.data);
	buf_free(&b);
	return CTL_EXIT_MISUSE;
}

int
ctl_fail(const struct ctl *ctl, const struct err *e)
{
	struct buf b;
	struct jw w;

	(void)fflush(stdout); /* what went before stands before */
	if (ctl->program != NULL)
		return fail_as_program(e);
	buf_init(&b, 16384);
	if (ctl->json) {
		jw_init(&w, &b);
		jw_object(&w);
		jw_key(&w, "error");
		jw_object(&w);
		jw_kstr(&w, "code", err_wire(e->code));
		jw_key(&w, "detail");
		jw_strn(&w, e->text, strlen(e->text));
		jw_object_end(&w);
		jw_object_end(&w);
	} else {
		(void)buf_adds(&b, "sandboxctl: ");
		text_clean(&b, e->text, strlen(e->text), false);
	}
	if (!b.failed && b.len > 0)
		(void)fprintf(stderr, "%s\n", b.data);
	buf_free(&b);
	if (e->code == ERR_BAD_REQUEST || e->code == ERR_UNKNOWN_OPERATION)
		return EXIT_USAGE;
	if (ctl->refused)
		return EXIT_FAILED;
	return e->code == ERR_SYSTEM || e->code == ERR_DISK_FULL ||
		       e->code == ERR_INTERNAL
		   ? EXIT_SYS
		   : EXIT_FAILED;
}

void
ctl_note(const struct ctl *ctl, const char *fmt, ...)
{
	char text[NOTE_MAX];
	struct buf b;
	va_list ap;

	if (ctl->json)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut is good enough */
	va_end(ap);
	(void)fflush(stdout);
	buf_init(&b, 8 * NOTE_MAX);
	text_clean(&b, text, strlen(text), false);
	if (!b.failed && b.len > 0)
		(void)fprintf(stderr, "%s: %s\n",
		    ctl->program == NULL ? "sandboxctl" : ctl->program, b.data);
	buf_free(&b);
}

/* JSON escapes C0 controls by its own rules, but not DEL and C1, which some
 * terminals obey. They occur inside strings only, where an escape is equal. */
void
ctl_write_json(FILE *f, const struct buf *b)
{
	const char *s = b->data;
	const char *end;
	const char *from;

	if (b->failed || b->len == 0)
		return;
	end = s + b->len;
	for (from = s; s < end; s++) {
		unsigned char c = (unsigned char)*s;
		bool c1 = c == 0xc2 && s + 1 < end &&
			  (unsigned char)s[1] >= 0x80 &&
			  (unsigned char)s[1] < 0xa0;

		if (c != 0x7f && !c1)
			continue;
		(void)fwrite(from, 1, (size_t)(s - from), f);
		if (c1)
			s++;
		(void)fprintf(f, "\\u%04x", (unsigned char)*s);
		from = s + 1;
	}
	(void)fwrite(from, 1, (size_t)(end - from), f);
	(void)fputc('\n', f);
}

void
ctl_print_json_buf(const struct buf *b)
{
	ctl_write_json(stdout, b);
}

void
ctl_print_json(const struct json *v)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 256u << 20);
	jw_init(&w, &b);
	jw_value(&w, v);
	ctl_print_json_buf(&b);
	buf_free(&b);
}

void
ctl_put(const char *s)
{
	struct buf b;

	buf_init(&b, 16u << 20);
	text_clean(&b, s, strlen(s), false);
	if (!b.failed && b.len > 0)
		(void)fwrite(b.data, 1, b.len, stdout);
	buf_free(&b);
}
