/*
 * Frames over a stream socket on a libev loop, with descriptors.
 *
 * Order of bytes and of descriptors is kept: descriptors that a frame
 * announces with "fds":n are those next received. A frame that announces more
 * than have arrived, or a descriptor that no frame announces, is a breach.
 *
 * One callback tells everything: CHAN_FRAME for each frame, then exactly one
 * CHAN_CLOSED with the reason. In CHAN_FRAME the callee may take descriptors
 * out of f->fds with fd_steal(); those left are closed afterwards. The
 * callback may call chan_free() on its own channel.
 */
#ifndef LIB_CHAN_H
#define LIB_CHAN_H

#include "buf.h"
#include "defs.h"
#include "err.h"
#include "fdio.h"
#include "json.h"
#include <ev.h>

enum chan_what {
	CHAN_FRAME,
	CHAN_CLOSED
};

struct chan_frame {
	const char *text; /* the JSON as received */
	size_t len;
	const struct json *msg; /* parsed; NULL on a raw channel */
	int *fds;
	size_t nfds;
};

struct chan;
/* The plainest WHY of CHAN_CLOSED. */
#define CHAN_WHY_PEER "closed by peer"

/* No callback may run the loop. F is set for CHAN_FRAME; WHY for CHAN_CLOSED
 * ("closed by peer", "frame too long", …). */
typedef void chan_cb(struct chan *ch, enum chan_what what,
    const struct chan_frame *f, const char *why, void *ctx);

/* Takes ownership of FD (made non-blocking). NAME is copied: it stands in log
 * lines. */
struct chan *chan_new(
    struct ev_loop *loop, int fd, const char *name, chan_cb *cb, void *ctx);
void chan_free(struct chan *ch); /* accepts NULL; closes; no callback */
/* The peer sees the end now, whoever else holds our side. */
void chan_hang_up(struct chan *ch);
/* Deliver frames unparsed (f->msg NULL): for the store's fast path. No
 * descriptor may come on such a channel. */
void chan_set_raw(struct chan *ch, int on);
/* JSON depth allowed in frames; JSON_DEPTH_CONTROL unless told. */
void chan_set_depth(struct chan *ch, unsigned depth);
/* Longest frame accepted; FRAME_MAX unless told. */
void chan_set_max(struct chan *ch, size_t max_bytes);
/* Bytes that may wait to be sent before chan_send fails; 4 MiB unless told. */
void chan_set_queue(struct chan *ch, size_t max_bytes);
/* Stop reading (backpressure) and go on. */
void chan_pause(struct chan *ch);
void chan_resume(struct chan *ch);
size_t chan_queued(const struct chan *ch);
/* Sending has failed for good: the peer is gone, CHAN_CLOSED is to come. */
bool chan_mute(const struct chan *ch);
/* In a forked child that will have channels of its own: forget what the parent
 * was doing, maybe in the midst of a callback. Its channels are not to be used
 * here. */
void chan_forked(void);
/* Over an exec of our own program: write all that CH holds as a JSON object,
 * the descriptors as numbers, which are added to KEEP (as ints); and make a
 * channel of that again. NULL when J is not such an object. What chan_set_*
 * changed is to be set anew. */
void chan_put(const struct chan *ch, struct jw *w, struct buf *keep);
struct chan *chan_take(struct ev_loop *loop, const struct json *j,
    const char *name, chan_cb *cb, void *ctx);
/* Any bytes as a member, and back: added to B; -1 when V is nothing such. */
void chan_bytes_put(struct jw *w, const char *key, const struct buf *b);
int chan_bytes_take(const struct json *v, struct buf *b);
/* Called whenever the send queue has become empty. */
void chan_on_drain(struct chan *ch, void (*fn)(struct chan *, void *));

/* Writing a frame: w = chan_begin(ch); jw_kstr(w, …); chan_end(ch, …).
 * chan_begin opens the object and chan_end closes it, adds "fds":n, queues
 * frame and descriptors (which now belong to the channel, also on failure),
 * and sends what the socket takes. -1 when the queue is full, the frame is
 * too long, or the peer is gone (CHAN_CLOSED follows once what it had sent is
 * delivered): nothing of the frame is sent. An empty queue takes any frame.
 * Frames may be begun on other channels, or again on the same, before the
 * first is ended. */
struct jw *chan_begin(struct chan *ch);
int chan_end(struct chan *ch, const int *fds, size_t nfds);
/* The usual replies. ID is the request's. chan_reply() begins one whose members
 * of "ok" are the caller's: jw_object_end() and chan_end() follow. */
struct jw *chan_reply(struct chan *ch, int64_t id);
int chan_reply_ok(struct chan *ch, int64_t id);
int chan_reply_err(struct chan *ch, int64_t id, const struct err *e);
/* Read the "error" member of a reply, or that member itself as proto_check
 * gives it, into E; returns -1 always. */
int chan_reply_to_err(const struct json *reply, struct err *e);

#endif
