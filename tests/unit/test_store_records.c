/*
 * Requests of the supervisor: records, loading, removing, figures, the
 * schema's version, starting again.
 */
#include "test_store_fixture.h"

#include "store/schema.h"

static struct json *
load(struct fx *f, const char *db, const char *after)
{
	char rest[300];

	(void)snprintf(
	    rest, sizeof(rest), ",\"db\":\"%s\",\"after\":\"%s\"", db, after);
	return fx_call(f, "load", rest);
}

static const struct json *
first_record(const struct json *reply)
{
	const struct json *list = json_get(json_get(reply, "ok"), "records");

	return list != NULL ? list->child : NULL;
}

static void
puts_merge_and_last(void **state ATTR_UNUSED)
{
	const struct json *rec;
	struct json *j;
	struct fx f;

	fx_init(&f);
	fx_start(&f);
	fx_put(&f, "sandboxes", "box1",
	    "{\"id\":\"box1\",\"a\":1,\"later\":{\"x\":[1,2.50]},\"gone\":1}");
	fx_put(&f, "sandboxes", "box1",
	    "{\"a\":\"two\",\"gone\":null,\"never\":null,\"new\":true}");
	assert_int_equal(fx_stop(&f), EXIT_OK);
	fx_start(&f);
	j = load(&f, "sandboxes", "");
	rec = first_record(j);
	assert_int_equal(rec->len, 4);
	assert_string_equal(json_str(rec, "a", ""), "two");
	assert_true(json_bool(rec, "new", false));
	/* A number keeps its text, a member that we do not know stays. */
	assert_string_equal(
	    json_path(rec, "later.x")->child->next->str, "2.50");
	json_free(j);
	assert_int_equal(fx_stop(&f), EXIT_OK);
	fx_remove(&f);
}

static void
refuses_what_is_no_table_of_records(void **state ATTR_UNUSED)
{
	struct fx f;

	fx_init(&f);
	fx_start(&f);
	fx_error(fx_call(&f, "put",
		     ",\"db\":\"meta\",\"key\":\"schema\",\"record\":{}"),
	    "bad_request");
	fx_error(fx_call(&f, "put",
		     ",\"db\":\"events\",\"key\":\"x\",\"record\":{}"),
	    "bad_request");
	fx_error(load(&f, "logs", ""), "bad_request");
	fx_ok(fx_call(&f, "delete", ",\"db\":\"sandboxes\",\"key\":\"no\""));
	fx_remove(&f);
}

/* What the store keeps in a session's record is the store's. */
static void
session_members_are_the_stores(void **state ATTR_UNUSED)
{
	const struct json *rec;
	struct json *j;
	int64_t next, updated;
	struct fx f;
	int w;

	fx_init(&f);
	fx_start(&f);
	fx_put(&f, "sessions", "s1",
	    "{\"id\":\"s1\",\"log\":77,\"event_count\":5,\"last_sequence\":5,"
	    "\"updated_at\":1}");
	fx_put(&f, "sessions", "s2", "{\"id\":\"s2\"}");
	w = fx_attach(&f, "s2", &next);
	assert_int_equal(next, 1);
	fx_append(w, 1, 1, 3);
	fx_put(&f, "sessions", "s2",
	    "{\"log\":null,\"event_count\":null,\"state\":\"idle\"}");
	j = load(&f, "sessions", "");
	rec = first_record(j);
	assert_int_equal(json_int(rec, "log", 0), 1);
	assert_int_equal(json_int(rec, "event_count", -1), 0);
	updated = json_int(rec, "updated_at", 0);
	assert_true(llabs(updated - now_realtime_ms()) < 60000);
	rec = rec->next;
	assert_int_equal(json_int(rec, "log", 0), 2);
	assert_int_equal(json_int(rec, "event_count", -1), 3);
	assert_int_equal(json_int(rec, "last_sequence", -1), 3);
	assert_string_equal(json_str(rec, "state", ""), "idle");
	json_free(j);
	(void)close(w);
	fx_remove(&f);
}

/* Numbers of logs are not given again, whatever is removed. */
static void
removed_sessions_leave_nothing(void **state ATTR_UNUSED)
{
	struct json *j;
	int64_t next;
	struct fx f;
	int w, i, tries;

	fx_init(&f);
	fx_start(&f);
	fx_session(&f, "keep");
	w = fx_attach(&f, "keep", &next);
	fx_append(w, 1, 1, 5);
	(void)close(w);
	fx_session(&f, "s1");
	w = fx_attach(&f, "s1", &next);
	for (i = 0; i < 20; i++)
		fx_append(w, i + 1, i * 100 + 1, 100);
	fx_ok(fx_call(&f, "delete", ",\"db\":\"sessions\",\"key\":\"s1\""));
	/* Its worker is shut out. */
	assert_null(fx_recv(w));
	(void)close(w);
	/* A kill in the middle of the removal only delays it. */
	fx_kill(&f);
	fx_start(&f);
	for (tries = 0;; tries++) {
		assert_true(tries < 10000);
		j = fx_call(&f, "stats", "");
		next = json_int(json_get(j, "ok"), "events", -1);
		json_free(j);
		if (next == 5)
			break;
	}
	fx_session(&f, "s1");
	j = load(&f, "sessions", "keep");
	assert_int_equal(json_int(first_record(j), "log", 0), 3);
	json_free(j);
	w = fx_attach(&f, "s1", &next);
	assert_int_equal(next, 1);
	fx_append(w, 1, 1, 1);
	(void)close(w);
	fx_remove(&f);
}

/* More records than fit into a frame come in several answers. */
static void
loads_in_pieces(void **state ATTR_UNUSED)
{
	const struct json *list;
	char key[32], last[32] = "";
	struct json *j;
	struct buf b;
	struct fx f;
	bool more = true;
	int i, n = 0, answers = 0;

	fx_init(&f);
	fx_start(&f);
	buf_init(&b, FRAME_MAX);
	for (i = 0; i < 40; i++) {
		buf_clear(&b);
		(void)snprintf(key, sizeof(key), "box%02d", i);
		(void)buf_addf(
		    &b, "{\"id\":\"%s\",\"x\":\"%0100000d\"}", key, i);
		fx_put(&f, "sandboxes", key, b.data);
	}
	buf_free(&b);
	while (more) {
		j = load(&f, "sandboxes", last);
		list = json_get(json_get(j, "ok"), "records");
		json_foreach (it, list) {
			(void)snprintf(key, sizeof(key), "box%02d", n++);
			assert_string_equal(json_str(it, "id", ""), key);
			assert_int_equal(str_copy(last, sizeof(last), key), 0);
		}
		more = json_bool(json_get(j, "ok"), "more", true);
		json_free(j);
		assert_true(++answers < 40);
	}
	assert_int_equal(n, 40);
	assert_true(answers >= 4);
	fx_remove(&f);
}

static void
a_record_has_a_largest_size(void **state ATTR_UNUSED)
{
	struct json *j;
	struct buf b;
	struct fx f;

	fx_init(&f);
	fx_start(&f);
	buf_init(&b, FRAME_MAX);
	fx_put(&f, "sandboxes", "box1", "{\"id\":\"box1\"}");
	(void)buf_addf(&b,
	    ",\"db\":\"sandboxes\",\"key\":\"box1\","
	    "\"record\":{\"a\":\"%0600000d\"}",
	    0);
	fx_ok(fx_call(&f, "put", b.data));
	buf_clear(&b);
	(void)buf_addf(&b,
	    ",\"db\":\"sandboxes\",\"key\":\"box1\","
	    "\"record\":{\"b\":\"%0600000d\"}",
	    0);
	fx_error(fx_call(&f, "put", b.data), "too_large");
	buf_free(&b);
	j = load(&f, "sandboxes", "");
	assert_non_null(json_get(first_record(j), "a"));
	assert_null(json_get(first_record(j), "b"));
	json_free(j);
	fx_remove(&f);
}

/* What a worker keeps for itself is not for the supervisor's parser. */
static void
the_supervisor_never_sees_a_checkpoint(void **state ATTR_UNUSED)
{
	const struct json *rec;
	struct json *j;
	int64_t next;
	struct fx f;
	int w;

	fx_init(&f);
	fx_start(&f);
	fx_session(&f, "s1");
	w = fx_attach(&f, "s1", &next);
	fx_ok(fx_append_text(w,
	    "{\"op\":\"append\",\"id\":1,\"first\":1,\"events\":[],\"set\":{"
	    "\"state\":\"turn\",\"model\":\"m1\",\"checkpoint\":{\"a\":"
	    "[[[[[[[[[[1]]]]]]]]]]}}}"));
	(void)close(w);
	j = load(&f, "sessions", "");
	rec = first_record(j);
	assert_string_equal(json_str(rec, "state", ""), "turn");
	assert_string_equal(json_str(rec, "model", ""), "m1");
	assert_non_null(json_get(rec, "env"));
	assert_null(json_get(rec, "checkpoint"));
	json_free(j);
	fx_remove(&f);
}

static void
refuses_a_newer_schema(void **state ATTR_UNUSED)
{
	struct db db;
	MDB_txn *txn;
	MDB_val k = val("schema", 6), v = val("3", 1);
	struct db_options opt;
	struct json *j;
	struct err e;
	struct fx f;

	fx_init(&f);
	opt = (struct db_options){ f.dir, DURABILITY_FULL, f.map_bytes };
	assert_int_equal(db_open(&db, &opt, &e), 0);
	assert_int_equal(mdb_txn_begin(db.env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_put(txn, db.dbi[DB_META], &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	db_close(&db);
	fx_spawn(&f);
	j = fx_recv(f.fd);
	assert_string_equal(json_str(j, "op", ""), "log");
	assert_non_null(strstr(json_str(j, "line", ""), "schema 3"));
	json_free(j);
	assert_null(fx_recv(f.fd));
	assert_int_equal(fx_wait(&f), EXIT_NEWER);
	fx_remove(&f);
}

static void
a_broken_protocol_ends_it(void **state ATTR_UNUSED)
{
	struct fx f;

	fx_init(&f);
	fx_start(&f);
	fx_send(f.fd, "{\"op\":\"put\",\"id\":1}", NULL, 0);
	assert_null(fx_super_recv(&f));
	assert_int_equal(fx_wait(&f), EXIT_BUG);
	fx_start(&f);
	fx_send(f.fd, "{\"id\":1,\"ok\":{}}", NULL, 0);
	assert_null(fx_super_recv(&f));
	assert_int_equal(fx_wait(&f), EXIT_BUG);
	fx_remove(&f);
}

/* Reading and writing go on after the environment was opened again. */
static void
opens_again(void **state ATTR_UNUSED)
{
	struct db_options opt;
	uint64_t v;
	struct db db;
	MDB_txn *txn;
	struct err e;
	struct fx f;

	fx_init(&f);
	opt = (struct db_options){ f.dir, DURABILITY_FULL, f.map_bytes };
	assert_int_equal(db_open(&db, &opt, &e), 0);
	assert_int_equal(db_read(&db, &txn, &e), 0);
	db_read_done(&db);
	assert_int_equal(mdb_txn_begin(db.env, NULL, 0, &txn), 0);
	assert_int_equal(db_counter_put(txn, &db, COUNTER_LOG, 9), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	assert_int_equal(db_reopen(&db, &e), 0);
	assert_int_equal(db.next_log, 9);
	assert_int_equal(db_read(&db, &txn, &e), 0);
	assert_int_equal(db_counter_get(txn, &db, COUNTER_LOG, &v), 0);
	assert_int_equal(v, 9);
	db_read_done(&db);
	db_close(&db);
	fx_remove(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_merge_and_last),
		cmocka_unit_test(refuses_what_is_no_table_of_records),
		cmocka_unit_test(session_members_are_the_stores),
		cmocka_unit_test(removed_sessions_leave_nothing),
		cmocka_unit_test(loads_in_pieces),
		cmocka_unit_test(a_record_has_a_largest_size),
		cmocka_unit_test(the_supervisor_never_sees_a_checkpoint),
		cmocka_unit_test(refuses_a_newer_schema),
		cmocka_unit_test(a_broken_protocol_ends_it),
		cmocka_unit_test(opens_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
