/*
 * Logs of sandboxes: notes of the supervisor and of a courier, hostile ones
 * included, readers of them, the log's end, and what a database of the former
 * schema becomes.
 */
#include "test_store_fixture.h"

#include "store/batch.h"
#include "store/notes.h"
#include "store/stored.h"

static void
box(struct fx *f, const char *id)
{
	char rec[160];

	(void)snprintf(
	    rec, sizeof(rec), "{\"id\":\"%s\",\"state\":\"creating\"}", id);
	fx_put(f, "sandboxes", id, rec);
}

static struct json *
note(struct fx *f, const char *id, const char *text, bool again)
{
	char rest[9000];

	(void)snprintf(rest, sizeof(rest),
	    ",\"sandbox\":\"%s\",\"at\":1234,\"note\":%s%s", id, text,
	    again ? ",\"again\":true" : "");
	return fx_call(f, "sandbox.note", rest);
}

/* The last entries of a log, as a client gets them; NULL: refused. */
static struct json *
history(struct fx *f, const char *id, int recent)
{
	char rest[200];
	struct json *j;
	struct err e;
	char line[65536];
	size_t n = 0;
	int64_t ask;
	int ours, theirs;

	assert_int_equal(fd_socketpair(&ours, &theirs, &e), 0);
	(void)fd_set_nonblock(ours, 0);
	(void)snprintf(rest, sizeof(rest),
	    ",\"kind\":\"history\",\"request\":\"1\",\"sandbox\":\"%s\","
	    "\"recent\":%d",
	    id, recent);
	ask = fx_ask(f, "serve", rest, theirs);
	while (n < sizeof(line) && (n == 0 || line[n - 1] != '\n'))
		assert_true(fx_read_all(ours, line + n, 1) && ++n > 0);
	fx_ok(fx_reply(f, ask));
	(void)close(ours);
	assert_int_equal(json_parse(line, n, 8, &j, &e), 0);
	if (json_get(j, "ok") != NULL)
		return j;
	json_free(j);
	return NULL;
}

static const struct json *
entry(const struct json *j, unsigned at)
{
	const struct json *list = json_path(j, "ok.events");

	json_foreach (it, list) {
		if (at-- == 0)
			return it;
	}
	return NULL;
}

/* "1:created 2:started": what the log holds. */
static void
is_log(struct fx *f, const char *id, const char *expect)
{
	struct json *j = history(f, id, 1000);
	struct buf b;

	assert_non_null(j);
	buf_init(&b, 65536);
	json_foreach (it, json_path(j, "ok.events"))
		(void)buf_addf(&b, "%s%d:%s", b.len > 0 ? " " : "",
		    (int)json_int(it, "seq", -1), json_str(it, "event", "?"));
	assert_string_equal(b.len > 0 ? b.data : "", expect);
	buf_free(&b);
	json_free(j);
}

static void
notes_of_the_supervisor(void **state ATTR_UNUSED)
{
	const struct json *it;
	struct json *j;
	struct fx f;

	fx_init(&f);
	fx_start(&f);
	fx_error(
	    note(&f, "none", "{\"event\":\"x\"}", false), "sandbox_not_found");
	assert_null(history(&f, "none", 5));
	box(&f, "b1");
	is_log(&f, "b1", "");
	fx_ok(note(&f, "b1",
	    "{\"event\":\"oom\",\"reason\":\"a \\\"word\\\"\",\"pid\":7,"
	    "\"all\":true,\"seq\":99,\"at\":1}",
	    false));
	j = history(&f, "b1", 5);
	it = entry(j, 0);
	assert_int_equal(json_int(it, "seq", 0), 1);
	assert_int_equal(json_int(it, "at", 0), 1234);
	assert_string_equal(json_str(it, "reason", ""), "a \"word\"");
	assert_int_equal(json_int(it, "pid", 0), 7);
	assert_true(json_bool(it, "all", false));
	json_free(j);
	/* The same again is the same, unless it was not said to be. */
	fx_ok(note(&f, "b1", "{\"event\":\"two\"}", false));
	fx_ok(note(&f, "b1", "{\"event\":\"two\"}", true));
	is_log(&f, "b1", "1:oom 2:two");
	fx_ok(note(&f, "b1", "{\"event\":\"two\"}", false));
	is_log(&f, "b1", "1:oom 2:two 3:two");
	fx_kill(&f);
	fx_start(&f);
	fx_ok(note(&f, "b1", "{\"event\":\"four\"}", true));
	is_log(&f, "b1", "1:oom 2:two 3:two 4:four");
	fx_remove(&f);
}

static void
what_no_note_is(void **state ATTR_UNUSED)
{
	static const char *const bad[] = {
		"{}",
		"{\"event\":\"\"}",
		"{\"event\":7}",
		"{\"event\":\"Up\"}",
		"{\"event\":\"a b\"}",
		"{\"event\":\"_a\"}",
		"{\"event\":\"abcdefghijabcdefghijabcdefghijabc\"}",
		"{\"event\":\"x\",\"a\":{}}",
		"{\"event\":\"x\",\"a\":[1]}",
		"{\"event\":\"x\",\"a\":null}",
		"{\"event\":\"x\",\"a\":1.5}",
		"{\"event\":\"x\",\"a\":1e99}",
		"{\"event\":\"x\",\"A\":1}",
		"{\"event\":\"x\",\"\":1}",
		"{\"event\":\"x\",\"a\":\"b\\u0000c\"}",
	};
	struct buf b;
	struct fx f;

	fx_init(&f);
	fx_start(&f);
	box(&f, "b1");
	for (size_t i = 0; i < countof(bad); i++)
		fx_error(note(&f, "b1", bad[i], false), "bad_request");
	buf_init(&b, 65536);
	(void)buf_adds(&b, "{\"event\":\"x\"");
	for (int i = 0; i < 25; i++)
		(void)buf_addf(&b, ",\"a%d\":1", i);
	(void)buf_adds(&b, "}");
	fx_error(note(&f, "b1", b.data, false), "bad_request");
	buf_clear(&b);
	(void)buf_addf(&b, "{\"event\":\"x\",\"a\":\"%01025d\"}", 0);
	fx_error(note(&f, "b1", b.data, false), "bad_request");
	buf_clear(&b);
	(void)buf_addf(&b,
	    "{\"event\":\"x\",\"a\":\"%01024d\",\"b\":\"%01024d\","
	    "\"c\":\"%01024d\",\"d\":\"%01024d\"}",
	    0, 0, 0, 0);
	fx_error(note(&f, "b1", b.data, false), "too_large");
	is_log(&f, "b1", "");
	buf_free(&b);
	fx_remove(&f);
}

static int
courier(struct fx *f, const char *id, const char *code)
{
	char rest[120];
	struct err e;
	struct json *j;
	int ours, theirs;

	assert_int_equal(fd_socketpair(&ours, &theirs, &e), 0);
	(void)fd_set_nonblock(ours, 0);
	(void)snprintf(rest, sizeof(rest), ",\"sandbox\":\"%s\"", id);
	j = fx_reply(f, fx_ask(f, "attach", rest, theirs));
	if (code != NULL)
		fx_error(j, code);
	else
		fx_ok(j);
	return ours;
}

static bool
closed(int fd)
{
	char c;

	return fx_readable(fd, FX_TIMEOUT_MS) && read(fd, &c, 1) <= 0;
}

static void
notes_of_the_courier(void **state ATTR_UNUSED)
{
	static const char *const breaches[] = {
		"{\"op\":\"note\",\"id\":1,\"note\":{\"event\":\"x\"}}",
		"{\"op\":\"note\"}",
		"{\"op\":\"note\",\"note\":{}}",
		"{\"op\":\"note\",\"note\":{\"event\":\"x\"},\"sandbox\":"
		"\"b2\"}",
		"{\"op\":\"sandbox.note\",\"id\":1,\"sandbox\":\"b2\",\"at\":1,"
		"\"note\":{\"event\":\"x\"}}",
		"{\"op\":\"put\",\"id\":1,\"db\":\"sandboxes\",\"key\":\"b2\","
		"\"record\":{}}",
		"{\"op\":\"append\",\"id\":1,\"first\":1,\"events\":[]}",
		"{\"id\":1,\"ok\":{}}",
		"{\"op\":\"note\",\"note\":{\"event\":\"\xff\"}}",
		"nonsense",
	};
	struct fx f;
	int fd, other;

	fx_init(&f);
	fx_start(&f);
	(void)close(courier(&f, "none", "sandbox_not_found"));
	box(&f, "b1");
	box(&f, "b2");
	other = courier(&f, "b2", NULL);
	for (size_t i = 0; i < countof(breaches); i++) {
		fd = courier(&f, "b1", NULL);
		fx_send(fd, breaches[i], NULL, 0);
		assert_true(closed(fd));
		(void)close(fd);
	}
	is_log(&f, "b1", "");
	/* Nobody else noticed, and each writes to its own. */
	fx_send(other,
	    "{\"op\":\"note\",\"note\":{\"event\":\"egress.denied\","
	    "\"host\":\"h\\u00e9\",\"port\":443}}",
	    NULL, 0);
	while (true) {
		struct json *j = history(&f, "b2", 5);
		bool there = entry(j, 0) != NULL;

		json_free(j);
		if (there)
			break;
	}
	is_log(&f, "b2", "1:egress.denied");
	is_log(&f, "b1", "");
	/* The end of the sandbox is the end of the channel. */
	fx_ok(fx_call(&f, "delete", ",\"db\":\"sandboxes\",\"key\":\"b2\""));
	assert_true(closed(other));
	(void)close(other);
	(void)close(courier(&f, "b2", "sandbox_not_found"));
	is_log(&f, "b2", "1:egress.denied");
	fx_remove(&f);
}

/* More than may come in is counted, not stored, and the store goes on. */
static void
a_courier_that_floods(void **state ATTR_UNUSED)
{
	struct json *j;
	int64_t dropped = 0, seen = 0;
	struct fx f;
	int fd;

	fx_init(&f);
	fx_start(&f);
	box(&f, "b1");
	fd = courier(&f, "b1", NULL);
	for (int i = 0; i < 5000; i++)
		fx_send(fd, "{\"op\":\"note\",\"note\":{\"event\":\"x\"}}",
		    NULL, 0);
	(void)close(fd);
	/* Each gap says how many are missing in it. */
	for (int tries = 0; tries < 5000 && seen + dropped < 5000; tries++) {
		seen = dropped = 0;
		j = history(&f, "b1", 1000);
		json_foreach (it, json_path(j, "ok.events")) {
			dropped += json_int(it, "count", 0);
			seen += json_get(it, "count") == NULL;
		}
		/* The answer holds the last thousand. */
		seen += json_int(json_get(j, "ok"), "last", 0) -
			(int64_t)json_path(j, "ok.events")->len;
		json_free(j);
	}
	assert_int_equal(seen + dropped, 5000);
	assert_true(dropped > 0 && seen >= 1000);
	fx_remove(&f);
}

/* One that is made anew under the name begins anew. */
static void
another_of_the_same_name(void **state ATTR_UNUSED)
{
	struct fx f;

	fx_init(&f);
	fx_start(&f);
	box(&f, "b1");
	fx_ok(note(&f, "b1", "{\"event\":\"old\"}", false));
	fx_ok(fx_call(&f, "delete", ",\"db\":\"sandboxes\",\"key\":\"b1\""));
	is_log(&f, "b1", "1:old");
	fx_ok(note(&f, "b1", "{\"event\":\"late\"}", false));
	is_log(&f, "b1", "1:old 2:late");
	box(&f, "b1");
	is_log(&f, "b1", "");
	fx_ok(note(&f, "b1", "{\"event\":\"new\"}", false));
	/* A record that changes keeps its log. */
	box(&f, "b1");
	is_log(&f, "b1", "1:new");
	fx_kill(&f);
	fx_start(&f);
	is_log(&f, "b1", "1:new");
	fx_remove(&f);
}

/* --- from the former schema ----------------------------------------------- */

static void
put(struct db *db, MDB_txn *txn, enum db_name table, const void *k, size_t kn,
    const void *v, size_t vn)
{
	MDB_val key = val(k, kn), value = val(v, vn);

	assert_int_equal(mdb_put(txn, db->dbi[table], &key, &value, 0), 0);
}

/* A database as version 1 wrote it: a session with three events, and a sandbox
 * whose record holds its history. */
static void
write_version_1(const struct fx *f)
{
	static const char rec[] =
	    "{\"id\":\"old\",\"state\":\"stopped\",\"changed_at\":77,"
	    "\"events\":[{\"at\":70,\"event\":\"created\"},{\"at\":71,"
	    "\"event\":\"stopped\",\"reason\":\"on request\"}],\"want\":true}";
	static const char session[] =
	    "{\"log\":1,\"id\":\"s\",\"state\":\"idle\"}";
	static const char event[] = "{\"sequence\":1,\"data\":{},\"raw\":null}";
	struct db_options opt = { f->dir, DURABILITY_FULL, f->map_bytes };
	uint64_t log_be = htobe64(1), be[2] = { htobe64(3), htobe64(50) }, g;
	char value[200], entry_1[17];
	struct event_key key;
	uint32_t len_be = htobe32(23);
	MDB_txn *txn;
	struct db db;
	struct err e;

	assert_int_equal(db_open(&db, &opt, &e), 0);
	assert_int_equal(mdb_txn_begin(db.env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_drop(txn, db.dbi[DB_SANDBOX_LOGS], 1), 0);
	put(&db, txn, DB_META, "schema", 6, "1", 1);
	put(&db, txn, DB_SANDBOXES, "old", 3, rec, strlen(rec));
	put(&db, txn, DB_SANDBOXES, "bad", 3, "{", 1);
	put(&db, txn, DB_SESSIONS, "s", 1, session, strlen(session));
	memcpy(entry_1, be, sizeof(be));
	entry_1[16] = 's';
	put(&db, txn, DB_LOGS, &log_be, 8, entry_1, 17);
	for (uint64_t i = 1; i <= 3; i++) {
		key = event_key(1, i);
		g = htobe64(i);
		memset(value, 0, 16);
		value[0] = 1;
		memcpy(value + 4, &len_be, sizeof(len_be));
		memcpy(value + 8, &g, sizeof(g));
		memcpy(value + 16, event, strlen(event));
		put(&db, txn, DB_EVENTS, &key, sizeof(key), value,
		    16 + strlen(event));
		put(&db, txn, DB_FEED, &g, sizeof(g), &key, sizeof(key));
	}
	assert_int_equal(db_counter_put(txn, &db, COUNTER_LOG, 2), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	db_close(&db);
}

static void
upgrades_a_version_1(void **state ATTR_UNUSED)
{
	struct db_options opt;
	struct json *j;
	int64_t next;
	MDB_val k = val("schema", 6), v;
	MDB_txn *txn;
	struct db db;
	struct err e;
	struct fx f;
	int w;

	fx_init(&f);
	write_version_1(&f);
	fx_start(&f);
	is_log(&f, "old", "1:created 2:stopped");
	j = history(&f, "old", 1);
	assert_int_equal(json_int(entry(j, 0), "at", 0), 71);
	assert_string_equal(json_str(entry(j, 0), "reason", ""), "on request");
	json_free(j);
	/* The record has kept the rest. */
	j = fx_call(&f, "load", ",\"db\":\"sandboxes\",\"after\":\"bad\"");
	assert_null(json_path(j, "ok.records.events"));
	assert_true(
	    json_bool(json_path(j, "ok.records")->child, "want", false));
	assert_null(json_get(json_path(j, "ok.records")->child, "events"));
	json_free(j);
	w = fx_attach(&f, "s", &next);
	assert_int_equal(next, 4);
	(void)close(w);
	fx_ok(note(&f, "old", "{\"event\":\"three\"}", false));
	box(&f, "new");
	fx_ok(note(&f, "new", "{\"event\":\"one\"}", false));
	is_log(&f, "old", "1:created 2:stopped 3:three");
	is_log(&f, "new", "1:one");
	assert_int_equal(fx_stop(&f), 0);
	f.pid = 0;
	opt = (struct db_options){ f.dir, DURABILITY_FULL, f.map_bytes };
	assert_int_equal(db_open(&db, &opt, &e), 0);
	assert_int_equal(db.totals.events, 3);
	assert_int_equal(db.totals.bytes, 3 * (16 + 35));
	assert_int_equal(db_read(&db, &txn, &e), 0);
	assert_int_equal(mdb_get(txn, db.dbi[DB_META], &k, &v), 0);
	assert_memory_equal(v.mv_data, "2", 1);
	db_read_done(&db);
	db_close(&db);
	fx_remove(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notes_of_the_supervisor),
		cmocka_unit_test(what_no_note_is),
		cmocka_unit_test(notes_of_the_courier),
		cmocka_unit_test(a_courier_that_floods),
		cmocka_unit_test(another_of_the_same_name),
		cmocka_unit_test(upgrades_a_version_1),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
