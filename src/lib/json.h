/*
 * JSON: a strict parser into an immutable tree, checks by a table of fields,
 * and a streaming writer. The only user of yajl besides the store's scanner of
 * appends, which needs no tree.
 *
 * The parser refuses: invalid UTF-8, depth over the limit, anything after the
 * value, duplicate keys in one object, and texts over the limit. Numbers keep
 * their text, so that a value can be written back as it came.
 */
#ifndef LIB_JSON_H
#define LIB_JSON_H

#include "buf.h"
#include "defs.h"
#include "err.h"
#include <stdbool.h>

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
	JSON_TYPE_N
};

struct json {
	enum json_type type;
	bool b;		    /* JSON_BOOL */
	const char *str;    /* JSON_STRING: bytes; JSON_NUMBER: its text */
	size_t len;	    /* of str (may hold NULs), or number of members */
	const char *key;    /* name in the parent object, else NULL */
	struct json *child; /* first member */
	struct json *next;  /* next sibling */
};

#define JSON_DEPTH_CONTROL 8 /* frames and control requests */
#define JSON_DEPTH_AGENT 64  /* what agents print */

/* Parse TEXT[0..len). The tree belongs to *J_OUT; free with json_free. The
 * tree does not point into TEXT. */
int json_parse(const char *text, size_t len, unsigned max_depth,
    struct json **j_out, struct err *e) ATTR_WARN_UNUSED;
/* The same for a text that a person has written: when it is refused, *AT_OUT
 * is about where in it. */
int json_parse_at(const char *text, size_t len, unsigned max_depth,
    struct json **j_out, size_t *at_out, struct err *e) ATTR_WARN_UNUSED;
void json_free(struct json *j); /* accepts NULL; only for the root */
/* An escape of half a surrogate pair is U+FFFD to json_parse. Other parsers,
 * the store's too, read something else there, and could find a name twice where
 * it has found two: a text that is to be handed on as it is has such escapes
 * replaced, in TEXT itself. */
void json_mend(char *text, size_t len);
bool json_whole(const char *text, size_t len); /* has it none? */

#define json_foreach(it, parent)                                            \
	for (const struct json *it = (parent) ? (parent)->child : NULL; it; \
	     it = (it)->next)

/* Look-ups: OBJ may be NULL or of another type, then nothing is found. */
const struct json *json_get(const struct json *obj, const char *key);
/* Nested look-up: "message.content" (no escapes, no array indexes). */
const struct json *json_path(const struct json *obj, const char *path);
/* The member's value, or DEF when it is missing or of another type. Strings
 * with an embedded NUL count as another type. */
const char *json_str(const struct json *obj, const char *key, const char *def);
int64_t json_int(const struct json *obj, const char *key, int64_t def);
bool json_bool(const struct json *obj, const char *key, bool def);
double json_double(const struct json *obj, const char *key, double def);
/* An array of strings as an allocated NULL-terminated vector; NULL when V is
 * no array of NUL-free strings. */
char **json_strv(const struct json *v);
int json_number_int(const struct json *v, int64_t *v_out); /* 0 or -1 */

/*
 * Checking an object against a table. Unknown keys, wrong types, out-of-range
 * values and missing required fields are ERR_BAD_REQUEST naming the field.
 */
enum json_kind {
	JK_STR, /* NUL-free string of at most `max` bytes */
	JK_INT, /* whole number in [min, max] */
	JK_BOOL,
	JK_STRV,   /* array of strings; at most `max` of them */
	JK_STRMAP, /* object whose values are strings; at most `max` */
	JK_OBJECT,
	JK_ARRAY,
	JK_ANY,
	JK_N
};

/* The name lies in the struct itself: a table of pointers would have to be
 * relocated, and so cost memory in every process that is linked to it. */
#define JSON_FIELD_NAME_MAX 28
struct json_field {
	char name[JSON_FIELD_NAME_MAX];
	enum json_kind kind;
	bool required;
	int64_t min, max;
};
int json_check(const struct json *obj, const struct json_field *fields,
    size_t n, struct err *e) ATTR_WARN_UNUSED;

/*
 * Writer: appends to a buf, puts the commas itself, asserts that keys and
 * values alternate. Failure is the buf's (`failed`).
 */
struct jw {
	struct buf *b; /* borrowed */
	unsigned depth;
	uint64_t more;	 /* bit per depth: a comma is due */
	uint64_t object; /* bit per depth: members have keys */
	bool after_key;
};
void jw_init(struct jw *w, struct buf *b);
void jw_object(struct jw *w);
void jw_object_end(struct jw *w);
void jw_array(struct jw *w);
void jw_array_end(struct jw *w);
void jw_key(struct jw *w, const char *key);
void jw_keyn(struct jw *w, const char *key, size_t n);
void jw_str(struct jw *w, const char *s); /* NULL writes null */
/* Bytes that need not be UTF-8: invalid sequences become U+FFFD. */
void jw_strn(struct jw *w, const char *s, size_t n);
void jw_int(struct jw *w, int64_t v);
void jw_double(struct jw *w, double v);
void jw_bool(struct jw *w, bool v);
void jw_null(struct jw *w);
void jw_value(struct jw *w, const struct json *v);     /* a tree; NULL: null */
void jw_raw(struct jw *w, const char *json, size_t n); /* trusted JSON text */
/* A string value built in pieces: begin, add any number of times, end. */
void jw_str_begin(struct jw *w);
void jw_str_add(struct jw *w, const char *s, size_t n);
void jw_str_end(struct jw *w);
/* key and value in one call */
void jw_kstr(struct jw *w, const char *key, const char *s);
void jw_kint(struct jw *w, const char *key, int64_t v);
void jw_kbool(struct jw *w, const char *key, bool v);
void jw_kvalue(struct jw *w, const char *key, const struct json *v);
void jw_knull(struct jw *w, const char *key);

/* V as text, the caller's; NULL for NULL, and when it is longer than MAX. */
char *json_text(const struct json *v, size_t max);

#endif
