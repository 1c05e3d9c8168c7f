/*
 * What is asked about the inside of a running sandbox and done by children of
 * its init: copies in and out, the list of processes, logs as text. Runs in
 * the supervisor, which passes descriptors on and looks at nothing but counts:
 * the data goes between init's child and the client, or through the relay for
 * a client that brings no descriptor.
 */
#include "lib/xalloc.h"
#include "supervisor/ops.h"
#include "supervisor/relay.h"
#include "supervisor/sandboxes.h"

#include <string.h>

#define LISTING_BYTES (64ll << 20) /* through the relay; more is cut */

struct sandbox *
op_sandbox_running(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);
	struct err e;

	if (sb == NULL || (sb->state == SB_RUNNING && proc_up(&sb->proc)))
		return sb;
	err_set(&e, ERR_SANDBOX_STATE, "sandbox is %s: %s",
	    sandbox_state_name(sb->state), sb->id);
	request_end_err(r, &e);
	return NULL;
}

/* --- with the client's own descriptor ------------------------------------ */

static void
on_done(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct request *r = ctx;

	if (ok == NULL) {
		request_end_err(r, e);
		return;
	}
	jw_value(request_ok(r), ok);
	request_end_ok(r);
}

/* Begin a call that answers R and takes its descriptor along; NULL when R has
 * ended. errand_end() sends it. */
static struct jw *
errand_begin(struct request *r, struct sandbox *sb, enum msg_type type)
{
	struct err e;

	if (r->nfds == 1)
		return proc_call(&sb->proc, type, 0, on_done, r);
	err_set(&e, ERR_BAD_REQUEST, "fds: one descriptor is needed");
	request_end_err(r, &e);
	return NULL;
}

static void
errand_end(struct request *r, struct sandbox *sb)
{
	r->nfds = 0;
	(void)proc_send(&sb->proc, r->fds, 1); /* failure comes as an answer */
}

static bool
path_refused(struct request *r, const char *path)
{
	struct err e;

	if (path[0] == '/')
		return false;
	err_set(&e, ERR_BAD_REQUEST, "path: '%.200s' is not an absolute path",
	    path);
	request_end_err(r, &e);
	return true;
}

void
op_sandbox_copy_in(struct request *r)
{
	const struct json *args = r->op.args;
	const char *path = json_str(args, "path", "");
	struct sandbox *sb = op_sandbox_running(r);
	struct jw *w;

	if (sb == NULL || path_refused(r, path) ||
	    (w = errand_begin(r, sb, MSG_INIT_COPY_IN)) == NULL)
		return;
	jw_kstr(w, "path", path);
	jw_kbool(w, "into", json_bool(args, "into", false));
	jw_kstr(w, "owner", json_str(args, "owner", "keep"));
	jw_kbool(w, "setid", json_bool(args, "setid", false));
	errand_end(r, sb);
}

void
op_sandbox_copy_out(struct request *r)
{
	const struct json *paths = json_get(r->op.args, "paths");
	struct sandbox *sb = op_sandbox_running(r);
	struct jw *w;

	if (sb == NULL)
		return;
	json_foreach (it, paths) {
		if (path_refused(r, it->str))
			return;
	}
	if (paths->len == 0 && path_refused(r, ""))
		return;
	w = errand_begin(r, sb, MSG_INIT_COPY_OUT);
	if (w == NULL)
		return;
	jw_kvalue(w, "paths", paths);
	errand_end(r, sb);
}

/* --- through the relay --------------------------------------------------- */

struct listing {
	struct request *r; /* NULL once answered */
	struct super *s;
	int64_t carry; /* of the call to the relay */
	bool done;     /* init has answered */
	bool carried;  /* and the relay */
};

static void
listing_free_if_over(struct listing *l)
{
	if (l->done && l->carried)
		free(l);
}

static void
on_carried(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e ATTR_UNUSED)
{
	struct listing *l = ctx;
	struct request *r = STEAL(l->r);

	l->carried = true;
	request_end_handed(r, ok == NULL || json_bool(ok, "gone", true));
	listing_free_if_over(l);
}

static void
on_listed(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct listing *l = ctx;
	struct proc *relay = relay_proc(l->s->relay);
	struct jw *w = l->carried ? NULL : proc_notice(relay, MSG_RELAY_FINISH);

	l->done = true;
	if (w != NULL) {
		jw_kint(w, "carry", l->carry);
		jw_key(w, ok != NULL ? "ok" : "error");
		if (ok != NULL) {
			jw_value(w, ok);
		} else {
			jw_object(w);
			jw_kstr(w, "code", err_wire(e->code));
			jw_kstr(w, "detail", e->text);
			jw_object_end(w);
		}
		(void)proc_send(relay, NULL, 0); /* or it is dying */
	}
	listing_free_if_over(l);
}

/* Connect R's client to the relay; *FD_OUT is what init is to write to. */
static struct listing *
listing_connect(struct request *r, int *fd_out, struct err *e)
{
	struct proc *relay = relay_proc(r->s->relay);
	int ends[3] = { -1, -1, -1 }, none = -1;
	struct listing *l;
	struct jw *w;

	if (!proc_up(relay)) {
		err_set(e, ERR_SYSTEM, "the relay is restarting; try again");
		return NULL;
	}
	if (fd_pipe(&ends[1], fd_out, e) == -1 ||
	    fd_pipe(&ends[2], &none, e) == -1) {
		fd_close_all(ends, 3);
		fd_close(fd_out);
		return NULL;
	}
	fd_close(&none); /* of errors there is no output */
	ends[0] = request_hand_over(r);
	if (ends[0] == -1) {
		fd_close_all(ends, 3);
		fd_close(fd_out);
		err_set(e, ERR_SYSTEM, "the client has gone");
		return NULL;
	}
	l = xcalloc(1, sizeof(*l));
	l->r = r;
	l->s = r->s;
	w = proc_call(relay, MSG_RELAY_CARRY, 0, on_carried, l);
	l->carry = proc_call_id(relay);
	jw_kstr(w, "request", r->op.id);
	jw_kint(w, "output_bytes", LISTING_BYTES);
	(void)proc_send(relay, ends, 3); /* failure comes as an answer */
	return l;
}

/* Ask init for TYPE about PROCESS (0: none), whose text goes to R's client. */
static void
list(struct request *r, struct sandbox *sb, enum msg_type type, int64_t process)
{
	const char *stream = json_str(r->op.args, "stream", NULL);
	struct listing *l = NULL;
	int fd = -1;
	struct err e;
	struct jw *w;

	if (r->nfds == 1) {
		fd = fd_steal(&r->fds[0]);
		r->nfds = 0;
	} else if ((l = listing_connect(r, &fd, &e)) == NULL) {
		request_end_err(r, &e);
		return;
	}
	w = proc_call(&sb->proc, type, 0, l != NULL ? on_listed : on_done,
	    l != NULL ? (void *)l : r);
	if (process != 0)
		jw_kint(w, "process", process);
	if (stream != NULL)
		jw_kstr(w, "stream", stream);
	(void)proc_send(&sb->proc, &fd, 1); /* failure comes as an answer */
}

void
op_sandbox_processes(struct request *r)
{
	struct sandbox *sb = op_sandbox_running(r);

	if (sb != NULL)
		list(r, sb, MSG_INIT_PROCESSES, 0);
}

void
op_process_logs(struct request *r)
{
	struct sandbox *sb = op_sandbox_running(r);

	if (sb != NULL)
		list(r, sb, MSG_INIT_LOG, json_int(r->op.args, "process", 0));
}
