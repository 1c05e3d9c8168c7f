/*
 * prompt events reply cancel: talking with a session. Runs as the caller.
 */
#include "ctl/commands.h"
#include "ctl/signals.h"
#include "ctl/spec.h"
#include "ctl/text.h"
#include "ctl/turn.h"
#include "lib/strutil.h"
#include <errno.h>
#include <poll.h>
#include <string.h>

/* --- prompt -------------------------------------------------------------- */

static int
check_yes(const struct args *a, const char **yes_out, struct err *e)
{
	*yes_out = args_str(a, "yes", NULL);
	if (*yes_out == NULL || strcmp(*yes_out, "once") == 0 ||
	    strcmp(*yes_out, "always") == 0 || strcmp(*yes_out, "reject") == 0)
		return 0;
	return err_set(e, ERR_BAD_REQUEST,
	    "--yes is once, always or reject, not '%s'", *yes_out);
}

static void
print_outcome(const struct ctl *ctl, const struct turn *t)
{
	struct buf b;
	struct jw w;

	if (!ctl->json) {
		if (t->outcome == OUT_CANCELLED)
			ctl_note(ctl, "the turn was cancelled");
		return;
	}
	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "outcome", outcome_name(t->outcome));
	jw_kstr(&w, "session", t->session);
	jw_object_end(&w);
	ctl_print_json_buf(&b);
	buf_free(&b);
}

static int
prompt_and_wait(struct turn *t, const char *text, bool wait, struct err *e)
{
	bool queued;

	if (turn_prompt(t, text, &queued, e) == -1)
		return -1;
	if (!wait) {
		t->outcome = OUT_COMPLETED;
		ctl_note(
		    t->ctl, queued ? "queued behind the running turn" : "sent");
		return 0;
	}
	if (queued)
		ctl_note(t->ctl, "queued behind the running turn");
	/* History before our turn is no part of the answer. */
	t->follow.last = t->after;
	return turn_run(t, e);
}

static int
run_prompt(struct ctl *ctl, const struct args *a)
{
	bool wait = !args_has(a, "no-wait");
	const char *yes;
	struct turn t;
	struct err e;
	int code;

	if (check_yes(a, &yes, &e) == -1)
		return ctl_fail(ctl, &e);
	if (wait && signals_open(3, &e) == -1)
		return ctl_fail(ctl, &e);
	turn_init(&t, ctl, a->operands[0], 0, yes);
	if (prompt_and_wait(&t, a->operands[1], wait, &e) == -1) {
		code = ctl_fail(ctl, &e);
	} else {
		if (wait || ctl->json)
			print_outcome(ctl, &t);
		code = outcome_exit(t.outcome);
	}
	turn_free(&t);
	return code;
}

static const struct opt_def prompt_opts[] = {
	{ "no-wait", '\0', NULL, "Only send it." },
	{ "yes", 'y', "REPLY",
	    "Answer permission requests: once, always or reject." },
};

const struct command cmd_prompt = {
	.name = "prompt",
	.operands = "SESSION TEXT",
	.help = "Send a message and show the turn until it ends.",
	COMMAND_OPTS(prompt_opts),
	.min = 2,
	.max = 2,
	.run = run_prompt,
};

/* --- events -------------------------------------------------------------- */

static int
number_flag(
    const struct args *a, const char *flag, int64_t *v_out, struct err *e)
{
	const char *v = args_str(a, flag, NULL);

	if (v == NULL || str_to_int(v, 0, INT64_MAX, v_out) == 0)
		return 0;
	return err_set(e, ERR_BAD_REQUEST, "--%s: '%s' is no number", flag, v);
}

static int
wait_for_more(const struct follow *f, bool *stopped_out, struct err *e)
{
	struct pollfd pfd[2] = {
		{ .fd = follow_fd(f), .events = POLLIN },
		{ .fd = signals_fd(), .events = POLLIN },
	};
	struct signals s;

	(void)fflush(stdout);
	if (poll(pfd, 2, follow_wait_ms(f)) == -1 && errno != EINTR)
		return err_sys(e, "poll");
	signals_take(&s);
	*stopped_out = s.stops > 0;
	return 0;
}

static int
show_events(struct ctl *ctl, struct follow *f, struct err *e)
{
	struct render r;
	bool stopped = false;
	unsigned told = 0;
	int code = 0;

	render_init(&r, ctl, stdout);
	r.show_user = true;
	while (!stopped && ferror(stdout) == 0) {
		enum follow_got got;
		struct answer a;

		code = follow_next(f, &got, &a, e);
		if (code == -1 || got == FOLLOW_END)
			break;
		if (got == FOLLOW_NONE) {
			if (f->tries > 0 && told == 0)
				ctl_note(ctl, "%s; trying again", f->lost.text);
			told = f->tries;
			code = wait_for_more(f, &stopped, e);
			if (code == -1)
				break;
			continue;
		}
		if (ctl->json)
			ctl_print_json(a.body);
		else
			render_event(&r, a.body);
		answer_free(&a);
	}
	render_fresh_line(&r);
	render_free(&r);
	return code;
}

static int
run_events(struct ctl *ctl, const struct args *a)
{
	struct follow f;
	struct err e;
	int64_t after = 0;
	int64_t limit = -1;
	int code = EXIT_OK;

	if (number_flag(a, "after", &after, &e) == -1 ||
	    number_flag(a, "limit", &limit, &e) == -1)
		return ctl_fail(ctl, &e);
	if (signals_open(2, &e) == -1)
		return ctl_fail(ctl, &e);
	follow_init(&f, ctl, a->operands[0], after, args_has(a, "follow"));
	f.limit = limit;
	f.raw = args_has(a, "raw");
	/* Native messages have no form for people. */
	if (f.raw)
		ctl->json = true;
	if (show_events(ctl, &f, &e) == -1)
		code = ctl_fail(ctl, &e);
	follow_free(&f);
	return code;
}

static const struct opt_def events_opts[] = {
	{ "after", 'a', "N", "Only events after sequence N." },
	{ "limit", 'n', "N", "At most N events." },
	{ "follow", 'f', NULL, "Go on with events as they are stored." },
	{ "raw", 'r', NULL, "With the agent's native messages, as JSON." },
};

const struct command cmd_events = {
	.name = "events",
	.operands = "SESSION",
	.help = "Show a session's events, each once, also when the supervisor "
		"restarts.",
	COMMAND_OPTS(events_opts),
	.min = 1,
	.max = 1,
	.run = run_events,
};

/* --- reply --------------------------------------------------------------- */

static bool
is_permission_word(const char *word)
{
	return strcmp(word, "once") == 0 || strcmp(word, "always") == 0 ||
	       strcmp(word, "reject") == 0;
}

/* The id tells only the supervisor whether it is a permission's or a
 * question's: ask for the one that the words suggest, then for the other. */
static int
send_reply(struct client *c, const struct args *a, struct err *e)
{
	char *const *words = a->operands + 2;
	size_t n = a->noperands - 2;
	bool permission = n == 1 && is_permission_word(words[0]);
	bool reject = n == 1 && strcmp(words[0], "reject") == 0;

	if (permission) {
		if (ask_reply_permission(c, a->operands[0], a->operands[1],
			words[0], args_str(a, "message", NULL), e) == 0)
			return 0;
		if (e->code != ERR_PERMISSION_NOT_FOUND)
			return -1;
	}
	return ask_reply_question(
	    c, a->operands[0], a->operands[1], reject ? NULL : words, n, e);
}

static int
run_reply(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct err e;
	int r;

	client_init(&c, ctl);
	r = send_reply(&c, a, &e);
	client_close(&c);
	if (r == -1) {
		if (e.code == ERR_QUESTION_NOT_FOUND)
			(void)err_set(&e, ERR_QUESTION_NOT_FOUND,
			    "no permission or question with this id is open");
		return ctl_fail(ctl, &e);
	}
	if (ctl->json)
		(void)puts("{}");
	return EXIT_OK;
}

static const struct opt_def reply_opts[] = {
	{ "message", 'm', "TEXT", "With reject: what the agent is told." },
};

const struct command cmd_reply = {
	.name = "reply",
	.operands = "SESSION ID once|always|reject|ANSWER...",
	.help = "Answer a permission request or a question of an agent.",
	COMMAND_OPTS(reply_opts),
	.min = 3,
	.max = -1,
	.run = run_reply,
};

/* --- cancel -------------------------------------------------------------- */

static int
run_cancel(struct ctl *ctl, const struct args *a)
{
	return command_simple(
	    ctl, "session.cancel", a->operands[0], "cancelled");
}

const struct command cmd_cancel = {
	.name = "cancel",
	.operands = "SESSION",
	.help = "Stop the running turn of a session.",
	.min = 1,
	.max = 1,
	.run = run_cancel,
};
