/*
 * What this host can give, what is missing, and the command that mends it:
 * asked of a daemon (the operation doctor) or without one (sandboxd --doctor).
 */
#ifndef SUPERVISOR_DOCTOR_H
#define SUPERVISOR_DOCTOR_H

#include "supervisor/ops.h"

enum doctor_state {
	DOCTOR_OK,	/* as good as it can be */
	DOCTOR_NOTE,	/* it works; something is worth knowing */
	DOCTOR_MISSING, /* a feature does not work */
	DOCTOR_N
};

struct doctor {
	struct super *s;
	struct jw *w;
	bool running; /* S is a daemon that serves, not just a configuration */
	bool bad;     /* something is missing */
};

/* One check. MEND is a command for a shell, or NULL when there is none or
 * nothing is to be mended; NAME a constant. */
void doctor_say(struct doctor *d, const char *name, enum doctor_state state,
    const char *mend, const char *fmt, ...) ATTR_PRINTF(5, 6);

/* Whatever can be looked at without changing anything. Members of an object. */
void doctor_run(struct doctor *d);
/* doctor_host.c: kernel, groups, ids, limits. doctor_place.c: directories,
 * programs, ports. */
void doctor_host(struct doctor *d);
void doctor_place(struct doctor *d);

/* sandboxd --doctor[=json]: HOW is NULL or "json". The exit status. */
int doctor_alone(struct super *s, const char *how);

op_handler op_doctor;

#endif
