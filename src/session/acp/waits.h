/*
 * Requests of ACP clients that wait for their response, by the JSON text of
 * their id: 1 and "1" are two, 1 and 1 from two clients are one, and both are
 * answered by the first response.
 */
#ifndef SESSION_ACP_WAITS_H
#define SESSION_ACP_WAITS_H

#include "lib/json.h"
#include "session/callers.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct session;

struct acp_wait {
	TAILQ_ENTRY(acp_wait) link;
	char *id; /* owned: JSON text */
	struct asker who;
};

struct acp_waits {
	TAILQ_HEAD(acp_wait_list, acp_wait) list; /* owned, oldest first */
	unsigned n;
};

void acp_waits_init(struct acp_waits *ws);
void acp_waits_free(struct acp_waits *ws);
void acp_waits_add(struct acp_waits *ws, const char *id, struct asker who);
struct acp_wait *acp_waits_first(const struct acp_waits *ws);
/* Answer who waits for ID with SEQ, once all that was added is stored. False:
 * nobody does. */
bool acp_waits_answer(
    struct acp_waits *ws, struct session *s, const char *id, int64_t seq);
/* Answer everybody: the program has ended, with CODE (-1: by a signal) and
 * these last words, or NULL. */
void acp_waits_exited(
    struct acp_waits *ws, struct session *s, int code, const char *stderr_tail);
/* The ids that wait, as an array for the checkpoint: as many as fit in it. */
void acp_waits_write(const struct acp_waits *ws, struct jw *w);

/* WHO has asked an agent that had ended before. */
void acp_reply_broken(struct session *s, struct asker who);
/* An id as JSON text; the caller's. */
char *acp_id_text(const struct json *id);

#endif
