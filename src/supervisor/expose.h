/*
 * Exposed ports of a sandbox: which may be reached without a token, and which
 * have a listening socket on the host that stands for them. They are part of
 * the sandbox's record, and listen again after our restart.
 */
#ifndef SUPERVISOR_EXPOSE_H
#define SUPERVISOR_EXPOSE_H

#include "supervisor/sandboxes.h"

#define EXPOSED_MAX 64 /* of one sandbox */

/* From a stored record: LIST is its member `ports`. Listens as far as it can;
 * what it cannot is logged. */
void exposed_load(struct sandbox *sb, const struct json *list);
/* The members of the list, as value. */
void exposed_write(const struct sandbox *sb, struct jw *w);
/* Listen no more, for good: the sandbox goes. */
void exposed_free(struct sandbox *sb);

#endif
