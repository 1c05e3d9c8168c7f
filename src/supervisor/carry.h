/*
 * What the supervisor carries over an exec of itself (the live upgrade): a JSON
 * document in a sealed memory file, and the descriptors that it names.
 *
 * The pid stays, so children stay our children, and they notice nothing. The
 * new image reads its configuration as at any start and takes from the document
 * only what cannot be found out again: descriptors, processes, what is under
 * way. What a record of the store says is written as such a record.
 *
 * To add long-lived state or descriptors to the supervisor, add a row to
 * `parts` in carry.c:
 *	put	write ONE object; each descriptor through carry_put_fd(), each
 *		child through proc_put(). Changes nothing: the exec may fail.
 *	take	make it so again; runs before the loop does. The struct exists
 *		and is as after a fresh start, except that nothing was started.
 *	busy	a few words about what cannot be carried just now ("a file is
 *		being fetched"), or NULL; the upgrade waits for that, and is
 *		refused if it goes on. May be NULL itself.
 * A child process whose exit you wait for with ev_child must be in `busy` or be
 * taken again; calls to children (proc_call with a callback) are in the way
 * until they are answered: proc_busy() sees to that for every proc.
 *
 * CARRY_FORMAT is raised when the document, or a message of proto.def, changes
 * so that the other side would misunderstand: then there is no live upgrade
 * between the two, and it is refused before anything was touched.
 */
#ifndef SUPERVISOR_CARRY_H
#define SUPERVISOR_CARRY_H

#include "lib/json.h"
#include "supervisor/super.h"

#define CARRY_FORMAT 1
/* What a new image says when it is asked whether it can take over: that it
 * ends well could be said of any program. */
#define CARRY_YES "sandboxd can take over"

struct carry {
	struct jw w;
	struct buf text; /* of the document */
	struct buf fds;	 /* ints: descriptors that stay open */
};

/* A member with a descriptor that is to stay open; -1 is carried as -1. */
void carry_put_fd(struct carry *c, const char *key, int fd);
/* That descriptor, close-on-exec again; -1 if there is none, or it was taken
 * before. */
int carry_take_fd(const struct json *j, const char *key);

/* What cannot be carried now, or NULL. */
const char *carry_busy(struct super *s);
/* Write the document. -1 with E set: it could not be. */
int carry_put(struct super *s, struct carry *c, struct err *e);
void carry_free(struct carry *c);
/* Read a document from FD, which is closed. E tells why it is none of ours. */
int carry_read(int fd, struct json **doc_out, struct err *e);
/* At the beginning of a start with a document: what is opened first. */
int carry_take_early(struct super *s, struct err *e);
/* All the rest. */
int carry_take(struct super *s, struct err *e);

/* --- upgrade.c ------------------------------------------------------------ */

/* The answer to `upgrade` and SIGUSR2. R may be NULL. */
struct request;
void upgrade_begin(struct super *s, struct request *r);
bool upgrade_under_way(const struct super *s);
void upgrade_open(struct super *s); /* watches SIGUSR2 */
void upgrade_close(struct super *s);
/* Everything was taken: open the doors, answer who asked. */
void upgrade_done(struct super *s);
/* Its request, while it is being carried. */
bool upgrade_is(const struct super *s, const struct request *r);

#endif
