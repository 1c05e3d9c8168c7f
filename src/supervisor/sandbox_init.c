/*
 * Launching a sandbox's init and listening to it. Runs in the supervisor; the
 * building itself is sandbox/launch.c. What init says comes from inside the
 * sandbox and is believed only as far as proto.def lets it speak.
 */
#include "supervisor/sandbox_init.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "sandbox/hide.h"
#include "supervisor/agents.h"
#include "supervisor/egress.h"
#include "supervisor/exec.h"
#include "supervisor/instance.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/service.h"
#include "supervisor/sessions.h"
#include "supervisor/spec.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

int
sandbox_isolation_check(
    const struct sandbox_spec *sp, const bool have[MECH_N], struct err *e)
{
	bool shared_net = strcmp(sp->network, "host") == 0;
	char names[200] = "";
	size_t used = 0;

	for (int m = 0; m < MECH_N; m++) {
		if (have[m] && !(m == MECH_NET && shared_net))
			continue;
		used += (size_t)snprintf(names + used, sizeof(names) - used,
		    "%s%s", used > 0 ? ", " : "",
		    mechanism_name((enum mechanism)m));
		if (used >= sizeof(names))
			break;
	}
	if (used == 0)
		return 0;
	return err_set(e, ERR_ISOLATION_UNAVAILABLE,
	    "full isolation was asked for; missing: %s", names);
}

void
sandbox_init_report_close(struct sandbox *sb)
{
	ev_io_stop(sb->s->loop, &sb->report_io);
	fd_close(&sb->report_fd);
}

/* Take the start report, if there is one. True when a stage failed. */
static bool
read_report(struct sandbox *sb, struct err *e)
{
	struct start_report r;
	struct plan p;
	ssize_t n;

	if (sb->report_fd == -1)
		return false;
	n = read(sb->report_fd, &r, sizeof(r));
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return false;
	sandbox_init_report_close(sb);
	if (n != (ssize_t)sizeof(r))
		return false; /* end of file: init was exec'd */
	memset(&p, 0, sizeof(p));
	p.id = sb->id;
	p.mounts = sb->plan_mounts;
	p.nmounts = sb->nplan_mounts;
	p.tmpfs = sb->spec.tmpfs;
	p.ntmpfs = sb->spec.ntmpfs;
	start_report_text(&p, &r, e);
	return true;
}

static void
on_report(struct ev_loop *loop ATTR_UNUSED, ev_io *io, int revents ATTR_UNUSED)
{
	struct sandbox *sb = io->data;
	struct err e;

	if (read_report(sb, &e))
		proc_start_failed(&sb->proc, &e);
}

/* --- the plan ------------------------------------------------------------ */

static int
fill_plan(struct sandbox *sb, struct plan *p, struct err *e)
{
	struct super *s = sb->s;
	const struct sandbox_spec *sp = &sb->spec;

	memset(p, 0, sizeof(*p));
	p->id = sb->id;
	p->hostname = sp->hostname;
	p->image = strcmp(sp->image, "host") == 0 ? NULL : sp->image;
	p->host_network = strcmp(sp->network, "host") == 0;
	p->proxy = sandbox_is_filtered(sp);
	if (s->root)
		p->id_base = sandbox_first_id(sb);
	else if (!s->host.reduced)
		p->lent = sandbox_ids_take(sb);
	p->uid = sp->uid;
	p->gid = sp->gid;
	p->init_fd = s->init_fd;
	p->limits = sp->limits;
	p->hide_fd = p->adopt_fd = -1;
	if (p->image == NULL && super_hide(s, e) == -1)
		return err_prefix(e, "hide the host's private files");
	if (s->hide == NULL && geteuid() == 0) {
		p->empty[0] = s->conf.state_dir;
		p->empty[1] = s->conf.run_dir;
	}
	if (p->image == NULL && s->hide != NULL && !s->host.reduced) {
		p->hide_fd = hide_layer(s->hide, e);
		if (p->hide_fd == -1)
			return err_prefix(e, "hide the host's private files");
		super_hide_used(s);
	}
	free(sb->plan_mounts);
	sb->plan_mounts = NULL;
	sb->nplan_mounts = 0;
	if (!s->host.reduced)
		sb->plan_mounts = agents_mounts(s, sp, &sb->nplan_mounts);
	p->mounts = s->host.reduced ? sp->mounts : sb->plan_mounts;
	p->nmounts = s->host.reduced ? sp->nmounts : sb->nplan_mounts;
	p->tmpfs = sp->tmpfs;
	p->ntmpfs = sp->ntmpfs;
	/* More than its memory they could not hold. */
	p->tmp_bytes = s->conf.tmp_bytes != 0 ? s->conf.tmp_bytes
					      : sp->limits.memory_bytes;
	free(sb->hosts_text);
	p->hosts = sb->hosts_text = spec_hosts_text(sp);
	p->hosts_asked = sp->hosts != NULL;
	p->dir_fd = -1;
	if (instance_open_dir(s, sb->id, &p->dir_fd, e) == -1)
		return -1;
	sandbox_adopt_prepare(sb, p);
	if (sandbox_disk_take(sb, p, e) == 0)
		return 0;
	fd_close(&p->adopt_fd);
	fd_close(&p->dir_fd);
	return -1;
}

static void
sweep_soon(struct super *s)
{
	ev_timer_stop(s->loop, &s->sweep_timer);
	ev_timer_set(&s->sweep_timer, 0.005, 0.);
	ev_timer_start(s->loop, &s->sweep_timer);
}

static int
make_cgroup(struct sandbox *sb, struct err *e)
{
	struct super *s = sb->s;

	if (sb->cgroup != NULL) {
		cgroup_kill(sb->cgroup);
		(void)cgroup_remove(sb->cgroup); /* create says if it stayed */
		cgroup_free(STEAL(sb->cgroup));
	}
	if (s->cgroups == NULL) {
		if (sb->spec.limits.memory_bytes != 0 ||
		    sb->spec.limits.cpu_millis != 0)
			return err_set(e, ERR_ISOLATION_UNAVAILABLE,
			    "limits on memory and cpu need control groups: %s",
			    s->cgroups_why.text);
		return 0;
	}
	if (cgroup_create(
		s->cgroups, sb->id, &sb->spec.limits, &sb->cgroup, e) == -1)
		return -1;
	if (strcmp(cgroup_name(sb->cgroup), sb->id) != 0)
		sweep_soon(s); /* the former one */
	return 0;
}

static void
drop_cgroup(struct sandbox *sb)
{
	if (sb->cgroup == NULL)
		return;
	if (cgroup_remove(sb->cgroup) == -1)
		sweep_soon(sb->s); /* its last process is on its way out */
	cgroup_free(STEAL(sb->cgroup));
}

static int
init_start(struct proc *proc, struct err *e)
{
	struct sandbox *sb = proc->owner;
	struct launched l;
	struct plan p;
	int rc;

	sandbox_init_report_close(sb);
	if (make_cgroup(sb, e) == -1)
		return -1;
	if (fill_plan(sb, &p, e) == -1) {
		drop_cgroup(sb);
		return -1;
	}
	p.cgroup = sb->cgroup;
	rc = sandbox_launch(&sb->s->host, &p, &l, e);
	fd_close(&p.dir_fd);
	fd_close(&p.adopt_fd);
	if (rc == -1) {
		drop_cgroup(sb);
		return -1;
	}
	memcpy(sb->have, l.have, sizeof(sb->have));
	sb->report_fd = l.report_fd;
	egress_expect(sb, l.proxy_sock);
	(void)fd_set_nonblock(sb->report_fd, 1); /* a pipe: cannot fail */
	ev_io_init(&sb->report_io, on_report, sb->report_fd, EV_READ);
	sb->report_io.data = sb;
	ev_io_start(sb->s->loop, &sb->report_io);
	proc->start_ms = sb->s->conf.start_ms;
	proc->stop_ms = proc->kind->stop_ms;
	proc_spawned(proc, l.pid, l.pidfd, l.chan_fd);
	/* While the child builds, make ready what it has taken. */
	ev_idle_start(sb->s->loop, &sb->s->prepare);
	return 0;
}

static void
init_up(struct proc *p)
{
	struct sandbox *sb = p->owner;
	struct err e;

	sandbox_init_report_close(sb);
	if (sb->adopting) {
		sandbox_is_adopted(sb);
		return;
	}
	if (egress_serve(sb, &e) == -1) {
		log_error("sandbox", "no network", LOG_STR("sandbox", sb->id),
		    LOG_STR("detail", e.text));
		proc_kill(p);
		return;
	}
	sandbox_is_up(sb);
}

/* Only `exited`, `serviced` and, of one that is adopted, `adopted` and
 * `adopted.worker` can come here: proto.def lets init say no more. */
static int
init_message(struct proc *p, const struct proto_in *in,
    const struct chan_frame *f, struct err *e)
{
	struct sandbox *sb = p->owner;
	int64_t exec = json_int(in->body, "exec", 0);
	int64_t code = json_int(in->body, "code", -1);
	int64_t sig = json_int(in->body, "signal", -1);
	int status;

	if (in->type == MSG_INIT_SERVICED)
		return service_told(sb, in->body, e);
	if (in->type == MSG_INIT_ADOPTED)
		return sandbox_adopt_heard(sb, in->body, e);
	if (in->type == MSG_INIT_WORKER)
		return sessions_adopt(sb, in->body, f, e);
	if (in->type != MSG_INIT_EXITED || (code == -1) == (sig == -1))
		return err_set(
		    e, ERR_BAD_REQUEST, "exited needs one of code and signal");
	status = code != -1 ? (int)code << 8 : (int)sig;
	if (exec_exited(
		sb, exec, status, json_bool(in->body, "timed_out", false)))
		return 0;
	if (sessions_exited(sb, exec, status))
		return 0;
	return err_set(e, ERR_BAD_REQUEST, "exited of no process of ours");
}

static void
init_ask_stop(struct proc *p)
{
	struct sandbox *sb = p->owner;
	struct jw *w = proc_call(p, MSG_INIT_STOP, 0, NULL, NULL);

	jw_kint(w, "grace_ms", sb->grace_ms);
	(void)proc_send(p, NULL, 0); /* the ladder follows anyhow */
}

/* All of the sandbox, by its group and by the death of its PID 1. */
static void
init_kill(struct proc *p)
{
	struct sandbox *sb = p->owner;

	if (sb->cgroup != NULL)
		cgroup_hurry(sb->cgroup);
	/* A keeper ends the tree when it is told to; killed, it could not. */
	if (p->pidfd != -1 && sb->s->host.reduced && p->rung < 2)
		(void)sysops.pidfd_kill(p->pidfd, SIGTERM);
	else if (p->pidfd != -1)
		(void)sysops.pidfd_kill(p->pidfd, SIGKILL); /* may be gone */
	else if (sb->cgroup != NULL)
		cgroup_kill(sb->cgroup);
}

static void
init_down(struct proc *p, const char *cause)
{
	struct sandbox *sb = p->owner;
	struct err e;

	/* Its report and its death arrive in either order. */
	if (read_report(sb, &e))
		cause = e.text;
	sandbox_init_report_close(sb);
	sb->adopting = false;
	sandbox_watch_look(sb);
	egress_leave(sb);
	drop_cgroup(sb);
	sandbox_is_down(sb, cause);
}

static const struct proc_kind init_kind = {
	.role = ROLE_INIT,
	.start = init_start,
	.up = init_up,
	.message = init_message,
	.ask_stop = init_ask_stop,
	.kill = init_kill,
	.down = init_down,
	.start_ms = 15000,
	.stop_ms = 4000,
	.restart = true,
	.kill_counts = true,
};

void
sandbox_init_proc(struct sandbox *sb)
{
	ev_init(&sb->report_io, on_report);
	proc_init(&sb->proc, &init_kind, sb, sb->s->loop, "init %s", sb->id);
}
