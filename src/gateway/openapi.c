/*
 * The description of the API: routes.def, schemas.def and problems.def written
 * as one OpenAPI document. Runs in sandboxd-gateway, at the first request for
 * it; nothing of a client is in it.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif
#include "gateway/openapi.h"
#include "gateway/openapi_priv.h"
#include "gateway/route.h"
#include "lib/log.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX (4U << 20)
#define PATH_TEXT_MAX 256
#define INST_PREFIX "/i/{sandbox}"

static const struct {
	enum route_id route;
	unsigned status;
	const char *type;
	const char *schema;
} answers[] = {
#define ANSWER(sym, status, type, schema) { ROUTE_##sym, status, type, schema },
#include "gateway/routes.def"
	{ ROUTE_N, 0, NULL, NULL },
};

/*
 * Operations
 */

static const char *const field_helps[] = {
#define BODY(sym, name, kind, required, min, max, help) help,
#include "gateway/routes.def"
	NULL,
};

static void
body_json_write(struct jw *w, const struct route *rt)
{
	size_t i;

	jw_object(w);
	jw_kstr(w, "type", "object");
	jw_key(w, "properties");
	jw_object(w);
	for (i = 0; i < rt->nfields; i++) {
		jw_key(w, rt->fields[i].name);
		openapi_field(w, &rt->fields[i]);
		jw_kstr(w, "description",
		    field_helps[route_field_index(&rt->fields[i])]);
		jw_object_end(w);
	}
	jw_object_end(w);
	jw_key(w, "required");
	jw_array(w);
	for (i = 0; i < rt->nfields; i++)
		if (rt->fields[i].required)
			jw_str(w, rt->fields[i].name);
	jw_array_end(w);
	jw_object_end(w);
}

static void
param_write(struct jw *w, const char *name, size_t len, const char *help)
{
	jw_object(w);
	jw_key(w, "name");
	jw_strn(w, name, len);
	jw_kstr(w, "in", "path");
	jw_kbool(w, "required", true);
	if (help != NULL)
		jw_kstr(w, "description", help);
	jw_key(w, "schema");
	openapi_type(w, "string", 6);
	jw_object_end(w);
}

static void
query_write(struct jw *w, const struct route_query *q)
{
	jw_object(w);
	jw_kstr(w, "name", q->name);
	jw_kstr(w, "in", "query");
	jw_kbool(w, "required", q->required);
	jw_kstr(w, "description", q->help);
	jw_key(w, "schema");
	if (q->kind == QK_STRV)
		openapi_type(w, "string[]", 8);
	else {
		struct json_field f = { "",
			q->kind == QK_INT    ? JK_INT
			: q->kind == QK_BOOL ? JK_BOOL
					     : JK_STR,
			q->required, q->min, q->max };

		openapi_field(w, &f);
		jw_object_end(w);
	}
	jw_object_end(w);
}

static void
params_write(struct jw *w, const struct route *rt, const char *path)
{
	const char *p, *end;
	size_t i;

	jw_key(w, "parameters");
	jw_array(w);
	for (p = strchr(path, '{'); p != NULL; p = strchr(p, '{')) {
		p++;
		end = strchrnul(p, '}');
		param_write(w, p, (size_t)(end - p),
		    strncmp(p, "rest}", 5) == 0
			? "All that is left, slashes too."
			: NULL);
	}
	for (i = 0; i < rt->nquery; i++)
		query_write(w, &rt->query[i]);
	jw_array_end(w);
}

static void
body_write(struct jw *w, const struct route *rt)
{
	if (rt->body == BODY_NONE)
		return;
	jw_key(w, "requestBody");
	jw_object(w);
	jw_kbool(
	    w, "required", rt->body == BODY_JSON || rt->body == BODY_WHOLE);
	jw_key(w, "content");
	jw_object(w);
	jw_key(w, rt->body == BODY_STREAM ? "application/octet-stream"
					  : "application/json");
	jw_object(w);
	jw_key(w, "schema");
	if (rt->body == BODY_STREAM)
		openapi_type(w, "any", 3);
	else
		body_json_write(w, rt);
	jw_object_end(w);
	jw_object_end(w);
	jw_object_end(w);
}

static bool
status_is_first(size_t at)
{
	size_t i;

	for (i = 0; i < at; i++)
		if (answers[i].route == answers[at].route &&
		    answers[i].status == answers[at].status)
			return false;
	return true;
}

static void
content_write(struct jw *w, size_t at)
{
	size_t i;

	jw_key(w, "content");
	jw_object(w);
	for (i = at; answers[i].status != 0; i++) {
		if (answers[i].route != answers[at].route ||
		    answers[i].status != answers[at].status ||
		    answers[i].type == NULL)
			continue;
		jw_key(w, answers[i].type);
		jw_object(w);
		jw_key(w, "schema");
		if (answers[i].schema != NULL)
			openapi_type(
			    w, answers[i].schema, strlen(answers[i].schema));
		else
			openapi_type(w, "any", 3);
		jw_object_end(w);
	}
	jw_object_end(w);
}

static void
responses_write(struct jw *w, const struct route *rt)
{
	const char *error = rt->scope == SCOPE_OSB
				? "#/components/responses/OsbError"
				: "#/components/responses/Problem";
	static const char *const classes[] = { "4XX", "5XX" };
	char status[8];
	size_t i;

	jw_key(w, "responses");
	jw_object(w);
	for (i = 0; answers[i].status != 0; i++) {
		if (answers[i].route != rt->id || !status_is_first(i))
			continue;
		(void)snprintf(status, sizeof(status), "%u",
		    answers[i].status % 1000); /* three digits */
		jw_key(w, status);
		jw_object(w);
		jw_kstr(w, "description", rt->help);
		if (answers[i].type != NULL)
			content_write(w, i);
		jw_object_end(w);
	}
	for (i = 0; i < countof(classes); i++) {
		jw_key(w, classes[i]);
		jw_object(w);
		jw_kstr(w, "$ref", error);
		jw_object_end(w);
	}
	jw_object_end(w);
}

static void
security_write(struct jw *w, const struct route *rt)
{
	const char *names[3];
	size_t i, n = 0;

	if (rt->who != WHO_OPEN)
		names[n++] = "bearer";
	if (rt->who != WHO_OPEN && rt->scope == SCOPE_OSB)
		names[n++] = "key";
	if (rt->who == WHO_READ_Q || rt->who == WHO_WRITE_Q)
		names[n++] = "query";
	jw_key(w, "security");
	jw_array(w);
	for (i = 0; i < n; i++) {
		jw_object(w);
		jw_key(w, names[i]);
		jw_array(w);
		jw_array_end(w);
		jw_object_end(w);
	}
	jw_array_end(w);
}

static void
operation_write(
    struct jw *w, const struct route *rt, const char *path, enum method method)
{
	static const char *const keys[] = { "get", "post", "put", "delete",
		"patch" };
	bool inst = strncmp(path, "/i/", 3) == 0 && rt->scope == SCOPE_BOTH;
	char id[96];

	(void)snprintf(id, sizeof(id), "%s%s%s%s", inst ? "sandbox_" : "",
	    rt->name, rt->method == M_ANY ? "_" : "",
	    rt->method == M_ANY ? keys[method] : ""); /* names are short */
	jw_key(w, keys[method]);
	jw_object(w);
	jw_kstr(w, "operationId", id);
	jw_kstr(w, "summary", rt->help);
	params_write(w, rt, path);
	if (rt->body != BODY_STREAM || method != M_GET)
		body_write(w, rt);
	responses_write(w, rt);
	security_write(w, rt);
	jw_object_end(w);
}

/* PREFIX and the route's path, without the star of {*rest}. */
static void
path_text(char dst[PATH_TEXT_MAX], const char *prefix, const char *path)
{
	char *star;

	(void)snprintf(dst, PATH_TEXT_MAX, "%s%s", prefix, path); /* short */
	star = strchr(dst, '*');
	if (star != NULL)
		memmove(star, star + 1, strlen(star));
}

static bool
route_below(const struct route *rt, bool inst)
{
	return rt->scope == SCOPE_BOTH || (rt->scope == SCOPE_INST) == inst;
}

static void
path_write(struct jw *w, size_t at, bool inst)
{
	const char *path = route_table[at].path;
	char text[PATH_TEXT_MAX];
	size_t i;
	int m;

	for (i = 0; i < at; i++)
		if (strcmp(route_table[i].path, path) == 0 &&
		    route_below(&route_table[i], inst))
			return; /* with that one */
	path_text(text, inst ? INST_PREFIX : "", path);
	jw_key(w, text);
	jw_object(w);
	for (i = at; i < ROUTE_N; i++) {
		const struct route *rt = &route_table[i];

		if (strcmp(rt->path, path) != 0 || !route_below(rt, inst))
			continue;
		for (m = 0; m < M_ANY; m++)
			if (rt->method == (enum method)m || rt->method == M_ANY)
				operation_write(w, rt, text, (enum method)m);
	}
	jw_object_end(w);
}

/*
 * The rest
 */

static void
error_write(struct jw *w, const char *name, const char *type, const char *help)
{
	jw_key(w, name);
	jw_object(w);
	jw_kstr(w, "description", help);
	jw_key(w, "content");
	jw_object(w);
	jw_key(w, type);
	jw_object(w);
	jw_key(w, "schema");
	openapi_ref(w, name, strlen(name));
	jw_object_end(w);
	jw_object_end(w);
	jw_object_end(w);
}

static void
scheme_write(struct jw *w, const char *name, const char *in, const char *word)
{
	jw_key(w, name);
	jw_object(w);
	jw_kstr(w, "type", in == NULL ? "http" : "apiKey");
	if (in == NULL)
		jw_kstr(w, "scheme", word);
	else {
		jw_kstr(w, "in", in);
		jw_kstr(w, "name", word);
	}
	jw_object_end(w);
}

static void
components_write(struct jw *w)
{
	jw_key(w, "components");
	jw_object(w);
	jw_key(w, "schemas");
	jw_object(w);
	openapi_schemas(w);
	jw_object_end(w);
	jw_key(w, "responses");
	jw_object(w);
	error_write(w, "Problem", "application/problem+json",
	    "A problem document (RFC 7807).");
	error_write(w, "OsbError", "application/json",
	    "An error in OpenSandbox's form.");
	jw_object_end(w);
	jw_key(w, "securitySchemes");
	jw_object(w);
	scheme_write(w, "bearer", NULL, "bearer");
	scheme_write(w, "key", "header", "OPEN-SANDBOX-API-KEY");
	scheme_write(w, "query", "query", "access_token");
	jw_object_end(w);
	jw_object_end(w);
}

static void
document_write(struct jw *w)
{
	size_t i;

	jw_object(w);
	jw_kstr(w, "openapi", "3.1.0");
	jw_key(w, "info");
	jw_object(w);
	jw_kstr(w, "title", "sandboxd");
	jw_kstr(w, "version", PACKAGE_VERSION);
	jw_kstr(w, "description",
	    "Sandboxes for coding agents: sessions, files, processes, "
	    "terminals and ports. Paths below /v1 mean the sandbox `default`, "
	    "the same below /i/{sandbox} any other.");
	jw_object_end(w);
	jw_key(w, "paths");
	jw_object(w);
	for (i = 0; i < ROUTE_N; i++) {
		if (route_below(&route_table[i], false))
			path_write(w, i, false);
		if (route_below(&route_table[i], true))
			path_write(w, i, true);
	}
	jw_object_end(w);
	components_write(w);
	jw_object_end(w);
}

const char *
openapi_text(void)
{
	static char *text;
	struct buf b;
	struct jw w;

	if (text != NULL)
		return text;
	buf_init(&b, TEXT_MAX);
	jw_init(&w, &b);
	document_write(&w);
	text = buf_steal(&b);
	if (text == NULL) {
		log_error("openapi", "the description is too long");
		return "{}";
	}
	return text;
}
