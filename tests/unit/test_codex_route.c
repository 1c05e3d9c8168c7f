/*
 * Lines between several sessions and one Codex: who gets what. There are no
 * processes here; what would be written is kept as text.
 */
#include "session/agents/codex_route.h"

#include "lib/buf.h"
#include "lib/defs.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agent_process.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CLIENTS 4 /* 0 is the server */

struct stage {
	struct route *r;
	struct buf got[CLIENTS]; /* a line each, with its end */
};

static void
to_client(void *ctx, unsigned client, const char *line, size_t len)
{
	struct stage *s = ctx;
	unsigned i;

	for (i = 1; i < CLIENTS; i++)
		if (client == 0 || client == i) {
			(void)buf_add(&s->got[i], line, len);
			(void)buf_addc(&s->got[i], '\n');
		}
}

static int
to_server(void *ctx, const char *line, size_t len)
{
	struct stage *s = ctx;

	(void)buf_add(&s->got[0], line, len);
	return buf_addc(&s->got[0], '\n');
}

static const struct route_ops ops = { .to_client = to_client,
	.to_server = to_server };

static int
setup(void **state)
{
	struct stage *s = xcalloc(1, sizeof(*s));
	unsigned i;

	for (i = 0; i < CLIENTS; i++)
		buf_init(&s->got[i], 64u << 20);
	s->r = route_new(&ops, s);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct stage *s = *state;
	unsigned i;

	route_free(s->r);
	for (i = 0; i < CLIENTS; i++)
		buf_free(&s->got[i]);
	free(s);
	return 0;
}

static void
from_client(struct stage *s, unsigned client, const char *line)
{
	assert_int_equal(
	    route_from_client(s->r, client, line, strlen(line), NULL), 0);
}

static void
from_server(struct stage *s, const char *line)
{
	route_from_server(s->r, line, strlen(line), strlen(line));
}

/* WHO has got exactly TEXT since it was asked last. */
static void
got(struct stage *s, unsigned who, const char *text)
{
	assert_string_equal(
	    s->got[who].data != NULL ? s->got[who].data : "", text);
	buf_clear(&s->got[who]);
	if (s->got[who].data != NULL)
		s->got[who].data[0] = '\0';
}

static void
forget(struct stage *s)
{
	unsigned i;

	for (i = 0; i < CLIENTS; i++) {
		buf_clear(&s->got[i]);
		if (s->got[i].data != NULL)
			s->got[i].data[0] = '\0';
	}
}

/* CLIENT starts thread ID; the server's number of that is N. */
static void
open_thread(struct stage *s, unsigned client, const char *id, int n)
{
	autofree char *answer = xasprintf(
	    "{\"id\":%d,\"result\":{\"thread\":{\"id\":\"%s\"}}}", n, id);

	from_client(s, client, "{\"method\":\"thread/start\",\"id\":5}");
	from_server(s, answer);
	forget(s);
}

/* CLIENT's thread ID gets a turn; the server's number of that is N. */
static void
open_turn(struct stage *s, unsigned client, const char *id, int n)
{
	autofree char *call = xasprintf("{\"method\":\"turn/start\",\"id\":6,"
					"\"params\":{\"threadId\":\"%s\"}}",
	    id);
	autofree char *answer = xasprintf("{\"id\":%d,\"result\":{}}", n);
	autofree char *news =
	    xasprintf("{\"method\":\"turn/started\",\"params\":{\"threadId\":"
		      "\"%s\",\"turn\":{\"id\":\"turn-%s\"}}}",
		id, id);

	from_client(s, client, call);
	from_server(s, answer);
	from_server(s, news);
	forget(s);
}

/* CLIENT takes thread A up, or waits to. */
static void
resume(struct stage *s, unsigned client)
{
	from_client(s, client,
	    "{\"method\":\"thread/resume\",\"id\":9,\"params\":{"
	    "\"threadId\":\"A\"}}");
}

/* Thread A starts child N. How long a line that was. */
static size_t
start_child(struct stage *s, int n)
{
	autofree char *line =
	    xasprintf("{\"method\":\"thread/started\",\"params\":{\"thread\":{"
		      "\"id\":\"c%d\",\"parentThreadId\":\"A\"}}}",
		n);

	from_server(s, line);
	return strlen(line);
}

static void
start_child_turn(struct stage *s, int n)
{
	autofree char *line = xasprintf(
	    "{\"method\":\"turn/started\",\"params\":{\"threadId\":\"c%d\","
	    "\"turn\":{\"id\":\"t\"}}}",
	    n);

	from_server(s, line);
}

static void
end_turn(struct stage *s)
{
	from_server(s, "{\"method\":\"turn/completed\",\"params\":{"
		       "\"threadId\":\"A\",\"turn\":{\"id\":\"turn-A\"}}}");
}

static void
test_ids(void **state)
{
	struct stage *s = *state;

	from_client(
	    s, 1, "{\"method\":\"m\",\"id\":7,\"params\":{\"n\":1.50}}");
	from_client(s, 2, "{\"method\":\"m\",\"id\":7}");
	from_client(s, 2, "{\"id\":\"seven\",\"method\":\"m\"}");
	got(s, 0,
	    "{\"method\":\"m\",\"id\":1,\"params\":{\"n\":1.50}}\n"
	    "{\"method\":\"m\",\"id\":2}\n{\"id\":3,\"method\":\"m\"}\n");
	assert_true(route_waits_ms(s->r, 3) == 0);
	/* In any order, each to whom it is, once, by its own name. */
	from_server(s, "{\"id\":3,\"result\":\"c\"}");
	from_server(s, "{\"error\":{\"code\":-1},\"id\":1}");
	from_server(s, "{\"id\":2,\"result\":\"b\"}");
	from_server(s, "{\"id\":2,\"result\":\"again\"}");
	from_server(s, "{\"id\":99,\"result\":\"never asked\"}");
	from_server(s, "{\"id\":\"2\",\"result\":\"a word\"}");
	from_server(s, "{\"id\":null,\"result\":\"nobody's\"}");
	got(s, 1, "{\"error\":{\"code\":-1},\"id\":7}\n");
	got(s, 2,
	    "{\"id\":\"seven\",\"result\":\"c\"}\n"
	    "{\"id\":7,\"result\":\"b\"}\n");
	got(s, 3, "");
}

static void
test_greeting(void **state)
{
	static const char hello[] = "{\"method\":\"initialize\",\"id\":1}";
	struct stage *s = *state;

	from_client(s, 1, hello);
	from_client(s, 2, "{\"method\":\"initialize\",\"id\":4}");
	got(s, 0, "{\"method\":\"initialize\",\"id\":1}\n");
	/* Who asked has gone: the others get it all the same. */
	route_leave(s->r, 1);
	from_server(s, "{\"id\":1,\"result\":{\"u\":\"x\"}}");
	got(s, 1, "");
	got(s, 2, "{\"id\":4,\"result\":{\"u\":\"x\"}}\n");
	from_client(s, 2, "{\"method\":\"initialized\"}");
	from_client(s, 3, hello);
	from_client(s, 3, "{\"method\":\"initialized\"}");
	got(s, 3, "{\"id\":1,\"result\":{\"u\":\"x\"}}\n");
	got(s, 0, "{\"method\":\"initialized\"}\n"); /* once */
}

static void
test_greeting_refused(void **state)
{
	struct stage *s = *state;

	from_client(s, 1, "{\"method\":\"initialize\",\"id\":1}");
	from_server(s, "{\"id\":1,\"error\":{\"message\":\"no\"}}");
	got(s, 1, "{\"id\":1,\"error\":{\"message\":\"no\"}}\n");
	forget(s);
	from_client(s, 2, "{\"method\":\"initialize\",\"id\":1}");
	got(s, 0, "{\"method\":\"initialize\",\"id\":2}\n");
}

static void
test_news(void **state)
{
	struct stage *s = *state;

	/* What comes before its thread's id is known waits for it. */
	from_client(s, 1, "{\"method\":\"thread/start\",\"id\":5}");
	from_client(s, 2, "{\"method\":\"thread/start\",\"id\":5}");
	from_server(
	    s, "{\"method\":\"early\",\"params\":{\"threadId\":\"B\"}}");
	got(s, 1, "");
	got(s, 2, "");
	from_server(s, "{\"id\":1,\"result\":{\"thread\":{\"id\":\"A\"}}}");
	from_server(s, "{\"id\":2,\"result\":{\"thread\":{\"id\":\"B\"}}}");
	got(s, 1, "{\"id\":5,\"result\":{\"thread\":{\"id\":\"A\"}}}\n");
	got(s, 2,
	    "{\"id\":5,\"result\":{\"thread\":{\"id\":\"B\"}}}\n"
	    "{\"method\":\"early\",\"params\":{\"threadId\":\"B\"}}\n");
	from_server(s, "{\"method\":\"n\",\"params\":{\"threadId\":\"A\"}}");
	from_server(s, "{\"method\":\"n\",\"params\":{\"threadId\":\"Z\"}}");
	from_server(
	    s, "{\"method\":\"n\",\"params\":{\"conversationId\":\"B\"}}");
	got(s, 1, "{\"method\":\"n\",\"params\":{\"threadId\":\"A\"}}\n");
	got(s, 2, "{\"method\":\"n\",\"params\":{\"conversationId\":\"B\"}}\n");
	from_server(s, "{\"method\":\"all\"}");
	got(s, 1, "{\"method\":\"all\"}\n");
	got(s, 3, "{\"method\":\"all\"}\n");
	/* An agent that A has started is A's, and nobody else's. */
	from_server(s, "{\"method\":\"thread/started\",\"params\":{\"thread\":{"
		       "\"id\":\"A2\",\"parentThreadId\":\"A\"}}}");
	forget(s);
	from_server(s, "{\"method\":\"n\",\"params\":{\"threadId\":\"A2\"}}");
	got(s, 1, "{\"method\":\"n\",\"params\":{\"threadId\":\"A2\"}}\n");
	got(s, 2, "");
	from_client(s, 2,
	    "{\"method\":\"turn/interrupt\",\"id\":8,\"params\":{"
	    "\"threadId\":\"A\"}}");
	got(s, 0, "");
	got(s, 2,
	    "{\"id\":8,\"error\":{\"code\":-32000,\"message\":\"another "
	    "session has this thread\"}}\n");
}

static void
test_asks(void **state)
{
	static const char ask[] =
	    "{\"method\":\"ask\",\"id\":0,\"params\":{\"threadId\":\"A\"}}";
	struct stage *s = *state;

	open_thread(s, 1, "A", 1);
	open_thread(s, 2, "B", 2);
	from_server(s, ask);
	got(s, 1,
	    "{\"method\":\"ask\",\"id\":0,\"params\":{\"threadId\":\"A\"}}\n");
	got(s, 2, "");
	from_client(s, 2, "{\"id\":0,\"result\":\"not yours\"}");
	from_client(s, 1, "{\"id\":1,\"result\":\"not asked\"}");
	got(s, 0, "");
	from_client(s, 1, "{\"id\":0,\"result\":\"yes\"}");
	from_client(s, 1, "{\"id\":0,\"result\":\"twice\"}");
	got(s, 0, "{\"id\":0,\"result\":\"yes\"}\n");
	/* Taken back. */
	from_server(s, ask);
	from_server(s, "{\"method\":\"serverRequest/resolved\",\"params\":{"
		       "\"threadId\":\"A\",\"requestId\":0}}");
	from_client(s, 1, "{\"id\":0,\"result\":\"late\"}");
	got(s, 0, "");
	/* Nobody's, and somebody's who goes. */
	from_server(
	    s, "{\"method\":\"ask\",\"id\":1,\"params\":{\"threadId\":\"Z\"}}");
	from_server(s, "{\"method\":\"ask\",\"id\":2}");
	assert_non_null(strstr(s->got[0].data, "{\"id\":1,\"error\":"));
	assert_non_null(strstr(s->got[0].data, "{\"id\":2,\"error\":"));
	forget(s);
	from_server(s, ask);
	route_leave(s->r, 1);
	assert_non_null(strstr(s->got[0].data, "{\"id\":0,\"error\":"));
}

static void
test_leaving(void **state)
{
	struct stage *s = *state;

	open_thread(s, 1, "A", 1);
	open_thread(s, 2, "B", 2);
	open_turn(s, 1, "A", 3);
	open_turn(s, 2, "B", 4);
	route_leave(s->r, 1);
	got(s, 0,
	    "{\"method\":\"turn/interrupt\",\"id\":5,\"params\":{"
	    "\"threadId\":\"A\",\"turnId\":\"turn-A\"}}\n");
	/* Who takes the thread up waits until that is done. */
	resume(s, 3);
	got(s, 0, "");
	from_server(s, "{\"id\":5,\"result\":{}}");
	from_server(
	    s, "{\"method\":\"delta\",\"params\":{\"threadId\":\"A\"}}");
	end_turn(s);
	got(s, 0,
	    "{\"method\":\"thread/backgroundTerminals/clean\",\"id\":7,"
	    "\"params\":{\"threadId\":\"A\"}}\n"
	    "{\"method\":\"thread/resume\",\"id\":6,\"params\":{\"threadId\":"
	    "\"A\"}}\n");
	got(s, 1, "");
	got(s, 2, "");
	got(s, 3, "");
	from_server(
	    s, "{\"method\":\"delta\",\"params\":{\"threadId\":\"A\"}}");
	got(s, 3, "{\"method\":\"delta\",\"params\":{\"threadId\":\"A\"}}\n");
	/* An idle thread is given up at once. */
	route_leave(s->r, 3);
	got(s, 0,
	    "{\"method\":\"thread/backgroundTerminals/clean\",\"id\":8,"
	    "\"params\":{\"threadId\":\"A\"}}\n"
	    "{\"method\":\"thread/unsubscribe\",\"id\":9,\"params\":{"
	    "\"threadId\":\"A\"}}\n");
}

/* A turn that does not end is waited for once. */
static void
test_stuck(void **state)
{
	struct stage *s = *state;

	open_thread(s, 1, "A", 1);
	open_turn(s, 1, "A", 2);
	/* Taken from one that is still there. */
	resume(s, 2);
	assert_non_null(strstr(s->got[0].data, "turn/interrupt"));
	assert_null(strstr(s->got[0].data, "thread/resume"));
	forget(s);
	from_server(
	    s, "{\"method\":\"delta\",\"params\":{\"threadId\":\"A\"}}");
	got(s, 1, "");
	got(s, 2, "");
	route_leave(s->r, 2);
	resume(s, 3);
	assert_non_null(strstr(s->got[0].data, "thread/resume"));
	from_server(
	    s, "{\"method\":\"delta\",\"params\":{\"threadId\":\"A\"}}");
	got(s, 3, "{\"method\":\"delta\",\"params\":{\"threadId\":\"A\"}}\n");
}

/* Of two that wait for one thread the first is told that it does so in vain. */
static void
test_two_wait(void **state)
{
	struct stage *s = *state;

	open_thread(s, 1, "A", 1);
	open_turn(s, 1, "A", 2);
	resume(s, 2);
	forget(s);
	resume(s, 3);
	got(s, 0, "");
	got(s, 2,
	    "{\"id\":9,\"error\":{\"code\":-32000,\"message\":\"another "
	    "session has this thread\"}}\n");
	end_turn(s);
	assert_non_null(strstr(s->got[0].data, "thread/resume"));
	from_server(s, "{\"method\":\"n\",\"params\":{\"threadId\":\"A\"}}");
	got(s, 2, "");
	got(s, 3, "{\"method\":\"n\",\"params\":{\"threadId\":\"A\"}}\n");
}

/* A thread's children that all run: the newest is not the one to be forgotten
 * while its news is told. */
static void
test_busy_children(void **state)
{
	struct stage *s = *state;
	size_t len;
	int i;

	open_thread(s, 1, "A", 1);
	for (i = 0; i < 2 * ROUTE_THREADS_MAX; i++) {
		forget(s);
		len = start_child(s, i);
		assert_int_equal(s->got[1].len, len + 1);
		start_child_turn(s, i);
	}
}

/* Nor one that somebody waits for, however many others have been left. */
static void
test_waited_for(void **state)
{
	struct stage *s = *state;
	int i;

	open_thread(s, 1, "A", 1);
	open_turn(s, 1, "A", 2);
	resume(s, 2); /* 3, and 4 interrupts */
	open_thread(s, 3, "B", 5);
	open_turn(s, 3, "B", 6);
	route_leave(s->r, 3);
	for (i = 0; i < 2 * ROUTE_THREADS_MAX; i++) {
		start_child(s, i);
		start_child_turn(s, i);
	}
	forget(s);
	end_turn(s);
	assert_non_null(s->got[0].data);
	assert_non_null(strstr(s->got[0].data, "thread/resume"));
}

/* A session that leaves before its turn, or its thread, has begun. */
static void
test_leaving_early(void **state)
{
	struct stage *s = *state;

	open_thread(s, 1, "A", 1);
	from_client(s, 1,
	    "{\"method\":\"turn/start\",\"id\":6,\"params\":{\"threadId\":"
	    "\"A\"}}");
	from_client(s, 1, "{\"method\":\"thread/start\",\"id\":7}");
	forget(s);
	route_leave(s->r, 1);
	got(s, 0, "");
	from_server(s, "{\"id\":3,\"result\":{\"thread\":{\"id\":\"A3\"}}}");
	assert_non_null(strstr(s->got[0].data, "thread/unsubscribe"));
	assert_null(strstr(s->got[0].data, "\"A\""));
	forget(s);
	from_server(s, "{\"id\":2,\"result\":{\"turn\":{\"id\":\"t\"}}}");
	from_server(s, "{\"method\":\"turn/started\",\"params\":{\"threadId\":"
		       "\"A\",\"turn\":{\"id\":\"t\"}}}");
	assert_non_null(strstr(s->got[0].data, "turn/interrupt"));
	got(s, 1, "");
}

static void
test_hostile(void **state)
{
	static const char *const odd[] = { "", "  ", "[]", "7", "\"x\"", "{}",
		"{\"id\":{}}", "{\"id\":[1],\"method\":\"m\"}",
		"{\"method\":7,\"id\":1}", "{\"method\":\"n\",\"params\":[]}",
		"{\"method\":\"thread/started\",\"params\":{\"thread\":7}}",
		"{\"method\":\"turn/started\",\"params\":{\"threadId\":7}}",
		"{\"id\":9223372036854775807,\"result\":1}",
		"{\"id\":1e400,\"result\":1}", "{\"id\":-1,\"result\":1}" };
	struct stage *s = *state;
	autofree char *deep = xmalloc(1001);
	autofree char *line = NULL;
	int i;

	open_thread(s, 1, "A", 1);
	for (i = 0; i < (int)countof(odd); i++) {
		from_server(s, odd[i]);
		(void)route_from_client(s->r, 2, odd[i], strlen(odd[i]), NULL);
	}
	forget(s);
	/* No JSON: all are told, and a session is done with. */
	memset(deep, '[', 1000);
	deep[1000] = '\0';
	from_server(s, deep);
	assert_int_equal(s->got[1].len, 1001);
	assert_int_equal(s->got[3].len, 1001);
	forget(s);
	from_server(s, "{\"a\":1,\"a\":2}");
	got(s, 1, "{\"a\":1,\"a\":2}\n");
	assert_int_equal(route_from_client(s->r, 2, deep, 1000, NULL), -1);
	assert_int_equal(route_from_client(s->r, 2, "{", 1, NULL), -1);
	route_from_server(s->r, "{\"me", 4, LINE_BYTES_MAX + 1);
	got(s, 2, "{\"a\":1,\"a\":2}\n{\"me\n");
	forget(s);
	/* Nothing grows without end: threads, requests, questions, stash. */
	for (i = 0; i < 3000; i++) {
		start_child(s, i);
		line = xasprintf("{\"method\":\"ask\",\"id\":%d,\"params\":{"
				 "\"threadId\":\"A\"}}",
		    i);
		from_server(s, line);
		free(line);
		line = xasprintf("{\"method\":\"n\",\"params\":{\"threadId\":"
				 "\"new%d\"}}",
		    i);
		from_server(s, line);
		free(STEAL(line));
		if (i == 100)
			from_client(
			    s, 3, "{\"method\":\"thread/start\",\"id\":1}");
		from_client(s, 2, "{\"method\":\"m\",\"id\":1}");
	}
	/* The thread itself is not forgotten for all those. */
	forget(s);
	from_server(s, "{\"method\":\"n\",\"params\":{\"threadId\":\"A\"}}");
	got(s, 1, "{\"method\":\"n\",\"params\":{\"threadId\":\"A\"}}\n");
	from_client(s, 2, "{\"method\":\"m\",\"id\":1}");
	got(s, 0, "");
	got(s, 2,
	    "{\"id\":1,\"error\":{\"code\":-32000,\"message\":\"too many "
	    "requests are open\"}}\n");
	/* Sessions that come, start turns that never begin, and go. */
	for (i = 0; i < 500; i++) {
		line = xasprintf("{\"method\":\"thread/resume\",\"id\":1,"
				 "\"params\":{\"threadId\":\"r%d\"}}",
		    i);
		from_client(s, 3, line);
		free(line);
		line = xasprintf("{\"method\":\"turn/start\",\"id\":2,"
				 "\"params\":{\"threadId\":\"r%d\"}}",
		    i);
		from_client(s, 3, line);
		free(STEAL(line));
		route_leave(s->r, 3);
	}
	route_leave(s->r, 1);
	route_leave(s->r, 2);
	route_leave(s->r, 2);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_ids),
		T(test_greeting),
		T(test_greeting_refused),
		T(test_news),
		T(test_asks),
		T(test_leaving),
		T(test_stuck),
		T(test_two_wait),
		T(test_busy_children),
		T(test_waited_for),
		T(test_leaving_early),
		T(test_hostile),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
