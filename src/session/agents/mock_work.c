/*
 * The mock agent's commands that do something, for tests and demonstrations:
 *
 *	run COMMAND		/bin/sh -c COMMAND in the session's directory
 *	write PATH TEXT		write TEXT and a newline to a file there
 *	sleep MS		a message that takes that long
 *	flood N [BYTES]		N numbered deltas, as fast as they are taken
 *	exit N			end the turn like an agent that exits with N
 *	crash			kill the session's worker
 *
 * Runs in the session worker, as the sandbox's user: it can reach what any
 * command in the sandbox can reach, no more.
 */
#include "session/agents/mock.h"

#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SLEEP_MS_MAX 600000
#define FLOOD_MAX 100000000
#define DELTA_BYTES_MAX (256 << 10)
#define FLOOD_BURST 64
#define SETTLE_S 0.005

static const char blanks[] = " \t\r\n";

static char *
json_object2(const char *k1, const char *v1, const char *k2, const char *v2)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 8u << 20);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, k1, v1);
	if (k2 != NULL)
		jw_kstr(&w, k2, v2);
	jw_object_end(&w);
	return b.failed ? xstrdup("{}") : buf_steal(&b);
}

static void
log_call(struct mock *m, const char *name, const char *arguments)
{
	char id[MOCK_ID_MAX], call[MOCK_ID_MAX];
	const struct part p = { .type = PART_TOOL_CALL,
		.name = name,
		.text = arguments,
		.len = strlen(arguments),
		.word = mock_id(m, call, "call") };
	const struct item it = { .native_id = mock_id(m, id, "tool_call"),
		.kind = ITEM_TOOL_CALL,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	uni_item_started(m->a.out, &it);
	uni_item_completed(m->a.out, &it, ITEM_COMPLETED);
}

static void
log_result(
    struct mock *m, const char *output, size_t len, const char *path, bool ok)
{
	char id[MOCK_ID_MAX], call[MOCK_ID_MAX];
	const struct part p[] = {
		{ .type = PART_TOOL_RESULT,
		    .text = output,
		    .len = len,
		    .word = mock_id(m, call, "call") },
		{ .type = PART_FILE_REF, .name = path, .word = "write" },
	};
	const struct item it = { .native_id = mock_id(m, id, "tool_result"),
		.kind = ITEM_TOOL_RESULT,
		.role = ROLE_OF_TOOL,
		.parts = p,
		.nparts = path != NULL ? 2 : 1 };

	uni_item_started(m->a.out, &it);
	uni_item_completed(m->a.out, &it, ok ? ITEM_COMPLETED : ITEM_FAILED);
}

/* --- run ----------------------------------------------------------------- */

static void
on_line(
    struct process *p, const char *line, size_t len, size_t total, void *ctx)
{
	struct mock *m = ctx;
	size_t room = m->output.cap - m->output.len;

	(void)p, (void)total;
	/* What does not fit is left out: the mark says so. */
	if (room > len + 1) {
		(void)buf_add(&m->output, line, len);
		(void)buf_addc(&m->output, '\n');
	} else if (room > 1) {
		(void)buf_add(&m->output, line, room - 1);
		(void)buf_addc(&m->output, '\n');
	}
}

static void
on_exited(struct process *p, const struct err *e, void *ctx)
{
	struct mock *m = ctx;
	int code = process_exit_code(p);
	char say[ERR_TEXT_MAX + 64];

	if (e != NULL) {
		log_result(m, e->text, strlen(e->text), NULL, false);
		(void)!str_copy(say, sizeof(say), e->text); /* it fits */
	} else {
		log_result(m, m->output.data != NULL ? m->output.data : "",
		    m->output.len, NULL, code == 0);
		if (code == -1)
			(void)!str_format(say, sizeof(say),
			    "The command was killed by signal %d.",
			    process_exit_signal(p));
		else
			(void)!str_format(say, sizeof(say),
			    "The command exited with status %d.", code);
	}
	buf_free(&m->output);
	m->proc = NULL;
	process_free(p);
	mock_say(m, "reply", say);
	ev_timer_stop(m->a.loop, &m->tick);
	ev_timer_set(&m->tick, 0., 0.);
	ev_timer_start(m->a.loop, &m->tick);
}

static const struct process_ops run_ops = { .line = on_line,
	.exited = on_exited };

static void
do_run(struct mock *m, struct mock_step *st)
{
	char sh[] = "/bin/sh", c[] = "-c";
	char *const argv[] = { sh, c, st->text, NULL };
	const struct process_spec spec = { .argv = argv,
		.env = m->a.conf->env,
		.directory = m->a.conf->directory,
		.merge = true,
		.quiet = true };
	autofree char *arguments =
	    json_object2("command", st->text, NULL, NULL);
	struct err e;

	log_call(m, "bash", arguments);
	if (process_start(m->a.loop, &spec, &run_ops, m, &m->proc, &e) == -1) {
		m->proc = NULL;
		log_result(m, e.text, strlen(e.text), NULL, false);
		mock_say(m, "reply", "The command could not be started.");
	}
}

void
mock_work_stop(struct mock *m)
{
	process_free(STEAL(m->proc));
	buf_free(&m->output);
}

/* --- write --------------------------------------------------------------- */

static int
write_file(
    const struct mock *m, const char *path, const char *text, struct err *e)
{
	autofd int dir_fd = -1, fd = -1;

	dir_fd = open(m->a.conf->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd == -1)
		return err_sys(e, "open %s", m->a.conf->directory);
	fd = openat(dir_fd, path,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
	    0666);
	if (fd == -1)
		return err_sys(e, "open %s", path);
	if (fd_write_all(fd, text, strlen(text)) == -1 ||
	    fd_write_all(fd, "\n", 1) == -1)
		return err_sys(e, "write %s", path);
	return 0;
}

static void
do_write(struct mock *m, struct mock_step *st)
{
	const char *rest = st->text + strcspn(st->text, blanks);
	autofree char *path = xstrndup(st->text, (size_t)(rest - st->text));
	autofree char *arguments = NULL;
	autofree char *done = NULL;
	struct err e;
	bool ok;

	rest += strspn(rest, blanks);
	arguments = json_object2("path", path, "content", rest);
	log_call(m, "write", arguments);
	ok = write_file(m, path, rest, &e) == 0;
	done = ok ? xasprintf("wrote %zu bytes to %s", strlen(rest) + 1, path)
		  : xstrdup(e.text);
	log_result(m, done, strlen(done), ok ? path : NULL, ok);
	mock_say(m, "reply", ok ? "Done." : "That did not work.");
}

/* --- sleep, flood, exit, crash ------------------------------------------- */

static void
message_part(
    struct mock *m, const char *key, const char *text, enum item_status status)
{
	char id[MOCK_ID_MAX];
	const struct part p = PART(PART_TEXT, text);
	const struct item it = { .native_id = mock_id(m, id, key),
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	if (status == ITEM_IN_PROGRESS)
		uni_item_started(m->a.out, &it);
	else
		uni_item_completed(m->a.out, &it, status);
}

static void
do_sleep(struct mock *m, struct mock_step *st)
{
	if (st->size++ == 0) {
		message_part(m, "sleep", "", ITEM_IN_PROGRESS);
		m->wait_s = (double)st->n / 1000.;
		st->again = true;
	} else {
		message_part(m, "sleep", "Slept.", ITEM_COMPLETED);
	}
}

static void
do_flood(struct mock *m, struct mock_step *st)
{
	autofree char *text = xmalloc((size_t)st->size + 32);
	char id[MOCK_ID_MAX];
	int64_t i, done = strtoll(st->text, NULL, 10);
	int len;

	if (done == 0)
		message_part(m, "flood", "", ITEM_IN_PROGRESS);
	mock_id(m, id, "flood");
	for (i = 0; i < FLOOD_BURST && done < st->n && !m->paused; i++) {
		len = snprintf(text, 32, "%" PRId64 " ", ++done);
		while (len < st->size)
			text[len++] = 'x';
		uni_item_delta(m->a.out, id, text, (size_t)len);
	}
	st->again = done < st->n;
	if (st->again) {
		free(st->text);
		st->text = xasprintf("%" PRId64, done);
	} else {
		message_part(m, "flood", "The flood is over.", ITEM_COMPLETED);
	}
}

static void
do_exit(struct mock *m, struct mock_step *st)
{
	autofree char *say =
	    xasprintf("mock exited with status %" PRId64, st->n);
	autofree char *details =
	    xasprintf("{\"exit_code\":%" PRId64 "}", st->n);

	uni_error(m->a.out, FROM_DAEMON, "process_exit", say, details);
	m->end = MOCK_FAILS;
}

static void
do_crash(struct mock *m, struct mock_step *st)
{
	/* What was said before is to be found afterwards. */
	if (agent_settled(&m->a))
		(void)raise(SIGKILL);
	st->again = true;
	m->wait_s = SETTLE_S;
}

bool
mock_work(struct mock *m, const char *word, const char *rest)
{
	static const struct {
		const char *word;
		mock_run *run;
	} works[] = {
		{ "run", do_run },
		{ "write", do_write },
		{ "sleep", do_sleep },
		{ "flood", do_flood },
		{ "exit", do_exit },
		{ "crash", do_crash },
	};
	struct mock_step *st;
	mock_run *run = NULL;
	int64_t n = 0, size = 0;
	size_t i, len;

	for (i = 0; i < countof(works); i++)
		if (strcasecmp(works[i].word, word) == 0)
			run = works[i].run;
	rest += strspn(rest, blanks);
	if (run == NULL || (*rest == '\0' && run != do_crash))
		return false;
	if (run == do_sleep || run == do_flood || run == do_exit) {
		autofree char *first = NULL;

		len = strcspn(rest, blanks);
		first = xstrndup(rest, len);
		if (str_to_int(first, 0,
			run == do_flood	 ? FLOOD_MAX
			: run == do_exit ? 255
					 : SLEEP_MS_MAX,
			&n) == -1)
			return false; /* then it is just a text */
		rest += len + strspn(rest + len, blanks);
		if (*rest != '\0' &&
		    (run != do_flood ||
			str_to_int(rest, 0, DELTA_BYTES_MAX, &size) == -1))
			return false;
		rest = "0";
	}
	st = mock_add(m, run, NULL, rest);
	st->n = n;
	st->size = size;
	return true;
}
