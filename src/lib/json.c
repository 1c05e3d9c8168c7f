/*
 * Look-ups in a tree. Runs in every process of ours. The tree's shape is a
 * peer's choice: a member that is missing or of another type is answered with
 * the caller's default, never with a crash.
 */
#include "json.h"
#include "strutil.h"
#include "xalloc.h"
#include <string.h>

const struct json *
json_get(const struct json *obj, const char *key)
{
	const struct json *m;

	if (obj == NULL || obj->type != JSON_OBJECT)
		return NULL;
	for (m = obj->child; m != NULL; m = m->next) {
		if (m->key[0] == key[0] && strcmp(m->key, key) == 0)
			return m;
	}
	return NULL;
}

const struct json *
json_path(const struct json *obj, const char *path)
{
	const struct json *m;
	size_t n;

	/* All parts but the last are compared in place; no copy, no limit. */
	for (;;) {
		n = strcspn(path, ".");
		if (path[n] == '\0')
			return json_get(obj, path);
		if (obj == NULL || obj->type != JSON_OBJECT)
			return NULL;
		for (m = obj->child; m != NULL; m = m->next) {
			if (strncmp(m->key, path, n) == 0 && m->key[n] == '\0')
				break;
		}
		obj = m;
		path += n + 1;
	}
}

/* A string that C may have as one: what stands behind a NUL would be seen by
 * some readers and not by others. */
static bool
is_text(const struct json *v)
{
	return v != NULL && v->type == JSON_STRING &&
	       memchr(v->str, '\0', v->len) == NULL;
}

const char *
json_str(const struct json *obj, const char *key, const char *def)
{
	const struct json *v = json_get(obj, key);

	return is_text(v) ? v->str : def;
}

int64_t
json_int(const struct json *obj, const char *key, int64_t def)
{
	int64_t v;

	return json_number_int(json_get(obj, key), &v) == 0 ? v : def;
}

bool
json_bool(const struct json *obj, const char *key, bool def)
{
	const struct json *v = json_get(obj, key);

	return v != NULL && v->type == JSON_BOOL ? v->b : def;
}

double
json_double(const struct json *obj, const char *key, double def)
{
	const struct json *v = json_get(obj, key);

	/* The parser saw to it that the text is a finite number. */
	return v != NULL && v->type == JSON_NUMBER ? strtod(v->str, NULL) : def;
}

int
json_number_int(const struct json *v, int64_t *v_out)
{
	if (v == NULL || v->type != JSON_NUMBER)
		return -1;
	return str_to_int(v->str, INT64_MIN, INT64_MAX, v_out);
}

char **
json_strv(const struct json *v)
{
	const struct json *m;
	char **strv;
	size_t n = 0;

	if (v == NULL || v->type != JSON_ARRAY)
		return NULL;
	for (m = v->child; m != NULL; m = m->next) {
		if (!is_text(m))
			return NULL;
	}
	/* A peer chose the number, but has paid for each in its text. */
	strv = xcalloc(v->len + 1, sizeof(*strv));
	for (m = v->child; m != NULL; m = m->next)
		strv[n++] = xstrndup(m->str, m->len);
	return strv;
}
