/*
 * Dialogs of Pi's extensions. Runs in the session worker; they are hostile
 * input. Pi itself asks nobody; what an extension asks does not say whether it
 * is about leave to do something or about a wish of the user's, but it shows:
 *
 *	confirm		is answered by yes or no: a permission
 *	select		between words of consent and words of refusal alone: a
 *			permission, for that is what gates offer; any other
 *			choice is a question
 *	input, editor	want words: a question
 *
 * Pi waits for an answer without end and hears nothing else of the matter
 * meanwhile, so every dialog gets one: what cannot be shown is cancelled.
 */
#include "session/agents/pi.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agents/messages.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

#define DIALOGS_MAX 16
#define PREFILL_MAX 4096
#define GATE_OPTIONS_MAX 6

static void
dialog_free(struct pi_dialog *d)
{
	TAILQ_REMOVE(&d->pi->dialogs, d, link);
	ev_timer_stop(d->pi->a.loop, &d->limit);
	free(d->id);
	free(d->tool);
	free(d->once);
	free(d->always);
	free(d->reject);
	free(d);
}

void
pi_dialogs_drop(struct pi *p)
{
	while (!TAILQ_EMPTY(&p->dialogs))
		dialog_free(TAILQ_FIRST(&p->dialogs));
}

static struct pi_dialog *
dialog_find(struct pi *p, const char *id, bool permission)
{
	struct pi_dialog *d;

	TAILQ_FOREACH (d, &p->dialogs, link)
		if (d->permission == permission && strcmp(d->id, id) == 0)
			return d;
	return NULL;
}

/* --- answers -------------------------------------------------------------- */

static int
answer(struct pi *p, const char *id, const char *value, const bool *confirmed,
    struct err *e)
{
	struct buf b;
	struct jw w;

	buf_init(&b, STDIN_BYTES_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "type", "extension_ui_response");
	jw_kstr(&w, "id", id);
	if (confirmed != NULL)
		jw_kbool(&w, "confirmed", *confirmed);
	else if (value != NULL)
		jw_kstr(&w, "value", value);
	else
		jw_kbool(&w, "cancelled", true);
	return pi_send(p, &w, &b, e);
}

static void
cancel(struct pi *p, const char *id)
{
	struct err e;

	if (answer(p, id, NULL, NULL, &e) == -1)
		log_warn(
		    "pi", "dialog cannot be cancelled", LOG_STR("why", e.text));
}

void
pi_dialogs_cancel(struct pi *p, const char *tool)
{
	struct pi_dialog *d, *after;

	for (d = TAILQ_FIRST(&p->dialogs); d != NULL; d = after) {
		after = TAILQ_NEXT(d, link);
		if (tool != NULL &&
		    (d->tool == NULL || strcmp(d->tool, tool) != 0))
			continue;
		cancel(p, d->id);
		agent_request_settled(&p->a, FROM_DAEMON, d->id, NULL);
		dialog_free(d);
	}
}

int
pi_permission(struct agent *a, const char *id, enum agent_reply r,
    const char *message, struct err *e)
{
	struct pi *p = (struct pi *)a;
	struct pi_dialog *d = dialog_find(p, id, true);
	const char *value;
	bool yes = r != REPLY_REJECT;
	int rc;

	(void)message; /* pi has no place for it */
	if (d == NULL)
		return err_set(
		    e, ERR_PERMISSION_NOT_FOUND, "pi waits for no such answer");
	value = r == REPLY_REJECT			 ? d->reject
		: r == REPLY_ALWAYS && d->always != NULL ? d->always
							 : d->once;
	rc = answer(p, d->id, value, d->confirm ? &yes : NULL, e);
	if (rc == 0)
		dialog_free(d);
	return rc;
}

int
pi_question(
    struct agent *a, const char *id, const struct json *answers, struct err *e)
{
	struct pi *p = (struct pi *)a;
	struct pi_dialog *d = dialog_find(p, id, false);
	autofree char *text = NULL;
	int rc;

	if (d == NULL)
		return err_set(
		    e, ERR_QUESTION_NOT_FOUND, "pi waits for no such answer");
	if (answers != NULL)
		text = agent_answer_text(answers->child, true);
	rc = answer(p, d->id, text, NULL, e);
	if (rc == 0)
		dialog_free(d);
	return rc;
}

/* Pi has answered it itself. */
static void
on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct pi_dialog *d = w->data;

	(void)loop, (void)revents;
	agent_request_settled(&d->pi->a, FROM_AGENT, d->id, NULL);
	dialog_free(d);
}

/* --- requests ------------------------------------------------------------- */

/* TEXT begins with one of WORDS, as a word of its own. */
static bool
begins(const char *text, const char *const *words)
{
	size_t n;

	while (*text != '\0' && !isalnum((unsigned char)*text))
		text++; /* marks and blanks before it */
	for (; *words != NULL; words++) {
		n = strlen(*words);
		if (strncasecmp(text, *words, n) == 0 &&
		    !isalnum((unsigned char)text[n]))
			return true;
	}
	return false;
}

static bool
lasting(const char *text)
{
	static const char *const marks[] = { "always", "session", "don't ask",
		"do not ask", "remember" };
	size_t i;

	for (i = 0; i < countof(marks); i++)
		if (strcasestr(text, marks[i]) != NULL)
			return true;
	return false;
}

static void
set(char **slot, const char *value)
{
	if (*slot == NULL)
		*slot = xstrdup(value);
}

/* Is this a choice between consent and refusal? Which is which goes to D. */
static bool
is_gate(struct pi_dialog *d, const struct json *options)
{
	static const char *const yes[] = { "allow", "yes", "approve", "accept",
		"ok", "okay", "always", "permit", "continue", "proceed", NULL };
	static const char *const no[] = { "deny", "no", "reject", "refuse",
		"block", "cancel", "disallow", "never", "abort", "stop", NULL };

	if (options == NULL || options->type != JSON_ARRAY ||
	    options->len < 2 || options->len > GATE_OPTIONS_MAX)
		return false;
	json_foreach (it, options) {
		if (it->type != JSON_STRING || strlen(it->str) != it->len)
			return false;
		if (begins(it->str, no))
			set(&d->reject, it->str);
		else if (!begins(it->str, yes))
			return false;
		else
			set(lasting(it->str) ? &d->always : &d->once, it->str);
	}
	if (d->once == NULL && d->always != NULL)
		d->once = xstrdup(d->always);
	return d->once != NULL && d->reject != NULL;
}

static int
ask_permission(struct pi *p, const struct pi_dialog *d, const struct json *m)
{
	const struct pi_tool *t = pi_tool_last(p);
	const char *title = json_str(m, "title", "?");
	struct buf b;
	struct jw w;
	int rc;

	buf_init(&b, LINE_BYTES_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "toolName", t != NULL ? t->name : NULL);
	jw_kstr(&w, "toolCallId", t != NULL ? t->id : NULL);
	jw_kstr(&w, "title", title);
	jw_kstr(&w, "message", json_str(m, "message", NULL));
	jw_kvalue(&w, "options", json_get(m, "options"));
	jw_object_end(&w);
	rc = agent_ask_permission(&p->a, d->id, t != NULL ? t->name : title,
	    b.failed ? NULL : b.data);
	buf_free(&b);
	return rc;
}

static int
ask_question(struct pi *p, const struct pi_dialog *d, const struct json *m)
{
	const struct json *list = json_get(m, "options");
	const char *title = json_str(m, "title", "?");
	const char *prefill = json_str(m, "prefill", "");
	autofree char *options = NULL, *prompt = NULL;

	prompt = *prefill != '\0'
		     ? xasprintf("%s\n\n%.*s", title, PREFILL_MAX, prefill)
		     : xstrdup(title);
	if (list != NULL && list->type == JSON_ARRAY)
		options = agent_json(list);
	return agent_ask_question(
	    &p->a, d->id, prompt, options != NULL ? options : "[]", false);
}

static struct pi_dialog *
dialog_new(
    struct pi *p, const char *id, const char *method, const struct json *m)
{
	const struct pi_tool *t = pi_tool_last(p);
	struct pi_dialog *d = xcalloc(1, sizeof(*d));
	int64_t limit = json_int(m, "timeout", 0);

	d->pi = p;
	d->id = xstrdup(id);
	d->tool = t != NULL ? xstrdup(t->id) : NULL;
	d->confirm = strcmp(method, "confirm") == 0;
	d->permission = d->confirm || (strcmp(method, "select") == 0 &&
					  is_gate(d, json_get(m, "options")));
	ev_timer_init(&d->limit, on_limit, 0., 0.);
	d->limit.data = d;
	TAILQ_INSERT_TAIL(&p->dialogs, d, link);
	if (limit > 0 && limit < INT32_MAX) {
		ev_timer_set(&d->limit, (double)limit / 1e3, 0.);
		ev_timer_start(p->a.loop, &d->limit);
	}
	return d;
}

static void
ask(struct pi *p, const char *id, const char *method, const struct json *m,
    const char *line, size_t len)
{
	struct pi_dialog *d;
	unsigned n = 0;
	int rc = -1;

	TAILQ_FOREACH (d, &p->dialogs, link)
		n++;
	if (n < DIALOGS_MAX && agent_turn_open(&p->a) &&
	    !agent_cancelling(&p->a)) {
		d = dialog_new(p, id, method, m);
		/* D may be answered and gone when this returns 0. */
		rc = d->permission ? ask_permission(p, d, m)
				   : ask_question(p, d, m);
		if (rc == 0)
			return;
		dialog_free(d);
	}
	if (!agent_cancelling(&p->a))
		uni_unparsed(p->a.out, "pi",
		    "a dialog that cannot be shown was cancelled", line, NULL,
		    len);
	cancel(p, id);
}

void
pi_ui_request(struct pi *p, const struct json *m, const char *line, size_t len)
{
	static const char *const dialogs[] = { "select", "confirm", "input",
		"editor" };
	static const char *const news[] = { "setStatus", "setWidget",
		"setTitle", "set_editor_text" };
	const char *id = json_str(m, "id", NULL);
	const char *method = json_str(m, "method", "");
	size_t i;

	for (i = 0; i < countof(dialogs); i++)
		if (id != NULL && strcmp(method, dialogs[i]) == 0) {
			ask(p, id, method, m, line, len);
			return;
		}
	if (strcmp(method, "notify") == 0) {
		if (agent_turn_open(&p->a))
			uni_status(
			    p->a.out, "notify", json_str(m, "message", NULL));
		return;
	}
	for (i = 0; i < countof(news); i++)
		if (strcmp(method, news[i]) == 0)
			return; /* of a screen that is not there */
	uni_unparsed(
	    p->a.out, "pi", "unknown request of an extension", line, NULL, len);
}
