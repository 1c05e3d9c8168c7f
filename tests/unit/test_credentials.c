/*
 * Finding credentials: every file and key of each agent, what stands above
 * what, what has ended, and files that are not what they should be.
 */
#include "ctl/credentials.h"
#include "lib/fdio.h"
#include "lib/strutil.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define NOW_MS INT64_C(1800000000000)
#define OPENCODE ".local/share/opencode/auth.json"

static char home[] = "/tmp/credentials.XXXXXX";
static const char *environment[16]; /* NAME=VALUE, up to NULL */
static char noted[512];

static const char *
look_up(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; environment[i] != NULL; i++) {
		if (strncmp(environment[i], name, n) == 0 &&
		    environment[i][n] == '=')
			return environment[i] + n + 1;
	}
	return NULL;
}

static void
note(void *ctx, const char *file, const struct err *e)
{
	(void)ctx;
	(void)snprintf(noted, sizeof(noted), "%s: %s", file, e->text);
}

/* One line for all that is found: provider=source/type/secret … */
static const char *
found(bool no_oauth)
{
	static char text[4096];
	struct credentials_from from = { .home = home,
		.no_oauth = no_oauth,
		.now_ms = NOW_MS,
		.env = look_up,
		.note = note };
	struct credentials c;
	size_t used = 0;

	noted[0] = text[0] = '\0';
	credentials_find(&c, &from);
	for (size_t i = 0; i < c.n; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    "%s%s=%s/%s/%s", i == 0 ? "" : " ", c.v[i].provider,
		    c.v[i].source, c.v[i].oauth ? "oauth" : "key",
		    c.v[i].secret);
	credentials_free(&c);
	return text;
}

static void
put(const char *name, const char *text)
{
	char path[256];
	autofd int fd = -1;

	assert_int_equal(
	    str_format(path, sizeof(path), "%s/%s", home, name), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static void
drop(const char *name)
{
	char path[256];

	assert_int_equal(
	    str_format(path, sizeof(path), "%s/%s", home, name), 0);
	(void)unlink(path);
}

static const char *const files[] = { ".claude.json.api", ".claude.json",
	".claude/.credentials.json", ".claude-oauth-credentials.json",
	".codex/auth.json", OPENCODE, ".amp/config.json" };

static int
each_setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(files); i++)
		drop(files[i]);
	memset(environment, 0, sizeof(environment));
	return 0;
}

/* --- tests --------------------------------------------------------------- */

static void
test_nothing(void **state)
{
	(void)state;
	assert_string_equal(found(false), "");
	assert_string_equal(noted, "");
}

static void
test_environment(void **state)
{
	(void)state;
	environment[0] = "CLAUDE_API_KEY=two";
	environment[1] = "ANTHROPIC_API_KEY=one";
	environment[2] = "CODEX_API_KEY=three";
	assert_string_equal(found(false), "anthropic=environment/key/one "
					  "openai=environment/key/three");
	environment[0] = "ANTHROPIC_AUTH_TOKEN=second";
	environment[1] = "CLAUDE_CODE_OAUTH_TOKEN=first";
	environment[2] = "OPENAI_API_KEY=";
	assert_string_equal(found(false), "anthropic=environment/oauth/first "
					  "openai=environment/key/");
	assert_string_equal(found(true), "openai=environment/key/");
	/* A variable stands above every file, even when it is set to nothing.
	 */
	put(".codex/auth.json", "{\"OPENAI_API_KEY\":\"file\"}");
	assert_string_equal(found(true), "openai=environment/key/");
	environment[2] = NULL;
	assert_string_equal(found(true), "openai=codex/key/file");
}

static void
test_claude(void **state)
{
	static const char *const keys[] = { "primaryApiKey", "apiKey",
		"anthropicApiKey", "customApiKey" };
	char text[256];

	(void)state;
	for (size_t i = 0; i < countof(keys); i++) {
		(void)snprintf(
		    text, sizeof(text), "{\"%s\":\"sk-ant-%zu\"}", keys[i], i);
		put(".claude.json", text);
		(void)snprintf(text, sizeof(text),
		    "anthropic=claude-code/key/sk-ant-%zu", i);
		assert_string_equal(found(true), text);
	}
	/* The first that begins as such keys do. */
	put(".claude.json", "{\"primaryApiKey\":\"other\",\"apiKey\":7,"
			    "\"customApiKey\":\"sk-ant-x\"}");
	assert_string_equal(found(true), "anthropic=claude-code/key/sk-ant-x");
	put(".claude.json.api", "{\"apiKey\":\"sk-ant-first\"}");
	assert_string_equal(
	    found(true), "anthropic=claude-code/key/sk-ant-first");
	/* A key stands above a token, Amp's above both. */
	put(".claude/.credentials.json",
	    "{\"claudeAiOauth\":{\"accessToken\":\"tok\"}}");
	assert_string_equal(
	    found(false), "anthropic=claude-code/key/sk-ant-first");
	put(".amp/config.json", "{\"auth\":{\"token\":\"amp\"}}");
	assert_string_equal(found(false), "anthropic=amp/key/amp");
}

static void
expect_token(const char *expires, bool valid)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
	    "{\"claudeAiOauth\":{\"accessToken\":\"tok\",\"expiresAt\":%s}}",
	    expires);
	put(".claude/.credentials.json", text);
	assert_string_equal(
	    found(false), valid ? "anthropic=claude-code/oauth/tok" : "");
}

static void
test_ended(void **state)
{
	(void)state;
	expect_token("1799999999999", false);
	expect_token("1800000000001", true);
	expect_token("1.8e12", true); /* no whole number: it says nothing */
	expect_token("\"2027-01-15T07:59:59Z\"", false);
	expect_token("\"2027-01-15T08:00:01.5Z\"", true);
	expect_token("\"2027-01-15T09:59:59+02:00\"", false);
	expect_token("\"2027-01-15T05:00:01-03:00\"", true);
	expect_token("\"soon\"", true);
	expect_token("null", true);
	drop(".claude/.credentials.json");
	put(".claude-oauth-credentials.json",
	    "{\"claudeAiOauth\":{\"accessToken\":\"other\"}}");
	assert_string_equal(found(false), "anthropic=claude-code/oauth/other");
	assert_string_equal(found(true), "");
}

static void
test_codex(void **state)
{
	(void)state;
	put(".codex/auth.json", "{\"OPENAI_API_KEY\":\"key\","
				"\"tokens\":{\"access_token\":\"tok\"}}");
	assert_string_equal(found(false), "openai=codex/key/key");
	put(".codex/auth.json", "{\"OPENAI_API_KEY\":null,"
				"\"tokens\":{\"access_token\":\"tok\"}}");
	assert_string_equal(found(false), "openai=codex/oauth/tok");
	assert_string_equal(found(true), "");
	put(".codex/auth.json", "{\"OPENAI_API_KEY\":\"\"}");
	assert_string_equal(found(false), "");
}

static void
test_opencode(void **state)
{
	(void)state;
	put(OPENCODE,
	    "{\"openai\":{\"type\":\"api\",\"key\":\"o\"},"
	    "\"anthropic\":{\"type\":\"oauth\",\"access\":\"a\"},"
	    "\"groq\":{\"type\":\"oauth\",\"access\":\"g\",\"expires\":1},"
	    "\"google-vertex\":{\"type\":\"api\",\"key\":\"v\"},"
	    "\"unknown\":{\"type\":\"wellknown\",\"key\":\"w\"},"
	    "\"text\":\"no object\"}");
	assert_string_equal(found(false),
	    "anthropic=opencode/oauth/a google-vertex=opencode/key/v "
	    "openai=opencode/key/o");
	assert_string_equal(
	    found(true), "google-vertex=opencode/key/v openai=opencode/key/o");
	/* Their owners' own files stand above it. */
	put(".codex/auth.json", "{\"OPENAI_API_KEY\":\"own\"}");
	put(".claude.json", "{\"apiKey\":\"sk-ant-own\"}");
	assert_string_equal(found(false),
	    "anthropic=claude-code/key/sk-ant-own "
	    "google-vertex=opencode/key/v openai=codex/key/own");
}

static void
test_amp(void **state)
{
	(void)state;
	put(".amp/config.json", "{\"token\":\"t\",\"anthropicApiKey\":\"\","
				"\"api_key\":\"k\"}");
	assert_string_equal(found(false), "anthropic=amp/key/k");
	put(".amp/config.json", "{\"anthropic\":{\"apiKey\":\"deep\"}}");
	assert_string_equal(found(false), "anthropic=amp/key/deep");
}

/* What a key may not hold, a shell would obey or a header would break at. */
static void
test_hostile_values(void **state)
{
	(void)state;
	put(".amp/config.json", "{\"apiKey\":\"a\\nPATH=/evil\"}");
	assert_string_equal(found(false), "");
	put(".amp/config.json", "{\"apiKey\":\"a\\u0000b\"}");
	assert_string_equal(found(false), "");
	put(".amp/config.json", "{\"apiKey\":\"\\u001b[2J\"}");
	assert_string_equal(found(false), "");
	put(OPENCODE, "{\"a b\":{\"type\":\"api\",\"key\":\"x\"},"
		      "\"\":{\"type\":\"api\",\"key\":\"x\"},"
		      "\"x\\n\":{\"type\":\"api\",\"key\":\"x\"},"
		      "\"good\":{\"type\":\"api\",\"key\":\"$(x)\"}}");
	assert_string_equal(found(false), "good=opencode/key/$(x)");
}

static void
test_hostile_files(void **state)
{
	char path[256];

	(void)state;
	put(".codex/auth.json", "{\"OPENAI_API_KEY\":");
	assert_string_equal(found(false), "");
	assert_non_null(strstr(noted, ".codex/auth.json: "));
	put(".codex/auth.json", "[1]");
	assert_string_equal(found(false), "");
	assert_non_null(strstr(noted, "no JSON object"));
	put(".codex/auth.json", "");
	assert_string_equal(found(false), "");
	/* A pipe that nobody writes to must not hold us. */
	drop(".codex/auth.json");
	assert_int_equal(
	    str_format(path, sizeof(path), "%s/.codex/auth.json", home), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_string_equal(found(false), "");
	assert_non_null(strstr(noted, "not a regular file"));
	drop(".codex/auth.json");
	/* Endless. */
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_string_equal(found(false), "");
	assert_non_null(strstr(noted, "not a regular file"));
}

/* In a home of one's own links are followed. */
static void
test_links(void **state)
{
	char path[256], target[256];

	(void)state;
	assert_int_equal(
	    str_format(path, sizeof(path), "%s/.codex/auth.json", home), 0);
	assert_int_equal(
	    str_format(target, sizeof(target), "%s/elsewhere", home), 0);
	put("elsewhere", "{\"OPENAI_API_KEY\":\"linked\"}");
	assert_int_equal(symlink(target, path), 0);
	assert_string_equal(found(false), "openai=codex/key/linked");
	/* Not so in another's, where root would read for him. */
	if (geteuid() == 0) {
		assert_int_equal(chown(home, 54321, 54321), 0);
		assert_string_equal(found(false), "");
		assert_int_equal(chown(home, 0, 0), 0);
	}
	drop("elsewhere");
}

static void
test_many(void **state)
{
	char text[8192] = "{";
	size_t used = 1;

	(void)state;
	for (int i = 0; i < 100; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    "%s\"p%03d\":{\"type\":\"api\",\"key\":\"k\"}",
		    i == 0 ? "" : ",", i);
	(void)snprintf(text + used, sizeof(text) - used, "}");
	put(OPENCODE, text);
	assert_non_null(strstr(found(false), "p063="));
	assert_null(strstr(found(false), "p064="));
}

/* --- choosing ------------------------------------------------------------ */

static const char *
chosen(const struct credentials *c, const char *agent, const char *provider)
{
	const struct credential *one = NULL;
	static struct err e;

	if (credentials_for_agent(c, agent, provider, &one, &e) == -1)
		return e.text;
	return one->secret;
}

static void
test_choose(void **state)
{
	struct credentials c = { .n = 0 };

	(void)state;
	assert_string_equal(chosen(&c, "opencode", NULL),
	    "no credentials found for agent opencode");
	credentials_add(&c, "zed", "opencode", false, "z");
	assert_string_equal(chosen(&c, "opencode", NULL), "z");
	credentials_add(&c, "groq", "opencode", false, "g");
	assert_string_equal(chosen(&c, "opencode", NULL),
	    "multiple providers available for opencode: groq, zed");
	assert_string_equal(chosen(&c, "opencode", "zed"), "z");
	assert_string_equal(chosen(&c, "claude", NULL),
	    "no credentials found for provider anthropic");
	credentials_add(&c, "anthropic", "amp", false, "a");
	assert_string_equal(chosen(&c, "amp", NULL), "a");
	assert_string_equal(chosen(&c, "claude", "anthropic"), "a");
	assert_string_equal(chosen(&c, "opencode", NULL), "a");
	assert_string_equal(chosen(&c, "claude", "openai"),
	    "agent claude only supports provider anthropic");
	credentials_add(&c, "openai", "codex", false, "o");
	assert_string_equal(chosen(&c, "opencode", NULL), "o");
	assert_string_equal(chosen(&c, "codex", NULL), "o");
	credentials_add(&c, "openai", "opencode", false, "second");
	assert_string_equal(credentials_get(&c, "openai")->secret, "o");
	credentials_free(&c);
	assert_int_equal(c.n, 0);
}

static void
test_names(void **state)
{
	static const struct {
		const char *provider, *first, *second;
	} all[] = { { "anthropic", "ANTHROPIC_API_KEY", "CLAUDE_API_KEY" },
		{ "openai", "OPENAI_API_KEY", "CODEX_API_KEY" },
		{ "google-vertex", "GOOGLE_VERTEX_API_KEY", NULL },
		{ "x.ai", "X_AI_API_KEY", NULL }, { "302ai", NULL, NULL } };

	(void)state;
	for (size_t i = 0; i < countof(all); i++) {
		char name[32];
		struct credential c = { .provider = name };
		char room[CREDENTIAL_NAME_MAX];
		const char *names[3];

		assert_int_equal(
		    str_copy(name, sizeof(name), all[i].provider), 0);
		credential_names(&c, room, names);
		if (all[i].first == NULL)
			assert_null(names[0]);
		else
			assert_string_equal(names[0], all[i].first);
		if (all[i].first != NULL && all[i].second != NULL)
			assert_string_equal(names[1], all[i].second);
	}
}

/* --- main ---------------------------------------------------------------- */

static void
make(const char *name)
{
	char path[256];

	assert_int_equal(
	    str_format(path, sizeof(path), "%s/%s", home, name), 0);
	assert_int_equal(mkdir(path, 0700), 0);
}

static const char *const dirs[] = { ".claude", ".codex", ".amp", ".local",
	".local/share", ".local/share/opencode" };

static int
group_setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(home));
	for (size_t i = 0; i < countof(dirs); i++)
		make(dirs[i]);
	return 0;
}

static int
group_teardown(void **state)
{
	char path[256];

	(void)each_setup(state);
	for (size_t i = countof(dirs); i-- > 0;)
		if (str_format(path, sizeof(path), "%s/%s", home, dirs[i]) == 0)
			(void)rmdir(path);
	return rmdir(home);
}

#define TEST(fn) cmocka_unit_test_setup(fn, each_setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing),
		TEST(test_environment),
		TEST(test_claude),
		TEST(test_ended),
		TEST(test_codex),
		TEST(test_opencode),
		TEST(test_amp),
		TEST(test_hostile_values),
		TEST(test_hostile_files),
		TEST(test_links),
		TEST(test_many),
		TEST(test_choose),
		TEST(test_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
