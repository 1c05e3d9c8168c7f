/*
 * The live upgrade: the supervisor replaces itself by another image of the
 * program, with the same pid, and goes on. Runs in the supervisor.
 *
 *	proof	the new image reads our configuration and what we would carry
 *		(`NEW --carry 3 -n …`), as a child; until it says that all is
 *		well nothing is touched.
 *	hold	no new request is taken; what is short ends by itself. After
 *		HOLD_MS we go on as before and try again a little later, until
 *		the time that was given is over: then the upgrade is refused.
 *	exec	the document goes into a sealed memory file, the descriptors it
 *		names stay open, signals wait. If the exec fails, all is as it
 *		was.
 *
 * After the exec there is no way back: should the new image fail to take what
 * was carried it ends with a message, all that runs ends with it, and the next
 * start begins as after a crash.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include "supervisor/carry.h"

#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/control.h"
#include "supervisor/gateway.h"
#include "supervisor/notify.h"
#include "supervisor/ops.h"
#include "supervisor/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PROOF_MS 15000
#define HOLD_MS 100   /* at a time without new requests */
#define LOOK_S 0.001  /* meanwhile */
#define AGAIN_S 0.25  /* between two holds */
#define WAIT_MS 10000 /* unless the request says otherwise */
#define WAIT_MAX_MS 600000
#define PROOF_DOC_FD 3

enum up_stage {
	UP_NONE,
	UP_PROOF,
	UP_HOLD,
	UP_PAUSE, /* until the next hold */
};

struct upgrade {
	struct super *s;
	enum up_stage stage;
	char *path; /* owned: the program */
	int64_t until_ms;
	pid_t pid;  /* of the proof */
	int err_fd; /* owned: what it complains of */
	ev_child child;
	ev_timer timer;
	ev_signal usr2;
};

bool
upgrade_is(const struct super *s, const struct request *r)
{
	return r != NULL && s->upgrade_request == r;
}

bool
upgrade_under_way(const struct super *s)
{
	return s->upgrade->stage != UP_NONE;
}

static void
settle(struct upgrade *u)
{
	ev_timer_stop(u->s->loop, &u->timer);
	fd_close(&u->err_fd);
	free(STEAL(u->path));
	u->stage = UP_NONE;
}

/* Nothing has happened. */
static void
refuse(struct upgrade *u, const struct err *e)
{
	struct request *r = STEAL(u->s->upgrade_request);

	log_warn("upgrade", "refused", LOG_STR("program", u->path),
	    LOG_STR("detail", e->text));
	settle(u);
	if (r != NULL)
		request_end_err(r, e);
}

/* --- the exec ------------------------------------------------------------- */

/* argv of the new image: as ours was, and where the document is. */
static char **
arguments(struct super *s, int doc_fd, bool proof)
{
	size_t n = 0, i = 0;
	char **v;

	while (s->argv[n] != NULL)
		n++;
	v = xcalloc(n + 4, sizeof(*v));
	v[i++] = s->argv[0];
	v[i++] = xasprintf("--carry=%d", doc_fd);
	if (proof)
		v[i++] = (char *)(uintptr_t) "-n"; /* exec does not write */
	for (size_t k = 1; k < n; k++)
		v[i++] = s->argv[k];
	return v;
}

static int
document(struct super *s, struct carry *c, int *fd_out, struct err *e)
{
	if (carry_put(s, c, e) == -1)
		return -1;
	if (fd_sealed("carry", c->text.data, c->text.len, fd_out, e) == 0)
		return 0;
	carry_free(c);
	return -1;
}

/* The descriptors that are carried outlive an exec, or do not. */
static void
keep(const struct carry *c, bool on)
{
	const int *fds = (const int *)(const void *)c->fds.data;

	for (size_t i = 0; i < c->fds.len / sizeof(*fds); i++)
		(void)fd_set_cloexec(fds[i], !on); /* they are open */
}

static void
replace(struct upgrade *u)
{
	struct super *s = u->s;
	struct carry c = { 0 };
	autofree char **argv = NULL;
	sigset_t all, old;
	int doc_fd = -1;
	struct err e;

	if (document(s, &c, &doc_fd, &e) == -1) {
		control_release(s);
		gateways_hold(s->gateways, false);
		refuse(u, &e);
		return;
	}
	argv = arguments(s, doc_fd, false);
	log_info("upgrade", "replacing", LOG_STR("program", u->path));
	/* Signals wait for the new image: here they would be lost. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	keep(&c, true);
	notify_restore_env(s);
	(void)fd_set_cloexec(doc_fd, 0); /* it is open */
	/* PRIV: ours (root or the caller) before and after, in a program that
	 * root or we own and nobody else may write. */
	(void)execv(u->path, argv);
	(void)err_sys(&e, "start %s", u->path);
	notify_forget_env();
	keep(&c, false);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	fd_close(&doc_fd);
	free(argv[1]);
	carry_free(&c);
	control_release(s);
	gateways_hold(s->gateways, false);
	refuse(u, &e);
}

/* --- hold ----------------------------------------------------------------- */

static void
wait_again(struct upgrade *u, double seconds)
{
	ev_timer_stop(u->s->loop, &u->timer);
	ev_timer_set(&u->timer, seconds, 0.);
	ev_timer_start(u->s->loop, &u->timer);
}

static void
hold(struct upgrade *u)
{
	struct super *s = u->s;

	u->stage = UP_HOLD;
	s->held_ms = now_monotonic_ms();
	control_hold(s);
	gateways_hold(s->gateways, true);
	wait_again(u, 0.);
}

static void
look(struct upgrade *u)
{
	struct super *s = u->s;
	const char *why = carry_busy(s);
	int64_t now = now_monotonic_ms();
	struct err e;

	/* Events that were fed but not told yet (an exit that libev has reaped)
	 * live in the loop, which stays behind. */
	if (why == NULL && ev_pending_count(s->loop) == 0) {
		replace(u);
		return;
	}
	if (now - s->held_ms < HOLD_MS) {
		wait_again(u, LOOK_S);
		return;
	}
	control_release(s);
	gateways_hold(s->gateways, false);
	u->stage = UP_PAUSE;
	if (now < u->until_ms) {
		wait_again(u, AGAIN_S);
		return;
	}
	err_set(&e, ERR_UPGRADE_REFUSED, "it cannot be done now: %s",
	    why != NULL ? why : "the loop is busy");
	refuse(u, &e);
}

/* --- proof ---------------------------------------------------------------- */

/* The first line of what it has said. */
static void
proof_read(const struct upgrade *u, char *text, size_t size)
{
	ssize_t n = read(u->err_fd, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

static void
refuse_proof(struct upgrade *u, const char *why)
{
	struct err e;

	err_set(&e, ERR_UPGRADE_REFUSED, "%s: %s", u->path,
	    why[0] != '\0' ? why : "it did not say that it could take over");
	refuse(u, &e);
}

static void
on_proof(struct ev_loop *loop, ev_child *c, int revents ATTR_UNUSED)
{
	struct upgrade *u = c->data;
	char text[400];

	ev_child_stop(loop, c);
	u->pid = -1;
	if (u->stage != UP_PROOF)
		return; /* it was given up */
	ev_timer_stop(loop, &u->timer);
	proof_read(u, text, sizeof(text));
	if (u->s->stopping)
		refuse_proof(u, "sandboxd is stopping");
	else if (c->rstatus != 0 || strcmp(text, CARRY_YES) != 0)
		refuse_proof(u, text);
	else
		hold(u);
}

static void
on_timer(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct upgrade *u = t->data;
	struct err e;

	if (u->s->stopping) {
		if (u->stage == UP_HOLD) {
			control_release(u->s);
			gateways_hold(u->s->gateways, false);
		}
		err_set(&e, ERR_SHUTTING_DOWN, "the supervisor is stopping");
		refuse(u, &e);
	} else if (u->stage == UP_HOLD) {
		look(u);
	} else if (u->stage == UP_PAUSE) {
		hold(u);
	} else {
		(void)kill(u->pid, SIGKILL); /* ours and not reaped */
		refuse_proof(u, "it did not answer in time");
	}
}

static int
spawn_proof(struct upgrade *u, int doc_fd, int err_fd, struct err *e)
{
	autofree char **argv = arguments(u->s, PROOF_DOC_FD, true);
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none, all;
	int bad = 0;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawn_file_actions_init(&fa); /* cannot fail in glibc */
	(void)posix_spawnattr_init(&at);
	bad |=
	    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	bad |= posix_spawn_file_actions_adddup2(&fa, err_fd, 1);
	bad |= posix_spawn_file_actions_adddup2(&fa, err_fd, 2);
	bad |= posix_spawn_file_actions_adddup2(&fa, doc_fd, PROOF_DOC_FD);
	bad |= posix_spawn_file_actions_addclosefrom_np(&fa, PROOF_DOC_FD + 1);
	bad |= posix_spawnattr_setsigmask(&at, &none);
	bad |= posix_spawnattr_setsigdefault(&at, &all);
	bad |= posix_spawnattr_setflags(
	    &at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	/* PRIV: ours, in the program that is to take our place; it reads what
	 * we read and writes nothing. */
	if (bad == 0)
		bad = posix_spawn(&u->pid, u->path, &fa, &at, argv, environ);
	(void)posix_spawn_file_actions_destroy(&fa);
	(void)posix_spawnattr_destroy(&at);
	free(argv[1]);
	if (bad == 0)
		return 0;
	errno = bad;
	(void)err_sys(e, "start %s", u->path);
	e->code = ERR_UPGRADE_REFUSED;
	return -1;
}

static int
prove(struct upgrade *u, struct err *e)
{
	struct super *s = u->s;
	struct carry c = { 0 };
	autofd int doc_fd = -1, write_fd = -1, high_fd = -1;

	if (document(s, &c, &doc_fd, e) == -1)
		return -1;
	carry_free(&c);
	/* Above 3, so that dup2 always makes a new descriptor. */
	high_fd = fcntl(doc_fd, F_DUPFD_CLOEXEC, 16);
	if (high_fd == -1)
		return err_sys(e, "duplicate a descriptor");
	if (fd_pipe(&u->err_fd, &write_fd, e) == -1 ||
	    fd_set_nonblock(u->err_fd, 1) == -1)
		return -1;
	if (spawn_proof(u, high_fd, write_fd, e) == -1)
		return -1;
	u->stage = UP_PROOF;
	ev_child_init(&u->child, on_proof, u->pid, 0);
	u->child.data = u;
	ev_child_start(s->loop, &u->child);
	wait_again(u, (double)PROOF_MS / 1000.0);
	return 0;
}

/* --- the operation -------------------------------------------------------- */

/* A program that is run as root is root's. */
static int
check_path(const struct super *s, const struct request *r, const char *path,
    struct err *e)
{
	struct stat st;

	if (r->uid != 0 && r->uid != geteuid())
		return err_set(e, ERR_DENIED,
		    "path: only root may say which program takes over");
	if (path[0] != '/')
		return err_set(
		    e, ERR_BAD_REQUEST, "path: '%s' is not absolute", path);
	if (stat(path, &st) == -1) {
		(void)err_sys(e, "path: %s", path);
		e->code = ERR_BAD_REQUEST;
		return -1;
	}
	if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0)
		return err_set(
		    e, ERR_BAD_REQUEST, "path: %s: no program", path);
	if (s->root && (st.st_uid != 0 || (st.st_mode & 022) != 0))
		return err_set(e, ERR_DENIED,
		    "path: %s: others than root could write it", path);
	return 0;
}

static int
begin(struct upgrade *u, const struct request *r, struct err *e)
{
	const struct json *args = r != NULL ? r->op.args : NULL;
	const char *path = json_str(args, "path", NULL);
	int64_t wait_ms = WAIT_MS;
	struct super *s = u->s;

	if (u->stage != UP_NONE || u->pid != -1)
		return err_set(
		    e, ERR_UPGRADE_REFUSED, "an upgrade is under way");
	if (!s->ready || s->stopping)
		return err_set(e, ERR_UPGRADE_REFUSED, "sandboxd is %s",
		    s->stopping ? "stopping" : "starting");
	if (path != NULL && check_path(s, r, path, e) == -1)
		return -1;
	if (spec_time(json_get(args, "wait"), "wait", 0, WAIT_MAX_MS, &wait_ms,
		e) == -1)
		return -1;
	if (json_get(args, "wait") == NULL)
		wait_ms = WAIT_MS;
	u->path = xstrdup(path != NULL ? path : s->program);
	u->until_ms = now_monotonic_ms() + wait_ms;
	if (prove(u, e) == 0)
		return 0;
	settle(u);
	return -1;
}

void
upgrade_begin(struct super *s, struct request *r)
{
	struct upgrade *u = s->upgrade;
	struct err e;

	if (begin(u, r, &e) == 0) {
		s->upgrade_request = r;
		return;
	}
	if (r != NULL)
		request_end_err(r, &e);
	else
		log_warn("upgrade", "refused", LOG_STR("detail", e.text));
}

void
op_upgrade(struct request *r)
{
	upgrade_begin(r->s, r);
}

static void
on_usr2(
    struct ev_loop *loop ATTR_UNUSED, ev_signal *sig, int revents ATTR_UNUSED)
{
	struct upgrade *u = sig->data;

	upgrade_begin(u->s, NULL);
}

void
upgrade_open(struct super *s)
{
	struct upgrade *u = xcalloc(1, sizeof(*u));

	u->s = s;
	u->err_fd = -1;
	u->pid = -1;
	ev_timer_init(&u->timer, on_timer, 0., 0.);
	ev_signal_init(&u->usr2, on_usr2, SIGUSR2);
	u->timer.data = u->usr2.data = u;
	if (s->command == NULL) /* else that signal is the command's */
		ev_signal_start(s->loop, &u->usr2);
	s->upgrade = u;
}

void
upgrade_close(struct super *s)
{
	struct upgrade *u = s->upgrade;

	if (u->pid != -1)
		ev_child_stop(s->loop, &u->child);
	ev_signal_stop(s->loop, &u->usr2);
	settle(u);
	free(STEAL(s->upgrade));
}

void
upgrade_done(struct super *s)
{
	struct request *r = STEAL(s->upgrade_request);
	int64_t pause_ms = now_monotonic_ms() - s->held_ms;
	struct jw *w;

	log_info("upgrade", "done", LOG_STR("version", PACKAGE_VERSION),
	    LOG_STR("was", json_str(s->carried, "version", "")),
	    LOG_INT("pause_ms", pause_ms));
	if (r == NULL)
		return;
	w = request_ok(r);
	jw_object(w);
	jw_kstr(w, "version", PACKAGE_VERSION);
	jw_kstr(w, "was", json_str(s->carried, "version", ""));
	jw_kint(w, "pid", getpid());
	jw_kint(w, "pause_ms", pause_ms);
	jw_object_end(w);
	request_end_ok(r);
}
