/*
 * sandboxctl-http's side of backend.h: commands connect to a bridge, which is
 * forked for each connection, in place of the control socket. Runs as the
 * caller.
 */
#include "ctl/http/bridge.h"
#include "lib/strutil.h"
#include <signal.h>
#include <sys/socket.h>

static struct target target;

static int
connect_bridge(struct ctl *ctl, int *fd_out, struct err *e)
{
	static bool is_later;
	int pair[2];
	pid_t pid;

	(void)ctl;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		return err_sys(e, "socketpair");
	/* PRIV: none before, none after; the child is the caller as we are. */
	pid = fork();
	if (pid == -1) {
		(void)err_sys(e, "fork");
		fd_close(&pair[0]);
		fd_close(&pair[1]);
		return -1;
	}
	if (pid == 0) {
		(void)close(pair[0]);
		bridge_main(pair[1], &target, !is_later);
	}
	(void)close(pair[1]);
	is_later = true;
	*fd_out = pair[0];
	return 0;
}

int
backend_http(struct ctl *ctl, const struct backend_where *where, char **argv,
    struct err *e)
{
	(void)argv;
	if (target_open(&target, where, e) == -1)
		return -1;
	/* Bridges end by themselves; nobody waits for them. */
	(void)signal(SIGCHLD, SIG_IGN);
	ctl->endpoint = where->endpoint;
	ctl->connect = connect_bridge;
	if (str_copy(ctl->socket, sizeof(ctl->socket), "the server") == -1)
		ctl->socket[0] = '\0'; /* what messages call the other side */
	return 0;
}
