/*
 * The stand-in for agents; see stand_in.h.
 */
#include "stand_in.h"

#include "lib/defs.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

char stand_in_self[4096];
static char fixtures[4096];
static char said[128], runs[160];

/* --- playing ---------------------------------------------------------------
 */

static void
out_many(const char *s, size_t n)
{
	while (n-- > 0)
		(void)fputs(s, stdout);
}

static char heard_id[64]; /* of the line that was waited for */

static void
note_id(const char *line)
{
	const char *at = strstr(line, "\"id\":\"");

	if (at == NULL || sscanf(at + 6, "%63[^\"]", heard_id) != 1)
		heard_id[0] = '\0';
}

/* LINE with the id put in. */
static void
say(const char *line)
{
	const char *at = strstr(line, "@id@");

	if (at == NULL)
		(void)puts(line);
	else
		(void)printf(
		    "%.*s%s%s\n", (int)(at - line), line, heard_id, at + 4);
}

static void
wait_for(const char *text, FILE *log)
{
	char *line = NULL;
	size_t room = 0;

	do {
		if (getline(&line, &room, stdin) == -1)
			exit(0);
		(void)fputs(line, log);
		(void)fflush(log);
	} while (strstr(line, text) == NULL);
	note_id(line);
	free(line);
}

static void
nap(const char *ms)
{
	long n = strtol(ms, NULL, 10);
	const struct timespec t = { n / 1000, n % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static void
act(const char *what)
{
	char c[2] = "x", type[64];
	int ch;

	if (str_starts(what, "exit "))
		exit(atoi(what + 5));
	if (str_starts(what, "err ")) {
		(void)fprintf(stderr, "%s\n", what + 4);
	} else if (str_starts(what, "sleep ")) {
		nap(what + 6);
	} else if (str_starts(what, "wait")) {
		while (getchar() != EOF)
			;
		exit(0);
	} else if (str_starts(what, "ignore")) {
		(void)signal(SIGINT, SIG_IGN);
		(void)signal(SIGTERM, SIG_IGN);
	} else if (sscanf(what, "bytes %*d %d", &ch) == 1) {
		c[0] = (char)ch;
		out_many(c, strtoul(what + 6, NULL, 10));
		(void)putchar('\n');
	} else if (str_starts(what, "deep ")) {
		out_many("{\"type\":", strtoul(what + 5, NULL, 10));
		(void)putchar('\n');
	} else if (str_starts(what, "long ")) {
		out_many("x", strtoul(what + 5, NULL, 10));
		(void)putchar('\n');
	} else if (str_starts(what, "piece ")) {
		/* A piece of text, with all that was said before. */
		(void)printf(
		    "{\"type\":\"message_update\","
		    "\"assistantMessageEvent\":{\"type\":\"text_delta\","
		    "\"contentIndex\":0,\"delta\":\"piece\","
		    "\"partial\":{\"content\":\"");
		out_many("x", strtoul(what + 6, NULL, 10));
		(void)puts("\"}}}");
	} else if (sscanf(what, "huge %63s", type) == 1) {
		(void)printf("{\"type\":\"%s\",%s,\"result\":\"", type,
		    strcmp(type, "message_end") == 0
			? "\"message\":{\"role\":\"assistant\"}"
			: "\"toolCallId\":\"c1\",\"toolName\":\"read\"");
		out_many("x", strtoul(strrchr(what, ' '), NULL, 10));
		(void)puts("\"}");
	} else if (str_starts(what, "big ")) {
		(void)printf("{\"type\":\"user\",\"message\":{\"content\":[{"
			     "\"type\":\"tool_result\",\"tool_use_id\":\"b\","
			     "\"content\":\"");
		out_many("\\u0007", strtoul(what + 4, NULL, 10) / 6);
		(void)printf("\"}]}}\n");
	}
}

/* Which process of the session this is, from 1. */
static long
run_number(void)
{
	const char *name = getenv("REPLAY_RUNS");
	FILE *f = fopen(name != NULL ? name : "", "ae");
	long n;

	if (f == NULL)
		return 1;
	(void)putc('.', f);
	n = ftell(f);
	(void)fclose(f);
	return n;
}

static int
play_fixture(int argc, char **argv)
{
	const char *name = getenv("FIXTURE");
	FILE *f = fopen(name != NULL ? name : "", "re");
	FILE *log = fopen(getenv("REPLAY_LOG"), "ae");
	long run = run_number();
	bool ours = true;
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int i;

	if (f == NULL || log == NULL)
		return 99;
	for (i = 2; i < argc; i++)
		(void)fprintf(log, "%s%s", argv[i], i + 1 < argc ? " " : "\n");
	(void)fflush(log);
	while ((n = getline(&line, &room, f)) > 1) {
		line[n - 1] = '\0';
		if (line[0] == '?')
			ours =
			    line[2] == '*' || strtol(line + 2, NULL, 10) == run;
		else if (!ours)
			continue;
		else if (line[0] == '<')
			wait_for(line + 2, log);
		else if (line[0] == '>')
			say(line + 2);
		else if (line[0] == '!')
			act(line + 2);
		(void)fflush(stdout);
	}
	return 0;
}

int
stand_in_main(int argc, char **argv, const char *name)
{
	const char *src = getenv("srcdir");
	char dir[2048];
	int fd;

	if (argc > 1 && strcmp(argv[1], "--play") == 0)
		exit(play_fixture(argc, argv));
	if (readlink("/proc/self/exe", stand_in_self,
		sizeof(stand_in_self) - 1) == -1 ||
	    str_format(dir, sizeof(dir), "%s/tests/unit/fixtures",
		src != NULL ? src : ".") == -1 ||
	    realpath(dir, fixtures) == NULL ||
	    str_format(said, sizeof(said), "/tmp/%s.XXXXXX", name) == -1 ||
	    (fd = mkstemp(said)) == -1 ||
	    str_format(runs, sizeof(runs), "%s.runs", said) == -1)
		return -1;
	(void)close(fd);
	return 0;
}

void
stand_in_end(void)
{
	(void)unlink(said);
	(void)unlink(runs); /* there only when something was started */
}

/* --- the stage -------------------------------------------------------------
 */

char *
stand_in_members(const char *fixture, const char *env, const char *more)
{
	assert_int_equal(truncate(said, 0), 0);
	(void)unlink(runs);
	return xasprintf(
	    ",\"env\":{\"PATH\":\"/usr/bin:/bin\",\"FIXTURE\":\"%s/%s.play\","
	    "\"REPLAY_LOG\":\"%s\",\"REPLAY_RUNS\":\"%s\"%s},"
	    "\"directory\":\"/tmp\",\"command\":[\"%s\",\"--play\"]%s",
	    fixtures, fixture, said, runs, env, stand_in_self, more);
}

void
stand_in_open(struct play *p, const char *agent, const char *fixture)
{
	autofree char *members = stand_in_members(fixture, "", STAND_IN_MODES);

	assert_non_null(json_get(play_open(p, agent, members), "ok"));
}

char *
stand_in_said(void)
{
	autofd int fd = open(said, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	size_t len;

	assert_int_not_equal(fd, -1);
	assert_int_equal(fd_slurp(fd, 16u << 20, &text, &len, NULL), 0);
	return text;
}

void
stand_in_turn(struct play *p, const char *text)
{
	size_t ended = play_count(p, "turn.ended");

	play_prompt(p, text);
	play_until(p, play_count(p, "turn.ended") > ended);
	play_idle(p);
}

const char *
stand_in_stop_reason(struct play *p, size_t n)
{
	return play_str(play_event(p, "turn.ended", n), "metadata.stop_reason");
}
