/*
 * courier/semver, digest, platform, beneath, recipe: what is read of texts that
 * others wrote. The expectations about ranges are those of npm's own library.
 */
#include "test_courier.h"

#include "courier/beneath.h"
#include "courier/digest.h"
#include "courier/platform.h"
#include "courier/recipe.h"
#include "courier/semver.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- versions ------------------------------------------------------------ */

static void
test_parse(void **state)
{
	static const char *const good[] = { "1.2.3", "v1.2.3", "=1.2.3",
		"0.0.0", "1.2.3-alpha.1", "1.2.3+build.5", "1.2.3-a+b",
		"0.0.1790142911-g7618fb", "0.169.0-linux-x64",
		"999999999999999.0.0" };
	static const char *const bad[] = { "", "1", "1.2", "1.2.x", "1.2.3.4",
		"1.2.3-", "1.2.3-a..b", "a.b.c", "1.2.3 ", "-1.2.3",
		"9999999999999999.0.0", "1.2.3-\xc3\xa4", "1.2.3/..",
		"../1.2.3" };
	struct semver v;

	(void)state;
	for (size_t i = 0; i < countof(good); i++)
		assert_int_equal(semver_parse(good[i], &v), 0);
	for (size_t i = 0; i < countof(bad); i++) {
		if (semver_parse(bad[i], &v) != -1)
			fail_msg("'%s' is a version", bad[i]);
	}
}

static void
test_order(void **state)
{
	/* Each is before the next. */
	static const char *const order[] = { "0.0.1-0", "0.0.1", "0.1.0",
		"1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0-alpha",
		"1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
		"1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1",
		"1.2.0", "1.10.0", "2.0.0" };
	struct semver a, b;

	(void)state;
	for (size_t i = 0; i < countof(order); i++) {
		for (size_t k = 0; k < countof(order); k++) {
			int r, want = i < k ? -1 : i > k;

			assert_int_equal(semver_parse(order[i], &a), 0);
			assert_int_equal(semver_parse(order[k], &b), 0);
			r = semver_compare(&a, &b);
			if ((r > 0) - (r < 0) != want)
				fail_msg("%s and %s", order[i], order[k]);
		}
	}
}

static void
test_ranges(void **state)
{
	static const struct {
		const char *range, *in, *out; /* separated by blanks */
	} tab[] = {
		{ "", "0.0.0 1.2.3", "1.2.3-a" },
		{ "*", "0.0.0 1.2.3", "1.2.3-a" },
		{ "x", "4.5.6", "1.0.0-0" },
		{ "1", "1.0.0 1.9.9", "2.0.0 0.9.9 2.0.0-0 1.0.0-a" },
		{ "1.x", "1.0.0 1.9.9", "2.0.0 0.9.9" },
		{ "1.2", "1.2.0 1.2.9", "1.3.0 1.1.9 1.3.0-0" },
		{ "1.2.*", "1.2.0 1.2.9", "1.3.0" },
		{ "1.2.3", "1.2.3 1.2.3+x", "1.2.4 1.2.3-a" },
		{ "=1.2.3", "1.2.3", "1.2.4" },
		{ "v1.2.3", "1.2.3", "1.2.2" },
		{ "1.2.3-a", "1.2.3-a", "1.2.3 1.2.3-b" },
		{ "0.169.0-linux-x64", "0.169.0-linux-x64",
		    "0.169.0 0.169.0-linux-arm64" },
		{ "^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 2.0.0-a 1.5.0-a" },
		{ "^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2" },
		{ "^0.0.3", "0.0.3", "0.0.4 0.0.2" },
		{ "^0.0", "0.0.0 0.0.9", "0.1.0" },
		{ "^0", "0.0.0 0.9.9", "1.0.0" },
		{ "^0.x", "0.5.0", "1.0.0" },
		{ "^1.x", "1.0.0 1.9.0", "2.0.0 0.9.9" },
		{ "^1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.9.9",
		    "1.2.3-beta.1 1.2.4-beta.2 2.0.0" },
		{ "~1.2.3", "1.2.3 1.2.9", "1.3.0 1.2.2" },
		{ "~1.2", "1.2.0 1.2.9", "1.3.0" },
		{ "~1", "1.0.0 1.9.9", "2.0.0" },
		{ "~>1.2.3", "1.2.9", "1.3.0" },
		{ "~0.2.3-b.2", "0.2.3-b.3 0.2.9", "0.2.4-b.3 0.3.0" },
		{ ">1.2.3", "1.2.4 2.0.0", "1.2.3 1.2.4-a" },
		{ ">1.2", "1.3.0", "1.2.0 1.2.9" },
		{ ">1", "2.0.0", "1.9.9" },
		{ ">=1.2", "1.2.0 9.0.0", "1.1.9" },
		{ ">= 1.2.3", "1.2.3", "1.2.2" },
		{ "<1.2.3", "1.2.2 0.0.0", "1.2.3 1.2.3-a" },
		{ "<1.2", "1.1.9", "1.2.0 1.2.0-a" },
		{ "<=1.2", "1.2.9", "1.3.0" },
		{ "<=1.2.3", "1.2.3", "1.2.4" },
		{ "<*", "", "0.0.0 1.0.0" },
		{ ">*", "", "0.0.0 1.0.0" },
		{ ">=1.2.3 <2", "1.2.3 1.9.9", "2.0.0 1.2.2" },
		{ ">=1.2.3-a <2", "1.2.3-b 1.2.3", "1.2.4-b 2.0.0-a" },
		{ "1.2.3 - 2.3.4", "1.2.3 2.3.4", "1.2.2 2.3.5" },
		{ "1.2 - 2.3", "1.2.0 2.3.9", "2.4.0 1.1.9" },
		{ "1.2 - 2", "2.9.9", "3.0.0" },
		{ "^3.25.0 || ^4.0.0", "3.25.1 4.1.0", "3.24.0 5.0.0" },
		{ "1||2", "1.5.0 2.5.0", "3.0.0" },
		{ "1 || 2 || 4", "4.0.0", "3.0.0" },
		{ "||", "1.0.0", "1.0.0-a" },
		{ " ^1.0.0\t", "1.0.1", "2.0.0" },
	};
	char text[64];
	struct semver v;

	(void)state;
	for (size_t i = 0; i < countof(tab); i++) {
		assert_true(range_valid(tab[i].range));
		for (int in = 0; in < 2; in++) {
			const char *at = in ? tab[i].in : tab[i].out;
			int n;

			for (; sscanf(at, "%63s%n", text, &n) == 1; at += n) {
				assert_int_equal(semver_parse(text, &v), 0);
				if (range_holds(tab[i].range, &v) != in)
					fail_msg("%s %s '%s'", text,
					    in ? "not in" : "in", tab[i].range);
			}
		}
	}
}

static void
test_no_ranges(void **state)
{
	static const char *const bad[] = { "latest", "next", "beta-1",
		"git+https://a/b", "file:../x", "user/repo", "1.2.3 | 2", "^",
		">=", "1.2.3.4", "^^1", "1.2.3 -", "> > 1", "npm:a@1" };
	const struct semver v = { .part = { 1, 2, 3 } };

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		if (range_valid(bad[i]) || range_holds(bad[i], &v))
			fail_msg("'%s' is a range", bad[i]);
	}
}

/* --- digests ------------------------------------------------------------- */

#define ABC_SHA1 "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="
#define ABC_SHA512                                                     \
	"3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj" \
	"/uu9RU1EI2Q86A4qmslPpUyknw=="

static void
test_integrity(void **state)
{
	struct digest d, got;
	struct hasher h;
	char text[200];
	struct err e;

	(void)state;
	assert_int_equal(digest_integrity(&d, "sha1-" ABC_SHA1), 0);
	assert_int_equal(d.kind, DIGEST_SHA1);
	hasher_init(&h, d.kind);
	hasher_add(&h, "a", 1);
	hasher_add(&h, "bc", 2);
	hasher_end(&h, &got);
	assert_int_equal(digest_compare(&d, &got, &e), 0);
	/* The strongest counts. */
	assert_int_equal(digest_integrity(&d, "md5-xx sha1-" ABC_SHA1
					      "  sha512-" ABC_SHA512 "?opt"),
	    0);
	assert_int_equal(d.kind, DIGEST_SHA512);
	hasher_init(&h, d.kind);
	hasher_add(&h, "abc", 3);
	hasher_end(&h, &got);
	assert_int_equal(digest_compare(&d, &got, &e), 0);
	got.bytes[63] ^= 1;
	assert_int_equal(digest_compare(&d, &got, &e), -1);
	assert_int_equal(e.code, ERR_INSTALL_FAILED);
	assert_non_null(strstr(e.text, "sha512 should be ddaf35"));
	digest_text(&d, text, 9);
	assert_string_equal(text, "ddaf35a1");
}

static void
test_no_integrity(void **state)
{
	static const char *const bad[] = { "", "sha512-", "sha512-abc",
		"sha512",
		"md5-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "sha512-" ABC_SHA1,
		"sha1-" ABC_SHA512, "sha1-!!!", "-" ABC_SHA1, "?" };
	struct digest d;

	(void)state;
	for (size_t i = 0; i < countof(bad); i++)
		assert_int_equal(digest_integrity(&d, bad[i]), -1);
	assert_int_equal(digest_hex(&d, DIGEST_SHA1,
			     "a9993e364706816aba3e25717850c26c9cd0d89d"),
	    0);
	assert_int_equal(digest_hex(&d, DIGEST_SHA256, "abcd"), -1);
	assert_int_equal(digest_hex(&d, DIGEST_SHA1,
			     "a9993e364706816aba3e25717850c26c9cd0d89x"),
	    -1);
}

/* --- platforms ----------------------------------------------------------- */

static const char *
chosen(struct platform p, const char *map)
{
	static char text[64];
	struct json *j = json_of(map);
	const struct json *v = platform_choose(&p, j);

	(void)snprintf(text, sizeof(text), "%s", v == NULL ? "-" : v->str);
	json_free(j);
	return text;
}

static void
test_choose(void **state)
{
	const struct platform glibc = { .cpu = "x64" };
	const struct platform musl = { .cpu = "x64", .musl = true };
	const struct platform old = { .cpu = "x64", .old_cpu = true };
	const struct platform arm = { .cpu = "arm64" };
	const char *both = "{'linux-x64':'a','linux-x64-musl':'m',"
			   "'linux-x64-baseline':'o'}";

	(void)state;
	assert_string_equal(chosen(glibc, both), "a");
	assert_string_equal(chosen(musl, both), "m");
	assert_string_equal(chosen(old, both), "o");
	assert_string_equal(chosen(arm, both), "-");
	assert_string_equal(chosen(musl, "{'linux-x64':'a'}"), "a");
	assert_string_equal(chosen(musl, "{'linux-x64-glibc':'a'}"), "-");
	assert_string_equal(
	    chosen(glibc, "{'linux-x64':'a','linux-x64-glibc':'g'}"), "g");
	assert_string_equal(chosen(old, "{'linux-x64':'a'}"), "a");
	assert_string_equal(chosen(arm, "{'linux-arm64':'z'}"), "z");
}

static bool
suits(const char *manifest)
{
	const struct platform p = { .cpu = "x64" };
	struct json *j = json_of(manifest);
	bool r = platform_suits(&p, j);

	json_free(j);
	return r;
}

static void
test_suits(void **state)
{
	(void)state;
	assert_true(suits("{}"));
	assert_true(suits("{'os':['linux'],'cpu':['x64'],'libc':['glibc']}"));
	assert_true(suits("{'os':['darwin','linux']}"));
	assert_true(suits("{'os':['!win32']}"));
	assert_true(suits("{'os':'linux'}"));
	assert_true(suits("{'cpu':['any']}"));
	assert_true(suits("{'os':[]}"));
	assert_false(suits("{'os':['darwin']}"));
	assert_false(suits("{'os':['!linux']}"));
	assert_false(suits("{'os':['linux'],'cpu':['arm64']}"));
	assert_false(suits("{'libc':['musl']}"));
	assert_false(suits("{'libc':'musl'}"));
}

static void
test_look(void **state)
{
	char root[] = "/tmp/test_courier.XXXXXX", path[100];
	struct platform p;
	static const char *const made[] = { "lib", "lib64" };

	(void)state;
	assert_non_null(mkdtemp(root));
	for (size_t i = 0; i < countof(made); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", root, made[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	(void)snprintf(path, sizeof(path), "%s/lib/ld-musl-x86_64.so.1", root);
	assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0644)), 0);
	platform_look(&p, root);
	assert_true(p.musl);
	assert_true(p.known_cpu);
	(void)snprintf(
	    path, sizeof(path), "%s/lib64/ld-linux-x86-64.so.2", root);
	assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0644)), 0);
	platform_look(&p, root);
	assert_false(p.musl);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/lib/ld-musl-x86_64.so.1", root);
	(void)unlink(path);
	for (size_t i = 0; i < countof(made); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", root, made[i]);
		assert_int_equal(rmdir(path), 0);
	}
	assert_int_equal(rmdir(root), 0);
}

/* --- paths --------------------------------------------------------------- */

static void
test_clean(void **state)
{
	static const struct {
		const char *in;
		unsigned strip;
		const char *out; /* NULL: refused */
	} tab[] = { { "package/a/b", 1, "a/b" }, { "./a//b/./c/", 0, "a/b/c" },
		{ "package", 1, "" }, { "package/", 1, "" }, { "", 0, "" },
		{ "a/b/c", 2, "c" }, { "a..b/...", 0, "a..b/..." },
		{ "/a", 0, NULL }, { "../a", 0, NULL }, { "a/../b", 1, NULL },
		{ "a/..", 0, NULL }, { "a/\nb", 0, NULL },
		{ "a/\x7f", 0, NULL } };
	char out[BENEATH_PATH_MAX], longer[2000];

	(void)state;
	for (size_t i = 0; i < countof(tab); i++) {
		int r = beneath_clean(out, tab[i].in, tab[i].strip);

		assert_int_equal(r, tab[i].out == NULL ? -1 : 0);
		if (tab[i].out != NULL)
			assert_string_equal(out, tab[i].out);
	}
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(beneath_clean(out, longer, 0), -1);
	for (size_t i = 200; i < sizeof(longer) - 1; i += 200)
		longer[i] = '/';
	assert_int_equal(beneath_clean(out, longer, 0), -1);
}

static void
test_links(void **state)
{
	(void)state;
	assert_true(beneath_link_safe("", "a"));
	assert_true(beneath_link_safe("a/b", "../c"));
	assert_true(beneath_link_safe("a/b", "../../c/d"));
	assert_true(beneath_link_safe("a", "./b"));
	assert_false(beneath_link_safe("", ".."));
	assert_false(beneath_link_safe("a", "../../b"));
	assert_false(beneath_link_safe("a", "/etc/passwd"));
	/* By way of another link this could lead out. */
	assert_false(beneath_link_safe("a/b", "c/../../d"));
	assert_false(beneath_link_safe("a", ""));
}

/* --- recipes ------------------------------------------------------------- */

static const struct platform here = { .cpu = "x64" };

static int
read_recipe(
    struct recipe *r, const char *text, const char *version, struct err *e)
{
	struct json *j = json_of(text);
	int rc = recipe_read(r, j, "agent", version, &here, e);

	json_free(j);
	return rc;
}

static void
test_recipe_npm(void **state)
{
	struct recipe r;
	struct err e;

	(void)state;
	assert_int_equal(
	    read_recipe(&r,
		"{'type':'npm','package':'@a/b','version':'^1','native':{"
		"'linux-x64':{'package':'@a/b-x','bin':'bin/b',"
		"'version':'{version}-x'}},'with':[{'package':'c',"
		"'program':'c-acp'}]}",
		NULL, &e),
	    0);
	assert_int_equal(r.nroots, 2);
	assert_string_equal(r.roots[0].package, "@a/b");
	assert_string_equal(r.roots[0].version, "^1");
	assert_string_equal(r.roots[0].program, "agent");
	assert_string_equal(r.roots[0].native_package, "@a/b-x");
	assert_string_equal(r.roots[0].native_version, "{version}-x");
	assert_string_equal(r.roots[1].program, "c-acp");
	assert_string_equal(r.roots[1].version, "latest");
	assert_null(r.roots[1].native_package);
	recipe_free(&r);
	assert_int_equal(
	    read_recipe(&r, "{'type':'npm','package':'b'}", "1.2.3", &e), 0);
	assert_string_equal(r.roots[0].version, "1.2.3");
	recipe_free(&r);
}

static void
test_recipe_archive(void **state)
{
	struct recipe r;
	struct err e;
	const char *text =
	    "{'type':'archive','version':'2.0','urls':{'linux-x64':"
	    "'http://h/a.tgz'},'sha256':{'linux-x64':'00000000000000000000000"
	    "00000000000000000000000000000000000000000'},'bin':'b/c',"
	    "'strip':1}";

	(void)state;
	assert_int_equal(read_recipe(&r, text, NULL, &e), 0);
	assert_true(r.archive);
	assert_string_equal(r.program, "agent");
	assert_int_equal(r.strip, 1);
	recipe_free(&r);
	assert_int_equal(read_recipe(&r, text, "2.0", &e), 0);
	recipe_free(&r);
	assert_int_equal(read_recipe(&r, text, "3.0", &e), -1);
	assert_int_equal(e.code, ERR_BAD_REQUEST);
}

static void
test_recipe_bad(void **state)
{
	static const char *const bad[] = { "{}", "{'type':'deb'}",
		"{'type':'npm'}", "{'type':'npm','package':'../x'}",
		"{'type':'npm','package':'a','bin':'../../x'}",
		"{'type':'npm','package':'a','bin':'/bin/sh'}",
		"{'type':'npm','package':'a','program':'../x'}",
		"{'type':'npm','package':'a','program':'.x'}",
		"{'type':'npm','package':'a','surprise':1}",
		"{'type':'npm','package':'a','with':[{'package':'b'}]}",
		"{'type':'npm','package':'a','with':[1]}",
		"{'type':'npm','package':'a','native':{'linux-x64':"
		"{'package':'/x','bin':'b'}}}",
		"{'type':'archive','version':'1','urls':{'linux-x64':'u'},"
		"'sha256':{},'bin':'b'}",
		"{'type':'archive','version':'../1','urls':{'linux-x64':'u'},"
		"'sha256':{'linux-x64':'00'},'bin':'b'}" };
	struct recipe r;
	struct err e;

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		if (read_recipe(&r, bad[i], NULL, &e) != -1)
			fail_msg("%s is a recipe", bad[i]);
		assert_int_equal(e.code, ERR_BAD_REQUEST);
	}
	assert_int_equal(read_recipe(&r,
			     "{'type':'npm','package':'a','native':{"
			     "'linux-arm64':{'package':'b','bin':'b'}}}",
			     NULL, &e),
	    -1);
	assert_int_equal(e.code, ERR_INSTALL_FAILED);
	assert_non_null(strstr(e.text, "linux-x64-glibc"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse),
		cmocka_unit_test(test_order), cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_no_ranges),
		cmocka_unit_test(test_integrity),
		cmocka_unit_test(test_no_integrity),
		cmocka_unit_test(test_choose), cmocka_unit_test(test_suits),
		cmocka_unit_test(test_look), cmocka_unit_test(test_clean),
		cmocka_unit_test(test_links), cmocka_unit_test(test_recipe_npm),
		cmocka_unit_test(test_recipe_archive),
		cmocka_unit_test(test_recipe_bad) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("courier_words", tests, NULL, NULL);
}
