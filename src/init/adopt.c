/*
 * Outliving the supervisor; see adopt.h. Runs in init.
 *
 * Our channel ends without a `stop` only when the supervisor was killed: who
 * ends a sandbox in order kills it, and does not just hang up. What it had
 * started for its clients has no reader then and is ended; all else goes on.
 * Session workers do not even notice: we hold the other end of their channel,
 * too, and hand it on.
 * The next supervisor connects to a socket whose file is in its own state
 * directory, which nobody in here can reach, and we are the only process that
 * holds the listening side.
 *
 * Who connects must come from outside of this pid namespace (its process
 * number is none in here) and be called by the same user id in here as the
 * first supervisor: that of nobody, as all outside are, but for a supervisor
 * that is an ordinary user. The kernel says it, so it is believed. One
 * connection at a time, and only while there is no other.
 */
#include "init/adopt.h"
#include "init/exec.h"
#include "init/service.h"
#include "init/stop.h"
#include "lib/parent.h"
#include "lib/proto.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Each supervisor that is killed while we are frozen leaves one. */
#define BACKLOG 64

struct adopt {
	struct init *in; /* borrowed */
	uid_t super_uid; /* as it is called in here */
	ev_io knock;
	ev_timer patience;
};

static bool
peer_read(int fd, struct ucred *peer_out)
{
	socklen_t len = sizeof(*peer_out);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer_out, &len) == 0 &&
	       len == sizeof(*peer_out);
}

static void
take(struct adopt *a, int fd)
{
	struct init *in = a->in;
	struct jw *w;

	ev_io_stop(in->loop, &a->knock);
	ev_timer_stop(in->loop, &a->patience);
	chan_free(in->ch);
	in->ch = chan_new(in->loop, fd, "supervisor", init_on_chan, in);
	w = chan_begin(in->ch);
	proto_begin(w, MSG_INIT_ADOPTED, 0);
	jw_kint(w, "last", in->last_id);
	service_put_state(in, w);
	(void)chan_end(in->ch, NULL, 0); /* its end is told by itself */
	execs_put_workers(in);
	(void)parent_hello(in->ch, ROLE_INIT);
	init_awake(in);
}

/* True when a supervisor has come. */
static bool
look(struct adopt *a)
{
	struct ucred peer;
	int fd;

	while ((fd = accept4(CHILD_ADOPT_FD, NULL, NULL,
		    SOCK_CLOEXEC | SOCK_NONBLOCK)) != -1) {
		if (peer_read(fd, &peer) && peer.pid == 0 &&
		    peer.uid == a->super_uid) {
			take(a, fd);
			return true;
		}
		(void)close(fd);
	}
	return false;
}

static void
on_knock(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	(void)look(w->data);
}

static void
on_patience(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	/* We may have been frozen all the time. */
	if (!look(w->data))
		stop_now();
}

int
adopt_open(struct init *in, struct err *e)
{
	struct adopt *a;
	struct ucred peer;

	if (in->adopt_ms == 0)
		return 0;
	a = calloc(1, sizeof(*a));
	if (a == NULL || !peer_read(CHILD_SUPER_FD, &peer))
		return err_sys(e, "who is the supervisor?");
	/* We call it, not who made the socket: the kernel then tells whoever
	 * connects that it is us. */
	if (listen(CHILD_ADOPT_FD, BACKLOG) == -1)
		return err_sys(e, "listen for a later supervisor");
	a->in = in;
	a->super_uid = peer.uid;
	ev_io_init(&a->knock, on_knock, CHILD_ADOPT_FD, EV_READ);
	ev_timer_init(
	    &a->patience, on_patience, (double)in->adopt_ms / 1e3, 0.);
	a->knock.data = a->patience.data = a;
	in->adopt = a;
	/* PRIV: from here on the supervisor's death is not ours. */
	if (prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) == -1)
		return err_sys(e, "outlive the supervisor");
	return 0;
}

bool
adopt_wait(struct init *in)
{
	struct adopt *a = in->adopt;

	if (a == NULL || stop_begun(in))
		return false;
	execs_orphaned(in);
	ev_now_update(in->loop);
	ev_timer_stop(in->loop, &a->patience);
	ev_timer_set(&a->patience, (double)in->adopt_ms / 1e3, 0.);
	ev_timer_start(in->loop, &a->patience);
	ev_io_start(in->loop, &a->knock);
	return true;
}
