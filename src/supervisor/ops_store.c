/*
 * The operations that concern the store as such. Runs in the supervisor, which
 * hands descriptors on and waits.
 */
#include "supervisor/ops.h"
#include "supervisor/storec.h"

void
op_backup(struct request *r)
{
	struct proc *store = storec_proc(r->s->store);
	struct jw *w = NULL;
	struct err e;

	if (r->nfds != 1) {
		err_set(&e, ERR_BAD_REQUEST,
		    "fds: one descriptor to write to must come along");
		request_end_err(r, &e);
		return;
	}
	if (proc_up(store))
		w = proc_call(store, MSG_STORE_BACKUP, 0, request_answer, r);
	if (w == NULL) {
		err_set(&e, ERR_STORE_UNAVAILABLE,
		    "the store is restarting; try again");
		request_end_err(r, &e);
		return;
	}
	r->nfds = 0;
	(void)proc_send(store, r->fds, 1); /* failure comes as an answer */
}
