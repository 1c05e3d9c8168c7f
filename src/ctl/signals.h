/*
 * Signals as a descriptor to poll. The first Ctrl-C (or TERM, HUP) is for the
 * command to act on; after enough of them the program ends at once, from the
 * handler, with the terminal as it was.
 */
#ifndef CTL_SIGNALS_H
#define CTL_SIGNALS_H

#include "lib/defs.h"
#include "lib/err.h"
#include <stdbool.h>

/* Watch INT, TERM, HUP and WINCH from here on. The LAST-th of the first three
 * ends the program with 128 + its number. */
int signals_open(int last, struct err *e);
int signals_fd(void); /* readable when something came; -1 before open */

struct signals {
	int stops;   /* INT, TERM and HUP that came since the last call */
	int number;  /* the latest of these */
	bool resize; /* WINCH, or CONT after a stop */
};
void signals_take(struct signals *s_out);

#endif
