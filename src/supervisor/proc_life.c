/*
 * The beginning of a child's life, as we see it, and how we hear of its end.
 * Runs in the supervisor.
 */
#include "supervisor/command.h"
#include "supervisor/proc_priv.h"

#include "lib/strutil.h"

#include <signal.h>
#include <stdio.h>

static void
on_child(struct ev_loop *loop, ev_child *c, int revents ATTR_UNUSED)
{
	struct proc *p = c->data;

	ev_child_stop(loop, c);
	kin_remove(c->pid);
	proc_exited(p, c->rstatus);
}

/* Only its parent learns how it has ended. */
static void
on_foster_end(struct ev_loop *loop, ev_io *io, int revents ATTR_UNUSED)
{
	struct proc *p = io->data;

	ev_io_stop(loop, io);
	kin_remove(p->pid);
	p->foster = false;
	if (p->cause[0] == '\0')
		(void)snprintf(p->cause, sizeof(p->cause), "ended");
	proc_exited(p, SIGKILL);
}

void
proc_watch(struct proc *p)
{
	if (p->pid != -1) {
		kin_add(p->pid);
		if (p->foster) {
			ev_io_set(&p->foster_io, p->pidfd, EV_READ);
			ev_io_start(p->loop, &p->foster_io);
			return;
		}
		ev_child_set(&p->child, p->pid, 0);
		ev_child_start(p->loop, &p->child);
	}
}

void
proc_watch_init(struct proc *p)
{
	ev_child_init(&p->child, on_child, 0, 0);
	p->child.data = p;
	ev_init(&p->foster_io, on_foster_end);
	p->foster_io.data = p;
}

struct chan *
proc_chan_take(struct proc *p, const struct json *j)
{
	return chan_take(p->loop, j, p->name, proc_on_chan, p);
}

void
proc_spawned(struct proc *p, pid_t pid, int pidfd, int chan_fd)
{
	p->generation++;
	p->pid = pid;
	p->pidfd = pidfd;
	p->alive = true;
	p->killed = false;
	p->ch = chan_new(p->loop, chan_fd, p->name, proc_on_chan, p);
	proc_watch(p);
	proc_set_state(p, PS_STARTING);
	proc_set_deadline(p, p->start_ms);
}

void
proc_adopted(
    struct proc *p, pid_t pid, int pidfd, int chan_fd, int64_t start_ms)
{
	p->foster = true;
	proc_spawned(p, pid, pidfd, chan_fd);
	proc_set_deadline(p, start_ms);
}

void
proc_hurry(struct proc *p, int64_t start_ms)
{
	if (p->state == PS_STARTING)
		proc_set_deadline(p, start_ms);
}

void
proc_resumed(struct proc *p, int chan_fd)
{
	proc_spawned(p, -1, -1, chan_fd);
	/* Answers to the former one's calls may come: their numbers were lower,
	 * since no supervisor asks as often as this clock ticks. */
	p->next_id = MAX(p->next_id, now_realtime_ms() * 1000);
	p->up_since_ms = sysops.now_ms();
	proc_set_deadline(p, 0);
	proc_set_state(p, PS_RUNNING);
}
