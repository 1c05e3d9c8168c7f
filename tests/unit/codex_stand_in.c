/*
 * The stand-in for Codex; see codex_stand_in.h. It trusts its fixture.
 */
#include "codex_stand_in.h"

#include "lib/defs.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define METHODS_MAX 32

static FILE *played;
static struct {
	char *method;
	long id;
} heard[METHODS_MAX];
static char thread[64], turn_id[64];

static void
out_many(const char *s, size_t n)
{
	while (n-- > 0)
		(void)fputs(s, stdout);
}

/* Remember which id the request of a method had. */
static void
note(const char *line)
{
	const char *m = strstr(line, "\"method\":\"");
	const char *id = strstr(line, "\"id\":");
	size_t i, n;

	if (m == NULL || id == NULL)
		return;
	m += strlen("\"method\":\"");
	n = strcspn(m, "\"");
	for (i = 0; i < METHODS_MAX - 1 && heard[i].method != NULL; i++)
		if (strlen(heard[i].method) == n &&
		    strncmp(heard[i].method, m, n) == 0)
			break;
	if (heard[i].method == NULL)
		heard[i].method = xstrndup(m, n);
	heard[i].id = strtol(id + strlen("\"id\":"), NULL, 10);
}

static long
id_of(const char *method)
{
	size_t i;

	for (i = 0; i < METHODS_MAX && heard[i].method != NULL; i++)
		if (strcmp(heard[i].method, method) == 0)
			return heard[i].id;
	return 0;
}

static void
wait_for(const char *text)
{
	char *line = NULL;
	size_t room = 0;

	do {
		if (getline(&line, &room, stdin) == -1)
			exit(0);
		(void)fputs(line, played);
		(void)fflush(played);
		note(line);
	} while (strstr(line, text) == NULL);
	free(line);
}

static void
say(const char *line)
{
	const char *at = strchr(line, '@'), *end;
	autofree char *method = NULL;

	if (at == NULL || (end = strchr(at + 1, '@')) == NULL) {
		(void)puts(line);
		return;
	}
	method = xstrndup(at + 1, (size_t)(end - at - 1));
	(void)printf(
	    "%.*s%ld%s\n", (int)(at - line), line, id_of(method), end + 1);
}

static void
hello(void)
{
	const char *config = getenv("CODEX_CONFIG");

	wait_for("\"method\":\"initialize\"");
	say("{\"id\":@initialize@,\"result\":{\"userAgent\":\"x\"}}");
	say("{\"method\":\"remoteControl/status/changed\",\"params\":{}}");
	(void)fflush(stdout);
	wait_for("model/list");
	(void)printf("{\"id\":%ld,\"result\":{\"config\":%s}}\n",
	    id_of("config/read"), config != NULL ? config : "{}");
	(void)printf("{\"id\":%ld,\"result\":{\"nextCursor\":\"c\",\"data\":"
		     "[{\"id\":\"m1\",\"displayName\":\"M 1\",\"isDefault\":"
		     "true,\"defaultReasoningEffort\":\"low\","
		     "\"supportedReasoningEfforts\":[{\"reasoningEffort\":"
		     "\"low\",\"description\":\"Quick\"},{\"reasoningEffort\":"
		     "\"ultra\"}]}]}}\n",
	    id_of("model/list"));
	(void)fflush(stdout);
	wait_for("\"cursor\":\"c\"");
	(void)printf("{\"id\":%ld,\"result\":{\"nextCursor\":null,\"data\":"
		     "[{\"id\":\"m2\",\"displayName\":\"M 2\"},{\"id\":"
		     "\"secret\",\"hidden\":true}]}}\n",
	    id_of("model/list"));
}

static void
start_thread(const char *id)
{
	long before = id_of("thread/start") + id_of("thread/resume");
	long now;

	if (str_copy(thread, sizeof(thread), id) == -1)
		exit(98);
	wait_for("\"method\":\"thread/");
	now = id_of("thread/start") + id_of("thread/resume") - before;
	(void)printf("{\"id\":%ld,\"result\":{\"thread\":{\"id\":\"%s\"},"
		     "\"model\":\"m1\",\"reasoningEffort\":null}}\n"
		     "{\"method\":\"thread/started\",\"params\":{\"thread\":"
		     "{\"id\":\"%s\"}}}\n",
	    before == 0 ? now
			: MAX(id_of("thread/start"), id_of("thread/resume")),
	    id, id);
}

static void
start_turn(const char *id)
{
	if (str_copy(turn_id, sizeof(turn_id), id) == -1)
		exit(98);
	wait_for("\"method\":\"turn/start\"");
	(void)printf("{\"id\":%ld,\"result\":{\"turn\":{\"id\":\"%s\","
		     "\"status\":\"inProgress\"}}}\n"
		     "{\"method\":\"thread/status/changed\",\"params\":{}}\n"
		     "{\"method\":\"turn/started\",\"params\":{\"threadId\":"
		     "\"%s\",\"turn\":{\"id\":\"%s\"}}}\n",
	    id_of("turn/start"), id, thread, id);
}

static void
act(const char *what)
{
	if (str_starts(what, "hello")) {
		hello();
	} else if (str_starts(what, "thread ")) {
		start_thread(what + 7);
	} else if (str_starts(what, "turn ")) {
		start_turn(what + 5);
	} else if (str_starts(what, "done ")) {
		(void)printf("{\"method\":\"turn/completed\",\"params\":{"
			     "\"threadId\":\"%s\",\"turn\":{\"id\":\"%s\","
			     "\"status\":\"%s\",\"error\":null,\"durationMs\":"
			     "5}}}\n",
		    thread, turn_id, what + 5);
	} else if (str_starts(what, "exit ")) {
		exit(atoi(what + 5));
	} else if (str_starts(what, "err ")) {
		(void)fprintf(stderr, "%s\n", what + 4);
	} else if (str_starts(what, "wait")) {
		for (;;)
			wait_for("\1");
	} else if (str_starts(what, "sleep ")) {
		(void)usleep((useconds_t)atoi(what + 6) * 1000);
	} else if (str_starts(what, "ignore")) {
		(void)signal(SIGTERM, SIG_IGN);
	} else if (str_starts(what, "deep ")) {
		out_many("{\"method\":", strtoul(what + 5, NULL, 10));
		(void)putchar('\n');
	} else if (str_starts(what, "long ")) {
		out_many("x", strtoul(what + 5, NULL, 10));
		(void)putchar('\n');
	} else if (str_starts(what, "big ")) {
		(void)printf("{\"method\":\"item/completed\",\"params\":{"
			     "\"item\":{\"type\":\"commandExecution\",\"id\":"
			     "\"b\",\"command\":\"c\",\"aggregatedOutput\":\"");
		out_many("\\u0007", strtoul(what + 4, NULL, 10) / 6);
		(void)printf("\"}}}\n");
	}
}

int
codex_stand_in(int argc, char **argv)
{
	const char *name = getenv("FIXTURE");
	FILE *f = fopen(name != NULL ? name : "", "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int i;

	played = fopen(getenv("REPLAY_LOG"), "ae");
	if (f == NULL || played == NULL)
		return 99;
	for (i = 2; i < argc; i++)
		(void)fprintf(
		    played, "%s%s", argv[i], i + 1 < argc ? " " : "\n");
	(void)fflush(played);
	while ((n = getline(&line, &room, f)) > 1) {
		line[n - 1] = '\0';
		(void)fflush(stdout);
		if (line[0] == '<')
			wait_for(line + 2);
		else if (line[0] == '>')
			say(line + 2);
		else if (line[0] == '!')
			act(line + 2);
		(void)fflush(stdout);
	}
	return 0;
}
