/*
 * From a file of agents.d to a definition. Runs in the supervisor;
 * agent_check.c stands before it.
 */
#include "supervisor/agents.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>

/* As a frame holds it: options and recipe lie as deep there as here. */
#define FILE_DEPTH 8

static const char *const capabilities[] = {
#define CAPABILITY(name, help) name,
#include "supervisor/agent_members.def"
};

static char *
dup_or_null(const char *s)
{
	return s != NULL ? xstrdup(s) : NULL;
}

static char **
list(const struct json *obj, const char *name)
{
	const struct json *v = json_get(obj, name);

	return v != NULL && v->len > 0 ? json_strv(v) : NULL;
}

/* {"K":"V"} as "K=V". */
static char **
pairs(const struct json *obj)
{
	char **v;
	size_t n = 0;

	if (obj == NULL || obj->len == 0)
		return NULL;
	v = xcalloc(obj->len + 1, sizeof(*v));
	json_foreach (it, obj)
		v[n++] = xasprintf("%s=%s", it->key, it->str);
	return v;
}

/* All capabilities, in their order. Whether a process is shared is said
 * elsewhere, too. */
static char *
capabilities_text(const struct json *given, bool shared)
{
	struct buf b;
	struct jw w;

	buf_init(&b, AGENT_FILE_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	for (size_t i = 0; i < countof(capabilities); i++)
		jw_kbool(&w, capabilities[i],
		    json_bool(given, capabilities[i], false) ||
			(shared &&
			    strcmp(capabilities[i], "sharedProcess") == 0));
	jw_object_end(&w);
	return buf_steal(&b); /* far below its cap */
}

static char *
options_text(const struct json *given)
{
	struct buf b;
	struct jw w;

	if (given == NULL)
		return xstrdup("[]");
	buf_init(&b, 8 * AGENT_FILE_MAX); /* escapes may be longer */
	jw_init(&w, &b);
	jw_value(&w, given);
	return buf_steal(&b);
}

static struct agent_def *
take(struct json *root)
{
	struct agent_def *a = xcalloc(1, sizeof(*a));
	const struct json *acp = json_get(root, "acp");

	a->file = root;
	a->id = xstrdup(json_str(root, "id", ""));
	a->name = xstrdup(json_str(root, "name", ""));
	a->protocol = xstrdup(json_str(root, "protocol", ""));
	a->program = dup_or_null(json_str(root, "program", NULL));
	a->rank = json_int(root, "rank", AGENT_RANK_LAST);
	a->hidden = json_bool(root, "hidden", false);
	a->args = list(root, "args");
	a->version_args = list(root, "version_args");
	a->env = pairs(json_get(root, "env"));
	a->pass_env = list(root, "pass_env");
	a->credentials = list(root, "credentials");
	a->permission_modes = list(root, "permission_modes");
	a->agent_modes = list(root, "agent_modes");
	a->shared = json_bool(root, "shared", false);
	a->capabilities =
	    capabilities_text(json_get(root, "capabilities"), a->shared);
	a->options = options_text(json_get(root, "options"));
	a->install = json_get(root, "install");
	if (acp != NULL) {
		a->acp_program =
		    dup_or_null(json_str(acp, "program", a->program));
		a->acp_args = list(acp, "args");
	}
	return a;
}

struct agent_def *
agent_def_parse(const struct agent_text *t, struct buf *mistakes)
{
	struct json *root;
	size_t at;
	struct err e;

	if (json_parse_at(t->text, t->len, FILE_DEPTH, &root, &at, &e) == -1) {
		(void)buf_addf(mistakes, "%s:%u: %s\n", t->file,
		    json_line_at(t->text, t->len, at), e.text);
		return NULL;
	}
	if (agent_check(t, root, mistakes))
		return take(root);
	json_free(root);
	return NULL;
}

/* It plays all of them, but in a process of its own. */
static char *
mock_capabilities(void)
{
	struct buf b;
	struct jw w;

	buf_init(&b, AGENT_FILE_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	for (size_t i = 0; i < countof(capabilities); i++)
		jw_kbool(&w, capabilities[i],
		    strcmp(capabilities[i], "sharedProcess") != 0);
	jw_object_end(&w);
	return buf_steal(&b); /* far below its cap */
}

struct agent_def *
agent_def_mock(void)
{
	static const char text[] =
	    "{\"id\":\"mock\",\"name\":\"Mock\",\"protocol\":\"mock\","
	    "\"permission_modes\":[\"default\",\"plan\",\"bypass\","
	    "\"acceptEdits\"],\"agent_modes\":[\"build\",\"plan\"]}";
	const struct agent_text mock = { .file = "mock",
		.id = "mock",
		.text = text,
		.len = sizeof(text) - 1 };
	struct buf none;
	struct agent_def *a;

	buf_init(&none, AGENT_FILE_MAX);
	a = agent_def_parse(&mock, &none);
	buf_free(&none); /* empty, by the unit test */
	free(a->capabilities);
	a->capabilities = mock_capabilities();
	return a;
}

struct agent_def *
agent_def_unknown(const char *id)
{
	struct agent_def *a = xcalloc(1, sizeof(*a));

	a->id = xstrdup(id);
	a->name = xstrdup(id);
	a->protocol = xstrdup("none");
	a->capabilities = xstrdup("{}");
	a->options = xstrdup("[]");
	a->rank = AGENT_RANK_LAST;
	a->hidden = true;
	a->unknown = true;
	return a;
}

void
agent_def_free(struct agent_def *a)
{
	char **const lists[] = { a->args, a->acp_args, a->version_args, a->env,
		a->pass_env, a->credentials, a->permission_modes,
		a->agent_modes };

	for (size_t i = 0; i < countof(lists); i++)
		strv_free(lists[i]);
	free(a->id);
	free(a->name);
	free(a->protocol);
	free(a->program);
	free(a->acp_program);
	free(a->capabilities);
	free(a->options);
	json_free(a->file);
	free(a);
}

bool
agent_mode_known(char *const *modes, const char *mode, const char *always)
{
	if (modes == NULL)
		return strcmp(mode, always) == 0;
	for (; *modes != NULL; modes++) {
		if (strcmp(*modes, "*") == 0 || strcmp(*modes, mode) == 0)
			return true;
	}
	return false;
}
