/*
 * The Codex adapter: its process, its turns, and how it is stopped. Runs in the
 * session worker. `codex app-server` is started at the first message and kept
 * from then on, one for a session or, if the definition says so, one for all
 * that agree (session/share.h); it gets exactly the environment of the session.
 * What it prints is hostile input and is read in codex_read.c.
 *
 * A process that died, or was killed because it did not stop a turn, is
 * followed by one that resumes the conversation by its native id.
 */
#include "session/agents/codex.h"
#include "session/share.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <signal.h>
#include <string.h>

#define ARGV_MAX 300
#define PATIENCE_S 60.0 /* for an answer of the handshake, or to turn/start */
#define INTERRUPT_S 4.0 /* to end a turn that is interrupted */
#define FAREWELL_S 1.5	/* to leave by itself when its input is closed */
#define RUNG_S 1.0

static const char *const skill_places[] = { ".agents/skills", NULL };

/* --- the process ---------------------------------------------------------- */

int
codex_send(struct codex *c, struct buf *line, struct err *e)
{
	int rc = 0;

	(void)buf_addc(line, '\n');
	if (c->proc == NULL || c->retiring)
		rc = err_set(e, ERR_AGENT_FAILED, "codex is not running");
	else if (line->failed ||
		 process_write(c->proc, line->data, line->len) == -1)
		rc = err_set(
		    e, ERR_LIMIT, "codex does not read what it is sent");
	buf_free(line);
	return rc;
}

static void
wait_for_answer(struct codex *c)
{
	ev_timer_stop(c->a.loop, &c->patience);
	ev_timer_set(&c->patience, PATIENCE_S, 0.);
	ev_timer_start(c->a.loop, &c->patience);
}

/* The process forgets everything but its conversation. */
static void
reset(struct codex *c)
{
	c->stage = CODEX_DOWN;
	c->retiring = c->working = c->started = c->interrupt = false;
	c->owed = 0;
	memset(c->calls, 0, sizeof(c->calls));
	free(STEAL(c->given));
	free(STEAL(c->thread));
	free(STEAL(c->turn));
	codex_asks_drop(c);
	codex_items_drop(c);
	ev_timer_stop(c->a.loop, &c->patience);
	ladder_stop(&c->ladder);
}

/* Make the process leave; what comes of it is no more read. */
static void
retire(struct codex *c, enum rung rung)
{
	if (c->proc == NULL || c->retiring)
		return;
	c->retiring = true;
	ev_timer_stop(c->a.loop, &c->patience);
	process_finish_input(c->proc);
	ladder_climb(&c->ladder, c->proc, rung, FAREWELL_S);
}

void
codex_fail(struct codex *c, const struct err *e)
{
	bool had_turn = c->working || c->held != NULL;

	free(STEAL(c->held));
	free(STEAL(c->given));
	free(STEAL(c->turn));
	c->working = c->started = c->interrupt = false;
	ev_timer_stop(c->a.loop, &c->patience);
	if (c->stage != CODEX_DOWN && c->stage < CODEX_KNOWN)
		retire(c, RUNG_TERM); /* the next message starts another */
	if (c->probing) {
		c->probing = false;
		agent_failed(&c->a, e);
	}
	if (!had_turn || !agent_turn_open(&c->a))
		return;
	if (agent_cancelling(&c->a))
		agent_turn_ended(&c->a, "cancelled", NULL);
	else
		program_fail_turn(&c->a, e);
}

static void
on_patience(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct codex *c = w->data;
	struct err e;

	(void)loop;
	(void)revents;
	(void)err_set(&e, ERR_AGENT_FAILED, "codex does not answer");
	codex_fail(c, &e);
	retire(c, RUNG_TERM);
}

static void
on_exited(struct process *p, const struct err *failed, void *ctx)
{
	struct codex *c = ctx;
	bool was_working = c->working, retired = c->retiring;
	bool had_held = c->held != NULL && !retired;
	struct err e;

	reset(c);
	c->proc = NULL;
	if (c->stopping) {
		process_free(p);
		agent_stopped(&c->a);
		return;
	}
	if ((was_working || had_held) && agent_turn_open(&c->a) &&
	    !agent_cancelling(&c->a))
		program_log_death(&c->a, "codex", p, failed);
	if (c->probing) {
		c->probing = false;
		if (failed != NULL)
			e = *failed;
		else
			(void)err_set(&e, ERR_AGENT_FAILED,
			    "codex ended: %.256s",
			    process_last_words(p) != NULL
				? process_last_words(p)
				: "it did not say why");
		agent_failed(&c->a, &e);
	}
	process_free(p);
	if (had_held)
		free(STEAL(c->held));
	if (c->held != NULL)
		codex_advance(c);
	else if ((was_working || had_held) && agent_turn_open(&c->a))
		agent_turn_ended(&c->a,
		    agent_cancelling(&c->a) ? "cancelled" : "error", NULL);
}

static void
on_line(
    struct process *p, const char *line, size_t len, size_t total, void *ctx)
{
	struct codex *c = ctx;

	(void)p;
	if (!c->stopping && !c->retiring)
		codex_read(c, line, len, total);
}

static const struct process_ops process_ops = { .line = on_line,
	.exited = on_exited };

static int
start(struct codex *c, struct err *e)
{
	static const char *const plain[] = { "codex", NULL };
	const struct agent_conf *conf = c->a.conf;
	const char *const *lists[] = { conf->command != NULL
					   ? (const char *const *)conf->command
					   : plain,
		(const char *const *)conf->program_args, codex_arguments(c) };
	const char *argv[ARGV_MAX];
	struct process_spec spec = { .directory = conf->directory };
	char **env = NULL;
	size_t n = 0, i, j;
	int rc;

	for (i = 0; i < countof(lists); i++)
		for (j = 0; lists[i] != NULL && lists[i][j] != NULL; j++) {
			if (n == ARGV_MAX - 1)
				return err_set(
				    e, ERR_LIMIT, "the command is too long");
			argv[n++] = lists[i][j];
		}
	argv[n] = NULL;
	/* execve does not write to the strings; its type is older than const */
	spec.argv = (char *const *)(uintptr_t)argv;
	spec.env = env = codex_environment(c);
	rc = (conf->shared ? share_start : process_start)(
	    c->a.loop, &spec, &process_ops, c, &c->proc, e);
	strv_free(env);
	if (rc == -1) {
		c->proc = NULL;
		return -1;
	}
	process_pause(c->proc, c->paused);
	return codex_greet(c, e);
}

/* --- turns ---------------------------------------------------------------- */

static void
on_skills(struct agent *a)
{
	struct codex *c = (struct codex *)a;
	struct err e;

	skills_free(STEAL(c->skills));
	if (c->held == NULL || c->proc != NULL)
		return; /* cancelled meanwhile */
	if (start(c, &e) == -1)
		codex_fail(c, &e);
	else
		wait_for_answer(c);
}

static int
launch(struct codex *c, struct err *e)
{
	c->skills = skills_prepare(&c->a, skill_places, on_skills);
	return c->skills != NULL ? 0 : start(c, e);
}

static int
give_turn(struct codex *c, struct err *e)
{
	free(c->given);
	c->given = STEAL(c->held);
	c->working = true;
	c->started = false;
	return codex_start_turn(c, c->given, e);
}

static int
advance(struct codex *c, struct err *e)
{
	switch (c->stage) {
	case CODEX_DOWN:
		return c->held != NULL && c->proc == NULL && c->skills == NULL
			   ? launch(c, e)
			   : 0;
	case CODEX_KNOWN:
		return c->held != NULL ? codex_open_thread(c, e) : 0;
	case CODEX_READY:
		return c->held != NULL ? give_turn(c, e) : 0;
	case CODEX_GREETED:
	case CODEX_ASKED:
	case CODEX_OPENING:
		break;
	}
	return 0;
}

/* Codex owes us an answer, or nothing. */
static void
keep_time(struct codex *c)
{
	if ((c->stage >= CODEX_GREETED && c->stage <= CODEX_ASKED) ||
	    c->stage == CODEX_OPENING || (c->working && !c->started))
		wait_for_answer(c);
	else
		ev_timer_stop(c->a.loop, &c->patience);
}

void
codex_advance(struct codex *c)
{
	struct err e;

	if (c->stage >= CODEX_KNOWN)
		c->probing = false;
	if (advance(c, &e) == -1)
		codex_fail(c, &e);
	else
		keep_time(c);
}

static int
codex_prompt(struct agent *a, uint64_t number, const struct agent_message *m,
    struct err *e)
{
	struct codex *c = (struct codex *)a;

	(void)number;
	c->failed = false;
	memset(&c->used, 0, sizeof(c->used));
	free(c->held);
	c->held = codex_input(m);
	if (c->held == NULL)
		return err_set(e, ERR_TOO_LARGE, "the message is too long");
	if (c->retiring)
		return 0; /* the next process gets it */
	if (advance(c, e) == -1) {
		free(STEAL(c->held));
		c->working = false;
		retire(c, RUNG_TERM);
		return -1;
	}
	keep_time(c);
	return 0;
}

void
codex_expect_turn(struct codex *c)
{
	ev_timer_stop(c->a.loop, &c->patience);
	if (!agent_turn_open(&c->a)) {
		c->failed = false;
		memset(&c->used, 0, sizeof(c->used));
		agent_turn_begun(&c->a);
	}
	c->working = true;
}

static int
codex_cancel(struct agent *a, struct err *e)
{
	struct codex *c = (struct codex *)a;

	(void)e;
	if (!c->working) {
		free(STEAL(c->held));
		agent_turn_ended(a, "cancelled", NULL);
		return 0;
	}
	/* An interrupt that comes before the turn has started is refused. */
	c->interrupt = true;
	if (c->started)
		(void)codex_interrupt(c, NULL); /* the ladder follows */
	ladder_climb(&c->ladder, c->proc, RUNG_TERM, INTERRUPT_S);
	return 0;
}

/* {"usage":{…},"duration_ms":N}, the caller's. */
static char *
metadata(const struct codex *c, const struct json *turn)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 1024);
	jw_init(&w, &b);
	jw_object(&w);
	if (c->used.total > 0) {
		jw_key(&w, "usage");
		jw_object(&w);
		jw_kint(&w, "input_tokens", c->used.input);
		jw_kint(&w, "output_tokens", c->used.output);
		jw_kint(&w, "cached_input_tokens", c->used.cached);
		jw_kint(&w, "reasoning_tokens", c->used.reasoning);
		jw_kint(&w, "total_tokens", c->used.total);
		jw_object_end(&w);
	}
	if (json_int(turn, "durationMs", -1) >= 0)
		jw_kint(&w, "duration_ms", json_int(turn, "durationMs", 0));
	jw_object_end(&w);
	return buf_steal(&b);
}

void
codex_turn_over(
    struct codex *c, const char *stop_reason, const struct json *turn)
{
	autofree char *more = metadata(c, turn);

	c->working = c->started = c->interrupt = false;
	free(STEAL(c->turn));
	codex_asks_drop(c);
	codex_items_drop(c);
	if (!c->retiring)
		ladder_stop(&c->ladder);
	ev_timer_stop(c->a.loop, &c->patience);
	uni_raw(c->a.out, NULL, 0);
	if (agent_turn_open(&c->a))
		agent_turn_ended(&c->a,
		    agent_cancelling(&c->a) ? "cancelled" : stop_reason, more);
}

/* --- settings ------------------------------------------------------------- */

/* All of them go with the next turn. */
static int
codex_configure(
    struct agent *a, const struct agent_settings *set, struct err *e)
{
	struct codex *c = (struct codex *)a;

	if (codex_check(set, e) == -1)
		return -1;
	codex_tell_options(c, set);
	return 0;
}

static int
codex_probe(struct agent *a, struct err *e)
{
	struct codex *c = (struct codex *)a;

	c->probing = true;
	if (c->stage >= CODEX_KNOWN) {
		c->probing = false;
		codex_tell_options(c, NULL);
		return 0;
	}
	if (c->proc != NULL)
		return 0;
	if (start(c, e) == -1) {
		c->probing = false;
		return -1;
	}
	wait_for_answer(c);
	return 0;
}

/* --- life ----------------------------------------------------------------- */

static int
codex_open(struct agent *a, bool fresh, struct err *e)
{
	struct codex *c = (struct codex *)a;
	const struct agent_conf *conf = a->conf;
	const struct agent_settings set = { conf->model, conf->permission_mode,
		conf->agent_mode, conf->thought_level };
	autofree char *path = NULL;

	TAILQ_INIT(&c->asks);
	ladder_init(&c->ladder, a->loop, "codex");
	ev_timer_init(&c->patience, on_patience, 0., 0.);
	c->patience.data = c;
	if (codex_check(&set, e) == -1)
		return -1;
	/* A new session without its program is refused; one that goes on says
	 * so in the turn that needs it. */
	return fresh ? process_find(
			   conf->command != NULL ? conf->command[0] : "codex",
			   conf->env, &path, e)
		     : 0;
}

static void
codex_pause(struct agent *a, bool on)
{
	struct codex *c = (struct codex *)a;

	c->paused = on;
	if (c->proc != NULL)
		process_pause(c->proc, on);
}

static void
codex_stop(struct agent *a)
{
	struct codex *c = (struct codex *)a;

	c->stopping = true;
	ev_timer_stop(a->loop, &c->patience);
	skills_free(STEAL(c->skills));
	free(STEAL(c->held));
	if (c->proc == NULL) {
		agent_stopped(a);
		return;
	}
	/* Nothing is read any more, so that nothing is left to be held up. */
	process_pause(c->proc, false);
	process_finish_input(c->proc);
	if (c->working) {
		process_signal(c->proc, SIGTERM, true);
		ladder_climb(&c->ladder, c->proc, RUNG_KILL, RUNG_S);
	} else {
		ladder_climb(&c->ladder, c->proc, RUNG_TERM, FAREWELL_S);
	}
}

static void
codex_close(struct agent *a)
{
	struct codex *c = (struct codex *)a;

	if (c->asks.tqh_last != NULL) /* it was opened */
		reset(c);
	skills_free(STEAL(c->skills));
	process_free(STEAL(c->proc));
	codex_models_free(c);
	free(STEAL(c->held));
	free(STEAL(c->model));
	free(STEAL(c->effort));
}

const struct agent_ops agent_codex = {
	.name = "codex",
	.size = sizeof(struct codex),
	.open = codex_open,
	.prompt = codex_prompt,
	.cancel = codex_cancel,
	.permission = codex_permission,
	.question = codex_question,
	.configure = codex_configure,
	.probe = codex_probe,
	.pause = codex_pause,
	.stop = codex_stop,
	.close = codex_close,
};
