/*
 * What concerns all gateways: sockets that come and go, sandboxes that pause,
 * what status tells. Runs in the supervisor.
 */
#include "supervisor/gateway_priv.h"

#include "lib/xalloc.h"
#include "supervisor/listen.h"
#include "supervisor/memory.h"
#include "supervisor/sandboxes.h"
#include "supervisor/sessions.h"

#include <string.h>

/* --- more sockets -------------------------------------------------------- */

void
gateway_extra_free(struct extra *x)
{
	LIST_REMOVE(x, link);
	fd_close(&x->fd);
	free(x->name);
	free(x->sandbox);
	free(x);
}

static struct extra *
extra_find(struct gateways *gs, const char *name)
{
	struct extra *x;

	LIST_FOREACH (x, &gs->extras, link) {
		if (strcmp(x->name, name) == 0)
			return x;
	}
	return NULL;
}

int
gateways_listen(struct gateways *gs, const char *name, int fd,
    const char *sandbox, int port, struct err *e)
{
	struct extra *x;

	if (gs->n == 0 || extra_find(gs, name) != NULL) {
		fd_close(&fd);
		return gs->n == 0 ? err_set(e, ERR_SYSTEM,
					"%s: HTTP is not served here", name)
				  : err_set(e, ERR_LIMIT,
					"%s: is served already", name);
	}
	x = xcalloc(1, sizeof(*x));
	x->name = xstrdup(name);
	x->sandbox = sandbox != NULL ? xstrdup(sandbox) : NULL;
	x->fd = fd;
	x->port = port;
	LIST_INSERT_HEAD(&gs->extras, x, link);
	for (size_t i = 0; i < gs->n; i++) {
		if (proc_up(&gs->v[i].proc))
			gateway_send_listen(
			    &gs->v[i], name, fd, false, sandbox, port);
	}
	return 0;
}

void
gateways_lend_socket(struct gateways *gs, const char *name, int fd, bool tls)
{
	for (size_t i = 0; i < gs->n; i++) {
		if (proc_up(&gs->v[i].proc))
			gateway_send_listen(&gs->v[i], name, fd, tls, NULL, 0);
	}
}

void
gateways_unlisten(struct gateways *gs, const char *name)
{
	struct extra *x = extra_find(gs, name);

	if (x == NULL)
		return;
	gateway_extra_free(x);
	gateways_close_socket(gs, name);
}

void
gateways_close_socket(struct gateways *gs, const char *name)
{
	struct jw *w;

	for (size_t i = 0; i < gs->n; i++) {
		struct proc *p = &gs->v[i].proc;

		if (!proc_up(p) ||
		    (w = proc_notice(p, MSG_GATEWAY_UNLISTEN)) == NULL)
			continue;
		jw_kstr(w, "name", name);
		(void)proc_send(p, NULL, 0); /* or it is dying */
	}
}

/* --- pauses -------------------------------------------------------------- */

static void
send_leave(struct gateways *gs, const char *kind, const char *id)
{
	struct jw *w;

	for (size_t i = 0; i < gs->n; i++) {
		w = proc_notice(&gs->v[i].proc, MSG_GATEWAY_LEAVE);
		if (w == NULL)
			continue;
		jw_kstr(w, "kind", kind);
		jw_kstr(w, "name", id);
		(void)proc_send(&gs->v[i].proc, NULL, 0); /* or it is dying */
	}
}

void
gateways_leave(struct gateways *gs, const struct sandbox *sb)
{
	struct session *ss;

	send_leave(gs, "init", sb->id);
	send_leave(gs, "files", sb->id);
	LIST_FOREACH (ss, &gs->s->sessions, link) {
		if (ss->sb == sb && !ss->ended)
			send_leave(gs, "session", ss->id);
	}
}

/* --- status -------------------------------------------------------------- */

void
gateways_write(struct gateways *gs, struct jw *w)
{
	const struct listeners *ls = gs->s->listeners;

	jw_key(w, "http");
	jw_array(w);
	for (size_t i = 0; i < ls->n && gs->n > 0; i++)
		jw_str(w, ls->v[i].name);
	jw_array_end(w);
	jw_kbool(w, "http_tls", gs->s->http.tls_cert != NULL);
	jw_kbool(w, "http_auth", gs->s->http.auth);
	jw_key(w, "gateways");
	jw_array(w);
	for (size_t i = 0; i < gs->n; i++) {
		const struct gateway_proc *g = &gs->v[i];

		jw_object(w);
		jw_kstr(w, "state", proc_state_name(g->proc.state));
		jw_kbool(w, "serving", g->serving);
		/* Never -1, which means everybody to kill(2). */
		if (g->proc.pid > 0)
			jw_kint(w, "pid", g->proc.pid);
		else
			jw_knull(w, "pid");
		jw_kint(w, "restarts", g->proc.restarts);
		jw_object_end(w);
	}
	jw_array_end(w);
}

int64_t
gateways_restarts(const struct gateways *gs)
{
	int64_t n = 0;

	for (size_t i = 0; i < gs->n; i++)
		n += gs->v[i].proc.restarts;
	return n;
}

int64_t
gateways_memory(const struct gateways *gs)
{
	int64_t n = 0;

	for (size_t i = 0; i < gs->n; i++)
		n += memory_of(gs->v[i].proc.pid);
	return n;
}
