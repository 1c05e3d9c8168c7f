/*
 * See egress.h. Runs in the supervisor. What the proxy says is no more than its
 * log; rules were checked when they were given.
 */
#include "supervisor/egress.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/carry_parts.h"
#include "supervisor/roles.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define CALL_MS 15000
#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_LOOK_S 10.0 /* where the kernel does not tell of changes */
#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define PROXY "http://127.0.0.1:" STRING(PLAN_PROXY_PORT)
#define NOT_BY_PROXY "localhost,127.0.0.1,::1"

struct egress {
	struct super *s;
	struct proc proc;
	size_t served;	/* sandboxes */
	ev_timer idle;	/* ends it when it serves none */
	ev_stat resolv; /* where names are looked up has changed */
};

bool
sandbox_is_filtered(const struct sandbox_spec *sp)
{
	return strcmp(sp->network, "filtered") == 0;
}

/* --- variables ------------------------------------------------------------ */

const char *const *
egress_env(const struct sandbox *sb)
{
	/* ALL_PROXY is no socks5 address: clients in Python refuse to start
	 * with one they have no module for, even when they do not need it. */
	static const char *const vars[] = { "HTTP_PROXY=" PROXY,
		"HTTPS_PROXY=" PROXY, "ALL_PROXY=" PROXY,
		"NO_PROXY=" NOT_BY_PROXY, "http_proxy=" PROXY,
		"https_proxy=" PROXY, "all_proxy=" PROXY,
		"no_proxy=" NOT_BY_PROXY, "NODE_USE_ENV_PROXY=1", NULL };

	return sandbox_is_filtered(&sb->spec) ? vars : NULL;
}

bool
egress_env_is_set(const char *var, char *const *base, const struct json *over)
{
	size_t n = strcspn(var, "=");

	for (; base != NULL && *base != NULL; base++) {
		if (strncasecmp(*base, var, n + 1) == 0)
			return true;
	}
	json_foreach (it, over) {
		if (strlen(it->key) == n && strncasecmp(it->key, var, n) == 0)
			return true;
	}
	return false;
}

/* --- what it is told --------------------------------------------------------
 */

static void
on_answer(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct egress *eg = ctx;

	if (ok == NULL && eg->proc.ch != NULL)
		log_error(
		    "egress", "the proxy refuses", LOG_STR("detail", e->text));
}

static void
send_settings(struct egress *eg)
{
	const struct conf *c = &eg->s->conf;
	char resolver[1024];
	int fd = -1;
	struct jw *w =
	    proc_call(&eg->proc, MSG_EGRESS_SETTINGS, CALL_MS, on_answer, eg);

	if (w == NULL)
		return; /* it is about to end */
	(void)!str_copy(resolver, sizeof(resolver), c->egress_resolver);
	for (char *p = resolver; *p != '\0'; p++) {
		if (*p == ' ' || *p == '\t')
			*p = ',';
	}
	jw_kstr(w, "resolver", resolver);
	jw_kint(w, "max_connections", c->egress_max_connections);
	jw_kint(w, "max_per_sandbox", c->egress_max_per_sandbox);
	jw_kint(w, "header_ms", c->egress_header_ms);
	jw_kint(w, "dial_ms", c->egress_connect_ms);
	jw_kint(w, "idle_ms", c->egress_idle_ms);
	if (resolver[0] == '\0')
		fd = open(RESOLV_CONF, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	(void)proc_send(&eg->proc, &fd, fd != -1 ? 1 : 0);
}

static void
send_serve(struct sandbox *sb)
{
	struct egress *eg = sb->s->egress;
	int fds[2] = { -1, -1 };
	struct jw *w;

	if (!proc_up(&eg->proc))
		return; /* told when it is: see up() */
	fds[0] = fcntl(sb->proxy_fd, F_DUPFD_CLOEXEC, 3);
	if (fds[0] == -1) {
		log_error("egress", "not served", LOG_STR("sandbox", sb->id),
		    LOG_STR("detail", strerror(errno)));
		return;
	}
	w = proc_call(&eg->proc, MSG_EGRESS_SERVE, CALL_MS, on_answer, eg);
	if (w == NULL) {
		fd_close(&fds[0]);
		return;
	}
	jw_kstr(w, "sandbox", sb->id);
	jw_key(w, "egress");
	netpolicy_write(&sb->spec.egress, w);
	/* Without one it asks again, a little later. */
	(void)!sandbox_notes_channel(sb, &fds[1], NULL);
	(void)proc_send(&eg->proc, fds, fds[1] != -1 ? 2 : 1);
}

/* --- the process ------------------------------------------------------------
 */

static int
start(struct proc *p, struct err *e)
{
	static char program[] = "sandboxd-courier", job[] = "--egress",
		    uid_flag[] = "--uid", gid_flag[] = "--gid",
		    root_flag[] = "--root", here[] = ".";
	struct egress *eg = p->owner;
	struct super *s = eg->s;
	char id[16];
	char *argv[] = { program, job, s->root ? uid_flag : NULL, id, gid_flag,
		id, root_flag, here, NULL };
	autofd int dir_fd = openat(s->state_fd, "empty",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir_fd == -1)
		return err_sys(e, "open %s/empty", s->conf.state_dir);
	(void)snprintf(
	    id, sizeof(id), "%lu", (unsigned long)SUPER_EGRESS_ID(s));
	return spawn_helper(s, p, dir_fd, argv, e);
}

static void
up(struct proc *p)
{
	struct egress *eg = p->owner;
	struct sandbox *sb;

	send_settings(eg);
	LIST_FOREACH (sb, &eg->s->sandboxes, link) {
		if (sb->proxy_fd != -1)
			send_serve(sb);
	}
	ev_stat_start(eg->s->loop, &eg->resolv);
}

static int
message(struct proc *p, const struct proto_in *in,
    const struct chan_frame *f ATTR_UNUSED, struct err *e)
{
	struct egress *eg = p->owner;
	struct sandbox *sb;
	struct jw *w;
	int fd = -1;

	if (in->type != MSG_EGRESS_UNHEARD)
		return err_set(e, ERR_BAD_REQUEST, "not for the proxy to say");
	sb = sandbox_find(eg->s, json_str(in->body, "sandbox", ""));
	if (sb == NULL || sb->proxy_fd == -1 ||
	    sandbox_notes_channel(sb, &fd, NULL) == -1)
		return 0; /* it asks again */
	w = proc_notice(p, MSG_EGRESS_NOTES);
	if (w == NULL) {
		fd_close(&fd);
		return 0;
	}
	jw_kstr(w, "sandbox", sb->id);
	(void)proc_send(p, &fd, 1);
	return 0;
}

static void
ask_stop(struct proc *p)
{
	chan_free(STEAL(p->ch));
}

static void
down(struct proc *p, const char *cause ATTR_UNUSED)
{
	struct egress *eg = p->owner;

	ev_stat_stop(eg->s->loop, &eg->resolv);
	role_down(eg->s, p);
	if (p->state == PS_DOWN && eg->served > 0 && !eg->s->stopping)
		proc_start_soon(p); /* a sandbox came while it went */
	super_stop_step(eg->s);
}

/* Connections wait in the sockets' queues until the next one is there. */
static const struct proc_kind egress_kind = {
	.role = ROLE_EGRESS,
	.start = start,
	.up = up,
	.message = message,
	.ask_stop = ask_stop,
	.down = down,
	.start_ms = 15000,
	.stop_ms = 2000,
	.restart = true,
	.keep_trying = true,
};

static void
on_idle(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct egress *eg = t->data;

	if (eg->served == 0)
		proc_stop(&eg->proc);
}

static void
on_resolv(struct ev_loop *loop ATTR_UNUSED, ev_stat *w, int revents ATTR_UNUSED)
{
	struct egress *eg = w->data;

	if (proc_up(&eg->proc))
		send_settings(eg);
}

/* --- sandboxes --------------------------------------------------------------
 */

void
egress_expect(struct sandbox *sb, int sock)
{
	egress_leave(sb);
	fd_close(&sb->proxy_sock);
	sb->proxy_sock = sock;
}

/* It was made and sent by a child of ours, before anything of the sandbox ran;
 * nobody else ever had the other end. */
static int
take_socket(struct sandbox *sb, struct err *e)
{
	size_t nfds = 0;
	int fds[FDIO_MAX_FDS];
	ssize_t n;
	char c;

	n = fd_recv(sb->proxy_sock, &c, 1, fds, &nfds);
	fd_close(&sb->proxy_sock);
	if (n != 1 || nfds != 1) {
		fd_close_all(fds, nfds);
		return err_set(e, ERR_INTERNAL, "no listening socket came");
	}
	sb->proxy_fd = fds[0];
	return 0;
}

int
egress_serve(struct sandbox *sb, struct err *e)
{
	struct egress *eg = sb->s->egress;

	if (!sandbox_is_filtered(&sb->spec))
		return 0;
	if (take_socket(sb, e) == -1)
		return -1;
	eg->served++;
	ev_timer_stop(sb->s->loop, &eg->idle);
	if (eg->proc.state == PS_DOWN)
		proc_start_soon(&eg->proc);
	else
		send_serve(sb);
	return 0;
}

void
egress_rules(struct sandbox *sb)
{
	struct egress *eg = sb->s->egress;
	struct jw *w;

	if (sb->proxy_fd == -1 || !proc_up(&eg->proc))
		return;
	w = proc_call(&eg->proc, MSG_EGRESS_RULES, CALL_MS, on_answer, eg);
	if (w == NULL)
		return;
	jw_kstr(w, "sandbox", sb->id);
	jw_key(w, "egress");
	netpolicy_write(&sb->spec.egress, w);
	(void)proc_send(&eg->proc, NULL, 0);
}

void
egress_leave(struct sandbox *sb)
{
	struct egress *eg = sb->s->egress;
	struct jw *w;

	fd_close(&sb->proxy_sock);
	if (sb->proxy_fd == -1)
		return;
	fd_close(&sb->proxy_fd);
	if (proc_up(&eg->proc) &&
	    (w = proc_notice(&eg->proc, MSG_EGRESS_LEAVE)) != NULL) {
		jw_kstr(w, "sandbox", sb->id);
		(void)proc_send(&eg->proc, NULL, 0);
	}
	if (--eg->served > 0)
		return;
	ev_timer_stop(sb->s->loop, &eg->idle);
	ev_timer_set(
	    &eg->idle, (double)sb->s->conf.courier_idle_ms / 1000.0, 0.);
	ev_timer_start(sb->s->loop, &eg->idle);
}

/* --- interface --------------------------------------------------------------
 */

struct egress *
egress_new(struct super *s)
{
	struct egress *eg = xcalloc(1, sizeof(*eg));

	eg->s = s;
	ev_timer_init(&eg->idle, on_idle, 0., 0.);
	ev_stat_init(&eg->resolv, on_resolv, RESOLV_CONF, RESOLV_LOOK_S);
	eg->idle.data = eg->resolv.data = eg;
	proc_init(&eg->proc, &egress_kind, eg, s->loop, "egress");
	return eg;
}

void
egress_free(struct egress *eg)
{
	if (eg == NULL)
		return;
	ev_timer_stop(eg->s->loop, &eg->idle);
	ev_stat_stop(eg->s->loop, &eg->resolv);
	proc_free(&eg->proc);
	free(eg);
}

void
egress_renew(struct egress *eg)
{
	if (proc_up(&eg->proc))
		send_settings(eg);
}

struct proc *
egress_proc(struct egress *eg)
{
	return &eg->proc;
}

/* --- over an exec of ourselves (carry.h) -----------------------------------
 */

void
egress_put(struct super *s, struct carry *c)
{
	proc_put(&s->egress->proc, c, "proc");
}

int
egress_take(struct super *s, const struct json *j, struct err *e)
{
	struct egress *eg = s->egress;

	if (proc_take(&eg->proc, json_get(j, "proc"), e) == -1)
		return -1;
	if (proc_up(&eg->proc))
		ev_stat_start(s->loop, &eg->resolv);
	return 0;
}

const char *
egress_busy(struct super *s)
{
	return proc_busy(&s->egress->proc);
}

void
egress_take_socket(struct sandbox *sb, int fd)
{
	sb->proxy_fd = fd;
	sb->s->egress->served += fd != -1;
}

bool
egress_stopped(struct egress *eg)
{
	if (eg == NULL || eg->proc.state == PS_DOWN)
		return true;
	if (eg->proc.state != PS_STOPPING)
		proc_stop(&eg->proc);
	return false;
}
