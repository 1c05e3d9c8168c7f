/*
 * The gateways as processes. Runs in the supervisor, which lends them listening
 * sockets, settings, a page for counters and a channel to the store, and never
 * sees a byte of their clients.
 */
#include "supervisor/gateway_priv.h"

#include "lib/frame.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/listen.h"
#include "supervisor/roles.h"
#include "supervisor/spawn.h"
#include "supervisor/storec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Each gateway's part of the shared page. */
#define SLOT_BYTES (64u << 10)
/* At the end: what is short is finished, streams are cut. */
#define STOP_GRACE_MS 250
/* When it is replaced: time for what is under way. */
#define RENEW_GRACE_MS 1000
/* And for a client that is about to ask, to be told with the answer. */
#define RENEW_IDLE_MS 300
#define START_MS 15000
/* Answers that wait for one gateway. */
#define QUEUE_BYTES (16u << 20)

static void renew_next(struct gateways *gs);
static void start_rest(struct gateways *gs);

/* --- what a new process is told ------------------------------------------ */

void
gateway_send_listen(struct gateway_proc *g, const char *name, int fd, bool tls,
    const char *sandbox, int port)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	struct jw *w;

	w = copy == -1 ? NULL : proc_notice(&g->proc, MSG_GATEWAY_LISTEN);
	if (w == NULL) {
		log_error("gateway", "a socket was not handed on",
		    LOG_STR("socket", name));
		fd_close(&copy);
		return;
	}
	jw_kstr(w, "name", name);
	if (tls)
		jw_kbool(w, "tls", true);
	if (sandbox != NULL) {
		jw_kstr(w, "sandbox", sandbox);
		jw_kint(w, "port", port);
	}
	(void)proc_send(&g->proc, &copy, 1); /* or it is dying */
}

static void
on_feed(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	const struct gateway_proc *g = ctx;

	if (ok == NULL)
		log_warn("gateway", "no feed", LOG_STR("proc", g->proc.name),
		    LOG_STR("detail", e->text));
}

/* A channel of its own to the store that is running now. */
static void
send_feed(struct gateway_proc *g)
{
	struct proc *store = storec_proc(g->s->store);
	int theirs = -1, its = -1;
	struct err e;
	struct jw *w;

	if (!proc_up(store) || !proc_up(&g->proc))
		return; /* whoever comes up later calls again */
	if (fd_socketpair(&theirs, &its, &e) == -1) {
		log_error("gateway", "no feed", LOG_STR("detail", e.text));
		return;
	}
	w = proc_call(store, MSG_STORE_FEED, 0, on_feed, g);
	if (w == NULL) {
		fd_close(&theirs);
		fd_close(&its);
		return;
	}
	(void)proc_send(store, &theirs, 1); /* failure comes as an answer */
	w = proc_notice(&g->proc, MSG_GATEWAY_FEED);
	if (w == NULL) {
		fd_close(&its);
		return;
	}
	(void)proc_send(&g->proc, &its, 1); /* or it is dying */
}

static void
on_started(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct gateway_proc *g = ctx;

	g->serving = ok != NULL;
	if (ok == NULL)
		log_error("gateway", "does not serve",
		    LOG_STR("proc", g->proc.name), LOG_STR("detail", e->text));
	g->renew = false;
	if (ok != NULL) {
		g->gs->served = true;
		start_rest(g->gs);
		super_http_up(g->s);
		renew_next(g->gs);
	} else if (e->code == ERR_BAD_REQUEST && !g->gs->served) {
		/* What it was told is wrong, and will be the next time. */
		log_error("super", "HTTP cannot be served",
		    LOG_STR("cert", g->s->conf.tls_cert),
		    LOG_STR("key", g->s->conf.tls_key));
		super_stop(g->s, EXIT_SYS);
	}
}

static void
send_start(struct gateway_proc *g)
{
	int fd = fcntl(g->gs->page_fd, F_DUPFD_CLOEXEC, 3);
	struct jw *w =
	    proc_call(&g->proc, MSG_GATEWAY_START, START_MS, on_started, g);

	if (w == NULL) {
		fd_close(&fd);
		return;
	}
	jw_kint(w, "index", g->index);
	jw_kint(w, "slots", (int64_t)g->gs->n);
	jw_key(w, "settings");
	settings_write(&g->s->http, &g->s->conf, w);
	/* Without the page (no descriptor is left) it says so and ends. */
	(void)proc_send(&g->proc, &fd, fd == -1 ? 0 : 1); /* an answer */
}

static void
up(struct proc *p)
{
	struct gateway_proc *g = p->owner;
	const struct listeners *ls = g->s->listeners;
	struct extra *x;

	role_up(g->s, p);
	gateway_chan_set(p->ch);
	send_start(g);
	send_feed(g);
	for (size_t i = 0; i < ls->n; i++)
		gateway_send_listen(
		    g, ls->v[i].name, ls->v[i].fd, ls->v[i].tls, NULL, 0);
	LIST_FOREACH (x, &g->gs->extras, link) {
		gateway_send_listen(
		    g, x->name, x->fd, false, x->sandbox, x->port);
	}
}

/* --- the process --------------------------------------------------------- */

static int
start(struct proc *p, struct err *e)
{
	static char program[] = "sandboxd-gateway", uid_flag[] = "--uid",
		    gid_flag[] = "--gid", root_flag[] = "--root", here[] = ".",
		    store_flag[] = "--store";
	struct gateway_proc *g = p->owner;
	struct super *s = g->s;
	autofree char *store = xasprintf("%s/store", s->conf.state_dir);
	char id[16];
	char *argv[12];
	size_t n = 0;
	autofd int dir_fd = openat(s->state_fd, "empty",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir_fd == -1)
		return err_sys(e, "open %s/empty", s->conf.state_dir);
	(void)snprintf(
	    id, sizeof(id), "%lu", (unsigned long)SUPER_GATEWAY_ID(s));
	argv[n++] = program;
	argv[n++] = store_flag;
	argv[n++] = store;
	if (s->root) {
		argv[n++] = uid_flag;
		argv[n++] = id;
		argv[n++] = gid_flag;
		argv[n++] = id;
		argv[n++] = root_flag;
		argv[n++] = here;
	}
	argv[n] = NULL;
	return spawn_helper(s, p, dir_fd, argv, e);
}

static void
send_stop(struct gateway_proc *g, int64_t grace_ms, int64_t idle_ms)
{
	struct jw *w = proc_notice(&g->proc, MSG_GATEWAY_STOP);

	if (w == NULL)
		return;
	jw_kint(w, "grace_ms", grace_ms);
	jw_kint(w, "idle_ms", idle_ms);
	(void)proc_send(&g->proc, NULL, 0); /* the ladder follows */
}

static void
ask_stop(struct proc *p)
{
	struct gateway_proc *g = p->owner;

	bool back = g->renew || g->gs->paused; /* another comes after it */

	send_stop(
	    g, back ? RENEW_GRACE_MS : STOP_GRACE_MS, back ? RENEW_IDLE_MS : 0);
	p->stop_ms = p->kind->stop_ms + (back ? RENEW_GRACE_MS : 0);
}

static void
down(struct proc *p, const char *cause ATTR_UNUSED)
{
	struct gateway_proc *g = p->owner;

	g->serving = false;
	role_down(g->s, p);
	gateway_asks_drop(g);
	start_rest(g->gs);
	if (p->state == PS_DOWN && g->renew && !g->s->stopping) {
		proc_start_soon(p);
		return;
	}
	super_stop_step(g->s);
}

static const struct proc_kind gateway_kind = {
	.role = ROLE_GATEWAY,
	.start = start,
	.up = up,
	.message = gateway_asked,
	.ask_stop = ask_stop,
	.down = down,
	.start_ms = START_MS,
	.stop_ms = 2000,
	.restart = true,
	.keep_trying = true,
};

/* --- all of them --------------------------------------------------------- */

/* One page of memory that all of them map, of a size that none can change. */
static int
make_page(size_t bytes, struct err *e)
{
	int fd = memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1 || ftruncate(fd, (off_t)bytes) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ==
		-1) {
		(void)err_sys(e, "memory for counters");
		fd_close(&fd);
	}
	return fd;
}

void
gateway_init(struct gateways *gs, size_t i)
{
	struct gateway_proc *g = &gs->v[i];

	g->s = gs->s;
	g->gs = gs;
	g->index = (unsigned)i;
	TAILQ_INIT(&g->asks);
	proc_init(&g->proc, &gateway_kind, g, gs->s->loop, "gateway %zu", i);
}

void
gateway_chan_set(struct chan *ch)
{
	chan_set_depth(ch, JSON_DEPTH_CONTROL + 1);
	chan_set_queue(ch, QUEUE_BYTES);
}

/* How many there are: none where there is nothing to serve on. */
static void
count(struct gateways *gs)
{
	struct super *s = gs->s;
	struct err e;

	if (gs->n > 0 || s->http.off || s->listeners->n == 0)
		return;
	gs->n = (size_t)s->conf.processes; /* HUP does not change it */
	if (gs->n > 0)
		gs->page_fd = make_page(gs->n * SLOT_BYTES, &e);
	if (gs->n > 0 && gs->page_fd == -1) {
		log_error("gateway", "no HTTP", LOG_STR("detail", e.text));
		gs->n = 0;
	}
	for (size_t i = 0; i < gs->n; i++)
		gateway_init(gs, i);
}

struct gateways *
gateways_new(struct super *s)
{
	struct gateways *gs = xcalloc(1, sizeof(*gs));

	gs->s = s;
	gs->page_fd = -1;
	LIST_INIT(&gs->extras);
	count(gs);
	return gs;
}

void
gateways_free(struct gateways *gs)
{
	struct extra *x;

	if (gs == NULL)
		return;
	for (size_t i = 0; i < gs->n; i++) {
		proc_free(&gs->v[i].proc);
		gateway_asks_drop(&gs->v[i]);
	}
	while ((x = LIST_FIRST(&gs->extras)) != NULL)
		gateway_extra_free(x);
	fd_close(&gs->page_fd);
	free(gs);
}

static void
start_one(struct gateway_proc *g)
{
	struct err e;

	if (g->proc.state != PS_DOWN || g->s->stopping || g->gs->paused)
		return;
	if (proc_start(&g->proc, &e) == -1) {
		log_error("gateway", "not started", LOG_STR("detail", e.text));
		proc_start_soon(&g->proc); /* and again */
	}
}

void
gateways_grow(struct gateways *gs)
{
	if (gs->n > 0)
		return;
	count(gs);
	gs->rest = true;
	for (size_t i = 0; i < gs->n; i++)
		start_one(&gs->v[i]);
}

bool
gateways_some(const struct gateways *gs)
{
	return gs->n > 0;
}

void
gateways_start(struct gateways *gs)
{
	/* What a former store has left can be read at once. The lock file must
	 * not be made by us: it would not be the store's. */
	if (faccessat(gs->s->state_fd, "store/data.mdb", R_OK, AT_EACCESS) ==
		0 &&
	    faccessat(gs->s->state_fd, "store/lock.mdb", R_OK, AT_EACCESS) == 0)
		start_one(&gs->v[0]);
}

/* The others are started when the first one serves (or does not), so that they
 * do not take its time. */
static void
start_rest(struct gateways *gs)
{
	for (size_t i = 1; i < gs->n && !gs->rest; i++)
		start_one(&gs->v[i]);
	gs->rest = true;
}

void
gateways_store_up(struct gateways *gs)
{
	if (gs->n > 0)
		start_one(&gs->v[0]);
	for (size_t i = 0; i < gs->n; i++)
		send_feed(&gs->v[i]); /* the former one ended with the store */
}

void
gateways_ready(struct gateways *gs)
{
	for (size_t i = 0; i < gs->n; i++)
		gateway_asks_ready(&gs->v[i]);
}

bool
gateways_stop_all(struct gateways *gs)
{
	bool some = false;

	for (size_t i = 0; i < gs->n; i++) {
		struct gateway_proc *g = &gs->v[i];

		if (g->proc.state == PS_DOWN)
			continue;
		some = true;
		g->renew = false;
		if (g->proc.state == PS_STOPPING && g->proc.stop_wanted)
			continue;
		g->proc.stop_ms = gateway_kind.stop_ms;
		g->proc.stop_wanted = true;
		proc_stop(&g->proc);
	}
	return !some;
}

/* --- for a while ---------------------------------------------------------- */

void
gateways_pause(struct gateways *gs)
{
	gs->paused = true;
}

void
gateways_pause_end(struct gateways *gs)
{
	gs->paused = false;
	for (size_t i = 0; i < gs->n; i++)
		start_one(&gs->v[i]);
}

/* --- new settings -------------------------------------------------------- */

/* Replace the next that has old settings, once the one before serves: there is
 * always one that accepts, if there is more than one. */
static void
renew_next(struct gateways *gs)
{
	for (size_t i = 0; i < gs->n; i++) {
		if (gs->v[i].renew)
			return;
	}
	for (size_t i = 0; i < gs->n && !gs->s->stopping; i++) {
		struct gateway_proc *g = &gs->v[i];

		if (!g->want_renew)
			continue;
		g->want_renew = false;
		if (g->proc.state != PS_RUNNING)
			continue; /* it has the new ones when it is up */
		g->renew = true;
		proc_stop(&g->proc);
		return;
	}
}

void
gateways_resume(struct gateways *gs)
{
	renew_next(gs);
}

void
gateways_renew(struct gateways *gs)
{
	for (size_t i = 0; i < gs->n; i++)
		gs->v[i].want_renew = true;
	renew_next(gs);
}
