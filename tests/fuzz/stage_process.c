/*
 * Programs that are played by an input; see stage.h. In place of
 * session/agent_process.c, session/share.c and session/children.c. It checks
 * that nobody uses a program that is gone, and that what those are told is
 * whole lines of JSON.
 */
#include "fuzz.h"
#include "stage.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agent_process.h"
#include "session/children.h"
#include "session/share.h"
#include <signal.h>
#include <string.h>

#define PROGRAMS_MAX 64 /* at once; one more cannot be started */

struct held {
	TAILQ_ENTRY(held) link;
	char *line; /* owned */
	size_t len, total;
};

struct process {
	TAILQ_ENTRY(process) link;
	const struct process_ops *ops;
	void *ctx;
	TAILQ_HEAD(, held) held; /* said while it was paused */
	struct buf in;		 /* told, up to the next end of line */
	struct buf err;
	bool json; /* it is told JSON and nothing else */
	bool paused, finished, ending, told, dead;
	unsigned busy;
	int code, signal_no;
};

struct stage_programs stage_programs;
static TAILQ_HEAD(processes, process) processes = TAILQ_HEAD_INITIALIZER(
    processes);
static unsigned running;
static char last_id[256]; /* JSON text */

/* --- the interface that is played ----------------------------------------- */

int
process_find(
    const char *program, char *const *env, char **path_out, struct err *e)
{
	CHECK(program != NULL && program[0] != '\0');
	(void)env;
	if (stage_programs.refuse)
		return err_set(e, ERR_AGENT_NOT_INSTALLED, "no such program");
	*path_out = xasprintf("/bin/%s", program);
	return 0;
}

int
process_start(struct ev_loop *loop, const struct process_spec *spec,
    const struct process_ops *ops, void *ctx, struct process **p_out,
    struct err *e)
{
	struct process *p;

	(void)loop;
	CHECK(spec->argv[0] != NULL && spec->directory != NULL);
	CHECK(ops->line != NULL && ops->exited != NULL);
	if (stage_programs.refuse || running == PROGRAMS_MAX)
		return err_set(e, ERR_AGENT_NOT_INSTALLED, "no such program");
	p = xcalloc(1, sizeof(*p));
	p->ops = ops;
	p->ctx = ctx;
	p->json = strcmp(spec->argv[0], "agent") == 0;
	TAILQ_INIT(&p->held);
	buf_init(&p->in, STDIN_BYTES_MAX);
	buf_init(&p->err, STDERR_TAIL_BYTES);
	TAILQ_INSERT_HEAD(&processes, p, link);
	running++;
	*p_out = p;
	return 0;
}

/* Whether others use it too is nothing that its adapter can tell. */
int
share_start(struct ev_loop *loop, const struct process_spec *spec,
    const struct process_ops *ops, void *ctx, struct process **p_out,
    struct err *e)
{
	return process_start(loop, spec, ops, ctx, p_out, e);
}

static void
really_free(struct process *p)
{
	struct held *h;

	TAILQ_REMOVE(&processes, p, link);
	running--;
	while ((h = TAILQ_FIRST(&p->held)) != NULL) {
		TAILQ_REMOVE(&p->held, h, link);
		free(h->line);
		free(h);
	}
	buf_free(&p->in);
	buf_free(&p->err);
	free(p);
}

void
process_free(struct process *p)
{
	if (p == NULL || p->dead)
		return;
	p->dead = true;
	if (p->busy == 0)
		really_free(p);
}

static void
check_told(const char *line, size_t len)
{
	struct json *j = NULL;
	const struct json *id;
	struct buf b;
	struct jw w;

	CHECK(json_parse(line, len, JSON_DEPTH_AGENT + 8, &j, NULL) == 0);
	id = json_get(j, "id");
	if (id != NULL) {
		buf_init(&b, sizeof(last_id) - 1);
		jw_init(&w, &b);
		jw_value(&w, id);
		if (!b.failed)
			(void)!str_copy(last_id, sizeof(last_id), b.data);
		buf_free(&b);
	}
	json_free(j);
}

int
process_write(struct process *p, const char *s, size_t n)
{
	char *nl;

	CHECK(!p->dead);
	if (p->finished || p->ending)
		return 0;
	if (stage_programs.clog || buf_add(&p->in, s, n) == -1)
		return -1;
	while ((nl = memchr(p->in.data, '\n', p->in.len)) != NULL) {
		size_t len = (size_t)(nl - p->in.data);

		stage_trace("told  ", p->in.data, len);
		if (p->json)
			check_told(p->in.data, len);
		buf_consume(&p->in, len + 1);
	}
	return 0;
}

void
process_finish_input(struct process *p)
{
	CHECK(!p->dead);
	CHECK(!p->json || p->in.len == 0);
	p->finished = true;
}

void
process_pause(struct process *p, bool on)
{
	CHECK(!p->dead);
	p->paused = on;
}

void
process_signal(struct process *p, int signal_no, bool group)
{
	CHECK(!p->dead);
	(void)group;
	if (stage_programs.deaf && signal_no != SIGKILL)
		return;
	p->ending = true;
	p->code = -1;
	p->signal_no = signal_no;
}

int
process_exit_code(const struct process *p)
{
	return p->code;
}

int
process_exit_signal(const struct process *p)
{
	return p->code == -1 ? p->signal_no : 0;
}

void
process_describe(const struct process *p, struct jw *w)
{
	if (p->code != -1)
		jw_kint(w, "exit_code", p->code);
	else
		jw_kint(w, "signal", p->signal_no);
	if (p->err.len == 0)
		return;
	jw_key(w, "stderr");
	jw_object(w);
	jw_key(w, "head");
	jw_strn(w, p->err.data, p->err.len);
	jw_kbool(w, "truncated", false);
	jw_kint(w, "total_lines", 1);
	jw_object_end(w);
}

const char *
process_last_words(struct process *p)
{
	CHECK(!p->dead);
	return p->err.len > 0 ? p->err.data : NULL;
}

/* --- playing ---------------------------------------------------------------
 */

/* The last one that can still speak. */
static struct process *
speaker(void)
{
	struct process *p;

	TAILQ_FOREACH (p, &processes, link)
		if (!p->dead && !p->told && !p->ending)
			return p;
	return NULL;
}

static void
leave(struct process *p)
{
	if (--p->busy == 0 && p->dead)
		really_free(p);
}

static void
give(struct process *p, const char *line, size_t len, size_t total)
{
	/* Of its own size, and the worker's parser may write to it. */
	char *copy = xmalloc(len + 1);

	memcpy(copy, line, len);
	copy[len] = '\0';
	p->busy++;
	p->ops->line(p, copy, len, total, p->ctx);
	leave(p);
	free(copy);
}

static char *
with_id(const char *line, size_t *len)
{
	const char *at = memmem(line, *len, "@id@", 4);
	size_t n = strlen(last_id), head;
	char *s;

	if (at == NULL)
		return NULL;
	head = (size_t)(at - line);
	s = xmalloc(*len - 4 + n + 1);
	memcpy(s, line, head);
	memcpy(s + head, last_id, n);
	memcpy(s + head + n, at + 4, *len - head - 4);
	*len += n - 4;
	s[*len] = '\0';
	return s;
}

bool
stage_says(const char *line, size_t len, size_t total)
{
	struct process *p = speaker();
	autofree char *other = NULL;
	struct held *h;

	if (p == NULL)
		return false;
	other = with_id(line, &len);
	line = other != NULL ? other : line;
	total = MAX(total, len);
	if (!p->paused && TAILQ_EMPTY(&p->held)) {
		give(p, line, len, total);
		return true;
	}
	h = xcalloc(1, sizeof(*h));
	h->line = xmalloc(len + 1);
	memcpy(h->line, line, len);
	h->line[len] = '\0';
	h->len = len;
	h->total = total;
	TAILQ_INSERT_TAIL(&p->held, h, link);
	return true;
}

bool
stage_complains(const char *line, size_t len)
{
	struct process *p = speaker();

	if (p == NULL)
		return false;
	buf_clear(&p->err);
	(void)buf_add(&p->err, line, MIN(len, p->err.cap - 1));
	return true;
}

bool
stage_exits(int code)
{
	struct process *p = speaker();

	if (p == NULL)
		return false;
	p->ending = true;
	p->code = code;
	return true;
}

static bool
go(struct process *p)
{
	struct held *h = TAILQ_FIRST(&p->held);
	struct err failed;

	if (p->dead || p->told || p->paused)
		return false;
	if (h != NULL) {
		TAILQ_REMOVE(&p->held, h, link);
		give(p, h->line, h->len, h->total);
		free(h->line);
		free(h);
		return true;
	}
	if (!p->ending)
		return false;
	p->told = true;
	p->busy++;
	/* What could not be executed at all ends with this. */
	(void)err_set(&failed, ERR_AGENT_NOT_INSTALLED, "execute: no");
	p->ops->exited(p, p->code == 127 ? &failed : NULL, p->ctx);
	leave(p);
	return true;
}

bool
stage_programs_go(void)
{
	struct process *p;

	TAILQ_FOREACH (p, &processes, link)
		if (go(p))
			return true; /* the list may be another now */
	return false;
}

bool
stage_programs_none(void)
{
	return TAILQ_EMPTY(&processes);
}

void
stage_programs_time(void)
{
	struct process *p;

	TAILQ_FOREACH (p, &processes, link)
		if (p->finished && !stage_programs.deaf)
			p->ending = true;
}

void
stage_programs_init(void)
{
	CHECK(TAILQ_EMPTY(&processes));
	memset(&stage_programs, 0, sizeof(stage_programs));
	(void)!str_copy(last_id, sizeof(last_id), "1");
}
