/*
 * Definitions of agents. One that is taken keeps what its table promises; one
 * that is refused is refused with at least one line, each of which names the
 * file and a line that it has.
 *
 * Input: the file.
 *
 * Also: src/supervisor/agent_check.c
 * Also: src/supervisor/agent_def.c
 * Also: src/supervisor/agent_env.c
 * Also: src/supervisor/json_line.c
 */
#include "fuzz.h"
#include "supervisor/agents.h"
#include <string.h>

static void
check_mistakes(const struct buf *b, unsigned lines)
{
	const char *at = b->data;

	CHECK(b->len > 0 && b->data[b->len - 1] == '\n');
	while (*at != '\0') {
		char *end;
		unsigned long line;

		CHECK(strncmp(at, "F:", 2) == 0);
		line = strtoul(at + 2, &end, 10);
		CHECK(line >= 1 && line <= lines);
		CHECK(strncmp(end, ": ", 2) == 0 && end[2] != '\n');
		at = strchr(at, '\n') + 1;
	}
}

static void
check_taken(const struct agent_def *a)
{
	struct json *j;

	CHECK(strcmp(a->id, "x") == 0 && a->name[0] != '\0');
	CHECK(a->rank >= 0 && a->rank <= AGENT_RANK_LAST);
	CHECK(json_parse(a->options, strlen(a->options), 4, &j, NULL) == 0);
	CHECK(j->type == JSON_ARRAY);
	json_free(j);
	CHECK(json_parse(
		  a->capabilities, strlen(a->capabilities), 2, &j, NULL) == 0);
	CHECK(j->len == 18);
	json_free(j);
	for (char **v = a->pass_env; v != NULL && *v != NULL; v++)
		CHECK(agent_env_pattern_ok(*v));
	for (char **v = a->env; v != NULL && *v != NULL; v++)
		CHECK(strchr(*v, '=') != NULL);
	CHECK(a->install == NULL || a->install->type == JSON_OBJECT);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct agent_text t = {
		.file = "F", .id = "x", .text = (const char *)data, .len = size
	};
	struct agent_def *a;
	struct buf mistakes;
	unsigned lines = 1;

	if (size > AGENT_FILE_MAX)
		return 0;
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	buf_init(&mistakes, AGENT_MISTAKES_MAX);
	a = agent_def_parse(&t, &mistakes);
	if (a != NULL) {
		CHECK(mistakes.len == 0);
		check_taken(a);
		agent_def_free(a);
	} else {
		check_mistakes(&mistakes, lines);
	}
	buf_free(&mistakes);
	return 0;
}
