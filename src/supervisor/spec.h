/*
 * From a request's arguments, or a stored record, to a sandbox_spec; and back.
 */
#ifndef SUPERVISOR_SPEC_H
#define SUPERVISOR_SPEC_H

#include "lib/frame.h"
#include "lib/json.h"
#include "supervisor/sandboxes.h"

#define LABELS_MAX 64 /* as ops.def has it */

/* ARGS: of sandbox.create, or a stored record (STORED: it is ours; nothing is
 * looked up on the host). On failure SP is empty. */
/* Rules for the network of SP, in place of those that it has. Without any
 * nothing changes. */
int spec_parse_egress(
    const struct json *egress, struct sandbox_spec *sp, struct err *e);
int spec_parse(struct super *s, const struct json *args, const char *id,
    bool stored, struct sandbox_spec *sp, struct err *e);
/* The members of a record that say what was asked for; those of them that a
 * list shows; those that only the store is told. */
void spec_write(const struct sandbox_spec *sp, struct jw *w);
void spec_write_brief(const struct sandbox_spec *sp, struct jw *w);
void spec_write_key(const struct sandbox_spec *sp, struct jw *w);
/* It must fit in a record, with what is added there. */
int spec_check_size(const struct sandbox_spec *sp, struct err *e);
/* Parts of it, which can be changed later: limits that LIMITS does not name
 * stay as they are in SP. */
int spec_parse_limits(
    const struct json *limits, struct sandbox_spec *sp, struct err *e);
int spec_check_labels(const struct json *labels, struct err *e);
/* J: seconds, or text such as 10m; 0 for 0, null and NULL. */
int spec_time(const struct json *j, const char *name, int64_t min_ms,
    int64_t max_ms, int64_t *ms_out, struct err *e);
void spec_free(struct sandbox_spec *sp);

/* In spec_more.c: `tmpfs` and `hosts`. */
int spec_parse_tmpfs(
    const struct json *list, struct sandbox_spec *sp, struct err *e);
int spec_check_hosts(const struct json *hosts, struct err *e);
void spec_write_more(const struct sandbox_spec *sp, struct jw *w);
void spec_free_more(struct sandbox_spec *sp);
/* The text of /etc/hosts, which the caller frees; NULL: the host's or image's
 * own is left. */
char *spec_hosts_text(const struct sandbox_spec *sp);

/* A path that may be a mount's target, without a slash at its end and not where
 * we mount ourselves; NULL with E set. WHAT: the field, for E. */
char *spec_target(const char *path, const char *what, struct err *e);

/* By enum mount_mode. */
extern const char *const spec_mode_names[];

/* "K=V" vectors and JSON objects. */
char **strmap_parse(const struct json *obj); /* NULL when empty */
void strmap_write(struct jw *w, char *const *v);
/* NAME's value in V, or NULL. */
const char *strmap_get(char *const *v, const char *name);

#endif
