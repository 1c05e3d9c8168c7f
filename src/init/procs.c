/*
 * The table of managed processes; runs in init. A record stays until it is
 * deleted, so that a gateway that was restarted finds everything as it was. The
 * table is made when the first gateway asks.
 *
 * What a process prints is never kept in our memory (procs_log.h); what may be
 * asked for by somebody outside has a bound.
 */
#include "init/procs_priv.h"

#include <string.h>

#define LIST_BYTES (512u << 10) /* of records in one answer */

static const struct {
	const char *name;
	int64_t def;
} limits[LIMIT_N] = {
	[LIMIT_PROCESSES] = { "maxConcurrentProcesses", 64 },
	[LIMIT_RUN_MS] = { "defaultRunTimeoutMs", 30000 },
	[LIMIT_RUN_MAX_MS] = { "maxRunTimeoutMs", 300000 },
	[LIMIT_OUTPUT] = { "maxOutputBytes", 1 << 20 },
	[LIMIT_LOG] = { "maxLogBytesPerProcess", 10 << 20 },
	[LIMIT_INPUT] = { "maxInputBytesPerRequest", 64 << 10 },
};

static struct procs *
procs_get(struct init *in)
{
	struct procs *ps = in->procs;
	size_t i;

	if (ps != NULL)
		return ps;
	ps = calloc(1, sizeof(*ps));
	if (ps == NULL)
		return NULL;
	ps->in = in;
	TAILQ_INIT(&ps->all);
	for (i = 0; i < LIMIT_N; i++)
		ps->limits[i] = limits[i].def;
	in->procs = ps;
	return ps;
}

struct mproc *
mproc_find(struct procs *ps, const struct json *msg, struct err *e)
{
	int64_t id = json_int(msg, "process", 0);
	struct mproc *p;

	TAILQ_FOREACH (p, &ps->all, link)
		if (p->id == id && p->state != MPROC_STARTING)
			return p;
	(void)err_set(e, ERR_PROCESS_NOT_FOUND, "process %lld", (long long)id);
	return NULL;
}

void
mproc_free(struct mproc *p)
{
	struct procs *ps = p->ps;

	followers_free(p);
	waiters_tell(p);
	output_stop(&p->out[0]);
	output_stop(&p->out[1]);
	input_stop(p);
	plog_close(&p->log);
	TAILQ_REMOVE(&ps->all, p, link);
	ps->n--;
	ps->about_bytes -= p->about_len;
	free(p->about);
	free(p);
}

/* Its members, as the object that W is about to take. */
static void
mproc_put(const struct mproc *p, struct jw *w)
{
	jw_object(w);
	jw_kint(w, "id", p->id);
	/* Written by us from a checked message. */
	jw_key(w, "about");
	jw_raw(w, p->about, p->about_len);
	jw_kbool(w, "running", p->state == MPROC_RUNNING);
	jw_kint(w, "created_ms", p->created_ms);
	if (p->state == MPROC_RUNNING)
		jw_kint(w, "pid", p->pid);
	else
		jw_kint(w, "exited_ms", p->exited_ms);
	if (p->code != -1)
		jw_kint(w, "code", p->code);
	if (p->sig != 0)
		jw_kint(w, "signal", p->sig);
	jw_object_end(w);
}

void
mproc_reply(const struct mproc *p, struct gate *g, int64_t id)
{
	struct jw *w = chan_reply(g->ch, id);

	jw_key(w, "process");
	mproc_put(p, w);
	jw_object_end(w);
	(void)chan_end(g->ch, NULL, 0); /* a full queue ends the channel */
}

void
procs_os_error(struct err *e)
{
	if (e->sys > 0)
		(void)err_set(
		    e, e->code, "%s (os error %d)", strerror(e->sys), e->sys);
}

static void
list_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg)
{
	int64_t after = json_int(msg, "after", 0);
	struct jw *w = chan_reply(g->ch, id);
	size_t bytes = 0;
	bool more = false;
	struct mproc *p;

	jw_key(w, "processes");
	jw_array(w);
	TAILQ_FOREACH (p, &ps->all, link) {
		if (p->id <= after || p->state == MPROC_STARTING)
			continue;
		/* One record always fits, see create_request. */
		more = bytes > 0 && bytes + p->about_len > LIST_BYTES;
		if (more)
			break;
		bytes += p->about_len + 256;
		mproc_put(p, w);
	}
	jw_array_end(w);
	jw_kbool(w, "more", more);
	jw_object_end(w);
	(void)chan_end(g->ch, NULL, 0);
}

static void
delete_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg)
{
	struct err e;
	struct mproc *p = mproc_find(ps, msg, &e);

	if (p != NULL && p->state == MPROC_RUNNING) {
		(void)err_set(&e, ERR_PROCESS_STATE,
		    "process is still running; stop or kill it before delete");
		p = NULL;
	}
	if (p == NULL) {
		(void)chan_reply_err(g->ch, id, &e);
		return;
	}
	mproc_free(p);
	(void)chan_reply_ok(g->ch, id);
}

static int
limits_set(struct procs *ps, const struct json *set, struct err *e)
{
	int64_t to[LIMIT_N];
	size_t i;

	for (i = 0; i < LIMIT_N; i++) {
		to[i] = json_int(set, limits[i].name, 0);
		if (to[i] < 1)
			return err_set(e, ERR_BAD_REQUEST,
			    "%s must be greater than 0", limits[i].name);
	}
	to[LIMIT_RUN_MS] = MIN(to[LIMIT_RUN_MS], to[LIMIT_RUN_MAX_MS]);
	memcpy(ps->limits, to, sizeof(to));
	return 0;
}

static void
config_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg)
{
	const struct json *set = json_get(msg, "set");
	struct err e;
	struct jw *w;
	size_t i;

	if (set != NULL && limits_set(ps, set, &e) == -1) {
		(void)chan_reply_err(g->ch, id, &e);
		return;
	}
	w = chan_reply(g->ch, id);
	jw_key(w, "config");
	jw_object(w);
	for (i = 0; i < LIMIT_N; i++)
		jw_kint(w, limits[i].name, ps->limits[i]);
	jw_object_end(w);
	jw_object_end(w);
	(void)chan_end(g->ch, NULL, 0);
}

static void
get_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg)
{
	struct err e;
	const struct mproc *p = mproc_find(ps, msg, &e);

	if (p != NULL)
		mproc_reply(p, g, id);
	else
		(void)chan_reply_err(g->ch, id, &e);
}

void
procs_message(struct gate *g, int64_t id, enum msg_type type,
    const struct json *msg, const struct chan_frame *f)
{
	struct procs *ps = procs_get(g->in);
	struct err e;

	if (ps == NULL) {
		(void)err_set(&e, ERR_LIMIT, "no memory");
		if (id > 0)
			(void)chan_reply_err(g->ch, id, &e);
		return;
	}
	switch (type) {
	case MSG_PROC_RUN:
		run_request(ps, g, id, msg, f);
		break;
	case MSG_PROC_CANCEL:
		run_cancel(ps, g, msg);
		break;
	case MSG_PROC_CREATE:
		create_request(ps, g, id, msg);
		break;
	case MSG_PROC_LIST:
		list_request(ps, g, id, msg);
		break;
	case MSG_PROC_GET:
		get_request(ps, g, id, msg);
		break;
	case MSG_PROC_SIGNAL:
		signal_request(ps, g, id, msg);
		break;
	case MSG_PROC_DELETE:
		delete_request(ps, g, id, msg);
		break;
	case MSG_PROC_INPUT:
		input_request(ps, g, id, msg, f);
		break;
	case MSG_PROC_RESIZE:
		resize_request(ps, g, id, msg);
		break;
	case MSG_PROC_LOGS:
		logs_request(ps, g, id, msg);
		break;
	case MSG_PROC_ATTACH:
		attach_request(ps, g, id, msg);
		break;
	case MSG_PROC_CONFIG:
		config_request(ps, g, id, msg);
		break;
	default:
		(void)err_set(&e, ERR_BAD_REQUEST, "not served here");
		if (id > 0)
			(void)chan_reply_err(g->ch, id, &e);
		break;
	}
}

void
procs_gate_closed(struct gate *g)
{
	struct procs *ps = g->in->procs;
	struct mproc *p;

	if (ps == NULL)
		return;
	runs_gate_closed(ps, g);
	TAILQ_FOREACH (p, &ps->all, link) {
		waiters_gate_closed(p, g);
		if (p->g == g)
			p->g = NULL;
	}
}
