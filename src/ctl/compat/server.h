/*
 * Becoming a server: this process turns into a sandboxd that serves HTTP for
 * this user.
 */
#ifndef CTL_COMPAT_SERVER_H
#define CTL_COMPAT_SERVER_H

#include "ctl/compat/place.h"
#include "ctl/opt.h"

struct server {
	struct place place;
	struct programs programs;
	const char *host; /* borrowed */
	int port;	  /* 0 until server_listen() has picked one */
	int listen_fd;	  /* owned; -1: it serves no HTTP */
	int token_fd;	  /* owned; -1: no token */
	/* Flags of the command line; NULL: none. */
	const struct args *args;
	/* Gets a newline when requests are served, and is closed when the
	 * daemon ends before; owned, -1: nobody waits. */
	int ready_fd;
	/* Where the daemon's log goes: its standard error. Owned. */
	int log_fd;
};

/* HOST NULL: no HTTP, the directories are those of COMPAT_HOST and PORT. */
void
server_init(struct server *s, const struct args *a, const char *host, int port);
void server_free(struct server *s);

/* The token is copied to where only the daemon reads it, and wiped where it
 * stood: anybody may read a process's arguments. */
int server_token(struct server *s, const char *token, struct err *e);
/* Take the port, and find directories and programs. */
int server_open(struct server *s, struct err *e);
/* Let sandboxd check what it would be told; E has its words. */
int server_check(const struct server *s, struct err *e);
/* Add what credentials this user has to the environment, for the agents whose
 * definitions let them have it. What is set stays. */
void server_credentials(void);
/* Become sandboxd. Returns only when that fails. */
int server_exec(struct server *s, struct err *e);

/* The flags of `server`, which `daemon start` has in part. */
#define SERVER_WHERE_OPTS                                                     \
	{ "host", 'H', "HOST", "Serve at this address; 127.0.0.1 without." }, \
	{                                                                     \
		"port", 'p', "PORT", "And at this port; 2468 without."        \
	}

#endif
