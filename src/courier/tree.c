/*
 * See tree.h. Runs in the courier. Pure but for the look-ups: no I/O.
 *
 * Nodes are settled in the order of their making, each with all that it needs
 * at once, so that whoever stands higher is served first. Invariant: every edge
 * that is settled leads to the package that Node.js would find from there; what
 * is placed later never comes between, unless it suits as well.
 */
#include "courier/tree.h"

#include "lib/defs.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <stdio.h>
#include <string.h>

#define NODES_MAX 5000
#define WANTS_MAX 64
/* No real package nests like this; two that need each other would without end.
 */
#define DEPTH_MAX 40

struct tree {
	const struct platform *pf;
	tree_lookup *lookup;
	void *ctx;
	struct tree_node top;
	struct pkg_dep wants[WANTS_MAX];
	struct tree_nodes nodes;
	struct tree_node *next; /* to be settled; NULL: the top, or none */
	bool top_settled;
	size_t n;
};

static int
says(const struct tree_node *n, const struct pkg_dep *d, struct err *e)
{
	char shown[64];

	str_show(shown, sizeof(shown), d->spec, strlen(d->spec));
	if (n->pkg == NULL)
		return err_prefix(e, "%s", d->name);
	return err_prefix(e, "%s %s, which needs %s '%s'", n->pkg->name,
	    n->pkg->version, d->name, shown);
}

static struct tree_node *
child(const struct tree_node *n, const char *name)
{
	struct tree_node *c;

	LIST_FOREACH (c, &n->children, sibling) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

/* What Node.js finds by NAME from FROM. */
static struct tree_node *
find(const struct tree_node *from, const char *name)
{
	for (; from != NULL; from = from->parent) {
		struct tree_node *c = child(from, name);

		if (c != NULL)
			return c;
	}
	return NULL;
}

static bool
suits(const struct pkg *p, const struct pkg_dep *d)
{
	return strcmp(p->name, d->real) == 0 && d->want != NULL &&
	       range_holds(d->want, &p->v);
}

static bool
is_below(const struct tree_node *n, const struct tree_node *up)
{
	while (n != NULL && n != up)
		n = n->parent;
	return n != NULL;
}

/* Would P at NAME below AT come between somebody and what he has found, and not
 * suit him? */
static bool
in_the_way(const struct tree *t, const struct tree_node *at, const char *name,
    const struct pkg *p)
{
	const struct tree_node *n;

	TAILQ_FOREACH (n, &t->nodes, link) {
		if (!is_below(n, at))
			continue;
		for (size_t i = 0; i < n->nedges; i++) {
			const struct tree_edge *edge = &n->edges[i];

			if (edge->to != NULL &&
			    strcmp(edge->dep->name, name) == 0 &&
			    !is_below(edge->to->parent, at) &&
			    !suits(p, edge->dep))
				return true;
		}
	}
	return false;
}

static struct tree_node *
place(struct tree *t, struct tree_node *from, const struct pkg_dep *d,
    const struct pkg *p, bool optional, struct err *e)
{
	struct tree_node *at = from, *n;
	struct packument *ignored;
	struct err none;
	unsigned depth = 0;

	if (t->n == NODES_MAX) {
		err_set(e, ERR_INSTALL_FAILED, "too many packages");
		return NULL;
	}
	for (struct tree_node *up = from; up != NULL; up = up->parent) {
		if (child(up, d->name) != NULL ||
		    (up != from && in_the_way(t, up, d->name, p)))
			break;
		at = up;
	}
	for (const struct tree_node *up = at; up != NULL; up = up->parent)
		depth++;
	if (depth > DEPTH_MAX) {
		err_set(e, ERR_INSTALL_FAILED, "packages nested too deeply");
		return NULL;
	}
	n = xcalloc(1, sizeof(*n));
	LIST_INIT(&n->children);
	n->name = xstrdup(d->name);
	n->pkg = p;
	n->parent = at;
	n->optional = optional;
	LIST_INSERT_HEAD(&at->children, n, sibling);
	TAILQ_INSERT_TAIL(&t->nodes, n, link);
	t->n++;
	/* Its own needs are asked for now, and settled later. */
	for (size_t i = 0; i < p->ndeps; i++) {
		if (p->deps[i].want != NULL && find(n, p->deps[i].name) == NULL)
			(void)t->lookup(
			    t->ctx, p->deps[i].real, &ignored, &none);
	}
	return n;
}

/* The version to be had for D; NULL and E. */
static const struct pkg *
choose(struct tree *t, const struct pkg_dep *d, struct err *e)
{
	struct packument *pm;
	const struct pkg *p;

	if (d->want == NULL) {
		err_set(e, ERR_INSTALL_FAILED, "that is not from a registry");
		return NULL;
	}
	/* It was there when the node was begun. */
	if (t->lookup(t->ctx, d->real, &pm, e) != 1)
		return NULL;
	p = packument_pick(pm, d->want, t->pf, e);
	if (p != NULL && !p->suits) {
		err_set(e, ERR_INSTALL_FAILED, "%s %s is not for this platform",
		    p->name, p->version);
		return NULL;
	}
	return p;
}

static int
settle_edge(
    struct tree *t, struct tree_node *n, struct tree_edge *edge, struct err *e)
{
	const struct pkg_dep *d = edge->dep;
	/* A peer stands beside whoever needs it, never below. */
	struct tree_node *from = d->kind == DEP_PEER ? n->parent : n;
	struct tree_node *there = find(from, d->name);
	bool optional = n->optional || d->kind == DEP_OPTIONAL;
	const struct pkg *p;

	if (there != NULL && suits(there->pkg, d)) {
		edge->to = there;
		there->optional = there->optional && optional;
		return 0;
	}
	err_clear(e);
	p = choose(t, d, e);
	if (p == NULL) {
		if (!optional)
			return says(n, d, e);
		log_debug("tree", "done without", LOG_STR("package", d->name),
		    LOG_STR("detail", e->text));
		return 0;
	}
	if (there != NULL && there->pkg == p) {
		edge->to = there; /* by a tag */
		return 0;
	}
	if (child(from, d->name) != NULL) {
		if (d->kind != DEP_PEER)
			return err_set(e, ERR_INSTALL_FAILED,
			    "two versions of %s are wanted in one place",
			    d->name);
		log_info("tree", "a peer of another version",
		    LOG_STR("package", n->pkg->name), LOG_STR("wants", d->name),
		    LOG_STR("range", d->spec),
		    LOG_STR("has", there->pkg->version));
		edge->to = there;
		return 0;
	}
	edge->to = place(t, from, d, p, optional, e);
	return edge->to == NULL ? -1 : 0;
}

static void
edges_make(struct tree_node *n, const struct pkg_dep *deps, size_t ndeps)
{
	if (n->edges != NULL || ndeps == 0)
		return;
	n->edges = xcalloc(ndeps, sizeof(*n->edges));
	for (size_t i = 0; i < ndeps; i++)
		n->edges[i].dep = &deps[i];
	n->nedges = ndeps;
}

/* 1: settled; 0: something is missing. */
static int
settle(struct tree *t, struct tree_node *n, struct err *e)
{
	bool missing = false;

	for (size_t i = 0; i < n->nedges; i++) {
		const struct pkg_dep *d = n->edges[i].dep;
		const struct tree_node *there =
		    find(d->kind == DEP_PEER ? n->parent : n, d->name);
		struct packument *pm;

		if (d->want == NULL || (there != NULL && suits(there->pkg, d)))
			continue;
		/* What cannot be had is told when its edge is settled. */
		if (t->lookup(t->ctx, d->real, &pm, e) == 0)
			missing = true;
	}
	if (missing)
		return 0;
	for (size_t i = 0; i < n->nedges; i++) {
		if (settle_edge(t, n, &n->edges[i], e) == -1)
			return -1;
	}
	return 1;
}

/* --- interface ----------------------------------------------------------- */

struct tree *
tree_new(const struct platform *pf, tree_lookup *lookup, void *ctx)
{
	struct tree *t = xcalloc(1, sizeof(*t));

	t->pf = pf;
	t->lookup = lookup;
	t->ctx = ctx;
	LIST_INIT(&t->top.children);
	TAILQ_INIT(&t->nodes);
	return t;
}

void
tree_free(struct tree *t)
{
	struct tree_node *n;

	if (t == NULL)
		return;
	while ((n = TAILQ_FIRST(&t->nodes)) != NULL) {
		TAILQ_REMOVE(&t->nodes, n, link);
		free(n->edges);
		free(n->name);
		free(n);
	}
	for (size_t i = 0; i < t->top.nedges; i++)
		pkg_dep_free(&t->wants[i]);
	free(t->top.edges);
	free(t);
}

int
tree_want(struct tree *t, const char *name, const char *spec, struct err *e)
{
	size_t n = t->top.nedges;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(t->wants[i].name, name) == 0 &&
		    strcmp(t->wants[i].spec, spec) == 0)
			return 0;
	}
	if (n == WANTS_MAX || !package_name_valid(name))
		return err_set(e, ERR_BAD_REQUEST,
		    "recipe: too many packages, or one with a bad name");
	pkg_dep_set(&t->wants[n], name, spec, DEP_NORMAL);
	free(t->top.edges);
	t->top.edges = NULL;
	edges_make(&t->top, t->wants, n + 1);
	return 0;
}

int
tree_grow(struct tree *t, struct err *e)
{
	int r;

	if (!t->top_settled) {
		r = settle(t, &t->top, e);
		if (r != 1)
			return r;
		t->top_settled = true;
		t->next = TAILQ_FIRST(&t->nodes);
	}
	for (; t->next != NULL; t->next = TAILQ_NEXT(t->next, link)) {
		edges_make(t->next, t->next->pkg->deps, t->next->pkg->ndeps);
		r = settle(t, t->next, e);
		if (r != 1)
			return r;
	}
	return 1;
}

const struct tree_nodes *
tree_nodes(const struct tree *t)
{
	return &t->nodes;
}

const struct tree_node *
tree_top(const struct tree *t, const char *name)
{
	return child(&t->top, name);
}

int
tree_path(const struct tree_node *n, char *dst, size_t size)
{
	size_t len = 0;

	if (n->parent->parent != NULL) {
		if (tree_path(n->parent, dst, size) == -1)
			return -1;
		len = strlen(dst);
	}
	return str_format(dst + len, size - len, "%snode_modules/%s",
	    len > 0 ? "/" : "", n->name);
}
