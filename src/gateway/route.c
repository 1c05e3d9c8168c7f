/*
 * Finding the route of a path: a tree of segments, built once from routes.def.
 * Runs in sandboxd-gateway on bytes that anybody sent; each byte of a path is
 * looked at once or twice, whatever it holds.
 */
#include "gateway/route.h"
#include "gateway/query.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>

struct node {
	const char *text; /* borrowed from the table; NULL for parameters */
	size_t len;
	struct node *next;  /* sibling */
	struct node *child; /* fixed segments */
	struct node *param; /* any segment */
	struct node *rest;  /* all that is left */
	const struct route *by_method[M_N];
	bool any; /* by_method has something */
};

struct route route_table[ROUTE_N] = {
#define ROUTE(sym, method, path, scope, who, body, limit, help)           \
	{ ROUTE_##sym, M_##method, SCOPE_##scope, WHO_##who, BODY_##body, \
		#sym, path, limit, help, route_##sym, NULL, 0, NULL, 0 },
#include "gateway/routes.def"
};

static const struct route_query query_table[] = {
#define QUERY(sym, name, kind, required, min, max, help) \
	{ ROUTE_##sym, name, kind, required, min, max, help },
#include "gateway/routes.def"
	{ ROUTE_N, NULL, QK_STR, false, 0, 0, NULL },
};

/* The same fields twice: whose they are, and what json_check wants. */
static const enum route_id field_route[] = {
#define BODY(sym, name, kind, required, min, max, help) ROUTE_##sym,
#include "gateway/routes.def"
	ROUTE_N,
};
static const struct json_field field_table[] = {
#define BODY(sym, name, kind, required, min, max, help) \
	{ name, kind, required, min, max },
#include "gateway/routes.def"
	{ "", JK_ANY, false, 0, 0 },
};

static struct node *root;

const char *
method_text(enum method m)
{
	static const char *const names[M_N] = { "GET", "POST", "PUT", "DELETE",
		"PATCH", "ANY" };

	return names[m];
}

size_t
route_field_index(const struct json_field *f)
{
	return (size_t)(f - field_table);
}

static struct node *
child_get(struct node *parent, const char *text, size_t len)
{
	struct node **slot = &parent->child;
	struct node *n;

	if (len > 1 && text[0] == '{')
		slot = text[1] == '*' ? &parent->rest : &parent->param;
	else
		for (; *slot != NULL; slot = &(*slot)->next)
			if ((*slot)->len == len &&
			    memcmp((*slot)->text, text, len) == 0)
				return *slot;
	if (*slot != NULL)
		return *slot;
	n = xcalloc(1, sizeof(*n));
	n->text = text;
	n->len = len;
	*slot = n;
	return n;
}

static struct node *
path_get(struct node *n, const char *path)
{
	const char *end;

	while (*path == '/') {
		path++;
		end = strchrnul(path, '/');
		n = child_get(n, path, (size_t)(end - path));
		path = end;
	}
	return n;
}

static void
route_add(struct node *from, const struct route *r, const char *path)
{
	struct node *n = path_get(from, path);

	n->by_method[r->method] = r;
	n->any = true;
}

/* Rows of a route stand together. */
static void
rows_find(struct route *r)
{
	size_t i;

	for (i = 0; query_table[i].name != NULL; i++) {
		if (query_table[i].route != r->id)
			continue;
		if (r->nquery++ == 0)
			r->query = &query_table[i];
	}
	for (i = 0; field_table[i].name[0] != '\0'; i++) {
		if (field_route[i] != r->id)
			continue;
		if (r->nfields++ == 0)
			r->fields = &field_table[i];
	}
}

void
routes_open(void)
{
	struct node *inst;
	size_t i;

	if (root != NULL)
		return;
	root = xcalloc(1, sizeof(*root));
	inst = path_get(root, "/i/{sandbox}");
	for (i = 0; i < ROUTE_N; i++) {
		struct route *r = &route_table[i];

		r->nquery = r->nfields = 0;
		rows_find(r);
		if (r->scope != SCOPE_INST)
			route_add(root, r, r->path);
		if (r->scope == SCOPE_BOTH || r->scope == SCOPE_INST)
			route_add(inst, r, r->path);
		/* OpenSandbox serves these without /v1 too. */
		if (r->scope == SCOPE_OSB && str_starts(r->path, "/v1/"))
			route_add(root, r, r->path + 3);
	}
}

static void
node_free(struct node *n)
{
	struct node *next;

	/* As deep as the longest path of the table. */
	for (; n != NULL; n = next) {
		next = n->next;
		node_free(n->child);
		node_free(n->param);
		node_free(n->rest);
		free(n);
	}
}

void
routes_close(void)
{
	node_free(root);
	root = NULL;
}

/* Decode %XX of S[0..N) to DST, which may be S; the length, or -1 when the
 * result has a NUL or is not UTF-8, or an escape is broken. */
static ssize_t
segment_decode(char *dst, const char *s, size_t n)
{
	size_t i, len = 0;

	for (i = 0; i < n; i++) {
		int hi, lo;

		if (s[i] != '%') {
			dst[len++] = s[i];
			continue;
		}
		if (n - i < 3 || (hi = query_hex(s[i + 1])) == -1 ||
		    (lo = query_hex(s[i + 2])) == -1)
			return -1;
		dst[len++] = (char)(hi << 4 | lo);
		i += 2;
	}
	if (memchr(dst, '\0', len) != NULL ||
	    utf8_valid_prefix(dst, len) != len)
		return -1;
	return (ssize_t)len;
}

/* A step that was taken by a parameter, to be decoded when all fits. */
struct step {
	const char *text;
	size_t len;
	bool rest;
};

static const struct node *
walk(const struct node *n, const char *p, struct step *steps, size_t *nsteps)
{
	const struct node *rest = NULL, *c;
	size_t rest_steps = 0, len;
	const char *rest_at = NULL;

	while (n != NULL) {
		if (n->rest != NULL) {
			rest = n->rest;
			rest_steps = *nsteps;
			rest_at = *p == '/' ? p + 1 : p;
		}
		if (*p == '\0')
			break;
		p++;
		len = strcspn(p, "/");
		for (c = n->child; c != NULL; c = c->next)
			if (c->len == len && memcmp(c->text, p, len) == 0)
				break;
		if (c == NULL && n->param != NULL && len > 0 &&
		    *nsteps <= REQ_PARAMS_MAX) {
			c = n->param;
			steps[(*nsteps)++] = (struct step){ p, len, false };
		}
		n = c;
		p += len;
	}
	if (n != NULL && n->any)
		return n;
	if (rest != NULL) {
		*nsteps = rest_steps;
		steps[(*nsteps)++] =
		    (struct step){ rest_at, strlen(rest_at), true };
	}
	return rest;
}

enum route_found
route_match(const char *path, char *arena, struct route_match *m_out)
{
	static char usual[] = "default";
	struct step steps[REQ_PARAMS_MAX + 2];
	bool inst = strncmp(path, "/i/", 3) == 0;
	const struct node *n;
	size_t i, nsteps = 0;
	ssize_t len;

	m_out->sandbox = usual;
	m_out->nparams = 0;
	n = path[0] == '/' ? walk(root, path, steps, &nsteps) : NULL;
	if (n == NULL || !n->any)
		return ROUTE_NONE;
	memcpy(m_out->by_method, n->by_method, sizeof(n->by_method));
	for (i = 0; i < nsteps; i++) {
		if (!inst && m_out->nparams == REQ_PARAMS_MAX)
			return ROUTE_NONE;
		if (steps[i].rest) {
			memcpy(arena, steps[i].text, steps[i].len);
			len = (ssize_t)steps[i].len;
		} else
			len =
			    segment_decode(arena, steps[i].text, steps[i].len);
		if (len == -1)
			return ROUTE_BAD;
		arena[len] = '\0';
		if (inst && i == 0)
			m_out->sandbox = arena;
		else
			m_out->params[m_out->nparams++] = arena;
		arena += len + 1;
	}
	return ROUTE_FOUND;
}

void
route_allow(const struct route_match *m, struct buf *out)
{
	size_t i;

	if (m->by_method[M_ANY] != NULL) {
		(void)buf_adds(out, "GET,HEAD,POST,PUT,DELETE,PATCH");
		return;
	}
	for (i = 0; i < M_ANY; i++) {
		if (m->by_method[i] == NULL)
			continue;
		if (out->len > 0)
			(void)buf_addc(out, ',');
		(void)buf_adds(out, method_text((enum method)i));
		if (i == M_GET)
			(void)buf_adds(out, ",HEAD");
	}
}
