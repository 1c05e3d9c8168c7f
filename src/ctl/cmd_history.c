/*
 * history: what has become of a sandbox. Runs as the caller.
 */
#include "ctl/client.h"
#include "ctl/commands.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <stdio.h>
#include <string.h>

/* What else an entry says: "host=example.org port=443"; NULL for nothing. */
static char *
others(const struct json *ev)
{
	static const char *const shown[] = { "seq", "at", "event", "reason" };
	struct buf b;

	buf_init(&b, 65536);
	json_foreach (it, ev) {
		bool skip = false;
		autofree char *v = NULL;

		for (size_t i = 0; i < countof(shown); i++)
			skip = skip || strcmp(it->key, shown[i]) == 0;
		if (skip)
			continue;
		v = it->type == JSON_STRING ? NULL : json_text(it, 256);
		(void)buf_addf(&b, "%s%s=%s", b.len > 0 ? " " : "", it->key,
		    it->type == JSON_STRING ? it->str
		    : v != NULL		    ? v
					    : "?");
	}
	if (b.len > 0)
		return buf_steal(&b);
	buf_free(&b);
	return NULL;
}

static void
add_row(struct table *t, const struct json *ev)
{
	char age[AGE_TEXT_MAX];
	autofree char *more = others(ev);

	table_cellf(t, "%lld", (long long)json_int(ev, "seq", 0));
	table_cell(t, show_age(age, ev, "at"));
	table_cell(t, json_str(ev, "event", "?"));
	table_cell(t, json_str(ev, "reason", NULL));
	table_cell(t, more);
}

static const char *const head[] = { "SEQ", "AGE", "EVENT", "REASON", "MORE",
	NULL };

static int
show_recent(struct ctl *ctl, const char *id, struct err *e)
{
	struct answer ans;
	struct table t;

	if (client_ask(ctl, "sandbox.events", id, &ans, e) == -1)
		return -1;
	if (ctl->json) {
		ctl_print_json(ans.body);
	} else {
		table_init(&t, head);
		json_foreach (ev, json_get(ans.body, "events"))
			add_row(&t, ev);
		table_end(&t, ctl);
	}
	answer_free(&ans);
	return 0;
}

/* Entries as they come: one line each, since nobody knows how wide the next
 * will be. */
static void
print_line(const struct json *ev)
{
	autofree char *more = others(ev), *text = NULL;
	struct buf clean;
	char time[TIME_TEXT_MAX];
	int64_t at_ms = json_int(ev, "at", 0);

	(void)time_format(
	    time, at_ms / 1000, (long)(at_ms % 1000) * 1000000, 3);
	text = xasprintf("%lld %s %s%s%s%s%s",
	    (long long)json_int(ev, "seq", 0), time, json_str(ev, "event", "?"),
	    json_get(ev, "reason") != NULL ? ": " : "",
	    json_str(ev, "reason", ""), more != NULL ? " " : "",
	    more != NULL ? more : "");
	buf_init(&clean, 1 << 20);
	text_clean(&clean, text, strlen(text), false);
	(void)printf("%s\n", clean.data);
	buf_free(&clean);
}

static int
show_items(struct ctl *ctl, struct client *c, struct err *e)
{
	enum client_got got;
	struct answer a;
	int r;

	for (;;) {
		if (client_line(c, -1, &got, &a, e) == -1)
			return -1;
		if (got == CLIENT_EOF)
			return err_set(e, ERR_STORE_UNAVAILABLE,
			    "the connection ended before the answer did");
		if (got != CLIENT_GOT)
			continue;
		if (a.kind == ANSWER_ERROR) {
			r = answer_error(ctl, &a, e);
			answer_free(&a);
			return r;
		}
		if (a.kind == ANSWER_ITEM && ctl->json)
			ctl_print_json(a.body);
		else if (a.kind == ANSWER_ITEM)
			print_line(a.body);
		r = a.kind == ANSWER_OK;
		answer_free(&a);
		if (fflush(stdout) == EOF || r == 1)
			return 0;
	}
}

static int
show_from(struct ctl *ctl, const struct args *a, struct err *e)
{
	static const char *const numbers[] = { "after", "limit" };
	struct client c;
	struct jw *w;
	int64_t v;
	int r;

	client_init(&c, ctl);
	w = client_begin(&c, "sandbox.events");
	jw_kstr(w, "id", a->operands[0]);
	for (size_t i = 0; i < countof(numbers); i++) {
		const char *text = args_str(a, numbers[i], NULL);

		if (text == NULL)
			continue;
		if (str_to_int(text, 0, INT64_MAX, &v) == -1) {
			client_close(&c);
			return err_set(e, ERR_BAD_REQUEST,
			    "--%s: '%s' is no number", numbers[i], text);
		}
		jw_kint(w, numbers[i], v);
	}
	jw_kbool(w, "follow", args_has(a, "follow"));
	r = client_send(&c, NULL, 0, e);
	if (r == 0)
		r = show_items(ctl, &c, e);
	client_close(&c);
	return r;
}

static int
run_history(struct ctl *ctl, const struct args *a)
{
	bool recent = !args_has(a, "after") && !args_has(a, "limit") &&
		      !args_has(a, "follow");
	struct err e;
	int r = recent ? show_recent(ctl, a->operands[0], &e)
		       : show_from(ctl, a, &e);

	return r == -1 ? ctl_fail(ctl, &e) : EXIT_OK;
}

static const struct opt_def history_opts[] = {
	{ "after", 'a', "N", "Only entries after number N." },
	{ "limit", 'n', "N", "At most N entries." },
	{ "follow", 'f', NULL, "Go on with entries as they are stored." },
};

const struct command cmd_history = {
	.name = "history",
	.operands = "ID",
	.help = "What has become of a sandbox: its log, the last hundred "
		"entries unless asked for others.",
	COMMAND_OPTS(history_opts),
	.min = 1,
	.max = 1,
	.run = run_history,
};
