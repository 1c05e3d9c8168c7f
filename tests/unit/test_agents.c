/*
 * Definitions of agents: what is taken over from a file, on which line a value
 * stands, which variables and modes are allowed.
 */
#include "test_supervisor.h"

#include "lib/defs.h"
#include "supervisor/agents.h"

#include <string.h>
#include <sys/stat.h>

static struct buf mistakes;

static struct agent_def *
parse(const char *id, const char *text)
{
	const struct agent_text t = {
		.file = "F", .id = id, .text = text, .len = strlen(text)
	};

	buf_free(&mistakes);
	buf_init(&mistakes, AGENT_MISTAKES_MAX);
	return agent_def_parse(&t, &mistakes);
}

static void
test_the_mock_is_good(void **state)
{
	struct agent_def *a = agent_def_mock();

	(void)state;
	assert_non_null(a);
	assert_string_equal(a->id, "mock");
	assert_null(a->program);
	assert_true(agent_mode_known(a->permission_modes, "plan", "default"));
	assert_non_null(strstr(a->capabilities, "\"planMode\":true"));
	assert_non_null(strstr(a->capabilities, "\"sharedProcess\":false}"));
	agent_def_free(a);
}

static void
test_members_are_taken_over(void **state)
{
	struct agent_def *a = parse("a",
	    "{\"id\":\"a\",\"name\":\"A\",\"protocol\":\"acp\",\"rank\":3,"
	    "\"program\":\"p\",\"args\":[\"x\",\"\\u00e4\"],\"acp\":{},"
	    "\"env\":{\"K\":\"v=w\"},\"hidden\":true,"
	    "\"capabilities\":{\"images\":true},"
	    "\"install\":{\"type\":\"npm\",\"package\":\"p\"}}");

	(void)state;
	if (a == NULL)
		fail_msg("%s", mistakes.data);
	assert_int_equal(a->rank, 3);
	assert_true(a->hidden);
	assert_false(a->unknown);
	assert_string_equal(a->args[1], "\xc3\xa4");
	assert_null(a->args[2]);
	assert_string_equal(a->acp_program, "p");
	assert_null(a->acp_args);
	assert_string_equal(a->env[0], "K=v=w");
	assert_string_equal(a->options, "[]");
	assert_non_null(strstr(a->capabilities, "\"images\":true"));
	assert_string_equal(json_str(a->install, "package", ""), "p");
	agent_def_free(a);

	a = parse("b", "{\"id\":\"b\",\"name\":\"B\",\"protocol\":\"acp\"}");
	assert_non_null(a);
	assert_int_equal(a->rank, AGENT_RANK_LAST);
	assert_null(a->program);
	assert_null(a->acp_program);
	assert_null(a->install);
	assert_null(a->permission_modes);
	agent_def_free(a);

	a = agent_def_unknown("gone");
	assert_true(a->unknown && a->hidden);
	agent_def_free(a);
}

static void
test_mistakes_have_lines(void **state)
{
	static const struct {
		const char *text, *at;
	} tab[] = {
		{ "", "F:1: " },
		{ "{\n\n\"id\"", "F:3: " },
		{ "{\n\"id\":\"a\",\n\"name\":\"A\",\n\"protocol\":\"x\"\n}",
		    "F:4: field protocol" },
		{ "{\n\"id\":\"b\",\"name\":\"A\",\"protocol\":\"acp\"}",
		    "F:2: field id" },
		{ "{\"id\":\"a\",\"name\":\"A\",\"protocol\":\"acp\",\n"
		  "\"args\":[\"[{\\\"\",\n\n1]}",
		    "F:4: field args" },
	};

	(void)state;
	for (size_t i = 0; i < countof(tab); i++) {
		assert_null(parse("a", tab[i].text));
		if (mistakes.data == NULL ||
		    strstr(mistakes.data, tab[i].at) != mistakes.data)
			fail_msg("%zu: '%s'", i, mistakes.data);
	}
}

static void
test_lines_of_values(void **state)
{
	static const char text[] = "{\n \"a\" : 1,\n \"b\": [ true,\n null,\n"
				   " \"x\\\"y:\" ],\n\n\"c\"\n:\n{}}";
	struct json *j;

	(void)state;
	assert_int_equal(json_parse(text, strlen(text), 8, &j, NULL), 0);
	assert_int_equal(json_line_of(text, strlen(text), j, j), 1);
	assert_int_equal(
	    json_line_of(text, strlen(text), j, json_get(j, "a")), 2);
	assert_int_equal(
	    json_line_of(text, strlen(text), j, json_get(j, "b")->child), 3);
	assert_int_equal(json_line_of(text, strlen(text), j,
			     json_get(j, "b")->child->next->next),
	    5);
	/* A member stands where its key does. */
	assert_int_equal(
	    json_line_of(text, strlen(text), j, json_get(j, "c")), 7);
	json_free(j);
	assert_int_equal(json_line_at("a\nb", 3, 2), 2);
	assert_int_equal(json_line_at("a\nb", 3, 99), 2);
}

static void
test_any_text_has_a_line(void **state)
{
	static const char *const odd[] = { "", "\"", "\"\\", "{\"a", "[[[[",
		"\"a\":", "]]]]", "{\"a\":1" };
	const struct json none = { .type = JSON_NULL };

	(void)state;
	for (size_t i = 0; i < countof(odd); i++)
		assert_int_equal(
		    json_line_of(odd[i], strlen(odd[i]), &none, &none), 1);
}

static void
test_modes(void **state)
{
	static char one[] = "build", star[] = "*";
	char *some[] = { one, NULL }, *any[] = { star, NULL };

	(void)state;
	assert_true(agent_mode_known(NULL, "default", "default"));
	assert_false(agent_mode_known(NULL, "plan", "default"));
	assert_true(agent_mode_known(some, "build", "x"));
	assert_false(agent_mode_known(some, "x", "x"));
	assert_true(agent_mode_known(any, "whatever", "x"));
}

static void
test_patterns(void **state)
{
	static const char *const good[] = { "A", "A_KEY", "ABC*", "_X", "a1" };
	static const char *const bad[] = { "", "*", "A*", "AB*", "1A", "A-B",
		"A B", "A*B", "PATH", "HOME", "A=", "ABC**" };

	(void)state;
	for (size_t i = 0; i < countof(good); i++)
		if (!agent_env_pattern_ok(good[i]))
			fail_msg("'%s' is refused", good[i]);
	for (size_t i = 0; i < countof(bad); i++)
		if (agent_env_pattern_ok(bad[i]))
			fail_msg("'%s' is taken", bad[i]);
	assert_int_equal(agent_env_list_check(" A\tB  ABC* ", NULL), 0);
	assert_int_equal(agent_env_list_check("A *", NULL), -1);
}

static void
test_environment(void **state)
{
	static char pass[] = "ALL_OF_*", key[] = "T_KEY", provider[] = "t";
	char *passed[] = { key, NULL }, *needs[] = { provider, NULL };
	struct super s = { .conf = { .agent_pass_env = pass } };
	struct agent_def a = { .pass_env = passed, .credentials = needs };
	char **v;
	size_t n = 0;

	(void)state;
	assert_int_equal(clearenv(), 0);
	assert_null(agent_env_passed(&s, &a));
	assert_int_equal(setenv("T_KEY", "1", 1), 0);
	assert_int_equal(setenv("ALL_OF_IT", "2", 1), 0);
	assert_int_equal(setenv("ALL_OFF", "3", 1), 0);
	assert_int_equal(setenv("T_API_KEY", "4", 1), 0);
	v = agent_env_passed(&s, &a);
	for (char **p = v; *p != NULL; p++)
		n++;
	assert_int_equal(n, 2);
	for (n = 0; v[n] != NULL; n++)
		free(v[n]);
	free(v);
	/* The provider's variable is there, but is not passed. */
	assert_false(agent_has_credentials(&s, &a));
	memcpy(pass, "T_API_K*", sizeof("T_API_K*"));
	assert_true(agent_has_credentials(&s, &a));
	a.credentials = NULL;
	assert_true(agent_has_credentials(&s, &a));
}

static void
test_directories(void **state)
{
	char dir[] = "/tmp/test_agents.XXXXXX";
	struct agents *as;
	char file[64];
	FILE *f;

	(void)state;
	buf_free(&mistakes);
	buf_init(&mistakes, AGENT_MISTAKES_MAX);
	as = agents_load("/nonexistent/agents.d", &mistakes);
	assert_non_null(as);
	assert_true(as->missing);
	assert_int_equal(as->n, 1);
	agents_free(as);

	assert_non_null(mkdtemp(dir));
	(void)snprintf(file, sizeof(file), "%s/z.json", dir);
	f = fopen(file, "we");
	assert_non_null(f);
	assert_true(fputs("{\"id\":\"z\",\"name\":\"Z\",\"protocol\":\"acp\","
			  "\"rank\":1}",
			f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(file, 0644), 0);
	as = agents_load(dir, &mistakes);
	if (as == NULL)
		fail_msg("%s", mistakes.data);
	assert_int_equal(as->n, 2);
	assert_string_equal(as->v[0]->id, "z"); /* by rank */
	assert_string_equal(as->v[1]->id, "mock");
	/* One that is held stays when the set goes. */
	struct agent_def *z = agent_hold(as->v[0]);
	agents_free(as);
	assert_string_equal(z->name, "Z");
	agent_drop(z);
	assert_int_equal(chmod(file, 0666), 0);
	assert_null(agents_load(dir, &mistakes));
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(dir), 0);
}

static int
teardown(void **state)
{
	(void)state;
	buf_free(&mistakes);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_mock_is_good),
		cmocka_unit_test(test_members_are_taken_over),
		cmocka_unit_test(test_mistakes_have_lines),
		cmocka_unit_test(test_lines_of_values),
		cmocka_unit_test(test_any_text_has_a_line),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_directories),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, teardown);
}
