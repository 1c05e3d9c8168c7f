/*
 * The entrypoint of a sandbox as a service: what may be asked for, and what
 * init (src/init/service.c), which runs it, tells of it.
 */
#ifndef SUPERVISOR_SERVICE_H
#define SUPERVISOR_SERVICE_H

#include "lib/proto.h"
#include "supervisor/sandboxes.h"

/* The member `service` of sandbox.create, or of a record, checked: as text, the
 * caller's; NULL when there is none. */
int service_take(const struct json *args, bool has_entrypoint,
    char **service_out, struct err *e);
/* Start SB's entrypoint as its service says. */
void service_begin(struct sandbox *sb);
/* What init, which was adopted, says of it; or nothing. */
int service_adopted(struct sandbox *sb, const struct json *msg, struct err *e);
/* A `serviced` message. */
int service_told(struct sandbox *sb, const struct json *msg, struct err *e);
/* The member `service_state` of the record, while there is a service. */
void service_write(const struct sandbox *sb, struct jw *w);
/* Over an exec of ourselves: the member `service`, and what was that (NULL:
 * nothing). */
void service_put(const struct sandbox *sb, struct jw *w);
void service_carried(struct sandbox *sb, const struct json *j);

#endif
