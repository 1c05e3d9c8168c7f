/*
 * What the files about sandboxes share and nobody else needs: sandboxes.c (the
 * table, start and stop), sandbox_create.c, sandbox_load.c (at our own start),
 * sandbox_wait.c, sandbox_pause.c, sandbox_expire.c, sandbox_history.c,
 * sandbox_update.c, sandbox_entry.c.
 */
#ifndef SUPERVISOR_SANDBOX_PRIV_H
#define SUPERVISOR_SANDBOX_PRIV_H

#include "lib/log.h"
#include "sandbox/disk.h"
#include "supervisor/sandbox_init.h"

/* In sandboxes.c: a new entry of the table, and its end. */
struct sandbox *sandbox_new(struct super *s, const char *id, unsigned slot);
void sandbox_free(struct sandbox *sb);
/* In sandbox_load.c: the same as its record says, stopped. NULL: it is there
 * already, or not understood, which is logged. */
struct sandbox *sandbox_from_record(struct super *s, const struct json *rec);
/* Launch it, and store that it should run. */
int sandbox_launch_and_store(struct sandbox *sb, struct err *e);

/* In sandbox_adopt.c: a socket for P on which init waits for another
 * supervisor, if it is to; the caller closes it. */
void sandbox_adopt_prepare(struct sandbox *sb, struct plan *p);
/* At our start: go on with SB's init that a supervisor before us has left. It
 * is adopted when it says hello; until then it is `creating`, or paused.
 * False: there is none, or what there is was ended. */
bool sandbox_adopt(struct sandbox *sb);
/* End the init that is left of a sandbox that nobody knows. */
void sandbox_adopt_end(struct super *s, const char *id);
/* Init's first word. -1 with E set: a breach. */
int
sandbox_adopt_heard(struct sandbox *sb, const struct json *msg, struct err *e);

/* In sandbox_pause.c: it is about to be ended in some way: nothing in it may
 * stay frozen. */
void sandbox_thaw(struct sandbox *sb);
void sandbox_pause_init(struct sandbox *sb);
void sandbox_pause_free(struct sandbox *sb);

/* In sandbox_ids.c: if we are not root, what it is lent, from now on: the same
 * as before if that can be. Count 0: nothing. */
struct subids_slice sandbox_ids_take(struct sandbox *sb);
/* Can there be a sandbox for that user? */
int sandbox_ids_check(
    const struct super *s, const struct sandbox_spec *sp, struct err *e);
/* The member "ids" of the record that is stored, and of the one for clients. */
void sandbox_ids_store(const struct sandbox *sb, struct jw *w);
void sandbox_ids_load(struct sandbox *sb, const struct json *rec);
void sandbox_ids_write(const struct sandbox *sb, struct jw *w);

/* In sandbox_carry.c: what is left of its time, since it was started. */
void sandbox_time_limit_set(struct sandbox *sb);

/* In sandbox_expire.c: TIMEOUT (seconds, or with a unit; NULL, null or 0:
 * never) as a time of the clock. */
int sandbox_timeout_parse(
    const struct json *timeout, int64_t *expires_at_ms_out, struct err *e);
/* At EXPIRES_AT_MS it is destroyed; at once when that is over. */
void sandbox_expiry_set(struct sandbox *sb, int64_t expires_at_ms);
void sandbox_expiry_init(struct sandbox *sb);

/* In sandbox_history.c: an entry of the sandbox's own log, which the store
 * keeps. WHY (its `reason`) may be NULL; the names of FIELDS are of small
 * letters, digits and '_', not `at`, `seq`, `event` or `reason`; a text is of
 * 1,024 bytes at most. */
void
sandbox_event(struct sandbox *sb, enum sandbox_happening what, const char *why);
void sandbox_event_with(struct sandbox *sb, enum sandbox_happening what,
    const char *why, const struct log_field *fields, size_t n);
/* Its record has just been put: so are the entries that waited for it. */
void sandbox_history_put(struct sandbox *sb);
void sandbox_history_init(struct sandbox *sb);
void sandbox_history_free(struct sandbox *sb);
/* A channel to the store for one who may add entries (MSG_NOTE) to the log of
 * this sandbox and no other: the egress proxy, which gets *FD_OUT. It is closed
 * by the store's end, the sandbox's end and a breach. */
int sandbox_notes_channel(
    struct sandbox *sb, int *fd_out, struct err *e) ATTR_WARN_UNUSED;

/* In sandbox_disk.c: is there room for one more, and can it be held to its
 * limit? */
int sandbox_disk_check(
    struct super *s, const struct sandbox_spec *sp, struct err *e);
void sandbox_disk_init(struct sandbox *sb, enum disk_by by);
enum disk_by sandbox_disk_by(const struct sandbox *sb);
/* Make ready for the next start what takes a while; DONE (may be NULL) when it
 * is, or has failed: from the loop. -1 with E set: not begun. */
typedef void disk_done(struct sandbox *sb, const struct err *e);
int sandbox_disk_attach(struct sandbox *sb, disk_done *done, struct err *e);
bool sandbox_disk_ready(const struct sandbox *sb);
/* A child is at it, or on its way out. */
bool sandbox_disk_busy(const struct sandbox *sb);
/* For a launch: P's dir_fd is what the limit holds for. */
int sandbox_disk_take(struct sandbox *sb, struct plan *p, struct err *e);
/* No start after all; THEN (may be NULL) when the child has gone, if it is
 * busy. */
void sandbox_disk_cancel(struct sandbox *sb, disk_done *then);
void sandbox_disk_destroy(struct sandbox *sb);
void sandbox_disk_free(struct sandbox *sb);
/* A project's quota to what NEXT says, at once. */
int sandbox_disk_change(
    struct sandbox *sb, const struct plan_limits *next, struct err *e);
/* Can it be held to cpu_weight and io_weight? */
int sandbox_weights_check(
    struct super *s, const struct plan_limits *l, struct err *e);
int sandbox_disk_use(const struct sandbox *sb, struct disk_use *use);

/* In sandbox_watch.c: it runs: look at what it runs into; once more at its
 * end, before its group goes. */
void sandbox_watch_begin(struct sandbox *sb);
void sandbox_watch_look(struct sandbox *sb);
/* An event `limit`: time, idle, pids, disk, inodes. */
void sandbox_limit_met(struct sandbox *sb, const char *which);

/* In sandbox_idle.c: it runs; the timer of its life. */
void sandbox_idle_begin(struct sandbox *sb);
void sandbox_idle_init(struct sandbox *sb);
void sandbox_idle_free(struct sandbox *sb);

/* In sandbox_entry.c: start its entrypoint, if it has one. */
void sandbox_entry_start(struct sandbox *sb);

#endif
