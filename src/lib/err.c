/*
 * Error values. Runs in every process of ours. Failing must work when nothing
 * else does: no memory is allocated here, nothing is locked, and errno comes
 * out as it went in.
 *
 * Texts may quote what a peer sent; they are data. Whoever shows one to a
 * terminal or writes it to a log escapes it there.
 */
#include "err.h"
#include "strutil.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const wire_names[ERR_N] = {
#define ERRCODE(sym, wire, help) [ERR_##sym] = (wire),
#include "errors.def"
#undef ERRCODE
};

static const char *const help_texts[ERR_N] = {
#define ERRCODE(sym, wire, help) [ERR_##sym] = (help),
#include "errors.def"
#undef ERRCODE
};

/* Cut TEXT, a buffer of SIZE which snprintf filled and wanted WANT bytes of,
 * so that no half character stands at its end. */
static void
text_cut(char *text, size_t size, int want)
{
	size_t len;

	if (want < 0) {
		text[0] = '\0';
		return;
	}
	if ((size_t)want < size)
		return;
	len = strlen(text);
	text[len - utf8_incomplete_tail(text, len)] = '\0';
}

int
err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	int n;

	if (e == NULL)
		return -1;
	e->code = code;
	e->sys = 0;
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	text_cut(e->text, sizeof(e->text), n);
	errno = saved;
	return -1;
}

int
err_sys(struct err *e, const char *fmt, ...)
{
	int saved = errno;
	char what[ERR_TEXT_MAX];
	va_list ap;
	int n;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	n = vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	text_cut(what, sizeof(what), n);
	/* Clients treat a full disk as a state of the host, not as a fault. */
	if (saved == ENOSPC || saved == EDQUOT)
		e->code = ERR_DISK_FULL;
	else
		e->code = ERR_SYSTEM;
	e->sys = saved;
	n = snprintf(e->text, sizeof(e->text), "%s: %s", what, strerror(saved));
	text_cut(e->text, sizeof(e->text), n);
	errno = saved;
	return -1;
}

int
err_prefix(struct err *e, const char *fmt, ...)
{
	int saved = errno;
	char old[ERR_TEXT_MAX];
	char what[ERR_TEXT_MAX];
	va_list ap;
	int n;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	n = vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	text_cut(what, sizeof(what), n);
	/* The old text moves: snprintf may not read what it writes. */
	memcpy(old, e->text, sizeof(old));
	n = snprintf(e->text, sizeof(e->text), "%s: %s", what, old);
	text_cut(e->text, sizeof(e->text), n);
	errno = saved;
	return -1;
}

void
err_clear(struct err *e)
{
	if (e == NULL)
		return;
	e->code = ERR_NONE;
	e->sys = 0;
	e->text[0] = '\0';
}

const char *
err_wire(enum err_code code)
{
	if ((unsigned)code >= ERR_N)
		code = ERR_INTERNAL;
	return wire_names[code];
}

const char *
err_help(enum err_code code)
{
	if ((unsigned)code >= ERR_N)
		code = ERR_INTERNAL;
	return help_texts[code];
}

enum err_code
err_from_wire(const char *name)
{
	unsigned i;

	for (i = 0; name != NULL && i < ERR_N; i++) {
		if (strcmp(wire_names[i], name) == 0)
			return (enum err_code)i;
	}
	return ERR_INTERNAL;
}
