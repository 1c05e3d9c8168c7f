/*
 * Checking an object against a table of fields. Runs in every process of ours,
 * between the parser and whoever acts on a message: after it a handler may
 * rely on names, types and bounds.
 *
 * Texts of errors quote names that a peer chose; they are made printable and
 * short first.
 */
#include "json.h"
#include "strutil.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIELDS_MAX 64 /* one bit each */

/* The most of a foreign name that is shown. */
#define NAME_SHOWN 44

/* Handlers get these as C strings. */
static bool
is_text(const struct json *v)
{
	return v->type == JSON_STRING && memchr(v->str, '\0', v->len) == NULL;
}

static bool
members_are_text(const struct json *v)
{
	const struct json *m;

	for (m = v->child; m != NULL; m = m->next) {
		if (!is_text(m))
			return false;
	}
	return true;
}

static bool
count_fits(const struct json *v, const struct json_field *f)
{
	/* JSON_ARRAY and JSON_OBJECT: a max of 0 means no bound of its own. */
	if ((f->kind == JK_OBJECT || f->kind == JK_ARRAY) && f->max == 0)
		return true;
	return v->len >= (uint64_t)f->min && v->len <= (uint64_t)f->max;
}

static bool
value_fits(const struct json *v, const struct json_field *f)
{
	int64_t n;

	switch (f->kind) {
	case JK_STR:
		return is_text(v) && count_fits(v, f);
	case JK_INT:
		return json_number_int(v, &n) == 0 && n >= f->min &&
		       n <= f->max;
	case JK_BOOL:
		return v->type == JSON_BOOL;
	case JK_STRV:
		return v->type == JSON_ARRAY && count_fits(v, f) &&
		       members_are_text(v);
	case JK_STRMAP:
		return v->type == JSON_OBJECT && count_fits(v, f) &&
		       members_are_text(v);
	case JK_OBJECT:
		return v->type == JSON_OBJECT && count_fits(v, f);
	case JK_ARRAY:
		return v->type == JSON_ARRAY && count_fits(v, f);
	case JK_ANY:
		return true;
	case JK_N:
		break;
	}
	return false;
}

/* Say what F allows. Returns -1. */
static int
refuse(const struct json_field *f, struct err *e)
{
	const int64_t min = f->min, max = f->max;

	switch (f->kind) {
	case JK_STR:
		return err_set(e, ERR_BAD_REQUEST,
		    "field %s: must be text of %" PRId64 " to %" PRId64
		    " bytes",
		    f->name, min, max);
	case JK_INT:
		if (max == INT64_MAX)
			return err_set(e, ERR_BAD_REQUEST,
			    "field %s: must be a whole number, at least "
			    "%" PRId64,
			    f->name, min);
		return err_set(e, ERR_BAD_REQUEST,
		    "field %s: must be a whole number from %" PRId64
		    " to %" PRId64,
		    f->name, min, max);
	case JK_BOOL:
		return err_set(e, ERR_BAD_REQUEST,
		    "field %s: must be true or false", f->name);
	case JK_STRV:
		return err_set(e, ERR_BAD_REQUEST,
		    "field %s: must be a list of %" PRId64 " to %" PRId64
		    " texts",
		    f->name, min, max);
	case JK_STRMAP:
		return err_set(e, ERR_BAD_REQUEST,
		    "field %s: must be an object of at most %" PRId64
		    " members, each a text",
		    f->name, max);
	case JK_OBJECT:
	case JK_ARRAY:
		if (max == 0)
			return err_set(e, ERR_BAD_REQUEST,
			    "field %s: must be %s", f->name,
			    f->kind == JK_OBJECT ? "an object" : "a list");
		return err_set(e, ERR_BAD_REQUEST,
		    "field %s: must be %s of %" PRId64 " to %" PRId64 " values",
		    f->name, f->kind == JK_OBJECT ? "an object" : "a list", min,
		    max);
	case JK_ANY:
	case JK_N:
		break;
	}
	return err_set(
	    e, ERR_INTERNAL, "field %s: its table is wrong", f->name);
}

/* Name the stranger, and the fields there are as far as they fit. */
static int
refuse_unknown(
    const char *name, const struct json_field *fields, size_t n, struct err *e)
{
	char shown[NAME_SHOWN];
	char known[ERR_TEXT_MAX / 2] = "";
	size_t at = 0, i, len;

	str_show(shown, sizeof(shown), name, strlen(name));
	if (n == 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "field %s: unknown; there are none", shown);
	for (i = 0; i < n; i++) {
		len = strlen(fields[i].name);
		if (at + len + 3 > sizeof(known))
			break;
		at += (size_t)snprintf(known + at, sizeof(known) - at, "%s%s",
		    i > 0 ? ", " : "", fields[i].name);
	}
	return err_set(
	    e, ERR_BAD_REQUEST, "field %s: unknown; known: %s", shown, known);
}

/* Fields by linear search: no table is long, and most messages name their few
 * fields in the table's order anyway. */
int
json_check(const struct json *obj, const struct json_field *fields, size_t n,
    struct err *e)
{
	uint64_t seen = 0;
	size_t i;

	if (n > FIELDS_MAX)
		return err_set(e, ERR_INTERNAL, "a table of %zu fields", n);
	if (obj == NULL || obj->type != JSON_OBJECT)
		return err_set(e, ERR_BAD_REQUEST, "not an object");
	json_foreach (m, obj) {
		for (i = 0; i < n; i++) {
			if (strcmp(m->key, fields[i].name) == 0)
				break;
		}
		if (i == n)
			return refuse_unknown(m->key, fields, n, e);
		if (!value_fits(m, &fields[i]))
			return refuse(&fields[i], e);
		seen |= UINT64_C(1) << i;
	}
	for (i = 0; i < n; i++) {
		if (fields[i].required && (seen & (UINT64_C(1) << i)) == 0)
			return err_set(e, ERR_BAD_REQUEST, "field %s: missing",
			    fields[i].name);
	}
	return 0;
}
