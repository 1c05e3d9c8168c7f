/*
 * Installations from npm: which versions there are, which are wanted, where
 * each goes. Runs in the courier; what the registry says may be anything, and
 * is read by packument.c. No script of a package is ever run.
 */
#include "courier/courier.h"

#include "courier/mirror.h"
#include "lib/defs.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <stdio.h>
#include <string.h>

#define ACCEPT                                                           \
	"application/vnd.npm.install-v1+json; q=1.0, application/json; " \
	"q=0.8, */*"
#define KNOWN_MAX 5000

static void npm_go(struct job *j);

/* --- what is known of packages ------------------------------------------- */

static void
on_packument(void *ctx, struct fetch *f, const struct err *e)
{
	struct known *k = ctx;
	const struct buf *b = fetch_body(f);
	struct packument *p = packument_new(k->name);

	k->j->bytes += fetch_received(f);
	if (e != NULL) {
		k->e = *e;
	} else if (packument_parse(
		       p, b->len > 0 ? b->data : "", b->len, &k->e) == 0) {
		k->p = STEAL(p);
	}
	packument_free(p);
	fetch_free(STEAL(k->fetch));
	npm_go(k->j);
}

static void
ask_registry(struct known *k)
{
	const struct courier *c = k->j->c;
	const char *base = c->mirror != NULL ? c->mirror : c->registry;
	autofree char *url = NULL;
	struct fetch_want w = { .accept = ACCEPT,
		.max_bytes = PACKUMENT_BYTES };
	const char *slash = strchr(k->name, '/');

	if (base == NULL) {
		err_set(&k->e, ERR_INSTALL_FAILED,
		    "no registry is known: set courier.npm_registry or "
		    "courier.mirror in the configuration");
		return;
	}
	url = slash == NULL ? xasprintf("%s/%s", base, k->name)
			    : xasprintf("%s/%.*s%%2f%s", base,
				  (int)(slash - k->name), k->name, slash + 1);
	w.url = url;
	k->fetch = fetch_start(c->fetches, &w, on_packument, k);
}

static struct known *
known_get(struct job *j, const char *name)
{
	struct known *k;
	size_t n = 0;

	LIST_FOREACH (k, &j->known, link) {
		n++;
		if (strcmp(k->name, name) == 0)
			return k;
	}
	k = xcalloc(1, sizeof(*k));
	k->j = j;
	k->name = xstrdup(name);
	LIST_INSERT_HEAD(&j->known, k, link);
	if (n >= KNOWN_MAX)
		err_set(&k->e, ERR_INSTALL_FAILED, "too many packages");
	else if (j->c->mirror_fd != -1)
		(void)mirror_packument(j->c->mirror_fd, name, &k->p, &k->e);
	else
		ask_registry(k);
	return k;
}

/* See tree_lookup. */
static int
lookup(void *ctx, const char *name, struct packument **p_out, struct err *e)
{
	const struct known *k = known_get(ctx, name);

	if (k->fetch != NULL)
		return 0;
	if (k->p == NULL) {
		*e = k->e;
		return -1;
	}
	*p_out = k->p;
	return 1;
}

void
npm_free(struct job *j)
{
	struct known *k;

	tree_free(STEAL(j->tree));
	while ((k = LIST_FIRST(&j->known)) != NULL) {
		LIST_REMOVE(k, link);
		fetch_free(k->fetch);
		packument_free(k->p);
		free(k->name);
		free(k);
	}
}

/* --- what the recipe wants ----------------------------------------------- */

/* TEMPLATE with {version} filled in. */
static int
fill_version(char *dst, size_t size, const char *template, const char *version)
{
	static const char mark[] = "{version}";
	const char *at = strstr(template, mark);

	if (at == NULL)
		return str_copy(dst, size, template);
	return str_format(dst, size, "%.*s%s%s", (int)(at - template), template,
	    version, at + sizeof(mark) - 1);
}

/* Which version of its native package goes with MAIN: as the recipe says, else
 * as the package itself says, else the same. */
static int
native_spec(const struct recipe_root *root, const struct pkg *main, char *dst,
    size_t size, struct err *e)
{
	const char *spec = main->version;

	for (size_t i = 0; i < main->ndeps; i++) {
		if (strcmp(main->deps[i].name, root->native_package) == 0)
			spec = main->deps[i].spec;
	}
	if (root->native_version != NULL)
		spec = root->native_version;
	if (fill_version(dst, size, spec, main->version) == -1)
		return err_set(
		    e, ERR_BAD_REQUEST, "recipe: native: version: too long");
	return 0;
}

static int
launcher_add(struct job *j, const char *program, const char *package,
    const char *bin, struct err *e)
{
	struct launcher *l = &j->launchers[j->nlaunchers];
	char clean[BENEATH_PATH_MAX];

	if (beneath_clean(clean, bin, 0) == -1 || clean[0] == '\0' ||
	    str_format(l->target, sizeof(l->target), "node_modules/%s/%s",
		package, clean) == -1)
		return err_set(e, ERR_INSTALL_FAILED,
		    "%s: its program has a path that leads out", package);
	l->program = program;
	j->nlaunchers++;
	return 0;
}

/* The program that package.json gives: the one of the launcher's name, or its
 * only one. */
static const char *
own_bin(const struct recipe_root *root, const struct pkg *main, struct err *e)
{
	if (root->bin != NULL)
		return root->bin;
	for (size_t i = 0; i < main->nbins; i++) {
		if (strcmp(main->bins[i].name, root->program) == 0)
			return main->bins[i].path;
	}
	if (main->nbins == 1)
		return main->bins[0].path;
	err_set(e, ERR_INSTALL_FAILED, "%s %s has no program named %s",
	    main->name, main->version, root->program);
	return NULL;
}

static int
want_root(struct job *j, const struct recipe_root *root, const struct pkg *main,
    struct err *e)
{
	char spec[RANGE_TEXT_MAX + 1];
	const char *bin;

	if (root->native_package != NULL)
		return native_spec(root, main, spec, sizeof(spec), e) == -1 ||
			       tree_want(
				   j->tree, root->native_package, spec, e) == -1
			   ? -1
			   : launcher_add(j, root->program,
				 root->native_package, root->native_bin, e);
	bin = own_bin(root, main, e);
	if (bin == NULL ||
	    tree_want(j->tree, root->package, main->version, e) == -1)
		return -1;
	return launcher_add(j, root->program, root->package, bin, e);
}

/* Which version is it? 1: all of the recipe's packages are known; 0: not yet;
 * -1: E. 2: J has ended. */
static int
find_roots(struct job *j, struct err *e)
{
	const struct recipe *r = &j->recipe;
	const struct pkg *main[RECIPE_ROOTS_MAX] = { NULL };
	struct packument *pm;
	int missing = 0;

	for (size_t i = 0; i < r->nroots; i++) {
		int got = lookup(j, r->roots[i].package, &pm, e);

		missing += got == 0;
		if (got == -1)
			return -1;
		if (got == 0)
			continue;
		main[i] =
		    packument_pick(pm, r->roots[i].version, &j->c->platform, e);
		if (main[i] == NULL)
			return -1;
	}
	if (missing > 0)
		return 0;
	(void)!str_copy(j->version, sizeof(j->version),
	    main[0]->version + strspn(main[0]->version, "v="));
	if (job_is_there(j))
		return 2;
	j->tree = tree_new(&j->c->platform, lookup, j);
	for (size_t i = 0; i < r->nroots; i++) {
		if (want_root(j, &r->roots[i], main[i], e) == -1)
			return -1;
	}
	return 1;
}

/* --- what is downloaded -------------------------------------------------- */

/* Where a tarball is. A mirror with an address serves it in npm's usual place,
 * whatever its packument says. */
static char *
tarball_url(const struct courier *c, const struct pkg *p)
{
	const char *base = strrchr(p->tarball, '/');

	if (c->mirror == NULL || base == NULL)
		return xstrdup(p->tarball);
	return xasprintf("%s/%s/-/%s", c->mirror, p->name, base + 1);
}

static int
make_pieces(struct job *j, struct err *e)
{
	const struct tree_node *n;

	TAILQ_FOREACH (n, tree_nodes(j->tree), link) {
		char path[BENEATH_PATH_MAX], what[300];
		autofree char *url = NULL;

		if (tree_path(n, path, sizeof(path)) == -1)
			return err_set(e, ERR_INSTALL_FAILED,
			    "packages are nested too deep");
		if (!n->pkg->local)
			url = tarball_url(j->c, n->pkg);
		(void)snprintf(
		    what, sizeof(what), "%s %s", n->pkg->name, n->pkg->version);
		(void)piece_add(j, what, url,
		    n->pkg->local ? n->pkg->tarball : NULL, &n->pkg->digest, 1,
		    path);
	}
	return job_begin_dir(j, e);
}

/* On with it, as far as what is known allows. */
static void
npm_go(struct job *j)
{
	struct err e;
	int r = 1;

	if (j->going || j->stage != JOB_RESOLVING)
		return;
	j->going = true;
	err_clear(&e);
	if (!j->rooted) {
		r = find_roots(j, &e);
		if (r == 2)
			return; /* J has ended */
		j->rooted = r == 1;
	}
	if (r == 1)
		r = tree_grow(j->tree, &e);
	j->going = false;
	if (r == 0)
		return;
	if (r == -1 || make_pieces(j, &e) == -1) {
		job_fail(j, &e);
		return;
	}
	pieces_begin(j);
}

void
npm_begin(struct job *j)
{
	const struct recipe_root *root = &j->recipe.roots[0];
	struct semver v;

	/* Of a version that is said exactly nobody needs to be asked. */
	if (semver_parse(root->version, &v) == 0) {
		(void)!str_copy(j->version, sizeof(j->version), root->version);
		if (job_is_there(j))
			return;
	}
	npm_go(j);
}
