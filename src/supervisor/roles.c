/*
 * What status tells of our processes, and role.reset. Runs in the supervisor.
 * Names of sandboxes and sessions are for operators only.
 */
#include "supervisor/roles.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/courier_priv.h"
#include "supervisor/egress.h"
#include "supervisor/gateway_priv.h"
#include "supervisor/notify.h"
#include "supervisor/relay.h"
#include "supervisor/sandboxes.h"
#include "supervisor/sessions.h"
#include "supervisor/storec.h"

#include <string.h>

/* Of inits and workers; who needs more looks at sandboxes and sessions. */
#define TOLD_MAX 200

typedef void role_fn(void *ctx, struct proc *p);

static void
each_helper(struct super *s, role_fn *fn, void *ctx)
{
	fn(ctx, storec_proc(s->store));
	fn(ctx, relay_proc(s->relay));
	fn(ctx, &s->courier->proc);
	fn(ctx, egress_proc(s->egress));
	for (size_t i = 0; i < s->gateways->n; i++)
		fn(ctx, &s->gateways->v[i].proc);
}

static void
each_init(struct super *s, role_fn *fn, void *ctx)
{
	struct sandbox *sb;

	LIST_FOREACH (sb, &s->sandboxes, link) {
		fn(ctx, &sb->proc);
	}
}

static void
each_worker(struct super *s, role_fn *fn, void *ctx)
{
	struct session *ss;

	LIST_FOREACH (ss, &s->sessions, link) {
		fn(ctx, &ss->proc);
	}
}

/* --- status -------------------------------------------------------------- */

struct telling {
	struct jw *w;
	unsigned n;
};

static void
write_one(void *ctx, struct proc *p)
{
	struct telling *t = ctx;
	struct jw *w = t->w;
	int64_t next = proc_next_start_ms(p);

	jw_object(w);
	jw_kstr(w, "role", role_name(p->kind->role));
	jw_kstr(w, "name", p->name);
	jw_kstr(w, "state", proc_state_name(p->state));
	/* Never -1, which means everybody to kill(2). */
	if (p->pid > 0)
		jw_kint(w, "pid", p->pid);
	else
		jw_knull(w, "pid");
	jw_kint(w, "restarts", p->restarts);
	if (next >= 0)
		jw_kint(w, "next_start_ms", next);
	else
		jw_knull(w, "next_start_ms");
	jw_kstr(w, "why", p->why[0] != '\0' ? p->why : NULL);
	jw_object_end(w);
	t->n++;
}

/* One that runs, or is meant not to, has nothing to tell. */
static void
write_troubled(void *ctx, struct proc *p)
{
	const struct telling *t = ctx;

	if (t->n < TOLD_MAX && p->why[0] != '\0' && p->state != PS_DOWN)
		write_one(ctx, p);
}

static void
count_one(void *ctx, struct proc *p)
{
	size_t *by_state = ctx;

	by_state[p->state]++;
}

static void
write_counts(struct jw *w, const char *name, const size_t by_state[PS_N])
{
	jw_key(w, name);
	jw_object(w);
	for (int st = 0; st < PS_N; st++) {
		if (st != PS_DOWN)
			jw_kint(w, proc_state_name((enum proc_state)st),
			    (int64_t)by_state[st]);
	}
	jw_object_end(w);
}

void
roles_write(struct super *s, bool whole, struct jw *w)
{
	size_t inits[PS_N] = { 0 }, workers[PS_N] = { 0 };
	struct telling t = { w, 0 };

	jw_key(w, "roles");
	jw_array(w);
	each_helper(s, write_one, &t);
	t.n = 0;
	if (whole) {
		each_init(s, write_troubled, &t);
		each_worker(s, write_troubled, &t);
	}
	jw_array_end(w);
	each_init(s, count_one, inits);
	each_worker(s, count_one, workers);
	write_counts(w, "inits", inits);
	write_counts(w, "workers", workers);
}

/* --- without the store --------------------------------------------------- */

static const bool needs_store[OP_N] = {
	[OP_SANDBOX_CREATE] = true,
	[OP_SANDBOX_START] = true,
	[OP_SANDBOX_DESTROY] = true,
	[OP_SANDBOX_RENEW] = true,
	[OP_SANDBOX_UPDATE] = true,
	[OP_SANDBOX_EXPOSE] = true,
	[OP_SANDBOX_UNEXPOSE] = true,
	[OP_SESSION_CREATE] = true,
	[OP_SESSION_PROMPT] = true,
	[OP_SESSION_EVENTS] = true,
	[OP_SESSION_PERMISSION_REPLY] = true,
	[OP_SESSION_QUESTION_REPLY] = true,
	[OP_SESSION_QUESTION_REJECT] = true,
	[OP_SESSION_CONFIGURE] = true,
	[OP_SESSION_END] = true,
	[OP_SESSION_DELETE] = true,
	[OP_AGENT_PROBE] = true,
	[OP_TOKEN_CREATE] = true,
	[OP_TOKEN_REVOKE] = true,
};

bool
roles_refuse(struct request *r)
{
	const struct proc *store = storec_proc(r->s->store);
	struct err e;

	/* While it only restarts, work waits for it. */
	if (store->state != PS_FAILED || !needs_store[r->op.op])
		return false;
	err_set(&e, ERR_STORE_UNAVAILABLE,
	    "the store has failed: %.300s; it is tried again in %lld s, and by "
	    "role.reset at once",
	    store->why, (long long)proc_next_start_ms(store) / 1000);
	request_end_err(r, &e);
	return true;
}

void
role_down(struct super *s, const struct proc *p)
{
	if (p->state == PS_FAILED)
		notify_status(s, "Failed: %s: %s", p->name, p->why);
}

void
role_up(struct super *s, const struct proc *p)
{
	if (p->has_failed)
		notify_status(s, "Serving %s", s->conf.run_dir);
}

/* --- role.reset ---------------------------------------------------------- */

struct resetting {
	const char *name; /* NULL: those that have failed */
	struct jw names;
	size_t n;
};

/* "gateway 0" by its name, or all of them by their role. */
static void
reset_one(void *ctx, struct proc *p)
{
	struct resetting *rs = ctx;

	if (rs->name == NULL
		? p->state != PS_FAILED
		: strcmp(rs->name, p->name) != 0 &&
		      strcmp(rs->name, role_name(p->kind->role)) != 0)
		return;
	proc_reset(p);
	jw_str(&rs->names, p->name);
	rs->n++;
}

void
op_role_reset(struct request *r)
{
	struct resetting rs = { json_str(r->op.args, "id", NULL), { 0 }, 0 };
	struct buf b;
	struct err e;
	struct jw *w;

	buf_init(&b, 1u << 20);
	jw_init(&rs.names, &b);
	jw_array(&rs.names);
	each_helper(r->s, reset_one, &rs);
	each_init(r->s, reset_one, &rs);
	each_worker(r->s, reset_one, &rs);
	jw_array_end(&rs.names);
	if (rs.n == 0 && rs.name != NULL) {
		buf_free(&b);
		err_set(&e, ERR_ROLE_NOT_FOUND, "no process of ours is '%s'",
		    rs.name);
		request_end_err(r, &e);
		return;
	}
	w = request_ok(r);
	jw_object(w);
	jw_key(w, "reset");
	jw_raw(w, b.data, b.len);
	jw_object_end(w);
	buf_free(&b);
	request_end_ok(r);
}
