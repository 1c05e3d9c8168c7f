/*
 * What the doors of the file API share. The sandbox's file server does the
 * work (init/files.h); here its answers become HTTP.
 */
#ifndef GATEWAY_DOORS_FILES_H
#define GATEWAY_DOORS_FILES_H

#include "gateway/link.h"
#include "gateway/req.h"

#define FILES_CALL_MS 60000   /* also for the start of a sandbox */
#define FILES_TREE_MS 3700000 /* what the file server itself ends sooner */

/* What the file server has refused. */
void files_fail(struct req *r, const struct err *e);
/* errno of our own doing: "No space left on device (os error 28)". */
void files_fail_errno(struct req *r, int number);

/* Begin the members of a message: an object with "path" from the query. */
void files_fields(struct buf *b, struct jw *w, const struct req *r);

/* A pipe whose one end is ours, non-blocking, and whose other end goes to the
 * file server. As ends of a pipe have flags of their own, nobody there can make
 * us wait. WRITING: we write. */
int files_pipe(bool writing, int *ours_out, int *theirs_out);

/* Answer with what comes out of FD (taken) to its end: JSON whose last byte is
 * END, else the connection is cut. */
void files_reply_pipe(struct req *r, int fd, char end);

#endif
