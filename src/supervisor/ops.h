/*
 * What each public operation does: from a checked request to its answer.
 */
#ifndef SUPERVISOR_OPS_H
#define SUPERVISOR_OPS_H

#include "supervisor/control.h"

/* Serve R; ends it now or later. */
void ops_serve(struct request *r);

typedef void op_handler(struct request *r);
/* ops_sandbox.c, ops_session.c, exec.c */
op_handler op_sandbox_create, op_sandbox_list, op_sandbox_get, op_sandbox_exec,
    op_sandbox_stop, op_sandbox_start, op_sandbox_destroy, op_sandbox_changes;
/* errand.c, process.c, stats.c */
op_handler op_sandbox_copy_in, op_sandbox_copy_out, op_sandbox_processes,
    op_sandbox_stats, op_process_create, op_process_list, op_process_get,
    op_process_wait, op_process_signal, op_process_delete, op_process_input,
    op_process_resize, op_process_attach, op_process_logs;
/* expose.c */
op_handler op_sandbox_expose, op_sandbox_unexpose;
/* sandbox_update.c */
op_handler op_sandbox_pause, op_sandbox_resume, op_sandbox_renew,
    op_sandbox_touch, op_sandbox_update, op_sandbox_events;
op_handler op_session_create, op_session_list, op_session_get,
    op_session_prompt, op_session_events, op_session_cancel,
    op_session_permission_reply, op_session_question_reply,
    op_session_question_reject, op_session_configure, op_session_end,
    op_session_delete;

/* ops_agent.c */
op_handler op_agent_list, op_agent_install, op_agent_probe, op_agent_reload;

/* upgrade.c */
op_handler op_upgrade;

/* tokens.c */
op_handler op_token_create, op_token_list, op_token_revoke;
op_handler op_backup;

/* compact.c */
op_handler op_store_compact;

/* The sandbox or session that the request names, or NULL and R has ended. */
struct sandbox *op_sandbox(struct request *r);
/* The same, and it runs. In errand.c. */
struct sandbox *op_sandbox_running(struct request *r);
struct session *op_session(struct request *r);

#endif
