/*
 * The right to use the control socket: root, our own user, and whom the
 * configuration names.
 */
#ifndef SUPERVISOR_PEER_H
#define SUPERVISOR_PEER_H

#include "supervisor/super.h"
#include <sys/socket.h>

/* FD is the connection that CR was read from. */
bool peer_allowed(const struct super *s, int fd, const struct ucred *cr);

/* What one user has open and may ask. */
struct peer_use {
	LIST_ENTRY(peer_use) link;
	uid_t uid;
	size_t clients;
	double tokens; /* requests that may come now */
	int64_t at_ms; /* when they were counted */
};

/* A connection of UID begins. NULL: root, and whoever runs us, have no limits.
 * It ends by peer_leave(), which takes NULL too. */
struct peer_use *peer_enter(struct super *s, uid_t uid);
void peer_leave(struct peer_use *u);
/* More connections than one user may have, this one counted. */
bool peer_too_many(const struct super *s, const struct peer_use *u);
/* 0: its next request may be served, and is counted; else the time until then,
 * and it is not. */
int64_t peer_wait_ms(const struct super *s, struct peer_use *u);
void peers_free(struct super *s);

/* Those who may, by the configuration, but cannot get to the socket: into DST
 * the directory that lets nobody through. False: nothing is in the way. */
bool peer_barred(const struct conf *cf, char *dst, size_t size);
/* The log is told. */
void peers_check(const struct super *s);

#endif
