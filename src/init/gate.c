/*
 * Channels to gateways; runs in init. The supervisor hands out the socket, and
 * who speaks on it reads what anybody on the network sends: every frame is
 * checked against proto.def, and a breach ends that one channel.
 *
 * A channel of kind `files` is not served here but by a child of its own, so
 * that slow disks and long walks never make init wait.
 *
 * Memory is taken when the first gateway comes; a sandbox that never sees one
 * pays nothing.
 */
#include "init/gate.h"
#include "init/child.h"
#include "init/files.h"
#include "init/ports.h"
#include "init/procs.h"
#include "init/stop.h"
#include "lib/log.h"
#include "lib/proto.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define GATES_MAX 64

LIST_HEAD(gates, gate);

static void
defaults_free(struct gate_defaults *d)
{
	size_t i;

	for (i = 0; d->env != NULL && d->env[i] != NULL; i++)
		free(d->env[i]);
	free(d->env);
	free(d->directory);
	free(d->user);
	free(d->home);
}

/* A copy of a member, if there is one. */
static int
take_str(const struct json *msg, const char *key, char **s_out)
{
	const char *s = json_str(msg, key, NULL);

	*s_out = NULL;
	if (s == NULL)
		return 0;
	*s_out = strdup(s);
	return *s_out == NULL ? -1 : 0;
}

static int
take_env(const struct json *map, char ***env_out)
{
	char **env = calloc(map->len + 1, sizeof(*env));
	size_t i = 0, n, m;

	*env_out = env;
	if (env == NULL)
		return -1;
	json_foreach (it, map) {
		n = strlen(it->key);
		m = strlen(it->str);
		env[i] = malloc(n + m + 2);
		if (env[i] == NULL)
			return -1;
		memcpy(env[i], it->key, n);
		env[i][n] = '=';
		memcpy(env[i++] + n + 1, it->str, m + 1);
	}
	return 0;
}

static int
defaults_take(struct gate_defaults *d, const struct json *msg)
{
	d->host_network = json_bool(msg, "host_network", true);
	return take_env(json_get(msg, "env"), &d->env) == -1 ||
		       take_str(msg, "directory", &d->directory) == -1 ||
		       take_str(msg, "user", &d->user) == -1 ||
		       take_str(msg, "home", &d->home) == -1
		   ? -1
		   : 0;
}

static void
gate_free(struct gate *g)
{
	procs_gate_closed(g);
	port_gate_closed(g);
	LIST_REMOVE(g, link);
	chan_free(g->ch);
	defaults_free(&g->defaults);
	free(g);
}

static void
gate_dispatch(
    struct gate *g, const struct proto_in *m, const struct chan_frame *f)
{
	struct err e;

	if (stop_begun(g->in)) {
		(void)err_set(&e, ERR_SANDBOX_STATE, "the sandbox is stopping");
		if (m->id > 0)
			(void)chan_reply_err(g->ch, m->id, &e);
		return;
	}
	switch (m->type) {
	case MSG_PORT_LIST:
	case MSG_PORT_DIAL:
		port_request(g, m->id, m->type, m->body, f);
		break;
	default:
		procs_message(g, m->id, m->type, m->body, f);
		break;
	}
}

static void
on_gate(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct gate *g = ctx;
	struct proto_in m;
	struct err e;

	(void)ch;
	(void)why;
	if (what == CHAN_CLOSED) {
		gate_free(g);
		return;
	}
	if (proto_check(ROLE_GATEWAY, PS_RUNNING, ROLE_INIT, f->msg, f->len,
		f->nfds, &m, &e) == -1) {
		log_warn("gate", "breach", LOG_STR("cause", e.text));
		gate_free(g);
		return;
	}
	if (m.kind != PROTO_MESSAGE) {
		log_warn("gate", "breach", LOG_STR("cause", "a reply"));
		gate_free(g);
		return;
	}
	gate_dispatch(g, &m, f);
	init_awake(g->in);
}

static int
gate_serve(struct init *in, const struct json *msg, int *fd)
{
	struct gate *g, *it;
	size_t n = 0;

	if (in->gates == NULL)
		in->gates = calloc(1, sizeof(*in->gates));
	if (in->gates == NULL)
		return -1;
	LIST_FOREACH (it, in->gates, link)
		n++;
	g = n < GATES_MAX ? calloc(1, sizeof(*g)) : NULL;
	if (g == NULL)
		return -1;
	if (defaults_take(&g->defaults, msg) == -1) {
		defaults_free(&g->defaults);
		free(g);
		return -1;
	}
	g->in = in;
	g->ch = chan_new(in->loop, fd_steal(fd), "gateway", on_gate, g);
	LIST_INSERT_HEAD(in->gates, g, link);
	return 0;
}

static void
gate_files(struct init *in, const struct json *msg, int fd) ATTR_NORETURN;

/* PRIV: a copy of init, with its rights; files_main() becomes the sandbox's
 * user. */
static void
gate_files(struct init *in, const struct json *msg, int fd)
{
	int keep[3] = { in->null_fd, in->null_fd, in->null_fd };
	int rest[1] = { fd };
	struct gate_defaults d;

	init_signals_default();
	(void)signal(SIGPIPE, SIG_IGN);
	log_sink(NULL, NULL); /* its channel is init's */
	(void)setsid();
	if (defaults_take(&d, msg) == -1 ||
	    child_keep_fds(keep, countof(keep), rest, countof(rest)) == -1)
		_exit(EXIT_SYS);
	files_main(rest[0], &d);
}

void
gate_add(struct init *in, const struct json *msg, const struct chan_frame *f)
{
	const char *kind = json_str(msg, "kind", "");
	pid_t pid;

	/* What is not served is closed, which tells the gateway. */
	if (f->nfds != 1 || stop_begun(in))
		return;
	if (strcmp(kind, "files") == 0) {
		pid = init_fork();
		if (pid == 0)
			gate_files(in, msg, f->fds[0]);
		if (pid == -1)
			log_warn("gate", "no process for a file server");
	} else if (strcmp(kind, "init") == 0 &&
		   gate_serve(in, msg, &f->fds[0]) == -1) {
		log_warn("gate", "no memory for a gateway");
	}
}

struct gate *
gate_super(struct init *in)
{
	static char *no_env[1];
	static struct gate g = { .defaults.env = no_env };

	g.in = in;
	g.ch = in->ch;
	return &g;
}

void
gates_pause(struct init *in, bool on)
{
	struct gate *g;

	if (in->gates == NULL)
		return;
	LIST_FOREACH (g, in->gates, link) {
		if (on)
			chan_pause(g->ch);
		else
			chan_resume(g->ch);
	}
}
