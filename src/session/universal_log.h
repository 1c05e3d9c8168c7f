/*
 * What the files of the universal encoder share: writing one event body into
 * the outbox.
 */
#ifndef SESSION_UNIVERSAL_LOG_H
#define SESSION_UNIVERSAL_LOG_H

#include "session/universal.h"

#define CONTENT_BYTES (384u << 10) /* of one event's data */

/* Begin an event, up to the key `data`, whose value the caller writes; then
 * either end it with the native message as `raw`, or write `raw` and add. */
struct jw *
uni_event_begin(struct universal *u, enum origin from, const char *type);
void uni_event_raw(struct universal *u, const char *raw, size_t len);
void uni_event_add(struct universal *u);
void uni_event_end(struct universal *u, enum origin from);
void uni_kname(struct jw *w, const char *key, const char *s);

/* Members of encoder_universal. */
void uni_log_status(struct universal *u, const char *label, const char *detail);
void uni_log_session_ended(
    struct universal *u, const char *reason, const char *terminated_by);
void uni_log_error(struct universal *u, enum origin from, const char *code,
    const char *message, const char *details);
void uni_log_unparsed(struct universal *u, const char *location,
    const char *error, const char *raw, const char *text, size_t len);

#endif
