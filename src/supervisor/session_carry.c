/*
 * Sessions over an exec of ourselves (carry.h): their record as the store has
 * it, and the worker's channel. Runs in the supervisor.
 */
#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/carry_parts.h"
#include "supervisor/sandboxes.h"
#include "supervisor/session_priv.h"

#include <stdio.h>

void
sessions_put(struct super *s, struct carry *c)
{
	struct jw *w = &c->w;
	struct session *ss;

	jw_key(w, "list");
	jw_array(w);
	LIST_FOREACH (ss, &s->sessions, link) {
		jw_object(w);
		jw_key(w, "record");
		session_record_write(ss, "running", w);
		jw_kbool(w, "ended", ss->ended);
		jw_kbool(w, "stored", ss->stored);
		jw_kbool(w, "want_worker", ss->want_worker);
		jw_kbool(w, "ready", ss->ready);
		jw_kbool(w, "busy", ss->busy);
		jw_kint(w, "ended_ms", ss->ended_ms);
		jw_kbool(w, "install_tried", ss->install_tried);
		jw_kint(w, "exec_id", ss->exec_id);
		jw_kint(w, "store_generation", (int64_t)ss->store_generation);
		proc_put(&ss->proc, c, "proc");
		jw_object_end(w);
	}
	jw_array_end(w);
}

static int
one_take(struct super *s, const struct json *j, struct err *e)
{
	const struct json *rec = json_get(j, "record");
	const char *id = json_str(rec, "id", "");
	struct agent_def *a;
	struct session *ss;

	if (!session_id_valid(id))
		return err_set(
		    e, ERR_BAD_REQUEST, "a record is not understood");
	a = agent_find(s, json_str(rec, "agent", ""));
	if (a == NULL)
		a = agent_def_unknown(json_str(rec, "agent", ""));
	ss = session_new(s, id, a, rec);
	ss->sb = sandbox_find(s, json_str(rec, "sandbox", ""));
	ss->stored = json_bool(j, "stored", true);
	ss->want_worker = json_bool(j, "want_worker", false);
	ss->ready = json_bool(j, "ready", false);
	ss->busy = json_bool(j, "busy", false);
	ss->ended_ms = json_int(j, "ended_ms", 0);
	ss->install_tried = json_bool(j, "install_tried", false);
	ss->exec_id = json_int(j, "exec_id", 0);
	ss->store_generation = (uint64_t)json_int(j, "store_generation", 0);
	if (json_bool(j, "ended", false)) {
		ss->ended = true;
		s->nsessions--;
	}
	return proc_take(&ss->proc, json_get(j, "proc"), e);
}

int
sessions_take(struct super *s, const struct json *j, struct err *e)
{
	const struct json *list = json_get(j, "list");
	size_t n = list != NULL ? list->len : 0, i = 0;
	autofree const struct json **v = xcalloc(n + 1, sizeof(*v));

	json_foreach (it, list)
		v[i++] = it;
	while (i > 0) {
		if (one_take(s, v[--i], e) == -1)
			return -1;
	}
	return 0;
}

const char *
sessions_carry_busy(struct super *s)
{
	static char text[192];
	struct session *ss;
	const char *why;

	LIST_FOREACH (ss, &s->sessions, link) {
		why = proc_busy(&ss->proc);
		if (why != NULL)
			return why;
		if (ss->creating != NULL || ss->installing != NULL ||
		    ss->deleting || ss->start_again ||
		    !TAILQ_EMPTY(&ss->waits) ||
		    !TAILQ_EMPTY(&ss->gone_waiters)) {
			(void)snprintf(text, sizeof(text),
			    "session %s is being %s", ss->id,
			    ss->deleting ? "deleted" : "started");
			return text;
		}
	}
	return NULL;
}
