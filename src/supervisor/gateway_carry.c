/*
 * The gateways over an exec of ourselves (carry.h): they go on serving, with
 * the settings that they were given. Runs in the supervisor.
 */
#include "lib/xalloc.h"
#include "supervisor/carry_parts.h"
#include "supervisor/gateway_priv.h"

#include <stdio.h>
#include <string.h>

void
gateways_put(struct super *s, struct carry *c)
{
	const struct gateways *gs = s->gateways;
	struct jw *w = &c->w;
	const struct extra *x;

	carry_put_fd(c, "page", gs->page_fd);
	jw_kbool(w, "rest", gs->rest);
	jw_kbool(w, "served", gs->served);
	jw_key(w, "extras");
	jw_array(w);
	LIST_FOREACH (x, &gs->extras, link) {
		jw_object(w);
		jw_kstr(w, "name", x->name);
		jw_kstr(w, "sandbox", x->sandbox);
		jw_kint(w, "port", x->port);
		carry_put_fd(c, "fd", x->fd);
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_key(w, "list");
	jw_array(w);
	for (size_t i = 0; i < gs->n; i++) {
		jw_object(w);
		proc_put(&gs->v[i].proc, c, "proc");
		jw_kbool(w, "serving", gs->v[i].serving);
		jw_kbool(w, "want_renew", gs->v[i].want_renew);
		jw_object_end(w);
	}
	jw_array_end(w);
}

static void
extra_take(struct gateways *gs, const struct json *j)
{
	const char *sandbox = json_str(j, "sandbox", NULL);
	struct extra *x = xcalloc(1, sizeof(*x));

	x->name = xstrdup(json_str(j, "name", ""));
	x->sandbox = sandbox != NULL ? xstrdup(sandbox) : NULL;
	x->port = (int)json_int(j, "port", 0);
	x->fd = carry_take_fd(j, "fd");
	LIST_INSERT_HEAD(&gs->extras, x, link);
}

/* The number of them is what it was, whatever the configuration says now: each
 * has a part of the page. */
int
gateways_take(struct super *s, const struct json *j, struct err *e)
{
	struct gateways *gs = s->gateways;
	size_t n = 0;

	fd_close(&gs->page_fd);
	gs->page_fd = carry_take_fd(j, "page");
	gs->rest = json_bool(j, "rest", false);
	gs->served = json_bool(j, "served", false);
	json_foreach (it, json_get(j, "extras"))
		extra_take(gs, it);
	json_foreach (it, json_get(j, "list")) {
		struct gateway_proc *g = &gs->v[n];

		if (n == GATEWAYS_MAX)
			break;
		if (n >= gs->n)
			gateway_init(gs, n);
		n++;
		if (proc_take(&g->proc, json_get(it, "proc"), e) == -1)
			return -1;
		g->serving = json_bool(it, "serving", false);
		g->want_renew = json_bool(it, "want_renew", false);
		if (g->proc.ch != NULL)
			gateway_chan_set(g->proc.ch);
	}
	gs->n = n;
	return 0;
}

const char *
gateways_busy(struct super *s)
{
	struct gateways *gs = s->gateways;
	static char text[128];
	const char *why;

	for (size_t i = 0; i < gs->n; i++) {
		why = gs->v[i].nasks > 0 ? gateway_ask_first(&gs->v[i])
					 : proc_busy(&gs->v[i].proc);
		if (why == NULL && !gs->v[i].renew)
			continue;
		(void)snprintf(text, sizeof(text), "%s",
		    why != NULL ? why : "a gateway is being replaced");
		return text;
	}
	return NULL;
}

void
gateways_hold(struct gateways *gs, bool on)
{
	for (size_t i = 0; i < gs->n; i++) {
		if (gs->v[i].proc.ch == NULL)
			continue;
		if (on)
			chan_pause(gs->v[i].proc.ch);
		else
			chan_resume(gs->v[i].proc.ch);
	}
}

int
gateways_lent(const struct gateways *gs, const char *name)
{
	const struct extra *x;

	LIST_FOREACH (x, &gs->extras, link) {
		if (strcmp(x->name, name) == 0)
			return x->fd;
	}
	return -1;
}
