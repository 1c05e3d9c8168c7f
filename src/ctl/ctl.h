/*
 * What every part of sandboxctl knows about this run: where the supervisor is,
 * how to write answers, and with which code to end.
 *
 * sandboxctl runs as the caller and holds no privilege. It trusts the
 * supervisor to be who its socket's path says, and nothing else: text that
 * agents and sandboxes made reaches a terminal only through text.h.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "lib/defs.h"
#include "lib/err.h"
#include "lib/json.h"
#include <stdbool.h>
#include <stdio.h>

#define EXIT_FAILED 1 /* the operation or the turn failed */
#define EXIT_CANCELLED 130
#define CTL_EXIT_MISUSE 2 /* of another program's command line */

/* Depth of JSON that the supervisor may send: what an agent printed, inside an
 * event, inside an item. */
#define CTL_JSON_DEPTH (JSON_DEPTH_AGENT + 8)

struct ctl {
	char socket[108]; /* room of sun_path */
	bool json;	  /* answers and errors as JSON */
	bool colour;	  /* standard output is a terminal that wants it */
	bool utf8;	  /* the caller's locale shows more than ASCII */
	bool tty;	  /* standard output is a terminal */
	bool refused;	  /* the last error came from the supervisor */
	/* NULL: we are sandboxctl. Else the name of another program whose
	 * command line we take, with its messages and its codes to end with:
	 * 1 for every failure, 2 for wrong use. */
	const char *program;
	/* Over HTTP: where, and what opens a connection that takes requests as
	 * the control socket does. NULL: the control socket itself. */
	const char *endpoint; /* borrowed */
	int (*connect)(struct ctl *ctl, int *fd_out, struct err *e);
};

/* Fill in all but the socket. */
void ctl_init(struct ctl *ctl);
/* TOLD: --socket, or NULL. -1 when the path is too long. */
int ctl_find_socket(struct ctl *ctl, const char *told, struct err *e);

/* Tell about E on standard error, as text or JSON; the code to exit with. */
int ctl_fail(const struct ctl *ctl, const struct err *e);
/* The same for wrong use of the command line, whatever E's code. */
int ctl_misuse(const struct ctl *ctl, const struct err *e);
/* A line on standard error for people, cleaned; silent with --json. */
void ctl_note(const struct ctl *ctl, const char *fmt, ...) ATTR_PRINTF(2, 3);

/* Write V, or the text in B, as one line of JSON that is safe on a terminal. */
void ctl_print_json(const struct json *v);
void ctl_print_json_buf(const struct buf *b);
void ctl_write_json(FILE *f, const struct buf *b);
/* Write S cleaned for a terminal, no newline added. */
void ctl_put(const char *s);

#endif
