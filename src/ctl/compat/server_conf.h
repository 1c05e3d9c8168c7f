/*
 * The configuration of a server that this program starts, and above all what
 * its sandbox `default` is like.
 *
 * Such a server is used as if its agents ran on the host: they need the network
 * to reach their models, and the directory that the server was started in to
 * work on. So the default sandbox gets the host's network, and that directory
 * at its own path, copy-on-write: agents see it and may change all of it, and
 * nothing of that reaches the host until somebody takes it over. The caller may
 * say otherwise. A directory that is a home, or holds one or the system, is not
 * shown unasked: it holds keys.
 */
#ifndef CTL_COMPAT_SERVER_CONF_H
#define CTL_COMPAT_SERVER_CONF_H

#include "ctl/compat/server.h"

#define SERVER_SANDBOX_OPTS                                              \
	{ "network", '\0', "WHICH",                                      \
		"Of the default sandbox: host (without this flag) or "   \
		"none." },                                               \
	{                                                                \
		"workspace", '\0', "HOW",                                \
		    "Show it this directory: cow (changes stay inside; " \
		    "without this flag), rw or none."                    \
	}

/* Are the words of these flags good? */
int server_conf_check(const struct args *a, struct err *e);
/* What the default sandbox shall be like: arguments of sandbox.create, as JSON,
 * into DST. */
#define SERVER_SPEC_MAX 4000 /* what an option of sandboxd.conf(5) may have */
int server_conf_spec(
    const struct server *s, char dst[SERVER_SPEC_MAX], struct err *e);
/* Write S->place.conf, anew at each start. What the caller has in
 * $XDG_CONFIG_HOME/sandbox-agent/sandboxd.conf or ~/.config/… stands behind
 * ours, and so above it. */
int server_conf_write(const struct server *s, const char *spec, struct err *e);

#endif
