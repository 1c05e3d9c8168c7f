/*
 * Is a definition of an agent good? Runs in the supervisor, at its start and
 * when definitions are read again. The file belongs to whom root trusts, but it
 * was written by hand: everything in it is checked against agent_members.def,
 * and every mistake is told with its line. Nothing is looked up on the host
 * here, and nothing is run.
 */
#include "supervisor/agents.h"

#include "lib/strutil.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MISTAKES_PER_FILE 50

/* Each word of a list. */
#define WORD_MAX 64
#define ARG_MAX_BYTES 4096

enum scope {
	AGENT,
	ACP,
	OPTION,
	CHOICE,
	NPM,
	NATIVE,
	WITH,
	ARCHIVE,
	SCOPE_N
};

static const struct {
	enum scope scope;
	struct json_field field;
} members[] = {
#define MEMBER(scope, name, kind, required, min, max, help) \
	{ scope, { name, kind, required, min, max } },
#include "supervisor/agent_members.def"
};

static const char *const capabilities[] = {
#define CAPABILITY(name, help) name,
#include "supervisor/agent_members.def"
};

/* What the session worker has adapters for. */
static const char *const protocols[] = { "claude", "codex", "pi", "amp", "acp",
	"mock" };

struct check {
	const struct agent_text *t;
	const struct json *root;
	struct buf *out;
	unsigned mistakes;
};

/* --- telling mistakes ---------------------------------------------------- */

static void
mistake_line(struct check *c, unsigned line, const char *text)
{
	c->mistakes++;
	(void)buf_addf(c->out, "%s:%u: %s\n", c->t->file, line, text);
}

static void mistake(struct check *c, const struct json *at, const char *fmt,
    ...) ATTR_PRINTF(3, 4);

static void
mistake(struct check *c, const struct json *at, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	if (c->mistakes >= MISTAKES_PER_FILE)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut is fine */
	va_end(ap);
	mistake_line(c, json_line_of(c->t->text, c->t->len, c->root, at), text);
}

/* V's text, printable, in a buffer that the next call but three uses again. */
static const char *
shown(const struct json *v)
{
	static char buf[4][80];
	static unsigned at;
	char *s = buf[at++ % countof(buf)];

	str_show(s, sizeof(buf[0]), v->str, v->len);
	return s;
}

/* --- members ------------------------------------------------------------- */

static size_t
fields_of(enum scope scope, struct json_field fields[countof(members)])
{
	size_t n = 0;

	for (size_t i = 0; i < countof(members); i++) {
		if (members[i].scope != scope)
			continue;
		fields[n] = members[i].field;
		/* Its texts are checked one by one, where they stand. */
		if (fields[n].kind == JK_STRV)
			fields[n].kind = JK_ARRAY;
		n++;
	}
	return n;
}

/* Every member of OBJ by the table of SCOPE, so that each mistake is told where
 * it stands. False: there was one. */
static bool
check_members(struct check *c, const struct json *obj, enum scope scope)
{
	struct json_field fields[countof(members)];
	size_t n = fields_of(scope, fields);
	unsigned before = c->mistakes;
	struct err e;

	if (obj->type != JSON_OBJECT) {
		mistake(c, obj, "must be an object");
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (fields[i].required && json_get(obj, fields[i].name) == NULL)
			mistake(c, obj, "field %s: missing", fields[i].name);
		fields[i].required = false;
	}
	json_foreach (m, obj) {
		struct json copy = *m;
		struct json one = {
			.type = JSON_OBJECT, .len = 1, .child = &copy
		};

		copy.next = NULL;
		if (json_check(&one, fields, n, &e) == -1)
			mistake(c, m, "%s", e.text);
	}
	return c->mistakes == before;
}

/* Member NAME of OBJ when it is of TYPE: another has been told already. */
static const struct json *
member(const struct json *obj, const char *name, enum json_type type)
{
	const struct json *v = json_get(obj, name);

	return v != NULL && v->type == type ? v : NULL;
}

/* Lists hold words that can be shown, said and passed on. */
static void
check_list(struct check *c, const struct json *obj, const char *name,
    size_t max, bool words)
{
	json_foreach (it, member(obj, name, JSON_ARRAY)) {
		bool good =
		    it->type == JSON_STRING && it->len > 0 && it->len <= max;

		for (size_t i = 0; good && i < it->len; i++)
			good = (unsigned char)it->str[i] >= 0x20 &&
			       it->str[i] != 0x7f &&
			       !(words && it->str[i] == ' ');
		if (!good)
			mistake(c, it,
			    "field %s: each is a %s of 1 to %zu bytes", name,
			    words ? "word" : "line", max);
	}
}

static void
check_program(struct check *c, const struct json *obj, const char *what)
{
	const struct json *v = json_get(obj, "program");

	if (v == NULL || v->type != JSON_STRING)
		return;
	if (v->len == 0 || v->str[0] == '-' || v->str[0] == '.' ||
	    (v->str[0] != '/' && strchr(v->str, '/') != NULL))
		mistake(c, v, "%s: '%s' is neither a name nor an absolute path",
		    what, shown(v));
}

static bool
is_protocol(const char *s)
{
	for (size_t i = 0; i < countof(protocols); i++) {
		if (strcmp(protocols[i], s) == 0)
			return true;
	}
	return false;
}

static void
check_protocol(struct check *c)
{
	const struct json *v = json_get(c->root, "protocol");
	bool program = json_get(c->root, "program") != NULL;

	if (v == NULL || v->type != JSON_STRING)
		return;
	if (!is_protocol(v->str))
		mistake(c, v,
		    "field protocol: '%s' is none of claude, codex, pi, amp, "
		    "acp, mock",
		    shown(v));
	else if (strcmp(v->str, "mock") == 0 && program)
		mistake(c, v, "field program: the mock is built in");
	else if (strcmp(v->str, "mock") != 0 && strcmp(v->str, "acp") != 0 &&
		 !program)
		mistake(c, v, "field program: missing; protocol %s needs one",
		    shown(v));
	if (json_bool(c->root, "shared", false) && strcmp(v->str, "codex") != 0)
		mistake(c, json_get(c->root, "shared"),
		    "field shared: only protocol codex can be");
}

static void
check_env(struct check *c)
{
	json_foreach (it, member(c->root, "env", JSON_OBJECT)) {
		if (!env_name_valid(it->key) || strlen(it->key) > 200)
			mistake(c, it, "field env: no name of a variable");
	}
	json_foreach (it, member(c->root, "pass_env", JSON_ARRAY)) {
		if (it->type == JSON_STRING && !agent_env_pattern_ok(it->str))
			mistake(c, it,
			    "field pass_env: '%s' is no name of a variable "
			    "that may be passed",
			    shown(it));
	}
}

static void
check_capabilities(struct check *c)
{
	json_foreach (it, member(c->root, "capabilities", JSON_OBJECT)) {
		size_t i = 0;

		while (i < countof(capabilities) &&
		       strcmp(capabilities[i], it->key) != 0)
			i++;
		if (i == countof(capabilities))
			mistake(c, it, "field capabilities: unknown one");
		else if (it->type != JSON_BOOL)
			mistake(c, it,
			    "field capabilities: %s must be true or false",
			    capabilities[i]);
	}
}

/* --- options ------------------------------------------------------------- */

static void
check_choices(struct check *c, const struct json *option)
{
	const struct json *now = json_get(option, "currentValue");
	bool found = false;

	json_foreach (it, json_get(option, "options")) {
		if (check_members(c, it, CHOICE))
			found = found || strcmp(json_str(it, "value", ""),
					     now->str) == 0;
	}
	if (!found)
		mistake(c, now, "field currentValue: none of the options");
}

static void
check_options(struct check *c)
{
	json_foreach (it, member(c->root, "options", JSON_ARRAY)) {
		const struct json *category = json_get(it, "category");

		if (!check_members(c, it, OPTION))
			continue;
		if (strcmp(json_str(it, "type", ""), "select") != 0)
			mistake(c, json_get(it, "type"),
			    "field type: only select is known");
		if (category != NULL && strcmp(category->str, "model") != 0 &&
		    strcmp(category->str, "mode") != 0 &&
		    strcmp(category->str, "thought_level") != 0)
			mistake(c, category,
			    "field category: '%s' is none of model, mode, "
			    "thought_level",
			    shown(category));
		check_choices(c, it);
	}
}

/* --- the recipe ---------------------------------------------------------- */

static void
check_natives(struct check *c, const struct json *recipe)
{
	json_foreach (it, member(recipe, "native", JSON_OBJECT))
		(void)check_members(c, it, NATIVE); /* counted */
}

static void
check_npm(struct check *c, const struct json *recipe)
{
	(void)check_members(c, recipe, NPM); /* counted */
	check_natives(c, recipe);
	json_foreach (it, member(recipe, "with", JSON_ARRAY)) {
		if (check_members(c, it, WITH))
			check_natives(c, it);
	}
}

static void
check_archive(struct check *c, const struct json *recipe)
{
	if (!check_members(c, recipe, ARCHIVE))
		return;
	json_foreach (it, json_get(recipe, "urls")) {
		const struct json *sum =
		    json_get(json_get(recipe, "sha256"), it->key);

		if (sum == NULL)
			mistake(c, it, "field sha256: missing for this one");
		else if (sum->len != 64 ||
			 strspn(sum->str, "0123456789abcdefABCDEF") != 64)
			mistake(c, sum,
			    "field sha256: 64 hexadecimal digits are wanted");
	}
}

static void
check_install(struct check *c)
{
	const struct json *recipe = json_get(c->root, "install");
	const char *type = json_str(recipe, "type", NULL);

	if (recipe == NULL || recipe->type != JSON_OBJECT)
		return;
	if (type == NULL)
		mistake(c, recipe, "field install: type is missing");
	else if (strcmp(type, "npm") == 0)
		check_npm(c, recipe);
	else if (strcmp(type, "archive") == 0)
		check_archive(c, recipe);
	else
		mistake(c, json_get(recipe, "type"),
		    "field install: type is neither npm nor archive");
}

/* --- the whole ----------------------------------------------------------- */

bool
agent_id_valid(const char *id)
{
	if (strlen(id) > AGENT_ID_MAX || !sandbox_id_valid(id))
		return false;
	for (; *id != '\0'; id++) {
		if (*id >= 'A' && *id <= 'Z')
			return false;
	}
	return true;
}

static void
check_id(struct check *c, const char *id)
{
	const struct json *v = json_get(c->root, "id");

	if (v == NULL || v->type != JSON_STRING)
		return;
	if (!agent_id_valid(v->str))
		mistake(c, v,
		    "field id: '%s' is not made of lower-case letters, "
		    "digits, '-', '.' and '_'",
		    shown(v));
	else if (strcmp(v->str, id) != 0)
		mistake(c, v, "field id: '%s' stands in a file for '%s'",
		    shown(v), id);
}

static bool
check_all(struct check *c, const char *id)
{
	const struct json *acp = json_get(c->root, "acp");

	if (c->root->type != JSON_OBJECT) {
		mistake(c, c->root, "must be an object");
		return false;
	}
	(void)check_members(c, c->root, AGENT); /* counted */
	check_id(c, id);
	check_protocol(c);
	check_program(c, c->root, "field program");
	if (acp != NULL && acp->type == JSON_OBJECT) {
		(void)check_members(c, acp, ACP); /* counted */
		check_program(c, acp, "field acp: program");
		check_list(c, acp, "args", ARG_MAX_BYTES, false);
	}
	check_list(c, c->root, "args", ARG_MAX_BYTES, false);
	check_list(c, c->root, "version_args", ARG_MAX_BYTES, false);
	check_list(c, c->root, "pass_env", ARG_MAX_BYTES, true);
	check_list(c, c->root, "credentials", WORD_MAX, true);
	check_list(c, c->root, "permission_modes", WORD_MAX, true);
	check_list(c, c->root, "agent_modes", WORD_MAX, true);
	check_env(c);
	check_capabilities(c);
	check_options(c);
	check_install(c);
	return c->mistakes == 0;
}

bool
agent_check(
    const struct agent_text *t, const struct json *root, struct buf *mistakes)
{
	struct check c = { .t = t, .root = root, .out = mistakes };

	return check_all(&c, t->id);
}
