/*
 * The beginning of a child's life, as we see it, and how we hear of its end.
 * Runs in the supervisor.
 */
#include "supervisor/command.h"
#include "supervisor/proc_priv.h"

#include <signal.h>

static void
on_child(struct ev_loop *loop, ev_child *c, int revents ATTR_UNUSED)
{
	struct proc *p = c->data;

	ev_child_stop(loop, c);
	kin_remove(c->pid);
	proc_exited(p, c->rstatus);
}

/* The pidfd of one that another process reaps: how it ended is not told. */
static void
on_ended(struct ev_loop *loop, ev_io *io, int revents ATTR_UNUSED)
{
	struct proc *p = io->data;

	ev_io_stop(loop, io);
	proc_exited(p, SIGKILL);
}

void
proc_watch(struct proc *p)
{
	if (p->pid != -1 && !p->adopted) {
		kin_add(p->pid);
		ev_child_set(&p->child, p->pid, 0);
		ev_child_start(p->loop, &p->child);
	} else if (p->adopted && p->pidfd != -1) {
		ev_io_set(&p->ended, p->pidfd, EV_READ);
		ev_io_start(p->loop, &p->ended);
	}
}

void
proc_watch_init(struct proc *p)
{
	ev_child_init(&p->child, on_child, 0, 0);
	ev_io_init(&p->ended, on_ended, -1, EV_READ);
	p->child.data = p->ended.data = p;
}

struct chan *
proc_chan_take(struct proc *p, const struct json *j)
{
	return chan_take(p->loop, j, p->name, proc_on_chan, p);
}

static void
begin_life(struct proc *p, pid_t pid, int pidfd, int chan_fd, bool adopted)
{
	p->generation++;
	p->pid = pid;
	p->pidfd = pidfd;
	p->alive = true;
	p->killed = false;
	p->adopted = adopted;
	p->ch = chan_new(p->loop, chan_fd, p->name, proc_on_chan, p);
	proc_watch(p);
	proc_set_state(p, PS_STARTING);
}

void
proc_spawned(struct proc *p, pid_t pid, int pidfd, int chan_fd)
{
	begin_life(p, pid, pidfd, chan_fd, false);
	proc_set_deadline(p, p->start_ms);
}

void
proc_adopt(struct proc *p, pid_t pid, int pidfd, int chan_fd, bool held)
{
	p->cause[0] = '\0';
	p->stop_wanted = p->no_ask = false;
	p->rung = 0;
	begin_life(p, pid, pidfd, chan_fd, true);
	p->held = held;
	proc_set_deadline(p, held ? 0 : p->start_ms);
}

void
proc_release(struct proc *p)
{
	if (!p->held)
		return;
	p->held = false;
	proc_set_deadline(p, p->start_ms);
}
