/*
 * Tokens for HTTP clients besides the global ones: limited to a sandbox, to
 * reading, to a time. Only their hashes are kept, in the store's table
 * `tokens`, where the gateways look them up; the text is shown once, when it is
 * made.
 */
#ifndef SUPERVISOR_TOKENS_H
#define SUPERVISOR_TOKENS_H

#include "supervisor/super.h"

struct tokens *tokens_new(struct super *s);
void tokens_free(struct tokens *ts);
/* At start: a record of the store. */
void tokens_loaded(struct tokens *ts, const struct json *record);
/* SANDBOX is gone: what opened it must not open another of that name. */
void tokens_sandbox_gone(struct tokens *ts, const char *sandbox);

#endif
