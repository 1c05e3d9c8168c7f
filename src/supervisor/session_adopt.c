/*
 * Session workers that have outlived a supervisor that was killed. Runs in the
 * supervisor. Their init has kept our side of their channel and hands it on
 * (sandbox_adopt.c): the worker notices nothing but that it gets a new store,
 * as after a restart of that. What the former supervisor had begun to say or to
 * hear may be cut off in the middle; that is a breach, and costs the worker its
 * life as any other: the session goes on by a new one.
 */
#include "lib/log.h"
#include "supervisor/sandboxes.h"
#include "supervisor/session_priv.h"

#include <signal.h>
#include <sys/socket.h>

static bool
is_stream(int fd)
{
	int domain = 0, type = 0;
	socklen_t a = sizeof(domain), b = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &a) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &b) == 0 &&
	       domain == AF_UNIX && type == SOCK_STREAM;
}

static void
end_worker(struct sandbox *sb, int64_t exec)
{
	struct jw *w = proc_call(&sb->proc, MSG_INIT_KILL, 0, NULL, NULL);

	if (w == NULL)
		return; /* dead with its sandbox */
	jw_kint(w, "exec", exec);
	jw_kint(w, "signal", SIGKILL);
	(void)proc_send(&sb->proc, NULL, 0); /* or its init is dying */
}

/* It was told to start before: that it says so is what we want to hear. */
static void
on_still_there(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct session *ss = ctx;

	if (ok == NULL && e->code != ERR_BAD_REQUEST)
		return; /* it has ended, or could not: the next one tries */
	ss->ready = true;
	session_serve_waits(ss);
}

int
sessions_adopt(struct sandbox *sb, const struct json *msg,
    const struct chan_frame *f, struct err *e)
{
	struct session *ss = session_find(sb->s, json_str(msg, "session", ""));
	int64_t exec = json_int(msg, "exec", 0);
	struct jw *w;

	if (!sb->adopting || f->nfds != 1 || !is_stream(f->fds[0]))
		return err_set(e, ERR_BAD_REQUEST, "no worker's channel");
	if (ss == NULL || ss->sb != sb || ss->ended || ss->deleting ||
	    ss->kind == SK_PROBE || ss->proc.state != PS_DOWN) {
		end_worker(sb, exec);
		return 0;
	}
	ss->exec_id = exec;
	ss->want_worker = true;
	ss->ready = false;
	proc_resumed(&ss->proc, fd_steal(&f->fds[0]));
	w = proc_call(&ss->proc, MSG_SESSION_START, 0, on_still_there, ss);
	session_start_write(ss, w);
	(void)proc_send(&ss->proc, NULL, 0); /* failure comes as an answer */
	if (session_reattach(ss) == -1)
		log_warn("session", "not attached to the store",
		    LOG_STR("session", ss->id));
	return 0;
}

void
sessions_sandbox_lost(struct sandbox *sb)
{
	struct session *ss;

	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb == sb && !ss->ended)
			session_state_put(ss, "stopped", NULL, NULL);
	}
}
