/*
 * The adapter of any program that speaks the Agent Client Protocol: its
 * process, its turns, and how it is stopped. Runs in the session worker. The
 * program is started at the first message and kept from then on; it gets
 * exactly the environment of the session. What it prints is hostile input and
 * is read in acp_read.c.
 *
 * A process that died is followed by one that goes on with the session by its
 * native id. A prompt is never sent while another is unanswered: agents differ
 * in what they do with it.
 */
#include "session/agents/acp.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <signal.h>
#include <string.h>

#define ARGV_MAX 512
#define HANDSHAKE_S 90. /* from the start to a session that is open */
#define CANCEL_S 5.	/* for the agent to answer a cancelled prompt */
#define RUNG_S 1.	/* from a signal to the next */
#define FAREWELL_S 1.5	/* to leave by itself when its input is closed */

static const char *const skill_places[] = { ".agents/skills", ".claude/skills",
	NULL };

static int start(struct acp *p, struct err *e);

/* --- the process ---------------------------------------------------------- */

/* Let the process leave by itself. */
static void
retire(struct acp *p)
{
	if (p->proc == NULL || p->retiring)
		return;
	p->retiring = true;
	p->stage = ACP_OFF;
	ev_timer_stop(p->a.loop, &p->handshake);
	process_finish_input(p->proc);
	ladder_climb(&p->ladder, p->proc, RUNG_TERM, FAREWELL_S);
}

void
acp_give_up(struct acp *p, enum origin from, const char *code, const char *text,
    const char *details)
{
	struct err e;
	bool held = p->held;

	acp_drop_held(p);
	retire(p);
	if (p->probing) {
		p->probing = false;
		(void)err_set(&e, ERR_AGENT_FAILED, "%s", text);
		agent_failed(&p->a, &e);
		return;
	}
	if (!held || !agent_turn_open(&p->a))
		return;
	uni_error(p->a.out, from, code, text, details);
	agent_turn_ended(
	    &p->a, agent_cancelling(&p->a) ? "cancelled" : "error", NULL);
}

static void
on_handshake(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct acp *p = w->data;

	(void)loop;
	(void)revents;
	acp_give_up(p, FROM_DAEMON, err_wire(ERR_TIMEOUT),
	    "the agent did not open a session in time", NULL);
}

/* Forget all that was of the process. */
static void
process_gone(struct acp *p)
{
	ladder_stop(&p->ladder);
	ev_timer_stop(p->a.loop, &p->handshake);
	ev_timer_stop(p->a.loop, &p->quiet);
	p->stage = ACP_OFF;
	p->ncalls = 0;
	p->working = p->own_turn = p->retiring = p->tried_key = p->lost = false;
	free(STEAL(p->session));
	free(STEAL(p->key_method));
	free(STEAL(p->chunk));
	free(STEAL(p->chunk_message));
	acp_asks_drop(p);
	acp_tools_drop(p);
	acp_settings_drop(p);
}

static void
begin_anew(struct acp *p)
{
	struct err e;

	if (start(p, &e) == -1)
		acp_give_up(p, FROM_DAEMON, err_wire(e.code), e.text, NULL);
}

static void
on_exited(struct process *proc, const struct err *failed, void *ctx)
{
	struct acp *p = ctx;
	bool retired = p->retiring;
	bool busy = p->working || p->own_turn || (p->held && !retired);
	struct err e;

	if (!p->stopping && busy && !p->probing && agent_turn_open(&p->a) &&
	    !agent_cancelling(&p->a))
		program_log_death(&p->a, p->a.conf->agent, proc, failed);
	if (p->probing && !retired) {
		const char *words = process_last_words(proc);

		(void)err_set(&e, ERR_AGENT_FAILED, "%s",
		    failed != NULL  ? failed->text
		    : words != NULL ? words
				    : "the agent ended by itself");
	}
	process_gone(p);
	p->proc = NULL;
	process_free(proc);
	if (p->stopping) {
		agent_stopped(&p->a);
	} else if (p->probing && !retired) {
		p->probing = false;
		agent_failed(&p->a, &e);
	} else if (p->held && retired) {
		begin_anew(p);
	} else if (busy) {
		acp_drop_held(p);
		agent_turn_ended(&p->a,
		    agent_cancelling(&p->a) ? "cancelled" : "error", NULL);
	}
}

static void
on_line(
    struct process *proc, const char *line, size_t len, size_t total, void *ctx)
{
	struct acp *p = ctx;

	(void)proc;
	if (!p->stopping && !p->retiring)
		acp_read(p, line, len, total);
}

static const struct process_ops process_ops = { .line = on_line,
	.exited = on_exited };

static int
launch(struct acp *p, struct err *e)
{
	const struct agent_conf *conf = p->a.conf;
	const char *argv[ARGV_MAX + 1];
	struct process_spec spec = { .env = conf->env,
		.directory = conf->directory };
	size_t n = 0, i;

	for (i = 0; conf->command[i] != NULL && n < ARGV_MAX; i++)
		argv[n++] = conf->command[i];
	for (i = 0; conf->program_args != NULL &&
		    conf->program_args[i] != NULL && n < ARGV_MAX;
	     i++)
		argv[n++] = conf->program_args[i];
	if (n == ARGV_MAX)
		return err_set(e, ERR_LIMIT, "the command is too long");
	argv[n] = NULL;
	/* execve does not write to the strings; its type is older than const */
	spec.argv = (char *const *)(uintptr_t)argv;
	p->requests = 0;
	if (process_start(p->a.loop, &spec, &process_ops, p, &p->proc, e) ==
	    -1) {
		p->proc = NULL;
		return -1;
	}
	process_pause(p->proc, p->paused);
	ev_timer_set(&p->handshake, HANDSHAKE_S, 0.);
	ev_timer_start(p->a.loop, &p->handshake);
	return acp_hello(p, e);
}

static void
on_skills(struct agent *a)
{
	struct acp *p = (struct acp *)a;
	struct err e;

	skills_free(STEAL(p->skills));
	if (p->held && p->proc == NULL && launch(p, &e) == -1)
		acp_give_up(p, FROM_DAEMON, err_wire(e.code), e.text, NULL);
}

static int
start(struct acp *p, struct err *e)
{
	if (!p->probing)
		p->skills = skills_prepare(&p->a, skill_places, on_skills);
	return p->skills != NULL ? 0 : launch(p, e);
}

/* --- turns ---------------------------------------------------------------- */

void
acp_go_on(struct acp *p)
{
	struct err e;

	if (p->stage != ACP_READY)
		return;
	if (p->probing) {
		p->probing = false;
		return;
	}
	if (!acp_settings_done(p) || !p->held || p->working)
		return;
	if (p->lost) {
		p->lost = false;
		acp_drop_held(p);
		agent_forgot(&p->a);
		return;
	}
	if (acp_send_prompt(p, &e) == -1) {
		program_fail_turn(&p->a, &e);
	}
}

static int
acp_prompt(struct agent *a, uint64_t number, const struct agent_message *m,
    struct err *e)
{
	struct acp *p = (struct acp *)a;

	(void)number;
	acp_hold(p, m);
	if (p->skills != NULL || p->retiring)
		return 0; /* what follows takes it up */
	if (p->proc == NULL) {
		if (start(p, e) == -1) {
			acp_drop_held(p);
			return -1;
		}
		return 0;
	}
	acp_go_on(p);
	return 0;
}

static int
acp_cancel(struct agent *a, struct err *e)
{
	struct acp *p = (struct acp *)a;
	struct buf b;
	struct jw w;

	if (p->held || p->proc == NULL || p->retiring ||
	    (!p->working && !p->own_turn)) {
		acp_drop_held(p);
		skills_free(STEAL(p->skills));
		agent_turn_ended(a, "cancelled", NULL);
		return 0;
	}
	acp_begin(p, &w, &b, "session/cancel", false);
	jw_kstr(&w, "sessionId", p->session);
	(void)acp_send_notice(p, &w, &b, e); /* the ladder follows */
	acp_asks_cancel(p);
	if (!p->working) { /* there is no answer to wait for */
		p->own_turn = false;
		ev_timer_stop(a->loop, &p->quiet);
		acp_tools_end(p, false);
		agent_turn_ended(a, "cancelled", NULL);
		return 0;
	}
	ladder_climb(&p->ladder, p->proc, RUNG_TERM, CANCEL_S);
	return 0;
}

/* --- life ----------------------------------------------------------------- */

static int
acp_open(struct agent *a, bool fresh, struct err *e)
{
	struct acp *p = (struct acp *)a;
	const struct agent_conf *conf = a->conf;
	autofree char *path = NULL;

	TAILQ_INIT(&p->asks);
	TAILQ_INIT(&p->tools);
	ladder_init(&p->ladder, a->loop, "acp");
	ev_timer_init(&p->handshake, on_handshake, 0., 0.);
	acp_turn_init(p);
	p->handshake.data = p;
	acp_settings_wish(p);
	if (conf->command == NULL || conf->command[0] == NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "agent %s has no program of its own: name one as command",
		    conf->agent);
	if (conf->model != NULL && !agent_word_ok(conf->model))
		return err_set(e, ERR_BAD_REQUEST, "not a model's name");
	/* A new session without its program is refused; one that goes on says
	 * so in the turn that needs it. */
	return fresh ? process_find(conf->command[0], conf->env, &path, e) : 0;
}

static int
acp_probe(struct agent *a, struct err *e)
{
	struct acp *p = (struct acp *)a;

	p->probing = true;
	if (start(p, e) == 0)
		return 0;
	p->probing = false;
	return -1;
}

static void
acp_pause(struct agent *a, bool on)
{
	struct acp *p = (struct acp *)a;

	p->paused = on;
	if (p->proc != NULL)
		process_pause(p->proc, on);
}

static void
acp_stop(struct agent *a)
{
	struct acp *p = (struct acp *)a;
	bool working = p->working || p->own_turn;

	p->stopping = true;
	acp_drop_held(p);
	skills_free(STEAL(p->skills));
	ev_timer_stop(a->loop, &p->quiet);
	ev_timer_stop(a->loop, &p->handshake);
	if (p->proc == NULL) {
		agent_stopped(a);
		return;
	}
	/* Nothing is read any more, so that nothing is left to be held up. */
	process_pause(p->proc, false);
	process_finish_input(p->proc);
	if (working) {
		process_signal(p->proc, SIGTERM, true);
		ladder_climb(&p->ladder, p->proc, RUNG_KILL, RUNG_S);
	} else {
		ladder_climb(&p->ladder, p->proc, RUNG_TERM, FAREWELL_S);
	}
}

static void
acp_close(struct agent *a)
{
	struct acp *p = (struct acp *)a;

	if (p->asks.tqh_last != NULL) /* it was opened */
		process_gone(p);
	process_free(STEAL(p->proc));
	skills_free(STEAL(p->skills));
	acp_drop_held(p);
	acp_settings_free(p);
}

const struct agent_ops agent_acp = {
	.name = "acp",
	.size = sizeof(struct acp),
	.open = acp_open,
	.prompt = acp_prompt,
	.cancel = acp_cancel,
	.permission = acp_permission,
	.question = acp_question,
	.configure = acp_configure,
	.probe = acp_probe,
	.pause = acp_pause,
	.stop = acp_stop,
	.close = acp_close,
};
