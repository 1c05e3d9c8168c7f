/*
 * Opening, running and stopping the whole. Runs in the supervisor. After
 * super_open_or_die() no error ends the process: it costs a request, a session
 * or a sandbox.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include "supervisor/super.h"

#include "lib/frame.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "sandbox/cgroup.h"
#include "sandbox/hide.h"
#include "supervisor/agents.h"
#include "supervisor/carry.h"
#include "supervisor/command.h"
#include "supervisor/compact.h"
#include "supervisor/control.h"
#include "supervisor/courier.h"
#include "supervisor/egress.h"
#include "supervisor/gateway.h"
#include "supervisor/instance.h"
#include "supervisor/listen_given.h"
#include "supervisor/logfile.h"
#include "supervisor/notify.h"
#include "supervisor/peer.h"
#include "supervisor/powers.h"
#include "supervisor/relay.h"
#include "supervisor/retain.h"
#include "supervisor/sandboxes.h"
#include "supervisor/scope.h"
#include "supervisor/sessions.h"
#include "supervisor/spawn.h"
#include "supervisor/storec.h"
#include "supervisor/tokens.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

/* A second TERM takes the grace away; this long after it would have been over
 * we leave whatever still stands. */
#define STOP_SLACK_S 10.0
/* A gateway that does not come up holds nobody else up for longer. */
#define FURNISH_S 1.0
/* After an upgrade: what has waited is served before. */

static void
die(const char *doing, const struct err *e)
{
	fatal("super", "%s: %s", doing, e->text);
}

/* Wrong use has an exit code of its own. */
static void
die_of_use(const char *doing, const struct err *e)
{
	if (e->code != ERR_BAD_REQUEST && e->code != ERR_DENIED)
		die(doing, e);
	log_error("super", "wrong use", LOG_STR("detail", e->text));
	exit(EXIT_USAGE);
}

/* --- signals ------------------------------------------------------------- */

void
super_hasten(struct super *s)
{
	log_warn("super", "second signal: no more grace");
	sandboxes_kill_all(s);
	command_kill(s->command);
}

static void
on_term(
    struct ev_loop *loop ATTR_UNUSED, ev_signal *sig, int revents ATTR_UNUSED)
{
	struct super *s = sig->data;

	if (s->stopping)
		super_hasten(s);
	else
		super_stop(s, 0);
}

static void
on_hup(
    struct ev_loop *loop ATTR_UNUSED, ev_signal *sig, int revents ATTR_UNUSED)
{
	super_reload(sig->data);
}

/* With a command all signals are its, and come to us by way of command.c. */
static void
watch_signals(struct super *s)
{
	if (s->command != NULL)
		return;
	ev_signal_init(&s->sig_term, on_term, SIGTERM);
	ev_signal_init(&s->sig_int, on_term, SIGINT);
	ev_signal_init(&s->sig_hup, on_hup, SIGHUP);
	s->sig_term.data = s->sig_int.data = s->sig_hup.data = s;
	ev_signal_start(s->loop, &s->sig_term);
	ev_signal_start(s->loop, &s->sig_int);
	ev_signal_start(s->loop, &s->sig_hup);
	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail for SIGPIPE */
}

/* --- opening ------------------------------------------------------------- */

static bool
has_group(void *ctx, const char *name)
{
	const struct sandbox *sb;
	char id[SANDBOX_ID_MAX + 1];

	if (str_format(id, sizeof(id), "%.*s",
		(int)strcspn(name, CGROUP_NAME_MARK), name) == -1)
		return false;
	sb = sandbox_find(ctx, id);
	return sb != NULL && sb->cgroup != NULL &&
	       strcmp(cgroup_name(sb->cgroup), name) == 0;
}

static void
on_sweep(struct ev_loop *loop, ev_timer *t, int revents ATTR_UNUSED)
{
	struct super *s = t->data;

	if (cgroup_host_sweep(s->cgroups, has_group, s) == 0)
		return;
	ev_timer_set(t, 0.2, 0.);
	ev_timer_start(loop, t);
}

static void
on_idle(struct ev_loop *loop, ev_idle *idle, int revents ATTR_UNUSED)
{
	struct super *s = idle->data;

	if (!host_prepare(&s->host))
		ev_idle_stop(loop, idle); /* the next launch starts it again */
}

static void
open_isolation(struct super *s)
{
	char name[17];
	struct err e;

	host_probe(&s->host);
	s->disk_by = disk_probe(
	    s->state_fd, s->host.root, s->disk_why, sizeof(s->disk_why));
	ev_idle_start(s->loop, &s->prepare);
	powers_accept(s);
	if (geteuid() != 0 && s->host.subids.why[0] != '\0')
		log_info("super", "a sandbox has one id; see doctor",
		    LOG_STR("why", s->host.subids.why));
	/* It takes a while: after an upgrade, when nobody waits for us. */
	if (s->carried == NULL && super_hide(s, &e) == -1)
		die("hide the host's private files", &e);
	instance_name(s, name);
	s->cgroups = cgroup_host_open(name, &s->cgroups_why);
	if (s->cgroups == NULL) {
		s->host.have[MECH_CGROUP] = false;
		(void)!str_format(s->host.why_not[MECH_CGROUP],
		    sizeof(s->host.why_not[0]), "%.90s", s->cgroups_why.text);
		log_warn("super", "no control groups",
		    LOG_STR("detail", s->cgroups_why.text));
	}
}

/* End what an earlier life of ours has left, but for what we know. */
void
cgroups_sweep(struct super *s)
{
	if (s->cgroups == NULL ||
	    cgroup_host_sweep(s->cgroups, has_group, s) == 0)
		return;
	log_info("super", "ending what an earlier life has left");
	ev_timer_stop(s->loop, &s->sweep_timer);
	ev_timer_set(&s->sweep_timer, 0.05, 0.);
	ev_timer_start(s->loop, &s->sweep_timer);
}

/* What sandboxes need. It takes a while, so whoever asks no more than whether
 * we live is answered first. */
static void
furnish(struct super *s)
{
	struct err e;

	if (s->furnished || s->stopping)
		return;
	s->furnished = true;
	ev_timer_stop(s->loop, &s->furnish_timer);
	if (spawn_load_program(s, "sandboxd-init", &s->init_fd, &e) == -1 ||
	    spawn_load_program(s, "sandboxd-session", &s->session_fd, &e) == -1)
		die("load programs", &e);
	open_isolation(s);
	if (s->loaded)
		sandboxes_all_loaded(s);
}

static void
on_furnish(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	furnish(t->data);
}

void
super_loaded(struct super *s)
{
	s->loaded = true;
	if (s->furnished && !s->ready)
		sandboxes_all_loaded(s);
}

void
super_http_up(struct super *s)
{
	furnish(s);
}

static void
watchers_init(struct super *s)
{
	ev_idle_init(&s->prepare, on_idle);
	retain_start(s);
	ev_timer_init(&s->sweep_timer, on_sweep, 0., 0.);
	ev_timer_init(&s->furnish_timer, on_furnish, FURNISH_S, 0.);
	super_hide_init(s);
	s->prepare.data = s->sweep_timer.data = s->furnish_timer.data = s;
}

/* libev ends the process when memory is out, and when epoll fails. */
static void *
alloc_or_wait(void *p, long size)
{
	if (size != 0)
		return xreallocarray(p, 1, (size_t)size);
	free(p);
	return NULL;
}

static void
on_syserr(const char *msg)
{
	log_error("super", msg, LOG_STR("error", strerror(errno)));
}

/* Everything stands: take over what a former image of ours has left. */
static void
take_over_or_die(struct super *s)
{
	struct err e;

	furnish(s);
	if (carry_take(s, &e) == -1)
		die("take over", &e);
	/* Signals have waited; but a child tells its end once only. */
	ev_feed_signal_event(s->loop, SIGCHLD);
	s->loaded = s->ready = true;
	cgroups_sweep(s);
	gateways_resume(s->gateways);
	/* What is told to helpers may be another since then. */
	if (proc_up(storec_proc(s->store)))
		retain_tell(s);
	courier_renew(s->courier);
	egress_renew(s->egress);
	notify_ready(s);
	upgrade_done(s);
	json_free(STEAL(s->carried));
	control_release(s);
	logfile_settle(s->logfile);
	ev_timer_start(s->loop, &s->hide_timer);
}

void
super_open_or_die(
    struct super *s, int ready_fd, const struct command_options *co)
{
	struct err e;

	s->started_ms = now_monotonic_ms();
	s->root = powers_of_root(&s->conf);
	if (geteuid() == 0 && !s->root)
		log_warn("super", "root without the powers of root: our "
				  "helpers keep our user id");
	s->state_fd = s->sandboxes_fd = s->lock_fd = -1;
	s->held_ms = s->started_ms;
	s->init_fd = s->session_fd = -1;
	s->ready_fd = ready_fd;
	LIST_INIT(&s->peers);
	LIST_INIT(&s->sandboxes);
	LIST_INIT(&s->sessions);
	ev_set_allocator(alloc_or_wait);
	s->loop = ev_default_loop(EVFLAG_AUTO);
	if (s->loop == NULL)
		fatal("super", "no event loop: %s", strerror(errno));
	logfile_watch(s->logfile, s->loop);
	if (command_open(s, co, &s->command, &e) == -1)
		die("watch over the command", &e);
	ev_set_syserr_cb(on_syserr);
	watch_signals(s);
	upgrade_open(s);
	watchers_init(s);
	notify_open(s);
	if (s->carried != NULL && carry_take_early(s, &e) == -1)
		die("take over", &e);
	if (instance_open(s, &e) == -1)
		die("open the state directory", &e);
	scope_enter(s);
	cgroup_own_take();
	/* Before anything is made that a second instance would leave behind. */
	if (s->carried == NULL && listen_open(s, &e) == -1) {
		listen_close(s);
		die_of_use("serve HTTP", &e);
	}
	if (s->carried == NULL && control_open(s, &e) == -1) {
		listen_close(s);
		die("open the control socket", &e);
	}
	peers_check(s);
	listen_kept_close(s);
	s->store = storec_new(s);
	s->relay = relay_new(s);
	s->gateways = gateways_new(s);
	s->tokens = tokens_new(s);
	s->egress = egress_new(s);
	if (courier_open(s, &s->courier, &e) == -1)
		die("open the directory of agents", &e);
	if (s->carried != NULL) {
		take_over_or_die(s);
		return;
	}
	gateways_start(s->gateways);
	if (storec_start(s->store, &e) == -1)
		die("start the store", &e);
	if (relay_start(s->relay, &e) == -1)
		die("start the relay", &e);
	if (gateways_some(s->gateways))
		ev_timer_start(s->loop, &s->furnish_timer);
	else
		furnish(s);
}

/* Records are loaded: from here on requests are served. */
void
super_ready(struct super *s)
{
	if (s->ready)
		return;
	s->ready = true;
	xalloc_wait();
	control_accept(s);
	gateways_ready(s->gateways);
	log_info("super", "ready", LOG_STR("version", PACKAGE_VERSION),
	    LOG_INT("pid", getpid()), LOG_STR("state_dir", s->conf.state_dir),
	    LOG_STR("run_dir", s->conf.run_dir));
	if (s->ready_fd != -1) {
		if (write(s->ready_fd, "\n", 1) != 1)
			log_warn("super", "nobody waits on --ready-fd");
		fd_close(&s->ready_fd);
	}
	logfile_settle(s->logfile);
	notify_ready(s);
	command_ready(s->command);
}

/* --- stopping ------------------------------------------------------------ */

static void
on_stop_timer(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct super *s = t->data;

	log_error("super", "stop took too long: ending the hard way");
	s->exit_code = EXIT_SYS;
	ev_break(s->loop, EVBREAK_ALL);
}

void
super_stop(struct super *s, int exit_code)
{
	if (s->stopping)
		return;
	log_info("super", "stopping");
	s->stopping = true;
	s->exit_code = exit_code;
	ev_timer_init(&s->stop_timer, on_stop_timer,
	    (double)s->conf.stop_grace_ms / 1000.0 + STOP_SLACK_S, 0.);
	s->stop_timer.data = s;
	ev_timer_start(s->loop, &s->stop_timer);
	notify_stopping(
	    s, s->conf.stop_grace_ms + (int64_t)(STOP_SLACK_S * 1000.0));
	command_stop(s->command);
	super_stop_step(s);
}

void
super_stop_step(struct super *s)
{
	if (!s->stopping)
		return;
	/* In reverse order of need; each step is taken when the one before has
	 * ended, and each ending calls here again. */
	if (!gateways_stop_all(s->gateways))
		return;
	if (!sandboxes_stop_all(s))
		return;
	if (!command_stopped(s->command))
		return;
	if (!courier_stopped(s->courier) || !egress_stopped(s->egress))
		return;
	if (relay_proc(s->relay)->state != PS_DOWN) {
		if (relay_proc(s->relay)->state != PS_STOPPING)
			relay_stop(s->relay);
		return;
	}
	if (compaction_is(s))
		return;
	if (storec_proc(s->store)->state != PS_DOWN) {
		/* What is still to be written is written first, by a store
		 * that can. */
		if (storec_proc(s->store)->state != PS_STOPPING &&
		    (storec_idle(s->store) || !proc_up(storec_proc(s->store))))
			storec_stop(s->store);
		return;
	}
	ev_break(s->loop, EVBREAK_ALL);
}

int
super_run(struct super *s)
{
	ev_run(s->loop, 0);
	ev_timer_stop(s->loop, &s->hide_timer);
	ev_idle_stop(s->loop, &s->prepare);
	ev_timer_stop(s->loop, &s->furnish_timer);
	s->exit_code = command_exit_code(s->command, s->exit_code);
	for (char **v = s->argv; v != NULL && *v != NULL; v++)
		free(*v);
	free(s->argv);
	free(s->program);
	log_info("super", "stopped", LOG_INT("exit_code", s->exit_code));
	compaction_close(s);
	control_close(s);
	sessions_free(s);
	sandboxes_free(s);
	gateways_free(s->gateways);
	upgrade_close(s);
	tokens_free(s->tokens);
	listen_close(s);
	notify_close(s);
	settings_free(&s->http);
	agents_free(s->agents);
	while (s->nset > 0)
		free(s->set[--s->nset].value);
	courier_free(s->courier);
	egress_free(s->egress);
	relay_free(s->relay);
	storec_free(s->store);
	if (s->cgroups != NULL)
		(void)cgroup_host_sweep(
		    s->cgroups, NULL, NULL); /* no more to do */
	cgroup_host_free(s->cgroups);
	command_free(s->command);
	hide_close(s->hide);
	host_free(&s->host);
	fd_close(&s->init_fd);
	fd_close(&s->session_fd);
	instance_close(s);
	logfile_free(STEAL(s->logfile));
	return s->exit_code;
}
