/*
 * What MHD asks its own list of headers for: a length that it cannot read it
 * would refuse by itself, with the head of its answer sent twice, and cookies,
 * which nobody here reads, it would copy into the connection's memory. Runs in
 * sandboxd-gateway, on bytes that anybody sent.
 *
 * MHD asks by its own public function, which this one replaces while the
 * program is linked: for everything else it does the same. A length that is
 * kept from it is refused by req_head.c. Should a version of MHD not come by
 * here, it answers by itself.
 */
#include "gateway/http_priv.h"

#include <string.h>
#include <strings.h>

#define DIGITS_MAX 18 /* req_head.c takes no more */

struct lookup {
	const char *key, *value;
	size_t key_len, value_len;
	bool found;
};

static enum MHD_Result
compare(void *cls, enum MHD_ValueKind kind, const char *name, size_t len,
    const char *value, size_t value_len)
{
	struct lookup *l = cls;

	(void)kind;
	if (l->key == NULL ? name != NULL
			   : name == NULL || len != l->key_len ||
				 strncasecmp(name, l->key, len) != 0)
		return MHD_YES;
	l->value = value;
	l->value_len = value_len;
	l->found = true;
	return MHD_NO;
}

static bool
key_is(const struct lookup *l, const char *name)
{
	return l->key != NULL && l->key_len == strlen(name) &&
	       strncasecmp(l->key, name, l->key_len) == 0;
}

static bool
length_readable(const struct lookup *l)
{
	size_t i;

	if (l->value == NULL || l->value_len == 0 || l->value_len > DIGITS_MAX)
		return false;
	for (i = 0; i < l->value_len; i++)
		if (l->value[i] < '0' || l->value[i] > '9')
			return false;
	return true;
}

const char *
lookup_header(struct MHD_Connection *mc, const char *name)
{
	struct lookup l = { .key = name, .key_len = strlen(name) };

	(void)MHD_get_connection_values_n(mc, MHD_HEADER_KIND, compare, &l);
	return l.found ? l.value : NULL;
}

enum MHD_Result
MHD_lookup_connection_value_n(struct MHD_Connection *mc,
    enum MHD_ValueKind kind, const char *key, size_t key_len,
    const char **value_out, size_t *len_out)
{
	struct lookup l = { .key = key, .key_len = key_len };

	if (kind == MHD_HEADER_KIND && key_is(&l, "cookie"))
		return MHD_NO;
	(void)MHD_get_connection_values_n(mc, kind, compare, &l);
	if (!l.found ||
	    (kind == MHD_HEADER_KIND && key_is(&l, "content-length") &&
		!length_readable(&l)))
		return MHD_NO;
	if (value_out != NULL)
		*value_out = l.value;
	if (len_out != NULL)
		*len_out = l.value_len;
	return MHD_YES;
}
