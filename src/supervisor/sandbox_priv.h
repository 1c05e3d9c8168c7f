/*
 * What the files about sandboxes share and nobody else needs: sandboxes.c (the
 * table, start and stop), sandbox_create.c, sandbox_load.c (at our own start),
 * sandbox_wait.c, sandbox_pause.c, sandbox_expire.c, sandbox_history.c,
 * sandbox_update.c, sandbox_entry.c.
 */
#ifndef SUPERVISOR_SANDBOX_PRIV_H
#define SUPERVISOR_SANDBOX_PRIV_H

#include "supervisor/sandbox_init.h"

/* In sandboxes.c: a new entry of the table, and its end. */
struct sandbox *sandbox_new(struct super *s, const char *id, unsigned slot);
void sandbox_free(struct sandbox *sb);
/* Launch it, and store that it should run. */
int sandbox_launch_and_store(struct sandbox *sb, struct err *e);

/* In sandbox_pause.c: it is about to be ended in some way: nothing in it may
 * stay frozen. */
void sandbox_thaw(struct sandbox *sb);
void sandbox_pause_init(struct sandbox *sb);
void sandbox_pause_free(struct sandbox *sb);

/* In sandbox_expire.c: TIMEOUT (seconds, or with a unit; NULL, null or 0:
 * never) as a time of the clock. */
int sandbox_timeout_parse(
    const struct json *timeout, int64_t *expires_at_ms_out, struct err *e);
/* At EXPIRES_AT_MS it is destroyed; at once when that is over. */
void sandbox_expiry_set(struct sandbox *sb, int64_t expires_at_ms);
void sandbox_expiry_init(struct sandbox *sb);

/* In sandbox_history.c: WHY may be NULL. */
void
sandbox_event(struct sandbox *sb, enum sandbox_happening what, const char *why);
void sandbox_history_init(struct sandbox *sb);
void sandbox_history_load(struct sandbox *sb, const struct json *list);
void sandbox_history_free(struct sandbox *sb);

/* In sandbox_entry.c: start its entrypoint, if it has one. */
void sandbox_entry_start(struct sandbox *sb);

#endif
