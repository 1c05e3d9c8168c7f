/*
 * The shapes of schemas.def, and what fields of requests may be, in the words
 * of OpenAPI (JSON Schema). Runs in sandboxd-gateway; nothing of a client is in
 * it.
 */
#include "gateway/openapi_priv.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *help;
} schemas[] = {
#define SCHEMA(name, help) { #name, help },
#include "gateway/schemas.def"
	{ NULL, NULL },
};

static const struct {
	const char *schema, *name, *type;
	bool required;
	const char *help;
} props[] = {
#define PROP(schema, name, type, required, help) \
	{ #schema, name, type, required, help },
#include "gateway/schemas.def"
	{ NULL, NULL, NULL, false, NULL },
};

static const struct {
	const char *urn, *help;
} problems[] = {
#define PROBLEM(sym, urn, status, title, prefix, help) { urn, help },
#include "gateway/problems.def"
	{ NULL, NULL },
};

void
openapi_ref(struct jw *w, const char *name, size_t len)
{
	jw_object(w);
	jw_key(w, "$ref");
	jw_str_begin(w);
	jw_str_add(w, "#/components/schemas/", 21);
	jw_str_add(w, name, len);
	jw_str_end(w);
	jw_object_end(w);
}

static bool
word_is(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(s, word, len) == 0;
}

/* TYPE as schemas.def has it, LEN bytes of it. */
void
openapi_type(struct jw *w, const char *type, size_t len)
{
	static const char *const plain[] = { "string", "integer", "number",
		"boolean", "object" };
	size_t i;

	if (len > 1 && type[len - 1] == '?') {
		jw_object(w);
		jw_key(w, "anyOf");
		jw_array(w);
		openapi_type(w, type, len - 1);
		jw_object(w);
		jw_kstr(w, "type", "null");
		jw_object_end(w);
		jw_array_end(w);
		jw_object_end(w);
		return;
	}
	if (len > 2 && type[len - 2] == '[' && type[len - 1] == ']') {
		jw_object(w);
		jw_kstr(w, "type", "array");
		jw_key(w, "items");
		openapi_type(w, type, len - 2);
		jw_object_end(w);
		return;
	}
	for (i = 0; i < countof(plain); i++) {
		if (word_is(type, len, plain[i])) {
			jw_object(w);
			jw_kstr(w, "type", plain[i]);
			jw_object_end(w);
			return;
		}
	}
	if (word_is(type, len, "any")) {
		jw_object(w);
		jw_object_end(w);
	} else
		openapi_ref(w, type, len);
}

static void
schema_write(struct jw *w, const char *name, const char *help)
{
	size_t i;

	jw_key(w, name);
	jw_object(w);
	jw_kstr(w, "description", help);
	jw_kstr(w, "type", "object");
	jw_key(w, "properties");
	jw_object(w);
	for (i = 0; props[i].schema != NULL; i++) {
		if (strcmp(props[i].schema, name) != 0)
			continue;
		jw_key(w, props[i].name);
		jw_object(w);
		jw_kstr(w, "description", props[i].help);
		jw_key(w, "allOf");
		jw_array(w);
		openapi_type(w, props[i].type, strlen(props[i].type));
		jw_array_end(w);
		jw_object_end(w);
	}
	jw_object_end(w);
	jw_key(w, "required");
	jw_array(w);
	for (i = 0; props[i].schema != NULL; i++)
		if (strcmp(props[i].schema, name) == 0 && props[i].required)
			jw_str(w, props[i].name);
	jw_array_end(w);
	jw_object_end(w);
}

/* What a value of a table may be: kinds of bodies and of queries. */
static void
bounds_write(
    struct jw *w, const char *low, const char *high, int64_t min, int64_t max)
{
	if (min > 0 || (min < 0 && strcmp(low, "minimum") == 0))
		jw_kint(w, low, min);
	if (max > 0)
		jw_kint(w, high, max);
}

void
openapi_field(struct jw *w, const struct json_field *f)
{
	jw_object(w);
	switch (f->kind) {
	case JK_STR:
		jw_kstr(w, "type", "string");
		bounds_write(w, "minLength", "maxLength", f->min, f->max);
		break;
	case JK_INT:
		jw_kstr(w, "type", "integer");
		bounds_write(w, "minimum", "maximum", f->min, f->max);
		break;
	case JK_BOOL:
		jw_kstr(w, "type", "boolean");
		break;
	case JK_STRV:
	case JK_ARRAY:
		jw_kstr(w, "type", "array");
		jw_key(w, "items");
		jw_object(w);
		if (f->kind == JK_STRV)
			jw_kstr(w, "type", "string");
		jw_object_end(w);
		bounds_write(w, "minItems", "maxItems", f->min, f->max);
		break;
	case JK_STRMAP:
	case JK_OBJECT:
		jw_kstr(w, "type", "object");
		if (f->kind == JK_STRMAP) {
			jw_key(w, "additionalProperties");
			openapi_type(w, "string", 6);
		}
		break;
	default:
		break;
	}
}

static void
types_write(struct jw *w)
{
	char urn[96];
	size_t i, k;

	jw_key(w, "ProblemType");
	jw_object(w);
	jw_kstr(w, "type", "string");
	jw_key(w, "enum");
	jw_array(w);
	for (i = 0; problems[i].urn != NULL; i++) {
		for (k = 0; k < i; k++)
			if (strcmp(problems[k].urn, problems[i].urn) == 0)
				break;
		if (k < i)
			continue;
		(void)snprintf(urn, sizeof(urn), "urn:sandbox-agent:error:%s",
		    problems[i].urn); /* short */
		jw_str(w, urn);
	}
	jw_array_end(w);
	jw_object_end(w);
}

void
openapi_schemas(struct jw *w)
{
	size_t i;

	for (i = 0; schemas[i].name != NULL; i++)
		schema_write(w, schemas[i].name, schemas[i].help);
	types_write(w);
}
