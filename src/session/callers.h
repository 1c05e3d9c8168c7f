/*
 * Who may ask a session for something: the supervisor, and gateways on
 * channels of their own. An answer goes to the channel that its request came
 * from, or nowhere when that one has gone.
 */
#ifndef SESSION_CALLERS_H
#define SESSION_CALLERS_H

#include "lib/chan.h"
#include <stdbool.h>
#include <sys/queue.h>

struct session;

/* Where an answer goes. */
struct asker {
	unsigned caller; /* 0: the supervisor; else a gateway's number */
	int64_t id;	 /* of the request; 0: nobody waits */
};

struct caller {
	LIST_ENTRY(caller) link;
	struct session *s;
	struct chan *ch; /* owned */
	unsigned number;
};
LIST_HEAD(callers, caller);

/* Serve a gateway on FD (taken over). */
void caller_add(struct session *s, int fd);
/* The session can be asked now, or never will be: read what came meanwhile. */
void callers_resume(struct session *s);
void callers_free(struct session *s);
/* An answer to WHO could not be queued: a gateway that does not read loses its
 * channel, so that it need not wait for what will not come. */
void asker_lost(struct session *s, struct asker who);
/* The channel of WHO, or NULL when it has gone. */
struct chan *asker_chan(const struct session *s, struct asker who);

#endif
