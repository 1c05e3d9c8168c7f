/*
 * Starting the relay and hearing it. Runs in the supervisor.
 */
#include "supervisor/relay.h"

#include "lib/xalloc.h"
#include "supervisor/exec.h"
#include "supervisor/roles.h"
#include "supervisor/spawn.h"

#include <fcntl.h>
#include <stdio.h>

struct relay {
	struct super *s;
	struct proc proc;
};

static int
start(struct proc *p, struct err *e)
{
	struct relay *r = p->owner;
	struct super *s = r->s;
	char id[16];
	autofd int dir_fd = openat(s->state_fd, "empty",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	static char program[] = "sandboxd-relay", uid_flag[] = "--uid",
		    gid_flag[] = "--gid", root_flag[] = "--root", here[] = ".";
	char *argv[] = { program, s->root ? uid_flag : NULL, id, gid_flag, id,
		root_flag, here, NULL };

	if (dir_fd == -1)
		return err_sys(e, "open %s/empty", s->conf.state_dir);
	(void)snprintf(id, sizeof(id), "%lu", (unsigned long)SUPER_RELAY_ID(s));
	return spawn_helper(s, p, dir_fd, argv, e);
}

static int
message(struct proc *p, const struct proto_in *in,
    const struct chan_frame *f ATTR_UNUSED, struct err *e)
{
	struct relay *r = p->owner;

	if (in->type != MSG_RELAY_GONE)
		return err_set(e, ERR_BAD_REQUEST, "not for a relay to say");
	exec_client_gone(r->s, json_int(in->body, "carry", 0));
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
	struct relay *r = p->owner;

	role_down(r->s, p);
	super_stop_step(r->s);
}

static const struct proc_kind relay_kind = {
	.role = ROLE_RELAY,
	.start = start,
	.message = message,
	.ask_stop = ask_stop,
	.down = down,
	.start_ms = 15000,
	.stop_ms = 2000,
	.restart = true,
	.keep_trying = true,
};

struct relay *
relay_new(struct super *s)
{
	struct relay *r = xcalloc(1, sizeof(*r));

	r->s = s;
	proc_init(&r->proc, &relay_kind, r, s->loop, "relay");
	return r;
}

void
relay_free(struct relay *r)
{
	if (r == NULL)
		return;
	proc_free(&r->proc);
	free(r);
}

int
relay_start(struct relay *r, struct err *e)
{
	return proc_start(&r->proc, e);
}

void
relay_stop(struct relay *r)
{
	proc_stop(&r->proc);
}

struct proc *
relay_proc(struct relay *r)
{
	return &r->proc;
}
