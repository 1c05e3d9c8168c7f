/*
 * `mcp` and `skills` of a create: their shape is checked and their names are
 * brought to the canonical ones before the supervisor gets them. Runs in
 * sandboxd-gateway; the body is anybody's. What the entries do is the agents'
 * affair, inside their sandbox.
 */
#include "gateway/doors/sessions.h"

#include <string.h>

/* The first member of OBJ that has one of the names and is not null. */
static const struct json *
either(const struct json *obj, const char *const *names)
{
	const struct json *v;

	for (; *names != NULL; names++) {
		v = json_get(obj, *names);
		if (v != NULL && v->type != JSON_NULL)
			return v;
	}
	return NULL;
}

static bool
is_strings(const struct json *v, enum json_type type)
{
	if (v->type != type)
		return false;
	json_foreach (it, v) {
		if (it->type != JSON_STRING || strlen(it->str) != it->len)
			return false;
	}
	return true;
}

/* Members of an entry: by which names they come, what they must be, by which
 * name they are kept. */
enum shape {
	SHAPE_STR,
	SHAPE_STRV,
	SHAPE_MAP,
	SHAPE_BOOL,
	SHAPE_INT,
	SHAPE_OAUTH
};
struct member {
	const char *const *names;
	enum shape shape;
};

static const char *const n_args[] = { "args", NULL };
static const char *const n_env[] = { "env", "environment", NULL };
static const char *const n_enabled[] = { "enabled", NULL };
static const char *const n_timeout[] = { "timeoutMs", "timeout", NULL };
static const char *const n_cwd[] = { "cwd", NULL };
static const char *const n_headers[] = { "headers", NULL };
static const char *const n_bearer[] = { "bearerTokenEnvVar",
	"bearer_token_env_var", NULL };
static const char *const n_env_headers[] = { "envHeaders", "envHttpHeaders",
	"env_http_headers", NULL };
static const char *const n_oauth[] = { "oauth", NULL };
static const char *const n_transport[] = { "transport", NULL };

static const struct member local_members[] = {
	{ n_env, SHAPE_MAP },
	{ n_enabled, SHAPE_BOOL },
	{ n_timeout, SHAPE_INT },
	{ n_cwd, SHAPE_STR },
};
static const struct member remote_members[] = {
	{ n_headers, SHAPE_MAP },
	{ n_bearer, SHAPE_STR },
	{ n_env_headers, SHAPE_MAP },
	{ n_oauth, SHAPE_OAUTH },
	{ n_enabled, SHAPE_BOOL },
	{ n_timeout, SHAPE_INT },
	{ n_transport, SHAPE_STR },
};

static bool
fits(const struct json *v, enum shape shape)
{
	int64_t n;

	switch (shape) {
	case SHAPE_STR:
		return v->type == JSON_STRING && strlen(v->str) == v->len;
	case SHAPE_STRV:
		return is_strings(v, JSON_ARRAY);
	case SHAPE_MAP:
		return is_strings(v, JSON_OBJECT);
	case SHAPE_BOOL:
		return v->type == JSON_BOOL;
	case SHAPE_INT:
		return v->type == JSON_NUMBER && json_number_int(v, &n) == 0 &&
		       n >= 0;
	case SHAPE_OAUTH:
		return v->type == JSON_BOOL || is_strings(v, JSON_OBJECT);
	}
	return false;
}

static int
wrong(struct req *r, const char *name, const char *what)
{
	req_problem(r, PROBLEM_BAD_BODY, "mcp: %.64s: %s", name, what);
	return -1;
}

static int
members_write(struct req *r, struct jw *w, const struct json *server,
    const struct member *members, size_t n)
{
	const struct json *v;
	size_t i;

	for (i = 0; i < n; i++) {
		v = either(server, members[i].names);
		if (v == NULL)
			continue;
		if (!fits(v, members[i].shape))
			return wrong(r, server->key, members[i].names[0]);
		jw_kvalue(w, members[i].names[0], v);
	}
	return 0;
}

/* A command is a text, or a list whose first word is the program and whose
 * others come before `args`. */
static int
command_write(struct req *r, struct jw *w, const struct json *server)
{
	const struct json *command = json_get(server, "command");
	const struct json *args = either(server, n_args), *more = NULL;

	if (command == NULL ||
	    (command->type != JSON_STRING && !is_strings(command, JSON_ARRAY)))
		return wrong(r, server->key, "command");
	if (args != NULL && !is_strings(args, JSON_ARRAY))
		return wrong(r, server->key, "args");
	if (command->type == JSON_ARRAY) {
		if (command->child == NULL) {
			req_problem(r, PROBLEM_INVALID_REQUEST,
			    "mcp: %.64s: the command is empty", server->key);
			return -1;
		}
		more = command->child->next;
		command = command->child;
	}
	jw_kvalue(w, "command", command);
	jw_key(w, "args");
	jw_array(w);
	for (; more != NULL; more = more->next)
		jw_value(w, more);
	json_foreach (it, args)
		jw_value(w, it);
	jw_array_end(w);
	return 0;
}

static int
server_write(struct req *r, struct jw *w, const struct json *server)
{
	const char *type = json_str(server, "type", "");
	const struct json *url = json_get(server, "url");
	int rc;

	if (strcmp(type, "local") == 0 || strcmp(type, "stdio") == 0) {
		jw_kstr(w, "type", "local");
		rc = command_write(r, w, server);
		return rc == 0 ? members_write(r, w, server, local_members,
				     countof(local_members))
			       : -1;
	}
	if (strcmp(type, "remote") != 0 && strcmp(type, "http") != 0)
		return wrong(r, server->key, "type");
	if (url == NULL || !fits(url, SHAPE_STR))
		return wrong(r, server->key, "url");
	jw_kstr(w, "type", "remote");
	jw_kvalue(w, "url", url);
	return members_write(
	    r, w, server, remote_members, countof(remote_members));
}

int
session_mcp_write(struct req *r, struct jw *w)
{
	const struct json *mcp = json_get(r->json, "mcp");

	if (mcp == NULL || mcp->type == JSON_NULL)
		return 0;
	jw_key(w, "mcp");
	jw_object(w);
	json_foreach (server, mcp) {
		if (server->type != JSON_OBJECT)
			return wrong(r, server->key, "not an object");
		jw_key(w, server->key);
		jw_object(w);
		if (server_write(r, w, server) == -1)
			return -1;
		jw_object_end(w);
	}
	jw_object_end(w);
	return 0;
}

/* --- skills -------------------------------------------------------------- */

static int
source_wrong(struct req *r, enum problem p, const char *what)
{
	req_problem(r, p, "skills: sources: %s", what);
	return -1;
}

static int
source_write(struct req *r, struct jw *w, const struct json *src)
{
	static const char *const optional[] = { "ref", "subpath" };
	const struct json *type = json_get(src, "type"), *v;
	size_t i;

	if (src->type != JSON_OBJECT || type == NULL || !fits(type, SHAPE_STR))
		return source_wrong(r, PROBLEM_BAD_BODY, "type");
	v = json_get(src, "source");
	if (v == NULL || !fits(v, SHAPE_STR))
		return source_wrong(r, PROBLEM_BAD_BODY, "source");
	if (strcmp(type->str, "local") != 0 && strcmp(type->str, "git") != 0 &&
	    strcmp(type->str, "github") != 0 &&
	    strcmp(type->str, "archive") != 0)
		return source_wrong(
		    r, PROBLEM_INVALID_REQUEST, "a type that is not known");
	jw_object(w);
	jw_kvalue(w, "type", type);
	jw_kvalue(w, "source", v);
	v = json_get(src, "skills");
	if (v != NULL && v->type != JSON_NULL) {
		if (!fits(v, SHAPE_STRV))
			return source_wrong(r, PROBLEM_BAD_BODY, "skills");
		jw_kvalue(w, "skills", v);
	}
	for (i = 0; i < countof(optional); i++) {
		v = json_get(src, optional[i]);
		if (v == NULL || v->type == JSON_NULL)
			continue;
		if (!fits(v, SHAPE_STR))
			return source_wrong(r, PROBLEM_BAD_BODY, optional[i]);
		jw_kvalue(w, optional[i], v);
	}
	jw_object_end(w);
	return 0;
}

int
session_skills_write(struct req *r, struct jw *w)
{
	const struct json *skills = json_get(r->json, "skills");
	const struct json *sources;

	if (skills == NULL || skills->type == JSON_NULL)
		return 0;
	sources = json_get(skills, "sources");
	if (sources == NULL || sources->type != JSON_ARRAY) {
		req_problem(r, PROBLEM_BAD_BODY, "skills: sources");
		return -1;
	}
	jw_key(w, "skills");
	jw_object(w);
	jw_key(w, "sources");
	jw_array(w);
	json_foreach (it, sources) {
		if (source_write(r, w, it) == -1)
			return -1;
	}
	jw_array_end(w);
	jw_object_end(w);
	return 0;
}
