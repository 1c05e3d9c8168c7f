/*
 * Configuration of tools for agents; see toolconf.h. Runs in the gateway, on
 * bodies of requests and files of sandboxes, and in session workers: what it
 * reads is anybody's.
 */
#include "toolconf.h"

#include "strutil.h"
#include "xalloc.h"
#include <string.h>

#define NAMES_MAX 4 /* by which a member may come, with the NULL */
#define MAP_MAX 4096
#define DEPTH_MAX 12

enum shape {
	SHAPE_STR,
	SHAPE_STRV,
	SHAPE_MAP,
	SHAPE_BOOL,
	SHAPE_COUNT,	 /* a whole number, not negative */
	SHAPE_COMMAND,	 /* a text or a list of them */
	SHAPE_TRANSPORT, /* http or sse */
	SHAPE_OAUTH	 /* yes, no, or an object */
};

struct member {
	const char *names[NAMES_MAX]; /* the first is the canonical one */
	enum shape shape;
	bool required;
	bool always; /* written also when it is missing: an empty list */
};

static const struct member local_members[] = {
	{ { "command" }, SHAPE_COMMAND, true, false },
	{ { "args" }, SHAPE_STRV, false, true },
	{ { "env", "environment" }, SHAPE_MAP, false, false },
	{ { "enabled" }, SHAPE_BOOL, false, false },
	{ { "timeoutMs", "timeout" }, SHAPE_COUNT, false, false },
	{ { "cwd" }, SHAPE_STR, false, false },
};
static const struct member remote_members[] = {
	{ { "url" }, SHAPE_STR, true, false },
	{ { "headers" }, SHAPE_MAP, false, false },
	{ { "bearerTokenEnvVar", "bearer_token_env_var" }, SHAPE_STR, false,
	    false },
	{ { "envHeaders", "envHttpHeaders", "env_http_headers" }, SHAPE_MAP,
	    false, false },
	{ { "oauth" }, SHAPE_OAUTH, false, false },
	{ { "enabled" }, SHAPE_BOOL, false, false },
	{ { "timeoutMs", "timeout" }, SHAPE_COUNT, false, false },
	{ { "transport" }, SHAPE_TRANSPORT, false, false },
};
static const struct member oauth_members[] = {
	{ { "clientId" }, SHAPE_STR, false, false },
	{ { "clientSecret" }, SHAPE_STR, false, false },
	{ { "scope" }, SHAPE_STR, false, false },
};
static const struct member source_members[] = {
	{ { "type" }, SHAPE_STR, true, false },
	{ { "source" }, SHAPE_STR, true, false },
	{ { "skills" }, SHAPE_STRV, false, false },
	{ { "ref" }, SHAPE_STR, false, false },
	{ { "subpath" }, SHAPE_STR, false, false },
};

const char *
toolconf_name(enum toolconf kind)
{
	return kind == TOOLCONF_MCP ? "mcp" : "skills";
}

/* --- shapes --------------------------------------------------------------- */

static bool
is_text(const struct json *v)
{
	return v->type == JSON_STRING && strlen(v->str) == v->len;
}

static bool
is_texts(const struct json *v, enum json_type type)
{
	if (v->type != type)
		return false;
	json_foreach (it, v)
		if (!is_text(it))
			return false;
	return true;
}

static bool
fits(const struct json *v, enum shape shape)
{
	int64_t n;

	switch (shape) {
	case SHAPE_STR:
		return is_text(v);
	case SHAPE_STRV:
		return is_texts(v, JSON_ARRAY);
	case SHAPE_MAP:
		return is_texts(v, JSON_OBJECT) && v->len <= MAP_MAX;
	case SHAPE_BOOL:
		return v->type == JSON_BOOL;
	case SHAPE_COUNT:
		return json_number_int(v, &n) == 0 && n >= 0;
	case SHAPE_COMMAND:
		return is_text(v) || is_texts(v, JSON_ARRAY);
	case SHAPE_TRANSPORT:
		return is_text(v) && (strcmp(v->str, "http") == 0 ||
					 strcmp(v->str, "sse") == 0);
	case SHAPE_OAUTH:
		return v->type == JSON_BOOL || v->type == JSON_OBJECT;
	}
	return false;
}

static const char *
shape_words(enum shape shape)
{
	static const char *const words[] = {
		[SHAPE_STR] = "a text",
		[SHAPE_STRV] = "a list of texts",
		[SHAPE_MAP] = "a map of texts",
		[SHAPE_BOOL] = "true or false",
		[SHAPE_COUNT] = "a whole number that is not negative",
		[SHAPE_COMMAND] = "a text or a list of texts",
		[SHAPE_TRANSPORT] = "http or sse",
		[SHAPE_OAUTH] = "true, false or an object",
	};

	return words[shape];
}

/* --- writing -------------------------------------------------------------- */

static int
by_key(const void *a, const void *b)
{
	const struct json *const *x = a, *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

/* A map of texts, its names in order. */
static void
write_map(struct jw *w, const struct json *map)
{
	const struct json **v = xcalloc(map->len + 1, sizeof(*v));
	size_t n = 0, i;

	json_foreach (it, map)
		v[n++] = it;
	qsort(v, n, sizeof(*v), by_key);
	jw_object(w);
	for (i = 0; i < n; i++)
		jw_kvalue(w, v[i]->key, v[i]);
	jw_object_end(w);
	free(v);
}

static int write_members(struct jw *w, const struct json *entry,
    const struct member *m, size_t n, struct err *e);

static int
write_member(
    struct jw *w, const struct member *m, const struct json *v, struct err *e)
{
	jw_key(w, m->names[0]);
	if (m->shape == SHAPE_MAP) {
		write_map(w, v);
	} else if (m->shape == SHAPE_OAUTH && v->type == JSON_OBJECT) {
		jw_object(w);
		if (write_members(
			w, v, oauth_members, countof(oauth_members), e) == -1)
			return err_prefix(e, "oauth");
		jw_object_end(w);
	} else {
		jw_value(w, v);
	}
	return 0;
}

/* The member by any of its names; twice under two is an error. */
static int
find_member(const struct json *entry, const struct member *m,
    const struct json **v_out, struct err *e)
{
	const struct json *v;
	size_t i;

	*v_out = NULL;
	for (i = 0; i < NAMES_MAX && m->names[i] != NULL; i++) {
		v = json_get(entry, m->names[i]);
		if (v == NULL)
			continue;
		if (*v_out != NULL)
			return err_set(e, ERR_BAD_REQUEST,
			    "duplicate field `%s`", m->names[0]);
		*v_out = v;
	}
	return 0;
}

static int
write_members(struct jw *w, const struct json *entry, const struct member *m,
    size_t n, struct err *e)
{
	const struct json *v;
	size_t i;

	for (i = 0; i < n; i++) {
		if (find_member(entry, &m[i], &v, e) == -1)
			return -1;
		if (v == NULL && m[i].required)
			return err_set(e, ERR_BAD_REQUEST, "missing field `%s`",
			    m[i].names[0]);
		if (v == NULL && m[i].always) {
			jw_key(w, m[i].names[0]);
			jw_array(w);
			jw_array_end(w);
		}
		if (v == NULL)
			continue;
		/* null is as good as nothing, but for what always is there */
		if (v->type == JSON_NULL && !m[i].required && !m[i].always)
			continue;
		if (!fits(v, m[i].shape))
			return err_set(e, ERR_BAD_REQUEST, "%s: not %s",
			    m[i].names[0], shape_words(m[i].shape));
		if (write_member(w, &m[i], v, e) == -1)
			return -1;
	}
	return 0;
}

static int
write_mcp(struct jw *w, const struct json *entry, struct err *e)
{
	const struct json *type = json_get(entry, "type");
	bool local, remote;
	char shown[64];

	if (type == NULL)
		return err_set(e, ERR_BAD_REQUEST, "missing field `type`");
	if (!is_text(type))
		return err_set(e, ERR_BAD_REQUEST, "type: not a text");
	local =
	    strcmp(type->str, "local") == 0 || strcmp(type->str, "stdio") == 0;
	remote =
	    strcmp(type->str, "remote") == 0 || strcmp(type->str, "http") == 0;
	if (!local && !remote) {
		str_show(shown, sizeof(shown), type->str, type->len);
		return err_set(e, ERR_BAD_REQUEST,
		    "type: unknown variant `%s`, expected one of `local`, "
		    "`stdio`, `http`, `remote`",
		    shown);
	}
	jw_object(w);
	jw_kstr(w, "type", local ? "local" : "remote");
	if ((local ? write_members(
			 w, entry, local_members, countof(local_members), e)
		   : write_members(w, entry, remote_members,
			 countof(remote_members), e)) == -1)
		return -1;
	jw_object_end(w);
	return 0;
}

static int
write_skills(struct jw *w, const struct json *entry, struct err *e)
{
	const struct json *sources = json_get(entry, "sources");

	if (sources == NULL)
		return err_set(e, ERR_BAD_REQUEST, "missing field `sources`");
	if (sources->type != JSON_ARRAY)
		return err_set(e, ERR_BAD_REQUEST, "sources: not a list");
	jw_object(w);
	jw_key(w, "sources");
	jw_array(w);
	json_foreach (it, sources) {
		if (it->type != JSON_OBJECT)
			return err_set(
			    e, ERR_BAD_REQUEST, "sources: not objects");
		jw_object(w);
		if (write_members(w, it, source_members,
			countof(source_members), e) == -1)
			return err_prefix(e, "sources");
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_object_end(w);
	return 0;
}

int
toolconf_normal(
    enum toolconf kind, const struct json *entry, struct jw *w, struct err *e)
{
	if (entry->type != JSON_OBJECT)
		return err_set(e, ERR_BAD_REQUEST, "not an object");
	return kind == TOOLCONF_MCP ? write_mcp(w, entry, e)
				    : write_skills(w, entry, e);
}

/* --- files ---------------------------------------------------------------- */

int
toolconf_parse(enum toolconf kind, const char *text, size_t len,
    struct json **j_out, struct err *e)
{
	size_t blank = 0;
	struct buf b;
	struct jw w;

	*j_out = NULL;
	while (blank < len && strchr(" \t\r\n", text[blank]) != NULL &&
	       text[blank] != '\0')
		blank++;
	if (blank == len) {
		text = "{}";
		len = 2;
	}
	if (json_parse(text, len, DEPTH_MAX, j_out, e) == -1)
		return -1;
	if ((*j_out)->type != JSON_OBJECT) {
		err_set(e, ERR_BAD_REQUEST, "not an object");
		goto bad;
	}
	json_foreach (it, *j_out) {
		int rc;

		buf_init(&b, TOOLCONF_FILE_MAX);
		jw_init(&w, &b);
		rc = toolconf_normal(kind, it, &w, e);
		buf_free(&b);
		if (rc == -1) {
			char name[64];

			str_show(name, sizeof(name), it->key, strlen(it->key));
			(void)err_prefix(e, "%s", name);
			goto bad;
		}
	}
	return 0;
bad:
	json_free(STEAL(*j_out));
	return -1;
}

static void
indent(struct buf *b, unsigned level)
{
	(void)buf_addc(b, '\n');
	while (level-- > 0)
		(void)buf_adds(b, "  ");
}

static void
scalar(struct buf *b, const struct json *v)
{
	struct jw w;

	jw_init(&w, b);
	jw_value(&w, v);
}

static void
pretty(struct buf *b, const struct json *v, unsigned level)
{
	bool object = v->type == JSON_OBJECT;
	struct jw w;

	if ((!object && v->type != JSON_ARRAY) || v->child == NULL ||
	    level > DEPTH_MAX) {
		scalar(b, v);
		return;
	}
	(void)buf_addc(b, object ? '{' : '[');
	json_foreach (it, v) {
		indent(b, level + 1);
		if (object) {
			jw_init(&w, b);
			jw_str(&w, it->key);
			(void)buf_adds(b, ": ");
		}
		pretty(b, it, level + 1);
		if (it->next != NULL)
			(void)buf_addc(b, ',');
	}
	indent(b, level);
	(void)buf_addc(b, object ? '}' : ']');
}

void
toolconf_pretty(struct buf *b, const struct json *v)
{
	pretty(b, v, 0);
}
