/*
 * ps: the processes of a sandbox. Runs as the caller. What they call
 * themselves is hostile: lines are bounded, parsed strictly and cleaned.
 */
#include "ctl/commands.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <string.h>

#define TEXT_MAX (64u << 20)

static void
argv_cell(struct table *t, const struct json *p)
{
	const struct json *argv = json_get(p, "argv");
	struct buf b;

	buf_init(&b, 1 << 20);
	json_foreach (word, argv)
		(void)buf_addf(&b, b.len > 0 ? " %s" : "%s",
		    word->type == JSON_STRING ? word->str : "?");
	if (argv == NULL || argv->len == 0)
		(void)buf_addf(&b, "[%s]", json_str(p, "name", "?"));
	if (json_bool(p, "argv_cut", false))
		(void)buf_adds(&b, " ...");
	table_cell(t, b.failed ? NULL : b.data);
	buf_free(&b);
}

static void
row(struct table *t, const struct json *p)
{
	char age[AGE_TEXT_MAX], rss[BYTES_TEXT_MAX];
	int64_t now = now_realtime_ms(), ms = json_int(p, "cpu_ms", 0);

	text_age(age, MAX(now - json_int(p, "started_at", now), 0));
	text_bytes(rss, json_int(p, "rss", 0));
	table_cellf(t, "%lld", (long long)json_int(p, "pid", 0));
	table_cellf(t, "%lld", (long long)json_int(p, "ppid", 0));
	table_cellf(t, "%lld", (long long)json_int(p, "uid", 0));
	table_cell(t, json_str(p, "state", NULL));
	table_cell(t, age);
	table_cellf(t, "%lld.%02lld", (long long)(ms / 1000),
	    (long long)(ms % 1000 / 10));
	table_cell(t, rss);
	argv_cell(t, p);
}

/* The lines of TEXT, as rows or as they are in an array. */
static int
show(const struct ctl *ctl, const char *text, size_t len, struct err *e)
{
	static const char *const head[] = { "PID", "PPID", "UID", "S", "AGE",
		"CPU", "RSS", "COMMAND", NULL };
	const char *at = text, *nl;
	struct json *line;
	struct buf out;
	struct table t;
	struct jw w;
	int r = 0;

	table_init(&t, head);
	buf_init(&out, 2 * TEXT_MAX);
	jw_init(&w, &out);
	jw_array(&w);
	for (; r == 0 && at < text + len; at = nl + 1) {
		nl = memchr(at, '\n', (size_t)(text + len - at));
		if (nl == NULL)
			break;
		r = json_parse(
		    at, (size_t)(nl - at), JSON_DEPTH_CONTROL, &line, e);
		if (r == -1)
			break;
		if (ctl->json)
			jw_value(&w, line);
		else
			row(&t, line);
		json_free(line);
	}
	jw_array_end(&w);
	if (r == 0 && ctl->json)
		ctl_print_json_buf(&out);
	if (r == 0 && !ctl->json)
		table_end(&t, ctl);
	else
		table_free(&t);
	buf_free(&out);
	return r;
}

static int
run_ps(struct ctl *ctl, const struct args *a)
{
	int read_fd = -1, write_fd = -1;
	autofree char *text = NULL;
	struct answer ans;
	struct client c;
	size_t len = 0;
	struct err e;
	struct jw *w;
	int r;

	client_init(&c, ctl);
	w = client_begin(&c, "sandbox.processes");
	jw_kstr(w, "id", a->operands[0]);
	jw_kint(w, "fds", 1);
	r = fd_pipe(&read_fd, &write_fd, &e);
	if (r == 0)
		r = client_send(&c, &write_fd, 1, &e);
	fd_close(&write_fd);
	if (r == 0)
		r = fd_slurp(read_fd, TEXT_MAX, &text, &len, &e);
	fd_close(&read_fd);
	if (r == 0)
		r = client_final(&c, &ans, &e);
	client_close(&c);
	if (r == 0) {
		answer_free(&ans);
		r = show(ctl, text, len, &e);
	}
	return r == 0 ? EXIT_OK : ctl_fail(ctl, &e);
}

const struct command cmd_ps = {
	.name = "ps",
	.operands = "ID",
	.help = "The processes of a sandbox.",
	.min = 1,
	.max = 1,
	.run = run_ps,
};
