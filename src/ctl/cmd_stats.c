/*
 * stats: what sandboxes use; once, or again and again with rates. Runs as the
 * caller. A figure that the host cannot give is shown as "-".
 */
#include "ctl/commands.h"
#include "ctl/signals.h"
#include "ctl/spec.h"
#include "ctl/table.h"
#include "ctl/term.h"
#include "ctl/text.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <poll.h>
#include <signal.h>
#include <string.h>

#define ROUND_MS 1000
#define KNOWN_MAX 4096

/* What a sandbox had used by the round before. */
struct known {
	char id[SANDBOX_ID_MAX + 1];
	int64_t at_ms, cpu_usec;
};

struct stats {
	struct ctl *ctl;
	const struct args *a;
	struct client c;
	struct known *known; /* owned */
	size_t nknown;
};

static int64_t
figure(const struct json *s, const char *path)
{
	const struct json *v = json_path(s, path);
	int64_t n;

	return v != NULL && json_number_int(v, &n) == 0 ? n : -1;
}

static void
bytes_cell(struct table *t, int64_t n)
{
	char text[BYTES_TEXT_MAX];

	if (n < 0) {
		table_cell(t, NULL);
		return;
	}
	text_bytes(text, n);
	table_cell(t, text);
}

/* Of one processor since the round before, or since the start. */
static void
cpu_cell(struct stats *st, struct table *t, const struct json *s)
{
	const char *id = json_str(s, "id", "");
	int64_t at = json_int(s, "at", 0), used = figure(s, "usage.cpu_usec");
	int64_t from = json_int(s, "started_at", at), before = 0;
	struct known *k = NULL;
	size_t i;

	for (i = 0; i < st->nknown && k == NULL; i++)
		if (strcmp(st->known[i].id, id) == 0)
			k = &st->known[i];
	if (k != NULL && k->cpu_usec <= used && k->at_ms < at) {
		from = k->at_ms;
		before = k->cpu_usec;
	}
	if (used < 0 || at <= from)
		table_cell(t, NULL);
	else
		table_cellf(t, "%.1f%%",
		    (double)(used - before) / 10.0 / (double)(at - from));
	if (used < 0 || (k == NULL && st->nknown == KNOWN_MAX))
		return;
	if (k == NULL) {
		k = &st->known[st->nknown++];
		(void)!str_copy(k->id, sizeof(k->id), id);
	}
	k->at_ms = at;
	k->cpu_usec = used;
}

static void
pressure_cell(struct table *t, const struct json *s, const char *path)
{
	const struct json *v = json_path(s, path);

	if (v == NULL)
		table_cell(t, NULL);
	else
		table_cellf(t, "%.1f%%", json_double(v, "avg10", 0));
}

static void
row(struct stats *st, struct table *t, const struct json *s)
{
	int64_t used = figure(s, "usage.cpu_usec");
	int64_t pids = figure(s, "usage.pids");

	table_cell(t, json_str(s, "id", "?"));
	table_cell(t, json_str(s, "state", "?"));
	cpu_cell(st, t, s);
	if (used < 0)
		table_cell(t, NULL);
	else
		table_cellf(t, "%.2f", (double)used / 1e6);
	bytes_cell(t, figure(s, "usage.memory"));
	bytes_cell(t, figure(s, "limits.memory"));
	if (pids < 0)
		table_cell(t, NULL);
	else
		table_cellf(t, "%lld", (long long)pids);
	bytes_cell(t, figure(s, "usage.io_read"));
	bytes_cell(t, figure(s, "usage.io_written"));
	pressure_cell(t, s, "pressure.cpu.some");
	pressure_cell(t, s, "pressure.memory.some");
	pressure_cell(t, s, "pressure.io.some");
}

static bool
wanted(const struct args *a, const struct json *s)
{
	size_t i;

	for (i = 0; i < a->noperands; i++)
		if (strcmp(a->operands[i], json_str(s, "id", "")) == 0)
			return true;
	return a->noperands == 0;
}

/* One name is asked about by name, so that one that is not there is told. */
static int
ask(struct stats *st, struct answer *ans, struct err *e)
{
	struct jw *w = client_begin(&st->c, "sandbox.stats");

	if (st->a->noperands == 1)
		jw_kstr(w, "id", st->a->operands[0]);
	return client_call(&st->c, ans, e);
}

static int
once(struct stats *st, struct err *e)
{
	static const char *const head[] = { "ID", "STATE", "CPU", "CPU s",
		"MEMORY", "LIMIT", "PIDS", "READ", "WRITTEN", "CPU wait",
		"MEM wait", "IO wait", NULL };
	struct answer ans;
	struct table t;

	if (ask(st, &ans, e) == -1)
		return -1;
	if (st->ctl->json) {
		json_foreach (s, json_get(ans.body, "sandboxes"))
			if (wanted(st->a, s))
				ctl_print_json(s);
		(void)fflush(stdout);
	} else {
		table_init(&t, head);
		json_foreach (s, json_get(ans.body, "sandboxes"))
			if (wanted(st->a, s))
				row(st, &t, s);
		if (args_has(st->a, "watch") && st->ctl->tty)
			(void)fputs("\033[H\033[2J", stdout);
		table_end(&t, st->ctl);
		(void)fflush(stdout);
	}
	answer_free(&ans);
	return 0;
}

/* Until a signal, a q, or the end of our output. */
static int
watch(struct stats *st, int64_t every_ms, struct err *e)
{
	bool keys = isatty(STDIN_FILENO) == 1 && st->ctl->tty;
	struct pollfd pfd[2];
	struct signals s;
	char c;

	if (signals_open(2, e) == -1)
		return -1;
	for (;;) {
		if (once(st, e) == -1)
			return -1;
		if (ferror(stdout) != 0)
			return EXIT_OK;
		pfd[0] =
		    (struct pollfd){ .fd = signals_fd(), .events = POLLIN };
		pfd[1] = (struct pollfd){ .fd = keys ? STDIN_FILENO : -1,
			.events = POLLIN };
		(void)poll(pfd, 2, (int)every_ms); /* one round early at most */
		signals_take(&s);
		if (s.stops > 0)
			return s.number == SIGINT ? EXIT_OK : 128 + s.number;
		if (keys && pfd[1].revents != 0 &&
		    (read(STDIN_FILENO, &c, 1) <= 0 || c == 'q'))
			return EXIT_OK;
	}
}

static int
run_stats(struct ctl *ctl, const struct args *a)
{
	const char *every = args_str(a, "interval", NULL);
	struct stats st = { .ctl = ctl, .a = a };
	int64_t ms = ROUND_MS;
	struct err e;
	int r;

	if (every != NULL && spec_ms(every, &ms, &e) == -1)
		return ctl_fail(ctl, &e);
	st.known = xcalloc(KNOWN_MAX, sizeof(*st.known));
	client_init(&st.c, ctl);
	if (args_has(a, "watch"))
		r = watch(&st, MAX(ms, (int64_t)100), &e);
	else
		r = once(&st, &e);
	client_close(&st.c);
	free(st.known);
	return r == -1 ? ctl_fail(ctl, &e) : r;
}

static const struct opt_def stats_opts[] = {
	{ "watch", '\0', NULL, "Again and again; q or Ctrl-C ends it." },
	{ "interval", '\0', "TIME", "With --watch: so often; 1s by default." },
};

const struct command cmd_stats = {
	.name = "stats",
	.operands = "[ID...]",
	.help = "What sandboxes use: processor, memory, disk, and waiting.",
	COMMAND_OPTS(stats_opts),
	.min = 0,
	.max = -1,
	.run = run_stats,
};
