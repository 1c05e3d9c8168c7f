/*
 * See waits.h. Runs in the session worker. Ids are what a client made up: a
 * value of any type and length within its envelope.
 */
#include "session/acp/waits.h"

#include "lib/xalloc.h"
#include "session/acp/door.h"
#include "session/session.h"
#include <string.h>

#define SAVED_MAX 32	  /* ids in the checkpoint */
#define SAVED_ID_BYTES 64 /* and how long each may be */

/* An answer that waits for the store. */
struct answer {
	struct asker who;
	int64_t seq; /* 0: the program has exited */
	int code;
	char *words; /* owned, or NULL */
};

void
acp_waits_init(struct acp_waits *ws)
{
	TAILQ_INIT(&ws->list);
	ws->n = 0;
}

static void
wait_free(struct acp_waits *ws, struct acp_wait *w)
{
	TAILQ_REMOVE(&ws->list, w, link);
	ws->n--;
	free(w->id);
	free(w);
}

void
acp_waits_free(struct acp_waits *ws)
{
	while (!TAILQ_EMPTY(&ws->list))
		wait_free(ws, TAILQ_FIRST(&ws->list));
}

void
acp_waits_add(struct acp_waits *ws, const char *id, struct asker who)
{
	struct acp_wait *w = xcalloc(1, sizeof(*w));

	w->id = xstrdup(id);
	w->who = who;
	TAILQ_INSERT_TAIL(&ws->list, w, link);
	ws->n++;
}

struct acp_wait *
acp_waits_first(const struct acp_waits *ws)
{
	return TAILQ_FIRST(&ws->list);
}

static int
answer_send(struct chan *ch, const struct answer *a)
{
	struct jw *w = chan_reply(ch, a->who.id);

	if (a->seq > 0) {
		jw_kint(w, "seq", a->seq);
	} else {
		jw_kbool(w, "exited", true);
		if (a->code >= 0)
			jw_kint(w, "exit_code", a->code & 255);
		if (a->words != NULL) {
			jw_key(w, "stderr");
			jw_strn(w, a->words, strlen(a->words));
		}
	}
	jw_object_end(w);
	return chan_end(ch, NULL, 0);
}

static void
on_stored(void *ctx, void *arg, const struct err *e)
{
	struct session *s = ctx;
	struct answer *a = arg;
	struct chan *ch = asker_chan(s, a->who);

	if (e != NULL)
		session_reply_failed(s, a->who, e);
	else if (ch != NULL && answer_send(ch, a) == -1)
		asker_lost(s, a->who);
	free(a->words);
	free(a);
}

static void
answer_later(struct session *s, struct answer answer)
{
	struct answer *a = xmalloc(sizeof(*a));

	*a = answer;
	outbox_when_stored(&s->out, on_stored, a);
}

bool
acp_waits_answer(
    struct acp_waits *ws, struct session *s, const char *id, int64_t seq)
{
	struct acp_wait *w, *next;
	bool any = false;

	for (w = TAILQ_FIRST(&ws->list); w != NULL; w = next) {
		next = TAILQ_NEXT(w, link);
		if (strcmp(w->id, id) != 0)
			continue;
		answer_later(s, (struct answer){ .who = w->who, .seq = seq });
		wait_free(ws, w);
		any = true;
	}
	return any;
}

/* The end of WORDS, as much of it as an answer may hold however it is escaped,
 * from the beginning of a line if there is one; the caller's. */
static char *
last_words(const char *words)
{
	size_t len = strlen(words), max = ACP_STDERR_MAX / 4;
	const char *from = words, *line;

	if (len > max) {
		from = words + len - max;
		line = strchr(from, '\n');
		if (line != NULL && line[1] != '\0')
			from = line + 1;
	}
	return xstrdup(from);
}

void
acp_waits_exited(
    struct acp_waits *ws, struct session *s, int code, const char *stderr_tail)
{
	struct acp_wait *w;

	while ((w = TAILQ_FIRST(&ws->list)) != NULL) {
		answer_later(
		    s, (struct answer){ .who = w->who,
			   .code = code,
			   .words = stderr_tail != NULL && *stderr_tail != '\0'
					? last_words(stderr_tail)
					: NULL });
		wait_free(ws, w);
	}
}

void
acp_waits_write(const struct acp_waits *ws, struct jw *w)
{
	const struct acp_wait *it;
	unsigned n = 0;

	jw_array(w);
	TAILQ_FOREACH (it, &ws->list, link) {
		size_t len = strlen(it->id);

		if (len <= SAVED_ID_BYTES && n++ < SAVED_MAX)
			jw_raw(w, it->id, len);
	}
	jw_array_end(w);
}

void
acp_reply_broken(struct session *s, struct asker who)
{
	struct chan *ch = asker_chan(s, who);
	struct jw *w;

	if (ch == NULL || who.id == 0)
		return;
	w = chan_reply(ch, who.id);
	jw_kbool(w, "broken", true);
	jw_object_end(w);
	if (chan_end(ch, NULL, 0) == -1)
		asker_lost(s, who);
}

char *
acp_id_text(const struct json *id)
{
	struct buf b;
	struct jw w;

	/* Within an envelope, and each byte six at most when escaped. */
	buf_init(&b, 6 * ACP_INPUT_MAX);
	jw_init(&w, &b);
	jw_value(&w, id);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : xstrdup("null");
}
