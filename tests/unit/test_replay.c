/*
 * What an agent that has forgotten is told: the end of a log in words.
 */
#include "lib/defs.h"
#include "lib/json.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include <stdlib.h>

#define ITEM(kind, role, content)                                           \
	"{\"type\":\"item.completed\",\"data\":{\"item\":{\"kind\":\"" kind \
	"\",\"role\":\"" role "\",\"content\":[" content "]}}}"
#define TEXT(s) "{\"type\":\"text\",\"text\":\"" s "\"}"
#define TURN(id) "{\"type\":\"turn.started\",\"data\":{\"turn_id\":\"" id "\"}}"

static char *
words(const char *events, int64_t max_events, int64_t max_chars)
{
	struct json *j = NULL;
	struct err e;
	char *w;

	if (json_parse(events, strlen(events), 64, &j, &e) == -1)
		fail_msg("%s", e.text);
	w = replay_words(j, max_events, max_chars, "turn_3");
	json_free(j);
	return w;
}

static size_t
count(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what)) != NULL) {
		n++;
		text += strlen(what);
	}
	return n;
}

static const char talk[] = "[" TURN("turn_1") "," ITEM(
    "message", "user", TEXT("My name is Ada.")) "," ITEM("message", "assistant",
    TEXT("Hello Ada.")) "," ITEM("tool_call", "assistant",
    "{\"type\":\"tool_call\",\"name\":\"Bash\",\"arguments\":"
    "\"{\\\"command\\\":\\\"ls\\\"}\",\"call_id\":\"c\"}") "," ITEM("tool_"
								    "result",
    "tool",
    "{\"type\":\"tool_result\",\"call_id\":\"c\",\"output\":"
    "\"a\\nb\"}") ","
		  "{\"type\":\"item.delta\",\"data\":{\"delta\":"
		  "\"unseen\"}}," ITEM("status", "system",
		      "{\"type\":\"status\",\"label\":\"x\"}") "," TURN("turn_"
									"3") "," ITEM("message",
		      "user", TEXT("now")) "]";

static void
tells_what_was_said(void **state)
{
	autofree char *w = words(talk, 50, 12000);

	(void)state;
	assert_non_null(w);
	assert_non_null(
	    strstr(w, "{\"kind\":\"message\",\"role\":\"user\",\"text\":"
		      "\"My name is Ada.\"}\n"));
	assert_non_null(strstr(w, "\"name\":\"Bash\""));
	/* A line of a result cannot pass for a line of ours. */
	assert_non_null(strstr(w, "a\\nb"));
	assert_int_equal(count(w, "\"kind\""), 4);
	/* Neither pieces nor news nor the message that is asked again. */
	assert_null(strstr(w, "unseen"));
	assert_null(strstr(w, "status"));
	assert_null(strstr(w, "\"now\""));
}

static void
keeps_to_its_limits(void **state)
{
	autofree char *two = words(talk, 2, 12000);
	autofree char *few = words(talk, 50, 150);

	(void)state;
	assert_non_null(two);
	assert_int_equal(count(two, "\"kind\""), 2);
	assert_non_null(strstr(two, "tool_result"));
	assert_null(strstr(two, "Ada"));
	assert_non_null(few);
	assert_in_range(count(few, "\"kind\""), 1, 2);
	assert_null(words(talk, 0, 12000));
	assert_null(words(talk, 50, 0));
	assert_null(words("[]", 50, 12000));
	assert_null(words("[" TURN("turn_3") "]", 50, 12000));
}

static void
cuts_long_texts(void **state)
{
	struct buf b;
	char *w;

	(void)state;
	buf_init(&b, 1u << 20);
	(void)buf_adds(&b, "[{\"type\":\"item.completed\",\"data\":{\"item\":"
			   "{\"kind\":\"message\",\"content\":[{\"type\":"
			   "\"text\",\"text\":\"");
	for (int i = 0; i < 50000; i++)
		(void)buf_adds(&b, "\\u00e9");
	(void)buf_adds(&b, "\"}]}}}]");
	w = words(b.data, 50, 12000);
	assert_non_null(w);
	assert_true(strlen(w) < 6000);
	assert_int_equal(utf8_valid_prefix(w, strlen(w)), strlen(w));
	free(w);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_what_was_said),
		cmocka_unit_test(keeps_to_its_limits),
		cmocka_unit_test(cuts_long_texts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
