/*
 * A control group of our own; see scope.h. Runs in the supervisor at start.
 *
 * With version 2 a group either holds processes or hands out controllers, and
 * the groups of a host with systemd are systemd's to divide. As a service we
 * are given one (Delegate=). From a shell we are in the shell's, which is of no
 * use and not ours to change: so systemd is asked for a scope, the way it
 * offers to those whose processes are there already. Its own client is executed
 * for that, once, with words that we made: no D-Bus library in a process with
 * our rights.
 */
#include "supervisor/scope.h"

#include "lib/hostprog.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "sandbox/cgroup.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 3000
#define LOOK_MS 10
#define CLIENT "/usr/bin/busctl"

static bool
can_ask(const struct super *s)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char path[256];

	if (getpid() == 1 || access("/run/systemd/system", F_OK) == -1 ||
	    access(CLIENT, X_OK) == -1)
		return false;
	/* Not root: the user's own manager, if there is one. */
	return s->root || (run != NULL &&
			      str_format(path, sizeof(path),
				  "%s/systemd/private", run) == 0 &&
			      access(path, F_OK) == 0);
}

/* PRIV: the client has our uid and nothing of ours; it talks to the manager
 * that runs this host, or this user's processes. */
static int
client_start(
    const struct super *s, const char *unit, const char *self, pid_t *pid_out)
{
	/* It takes them as they are and changes none. */
	const char *const argv[] = { "busctl", s->root ? "--system" : "--user",
		"--quiet", "call", "org.freedesktop.systemd1",
		"/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
		"StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail",
		/* four properties: name, type, value */
		"4", "Description", "s", "Sandboxes of sandboxd", "PIDs", "au",
		"1", self, "Delegate", "b", "true", "KillMode", "s", "mixed",
		/* no further units */
		"0", NULL };

	return hostprog_start(
	    CLIENT, (char *const *)argv, environ, -1, pid_out);
}

void
scope_enter(struct super *s)
{
	int64_t until = now_monotonic_ms() + WAIT_MS;
	char unit[64], self[16];
	int status;
	pid_t pid;

	if (!cgroup_own_shared() || !can_ask(s))
		return;
	(void)snprintf(self, sizeof(self), "%ld", (long)getpid());
	(void)snprintf(
	    unit, sizeof(unit), "sandboxd-%ld.scope", (long)getpid());
	if (client_start(s, unit, self, &pid) == 0 &&
	    hostprog_wait(pid, until, &status))
		/* It has only begun to: we are moved a little later. */
		while (cgroup_own_shared() && now_monotonic_ms() < until)
			(void)poll(NULL, 0, LOOK_MS);
	if (cgroup_own_shared())
		log_warn("super",
		    "no control group of our own: start sandboxd as a service "
		    "with Delegate=yes, or limits cannot be had");
	else
		log_info("super", "control groups are systemd's",
		    LOG_STR("scope", unit));
}
