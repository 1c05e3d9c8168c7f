/*
 * What agents tell of themselves: version, models, modes. Runs in
 * sandboxd-gateway. The supervisor has an agent asked, by a worker in the
 * sandbox `default`, which writes what it was told into a record of the store:
 * an agent's words, bounded by that store and shown as they are.
 *
 * An agent is asked once for each version of its program. That it could not be
 * asked is kept for a while too, so that a broken one does not cost each list
 * its patience.
 */
#include "gateway/doors/agents.h"

#include "gateway/call.h"
#include "gateway/db.h"
#include "gateway/doors/sessions.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>
#include <sys/queue.h>

#define FAILED_MS 60000
#define KNOWN_MAX 512
#define ID_MAX 64

struct waiter {
	TAILQ_ENTRY(waiter) link;
	void (*done)(void *ctx); /* NULL: it does not care any more */
	void *ctx;
};

/* Of each agent that was asked. */
struct known {
	TAILQ_ENTRY(known) link;
	char id[ID_MAX + 1];
	char *program; /* owned: which it was; NULL: nobody has asked yet */
	char *error;   /* owned, or NULL */
	int64_t at_ms; /* monotonic */
	bool asking;
	char *asked; /* owned: the program that is asked now */
	TAILQ_HEAD(, waiter) waiters;
};

static TAILQ_HEAD(, known) all = TAILQ_HEAD_INITIALIZER(all);
static size_t nall;

static struct known *
known_find(const char *id)
{
	struct known *k;

	TAILQ_FOREACH (k, &all, link) {
		if (strcmp(k->id, id) == 0)
			break;
	}
	return k;
}

/* NULL: there are too many, or ID is none. */
static struct known *
known_get(const char *id)
{
	struct known *k = known_find(id);

	if (k != NULL || nall == KNOWN_MAX || strlen(id) > ID_MAX)
		return k;
	k = xcalloc(1, sizeof(*k));
	(void)!str_copy(k->id, sizeof(k->id), id);
	TAILQ_INIT(&k->waiters);
	TAILQ_INSERT_TAIL(&all, k, link);
	nall++;
	return k;
}

/* Which program it is; the caller's. */
static char *
program_of(const struct json *agent)
{
	const char *version = json_str(agent, "version", "");
	const char *path = json_str(agent, "path", "");
	size_t n = strlen(version) + strlen(path) + 2;
	char *s = xmalloc(n);

	(void)!str_format(s, n, "%s %s", version, path);
	return s;
}

/* What it has told last; the caller's. */
static struct json *
record_get(struct gateway *gw, const char *id)
{
	char session[ID_MAX + sizeof("probe:")];
	struct json *rec = NULL;
	struct db_session s;

	if (str_format(session, sizeof(session), "probe:%s", id) == -1 ||
	    db_begin(gw->db, NULL) == -1)
		return NULL;
	if (db_session(gw->db, session, &s) &&
	    json_parse(s.record, s.record_len, RECORD_DEPTH, &rec, NULL) == -1)
		rec = NULL;
	db_end(gw->db);
	return rec;
}

/* --- asking -------------------------------------------------------------- */

static void
on_asked(void *ctx, const struct json *result, const struct err *e)
{
	struct known *k = ctx;
	struct waiter *w;

	free(k->program);
	free(k->error);
	k->program = STEAL(k->asked);
	k->error = result == NULL ? xstrdup(e->text) : NULL;
	k->at_ms = now_monotonic_ms();
	k->asking = false;
	while ((w = TAILQ_FIRST(&k->waiters)) != NULL) {
		TAILQ_REMOVE(&k->waiters, w, link);
		if (w->done != NULL)
			w->done(w->ctx);
		free(w);
	}
}

/* Was it asked by another gateway, or before we were there? That counts if it
 * is of this version; which program it was is not known. */
static bool
was_asked(struct gateway *gw, const struct json *agent)
{
	const char *version = json_str(agent, "version", "");
	struct json *rec = record_get(gw, json_str(agent, "id", ""));
	bool was = json_get(rec, "options") != NULL &&
		   strstr(json_str(rec, "version", ""), version) != NULL;

	json_free(rec);
	return was;
}

bool
agent_must_ask(struct gateway *gw, const struct json *agent, bool again)
{
	autofree char *program = NULL;
	struct known *k;

	if (!json_bool(agent, "installed", false) ||
	    !json_bool(agent, "askable", false))
		return false;
	k = known_get(json_str(agent, "id", ""));
	if (k == NULL)
		return false;
	program = program_of(agent);
	if (k->program == NULL && !k->asking && was_asked(gw, agent))
		k->program = xstrdup(program);
	if (again || k->program == NULL || k->asking)
		return true;
	return strcmp(program, k->program) != 0 ||
	       (k->error != NULL && now_monotonic_ms() - k->at_ms > FAILED_MS);
}

void
agent_ask(struct gateway *gw, const struct json *agent, void (*done)(void *ctx),
    void *ctx)
{
	struct known *k = known_get(json_str(agent, "id", ""));
	struct waiter *w = xcalloc(1, sizeof(*w));
	struct buf b;
	struct jw w_args;

	w->done = done;
	w->ctx = ctx;
	TAILQ_INSERT_TAIL(&k->waiters, w, link);
	if (k->asking)
		return;
	k->asking = true;
	k->asked = program_of(agent);
	buf_init(&b, 1024);
	jw_init(&w_args, &b);
	jw_object(&w_args);
	jw_kstr(&w_args, "id", k->id);
	jw_object_end(&w_args);
	super_call(gw, "agent.probe", &b, on_asked, k);
	buf_free(&b);
}

void
agent_ask_forget(void (*done)(void *ctx), void *ctx)
{
	struct known *k;
	struct waiter *w;

	TAILQ_FOREACH (k, &all, link) {
		TAILQ_FOREACH (w, &k->waiters, link) {
			if (w->done == done && w->ctx == ctx)
				w->done = NULL;
		}
	}
}

/* --- what is known -------------------------------------------------------- */

/* "2.1.197 (Claude Code)": the first line that says something, without what
 * stands in brackets behind it. */
static char *
version_of(const char *text)
{
	const char *end, *cut;

	for (;;) {
		text += strspn(text, " \t\r\n");
		end = text + strcspn(text, "\r\n");
		cut = memmem(text, (size_t)(end - text), " (", 2);
		if (cut != NULL)
			end = cut;
		while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		return end > text ? xstrndup(text, (size_t)(end - text)) : NULL;
	}
}

void
agent_told_get(
    struct gateway *gw, const struct json *agent, struct agent_told *out)
{
	const char *id = json_str(agent, "id", "");
	const struct known *k = known_find(id);
	const char *version;

	memset(out, 0, sizeof(*out));
	if (json_bool(agent, "installed", false))
		out->record = record_get(gw, id);
	out->options = json_get(out->record, "options");
	if (out->options != NULL &&
	    (out->options->type != JSON_ARRAY || out->options->len == 0))
		out->options = NULL;
	version = json_str(out->record, "version", NULL);
	if (version == NULL)
		version = json_str(agent, "version", NULL);
	out->version = version != NULL ? version_of(version) : NULL;
	if (k != NULL && k->error != NULL)
		out->error = xstrdup(k->error);
}

void
agent_told_free(struct agent_told *t)
{
	json_free(t->record);
	free(t->version);
	free(t->error);
	memset(t, 0, sizeof(*t));
}
