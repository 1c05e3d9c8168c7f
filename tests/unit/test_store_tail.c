/*
 * What a worker may read back: the end of its own log, within bounds.
 */
#include "test_store_fixture.h"

static struct json *
tail(int fd, int64_t events, int64_t bytes, const char *more)
{
	char text[200];

	(void)snprintf(text, sizeof(text),
	    "{\"op\":\"tail\",\"id\":9,\"events\":%lld,\"bytes\":%lld%s}",
	    (long long)events, (long long)bytes, more);
	return fx_append_text(fd, text);
}

static const struct json *
events_of(const struct json *reply)
{
	assert_int_equal(json_int(reply, "id", 0), 9);
	assert_non_null(json_path(reply, "ok.events"));
	return json_path(reply, "ok.events");
}

static void
the_last_ones_in_order(void **state ATTR_UNUSED)
{
	const struct json *list;
	struct json *j;
	int64_t next;
	struct fx f;
	int w, other;

	fx_init(&f);
	fx_start(&f);
	fx_session(&f, "s0");
	fx_session(&f, "s1");
	fx_session(&f, "s2");
	other = fx_attach(&f, "s0", &next);
	fx_append(other, 1, 1, 5);
	w = fx_attach(&f, "s1", &next);
	j = tail(w, 10, 1000, "");
	assert_int_equal(events_of(j)->len, 0);
	json_free(j);
	fx_append(w, 1, 1, 20);
	j = tail(w, 3, 100000, "");
	list = events_of(j);
	assert_int_equal(list->len, 3);
	assert_int_equal(json_int(list->child, "sequence", 0), 18);
	assert_int_equal(json_int(list->child->next->next, "sequence", 0), 20);
	assert_string_equal(
	    json_str(json_get(list->child, "data"), "delta", ""), "18");
	assert_null(json_get(list->child, "raw"));
	json_free(j);
	/* Its own and no more, however much it asks for. */
	j = tail(w, 100000, 900000, "");
	assert_int_equal(events_of(j)->len, 20);
	assert_int_equal(json_int(events_of(j)->child, "sequence", 0), 1);
	json_free(j);
	j = tail(w, 1, 100000, ",\"raw\":true");
	assert_non_null(json_path(events_of(j)->child, "raw.native"));
	json_free(j);
	/* Bytes bound it too; one that does not fit is not cut. */
	j = tail(w, 20, 1000, "");
	assert_in_range(events_of(j)->len, 1, 8);
	json_free(j);
	j = tail(w, 20, 1, "");
	assert_int_equal(events_of(j)->len, 0);
	json_free(j);
	/* The channel is as good as before. */
	fx_append(w, 2, 21, 1);
	(void)close(w);
	(void)close(other);
	fx_remove(&f);
}

static void
anything_else_is_a_breach(void **state ATTR_UNUSED)
{
	static const char *const bad[] = {
		"{\"op\":\"tail\",\"id\":9}",
		"{\"op\":\"tail\",\"id\":9,\"events\":0,\"bytes\":1}",
		"{\"op\":\"tail\",\"id\":9,\"events\":1,\"bytes\":900001}",
		"{\"op\":\"tail\",\"events\":1,\"bytes\":1}",
		"{\"op\":\"tail\",\"id\":9,\"events\":1,\"bytes\":1",
		"{\"op\":\"tail\",\"id\":9,\"events\":\"x\",\"bytes\":1}",
	};
	int64_t next;
	struct fx f;
	size_t i;
	int w;

	fx_init(&f);
	fx_start(&f);
	fx_session(&f, "s1");
	for (i = 0; i < countof(bad); i++) {
		w = fx_attach(&f, "s1", &next);
		fx_send(w, bad[i], NULL, 0);
		assert_null(fx_recv(w));
		(void)close(w);
	}
	fx_remove(&f);
}

/* What an agent can set is told apart by who reads it. */
static void
options_are_not_the_supervisors(void **state ATTR_UNUSED)
{
	struct json *j;
	int64_t next;
	struct fx f;
	int w;

	fx_init(&f);
	fx_start(&f);
	fx_session(&f, "s1");
	w = fx_attach(&f, "s1", &next);
	j = fx_append_text(w,
	    "{\"op\":\"append\",\"id\":1,\"first\":1,\"events\":[],"
	    "\"set\":{\"options\":[{\"id\":\"model\"}],\"version\":\"1.2\","
	    "\"agent_mode\":\"plan\",\"thought_level\":\"high\"}}");
	fx_ok(j);
	j = fx_call(&f, "load", ",\"db\":\"sessions\",\"after\":\"\"");
	assert_null(json_get(json_path(j, "ok.records")->child, "options"));
	assert_string_equal(
	    json_str(json_path(j, "ok.records")->child, "thought_level", ""),
	    "high");
	json_free(j);
	(void)close(w);
	w = fx_attach(&f, "s1", &next);
	fx_send(w,
	    "{\"op\":\"append\",\"id\":1,\"first\":1,\"events\":[],"
	    "\"set\":{\"options\":\"x\"}}",
	    NULL, 0);
	assert_null(fx_recv(w));
	(void)close(w);
	fx_remove(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_ones_in_order),
		cmocka_unit_test(anything_else_is_a_breach),
		cmocka_unit_test(options_are_not_the_supervisors),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
