/*
 * Commands run in sandboxes for control clients.
 *
 * Three ways to connect one: the client's own descriptors; a terminal of its
 * own, whose master goes to the client; or pipes that the relay empties into
 * the client's connection. In none does a byte of it pass through us.
 */
#ifndef SUPERVISOR_EXEC_H
#define SUPERVISOR_EXEC_H

#include "supervisor/sandboxes.h"

/* From init: false if it is none of ours. */
bool exec_exited(struct sandbox *sb, int64_t id, int status, bool timed_out);
/* From the relay: nobody wants the output any more. */
void exec_client_gone(struct super *s, int64_t carry);
/* Everything in SB has ended. */
void exec_sandbox_down(struct sandbox *sb, const struct err *e);

/* SB goes; after exec_sandbox_down(). */
void exec_sandbox_free(struct sandbox *sb);

/* Environment: BASE with OVER's members put over it, as a JSON object. OVER is
 * an object or NULL. */
void
exec_env_write(struct jw *w, const struct sandbox *sb, const struct json *over);

/* A request's `command` and `env`: are they well formed? The former as the
 * member "argv", once that is known. */
int exec_command_check(const struct json *command, struct err *e);
int exec_env_check(const struct json *env, struct err *e);
void exec_command_write(struct jw *w, const struct json *command);

#endif
