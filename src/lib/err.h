/*
 * Errors as fixed-size values: a code from errors.def and one finished
 * sentence, so that failing needs no memory. A function that can fail returns
 * 0, or -1 with *E filled; a caller prefixes what it was doing.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

#include "defs.h"

enum err_code {
#define ERRCODE(sym, wire, help) ERR_##sym,
#include "errors.def"
#undef ERRCODE
	ERR_N
};

#define ERR_TEXT_MAX 400

struct err {
	enum err_code code;
	int sys; /* errno, 0 when none applies */
	char text[ERR_TEXT_MAX];
};

/* Each returns -1, so that `return err_set(…)` reads as it acts. E may be
 * NULL when the caller does not care. Texts longer than the room are cut at a
 * UTF-8 boundary. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    ATTR_PRINTF(3, 4);
/* Like err_set with ERR_SYSTEM, appending ": strerror(errno)"; keeps errno.
 * ENOSPC and EDQUOT become ERR_DISK_FULL. */
int err_sys(struct err *e, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* Put "fmt: " before the text that is already there. */
int err_prefix(struct err *e, const char *fmt, ...) ATTR_PRINTF(2, 3);
void err_clear(struct err *e);

const char *err_wire(enum err_code code); /* static string, never NULL */
const char *err_help(enum err_code code);
/* Code for a wire name; ERR_INTERNAL for a name that is not in the list. */
enum err_code err_from_wire(const char *name);

/* Exit codes that all our programs share. */
#define EXIT_OK 0
#define EXIT_USAGE 100 /* wrong use */
#define EXIT_BUG 101   /* our own defect */
#define EXIT_NEWER 102 /* the database is a newer version's */
#define EXIT_SYS 111   /* the system said no */

#endif
