/*
 * The logs of sandboxes: what has become of each, entry by entry.
 *
 * An entry is a JSON object {"seq":N,"at":MS,"event":WORD,...}: `seq` and the
 * order are the store's, `at` is the time of the happening in milliseconds
 * since 1970, and the other members are flat: strings, whole numbers, true and
 * false. The log begins with the sandbox's record and is closed with it; it
 * stays for a time after that, or until a sandbox of the same id is made.
 */
#ifndef STORE_NOTES_H
#define STORE_NOTES_H

#include "lib/buf.h"
#include "lib/json.h"
#include "store/sessions.h"

#define NOTE_BYTES_MAX 4096  /* of an entry, without its number */
#define NOTE_MEMBERS_MAX 24  /* beside `at` */
#define NOTE_NAME_MAX 32     /* of a member, and of `event` */
#define NOTE_STRING_MAX 1024 /* of a value */
#define NOTES_MAX_DEFAULT 10000

/* NOTE, an object with `event` and other members, checked and written to OUT
 * as batch_note() wants it. Its members `seq` and `at` are ignored. */
int note_build(const struct json *note, int64_t at_ms, struct buf *out,
    struct err *e) ATTR_WARN_UNUSED;

/* The log of a sandbox with a reference, as session_open(): the same kind of
 * thing with `sandbox` set. ERR_SANDBOX_NOT_FOUND. */
int notes_open(struct store *st, const char *sandbox, struct session **s_out,
    struct err *e) ATTR_WARN_UNUSED;

/* After a commit: LOG has got the entry LAST; its sandbox is gone; it is gone
 * itself. */
void
notes_grew(struct store *st, const char *sandbox, uint64_t log, uint64_t last);
void notes_closed(struct store *st, const char *sandbox, uint64_t log);
void notes_removed(struct store *st, const char *sandbox, uint64_t log);

/* The courier's channel FD (taken over in any case) may add notes to the log
 * of this sandbox and no other. It is told nothing; what it says is bounded in
 * length and rate, and a breach closes the channel. So does the sandbox's end.
 */
int noter_attach(struct store *st, const char *sandbox, int fd,
    struct err *e) ATTR_WARN_UNUSED;
void noters_drop(struct store *st, const struct session *s); /* those of S */
void noters_close(struct store *st);

#endif
