/*
 * Hostile text on a terminal: nothing in it is obeyed, everything is shown;
 * and what builds on that: widths, tables, typing errors, mounts.
 */
#include "test_ctl.h"

#include "ctl/opt.h"
#include "ctl/spec.h"
#include "ctl/table.h"

#include <locale.h>

static const char *
clean(const char *s, size_t n, bool lines)
{
	static char out[4096];
	struct buf b;

	buf_init(&b, sizeof(out) - 1);
	text_clean(&b, s, n, lines);
	assert_false(b.failed);
	memcpy(out, b.len == 0 ? "" : b.data, b.len);
	out[b.len] = '\0';
	buf_free(&b);
	return out;
}

#define CLEAN(s) clean("" s, sizeof(s) - 1, true)

static void
test_controls(void **state)
{
	(void)state;
	assert_string_equal(CLEAN("plain\n\ttext"), "plain\n\ttext");
	assert_string_equal(
	    CLEAN("\033[31mred\033[0m"), "\\x1b[31mred\\x1b[0m");
	assert_string_equal(CLEAN("\033]0;title\007"), "\\x1b]0;title\\x07");
	assert_string_equal(CLEAN("a\rb"), "a\\rb");
	assert_string_equal(CLEAN("a\r\nb"), "a\nb");
	assert_string_equal(CLEAN("a\bb\177c\0d"), "a\\x08b\\x7fc\\x00d");
	assert_string_equal(clean("a\nb\tc", 5, false), "a\\nb\\tc");
}

static void
test_unicode(void **state)
{
	(void)state;
	assert_string_equal(CLEAN("gr\xc3\xbc\xc3\x9f \xe2\x9c\x93"),
	    "gr\xc3\xbc\xc3\x9f \xe2\x9c\x93");
	/* C1 in UTF-8, where some terminals see CSI */
	assert_string_equal(CLEAN("x\xc2\x9b"
				  "31m"),
	    "x\\u009b31m");
	/* a direction override, an isolate, a byte order mark, a tag */
	assert_string_equal(CLEAN("\xe2\x80\xae"), "\\u202e");
	assert_string_equal(CLEAN("\xe2\x81\xa6"), "\\u2066");
	assert_string_equal(CLEAN("\xef\xbb\xbf"), "\\ufeff");
	assert_string_equal(CLEAN("\xf3\xa0\x81\x81"), "\\ue0041");
	/* no UTF-8: a lone byte, an overlong form, a surrogate, a cut one */
	assert_string_equal(CLEAN("\xff"), "\\xff");
	assert_string_equal(CLEAN("\xc0\x9b"), "\\xc0\\x9b");
	assert_string_equal(CLEAN("\xed\xa0\x80"), "\\xed\\xa0\\x80");
	assert_string_equal(CLEAN("a\xe2\x82"), "a\\xe2\\x82");
}

/* Whatever comes in, what goes out is clean already. */
static void
test_idempotent(void **state)
{
	char in[64];
	char once[4096];
	unsigned seed = 1;
	size_t i, k;

	(void)state;
	for (i = 0; i < 20000; i++) {
		for (k = 0; k < sizeof(in); k++) {
			seed = seed * 1103515245u + 12345u;
			in[k] = (char)(seed >> 16);
		}
		(void)snprintf(
		    once, sizeof(once), "%s", clean(in, sizeof(in), true));
		assert_string_equal(clean(once, strlen(once), true), once);
		assert_null(strchr(once, '\033'));
	}
}

static void
test_width(void **state)
{
	struct buf b;

	(void)state;
	assert_int_equal(text_width("abc", 3), 3);
	assert_int_equal(text_width("gr\xc3\xbc", 4), 3);
	assert_int_equal(text_width("\xe6\xbc\xa2", 3), 2);
	assert_int_equal(text_fit("\xe6\xbc\xa2\xe6\xbc\xa2", 6, 3), 3);
	buf_init(&b, 100);
	text_line(&b, "0123456789", 10, 8, "...");
	assert_string_equal(b.data, "01234...");
	buf_clear(&b);
	text_line(&b, "a\nb", 3, 0, "");
	assert_string_equal(b.data, "a\\nb");
	buf_free(&b);
}

static void
test_numbers(void **state)
{
	char age[AGE_TEXT_MAX];
	char bytes[BYTES_TEXT_MAX];

	(void)state;
	text_age(age, 59999);
	assert_string_equal(age, "59s");
	text_age(age, 180000);
	assert_string_equal(age, "3m");
	text_age(age, INT64_C(3) * 86400000);
	assert_string_equal(age, "3d");
	text_age(age, -5);
	assert_string_equal(age, "0s");
	text_bytes(bytes, 1023);
	assert_string_equal(bytes, "1023 B");
	text_bytes(bytes, 1536 * 1024);
	assert_string_equal(bytes, "1.5 MiB");
}

static void
test_table(void **state)
{
	static const char *const head[] = { "ID", "NOTE", NULL };
	char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);
	struct table t;

	(void)state;
	assert_non_null(f);
	table_init(&t, head);
	table_cell(&t, "box1");
	table_cell(&t, "short");
	table_cell(&t, "\xc3\xbc\033[2J");
	table_cell(&t, "a note that is far too long for the line");
	table_cell(&t, NULL);
	table_cell(&t, "");
	table_print(&t, f, 0, false);
	(void)fflush(f);
	assert_string_equal(out,
	    "ID        NOTE\n"
	    "box1      short\n"
	    "\xc3\xbc\\x1b[2J  a note that is far too long for the line\n"
	    "-         -\n");
	rewind(f);
	table_print(&t, f, 30, false);
	(void)fflush(f);
	assert_non_null(strstr(out, "a note that is far ~\n"));
	(void)fclose(f);
	free(out);
	table_free(&t);
}

static const struct opt_def opts[] = {
	{ "user", 'u', "USER", "" },
	{ "tty", 't', NULL, "" },
	{ "interactive", 'i', NULL, "" },
	{ "env", 'e', "V", "" },
};
static const struct command cmd = { .name = "exec",
	.operands = "ID COMMAND",
	.help = "",
	COMMAND_OPTS(opts),
	.min = 2,
	.max = -1,
	.verbatim = true };

static void
test_flags(void **state)
{
	char *argv[] = { "-it", "-ubob", "--env=A=1", "--env", "B=2", "box",
		"--", "ls", "-l", "--", "--json", NULL };
	size_t pos = 0;
	struct args a;
	struct err e;

	(void)state;
	assert_int_equal(args_parse(&a, &cmd, 11, argv, &e), 0);
	assert_true(args_has(&a, "tty"));
	assert_true(args_has(&a, "interactive"));
	assert_false(args_has(&a, "json"));
	assert_string_equal(args_str(&a, "user", ""), "bob");
	assert_string_equal(args_next(&a, "env", &pos), "A=1");
	assert_string_equal(args_next(&a, "env", &pos), "B=2");
	assert_null(args_next(&a, "env", &pos));
	assert_int_equal(a.noperands, 5);
	assert_string_equal(a.operands[1], "ls");
	assert_string_equal(a.operands[3], "--");
	assert_string_equal(a.operands[4], "--json");
	args_free(&a);
}

static void
test_wrong_flags(void **state)
{
	static const struct {
		const char *word, *says;
	} bad[] = { { "--usr", "did you mean --user" },
		{ "--inter", "did you mean --interactive" },
		{ "--nothing-like-it", "no flag --nothing-like-it" },
		{ "-x", "no flag -x" }, { "--tty=1", "takes no value" },
		{ "--user", "needs a value" }, { "box", "needs ID COMMAND" } };
	size_t i;

	(void)state;
	for (i = 0; i < countof(bad); i++) {
		char word[64];
		char *argv[] = { word, NULL };
		struct args a;
		struct err e;

		(void)snprintf(word, sizeof(word), "%s", bad[i].word);
		assert_int_equal(args_parse(&a, &cmd, 1, argv, &e), -1);
		if (strstr(e.text, bad[i].says) == NULL)
			fail_msg("%s: %s", word, e.text);
		assert_int_equal(e.code, ERR_BAD_REQUEST);
		args_free(&a);
	}
}

static void
test_mounts(void **state)
{
	static const char *const bad[] = { "", ":/x", "/tmp", "/tmp:x",
		"/tmp:/x:rwx", "/tmp:", "/does/not/exist:/x" };
	struct spec_mount m;
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(spec_mount_parse("/usr/../tmp:/w:cow", &m, &e), 0);
	assert_string_equal(m.source, "/tmp");
	assert_string_equal(m.mode, "cow");
	assert_int_equal(m.target_len, 2);
	assert_int_equal(spec_mount_parse("/tmp:/w", &m, &e), 0);
	assert_string_equal(m.mode, "ro");
	for (i = 0; i < countof(bad); i++)
		if (spec_mount_parse(bad[i], &m, &e) == 0)
			fail_msg("accepted: %s", bad[i]);
}

static void
test_times(void **state)
{
	struct err e;
	int64_t ms;

	(void)state;
	assert_int_equal(spec_ms("10", &ms, &e), 0);
	assert_int_equal(ms, 10000);
	assert_int_equal(spec_ms("5m", &ms, &e), 0);
	assert_int_equal(ms, 300000);
	assert_int_equal(spec_ms("0", &ms, &e), -1);
	assert_int_equal(spec_ms("-1", &ms, &e), -1);
	assert_int_equal(spec_ms("soon", &ms, &e), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_controls),
		cmocka_unit_test(test_unicode),
		cmocka_unit_test(test_idempotent),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_wrong_flags),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_times),
	};

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
