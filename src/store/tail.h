/*
 * What a session's worker may read of its own log: the last events, for an
 * agent that has forgotten the conversation.
 */
#ifndef STORE_TAIL_H
#define STORE_TAIL_H

#include "store/worker.h"

/* Is this frame a request for the tail, and not an append? */
bool tail_asked(const char *text, size_t len);
/* Answer it. -1 is a breach. W may be gone afterwards. */
int tail_answer(struct worker *w, const char *text, size_t len,
    struct err *e) ATTR_WARN_UNUSED;

#endif
