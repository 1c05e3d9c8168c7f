/*
 * The state and run directories, and the lock that keeps a second instance
 * off them.
 */
#ifndef SUPERVISOR_INSTANCE_H
#define SUPERVISOR_INSTANCE_H

#include "supervisor/super.h"

/* Make and open STATE and what lies below it, take the lock. When another
 * instance holds it, E says which pid. */
int instance_open(struct super *s, struct err *e);
void instance_close(struct super *s);
/* Hex digits that tell this instance's control groups from another's. */
void instance_name(const struct super *s, char name_out[17]);
/* Remove directories below STATE/sandboxes for which KNOWN is false, and the
 * trash. */
void
instance_sweep(struct super *s, bool (*known)(struct super *s, const char *id));
/* Make STATE/sandboxes/ID fresh and open it. */
int
instance_make_dir(struct super *s, const char *id, int *fd_out, struct err *e);
int
instance_open_dir(struct super *s, const char *id, int *fd_out, struct err *e);
/* Remove STATE/sandboxes/ID: at once when it is small, else it goes to the
 * trash and a child of ours empties that; DONE is called when all is gone. */
void instance_remove_dir(struct super *s, const char *id,
    void (*done)(void *ctx, const struct err *e), void *ctx);

#endif
