/*
 * Reader of the stream that tells what a copy-on-write mount has changed
 * (format: sandbox/changes.h). The stream is written inside a sandbox: it may
 * lie in every byte. What comes out of here is well formed: a known type, a
 * relative path without tricks, a mode of permission bits, a bounded size.
 * Whether it is true is for the one who acts on it to bear.
 */
#ifndef CTL_CHANGES_H
#define CTL_CHANGES_H

#include "ctl/client.h"
#include <limits.h>

enum change_type {
	CHANGE_FILE,
	CHANGE_DIR,
	CHANGE_REPLACE_DIR,
	CHANGE_SYMLINK,
	CHANGE_DELETE,
	CHANGE_ERROR,
	CHANGE_TYPE_N
};

struct change {
	enum change_type type;
	char path[PATH_MAX];
	char text[PATH_MAX]; /* a symlink's target, an error's detail */
	mode_t mode;	     /* permission bits of files and directories */
	int64_t size;	     /* of a file */
};

struct changes {
	int fd;		      /* owned */
	struct client *reply; /* borrowed: where sandbox.changes is answered;
				 NULL when there is no such (tests) */
	bool answered;
	struct buf in;
	int64_t entries;
	int64_t left; /* bytes of the file that was read last */
	bool ended;
};

void changes_init(struct changes *ch, int fd, struct client *reply);
void changes_free(struct changes *ch);
/* The next entry: 1; the end, and all that was announced has come: 0. Data of
 * the last file that nobody read is skipped. */
int changes_next(struct changes *ch, struct change *c_out, struct err *e);
/* Bytes of the file just read, at most N; 0 at its end. */
ssize_t changes_data(struct changes *ch, void *p, size_t n, struct err *e);

bool change_path_ok(const char *path);
const char *change_type_name(enum change_type t);

#endif
