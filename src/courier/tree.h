/*
 * Where each package goes: the folders of node_modules that an installation
 * will have. A dependency is put as high as nobody is in its way, as npm does;
 * where another version stands there already, it goes below whoever needs it.
 */
#ifndef COURIER_TREE_H
#define COURIER_TREE_H

#include "courier/packument.h"
#include <sys/queue.h>

struct tree_edge {
	const struct pkg_dep *dep;
	struct tree_node *to; /* NULL: done without */
};

struct tree_node {
	TAILQ_ENTRY(tree_node) link; /* in the order of their making */
	LIST_ENTRY(tree_node) sibling;
	LIST_HEAD(, tree_node) children;
	struct tree_node *parent;
	char *name; /* of its folder in the parent's node_modules */
	const struct pkg *pkg;
	bool optional; /* only wanted by those that are optional */
	struct tree_edge *edges;
	size_t nedges;
};
TAILQ_HEAD(tree_nodes, tree_node);

struct tree;

/* What is known of package NAME: 1 and *P_OUT; 0: it has been asked for, and
 * tree_grow() is to be called again when it is there; -1: it cannot be had. */
typedef int tree_lookup(
    void *ctx, const char *name, struct packument **p_out, struct err *e);

struct tree *
tree_new(const struct platform *pf, tree_lookup *lookup, void *ctx);
void tree_free(struct tree *t); /* accepts NULL */
/* What stands at the top: SPEC of NAME. Before tree_grow. */
int
tree_want(struct tree *t, const char *name, const char *spec, struct err *e);
/* 1: all is placed; 0: packuments are missing; -1: E. */
int tree_grow(struct tree *t, struct err *e);
/* All packages; the top itself is not among them. */
const struct tree_nodes *tree_nodes(const struct tree *t);
const struct tree_node *tree_top(const struct tree *t, const char *name);
/* The folder of N: "node_modules/a/node_modules/@b/c". */
int tree_path(const struct tree_node *n, char *dst, size_t size);

#endif
