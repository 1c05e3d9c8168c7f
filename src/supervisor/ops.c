/*
 * From an operation to its handler; and the operations about ourselves. Runs
 * in the supervisor.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include "supervisor/ops.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "sandbox/cgroup.h"
#include "supervisor/client.h"
#include "supervisor/doctor.h"
#include "supervisor/gateway.h"
#include "supervisor/memory.h"
#include "supervisor/powers.h"
#include "supervisor/relay.h"
#include "supervisor/roles.h"
#include "supervisor/sandboxes.h"
#include "supervisor/sessions.h"
#include "supervisor/storec.h"

static op_handler op_help_text, op_status;

static op_handler *const handlers[OP_N] = {
	[OP_HELP] = op_help_text,
	[OP_STATUS] = op_status,
	[OP_UPGRADE] = op_upgrade,
	[OP_SANDBOX_CREATE] = op_sandbox_create,
	[OP_SANDBOX_LIST] = op_sandbox_list,
	[OP_SANDBOX_GET] = op_sandbox_get,
	[OP_SANDBOX_EXEC] = op_sandbox_exec,
	[OP_SANDBOX_STOP] = op_sandbox_stop,
	[OP_SANDBOX_START] = op_sandbox_start,
	[OP_SANDBOX_DESTROY] = op_sandbox_destroy,
	[OP_SANDBOX_PAUSE] = op_sandbox_pause,
	[OP_SANDBOX_RESUME] = op_sandbox_resume,
	[OP_SANDBOX_RENEW] = op_sandbox_renew,
	[OP_SANDBOX_TOUCH] = op_sandbox_touch,
	[OP_SANDBOX_UPDATE] = op_sandbox_update,
	[OP_SANDBOX_EVENTS] = op_sandbox_events,
	[OP_SANDBOX_EXPOSE] = op_sandbox_expose,
	[OP_SANDBOX_UNEXPOSE] = op_sandbox_unexpose,
	[OP_SANDBOX_CHANGES] = op_sandbox_changes,
	[OP_SANDBOX_COPY_IN] = op_sandbox_copy_in,
	[OP_SANDBOX_COPY_OUT] = op_sandbox_copy_out,
	[OP_SANDBOX_PROCESSES] = op_sandbox_processes,
	[OP_SANDBOX_STATS] = op_sandbox_stats,
	[OP_PROCESS_CREATE] = op_process_create,
	[OP_PROCESS_LIST] = op_process_list,
	[OP_PROCESS_GET] = op_process_get,
	[OP_PROCESS_WAIT] = op_process_wait,
	[OP_PROCESS_SIGNAL] = op_process_signal,
	[OP_PROCESS_DELETE] = op_process_delete,
	[OP_PROCESS_INPUT] = op_process_input,
	[OP_PROCESS_RESIZE] = op_process_resize,
	[OP_PROCESS_ATTACH] = op_process_attach,
	[OP_PROCESS_LOGS] = op_process_logs,
	[OP_SESSION_CREATE] = op_session_create,
	[OP_SESSION_LIST] = op_session_list,
	[OP_SESSION_GET] = op_session_get,
	[OP_SESSION_PROMPT] = op_session_prompt,
	[OP_SESSION_EVENTS] = op_session_events,
	[OP_SESSION_CANCEL] = op_session_cancel,
	[OP_SESSION_PERMISSION_REPLY] = op_session_permission_reply,
	[OP_SESSION_QUESTION_REPLY] = op_session_question_reply,
	[OP_SESSION_QUESTION_REJECT] = op_session_question_reject,
	[OP_SESSION_CONFIGURE] = op_session_configure,
	[OP_SESSION_END] = op_session_end,
	[OP_SESSION_DELETE] = op_session_delete,
	[OP_AGENT_LIST] = op_agent_list,
	[OP_AGENT_INSTALL] = op_agent_install,
	[OP_AGENT_PROBE] = op_agent_probe,
	[OP_AGENT_RELOAD] = op_agent_reload,
	[OP_TOKEN_CREATE] = op_token_create,
	[OP_TOKEN_LIST] = op_token_list,
	[OP_TOKEN_REVOKE] = op_token_revoke,
	[OP_ROLE_RESET] = op_role_reset,
	[OP_BACKUP] = op_backup,
	[OP_STORE_COMPACT] = op_store_compact,
	[OP_DOCTOR] = op_doctor,
};

void
ops_serve(struct request *r)
{
	if (!roles_refuse(r))
		handlers[r->op.op](r);
}

struct sandbox *
op_sandbox(struct request *r)
{
	const char *id = json_str(r->op.args, "id", "");
	struct sandbox *sb = sandbox_find(r->s, id);
	struct err e;

	if (sb != NULL && sb->state != SB_DESTROYING &&
	    (sb->born || sb->state == SB_CREATING))
		return sb;
	err_set(&e, ERR_SANDBOX_NOT_FOUND, "no such sandbox: %s", id);
	request_end_err(r, &e);
	return NULL;
}

struct session *
op_session(struct request *r)
{
	const char *id = json_str(r->op.args, "id", "");
	struct session *ss = session_find(r->s, id);
	struct err e;

	if (session_is_there(ss))
		return ss;
	err_set(&e, ERR_SESSION_NOT_FOUND, "no such session: %s", id);
	request_end_err(r, &e);
	return NULL;
}

static void
op_help_text(struct request *r)
{
	const char *only = json_str(r->op.args, "id", NULL);
	enum op_type op = OP_N;
	struct err e;

	if (only != NULL && (op = op_find(only)) == OP_N) {
		err_set(
		    &e, ERR_UNKNOWN_OPERATION, "no such operation: %s", only);
		request_end_err(r, &e);
		return;
	}
	op_help(request_ok(r), op);
	request_end_ok(r);
}

/* --- status -------------------------------------------------------------- */

static void
write_counts(struct super *s, struct jw *w)
{
	size_t by_state[SB_N] = { 0 };
	struct sandbox *sb;

	LIST_FOREACH (sb, &s->sandboxes, link) {
		by_state[sb->state == SB_STOPPING ? SB_RUNNING : sb->state]++;
	}
	jw_key(w, "sandboxes");
	jw_object(w);
	for (int st = 0; st < SB_N; st++) {
		if (st != SB_STOPPING && st != SB_DESTROYING)
			jw_kint(w, sandbox_state_name((enum sandbox_state)st),
			    (int64_t)by_state[st]);
	}
	jw_object_end(w);
	jw_kint(w, "sessions", (int64_t)s->nsessions);
	jw_kint(w, "clients", (int64_t)control_clients(s));
}

static void
write_isolation(struct super *s, struct jw *w)
{
	jw_kstr(w, "isolation_minimum", powers_minimum(s));
	jw_kbool(w, "isolation_reduced", s->host.reduced);
	jw_key(w, "isolation");
	jw_object(w);
	for (int m = 0; m < MECH_N; m++)
		jw_kbool(w, mechanism_name((enum mechanism)m), s->host.have[m]);
	jw_object_end(w);
	jw_key(w, "isolation_missing");
	jw_object(w);
	for (int m = 0; m < MECH_N; m++) {
		if (!s->host.have[m])
			jw_kstr(w, mechanism_name((enum mechanism)m),
			    s->host.why_not[m]);
	}
	jw_object_end(w);
	jw_kint(w, "ids", s->host.reduced ? 0 : sandbox_ids_size(s));
	jw_kstr(w, "cgroups",
	    s->cgroups != NULL ? cgroup_host_kind(s->cgroups) : NULL);
	jw_kint(w, "landlock_abi", s->host.landlock_abi);
	jw_kstr(w, "disk_by", disk_by_name(s->disk_by));
	if (s->disk_by == DISK_BY_NONE)
		jw_kstr(w, "disk_missing", s->disk_why);
}

/* How often each helper was started again; of inits and workers in all. */
static void
write_helpers(struct super *s, struct jw *w)
{
	int64_t inits = 0, workers = 0;
	struct sandbox *sb;
	struct session *ss;

	LIST_FOREACH (sb, &s->sandboxes, link) {
		inits += sb->proc.restarts;
	}
	LIST_FOREACH (ss, &s->sessions, link) {
		workers += ss->proc.restarts;
	}
	jw_key(w, "restarts");
	jw_object(w);
	jw_kint(w, "store", storec_proc(s->store)->restarts);
	jw_kint(w, "relay", relay_proc(s->relay)->restarts);
	jw_kint(w, "gateway", gateways_restarts(s->gateways));
	jw_kint(w, "init", inits);
	jw_kint(w, "session", workers);
	jw_object_end(w);
}

static void
write_memory(struct super *s, struct jw *w)
{
	jw_key(w, "memory");
	jw_object(w);
	jw_kint(w, "supervisor", memory_of(getpid()));
	jw_kint(w, "store", memory_of(storec_proc(s->store)->pid));
	jw_kint(w, "relay", memory_of(relay_proc(s->relay)->pid));
	jw_kint(w, "gateway", gateways_memory(s->gateways));
	jw_object_end(w);
}

static void
on_stats(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e ATTR_UNUSED)
{
	struct request *r = ctx;
	struct super *s = r->s;
	struct jw *w = request_ok(r);

	jw_object(w);
	jw_kstr(w, "version", PACKAGE_VERSION);
	jw_kstr(w, "state",
	    s->stopping ? "stopping"
	    : s->ready	? "running"
			: "starting");
	jw_kint(w, "pid", getpid());
	jw_kint(w, "uid", (int64_t)geteuid());
	jw_kint(w, "uptime_ms", now_monotonic_ms() - s->started_ms);
	jw_kint(w, "upgrades", s->upgrades);
	jw_kstr(w, "state_dir", s->conf.state_dir);
	jw_kstr(w, "run_dir", s->conf.run_dir);
	write_counts(s, w);
	jw_kvalue(w, "store", ok); /* null: it is restarting */
	write_helpers(s, w);
	roles_write(s, r->client == NULL || r->client->allowed, w);
	write_memory(s, w);
	gateways_write(s->gateways, w);
	write_isolation(s, w);
	jw_object_end(w);
	request_end_ok(r);
}

static void
op_status(struct request *r)
{
	struct proc *store = storec_proc(r->s->store);
	struct jw *w = proc_up(store) ? proc_call(store, MSG_STORE_STATS, 2000,
					    on_stats, r)
				      : NULL;

	if (w == NULL)
		on_stats(r, NULL, NULL, NULL);
	else
		(void)proc_send(store, NULL, 0); /* failure is an answer */
}
