/*
 * The command line of `sandbox-agent`, which we take when we are called by that
 * name: so that what starts or asks such a server, its SDK first of all, does
 * so with ours unchanged. Each command is one file; what they share is here.
 *
 * All of it runs as the caller. Codes to end with: 0, 1 for a failure, 2 for
 * wrong use.
 */
#ifndef CTL_COMPAT_COMPAT_H
#define CTL_COMPAT_COMPAT_H

#include "ctl/opt.h"

#define COMPAT_PROGRAM "sandbox-agent"
#define COMPAT_HOST "127.0.0.1"
#define COMPAT_PORT 2468

/* Was this program called by that name? */
bool compat_called(const char *argv0);
/* The whole run; the code to end with. */
int compat_main(struct ctl *ctl, int argc, char **argv);

extern const struct command compat_server;
extern const struct command compat_install_desktop;
extern const struct command compat_install_agent;
extern const struct command compat_opencode;
extern const struct command compat_daemon_start;
extern const struct command compat_daemon_stop;
extern const struct command compat_daemon_status;
extern const struct command compat_mock_process;

/* --host and --port, or what stands for them; -1: wrong use. */
int compat_where(
    const struct args *a, const char **host_out, int *port_out, struct err *e);

#endif
