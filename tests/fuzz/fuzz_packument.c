/*
 * What registries say of packages, and the tree of folders that comes of it:
 * names are fit for paths, whatever is picked lies in the range that was
 * wanted, and everybody finds what he needs.
 *
 * Input: a line with the range that is wanted of the first package; then
 * packages with an empty line behind each: a line with the name, and what the
 * registry says of it.
 *
 * Also: src/courier/digest.c
 * Also: src/courier/packument.c
 * Also: src/courier/platform.c
 * Also: src/courier/semver.c
 * Also: src/courier/tree.c
 * Needs: -lmd
 */
#include "fuzz.h"

#include "courier/tree.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include <string.h>

#define PACKAGES_MAX 8
#define INPUT_MAX (32u << 10)
#define PATH_SIZE 65536

static const struct platform here = { .cpu = "x64", .known_cpu = true };

struct world {
	struct packument *p[PACKAGES_MAX]; /* owned */
	bool asked[PACKAGES_MAX];
	size_t n;
};

static int
lookup(void *ctx, const char *name, struct packument **p_out, struct err *e)
{
	struct world *w = ctx;

	CHECK(package_name_valid(name));
	for (size_t i = 0; i < w->n; i++) {
		if (strcmp(packument_name(w->p[i]), name) != 0)
			continue;
		if (!w->asked[i]) {
			w->asked[i] = true;
			return 0; /* it comes later */
		}
		*p_out = w->p[i];
		return 1;
	}
	return err_set(e, ERR_INSTALL_FAILED, "no such package");
}

static void
check_pkg(const struct pkg *p)
{
	CHECK(p->tarball != NULL && p->digest.kind != DIGEST_NONE);
	for (size_t i = 0; i < p->ndeps; i++) {
		const struct pkg_dep *d = &p->deps[i];

		CHECK(package_name_valid(d->name));
		CHECK(d->want == NULL || package_name_valid(d->real));
	}
	for (size_t i = 0; i < p->nbins; i++) {
		const char *name = p->bins[i].name;

		CHECK(name[0] != '\0' && name[0] != '.');
		CHECK(strchr(name, '/') == NULL);
	}
}

/* What Node.js finds by NAME from FROM. */
static const struct tree_node *
finds(const struct tree_node *from, const char *name)
{
	for (; from != NULL; from = from->parent) {
		const struct tree_node *c;

		LIST_FOREACH (c, &from->children, sibling) {
			if (strcmp(c->name, name) == 0)
				return c;
		}
	}
	return NULL;
}

static void
check_tree(const struct tree *t)
{
	static char path[PATH_SIZE];
	const struct tree_node *n;

	TAILQ_FOREACH (n, tree_nodes(t), link) {
		check_pkg(n->pkg);
		CHECK(package_name_valid(n->name) && n->pkg->suits);
		CHECK(tree_path(n, path, sizeof(path)) == -1 ||
		      strstr(path, "..") == NULL ||
		      strstr(n->name, "..") != NULL || path[0] != '/');
		for (size_t i = 0; i < n->nedges; i++) {
			const struct tree_edge *e = &n->edges[i];

			if (e->to == NULL || e->dep->kind == DEP_PEER)
				continue;
			CHECK(finds(n, e->dep->name) == e->to);
			CHECK(!range_valid(e->dep->want) ||
			      range_holds(e->dep->want, &e->to->pkg->v) ||
			      e->to->pkg->v.pre[0] != '\0' ||
			      e->dep->want[0] == '\0');
		}
	}
}

static void
grow(struct world *w, const char *want)
{
	struct tree *t = tree_new(&here, lookup, w);
	struct err e = { 0 };
	int r = 0;

	if (tree_want(t, packument_name(w->p[0]), want, &e) == 0) {
		for (size_t i = 0; i <= PACKAGES_MAX && r == 0; i++)
			r = tree_grow(t, &e);
		CHECK(r != 0);
		if (r == -1)
			CHECK(e.code != ERR_NONE && e.text[0] != '\0');
		else
			check_tree(t);
	}
	tree_free(t);
}

/* One package of the input; its length with what ends it. */
static size_t
take(struct world *w, const char *at, size_t left)
{
	const char *end = memmem(at, left, "\n\n", 2);
	size_t len = end != NULL ? (size_t)(end - at) : left;
	const char *nl = memchr(at, '\n', len);
	struct packument *p;
	struct err e;
	char *name;

	if (nl != NULL && memchr(at, '\0', (size_t)(nl - at)) == NULL) {
		name = xstrndup(at, (size_t)(nl - at));
		if (package_name_valid(name)) {
			p = packument_new(name);
			if (packument_parse(p, nl + 1,
				len - (size_t)(nl + 1 - at), &e) == 0)
				w->p[w->n++] = p;
			else
				packument_free(p);
		}
		free(name);
	}
	return end != NULL ? len + 2 : len;
}

static void
quiet(void *ctx, enum log_level level, const char *line, size_t len)
{
	(void)ctx, (void)level, (void)line, (void)len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *nl = memchr(data, '\n', size);
	struct world w = { .n = 0 };
	const struct pkg *p;
	struct err e;
	size_t left, n;
	char *want;

	if (nl == NULL || size > INPUT_MAX ||
	    memchr(data, '\0', (size_t)(nl - at)) != NULL)
		return 0;
	log_sink(quiet, NULL);
	want = xstrndup(at, (size_t)(nl - at));
	left = size - (size_t)(nl + 1 - at);
	at = nl + 1;
	while (left > 0 && w.n < PACKAGES_MAX) {
		n = take(&w, at, left);
		at += n;
		left -= n;
	}
	if (w.n > 0) {
		p = packument_pick(w.p[0], want, &here, &e);
		if (p != NULL)
			check_pkg(p);
		CHECK(p == NULL || !range_valid(want) ||
		      range_holds(want, &p->v));
		grow(&w, want);
	}
	for (size_t i = 0; i < w.n; i++)
		packument_free(w.p[i]);
	free(want);
	return 0;
}
