/*
 * Matching paths against patterns. Pure. Patterns come from HTTP clients, so
 * that a step counter ends what would take for ever.
 */
#include "init/files_glob.h"
#include "lib/strutil.h"

#include <string.h>

#define STEPS_MAX 2000000 /* for one path */
#define BRACES_MAX 8	  /* one in the other or one behind the other */
#define ALTERNATIVES_MAX 64

/* Does C fit the class at P (behind its bracket)? *END_OUT is behind the
 * closing bracket, NULL when there is none: then the bracket stands for itself.
 */
static bool
class_fits(const char *p, char c, const char **end_out)
{
	bool negated = *p == '!' || *p == '^', fits = false;
	const char *first;
	unsigned char lo, hi;

	p += negated ? 1 : 0;
	for (first = p; *p != '\0' && (*p != ']' || p == first); p++) {
		if (*p == '/')
			break;
		if (*p == '\\' && p[1] != '\0')
			p++;
		lo = hi = (unsigned char)*p;
		if (p[1] == '-' && p[2] != ']' && p[2] != '\0') {
			hi = (unsigned char)p[2];
			p += 2;
		}
		if ((unsigned char)c >= lo && (unsigned char)c <= hi)
			fits = true;
	}
	*end_out = *p == ']' ? p + 1 : NULL;
	return fits != negated;
}

/* One character of the path against one element of the pattern: where the
 * pattern goes on, NULL when it does not fit. */
static const char *
one_fits(const char *g, const char *s)
{
	const char *end;
	bool fits;

	if (*g == '?') {
		return *s != '/' ? g + 1 : NULL;
	}
	if (*g == '[') {
		fits = class_fits(g + 1, *s, &end);
		if (end != NULL)
			return fits && *s != '/' ? end : NULL;
	}
	if (*g == '\\' && g[1] != '\0')
		g++;
	return *g == *s && *g != '\0' ? g + 1 : NULL;
}

struct again { /* where to go on after a failure */
	const char *glob, *path;
	bool parts; /* only at the beginning of a part */
};

static bool
again_next(struct again *a, bool across)
{
	if (a->glob == NULL || *a->path == '\0')
		return false;
	if (!across && *a->path == '/')
		return false;
	if (!a->parts) {
		a->path++;
		return true;
	}
	a->path = strchr(a->path, '/');
	if (a->path == NULL) {
		a->path = "";
		return false;
	}
	a->path++;
	return true;
}

/* At G stand two stars: what is behind them. */
static const char *
super_begin(struct again *a, const char *start, const char *g, const char *s)
{
	bool whole = g == start || g[-1] == '/';

	while (*g == '*')
		g++;
	/* As a part of its own it also stands for no part at all. */
	a->parts = whole && *g == '/';
	a->glob = a->parts ? g + 1 : g;
	a->path = s;
	return a->glob;
}

/* Two places to come back to are enough: a star that comes later can do all
 * that an earlier one of its kind could. */
bool
files_glob(const char *glob, const char *path)
{
	struct again star = { 0 }, super = { 0 };
	const char *g = glob, *s = path, *next;
	long steps;

	for (steps = 0; steps < STEPS_MAX; steps++) {
		if (g[0] == '*' && g[1] == '*') {
			g = super_begin(&super, glob, g, s);
			star.glob = NULL;
			continue;
		}
		if (*g == '*') {
			star = (struct again){ ++g, s, false };
			continue;
		}
		if (*s == '\0' && *g == '\0')
			return true;
		next = *s != '\0' ? one_fits(g, s) : NULL;
		if (next != NULL) {
			g = next;
			s++;
		} else if (again_next(&star, false)) {
			g = star.glob;
			s = star.path;
		} else if (again_next(&super, true)) {
			star.glob = NULL;
			g = super.glob;
			s = super.path;
		} else {
			return false;
		}
	}
	return false;
}

/*
 * Braces
 */

/* The brace that closes the one at P, or NULL; *COMMAS_OUT where alternatives
 * end, the last of them the brace itself. */
static const char *
brace_end(const char *p, const char *cut[ALTERNATIVES_MAX], size_t *n_out)
{
	unsigned depth = 0;

	for (*n_out = 0; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0') {
			p++;
			continue;
		}
		if (*p == '{')
			depth++;
		if ((*p == ',' && depth == 1) || (*p == '}' && depth == 1)) {
			if (*n_out == ALTERNATIVES_MAX)
				return NULL;
			cut[(*n_out)++] = p;
		}
		if (*p == '}' && --depth == 0)
			return p;
	}
	return NULL;
}

static const char *
brace_begin(const char *p)
{
	for (; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '{')
			return p;
	}
	return NULL;
}

static int
expand(struct glob_list *l, const char *glob, unsigned depth, struct err *e)
{
	const char *open = brace_begin(glob), *cut[ALTERNATIVES_MAX], *from;
	char one[GLOB_MAX + 1];
	const char *close;
	size_t n, i;

	if (open == NULL) {
		if (l->n == GLOBS_MAX)
			return err_set(
			    e, ERR_BAD_REQUEST, "glob: too many alternatives");
		l->glob[l->n] = strdup(glob);
		return l->glob[l->n++] == NULL ? err_sys(e, "glob") : 0;
	}
	close = depth < BRACES_MAX ? brace_end(open, cut, &n) : NULL;
	if (close == NULL)
		return err_set(e, ERR_BAD_REQUEST, "glob: braces");
	for (from = open + 1, i = 0; i < n; from = cut[i++] + 1) {
		if (str_format(one, sizeof(one), "%.*s%.*s%s",
			(int)(open - glob), glob, (int)(cut[i] - from), from,
			close + 1) == -1)
			return err_set(e, ERR_BAD_REQUEST, "glob: too long");
		if (expand(l, one, depth + 1, e) == -1)
			return -1;
	}
	return 0;
}

int
files_globs(struct glob_list *l, const char *glob, struct err *e)
{
	l->n = 0;
	if (strlen(glob) > GLOB_MAX)
		return err_set(e, ERR_BAD_REQUEST, "glob: too long");
	return expand(l, glob, 0, e);
}

bool
files_globs_fit(const struct glob_list *l, const char *path)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (files_glob(l->glob[i], path))
			return true;
	return l->n == 0;
}

void
files_globs_free(struct glob_list *l)
{
	while (l->n > 0)
		free(l->glob[--l->n]);
}
