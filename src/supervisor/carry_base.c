/*
 * Carried over an exec of ourselves (carry.h): the lock, what listens, and the
 * two helpers that are a child and nothing else. Runs in the supervisor.
 */
#include "lib/xalloc.h"
#include "supervisor/carry_parts.h"
#include "supervisor/client.h"
#include "supervisor/compact.h"
#include "supervisor/listen.h"
#include "supervisor/relay.h"
#include "supervisor/storec.h"

#include <string.h>

/* --- the instance --------------------------------------------------------- */

void
instance_put(struct super *s, struct carry *c)
{
	carry_put_fd(c, "lock", s->lock_fd);
	jw_kint(&c->w, "started_ms", s->started_ms);
	jw_kint(&c->w, "upgrades", s->upgrades);
	jw_kint(&c->w, "held_ms", s->held_ms);
}

int
instance_take(struct super *s, const struct json *j, struct err *e)
{
	s->lock_fd = carry_take_fd(j, "lock");
	s->started_ms = json_int(j, "started_ms", s->started_ms);
	s->upgrades = json_int(j, "upgrades", 0) + 1;
	s->held_ms = json_int(j, "held_ms", s->started_ms);
	return s->lock_fd == -1 ? err_set(e, ERR_BAD_REQUEST, "no lock") : 0;
}

/* --- listening sockets ---------------------------------------------------- */

void
listen_put(struct super *s, struct carry *c)
{
	const struct listeners *ls = s->listeners;

	jw_kbool(&c->w, "given", ls->given);
	jw_key(&c->w, "sockets");
	jw_array(&c->w);
	for (size_t i = 0; i < ls->n; i++) {
		const struct listener *l = &ls->v[i];

		jw_object(&c->w);
		jw_kstr(&c->w, "name", l->name);
		jw_kstr(&c->w, "asked", l->asked);
		carry_put_fd(c, "fd", l->fd);
		jw_kbool(&c->w, "tls", l->tls);
		if (l->path != NULL) {
			jw_kstr(&c->w, "path", l->path);
			jw_kint(&c->w, "dev", (int64_t)l->dev);
			jw_kint(&c->w, "ino", (int64_t)l->ino);
		}
		jw_object_end(&c->w);
	}
	jw_array_end(&c->w);
}

int
listen_take(struct super *s, const struct json *j, struct err *e)
{
	struct listeners *ls = xcalloc(1, sizeof(*ls));

	s->listeners = ls;
	ls->control_fd = -1;
	ls->given = json_bool(j, "given", false);
	json_foreach (it, json_get(j, "sockets")) {
		struct listener *l = &ls->v[ls->n];
		const char *path = json_str(it, "path", NULL);

		if (ls->n == LISTENERS_MAX)
			break;
		l->fd = carry_take_fd(it, "fd");
		if (l->fd == -1)
			return err_set(e, ERR_BAD_REQUEST, "no socket");
		l->name = xstrdup(json_str(it, "name", ""));
		l->asked = xstrdup(json_str(it, "asked", l->name));
		l->tls = json_bool(it, "tls", false);
		l->path = path != NULL ? xstrdup(path) : NULL;
		l->dev = (dev_t)json_int(it, "dev", 0);
		l->ino = (ino_t)json_int(it, "ino", 0);
		ls->n++;
	}
	return 0;
}

void
control_put(struct super *s, struct carry *c)
{
	bool lent;

	carry_put_fd(c, "fd", control_fd(s, &lent));
	jw_kbool(&c->w, "lent", lent);
}

int
control_take(struct super *s, const struct json *j, struct err *e)
{
	int fd = carry_take_fd(j, "fd");

	if (fd == -1)
		return err_set(e, ERR_BAD_REQUEST, "no socket");
	control_new(s, fd, json_bool(j, "lent", false));
	return 0;
}

/* --- store and relay ------------------------------------------------------ */

void
storec_carry_put(struct super *s, struct carry *c)
{
	proc_put(storec_proc(s->store), c, "proc");
}

int
storec_carry_take(struct super *s, const struct json *j, struct err *e)
{
	return proc_take(storec_proc(s->store), json_get(j, "proc"), e);
}

const char *
storec_carry_busy(struct super *s)
{
	if (compaction_is(s))
		return "the database is being compacted";
	if (!storec_idle(s->store))
		return "records are being stored";
	return proc_busy(storec_proc(s->store));
}

void
relay_carry_put(struct super *s, struct carry *c)
{
	proc_put(relay_proc(s->relay), c, "proc");
}

int
relay_carry_take(struct super *s, const struct json *j, struct err *e)
{
	return proc_take(relay_proc(s->relay), json_get(j, "proc"), e);
}

const char *
relay_carry_busy(struct super *s)
{
	return proc_busy(relay_proc(s->relay));
}
