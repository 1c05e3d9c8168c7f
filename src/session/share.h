/*
 * One process for several sessions of a sandbox. Sessions whose agent would be
 * started by the same words, in the same environment and directory share it.
 *
 * A worker starts two programs, both its own file under another name: a keeper
 * (share_keep.c), which goes on without it, unless one is there already, and,
 * as its child, a stand-in for the agent (share_join.c), which hands its stdin,
 * stdout and stderr to the keeper over a socket and ends when the keeper says
 * so. To the worker that is the agent; killing it is how its session leaves.
 *
 * All of it runs in the sandbox as its user, with no more rights than the
 * agent's own processes, and trusts nothing.
 */
#ifndef SESSION_SHARE_H
#define SESSION_SHARE_H

#include "session/agent_process.h"

#define SHARE_SELF "/proc/self/exe"
#define SHARE_PATH_MAX 96 /* fits a socket's address */
#define SHARE_FDS 4	  /* stdin, stdout, stderr, what it is */

/* What the keeper says, a byte each; after SHARE_JOINED and at the end comes
 * the status to exit with. */
enum share_answer {
	SHARE_JOINED = 'j',
	SHARE_OTHER = 'o' /* it keeps another process than is wanted */
};

/* As process_start(), but what is started may be shared. */
int share_start(struct ev_loop *loop, const struct process_spec *spec,
    const struct process_ops *ops, void *ctx, struct process **p_out,
    struct err *e);
/* Is this program started as one of the two? Then share_main() is all. */
bool share_wanted(int argc, char *const *argv);
int share_main(struct ev_loop *loop, char *const *argv);

/* --- between the files ---------------------------------------------------- */

/* What a shared process is, as bytes to be compared: where it is, its
 * directory, its words, its environment. */
void share_identity(
    struct buf *b, const char *directory, char *const *argv, char *const *env);
/* The directory that sockets lie in, made when it is missing. */
int share_place(char dst[SHARE_PATH_MAX], struct err *e);
/* Is the other end in this sandbox, and its user's? */
bool share_peer_ok(int fd);
/* A connection to the keeper, which may block; or -1. */
int share_connect(const char *socket);

/* share_lock.c: the socket of a keeper, and the lock that makes it one. */
struct share_door {
	char *socket, *lock;	/* owned */
	int lock_fd, listen_fd; /* owned, -1 when empty */
	bool keeper;
};
/* Waits for up to ten seconds. False: another is the keeper, or nobody can. */
bool share_door_open(struct share_door *d, const char *socket);
/* Nobody comes in any more. */
void share_door_shut(struct share_door *d);
/* The next keeper may begin. */
void share_door_leave(struct share_door *d);

/* share_join.c, share_keep.c: ARGV is the agent's. */
int share_join(const char *socket, const char *directory, char *const *argv);
int share_keep(struct ev_loop *loop, const char *socket, const char *directory,
    char *const *argv);

#endif
