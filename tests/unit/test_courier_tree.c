/*
 * courier/packument and tree: which version is picked, and where each package
 * is put. Every layout is also walked as Node.js would look packages up.
 */
#include "test_courier.h"

#include "courier/tree.h"
#include "lib/buf.h"

#include <stdlib.h>

#define PACKUMENTS_MAX 40

struct world {
	struct packument *p[PACKUMENTS_MAX];
	size_t n;
	unsigned asked; /* look-ups answered with "later" */
	bool late;	/* each is there only when it is asked for again */
	bool seen[PACKUMENTS_MAX];
};

static const struct platform here = { .cpu = "x64" };

/* {'name':…,'versions':{…}} without the digests that every version has. */
static void
add(struct world *w, const char *name, const char *versions)
{
	struct json *j = json_of(versions);
	struct err e;
	struct buf b;
	struct jw out;

	buf_init(&b, 1 << 20);
	jw_init(&out, &b);
	jw_object(&out);
	jw_key(&out, "dist-tags");
	jw_object(&out);
	json_foreach (v, j) {
		if (json_str(v, "tag", NULL) != NULL)
			jw_kstr(&out, json_str(v, "tag", ""), v->key);
	}
	jw_object_end(&out);
	jw_key(&out, "versions");
	jw_object(&out);
	json_foreach (v, j) {
		jw_key(&out, v->key);
		jw_object(&out);
		jw_kstr(&out, "version", v->key);
		json_foreach (m, v)
			jw_kvalue(&out, m->key, m);
		jw_key(&out, "dist");
		jw_object(&out);
		jw_kstr(&out, "tarball", "http://h/t.tgz");
		jw_kstr(
		    &out, "shasum", "a9993e364706816aba3e25717850c26c9cd0d89d");
		jw_object_end(&out);
		jw_object_end(&out);
	}
	jw_object_end(&out);
	jw_object_end(&out);
	assert_true(w->n < PACKUMENTS_MAX);
	w->p[w->n] = packument_new(name);
	if (packument_parse(w->p[w->n], b.data, b.len, &e) == -1)
		fail_msg("%s: %s", name, e.text);
	w->n++;
	buf_free(&b);
	json_free(j);
}

static void
world_free(struct world *w)
{
	for (size_t i = 0; i < w->n; i++)
		packument_free(w->p[i]);
}

static int
lookup(void *ctx, const char *name, struct packument **p_out, struct err *e)
{
	struct world *w = ctx;

	for (size_t i = 0; i < w->n; i++) {
		if (strcmp(packument_name(w->p[i]), name) != 0)
			continue;
		if (w->late && !w->seen[i]) {
			w->seen[i] = true;
			w->asked++;
			return 0;
		}
		*p_out = w->p[i];
		return 1;
	}
	return err_set(e, ERR_INSTALL_FAILED, "no such package");
}

/* What Node.js finds by NAME from FROM (NULL: the top). */
static const struct tree_node *
node_finds(const struct tree *t, const struct tree_node *from, const char *name)
{
	for (; from != NULL && from->parent != NULL; from = from->parent) {
		const struct tree_node *c;

		LIST_FOREACH (c, &from->children, sibling) {
			if (strcmp(c->name, name) == 0)
				return c;
		}
	}
	return tree_top(t, name);
}

/* Everybody finds what he needs. */
static void
check(const struct tree *t)
{
	const struct tree_node *n;

	TAILQ_FOREACH (n, tree_nodes(t), link) {
		for (size_t i = 0; i < n->nedges; i++) {
			const struct pkg_dep *d = n->edges[i].dep;
			const struct tree_node *to = node_finds(t, n, d->name);

			if (n->edges[i].to == NULL)
				continue;
			assert_non_null(to);
			assert_string_equal(to->pkg->name, d->real);
			if (d->kind != DEP_PEER && range_valid(d->want))
				assert_true(range_holds(d->want, &to->pkg->v));
		}
	}
}

static int
line_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "a=1.0.0 a/b=2.0.0": folders without "node_modules", in order. */
static void
layout(const struct tree *t, char *dst, size_t size)
{
	const struct tree_node *n;
	char *lines[200];
	size_t count = 0;

	TAILQ_FOREACH (n, tree_nodes(t), link) {
		char path[1024], *out = malloc(1100);
		size_t len = 0;

		assert_int_equal(tree_path(n, path, sizeof(path)), 0);
		for (char *part = path, *next; part != NULL; part = next) {
			part += strlen("node_modules/");
			next = strstr(part, "/node_modules/");
			if (next != NULL)
				*next++ = '\0';
			len += (size_t)sprintf(
			    out + len, "%s%s", len > 0 ? ">" : "", part);
		}
		(void)sprintf(out + len, "=%s", n->pkg->version);
		assert_true(count < countof(lines));
		lines[count++] = out;
	}
	qsort(lines, count, sizeof(*lines), line_order);
	dst[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(dst);

		(void)snprintf(
		    dst + len, size - len, "%s%s", i > 0 ? " " : "", lines[i]);
		free(lines[i]);
	}
}

/* Grow SPEC of "app" and compare, at once and with packuments that come late.
 */
static void
expect(struct world *w, const char *spec, const char *want)
{
	char got[4096];
	struct err e;

	for (int late = 0; late < 2; late++) {
		struct tree *t = tree_new(&here, lookup, w);
		int r, turns = 0;

		memset(w->seen, 0, sizeof(w->seen));
		w->late = late == 1;
		assert_int_equal(tree_want(t, "app", spec, &e), 0);
		while ((r = tree_grow(t, &e)) == 0)
			assert_true(++turns < 100);
		if (r == -1)
			(void)snprintf(got, sizeof(got), "! %s", e.text);
		else
			layout(t, got, sizeof(got));
		if (want[0] == '!')
			assert_non_null(strstr(got, want + 2));
		else
			assert_string_equal(got, want);
		if (r == 1)
			check(t);
		tree_free(t);
	}
	world_free(w);
}

static void
test_hoist(void **state)
{
	struct world w = { .n = 0 };

	(void)state;
	add(&w, "app",
	    "{'1.0.0':{'dependencies':{'a':'^1.0.0','b':'^1.0.0'}}}");
	add(&w, "a", "{'1.0.0':{},'1.3.0':{'dependencies':{'c':'*'}}}");
	add(&w, "b", "{'1.1.0':{'dependencies':{'c':'~2.0.0'}}}");
	add(&w, "c", "{'2.0.0':{},'2.0.5':{}}");
	expect(&w, "^1", "a=1.3.0 app=1.0.0 b=1.1.0 c=2.0.5");
}

static void
test_conflict(void **state)
{
	struct world w = { .n = 0 };

	(void)state;
	add(&w, "app", "{'1.0.0':{'dependencies':{'a':'1','b':'1','c':'1'}}}");
	add(&w, "a", "{'1.0.0':{'dependencies':{'c':'2'}}}");
	add(&w, "b", "{'1.0.0':{'dependencies':{'c':'2','a':'1'}}}");
	add(&w, "c", "{'1.0.0':{},'2.0.0':{'dependencies':{'d':'1'}}}");
	add(&w, "d", "{'1.0.0':{}}");
	expect(&w, "1.0.0",
	    "a=1.0.0 a>c=2.0.0 app=1.0.0 b=1.0.0 b>c=2.0.0 c=1.0.0 d=1.0.0");
}

/* Below x stand z, which has found y1 at the top, and zz, which needs y2: that
 * must not come to stand between z and the top. */
static void
test_not_in_the_way(void **state)
{
	struct world w = { .n = 0 };

	(void)state;
	add(&w, "app",
	    "{'1.0.0':{'dependencies':{'y':'1','x':'1','z':'9','zz':'9'}}}");
	add(&w, "x", "{'1.0.0':{'dependencies':{'z':'1','zz':'1'}}}");
	add(&w, "z", "{'1.0.0':{'dependencies':{'y':'1'}},'9.0.0':{}}");
	add(&w, "zz", "{'1.0.0':{'dependencies':{'y':'2'}},'9.0.0':{}}");
	add(&w, "y", "{'1.0.0':{},'2.0.0':{}}");
	expect(&w, "*",
	    "app=1.0.0 x=1.0.0 x>z=1.0.0 x>zz=1.0.0 x>zz>y=2.0.0 y=1.0.0 "
	    "z=9.0.0 zz=9.0.0");
}

static void
test_cycle(void **state)
{
	struct world w = { .n = 0 };

	(void)state;
	add(&w, "app", "{'1.0.0':{'dependencies':{'a':'*'}}}");
	add(&w, "a", "{'1.0.0':{'dependencies':{'b':'*'}}}");
	add(&w, "b", "{'1.0.0':{'dependencies':{'a':'*','app':'1'}}}");
	expect(&w, "1", "a=1.0.0 app=1.0.0 b=1.0.0");
}

static void
test_alias(void **state)
{
	struct world w = { .n = 0 };

	(void)state;
	add(&w, "app",
	    "{'1.0.0':{'dependencies':{'old':'npm:lib@1','lib':'^2',"
	    "'@s/x':'npm:@t/y@^3.0.0','plain':'npm:lib'}}}");
	add(&w, "lib", "{'1.0.0':{},'2.0.0':{},'2.5.0':{'tag':'latest'}}");
	add(&w, "@t/y", "{'3.1.0':{'dependencies':{'lib':'1'}}}");
	expect(&w, "1",
	    "@s/x=3.1.0 @s/x>lib=1.0.0 app=1.0.0 lib=2.5.0 old=1.0.0 "
	    "plain=2.5.0");
}

static void
test_optional(void **state)
{
	struct world w = { .n = 0 };

	(void)state;
	add(&w, "app",
	    "{'1.0.0':{'optionalDependencies':{'linux':'1','mac':'1',"
	    "'gone':'1','musl':'1','odd':'git+ssh://h/x'},"
	    "'dependencies':{'mac':'1'}}}");
	add(&w, "linux",
	    "{'1.0.0':{'os':['linux'],'cpu':['x64'],'libc':['glibc'],"
	    "'dependencies':{'gone':'1'}}}");
	add(&w, "mac", "{'1.0.0':{'os':['darwin']}}");
	add(&w, "musl", "{'1.0.0':{'libc':['musl']}}");
	expect(&w, "1", "app=1.0.0 linux=1.0.0");
}

static void
test_wrong(void **state)
{
	struct world w = { .n = 0 };

	(void)state;
	add(&w, "app",
	    "{'1.0.0':{'dependencies':{'mac':'1'}},"
	    "'2.0.0':{'dependencies':{'gone':'1'}},"
	    "'3.0.0':{'dependencies':{'odd':'user/repo'}},"
	    "'4.0.0':{'dependencies':{'mac':'^7'}}}");
	add(&w, "mac", "{'1.0.0':{'os':['darwin']}}");
	expect(&w, "1",
	    "! app 1.0.0, which needs mac '1': mac 1.0.0 is not "
	    "for this platform");
	w.n = 0;
	add(&w, "app", "{'2.0.0':{'dependencies':{'gone':'1'}}}");
	expect(&w, "2", "! app 2.0.0, which needs gone '1': no such package");
	w.n = 0;
	add(&w, "app", "{'3.0.0':{'dependencies':{'odd':'user/repo'}}}");
	expect(&w, "3", "! needs odd 'user/repo': that is not from a registry");
	w.n = 0;
	add(&w, "app", "{'4.0.0':{'dependencies':{'m':'^7'}}}");
	add(&w, "m", "{'1.0.0':{}}");
	expect(&w, "4", "! there is no version of m for '^7'");
	w.n = 0;
	add(&w, "app", "{'4.0.0':{}}");
	expect(&w, "9", "! there is no version of app for '9'");
}

static void
test_peers(void **state)
{
	struct world w = { .n = 0 };

	(void)state;
	add(&w, "app", "{'1.0.0':{'dependencies':{'sdk':'1','zod':'3||4'}}}");
	add(&w, "sdk",
	    "{'1.0.0':{'peerDependencies':{'zod':'^4','react':'*','http':'1'},"
	    "'peerDependenciesMeta':{'react':{'optional':true}}}}");
	add(&w, "zod", "{'3.9.0':{},'4.1.0':{'tag':'latest'}}");
	add(&w, "react", "{'1.0.0':{}}");
	add(&w, "http", "{'1.0.0':{}}");
	expect(&w, "1", "app=1.0.0 http=1.0.0 sdk=1.0.0 zod=4.1.0");
	w.n = 0;
	/* One that cannot be had beside it is done without, not refused. */
	add(&w, "app", "{'1.0.0':{'dependencies':{'sdk':'1','zod':'3'}}}");
	add(&w, "sdk", "{'1.0.0':{'peerDependencies':{'zod':'^4'}}}");
	add(&w, "zod", "{'3.9.0':{},'4.1.0':{}}");
	expect(&w, "1", "app=1.0.0 sdk=1.0.0 zod=3.9.0");
}

static void
test_bundled(void **state)
{
	struct world w = { .n = 0 };

	(void)state;
	add(&w, "app",
	    "{'1.0.0':{'dependencies':{'a':'1','b':'1'},"
	    "'bundleDependencies':['a']}}");
	add(&w, "b",
	    "{'1.0.0':{'dependencies':{'x':'1'},"
	    "'bundledDependencies':true}}");
	expect(&w, "1", "app=1.0.0 b=1.0.0");
}

static void
test_pick(void **state)
{
	static const struct {
		const char *want, *version; /* NULL: none */
	} tab[] = { { "latest", "1.5.0" }, { "", "1.5.0" }, { "^1", "1.5.0" },
		{ "next", "3.0.0-rc.1" }, { ">=2", "2.0.0" },
		{ "1.9.0", "1.9.0" }, { ">1.5 <2", "1.8.0" },
		{ "3.0.0-rc.1", "3.0.0-rc.1" },
		{ ">=3.0.0-rc.0", "3.0.0-rc.1" }, { "nothing", NULL },
		{ "^9", NULL } };
	struct world w = { .n = 0 };
	struct err e;

	(void)state;
	add(&w, "p",
	    "{'1.0.0':{},'1.5.0':{'tag':'latest'},'1.8.0':{},"
	    "'1.9.0':{'deprecated':'broken'},'2.0.0':{},"
	    "'3.0.0-rc.1':{'tag':'next'},'junk':{}}");
	for (size_t i = 0; i < countof(tab); i++) {
		const struct pkg *p =
		    packument_pick(w.p[0], tab[i].want, &here, &e);

		if (tab[i].version == NULL) {
			assert_null(p);
			assert_non_null(strstr(e.text, "no version of p"));
			continue;
		}
		assert_non_null(p);
		assert_string_equal(p->version, tab[i].version);
	}
	world_free(&w);
}

static void
test_names(void **state)
{
	static const char *const good[] = { "a", "a-b", "@s/n", "a.b_c~d",
		"JSONStream", "@my.scope/x" };
	static const char *const bad[] = { "", ".", "..", ".bin", "a/b", "@s",
		"@s/", "@/n", "@s/../x", "@../x", "a b", "a\nb", "/a", "@s/n/m",
		"node_modules", "@s/.x", "a\\b" };
	char longer[300];

	(void)state;
	for (size_t i = 0; i < countof(good); i++)
		assert_true(package_name_valid(good[i]));
	for (size_t i = 0; i < countof(bad); i++) {
		if (package_name_valid(bad[i]))
			fail_msg("'%s' is a name", bad[i]);
	}
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_false(package_name_valid(longer));
}

static void
test_hostile(void **state)
{
	static const char *const texts[] = { "", "[]", "{}", "null",
		"{\"versions\":{}}", "{\"versions\":[1,2]}",
		"{\"versions\":{\"1.0.0\":3}}" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < countof(texts); i++) {
		struct packument *p = packument_new("p");

		assert_int_equal(
		    packument_parse(p, texts[i], strlen(texts[i]), &e), -1);
		assert_int_equal(e.code, ERR_INSTALL_FAILED);
		packument_free(p);
	}
}

/* A dependency whose name leads out is refused with its package. */
static void
test_hostile_names(void **state)
{
	struct world w = { .n = 0 };

	(void)state;
	add(&w, "app", "{'1.0.0':{'dependencies':{'../../x':'1'}}}");
	expect(&w, "1", "! a dependency has a bad name");
	w.n = 0;
	add(&w, "app", "{'1.0.0':{'dependencies':{'x':'npm:../y@1'}}}");
	expect(&w, "1", "! that is not from a registry");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_hoist),
		cmocka_unit_test(test_conflict),
		cmocka_unit_test(test_not_in_the_way),
		cmocka_unit_test(test_cycle), cmocka_unit_test(test_alias),
		cmocka_unit_test(test_optional), cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_peers), cmocka_unit_test(test_bundled),
		cmocka_unit_test(test_pick), cmocka_unit_test(test_names),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_hostile_names) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("courier_tree", tests, NULL, NULL);
}
