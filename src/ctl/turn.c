/*
 * One turn from prompt to end; see turn.h. Runs as the caller.
 *
 * Two connections: one brings events, one carries prompt, replies and cancel,
 * since a connection serves one request at a time. Both may be lost and made
 * anew; an event is shown once whatever happens.
 */
#include "ctl/turn.h"
#include "ctl/signals.h"
#include "ctl/term.h"
#include "ctl/text.h"
#include "lib/strutil.h"
#include <errno.h>
#include <poll.h>
#include <string.h>

#define QUIET_MS 1500	/* without an event: ask how the session is */
#define CANCEL_MS 10000 /* for a cancelled turn to end */

const char *
outcome_name(enum outcome o)
{
	static const char *const names[OUT_N] = { "completed", "failed",
		"cancelled" };

	return names[o];
}

int
outcome_exit(enum outcome o)
{
	static const int codes[OUT_N] = { EXIT_OK, EXIT_FAILED,
		EXIT_CANCELLED };

	return codes[o];
}

void
turn_init(struct turn *t, struct ctl *ctl, const char *session, int64_t after,
    const char *yes)
{
	memset(t, 0, sizeof(*t));
	t->ctl = ctl;
	t->session = session;
	t->yes = yes;
	t->after = after;
	t->outcome = OUT_FAILED;
	t->can_ask = !ctl->json && isatty(STDIN_FILENO) == 1;
	follow_init(&t->follow, ctl, session, after, true);
	render_init(&t->render, ctl, stdout);
	client_init(&t->control, ctl);
}

void
turn_free(struct turn *t)
{
	ask_free(t);
	follow_free(&t->follow);
	render_free(&t->render);
	client_close(&t->control);
}

/* --- events -------------------------------------------------------------- */

/* Another turn of the session, before or after ours? */
static bool
is_ours(const struct turn *t, const struct json *event)
{
	const char *id = json_str(json_get(event, "data"), "turn_id", "");

	if (json_int(event, "sequence", 0) <= t->after)
		return false;
	return *id == '\0' || t->turn_id[0] == '\0' ||
	       strcmp(id, t->turn_id) == 0;
}

/* DATA: of the event that ends it, or NULL. */
static void
end_turn(struct turn *t, const struct json *data)
{
	const char *why =
	    json_str(json_get(data, "metadata"), "stop_reason", "");

	t->is_over = true;
	if (strcmp(why, "error") == 0)
		t->had_error = true;
	if (t->stops > 0 || strcmp(why, "cancelled") == 0)
		t->outcome = OUT_CANCELLED;
	else
		t->outcome = t->had_error ? OUT_FAILED : OUT_COMPLETED;
}

static void
track(struct turn *t, const struct json *event)
{
	const char *type = json_str(event, "type", "");
	const struct json *data = json_get(event, "data");

	t->quiet_ms = now_monotonic_ms();
	if (strcmp(type, "turn.started") == 0 && is_ours(t, event)) {
		t->is_running = true;
		t->had_error = false;
	} else if (strcmp(type, "turn.ended") == 0 && is_ours(t, event)) {
		end_turn(t, data);
	} else if (strcmp(type, "error") == 0) {
		t->had_error = true;
	} else if (strcmp(type, "session.ended") == 0) {
		if (strcmp(json_str(data, "reason", ""), "error") == 0)
			t->had_error = true;
		end_turn(t, NULL);
	} else if (str_starts(type, "permission.") ||
		   str_starts(type, "question.")) {
		ask_event(t, type, data);
	}
}

static void
show(struct turn *t, const struct json *event)
{
	const char *type = json_str(event, "type", "");

	if (t->ctl->json) {
		ctl_print_json(event);
		return;
	}
	/* What a turn before ours does is not the answer to our prompt. */
	if (t->turn_id[0] != '\0' && !t->is_running &&
	    strcmp(type, "session.ended") != 0)
		return;
	/* Somebody who is asked sees what about when he is asked. */
	if (t->can_ask &&
	    (strcmp(type, "question.requested") == 0 ||
		(strcmp(type, "permission.requested") == 0 && t->yes == NULL)))
		return;
	ask_interrupted(t);
	render_event(&t->render, event);
}

/* Everything that has come so far. */
static int
drain_events(struct turn *t, struct err *e)
{
	enum follow_got got;
	struct answer a;

	while (!t->is_over) {
		if (follow_next(&t->follow, &got, &a, e) == -1)
			return -1;
		if (got == FOLLOW_NONE)
			break;
		if (got == FOLLOW_END) {
			/* The session's log is complete. */
			end_turn(t, NULL);
			break;
		}
		track(t, a.body);
		show(t, a.body);
		answer_free(&a);
	}
	(void)fflush(stdout);
	return 0;
}

int
turn_subscribe(struct turn *t, struct err *e)
{
	return drain_events(t, e);
}

int
turn_prompt(struct turn *t, const char *text, bool *queued_out, struct err *e)
{
	struct jw *w = client_begin(&t->control, "session.prompt");
	size_t len = strlen(text);
	struct answer a;

	if (utf8_valid_prefix(text, len) != len)
		return err_set(e, ERR_BAD_REQUEST,
		    "the prompt holds bytes that are not UTF-8");
	jw_kstr(w, "id", t->session);
	jw_kstr(w, "text", text);
	if (client_call(&t->control, &a, e) == -1)
		return -1;
	if (str_copy(t->turn_id, sizeof(t->turn_id),
		json_str(a.body, "turn_id", "")) == -1)
		t->turn_id[0] = '\0';
	t->after = json_int(a.body, "after", t->after);
	*queued_out = json_bool(a.body, "queued", false);
	t->quiet_ms = now_monotonic_ms();
	answer_free(&a);
	return 0;
}

/* --- silence ------------------------------------------------------------- */

/* No event for a while. A turn can end without an event that says so: the
 * sandbox was stopped, or the agent had nothing to say after a reply. */
static void
look_at_session(struct turn *t)
{
	struct answer a;
	const char *state;
	struct err why;

	t->quiet_ms = now_monotonic_ms();
	if (t->stops > 0 && t->quiet_ms - t->cancel_ms > CANCEL_MS) {
		t->is_over = true;
		t->outcome = OUT_CANCELLED;
		return;
	}
	(void)client_begin(&t->control, "session.get");
	jw_kstr(&t->control.w, "id", t->session);
	if (client_call(&t->control, &a, &why) == -1) {
		/* The follower tries for longer, and gives up properly. */
		client_close(&t->control);
		client_init(&t->control, t->ctl);
		return;
	}
	state = json_str(a.body, "state", "");
	if (strcmp(state, "idle") == 0 && t->nasks == 0 && t->is_running &&
	    json_int(a.body, "last_sequence", t->follow.last) <=
		t->follow.last) {
		end_turn(t, NULL);
	} else if (strcmp(state, "stopped") == 0 ||
		   strcmp(state, "error") == 0 || strcmp(state, "ended") == 0) {
		ctl_note(t->ctl, "the session is in state %s", state);
		t->had_error = true;
		end_turn(t, NULL);
	}
	answer_free(&a);
}

/* --- the loop ------------------------------------------------------------ */

static void
on_signals(struct turn *t)
{
	struct answer a;
	struct signals s;
	struct err why;

	signals_take(&s);
	if (s.resize)
		t->render.width = term_columns(t->render.width);
	if (s.stops == 0)
		return;
	t->stops += s.stops;
	if (t->stops > s.stops) {
		t->is_over = true;
		t->outcome = OUT_CANCELLED;
		return;
	}
	render_fresh_line(&t->render);
	ctl_note(t->ctl, "cancelling the turn (again: leave at once)");
	t->cancel_ms = now_monotonic_ms();
	(void)client_begin(&t->control, "session.cancel");
	jw_kstr(&t->control.w, "id", t->session);
	if (client_call(&t->control, &a, &why) == 0) {
		answer_free(&a);
		return;
	}
	if (why.code != ERR_TURN_NOT_RUNNING)
		ctl_note(t->ctl, "cancel: %s", why.text);
	t->is_over = true;
	t->outcome = OUT_CANCELLED;
}

static int
on_stdin(struct turn *t, struct err *e)
{
	ssize_t n = read(STDIN_FILENO, t->line + t->line_len,
	    sizeof(t->line) - 1 - t->line_len);
	char *nl;

	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		t->can_ask = false;
		return ask_typed(t, NULL, e);
	}
	t->line_len += (size_t)n;
	t->line[t->line_len] = '\0';
	nl = memchr(t->line, '\n', t->line_len);
	if (nl == NULL && t->line_len < sizeof(t->line) - 1)
		return 0;
	if (nl != NULL)
		*nl = '\0';
	t->line_len = 0;
	return ask_typed(t, t->line, e);
}

static bool
is_asking(const struct turn *t)
{
	return t->nasks > 0 && t->asks[0].is_shown && !t->asks[0].is_replied;
}

int
turn_run(struct turn *t, struct err *e)
{
	enum {
		EVENTS,
		SIGNALS,
		STDIN,
		N
	};
	struct pollfd pfd[N];
	int wait, retry, n;

	for (;;) {
		on_signals(t);
		if (drain_events(t, e) == -1 || ask_next(t, e) == -1)
			return -1;
		if (t->is_over)
			return 0;
		pfd[EVENTS] = (struct pollfd){ .fd = follow_fd(&t->follow),
			.events = POLLIN };
		pfd[SIGNALS] =
		    (struct pollfd){ .fd = signals_fd(), .events = POLLIN };
		pfd[STDIN] = (struct pollfd){
			.fd = t->can_ask && is_asking(t) ? STDIN_FILENO : -1,
			.events = POLLIN
		};
		wait = is_asking(t) ? -1 : QUIET_MS;
		retry = follow_wait_ms(&t->follow);
		if (retry >= 0 && (wait == -1 || retry < wait))
			wait = retry;
		n = poll(pfd, N, wait);
		if (n == -1 && errno != EINTR)
			return err_sys(e, "poll");
		if (n > 0 && pfd[STDIN].revents != 0 && on_stdin(t, e) == -1)
			return -1;
		if (n == 0 && now_monotonic_ms() - t->quiet_ms >= QUIET_MS)
			look_at_session(t);
	}
}
