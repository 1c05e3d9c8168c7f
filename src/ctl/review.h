/*
 * A sandbox's changes beside the directory they are changes of: what diff,
 * apply and the end of run have in common.
 */
#ifndef CTL_REVIEW_H
#define CTL_REVIEW_H

#include "ctl/changes.h"
#include <sys/stat.h>

struct review {
	struct ctl *ctl; /* borrowed */
	char id[64];
	char source[PATH_MAX]; /* the original directory */
	char target[PATH_MAX]; /* where the sandbox shows it */
	int64_t created_ms;    /* of the sandbox */
	bool was_stopped;      /* we started it; to be stopped again */
	struct client client;
	struct changes changes;
	int root_fd;	   /* of source */
	char *const *only; /* borrowed: paths that matter; NULL or empty: all */
	size_t nonly;
};

/* TARGET: which copy-on-write mount; NULL: the first. */
int review_open(struct review *rv, struct ctl *ctl, const char *id,
    const char *target, struct err *e);
/* Stops the sandbox again if it was stopped. */
void review_close(struct review *rv);
/* Like changes_next, without entries that do not matter. */
int review_next(struct review *rv, struct change *c_out, struct err *e);

enum change_kind {
	KIND_SAME, /* nothing that shows: also a directory that was there */
	KIND_ADDED,
	KIND_MODIFIED,
	KIND_MODE, /* only permission bits */
	KIND_DELETED,
	KIND_REPLACED, /* was of another type */
	KIND_ERROR,
	KIND_N
};
const char *change_kind_name(enum change_kind k);

/* Everything but a file's content: for files KIND_MODIFIED means that the
 * content must be compared. *ST_OUT has st_mode 0 when nothing was there. */
int review_kind(struct review *rv, const struct change *c,
    enum change_kind *kind_out, struct stat *st_out, struct err *e);
/* The original of a file, or -1 when there is no regular one. */
int review_open_old(const struct review *rv, const struct change *c);
/* Does the file's data equal that of OLD_FD? Reads all of it. 1, 0, -1. */
int review_same_data(struct review *rv, int old_fd, struct err *e);
/* How many entries change anything, and how many of these are no
 * directories. */
int review_count(
    struct review *rv, int64_t *n_out, int64_t *files_out, struct err *e);

#endif
