/*
 * A sandbox's init as a child of the supervisor: how it is launched, what it
 * says, how it ends. Calls back into sandboxes.c.
 */
#ifndef SUPERVISOR_SANDBOX_INIT_H
#define SUPERVISOR_SANDBOX_INIT_H

#include "supervisor/sandboxes.h"

void sandbox_init_proc(struct sandbox *sb);
void sandbox_init_report_close(struct sandbox *sb);
/* Do all mechanisms that SP can have hold in HAVE? -1 with E naming those that
 * do not. */
int sandbox_isolation_check(
    const struct sandbox_spec *sp, const bool have[MECH_N], struct err *e);

/* In sandbox_record.c: store what SB is and whether it should run. DONE is
 * called with SB. */
void sandbox_record_put(
    struct sandbox *sb, void (*done)(void *ctx, const struct err *e));
/* That record, an object. */
void sandbox_record_write(struct sandbox *sb, struct jw *w);
/* The same with a context of the caller's. */
void sandbox_record_store(struct sandbox *sb, sandbox_done *done, void *ctx);

/* In sandboxes.c: */
void sandbox_is_up(struct sandbox *sb);
void sandbox_is_adopted(struct sandbox *sb);
void sandbox_is_down(struct sandbox *sb, const char *cause);

#endif
