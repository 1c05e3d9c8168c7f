/*
 * Keys of an agent's environment in its log: stars.
 */
#include "lib/defs.h"
#include "lib/xalloc.h"
#include "session/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include <stdlib.h>

static void
hides(struct secrets *sc, const char *text, const char *want)
{
	autofree char *copy = xstrdup(text);

	secrets_hide(sc, copy, strlen(copy));
	assert_string_equal(copy, want);
}

static void
values_of_secret_names(void **state)
{
	char *env[] = { "PATH=/usr/bin:/bin", "A_API_KEY=abcdefghijklmnop",
		"B_TOKEN=12345678", "C_SECRET=short", "HOME=/home/somebody",
		"D_PASSWORD=a\"quoted\\one\"", NULL };
	struct secrets *sc = secrets_of(env);

	(void)state;
	assert_non_null(sc);
	hides(
	    sc, "{\"x\":\"abcdefghijklmnop\"}", "{\"x\":\"abcd************\"}");
	hides(sc, "abcdefghijklmnopabcdefghijklmnop",
	    "abcd************abcd************");
	hides(sc, "12345678 123456789 1234567", "******** ********9 1234567");
	hides(sc, "short /home/somebody /usr/bin:/bin",
	    "short /home/somebody /usr/bin:/bin");
	/* As it stands in JSON; what is left is JSON still. */
	hides(sc, "\"a\\\"quoted\\\\one\\\"\"", "\"****************\"");
	hides(sc, "", "");
	secrets_free(sc);
}

static void
nothing_to_hide(void **state)
{
	char *env[] = { "PATH=/usr/bin:/bin", "A_KEY=", "B_KEY", NULL };

	(void)state;
	assert_null(secrets_of(env));
	assert_null(secrets_of(NULL));
	hides(NULL, "abc", "abc");
	secrets_free(NULL);
}

static void
bounds(void **state)
{
	char *env[101] = { NULL };
	autofree char *huge = xmalloc(6000);
	struct secrets *sc;

	(void)state;
	for (size_t i = 0; i < 99; i++)
		env[i] = xasprintf("N%zu_KEY=value-number-%02zu", i, i);
	memset(huge, 'x', 5999);
	memcpy(huge, "H_KEY=", 6);
	huge[5999] = '\0';
	env[99] = huge;
	sc = secrets_of(env);
	hides(sc, "value-number-00 value-number-63",
	    "*************** ***************");
	hides(sc, "value-number-98", "value-number-98");
	secrets_free(sc);
	for (size_t i = 0; i < 99; i++)
		free(env[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_secret_names),
		cmocka_unit_test(nothing_to_hide),
		cmocka_unit_test(bounds),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
