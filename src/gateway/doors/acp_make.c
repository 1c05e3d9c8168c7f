/*
 * Making ACP servers. Runs in sandboxd-gateway. Of this gateway's clients the
 * first one makes a server, and whoever comes meanwhile waits for the same;
 * between gateways the supervisor sees to it that there is one. One that is
 * over, since its sandbox is, is removed first.
 */
#include "gateway/doors/acp.h"

#include "gateway/call.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>
#include <sys/queue.h>

struct waiter {
	TAILQ_ENTRY(waiter) link;
	acp_made *done;
	void *ctx;
};

struct making {
	TAILQ_ENTRY(making) link; /* of all */
	struct gateway *gw;
	TAILQ_HEAD(, waiter) waiters;
	char session[SESSION_ID_MAX + 1];
	char sandbox[SANDBOX_ID_MAX + 1];
	char agent[ACP_AGENT_MAX + 1];
	bool replaced; /* one that had ended was removed */
};

static TAILQ_HEAD(, making) makings = TAILQ_HEAD_INITIALIZER(makings);

static void make(struct making *m);

static struct making *
making_find(const char *session)
{
	struct making *m;

	TAILQ_FOREACH (m, &makings, link) {
		if (strcmp(m->session, session) == 0)
			break;
	}
	return m;
}

static void
wait_for(struct making *m, acp_made *done, void *ctx)
{
	struct waiter *w = xcalloc(1, sizeof(*w));

	w->done = done;
	w->ctx = ctx;
	TAILQ_INSERT_TAIL(&m->waiters, w, link);
}

/* It is there, or E says why not. */
static void
making_end(struct making *m, const struct err *e)
{
	struct waiter *w;

	/* Whoever is told may begin another. */
	TAILQ_REMOVE(&makings, m, link);
	while ((w = TAILQ_FIRST(&m->waiters)) != NULL) {
		TAILQ_REMOVE(&m->waiters, w, link);
		w->done(w->ctx, m->agent, e);
		free(w);
	}
	free(m);
}

static void
on_removed(void *ctx, const struct json *result, const struct err *e)
{
	struct making *m = ctx;

	if (result != NULL || e->code == ERR_SESSION_NOT_FOUND)
		make(m);
	else
		making_end(m, e);
}

/* What stands there under its name has ended. */
static void
remove_ended(struct making *m)
{
	struct buf b;
	struct jw w;

	m->replaced = true;
	buf_init(&b, 1024);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", m->session);
	jw_object_end(&w);
	super_call(m->gw, "session.delete", &b, on_removed, m);
	buf_free(&b);
}

/* Is one that is over still there? Another gateway may also be just making one
 * for another agent, and that one stays. */
static bool
has_ended(const struct making *m)
{
	struct db_session s;
	bool ended;

	if (db_begin(m->gw->db, NULL) == -1)
		return false;
	ended = db_session(m->gw->db, m->session, &s) && acp_ended(&s);
	db_end(m->gw->db);
	return ended;
}

static void
on_made(void *ctx, const struct json *result, const struct err *e)
{
	struct making *m = ctx;
	bool ended = strcmp(json_str(result, "state", ""), "ended") == 0;
	bool taken = e != NULL && (e->code == ERR_SESSION_EXISTS ||
				      e->code == ERR_KEY_REUSED ||
				      e->code == ERR_SESSION_ENDED);

	/* Another gateway may have been quicker. */
	if ((result != NULL && !ended) ||
	    (taken && acp_find(m->gw, m->session, NULL, NULL) == 1))
		making_end(m, NULL);
	else if ((taken || ended) && !m->replaced && has_ended(m))
		remove_ended(m);
	else
		making_end(m, e);
}

static void
make(struct making *m)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", m->session);
	jw_kstr(&w, "kind", "acp");
	jw_kstr(&w, "agent", m->agent);
	jw_kstr(&w, "sandbox", m->sandbox);
	/* The same from another gateway is the same. */
	jw_kstr(&w, "idempotency_key", m->session);
	jw_kstr(&w, "request_hash", m->agent);
	jw_object_end(&w);
	super_call(m->gw, "session.create", &b, on_made, m);
	buf_free(&b);
}

void
acp_make(struct gateway *gw, const char *session, const char *sandbox,
    const char *agent, acp_made *done, void *ctx)
{
	struct making *m = xcalloc(1, sizeof(*m));

	m->gw = gw;
	TAILQ_INIT(&m->waiters);
	(void)!str_copy(m->session, sizeof(m->session), session);
	(void)!str_copy(m->sandbox, sizeof(m->sandbox), sandbox);
	(void)!str_copy(m->agent, sizeof(m->agent), agent);
	TAILQ_INSERT_TAIL(&makings, m, link);
	wait_for(m, done, ctx);
	make(m);
}

bool
acp_make_wait(const char *session, acp_made *done, void *ctx)
{
	struct making *m = making_find(session);

	if (m != NULL)
		wait_for(m, done, ctx);
	return m != NULL;
}
