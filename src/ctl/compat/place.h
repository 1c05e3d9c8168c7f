/*
 * Where things are: the directories of one server of this user, and our own
 * programs.
 *
 * Each server has directories of its own, named by its address and port: a
 * sandboxd owns its state directory alone, so two servers of one user could not
 * share one. Below that there is one for each kind of default sandbox that was
 * asked for, since such a sandbox stays as it was made: whoever starts his
 * server in another directory means that one, and finds the former again when
 * he comes back to it.
 *
 *	DATA/servers/ADDRESS-PORT/state-KIND	records, events, files
 *	DATA/servers/ADDRESS-PORT/state		link to the one in use
 *	DATA/servers/ADDRESS-PORT/sandboxd.conf
 *	DATA/logs, DATA/daemon
 *	RUN/ADDRESS-PORT-HASH		the control socket
 *
 * DATA is $XDG_DATA_HOME/sandbox-agent or ~/.local/share/sandbox-agent. RUN is
 * short, since paths of sockets are: /run/sandbox-agent for root,
 * $XDG_RUNTIME_DIR/sandbox-agent, else /tmp/sandbox-agent-UID; HASH is of DATA,
 * so that nobody finds the server of another home there.
 */
#ifndef CTL_COMPAT_PLACE_H
#define CTL_COMPAT_PLACE_H

#include "lib/defs.h"
#include "lib/err.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define PLACE_KEY_MAX 80
#define PLACE_RUN_MAX 80 /* what sandboxd lets a run directory have */

struct place {
	char data[PATH_MAX];
	char key[PLACE_KEY_MAX]; /* 127-0-0-1-2468 */
	char link[PATH_MAX];	 /* to the state directory in use */
	char state[PATH_MAX];	 /* "": that one, whichever it is */
	char conf[PATH_MAX];
	char run[PLACE_RUN_MAX];
	char socket[108]; /* the control socket in it */
};

/* DATA, into DST[PATH_MAX]; nothing is made. */
int place_data(char *dst, struct err *e);
/* Names only. */
int place_find(struct place *p, const char *host, int port, struct err *e);
/* The state directory for KIND, any text that says what is asked for. */
int place_kind(struct place *p, const char *kind, struct err *e);
/* Make what is missing, for nobody but us. */
int place_make(struct place *p, struct err *e);
/* The state directory is the one in use from now on. */
int place_use(const struct place *p, struct err *e);
/* Make DATA/NAME and those above it. DST[PATH_MAX] is its path. */
int place_data_dir(const char *name, char *dst, struct err *e);
/* The pid of the sandboxd that owns the state directory; 0: none does. */
pid_t place_owner(const struct place *p);
/* Does something answer at the control socket? */
bool place_answers(const char *socket_path);

struct programs {
	char sandboxd[PATH_MAX];
	char libexec[PATH_MAX]; /* "": where sandboxd itself looks */
	char agents[PATH_MAX];	/* definitions; "" as well */
};
/* Beside this program when it lies in a build tree, else where it was
 * installed, wherever that has been moved to. */
int programs_find(struct programs *p, struct err *e);

#endif
