/*
 * See packument.h. Runs in the courier; what registries and packages say may be
 * anything. Names become paths, so they are checked here, once.
 *
 * A packument holds thousands of versions of which one is wanted: each is kept
 * as the text of what may be needed of it, and read again when it is picked.
 */
#include "courier/packument.h"

#include "lib/defs.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>

#define VERSIONS_MAX 50000
#define TAGS_MAX 1000
#define DEPS_MAX 2000
#define BINS_MAX 200
#define DEPTH 32u
#define MANIFEST_BYTES (1u << 20)

struct version {
	struct semver v;
	bool deprecated;
	char *text;	 /* owned: compact JSON */
	char *file;	 /* owned: of the mirror, or NULL */
	struct pkg *pkg; /* owned, once it was picked */
};

struct packument {
	char *name;
	struct json *tags; /* owned: the tree of "dist-tags", or NULL */
	struct version *v; /* owned */
	size_t n, room;
};

/* --- names and dependencies ---------------------------------------------- */

static bool
name_part_valid(const char *s, size_t n)
{
	if (n == 0 || s[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || strchr("-._~", c) != NULL))
			return false;
	}
	return true;
}

bool
package_name_valid(const char *name)
{
	size_t n = strlen(name), scope = 0;

	if (n == 0 || n > PACKAGE_NAME_MAX)
		return false;
	if (name[0] == '@') {
		scope = strcspn(name, "/");
		if (name[scope] != '/' || !name_part_valid(name + 1, scope - 1))
			return false;
		scope++;
	}
	return name_part_valid(name + scope, n - scope) &&
	       strcmp(name + scope, "node_modules") != 0;
}

static bool
tag_valid(const char *s)
{
	size_t n = strlen(s);

	return n <= 100 && name_part_valid(s, n);
}

void
pkg_dep_set(
    struct pkg_dep *d, const char *name, const char *spec, enum dep_kind kind)
{
	const char *want = spec, *at;

	memset(d, 0, sizeof(*d));
	d->name = xstrdup(name);
	d->spec = xstrdup(spec);
	d->kind = kind;
	if (str_starts(spec, "npm:")) {
		/* npm:NAME@RANGE, where NAME may begin with an @. */
		spec += 4;
		at = spec[0] == '\0' ? NULL : strchr(spec + 1, '@');
		d->real = at == NULL ? xstrdup(spec)
				     : xstrndup(spec, (size_t)(at - spec));
		want = at == NULL ? "" : at + 1;
	} else {
		d->real = xstrdup(name);
	}
	if (package_name_valid(d->real) &&
	    (range_valid(want) || tag_valid(want)))
		d->want = xstrdup(want);
}

void
pkg_dep_free(struct pkg_dep *d)
{
	free(d->name);
	free(d->real);
	free(d->want);
	free(d->spec);
}

/* --- one version --------------------------------------------------------- */

static void
pkg_free(struct pkg *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->ndeps; i++)
		pkg_dep_free(&p->deps[i]);
	for (size_t i = 0; i < p->nbins; i++) {
		free(p->bins[i].name);
		free(p->bins[i].path);
	}
	free(p->deps);
	free(p->bins);
	free(p->name);
	free(p->version);
	free(p->tarball);
	free(p);
}

static bool
is_bundled(const struct json *manifest, const char *name)
{
	const struct json *b = json_get(manifest, "bundleDependencies");

	if (b == NULL)
		b = json_get(manifest, "bundledDependencies");
	if (b != NULL && b->type == JSON_BOOL)
		return b->b;
	json_foreach (one, b) {
		if (one->type == JSON_STRING && strcmp(one->str, name) == 0)
			return true;
	}
	return false;
}

/* Does an optional dependency, or a peer that need not be there, go by NAME? */
static bool
is_skipped(const struct json *m, const char *name, enum dep_kind kind)
{
	if (is_bundled(m, name))
		return true;
	if (kind == DEP_OPTIONAL)
		return false;
	if (json_get(json_get(m, "optionalDependencies"), name) != NULL)
		return true;
	if (kind == DEP_NORMAL)
		return false;
	return json_get(json_get(m, "dependencies"), name) != NULL ||
	       json_bool(json_get(json_get(m, "peerDependenciesMeta"), name),
		   "optional", false);
}

static int
dep_order(const void *a, const void *b)
{
	const struct pkg_dep *da = a, *db = b;

	if ((da->kind == DEP_PEER) != (db->kind == DEP_PEER))
		return da->kind == DEP_PEER ? 1 : -1;
	return strcmp(da->name, db->name);
}

static int
read_deps(struct pkg *p, const struct json *m, struct err *e)
{
	static const struct {
		const char *field;
		enum dep_kind kind;
	} fields[] = { { "dependencies", DEP_NORMAL },
		{ "optionalDependencies", DEP_OPTIONAL },
		{ "peerDependencies", DEP_PEER } };
	size_t most = 0;

	for (size_t i = 0; i < countof(fields); i++) {
		const struct json *map = json_get(m, fields[i].field);

		if (map != NULL && map->type == JSON_OBJECT)
			most += map->len;
	}
	if (most > DEPS_MAX)
		return err_set(e, ERR_INSTALL_FAILED,
		    "%s %s: too many dependencies", p->name, p->version);
	if (most == 0)
		return 0;
	p->deps = xcalloc(most, sizeof(*p->deps));
	for (size_t i = 0; i < countof(fields); i++) {
		json_foreach (d, json_get(m, fields[i].field)) {
			if (d->type != JSON_STRING || d->key == NULL ||
			    is_skipped(m, d->key, fields[i].kind))
				continue;
			if (!package_name_valid(d->key))
				return err_set(e, ERR_INSTALL_FAILED,
				    "%s %s: a dependency has a bad name",
				    p->name, p->version);
			pkg_dep_set(&p->deps[p->ndeps++], d->key, d->str,
			    fields[i].kind);
		}
	}
	qsort(p->deps, p->ndeps, sizeof(*p->deps), dep_order);
	return 0;
}

static void
add_bin(struct pkg *p, const char *name, const struct json *path)
{
	const char *slash = strrchr(name, '/');

	name = slash == NULL ? name : slash + 1;
	if (path->type != JSON_STRING || p->nbins == BINS_MAX ||
	    !name_part_valid(name, strlen(name)))
		return;
	p->bins[p->nbins].name = xstrdup(name);
	p->bins[p->nbins++].path = xstrdup(path->str);
}

static void
read_bins(struct pkg *p, const struct json *m)
{
	const struct json *bin = json_get(m, "bin");

	if (bin == NULL ||
	    (bin->type != JSON_STRING && bin->type != JSON_OBJECT))
		return;
	p->bins = xcalloc(BINS_MAX, sizeof(*p->bins));
	if (bin->type == JSON_STRING)
		add_bin(p, p->name, bin);
	json_foreach (b, bin) {
		if (b->key != NULL)
			add_bin(p, b->key, b);
	}
}

static int
read_dist(struct pkg *p, const struct json *m, const char *file, struct err *e)
{
	const struct json *dist = json_get(m, "dist");
	const char *url = json_str(dist, "tarball", NULL);
	const char *integrity = json_str(dist, "integrity", NULL);
	const char *shasum = json_str(dist, "shasum", NULL);

	if (file != NULL) {
		p->local = true;
		p->tarball = xstrdup(file);
		return 0;
	}
	if (url == NULL || strlen(url) > 4000)
		return err_set(e, ERR_INSTALL_FAILED,
		    "%s %s: the registry names no tarball", p->name,
		    p->version);
	p->tarball = xstrdup(url);
	if (integrity != NULL && digest_integrity(&p->digest, integrity) == 0)
		return 0;
	if (integrity == NULL && shasum != NULL &&
	    digest_hex(&p->digest, DIGEST_SHA1, shasum) == 0)
		return 0;
	return err_set(e, ERR_INSTALL_FAILED,
	    "%s %s: the registry names no digest that we know", p->name,
	    p->version);
}

static int
pkg_read(const char *name, const struct version *v, const struct platform *pf,
    struct pkg **p_out, struct err *e)
{
	struct json *m = NULL;
	struct pkg *p;
	int r;

	if (json_parse(v->text, strlen(v->text), DEPTH, &m, e) == -1)
		return -1; /* not of what we wrote */
	p = xcalloc(1, sizeof(*p));
	p->name = xstrdup(name);
	p->version = xstrdup(json_str(m, "version", ""));
	p->v = v->v;
	p->suits = platform_suits(pf, m);
	r = read_deps(p, m, e);
	if (r == 0)
		r = read_dist(p, m, v->file, e);
	if (r == 0)
		read_bins(p, m);
	json_free(m);
	if (r == -1) {
		pkg_free(p);
		return -1;
	}
	*p_out = p;
	return 0;
}

/* --- all versions -------------------------------------------------------- */

struct packument *
packument_new(const char *name)
{
	struct packument *p = xcalloc(1, sizeof(*p));

	p->name = xstrdup(name);
	return p;
}

void
packument_free(struct packument *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].text);
		free(p->v[i].file);
		pkg_free(p->v[i].pkg);
	}
	free(p->v);
	json_free(p->tags);
	free(p->name);
	free(p);
}

const char *
packument_name(const struct packument *p)
{
	return p->name;
}

/* What may be needed of a version. */
static char *
compact(const struct json *m)
{
	static const char *const fields[] = { "version", "dependencies",
		"optionalDependencies", "peerDependencies",
		"peerDependenciesMeta", "bundleDependencies",
		"bundledDependencies", "os", "cpu", "libc", "bin" };
	static const char *const dist[] = { "tarball", "integrity", "shasum" };
	struct buf b;
	struct jw w;

	buf_init(&b, MANIFEST_BYTES);
	jw_init(&w, &b);
	jw_object(&w);
	for (size_t i = 0; i < countof(fields); i++) {
		const struct json *f = json_get(m, fields[i]);

		if (f != NULL && f->type != JSON_NULL)
			jw_kvalue(&w, fields[i], f);
	}
	jw_key(&w, "dist");
	jw_object(&w);
	for (size_t i = 0; i < countof(dist); i++) {
		const struct json *f = json_get(json_get(m, "dist"), dist[i]);

		if (f != NULL)
			jw_kvalue(&w, dist[i], f);
	}
	jw_object_end(&w);
	jw_object_end(&w);
	if (b.failed) {
		buf_free(&b);
		return NULL;
	}
	return buf_steal(&b);
}

int
packument_add(struct packument *p, const struct json *manifest,
    const char *file, struct err *e)
{
	const char *version = json_str(manifest, "version", "");
	struct version *v;
	struct semver sv;
	char *text;

	if (semver_parse(version, &sv) == -1)
		return 0; /* nobody can ask for it */
	if (p->n == VERSIONS_MAX)
		return err_set(
		    e, ERR_INSTALL_FAILED, "%s: too many versions", p->name);
	text = compact(manifest);
	if (text == NULL)
		return err_set(e, ERR_INSTALL_FAILED,
		    "%s %s: too much is said of it", p->name, version);
	if (p->n == p->room) {
		p->room = p->room * 2 + 16;
		p->v = xreallocarray(p->v, p->room, sizeof(*p->v));
	}
	v = &p->v[p->n++];
	*v = (struct version){ .v = sv,
		.deprecated = json_str(manifest, "deprecated", NULL) != NULL,
		.text = text,
		.file = file != NULL ? xstrdup(file) : NULL };
	return 0;
}

/* Tags as a tree of their own. */
static int
take_tags(struct packument *p, const struct json *tags, struct err *e)
{
	struct buf b;
	struct jw w;
	int r = 0;

	if (tags == NULL || tags->type != JSON_OBJECT || tags->len > TAGS_MAX)
		return 0;
	buf_init(&b, MANIFEST_BYTES);
	jw_init(&w, &b);
	jw_value(&w, tags);
	if (!b.failed)
		r = json_parse(b.data, b.len, DEPTH, &p->tags, e);
	buf_free(&b);
	return r;
}

int
packument_parse(
    struct packument *p, const char *text, size_t len, struct err *e)
{
	struct json *j = NULL;
	int r;

	if (json_parse(text, len, DEPTH, &j, e) == -1) {
		e->code = ERR_INSTALL_FAILED;
		return err_prefix(e, "what the registry says of %s", p->name);
	}
	r = take_tags(p, json_get(j, "dist-tags"), e);
	json_foreach (m, json_get(j, "versions")) {
		if (r == 0)
			r = packument_add(p, m, NULL, e);
	}
	json_free(j);
	if (r == 0 && p->n == 0)
		r = err_set(e, ERR_INSTALL_FAILED,
		    "the registry has no version of %s", p->name);
	return r;
}

static struct version *
find_version(struct packument *p, const char *text)
{
	struct semver v;

	if (text == NULL || semver_parse(text, &v) == -1)
		return NULL;
	for (size_t i = 0; i < p->n; i++) {
		if (semver_compare(&p->v[i].v, &v) == 0)
			return &p->v[i];
	}
	return NULL;
}

/* Is A to be had rather than B? */
static bool
better(const struct version *a, const struct version *b, bool release_first)
{
	if (a->deprecated != b->deprecated)
		return !a->deprecated;
	if (release_first && (a->v.pre[0] == '\0') != (b->v.pre[0] == '\0'))
		return a->v.pre[0] == '\0';
	return semver_compare(&a->v, &b->v) > 0;
}

/* A mirror has no tags: its latest is the highest release, or if there is none
 * the highest of what there is. */
static struct version *
latest(struct packument *p)
{
	struct version *best = NULL;

	if (p->tags != NULL)
		return find_version(p, json_str(p->tags, "latest", NULL));
	for (size_t i = 0; i < p->n; i++) {
		if (best == NULL || better(&p->v[i], best, true))
			best = &p->v[i];
	}
	return best;
}

static struct version *
pick(struct packument *p, const char *want)
{
	struct version *best = latest(p);

	if (!range_valid(want))
		return strcmp(want, "latest") == 0
			   ? best
			   : find_version(p, json_str(p->tags, want, NULL));
	if (best != NULL && range_holds(want, &best->v) && !best->deprecated)
		return best;
	best = NULL;
	for (size_t i = 0; i < p->n; i++) {
		if (range_holds(want, &p->v[i].v) &&
		    (best == NULL || better(&p->v[i], best, false)))
			best = &p->v[i];
	}
	return best;
}

const struct pkg *
packument_pick(struct packument *p, const char *want, const struct platform *pf,
    struct err *e)
{
	struct version *v = pick(p, want);

	if (v == NULL) {
		err_set(e, ERR_INSTALL_FAILED,
		    "there is no version of %s for '%.100s'", p->name, want);
		return NULL;
	}
	if (v->pkg == NULL && pkg_read(p->name, v, pf, &v->pkg, e) == -1)
		return NULL;
	return v->pkg;
}
