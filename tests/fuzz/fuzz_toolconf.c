/*
 * Configurations of MCP servers and of skills: what is taken has a normal form,
 * which is its own normal form; and what skills' sources are called, shown and
 * kept by is safe.
 *
 * Input: a byte for the kind, then the file's text.
 *
 * Also: src/session/
 * Also: src/session/agents/
 * Also: src/session/acp/
 * Not: src/session/main.c
 */
#include "fuzz.h"

#include "lib/strutil.h"
#include "lib/toolconf.h"
#include "lib/xalloc.h"
#include "session/skills_source.h"
#include <string.h>

#define INPUT_MAX (64u << 10)

static char *
normal(enum toolconf kind, const struct json *entry, struct err *e)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 4u << 20);
	jw_init(&w, &b);
	if (toolconf_normal(kind, entry, &w, e) == -1 || b.failed) {
		buf_free(&b);
		return NULL;
	}
	return buf_steal(&b);
}

static void
check_source(const struct json *source)
{
	static char home[] = "HOME=/h", *env[] = { home, NULL };
	const struct agent_conf conf = { .env = env, .directory = home + 5 };
	const struct agent a = { .conf = &conf };
	const char *type = json_str(source, "type", "");
	const char *from = json_str(source, "source", NULL);
	const char *ref = json_str(source, "ref", NULL);
	char *shown = source_shown(source), *s;
	struct err e;

	CHECK(shown != NULL);
	free(shown);
	if (from == NULL || source_check(source, &e) == -1)
		return;
	s = source_key(type, from, ref, NULL);
	CHECK(s[0] != '\0' && s[0] != '.' && strchr(s, '/') == NULL);
	CHECK(strlen(s) < 256);
	free(s);
	s = source_name(from);
	CHECK(strchr(s, '/') == NULL);
	free(s);
	if (!source_is_fetched(type))
		return;
	s = source_git_address(&a, type, from);
	CHECK(s[0] != '-'); /* no flag of git's */
	free(s);
	CHECK(ref == NULL || ref[0] != '-');
	(void)source_is_commit(ref != NULL ? ref : "");
	(void)source_is_url(from);
}

static void
check_entry(enum toolconf kind, const struct json *entry)
{
	struct json *j = NULL;
	char *once, *twice;
	struct err e;

	once = normal(kind, entry, &e);
	CHECK(once != NULL);
	CHECK(json_parse(once, strlen(once), JSON_DEPTH_AGENT, &j, NULL) == 0);
	twice = normal(kind, j, &e);
	CHECK(twice != NULL && strcmp(once, twice) == 0);
	if (kind == TOOLCONF_SKILLS)
		json_foreach (it, json_get(j, "sources"))
			check_source(it);
	free(once);
	free(twice);
	json_free(j);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum toolconf kind;
	struct json *j = NULL;
	struct err e;
	struct buf b;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	kind = data[0] % 2 == 0 ? TOOLCONF_SKILLS : TOOLCONF_MCP;
	err_clear(&e);
	if (toolconf_parse(kind, (const char *)data + 1, size - 1, &j, &e) ==
	    -1) {
		CHECK(e.code != ERR_NONE && e.text[0] != '\0');
		CHECK(utf8_valid_prefix(e.text, strlen(e.text)) ==
		      strlen(e.text));
		return 0;
	}
	json_foreach (it, j)
		check_entry(kind, it);
	buf_init(&b, 8u << 20);
	toolconf_pretty(&b, j);
	json_free(j);
	CHECK(!b.failed);
	CHECK(toolconf_parse(kind, b.data, b.len, &j, &e) == 0);
	json_free(j);
	buf_free(&b);
	return 0;
}
