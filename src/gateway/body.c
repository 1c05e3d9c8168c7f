/*
 * The shapes of bodies. Runs in sandboxd-gateway on JSON that anybody sent;
 * after it a door may rely on kinds and bounds of what its rows name.
 */
#include "gateway/body.h"

#include <string.h>
#include <strings.h>

#define FIELDS_MAX 64

bool
body_type_is_json(const char *type)
{
	size_t len;

	if (type == NULL)
		return false;
	len = strcspn(type, "; \t");
	if (len == 16 && strncasecmp(type, "application/json", 16) == 0)
		return true;
	return len > 17 && strncasecmp(type, "application/", 12) == 0 &&
	       strncasecmp(type + len - 5, "+json", 5) == 0;
}

static bool
counts_as_missing(const struct json *m, const struct json_field *f)
{
	return m->type == JSON_NULL && !f->required && f->kind != JK_STRV &&
	       f->kind != JK_ARRAY && f->kind != JK_STRMAP;
}

/* The members that rows name, as a list of their own in OUT. */
static size_t
members_known(const struct route *rt, const struct json *root,
    struct json out[FIELDS_MAX])
{
	const struct json *m;
	size_t i, n = 0;

	for (i = 0; i < rt->nfields && n < FIELDS_MAX; i++) {
		m = json_get(root, rt->fields[i].name);
		if (m == NULL || counts_as_missing(m, &rt->fields[i]))
			continue;
		out[n] = *m;
		out[n].next = NULL;
		if (n > 0)
			out[n - 1].next = &out[n];
		n++;
	}
	return n;
}

int
body_check(const struct route *rt, const struct json *root, struct err *e)
{
	struct json members[FIELDS_MAX], known = { .type = JSON_OBJECT };

	if (root->type != JSON_OBJECT)
		return err_set(e, ERR_BAD_REQUEST, "the body is not an object");
	if (rt->nfields == 0)
		return 0;
	known.len = members_known(rt, root, members);
	known.child = known.len > 0 ? members : NULL;
	return json_check(&known, rt->fields, rt->nfields, e);
}
