/*
 * Children over an exec of ourselves (see carry.h). Runs in the supervisor.
 */
#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/carry.h"
#include "supervisor/proc_priv.h"

#include <stdio.h>
#include <string.h>

const char *
proc_busy(const struct proc *p)
{
	static char text[256];
	const struct proc_call *c;

	TAILQ_FOREACH (c, &p->calls, link) {
		if (c->cb == NULL || c->type == MSG_STORE_SERVE ||
		    c->type == MSG_RELAY_CARRY)
			continue; /* nobody waits, or carried */
		(void)snprintf(text, sizeof(text), "%s is at '%s'", p->name,
		    proto_table[c->type].name);
		return text;
	}
	/* One that is frozen says hello when it goes on. */
	if (p->state == PS_STARTING && p->foster && !ev_is_active(&p->timer))
		return NULL;
	if (p->state == PS_STOPPING || p->state == PS_STARTING) {
		(void)snprintf(text, sizeof(text), "%s is %s", p->name,
		    proc_state_name(p->state));
		return text;
	}
	return NULL;
}

void
proc_put(const struct proc *p, struct carry *c, const char *key)
{
	struct jw *w = &c->w;

	jw_key(w, key);
	jw_object(w);
	jw_kstr(w, "state", proc_state_name(p->state));
	jw_kint(w, "generation", (int64_t)p->generation);
	jw_kint(w, "pid", p->pid);
	carry_put_fd(c, "pidfd", p->pidfd);
	if (p->foster)
		jw_kbool(w, "foster", true);
	jw_kbool(w, "alive", p->alive);
	jw_kbool(w, "stop_wanted", p->stop_wanted);
	jw_kbool(w, "once", p->once);
	jw_kint(w, "up_since_ms", p->up_since_ms);
	jw_kint(w, "exit_status", p->exit_status);
	jw_kbool(w, "has_exited", p->has_exited);
	jw_kbool(w, "killed", p->killed);
	jw_kstr(w, "why", p->why);
	jw_kint(w, "backoff", p->backoff);
	jw_kint(w, "delay_ms", p->delay_ms);
	jw_kint(w, "lived_ms", p->lived_ms);
	jw_kint(w, "ncrashes", p->ncrashes);
	jw_key(w, "crashes_ms");
	jw_array(w);
	for (size_t i = 0; i < countof(p->crashes_ms); i++)
		jw_int(w, p->crashes_ms[i]);
	jw_array_end(w);
	jw_kbool(w, "has_failed", p->has_failed);
	jw_kint(w, "next_start_ms", proc_next_start_ms(p));
	jw_kint(w, "restarts", p->restarts);
	jw_kint(w, "next_id", p->next_id);
	jw_kstr(w, "cause", p->cause);
	if (p->ch != NULL) {
		jw_key(w, "chan");
		chan_put(p->ch, w, &c->fds);
	}
	jw_object_end(w);
}

static int
state_take(const struct json *j, enum proc_state *state_out)
{
	const char *name = json_str(j, "state", "");

	for (int st = 0; st < PS_N; st++) {
		if (strcmp(proc_state_name((enum proc_state)st), name) == 0) {
			*state_out = (enum proc_state)st;
			return 0;
		}
	}
	return -1;
}

/* What is known of its former lives. */
static void
deaths_take(struct proc *p, const struct json *j)
{
	size_t n = 0;

	p->exit_status = (int)json_int(j, "exit_status", 0);
	p->has_exited = json_bool(j, "has_exited", false);
	p->killed = json_bool(j, "killed", false);
	p->backoff = (unsigned)json_int(j, "backoff", 0);
	p->delay_ms = json_int(j, "delay_ms", 0);
	p->lived_ms = json_int(j, "lived_ms", 0);
	p->ncrashes = (unsigned)json_int(j, "ncrashes", 0);
	p->has_failed = json_bool(j, "has_failed", false);
	(void)snprintf(p->why, sizeof(p->why), "%s",
	    json_str(j, "why", "")); /* cut as it was */
	json_foreach (it, json_get(j, "crashes_ms")) {
		int64_t ms = 0;

		if (n < countof(p->crashes_ms) && json_number_int(it, &ms) == 0)
			p->crashes_ms[n++] = ms;
	}
}

int
proc_take(struct proc *p, const struct json *j, struct err *e)
{
	const struct json *ch = json_get(j, "chan");
	int64_t pid = json_int(j, "pid", -1);
	enum proc_state state;

	if (state_take(j, &state) == -1)
		return err_set(e, ERR_BAD_REQUEST, "%s: no state", p->name);
	/* proc_busy() has let nothing go that was on its way, but for one that
	 * is adopted and frozen. */
	if ((state == PS_STARTING && !json_bool(j, "foster", false)) ||
	    state == PS_STOPPING ||
	    (state == PS_RUNNING || state == PS_STARTING) != (ch != NULL))
		return err_set(e, ERR_BAD_REQUEST, "%s: %s cannot be carried",
		    p->name, proc_state_name(state));
	if (pid != -1 && (pid < 2 || pid > INT32_MAX))
		return err_set(e, ERR_BAD_REQUEST, "%s: no pid", p->name);
	p->state = state;
	p->generation = (uint64_t)json_int(j, "generation", 0);
	p->pid = (pid_t)pid;
	p->pidfd = carry_take_fd(j, "pidfd");
	p->foster = json_bool(j, "foster", false) && p->pidfd != -1;
	p->alive = json_bool(j, "alive", false);
	p->stop_wanted = json_bool(j, "stop_wanted", false);
	p->once = json_bool(j, "once", false);
	p->up_since_ms = json_int(j, "up_since_ms", 0);
	deaths_take(p, j);
	p->restarts = (unsigned)json_int(j, "restarts", 0);
	p->next_id = json_int(j, "next_id", 0);
	(void)snprintf(p->cause, sizeof(p->cause), "%s",
	    json_str(j, "cause", "")); /* cut as it was */
	if (ch != NULL && (p->ch = proc_chan_take(p, ch)) == NULL)
		return err_set(e, ERR_BAD_REQUEST, "%s: no channel", p->name);
	proc_watch(p);
	if (json_int(j, "next_start_ms", -1) >= 0)
		proc_set_deadline(p, MAX(json_int(j, "next_start_ms", 1), 1));
	return 0;
}

int64_t
proc_call_of(const struct proc *p, const void *ctx)
{
	const struct proc_call *c;

	TAILQ_FOREACH (c, &p->calls, link) {
		if (c->ctx == ctx && c->cb != NULL)
			return c->id;
	}
	return 0;
}

void
proc_call_take(struct proc *p, int64_t id, enum msg_type type,
    proc_reply_cb *cb, void *ctx)
{
	proc_call_new(p, id, type, 0, cb, ctx);
}
