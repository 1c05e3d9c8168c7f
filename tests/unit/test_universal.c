/*
 * The universal encoder and the outbox below it: what becomes of drafts that
 * an adapter may hand over in any order, length and encoding.
 */
#include "session/universal.h"

#include "lib/fdio.h"
#include "lib/frame.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define EVENTS_MAX 4096

struct stage {
	struct ev_loop *loop;
	struct outbox out;
	struct universal u;
	struct buf in;
	int fd; /* the store's end */
	struct json *roots[EVENTS_MAX];
	size_t nroots;
	const struct json *events[EVENTS_MAX];
	size_t n, longest;
	bool full;
};

static void
on_attached(void *ctx, int64_t next, const struct json *record)
{
	(void)ctx, (void)record;
	assert_int_equal(next, 1);
}

static void
on_set(void *ctx, struct jw *w)
{
	(void)ctx;
	jw_kstr(w, "state", "turn");
}

static void
on_full(void *ctx, bool full)
{
	struct stage *st = ctx;

	st->full = full;
}

static void
on_settled(void *ctx)
{
	(void)ctx;
}

static void
on_broken(void *ctx, const char *why)
{
	(void)ctx;
	fail_msg("broken: %s", why);
}

static const struct outbox_hooks hooks = { on_attached, on_set, on_full,
	on_settled, on_broken };

static void
answer(struct stage *st, const char *text)
{
	struct buf b;
	size_t at;

	buf_init(&b, 4096);
	at = frame_begin(&b);
	(void)buf_adds(&b, text);
	assert_int_equal(frame_end(&b, at), 0);
	assert_int_equal(fd_write_all(st->fd, b.data, b.len), 0);
	buf_free(&b);
}

static struct stage *
setup(void)
{
	struct stage *st = xcalloc(1, sizeof(*st));
	struct err e;
	int fd;

	st->loop = ev_loop_new(EVFLAG_AUTO);
	assert_non_null(st->loop);
	assert_int_equal(fd_socketpair(&st->fd, &fd, &e), 0);
	outbox_init(&st->out, st->loop, &hooks, st);
	outbox_connect(&st->out, fd);
	uni_init(&st->u, &st->out);
	buf_init(&st->in, 16u << 20);
	answer(st, "{\"op\":\"attached\",\"next\":1,\"record\":{}}");
	ev_run(st->loop, EVRUN_NOWAIT);
	return st;
}

static void
take_append(struct stage *st, struct json *m)
{
	char text[96];

	assert_int_equal(json_int(m, "first", 0), (int64_t)st->n + 1);
	json_foreach (ev, json_get(m, "events"))
		st->events[st->n++] = ev;
	assert_true(st->nroots < EVENTS_MAX && st->n < EVENTS_MAX);
	st->roots[st->nroots++] = m;
	assert_int_equal(str_format(text, sizeof(text),
			     "{\"id\":%lld,\"ok\":{\"last\":%zu}}",
			     (long long)json_int(m, "id", 0), st->n),
	    0);
	answer(st, text);
}

/* Be the store until all is stored. */
static void
collect(struct stage *st)
{
	const char *body;
	struct json *m;
	struct err e;
	ssize_t n;
	size_t len;
	char *room;
	int i;

	for (i = 0; i < 10000 && !outbox_settled(&st->out); i++) {
		ev_run(st->loop, EVRUN_NOWAIT);
		room = buf_reserve(&st->in, 65536);
		assert_non_null(room);
		n = recv(st->fd, room, 65536, MSG_DONTWAIT);
		if (n > 0)
			st->in.len += (size_t)n;
		while (frame_peek(st->in.data, st->in.len, FRAME_MAX, &body,
			   &len) == 1) {
			if (json_parse(body, len, 80, &m, &e) == -1)
				fail_msg("append: %s", e.text);
			st->longest = MAX(st->longest, len);
			buf_consume(&st->in, FRAME_HEADER + len);
			take_append(st, m);
		}
	}
	assert_true(outbox_settled(&st->out));
}

static void
teardown(struct stage *st)
{
	while (st->nroots > 0)
		json_free(st->roots[--st->nroots]);
	uni_free(&st->u);
	outbox_free(&st->out);
	ev_loop_destroy(st->loop);
	buf_free(&st->in);
	(void)close(st->fd);
	free(st);
}

static const char *
type_of(const struct stage *st, size_t i)
{
	assert_true(i < st->n);
	return json_str(st->events[i], "type", "");
}

static const struct json *
content_of(const struct stage *st, size_t i)
{
	return json_path(st->events[i], "data.item.content");
}

static struct item
message(const char *native, const struct part *p)
{
	return (struct item){ .native_id = native,
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = p,
		.nparts = p != NULL ? 1 : 0 };
}

static void
test_gaps_are_filled(void **state)
{
	struct stage *st = setup();
	struct part p = PART(PART_TEXT, "all of it");
	struct item it = message("m1", &p);

	(void)state;
	uni_item_completed(&st->u, &it, ITEM_COMPLETED);
	collect(st);
	assert_int_equal(st->n, 3);
	assert_string_equal(type_of(st, 0), "item.started");
	assert_string_equal(type_of(st, 1), "item.delta");
	assert_string_equal(type_of(st, 2), "item.completed");
	assert_true(json_bool(st->events[0], "synthetic", false));
	assert_true(json_bool(st->events[1], "synthetic", false));
	assert_false(json_bool(st->events[2], "synthetic", true));
	assert_string_equal(
	    json_str(json_path(st->events[0], "data.item"), "item_id", ""),
	    "itm_1");

	/* A delta of an item that nobody started. */
	uni_item_delta(&st->u, "m2", "hey", 3);
	uni_item_delta(&st->u, "m2", "", 0); /* nothing */
	assert_true(uni_item_close(&st->u, "m2", ITEM_COMPLETED));
	assert_false(uni_item_close(&st->u, "m2", ITEM_COMPLETED));
	collect(st);
	assert_int_equal(st->n, 6);
	assert_string_equal(
	    json_str(content_of(st, 5)->child, "text", ""), "hey");

	/* Started twice is started once; user messages get no delta. */
	it = message("m3", &p);
	it.role = ROLE_OF_USER;
	uni_item_started(&st->u, &it);
	uni_item_started(&st->u, &it);
	uni_item_completed(&st->u, &it, ITEM_COMPLETED);
	collect(st);
	assert_int_equal(st->n, 8);
	teardown(st);
}

static void
test_call_and_result_are_two(void **state)
{
	struct stage *st = setup();
	struct part call = { .type = PART_TOOL_CALL,
		.name = "t",
		.text = "{}",
		.len = 2,
		.word = "c1" };
	struct part result = {
		.type = PART_TOOL_RESULT, .text = "out", .len = 3, .word = "c1"
	};
	struct part text = PART(PART_TEXT, "inside");
	struct item it = { .native_id = "c1",
		.kind = ITEM_TOOL_CALL,
		.role = ROLE_OF_ASSISTANT,
		.parts = &call,
		.nparts = 1 };
	struct item sub = message("m", &text);

	(void)state;
	uni_item_completed(&st->u, &it, ITEM_COMPLETED);
	sub.parent = "c1";
	uni_item_completed(&st->u, &sub, ITEM_COMPLETED);
	it.kind = ITEM_TOOL_RESULT;
	it.role = ROLE_OF_TOOL;
	it.parts = &result;
	uni_item_completed(&st->u, &it, ITEM_COMPLETED);
	sub.native_id = "m2"; /* the call is over: no parent any more */
	uni_item_completed(&st->u, &sub, ITEM_COMPLETED);
	collect(st);
	assert_int_equal(st->n, 2 + 3 + 2 + 3);
	assert_string_equal(
	    json_str(json_path(st->events[2], "data.item"), "parent_id", ""),
	    "itm_1");
	assert_string_equal(
	    json_str(json_path(st->events[5], "data.item"), "item_id", ""),
	    "itm_3");
	assert_null(
	    json_str(json_path(st->events[7], "data.item"), "parent_id", NULL));
	teardown(st);
}

static void
test_long_texts(void **state)
{
	struct stage *st = setup();
	size_t size = 3u << 20, i, total = 0, deltas = 0;
	char *text = xmalloc(size + 1);
	struct part p = { .type = PART_TEXT, .text = text, .len = size };
	struct item it = message("m1", &p);
	const struct json *d;

	(void)state;
	/* Two bytes a character, so that every cut may fall into one. */
	for (i = 0; i < size; i += 2)
		memcpy(text + i, "\xc3\xa9", 3);
	text[0] = text[1] = 'x';
	uni_item_completed(&st->u, &it, ITEM_COMPLETED);
	collect(st);
	/* The deltas hold all of it, whole characters each. */
	for (i = 0; i < st->n; i++) {
		d = json_path(st->events[i], "data.delta");
		if (d == NULL)
			continue;
		deltas++;
		assert_memory_equal(d->str, text + total, d->len);
		total += d->len;
	}
	assert_int_equal(total, size);
	assert_true(deltas > 10);
	/* The content says what is missing. */
	assert_non_null(strstr(
	    json_str(content_of(st, st->n - 1)->child, "text", ""), "[cut: "));
	assert_true(st->longest <= FRAME_MAX);
	free(text);
	teardown(st);
}

static void
test_no_utf8(void **state)
{
	struct stage *st = setup();
	struct part p = {
		.type = PART_TEXT, .text = "a\xff\x00z\xc3", .len = 5
	};
	struct item it = message("\xfe", &p);

	(void)state;
	uni_item_completed(&st->u, &it, ITEM_COMPLETED);
	uni_error(&st->u, FROM_AGENT, "\x80", "bad \xf5 text", NULL);
	uni_unparsed(&st->u, "here", "why", NULL, "\xff\xfe{", 3);
	collect(st); /* parses strictly */
	assert_int_equal(st->n, 5);
	assert_string_equal(
	    json_str(st->events[4], "raw", ""), "\xef\xbf\xbd\xef\xbf\xbd{");
	teardown(st);
}

static void
test_raw(void **state)
{
	struct stage *st = setup();
	char *huge = xmalloc((1u << 20) + 3);
	struct part p = PART(PART_TEXT, "x");
	struct item it = message("m1", &p);

	(void)state;
	uni_raw(&st->u, "{\"n\":1.50}", 10);
	uni_item_completed(&st->u, &it, ITEM_COMPLETED);
	memset(huge, 'y', (1u << 20) + 2);
	huge[0] = huge[(1u << 20) + 1] = '"';
	huge[(1u << 20) + 2] = '\0';
	uni_raw(&st->u, huge, (1u << 20) + 2);
	it.native_id = "m2";
	uni_item_completed(&st->u, &it, ITEM_COMPLETED);
	uni_raw(&st->u, NULL, 0);
	collect(st);
	/* Fillers have none; numbers keep their text; what is too long is
	 * replaced by its beginning. */
	assert_int_equal(json_get(st->events[0], "raw")->type, JSON_NULL);
	assert_string_equal(
	    json_get(json_get(st->events[2], "raw"), "n")->str, "1.50");
	assert_true(
	    json_bool(json_get(st->events[5], "raw"), "truncated", false));
	assert_int_equal(json_int(json_get(st->events[5], "raw"), "bytes", 0),
	    (1u << 20) + 2);
	free(huge);
	teardown(st);
}

static void
test_json_parts_too_long(void **state)
{
	struct stage *st = setup();
	size_t size = 600000;
	char *json = xmalloc(size + 1);
	struct part p[2] = { { .type = PART_JSON, .text = json, .len = size },
		PART(PART_TEXT, "after") };
	struct item it = {
		.kind = ITEM_UNKNOWN, .role = ROLE_OF_N, .parts = p, .nparts = 2
	};

	(void)state;
	memset(json, ' ', size);
	json[0] = '[';
	json[size - 1] = ']';
	json[size] = '\0';
	uni_item_completed(&st->u, &it, ITEM_COMPLETED);
	uni_permission(
	    &st->u, FROM_AGENT, false, "id", "act", "requested", json);
	collect(st);
	assert_true(json_bool(
	    json_get(content_of(st, 1)->child, "json"), "truncated", false));
	assert_string_equal(
	    json_str(content_of(st, 1)->child->next, "text", ""), "after");
	assert_null(
	    json_str(json_path(st->events[1], "data.item"), "role", NULL));
	assert_true(json_bool(
	    json_path(st->events[2], "data.metadata"), "truncated", false));
	free(json);
	teardown(st);
}

static void
test_many_open(void **state)
{
	struct stage *st = setup();
	struct part p = PART(PART_TEXT, "");
	char id[32];
	int i;

	(void)state;
	for (i = 0; i < OPEN_ITEMS_MAX + 3; i++) {
		struct item it = message(id, &p);

		assert_int_equal(str_format(id, sizeof(id), "m%d", i), 0);
		uni_item_started(&st->u, &it);
		uni_item_delta(&st->u, id, id, strlen(id));
	}
	assert_int_equal(st->u.nopen, OPEN_ITEMS_MAX);
	uni_close_items(&st->u);
	assert_int_equal(st->u.nopen, 0);
	collect(st);
	assert_int_equal(st->n, 3 * (OPEN_ITEMS_MAX + 3));
	/* Each is closed as failed with what there was of it, in order. */
	assert_string_equal(type_of(st, st->n - 1), "item.completed");
	assert_string_equal(
	    json_str(
		json_path(st->events[st->n - 1], "data.item"), "status", ""),
	    "failed");
	assert_string_equal(
	    json_str(content_of(st, st->n - 1)->child, "text", ""), id);
	teardown(st);
}

static void
test_outbox_fills_and_relieves(void **state)
{
	struct stage *st = setup();
	char text[1001];
	int i;

	(void)state;
	memset(text, 'x', 1000);
	for (i = 0; i < 1000; i++)
		uni_item_delta(&st->u, "m", text, 1000);
	assert_true(st->full);
	assert_int_equal(outbox_last(&st->out), 1001);
	collect(st);
	assert_false(st->full);
	assert_int_equal(st->n, 1001);
	assert_true(st->nroots < 20); /* shared appends */
	teardown(st);
}

static void
count_stored(void *ctx, void *arg, const struct err *e)
{
	struct stage *st = ctx;
	size_t *at = arg;

	assert_null(e);
	*at = st->n;
}

static void
test_waiters(void **state)
{
	struct stage *st = setup();
	size_t one = 99, two = 99, three = 99;

	(void)state;
	outbox_when_stored(&st->out, count_stored, &one);
	assert_int_equal(one, 0); /* nothing was waiting */
	uni_error(&st->u, FROM_DAEMON, "c", "m", NULL);
	outbox_when_stored(&st->out, count_stored, &two);
	assert_int_equal(two, 99);
	ev_run(st->loop, EVRUN_NOWAIT); /* sent, not answered */
	uni_error(&st->u, FROM_DAEMON, "c", "m", NULL);
	outbox_when_stored(&st->out, count_stored, &three);
	collect(st);
	assert_int_equal(two, 1);
	assert_int_equal(three, 2);
	/* A change of the record alone is an append without events. */
	outbox_touch(&st->out);
	assert_false(outbox_settled(&st->out));
	collect(st);
	assert_int_equal(st->nroots, 3);
	assert_int_equal(st->n, 2);
	teardown(st);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gaps_are_filled),
		cmocka_unit_test(test_call_and_result_are_two),
		cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_no_utf8),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_json_parts_too_long),
		cmocka_unit_test(test_many_open),
		cmocka_unit_test(test_outbox_fills_and_relieves),
		cmocka_unit_test(test_waiters),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
