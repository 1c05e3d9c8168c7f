/*
 * Starting managed processes and noting their end; runs in init.
 */
#include "init/procs_priv.h"
#include "lib/fdio.h"
#include "lib/strutil.h"

#include <fcntl.h>
#include <string.h>

#define KEPT_MAX 1024		 /* records, ended ones included */
#define ABOUT_MAX (512u << 10)	 /* bytes of one's words, as JSON */
#define ABOUT_ALL_MAX (8u << 20) /* of all of them */

static void
created_started(struct exec *x)
{
	struct mproc *p = x->ctx;

	p->state = MPROC_RUNNING;
	p->pid = x->pid;
	if (p->tty) {
		p->out[0].fd = fd_steal(&x->master_fd);
		p->in_fd = fcntl(p->out[0].fd, F_DUPFD_CLOEXEC, 0);
		(void)fd_set_nonblock(p->out[0].fd, 1); /* of both */
	}
	output_start(&p->out[0]);
	output_start(&p->out[1]);
	if (p->g != NULL)
		mproc_reply(p, p->g, p->request);
	p->g = NULL;
}

static void
created_failed(struct exec *x, const struct err *e)
{
	struct mproc *p = x->ctx;
	struct err os = *e;

	procs_os_error(&os);
	if (p->g != NULL)
		(void)chan_reply_err(p->g->ch, p->request, &os);
	p->g = NULL;
	mproc_free(p);
}

static void
created_ended(struct exec *x)
{
	struct mproc *p = x->ctx;

	/* What it has printed comes before its end. */
	output_drain(&p->out[0]);
	output_drain(&p->out[1]);
	p->state = MPROC_EXITED;
	p->x = NULL;
	p->exited_ms = now_realtime_ms();
	if (x->code == CLD_EXITED)
		p->code = x->value;
	else
		p->sig = x->value;
	input_stop(p);
	waiters_tell(p);
	followers_exited(p);
	init_awake(p->ps->in);
}

static const struct exec_ops created_ops = {
	created_started,
	created_failed,
	created_ended,
};

/* What never changes, for whoever asks: written once. */
static int
about_write(struct mproc *p, const struct json *msg, struct err *e)
{
	const char *cwd = json_str(msg, "cwd", NULL);
	struct buf b;
	struct jw w;

	buf_init(&b, ABOUT_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kvalue(&w, "argv", json_get(msg, "argv"));
	if (cwd != NULL)
		jw_kstr(&w, "cwd", cwd);
	jw_kbool(&w, "tty", p->tty);
	jw_kbool(&w, "interactive", json_bool(msg, "interactive", false));
	jw_kstr(&w, "owner", json_str(msg, "owner", "user"));
	jw_object_end(&w);
	if (b.failed) {
		buf_free(&b);
		return err_set(e, ERR_TOO_LARGE, "too many arguments");
	}
	p->about_len = b.len;
	p->about = buf_steal(&b);
	return 0;
}

/* Make room for one more record of LEN bytes by forgetting the oldest that have
 * ended; those that run are never forgotten. */
static int
room_make(struct procs *ps, size_t len, struct err *e)
{
	struct mproc *p, *next;

	for (p = TAILQ_FIRST(&ps->all); p != NULL; p = next) {
		next = TAILQ_NEXT(p, link);
		if (ps->n < KEPT_MAX && ps->about_bytes + len <= ABOUT_ALL_MAX)
			return 0;
		if (p->state == MPROC_EXITED)
			mproc_free(p);
	}
	if (ps->n < KEPT_MAX && ps->about_bytes + len <= ABOUT_ALL_MAX)
		return 0;
	return err_set(e, ERR_LIMIT, "too many processes are remembered");
}

static int
limit_check(struct procs *ps, struct err *e)
{
	const struct mproc *p;
	int64_t running = 0;

	TAILQ_FOREACH (p, &ps->all, link)
		running += p->state != MPROC_EXITED;
	if (running < ps->limits[LIMIT_PROCESSES])
		return 0;
	return err_set(e, ERR_PROCESS_STATE,
	    "max concurrent process limit reached (%lld)",
	    (long long)ps->limits[LIMIT_PROCESSES]);
}

static struct mproc *
mproc_new(struct procs *ps, const struct json *msg, struct err *e)
{
	struct mproc *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		(void)err_set(e, ERR_LIMIT, "no memory");
		return NULL;
	}
	p->ps = ps;
	p->tty = json_bool(msg, "tty", false);
	p->created_ms = now_realtime_ms();
	p->code = -1;
	p->in_fd = -1;
	p->out[0] = (struct output){ .p = p, .fd = -1 };
	p->out[1] = (struct output){ .p = p, .fd = -1 };
	p->out[0].stream = p->tty ? PROCLOG_PTY : PROCLOG_STDOUT;
	p->out[1].stream = PROCLOG_STDERR;
	buf_init(&p->input, SIZE_MAX);
	plog_init(&p->log);
	LIST_INIT(&p->followers);
	LIST_INIT(&p->waiters);
	if (about_write(p, msg, e) == -1 ||
	    room_make(ps, p->about_len, e) == -1) {
		free(p->about);
		free(p);
		return NULL;
	}
	p->id = ++ps->last_id;
	ps->n++;
	ps->about_bytes += p->about_len;
	TAILQ_INSERT_TAIL(&ps->all, p, link);
	return p;
}

/* FDS are the child's ends. */
static int
pipes_make(struct mproc *p, int fds[CHILD_FDS], struct err *e)
{
	if (p->tty)
		return 0;
	if (fd_pipe(&fds[0], &p->in_fd, e) == -1 ||
	    fd_pipe(&p->out[0].fd, &fds[1], e) == -1 ||
	    fd_pipe(&p->out[1].fd, &fds[2], e) == -1 ||
	    fd_set_nonblock(p->in_fd, 1) == -1 ||
	    fd_set_nonblock(p->out[0].fd, 1) == -1 ||
	    fd_set_nonblock(p->out[1].fd, 1) == -1) {
		e->code = ERR_LIMIT;
		return -1;
	}
	return 0;
}

void
create_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg)
{
	struct exec_how how = {
		.plan = { .msg = msg,
		    .defaults = &g->defaults,
		    .own_fds = true,
		    .fds = { -1, -1, -1 } },
		.tty = json_bool(msg, "tty", false),
		.columns = (int)json_int(msg, "columns", 80),
		.rows = (int)json_int(msg, "rows", 24),
	};
	struct mproc *p = NULL;
	struct err e;
	int r = -1;

	if (how.tty)
		how.plan.term = "xterm-256color";
	if (limit_check(ps, &e) == 0)
		p = mproc_new(ps, msg, &e);
	if (p != NULL && pipes_make(p, how.plan.fds, &e) == 0)
		r = exec_start(ps->in, &how, &created_ops, p, &p->x, &e);
	fd_close_all(how.plan.fds, CHILD_FDS);
	if (r == -1) {
		(void)chan_reply_err(g->ch, id, &e);
		if (p != NULL)
			mproc_free(p);
		return;
	}
	p->g = g;
	p->request = id;
	/* Nothing will ever be typed: its reader sees the end at once. */
	if (!p->tty && !json_bool(msg, "input", true))
		fd_close(&p->in_fd);
}
