/*
 * What chan.c (life and receiving) and chan_send.c share and nobody else may
 * see.
 */
#ifndef LIB_CHAN_PRIV_H
#define LIB_CHAN_PRIV_H

#include "chan.h"

#define RX_FDS_MAX 16	/* descriptors whose frame has not arrived yet */
#define TX_FDS_MAX 1024 /* frames with descriptors that wait */

/* Descriptors that go with the byte at POS of all that was ever sent. */
struct tx_fds {
	uint64_t pos;
	size_t n;
	int fds[FDIO_MAX_FDS]; /* owned */
};

struct chan {
	struct ev_loop *loop; /* borrowed, outlives us */
	ev_io rio, wio;
	int fd; /* owned, -1 once closed */
	char name[48];
	chan_cb *cb;
	void *ctx; /* borrowed, handed to the callbacks */
	void (*drained)(struct chan *, void *);
	size_t max_bytes, queue_bytes;
	unsigned depth;
	bool raw, paused;
	bool doomed; /* chan_free was called; callbacks are over */
	bool mute;   /* sending has failed; reading goes on to the end */
	unsigned busy;

	struct buf rx;	   /* a frame that is not whole yet, or a pause's */
	uint64_t rx_pos;   /* of the next frame, in all that came */
	uint64_t rx_total; /* all that came */
	int rx_fds[RX_FDS_MAX];	       /* owned, in order of arrival */
	uint64_t rx_until[RX_FDS_MAX]; /* their frame begins before this */
	size_t nrx_fds;

	struct buf tx; /* waits for the socket, from TX_AT on */
	size_t tx_at;
	uint64_t tx_pos;       /* of the byte at TX_AT, in all that went */
	struct tx_fds *tx_fds; /* owned array */
	size_t ntx_fds;
};

/* chan.c: the function that counted itself in `busy` is leaving. */
void chan_leave(struct chan *ch);

/* chan_send.c: forget what waits to be sent, and frames in the making (of all
 * channels when CH is NULL). */
void chan_tx_drop(struct chan *ch);
void chan_forget_builds(const struct chan *ch);
void chan_on_writable(struct ev_loop *loop, ev_io *w, int revents);

#endif
