/*
 * One connection of the control socket; shared by control.c (accepting,
 * reading, lines) and request.c (answers).
 */
#ifndef SUPERVISOR_CLIENT_H
#define SUPERVISOR_CLIENT_H

#include "supervisor/control.h"

#define CLIENT_OUT_MAX (64u << 20) /* bytes of one answer */

struct client {
	LIST_ENTRY(client) link;
	struct super *s;
	int fd; /* owned */
	ev_io rd, wr;
	ev_timer idle;
	struct buf in, out;
	uid_t uid;
	bool allowed;
	struct peer_use *use; /* borrowed; NULL: no limits */
	ev_timer brake;	      /* runs while it has asked too fast */
	bool eof;	      /* it has said all it will */
	bool handed;	      /* another process writes to it now */
	bool closing;	      /* hang up when OUT is empty */
	bool scripted;	      /* see SCRIPT_FIRST_MS */
	bool serving;	      /* inside serve(): no recursion */
	int64_t accepted_ms;
	uint64_t lines;
	struct request *req;
	struct jw jw;
	int fds[FDIO_MAX_FDS]; /* received, not yet claimed; owned */
	size_t nfds;
};

/* Tells the request that its client has gone. */
void client_free(struct client *c);
/* Write what the socket takes. False: the client is gone, and freed. */
bool client_flush(struct client *c);
/* Something happened: a script's idle time begins anew. */
void client_touch(struct client *c);
/* Serve its next lines, if it can be served. May free it. */
void client_serve(struct client *c);
/* Both in control.c: the listening socket, and everything around it. */
int control_fd(const struct super *s, bool *lent_out);
void control_new(struct super *s, int fd, bool lent);
/* A new entry; begins to read when it is served. */
struct client *client_new(struct super *s, int fd, uid_t uid, bool allowed);
/* All of them, the newest first. */
struct client *clients_first(const struct super *s);
void client_add_error(struct client *c, const char *id, const struct err *e);

#endif
