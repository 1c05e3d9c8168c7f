/*
 * On which line of a text a value stands. Runs in the supervisor, on texts of
 * configuration that have been parsed already.
 *
 * The parser's tree does not say where its values came from. But it has them in
 * the order of the text, so counting finds them again.
 */
#include "supervisor/agent_def.h"

#include "lib/defs.h"
#include <string.h>

unsigned
json_line_at(const char *text, size_t len, size_t at)
{
	unsigned line = 1;

	for (size_t i = 0; i < MIN(at, len); i++)
		line += text[i] == '\n';
	return line;
}

/* How many values begin before V does; false: V is not below AT. */
static bool
count_to(const struct json *at, const struct json *v, size_t *n)
{
	if (at == v)
		return true;
	++*n;
	json_foreach (it, at) {
		if (count_to(it, v, n))
			return true;
	}
	return false;
}

static size_t
string_end(const char *s, size_t at, size_t len)
{
	for (at++; at < len && s[at] != '"'; at++)
		at += s[at] == '\\';
	return at + 1;
}

static bool
is_key(const char *s, size_t at, size_t len)
{
	while (at < len && strchr(" \t\r\n", s[at]) != NULL)
		at++;
	return at < len && s[at] == ':';
}

unsigned
json_line_of(
    const char *text, size_t len, const struct json *root, const struct json *v)
{
	size_t left = 0, begin = 0, at = 0;
	bool keyed = false;

	if (!count_to(root, v, &left))
		left = 0;
	/* A string before a colon is a key, and stands for its value. */
	while (at < len) {
		if (strchr(" \t\r\n,:]}", text[at]) != NULL) {
			at++;
			continue;
		}
		if (!keyed)
			begin = at;
		keyed = false;
		if (text[at] == '"') {
			at = string_end(text, at, len);
			keyed = is_key(text, at, len);
			if (keyed)
				continue;
		} else if (text[at] == '{' || text[at] == '[') {
			at++;
		} else {
			while (
			    at < len && strchr(" \t\r\n,]}", text[at]) == NULL)
				at++;
		}
		if (left-- == 0)
			break;
	}
	return json_line_at(text, len, begin);
}
