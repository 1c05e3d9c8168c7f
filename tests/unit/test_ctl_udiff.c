/*
 * Unified diffs: known ones to the letter, and for random texts that applying
 * the hunks to A gives B.
 */
#include "test_ctl.h"

#include "ctl/udiff.h"

static char *
diff(const char *a, const char *b, struct udiff_stat *st)
{
	struct buf out;
	char *s;

	buf_init(&out, 1u << 20);
	assert_int_equal(udiff(&out, a, strlen(a), b, strlen(b), st), 0);
	s = out.len == 0 ? strdup("") : buf_steal(&out);
	buf_free(&out);
	return s;
}

static void
test_known(void **state)
{
	static const struct {
		const char *a, *b, *d;
	} t[] = {
		{ "", "", "" },
		{ "a\nb\n", "a\nb\n", "" },
		{ "", "a\n", "@@ -0,0 +1 @@\n+a\n" },
		{ "a\n", "", "@@ -1 +0,0 @@\n-a\n" },
		{ "a\n", "b\n", "@@ -1 +1 @@\n-a\n+b\n" },
		{ "a", "a\n",
		    "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n" },
		{ "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nX\n6\n7\n8\n9\n",
		    "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n" },
		{ "1\n2\n3\n4\n5\n6\n7\n8\n9\nA\nB\nC\n",
		    "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\nA\nB\n",
		    "@@ -1,3 +1,4 @@\n+0\n 1\n 2\n 3\n"
		    "@@ -9,4 +10,3 @@\n 9\n A\n B\n-C\n" },
		/* six lines between two changes: one hunk */
		{ "a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
		    "@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n"
		    "+B\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < countof(t); i++) {
		struct udiff_stat st;
		char *d = diff(t[i].a, t[i].b, &st);

		assert_string_equal(d, t[i].d);
		free(d);
	}
}

/* Copy lines of *P up to line number UNTIL (1-based, not included). */
static void
copy_until(struct buf *out, const char **p, size_t *line, size_t until)
{
	while (*line < until && **p != '\0') {
		size_t n = strcspn(*p, "\n");

		n += (*p)[n] == '\n';
		(void)buf_add(out, *p, n);
		*p += n;
		(*line)++;
	}
}

/* What patch(1) does, without any leniency. */
static void
patch(struct buf *out, const char *a, const char *d)
{
	size_t line = 1;

	while (*d != '\0') {
		size_t start = 0;
		size_t count = 1;

		assert_int_equal(strncmp(d, "@@ -", 4), 0);
		d += 4;
		start = strtoul(d, (char **)&d, 10);
		if (*d == ',')
			count = strtoul(d + 1, (char **)&d, 10);
		copy_until(out, &a, &line, count == 0 ? start + 1 : start);
		d = strchr(d, '\n') + 1;
		while (*d != '\0' && *d != '@') {
			size_t n = strcspn(d, "\n") + 1;

			if (*d == '\\') {
				d += n;
				continue;
			}
			bool bare = d[n] == '\\';

			if (*d != '+') {
				assert_memory_equal(
				    a, d + 1, n - 1 - (bare ? 1 : 0));
				a += n - 1 - (bare ? 1 : 0);
				line++;
			}
			if (*d != '-')
				(void)buf_add(
				    out, d + 1, n - 1 - (bare ? 1 : 0));
			d += n;
		}
	}
	(void)buf_adds(out, a);
}

static void
test_random(void **state)
{
	unsigned seed = 7;
	int round;

	(void)state;
	for (round = 0; round < 3000; round++) {
		char text[2][400];
		struct udiff_stat st;
		struct buf out;
		char *d;
		int k;

		for (k = 0; k < 2; k++) {
			size_t lines, i, at = 0;

			seed = seed * 1103515245u + 12345u;
			lines = (seed >> 16) % 60;
			text[k][0] = '\0';
			for (i = 0; i < lines; i++) {
				seed = seed * 1103515245u + 12345u;
				text[k][at++] = (char)('a' + (seed >> 16) % 4);
				text[k][at++] = '\n';
			}
			/* sometimes without the last newline */
			if (at > 0 && (seed >> 20) % 4 == 0)
				at--;
			text[k][at] = '\0';
		}
		d = diff(text[0], text[1], &st);
		buf_init(&out, 65536);
		(void)buf_adds(&out, "");
		patch(&out, text[0], d);
		assert_string_equal(out.len == 0 ? "" : out.data, text[1]);
		buf_free(&out);
		free(d);
	}
}

/* Nothing in common and very long: still quick, still right. */
static void
test_large(void **state)
{
	struct udiff_stat st;
	struct buf a, b;
	int i;

	(void)state;
	buf_init(&a, 8u << 20);
	buf_init(&b, 8u << 20);
	for (i = 0; i < 100000; i++) {
		(void)buf_addf(&a, "a%d\n", i);
		(void)buf_addf(&b, "b%d\n", i);
	}
	assert_int_equal(udiff(NULL, a.data, a.len, b.data, b.len, &st), 0);
	assert_int_equal(st.added, 100000);
	assert_int_equal(st.removed, 100000);
	buf_free(&a);
	buf_free(&b);
}

static void
test_binary(void **state)
{
	(void)state;
	assert_false(udiff_is_binary("text\n", 5));
	assert_false(udiff_is_binary(NULL, 0));
	assert_true(udiff_is_binary("te\0xt", 5));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_binary),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
