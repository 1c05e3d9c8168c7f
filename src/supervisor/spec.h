/*
 * From a request's arguments, or a stored record, to a sandbox_spec; and back.
 */
#ifndef SUPERVISOR_SPEC_H
#define SUPERVISOR_SPEC_H

#include "lib/frame.h"
#include "lib/json.h"
#include "supervisor/sandboxes.h"

/* ARGS: of sandbox.create, or a stored record (STORED: it is ours; nothing is
 * looked up on the host). On failure SP is empty. */
int spec_parse(struct super *s, const struct json *args, const char *id,
    bool stored, struct sandbox_spec *sp, struct err *e);
/* The members of a record that say what was asked for. */
void spec_write(const struct sandbox_spec *sp, struct jw *w);
void spec_free(struct sandbox_spec *sp);

/* "K=V" vectors and JSON objects. */
char **strmap_parse(const struct json *obj); /* NULL when empty */
void strmap_write(struct jw *w, char *const *v);
/* NAME's value in V, or NULL. */
const char *strmap_get(char *const *v, const char *name);

#endif
