/*
 * A session's events in order, each once, over connections that may be lost:
 * after a loss it asks again for what follows the last event seen.
 */
#ifndef CTL_FOLLOW_H
#define CTL_FOLLOW_H

#include "ctl/client.h"

struct follow {
	struct client c;
	struct ctl *ctl;     /* borrowed */
	const char *session; /* borrowed */
	int64_t last;	     /* sequence of the last event seen */
	int64_t limit;	     /* events still wanted; -1: no limit */
	bool live;	     /* go on with events as they are stored */
	bool raw;
	bool asked; /* the request is out */
	unsigned tries;
	int64_t retry_ms; /* when to connect again, monotonic */
	struct err lost;  /* why the last connection ended */
};

enum follow_got {
	FOLLOW_EVENT,
	FOLLOW_NONE,
	FOLLOW_END
};

/* Only events after AFTER. Connects at the first call of follow_next. */
void follow_init(struct follow *f, struct ctl *ctl, const char *session,
    int64_t after, bool live);
void follow_free(struct follow *f);

/* For poll: the descriptor or -1, and how long to wait at most (-1: for
 * ever). */
int follow_fd(const struct follow *f);
int follow_wait_ms(const struct follow *f);

/* The next event, if one is here; *A_OUT's body is it. -1: no use in trying
 * any longer. */
int follow_next(struct follow *f, enum follow_got *got_out,
    struct answer *a_out, struct err *e);

#endif
