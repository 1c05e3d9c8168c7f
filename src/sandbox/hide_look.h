/*
 * Looking for what the host must hide: part of hide.c, which alone uses it.
 */
#ifndef SANDBOX_HIDE_LOOK_H
#define SANDBOX_HIDE_LOOK_H

#include "lib/defs.h"
#include <stdbool.h>
#include <sys/stat.h>

/* The two layers, as directories. What a directory of the first merges with is
 * cut off by a whiteout of the same name in the second: so no extended
 * attribute is needed, which tmpfs has not had for long. */
#define DIR_LAYER "hide/"
#define GONE_LAYER "gone/"
#define WHITEOUT "hide/.whiteout"

/* Records one after the other, each followed by its path (relative to the
 * scratch: with the layer's name) and padding. */
struct step {
	uint32_t mode; /* of a directory to make; 0: a whiteout */
	uint32_t uid, gid;
	uint32_t len; /* of the path, with its NUL, rounded up to 8 */
};

struct list {
	char *data; /* owned */
	size_t len, room;
};

/* A directory that was looked through; what changes in it changes this. */
struct seen {
	struct timespec changed;
	char *path; /* owned */
};

struct seen_list {
	struct seen *v; /* owned */
	size_t n, room;
};

static inline struct step *
step_at(const struct list *l, size_t at)
{
	return (struct step *)(void *)(l->data + at);
}

static inline const char *
step_path(const struct step *s)
{
	return (const char *)(s + 1);
}

#define list_foreach(s, at, l)                                               \
	for (size_t at = 0; at < (l)->len && ((s) = step_at(l, at)) != NULL; \
	     at += sizeof(struct step) + (s)->len)

/* Search the root at ROOT_FD. EXTRA: paths relative to it, to be hidden
 * besides. Both outputs are empty before, and the caller's after, also when
 * it fails: 0, or -1 with errno. */
int hide_search(int root_fd, char *const *extra, size_t nextra,
    struct list *steps_out, struct seen_list *seen_out);

bool seen_changed(const struct seen_list *l, int root_fd);
void seen_free(struct seen_list *l);

#endif
