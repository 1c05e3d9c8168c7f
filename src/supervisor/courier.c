/*
 * The courier as a process: started when something is to be installed, told
 * what, and ended when it has had nothing to do for a while. Runs in the
 * supervisor. What the courier says is bounded by proto.def and looked at here:
 * it reads what the network sends.
 */
#include "supervisor/courier_priv.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define START_MS 30000 /* another one may have to end first */
#define DEATHS_MAX 3

static void kick(struct courier *c);

/* --- those who wait ------------------------------------------------------ */

static void
job_free(struct courier_job *j)
{
	TAILQ_REMOVE(&j->c->jobs, j, link);
	ev_timer_stop(j->c->s->loop, &j->failure);
	json_free(j->recipe);
	free(j->agent);
	free(j->version);
	free(j);
}

/* Nobody waits any more: it may go soon, or at once for the sake of new
 * settings. */
void
courier_rest(struct courier *c)
{
	if (!TAILQ_EMPTY(&c->jobs) || c->proc.state == PS_DOWN)
		return;
	if (c->renew) {
		proc_stop(&c->proc);
		return;
	}
	ev_timer_stop(c->s->loop, &c->idle);
	ev_timer_set(&c->idle, (double)c->s->conf.courier_idle_ms / 1000.0, 0.);
	ev_timer_start(c->s->loop, &c->idle);
}

static void
on_idle(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct courier *c = t->data;

	if (TAILQ_EMPTY(&c->jobs) && c->proc.state != PS_DOWN)
		proc_stop(&c->proc);
}

static void
job_end(struct courier_job *j, const struct courier_installed *done,
    const struct err *e)
{
	struct courier *c = j->c;
	courier_done_cb *cb = j->done;
	void *ctx = j->ctx;

	job_free(j);
	if (cb != NULL)
		cb(ctx, done, e);
	courier_rest(c);
}

static void
on_failure(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct courier_job *j = t->data;
	struct err e = j->why;

	job_end(j, NULL, &e);
}

/* From the loop, since whoever is told may ask again. */
static void
job_fail_soon(struct courier_job *j, const struct err *e)
{
	j->why = *e;
	j->failed = true;
	ev_timer_start(j->c->s->loop, &j->failure);
}

static void
fail_all(struct courier *c, const struct err *e)
{
	struct courier_job *j;

	TAILQ_FOREACH (j, &c->jobs, link) {
		if (!j->sent && !j->failed)
			job_fail_soon(j, e);
	}
}

/* --- what it says -------------------------------------------------------- */

/* AGENT/DIRECTORY: is that where a version of J's agent stands? */
static bool
path_good(const struct courier_job *j, const char *path)
{
	size_t n = strlen(j->agent);

	return strncmp(path, j->agent, n) == 0 && path[n] == '/' &&
	       path[n + 1] != '.' && path[n + 1] != '\0' &&
	       strchr(path + n + 1, '/') == NULL;
}

static void
on_installed(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct courier_job *j = ctx;
	struct courier_installed got;
	autofree char *path = NULL;
	struct err lie;

	j->sent = false;
	if (ok == NULL && j->c->proc.ch == NULL && j->done != NULL &&
	    !j->c->s->stopping && ++j->deaths < DEATHS_MAX)
		return; /* it died: the next one goes on; see down() */
	if (ok == NULL) {
		struct err copy = *e;

		if (j->c->proc.ch == NULL)
			copy.code = ERR_INSTALL_FAILED;
		job_end(j, NULL, &copy);
		return;
	}
	if (!path_good(j, json_str(ok, "path", ""))) {
		err_set(&lie, ERR_INSTALL_FAILED,
		    "the courier says that it is in a strange place");
		job_end(j, NULL, &lie);
		return;
	}
	path =
	    xasprintf("%s/%s", j->c->s->agents_dir, json_str(ok, "path", ""));
	got =
	    (struct courier_installed){ .version = json_str(ok, "version", ""),
		    .path = path,
		    .already = json_bool(ok, "already", false),
		    .bytes = json_int(ok, "bytes", 0) };
	job_end(j, &got, NULL);
}

/* Each who waits for AGENT, though any of them may go when he is told. */
static void
tell_progress(
    struct courier *c, const char *agent, const struct courier_progress *p)
{
	struct courier_job *j;
	bool again = true;

	c->round++;
	while (again) {
		again = false;
		TAILQ_FOREACH (j, &c->jobs, link) {
			if (j->round == c->round || !j->sent ||
			    j->progress == NULL || strcmp(j->agent, agent) != 0)
				continue;
			j->round = c->round;
			j->progress(j->ctx, p);
			again = true;
			break;
		}
	}
}

static int
message(struct proc *p, const struct proto_in *in,
    const struct chan_frame *f ATTR_UNUSED, struct err *e)
{
	struct courier *c = p->owner;
	const struct courier_progress progress = {
		.stage = json_str(in->body, "stage", ""),
		.what = json_str(in->body, "what", ""),
		.done = json_int(in->body, "done", 0),
		.total = json_int(in->body, "total", 0),
	};

	if (in->type != MSG_COURIER_PROGRESS)
		return err_set(e, ERR_BAD_REQUEST, "not for a courier to say");
	tell_progress(c, json_str(in->body, "agent", ""), &progress);
	return 0;
}

/* --- what it is told ----------------------------------------------------- */

static void
send_job(struct courier_job *j)
{
	struct jw *w =
	    proc_call(&j->c->proc, MSG_COURIER_INSTALL, 0, on_installed, j);

	if (w == NULL)
		return; /* it is about to end; down() comes */
	j->sent = true;
	jw_kstr(w, "agent", j->agent);
	jw_kvalue(w, "recipe", j->recipe);
	if (j->version != NULL)
		jw_kstr(w, "version", j->version);
	if (j->reinstall)
		jw_kbool(w, "reinstall", true);
	(void)proc_send(&j->c->proc, NULL, 0); /* failure comes as an answer */
}

static void
send_all(struct courier *c)
{
	struct courier_job *j;

	TAILQ_FOREACH (j, &c->jobs, link) {
		if (!j->sent && !j->failed)
			send_job(j);
	}
}

static void
on_started(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct courier *c = ctx;
	struct err why;

	c->ready = ok != NULL;
	if (c->ready) {
		c->deaths = 0;
		send_all(c);
		courier_rest(c);
		return;
	}
	if (c->proc.ch == NULL)
		return; /* it died: see down() */
	why = *e;
	if (why.code != ERR_BAD_REQUEST)
		why.code = ERR_INSTALL_FAILED;
	fail_all(c, &why);
	proc_stop(&c->proc);
}

static void
up(struct proc *p)
{
	struct courier *c = p->owner;
	int fds[2] = { -1, -1 };
	size_t n = 0;
	struct jw *w;
	struct err e;

	chan_set_depth(p->ch, COURIER_DEPTH);
	if (courier_open_mirror(c->s, &fds[1], &e) == -1) {
		fail_all(c, &e);
		proc_stop(p);
		return;
	}
	fds[0] = fcntl(c->dir_fd, F_DUPFD_CLOEXEC, 3);
	w = proc_call(p, MSG_COURIER_START, START_MS, on_started, c);
	if (w == NULL || fds[0] == -1) {
		fd_close(&fds[0]);
		fd_close(&fds[1]);
		if (w == NULL)
			return;
	}
	jw_key(w, "settings");
	courier_settings_write(c->s, w);
	if (fds[0] != -1)
		n = fds[1] != -1 ? 2 : 1;
	(void)proc_send(p, fds, n); /* without a directory it says so */
}

/* --- the process --------------------------------------------------------- */

static int
start(struct proc *p, struct err *e)
{
	static char program[] = "sandboxd-courier", uid_flag[] = "--uid",
		    gid_flag[] = "--gid";
	struct courier *c = p->owner;
	struct super *s = c->s;
	char id[16];
	char *argv[] = { program, s->root ? uid_flag : NULL, id, gid_flag, id,
		NULL };
	autofd int dir_fd = openat(s->state_fd, "empty",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir_fd == -1)
		return err_sys(e, "open %s/empty", s->conf.state_dir);
	(void)snprintf(
	    id, sizeof(id), "%lu", (unsigned long)SUPER_COURIER_ID(s));
	c->ready = false;
	c->renew = false;
	return spawn_helper(s, p, dir_fd, argv, e);
}

static void
ask_stop(struct proc *p)
{
	chan_free(STEAL(p->ch));
}

static void
down(struct proc *p, const char *cause)
{
	struct courier *c = p->owner;
	struct err e;

	c->ready = false;
	ev_timer_stop(c->s->loop, &c->idle);
	if (!p->stop_wanted && ++c->deaths >= DEATHS_MAX) {
		err_set(&e, ERR_INSTALL_FAILED, "the courier: %s", cause);
		fail_all(c, &e);
		c->deaths = 0;
	}
	kick(c);
	super_stop_step(c->s);
}

static const struct proc_kind courier_kind = {
	.role = ROLE_COURIER,
	.start = start,
	.up = up,
	.message = message,
	.ask_stop = ask_stop,
	.down = down,
	.start_ms = 15000,
	.stop_ms = 2000,
};

/* Somebody waits: see that it runs. */
static void
kick(struct courier *c)
{
	const struct courier_job *j;
	bool some = false;
	struct err e;

	TAILQ_FOREACH (j, &c->jobs, link)
		some = some || (!j->sent && !j->failed);
	if (!some)
		return;
	ev_timer_stop(c->s->loop, &c->idle);
	if (c->s->stopping) {
		err_set(&e, ERR_INSTALL_FAILED, "sandboxd is stopping");
		fail_all(c, &e);
	} else if (c->proc.state == PS_RUNNING && c->ready) {
		send_all(c);
	} else if (c->proc.state == PS_DOWN && proc_start(&c->proc, &e) == -1) {
		e.code = ERR_INSTALL_FAILED;
		fail_all(c, &e);
	}
}

/* --- interface ----------------------------------------------------------- */

int
courier_open(struct super *s, struct courier **c_out, struct err *e)
{
	struct courier *c = xcalloc(1, sizeof(*c));

	c->s = s;
	TAILQ_INIT(&c->jobs);
	ev_timer_init(&c->idle, on_idle, 0., 0.);
	c->idle.data = c;
	c->dir_fd = -1;
	proc_init(&c->proc, &courier_kind, c, s->loop, "courier");
	if (courier_open_dir(s, &c->dir_fd, e) == -1) {
		courier_free(c);
		return -1;
	}
	*c_out = c;
	return 0;
}

void
courier_free(struct courier *c)
{
	struct courier_job *j;

	if (c == NULL)
		return;
	proc_free(&c->proc);
	ev_timer_stop(c->s->loop, &c->idle);
	while ((j = TAILQ_FIRST(&c->jobs)) != NULL)
		job_free(j);
	fd_close(&c->dir_fd);
	free(c);
}

struct courier_job *
courier_install(struct courier *c, const struct courier_order *o,
    courier_progress_cb *progress, courier_done_cb *done, void *ctx)
{
	struct courier_job *j = xcalloc(1, sizeof(*j));
	struct buf b;
	struct jw w;
	struct err e;

	j->c = c;
	j->agent = xstrdup(o->agent);
	j->version = o->version != NULL ? xstrdup(o->version) : NULL;
	j->reinstall = o->reinstall;
	j->progress = progress;
	j->done = done;
	j->ctx = ctx;
	ev_timer_init(&j->failure, on_failure, 0., 0.);
	j->failure.data = j;
	TAILQ_INSERT_TAIL(&c->jobs, j, link);
	buf_init(&b, 1 << 20);
	jw_init(&w, &b);
	jw_value(&w, o->recipe);
	if (b.failed)
		err_set(&e, ERR_BAD_REQUEST, "recipe: too long");
	if (b.failed || json_parse(b.data, b.len, JSON_DEPTH_CONTROL + 8,
			    &j->recipe, &e) == -1)
		job_fail_soon(j, &e);
	buf_free(&b);
	kick(c);
	return j;
}

void
courier_forget(struct courier_job *j)
{
	if (j->sent) {
		j->done = NULL; /* goes when its answer comes */
		j->progress = NULL;
		return;
	}
	job_free(j);
}

void
courier_renew(struct courier *c)
{
	if (c->proc.state == PS_DOWN)
		return;
	c->renew = true;
	courier_rest(c);
}

bool
courier_stopped(struct courier *c)
{
	if (c == NULL || c->proc.state == PS_DOWN)
		return true;
	if (c->proc.state != PS_STOPPING)
		proc_stop(&c->proc);
	return false;
}
