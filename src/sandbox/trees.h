/*
 * The detached mounts that a sandbox is put together from: its image, its own
 * directory, the sources of its mounts. Made by the supervisor where it may,
 * else by the child; see setup.h.
 */
#ifndef SANDBOX_TREES_H
#define SANDBOX_TREES_H

#include "sandbox/setup.h"

/* Supervisor: the directories of upper layers below p->dir_fd, as far as they
 * are missing. Those of cow mounts must be there before the trees are opened;
 * the root's only before the child goes on, and making them meanwhile saves
 * the time: a directory on disk costs as much as ten mounts. */
int trees_prepare_cow(struct setup *s, struct err *e);
int trees_prepare(struct setup *s, struct err *e);
/* Supervisor, ranged: make the trees. */
int trees_open(struct setup *s, struct err *e);
/* Supervisor, ranged: map their ids for the user namespace. */
int trees_map(struct setup *s, int userns_fd, struct err *e);
void trees_close(struct setup *s);

/* Child, rootless: make them here. 0, or -1 with errno and s->detail. */
int trees_open_here(struct setup *s);

#endif
