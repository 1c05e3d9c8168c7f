/*
 * The supervisor's side of the store: records that must reach it, whatever
 * happens to it meanwhile.
 *
 * Puts, deletes and notes are kept until they are answered and sent again, in
 * order, to a store that was restarted: all may be repeated without harm.
 */
#ifndef SUPERVISOR_STOREC_H
#define SUPERVISOR_STOREC_H

#include "supervisor/super.h"

/* E is NULL when the commit is done. */
typedef void storec_done(void *ctx, const struct err *e);

struct storec *storec_new(struct super *s);
void storec_free(struct storec *st);
int storec_start(struct storec *st, struct err *e);
void storec_stop(struct storec *st);
struct proc *storec_proc(struct storec *st);
bool storec_idle(const struct storec *st); /* nothing waits */

/* Merge RECORD (an object, as JSON text) into a record. DONE may be NULL. */
void storec_put(struct storec *st, const char *db, const char *key,
    const struct buf *record, storec_done *done, void *ctx);
void storec_delete(struct storec *st, const char *db, const char *key,
    storec_done *done, void *ctx);
/* Add an entry (an object with `event`) to the log of a sandbox whose record
 * was put before. Its time is now. */
void
storec_note(struct storec *st, const char *sandbox, const struct buf *note);
/* Keep what is to be written from here on, and send it again from there on. */
void storec_hold(struct storec *st);
void storec_release(struct storec *st);
bool storec_held(const struct storec *st);
/* What the store has not answered yet, or that it does not run; NULL: all is
 * durable that was sent. Valid until the next such call. */
const char *storec_unsettled(const struct storec *st);
/* Its next start compacts the database, if a hundredth of it is free. */
void storec_compact_next(struct storec *st);
void storec_forget(struct storec *st, void *ctx);

#endif
