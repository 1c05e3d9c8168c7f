/*
 * Init's side of the gateways' channels: what they ask about processes and
 * ports is checked here and handed on. A gateway that breaks a rule loses its
 * channel, and nothing else comes to harm.
 */
#ifndef INIT_GATE_H
#define INIT_GATE_H

#include "init/init.h"
#include "lib/json.h"
#include <sys/queue.h>

/* What commands of a gateway get unless they bring their own. */
struct gate_defaults {
	char **env;	   /* owned: "NAME=value", NULL-terminated */
	char *directory;   /* owned, NULL: the user's home */
	char *user;	   /* owned, NULL: root */
	char *home;	   /* owned, NULL: as passwd has it */
	bool host_network; /* shared with the host */
};

struct gate {
	LIST_ENTRY(gate) link;
	struct init *in; /* borrowed */
	struct chan *ch; /* owned; to the gateway */
	struct gate_defaults defaults;
};

/* An `init.gateway` message. Takes the descriptor out of F. */
void
gate_add(struct init *in, const struct json *msg, const struct chan_frame *f);

/* The supervisor, as one who asks about processes: on init's own channel, with
 * no defaults, since its requests say everything. */
struct gate *gate_super(struct init *in);

/* While ON nothing is read from any gateway. */
void gates_pause(struct init *in, bool on);

#endif
