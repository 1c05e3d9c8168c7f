/*
 * Permissions and questions of an agent: asked at the terminal one at a time,
 * or answered by policy. Runs as the caller.
 *
 * What is to be permitted is shown whole and cleaned: a person must see what he
 * allows. Without a terminal and without a policy everything is rejected, and
 * that is said.
 */
#include "ctl/text.h"
#include "ctl/turn.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>

#define SHOWN_MAX 4000 /* bytes of one value put to a person */
#define OPTIONS_MAX 16384

int
ask_reply_permission(struct client *c, const char *session, const char *id,
    const char *reply, const char *message, struct err *e)
{
	struct jw *w = client_begin(c, "session.permission.reply");
	struct answer a;

	jw_kstr(w, "id", session);
	jw_kstr(w, "permission_id", id);
	jw_kstr(w, "reply", reply);
	if (message != NULL)
		jw_kstr(w, "message", message);
	if (client_call(c, &a, e) == -1)
		return -1;
	answer_free(&a);
	return 0;
}

int
ask_reply_question(struct client *c, const char *session, const char *id,
    char *const *words, size_t nwords, struct err *e)
{
	struct answer a;
	struct jw *w;
	size_t i;

	w = client_begin(c, words == NULL ? "session.question.reject"
					  : "session.question.reply");
	jw_kstr(w, "id", session);
	jw_kstr(w, "question_id", id);
	if (words != NULL) {
		jw_key(w, "answers");
		jw_array(w);
		for (i = 0; i < nwords; i++) {
			jw_array(w);
			jw_strn(w, words[i], strlen(words[i]));
			jw_array_end(w);
		}
		jw_array_end(w);
	}
	if (client_call(c, &a, e) == -1)
		return -1;
	answer_free(&a);
	return 0;
}

/* --- the list ------------------------------------------------------------ */

static void
remove_ask(struct turn *t, size_t i)
{
	free(t->asks[i].options);
	free(t->asks[i].about);
	t->nasks--;
	memmove(
	    &t->asks[i], &t->asks[i + 1], (t->nasks - i) * sizeof(t->asks[0]));
	t->asks[t->nasks] = (struct ask){ 0 };
}

void
ask_free(struct turn *t)
{
	while (t->nasks > 0)
		remove_ask(t, t->nasks - 1);
}

static size_t
find_ask(const struct turn *t, bool permission, const char *id)
{
	size_t i;

	for (i = 0; i < t->nasks; i++)
		if (t->asks[i].is_permission == permission &&
		    strcmp(t->asks[i].id, id) == 0)
			break;
	return i;
}

/* Options as lines of clean text: what is shown is what is sent back, so an
 * option with controls in it can only be rejected or typed. */
static void
keep_options(struct ask *k, const struct json *options)
{
	struct buf b;

	buf_init(&b, OPTIONS_MAX);
	json_foreach (o, options) {
		if (o->type != JSON_STRING || memchr(o->str, '\n', o->len))
			continue;
		if (b.len + o->len + 2 > OPTIONS_MAX)
			break;
		(void)buf_add(&b, o->str, o->len);
		(void)buf_addc(&b, '\n');
		k->noptions++;
	}
	k->options = b.len > 0 ? buf_steal(&b) : NULL;
	buf_free(&b);
}

/* Every member of what a tool would be given, long values cut: a command
 * must not hide behind a harmless neighbour. */
static void
describe_input(struct buf *b, const struct json *input)
{
	if (input->type != JSON_OBJECT || input->len < 2) {
		render_value(b, input, 0);
		return;
	}
	json_foreach (m, input) {
		struct buf v;
		size_t keep;

		buf_init(&v, 16u << 20);
		render_value(&v, m, 0);
		keep = v.failed ? 0 : MIN(v.len, (size_t)SHOWN_MAX);
		if (v.len > keep)
			keep = utf8_valid_prefix(v.data, keep);
		text_clean(b, m->key, strlen(m->key), false);
		(void)buf_adds(b, ": ");
		(void)buf_add(b, v.data == NULL ? "" : v.data, keep);
		if (v.failed || v.len > keep)
			(void)buf_addf(
			    b, " ... (%zu bytes more)", v.len - keep);
		(void)buf_addc(b, '\n');
		buf_free(&v);
	}
}

/* All of what a person decides about: the action with its whole input, or the
 * prompt. */
static char *
describe(bool permission, const struct json *data)
{
	const struct json *metadata = json_get(data, "metadata");
	const struct json *input = json_get(metadata, "input");
	const char *title =
	    json_str(data, permission ? "action" : "prompt", "?");
	struct buf b;
	char *text;

	buf_init(&b, 16u << 20);
	text_clean(&b, title, strlen(title), !permission);
	if (permission && input == NULL)
		input = metadata;
	if (permission && input != NULL && input->type != JSON_NULL) {
		(void)buf_adds(&b, "\n");
		describe_input(&b, input);
	}
	while (b.len > 0 && b.data[b.len - 1] == '\n')
		b.data[--b.len] = '\0';
	text = buf_steal(&b);
	buf_free(&b);
	return text;
}

void
ask_event(struct turn *t, const char *type, const struct json *data)
{
	bool permission = str_starts(type, "permission.");
	const char *id =
	    json_str(data, permission ? "permission_id" : "question_id", "");
	size_t i = find_ask(t, permission, id);
	struct ask *k;

	if (strcmp(json_str(data, "status", ""), "requested") != 0) {
		if (i < t->nasks) {
			remove_ask(t, i);
			t->had_reply = true;
		}
		return;
	}
	/* More open at once than a person can answer: the agent waits, and
	 * `sandboxctl reply` serves. */
	if (i < t->nasks || t->nasks == TURN_ASKS)
		return;
	k = &t->asks[t->nasks];
	*k = (struct ask){ .is_permission = permission };
	if (str_copy(k->id, sizeof(k->id), id) == -1)
		return;
	t->nasks++;
	k->about = describe(permission, data);
	if (!permission)
		keep_options(k, json_get(data, "options"));
}

/* --- asking -------------------------------------------------------------- */

static const char *
option_at(const struct ask *k, unsigned n, size_t *len_out)
{
	const char *p = k->options;

	while (n-- > 0)
		p = strchr(p, '\n') + 1;
	*len_out = strcspn(p, "\n");
	return p;
}

static void
show_options(struct turn *t, const struct ask *k)
{
	unsigned i;

	for (i = 0; i < k->noptions; i++) {
		struct buf b;
		size_t len;
		const char *p = option_at(k, i, &len);

		buf_init(&b, 8 * OPTIONS_MAX);
		text_line(&b, p, len, 0, "");
		(void)fprintf(t->render.out, "  %u  %s\n", i + 1,
		    b.failed || b.len == 0 ? "" : b.data);
		buf_free(&b);
	}
}

static void
show_ask(struct turn *t, struct ask *k)
{
	FILE *f = t->render.out;

	render_fresh_line(&t->render);
	if (!k->is_told) {
		(void)fprintf(f, "%s? %s%s%s\n",
		    t->render.colour ? "\033[33m" : "",
		    k->is_permission ? "permission: " : "",
		    k->about == NULL ? "(too long to show)" : k->about,
		    t->render.colour ? "\033[0m" : "");
		show_options(t, k);
	}
	if (k->is_permission)
		(void)fputs("allow? [y] once  [a] always  [n] reject: ", f);
	else if (k->noptions > 0)
		(void)fprintf(f,
		    "answer (1-%u, your own words, empty: decline): ",
		    k->noptions);
	else
		(void)fputs("answer (empty: decline): ", f);
	(void)fflush(f);
	t->render.mid_line = true;
	k->is_shown = k->is_told = true;
}

void
ask_interrupted(struct turn *t)
{
	size_t i;

	for (i = 0; i < t->nasks; i++)
		t->asks[i].is_shown = false;
}

static int
send_reply(struct turn *t, const struct ask *k, const char *word, struct err *e)
{
	autofree char *copy = word == NULL ? NULL : xstrdup(word);

	if (k->is_permission)
		return ask_reply_permission(
		    &t->control, t->session, k->id, word, NULL, e);
	return ask_reply_question(
	    &t->control, t->session, k->id, word == NULL ? NULL : &copy, 1, e);
}

/* WORD NULL: a question is declined. */
static int
reply(struct turn *t, struct ask *k, const char *word, struct err *e)
{
	int r;

	k->is_replied = true;
	r = send_reply(t, k, word, e);
	if (r == -1 && !t->ctl->refused) {
		/* The supervisor was restarted since the last request. */
		client_close(&t->control);
		client_init(&t->control, t->ctl);
		r = send_reply(t, k, word, e);
	}
	/* Somebody else was faster, or the turn ended: no harm. */
	if (r == -1 && (e->code == ERR_PERMISSION_NOT_FOUND ||
			   e->code == ERR_QUESTION_NOT_FOUND)) {
		remove_ask(t, (size_t)(k - t->asks));
		return 0;
	}
	return r;
}

int
ask_next(struct turn *t, struct err *e)
{
	struct ask *k = &t->asks[0];

	/* One at a time: the next when the last answer has shown. */
	if (t->nasks == 0 || k->is_replied || k->is_shown || t->is_over)
		return 0;
	if (k->is_permission && t->yes != NULL)
		return reply(t, k, t->yes, e);
	if (t->can_ask) {
		show_ask(t, k);
		return 0;
	}
	ctl_note(t->ctl, "%s: nobody to ask, rejected%s",
	    k->is_permission ? "permission" : "question",
	    k->is_permission ? " (--yes decides without asking)" : "");
	return reply(t, k, k->is_permission ? "reject" : NULL, e);
}

/* --- the answer ---------------------------------------------------------- */

static const char *
permission_word(const char *line)
{
	static const struct {
		const char *typed, *word;
	} words[] = { { "y", "once" }, { "yes", "once" }, { "once", "once" },
		{ "a", "always" }, { "always", "always" }, { "n", "reject" },
		{ "no", "reject" }, { "reject", "reject" } };
	size_t i;

	for (i = 0; i < countof(words); i++)
		if (strcasecmp(line, words[i].typed) == 0)
			return words[i].word;
	return NULL;
}

static int
question_typed(struct turn *t, struct ask *k, const char *line, struct err *e)
{
	char option[OPTIONS_MAX + 1];
	int64_t n;
	size_t len;
	const char *p;

	if (line == NULL || *line == '\0')
		return reply(t, k, NULL, e);
	if (k->noptions > 0 && str_to_int(line, 1, k->noptions, &n) == 0) {
		p = option_at(k, (unsigned)n - 1, &len);
		if (str_format(option, sizeof(option), "%.*s", (int)len, p) ==
		    0)
			return reply(t, k, option, e);
	}
	return reply(t, k, line, e);
}

int
ask_typed(struct turn *t, const char *line, struct err *e)
{
	struct ask *k = &t->asks[0];
	const char *word;

	if (t->nasks == 0 || k->is_replied || !k->is_shown)
		return 0;	    /* typed ahead: nothing was asked */
	t->render.mid_line = false; /* the terminal echoed the newline */
	if (!k->is_permission)
		return question_typed(t, k, line, e);
	word = line == NULL ? "reject" : permission_word(line);
	if (word == NULL) {
		show_ask(t, k);
		return 0;
	}
	return reply(t, k, word, e);
}
