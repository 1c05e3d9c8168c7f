/*
 * The store's map as gateways read it, and the notices that tell them to: a
 * real store, the gateway's own reading, and feeds that are read, not read, or
 * broken.
 */
#include "test_store_fixture.h"

#include "gateway/db.h"

/* --- feeds --------------------------------------------------------------- */

static int
feed(struct fx *f)
{
	struct json *j;
	struct err e;
	int near, far;

	assert_int_equal(fd_socketpair(&near, &far, &e), 0);
	(void)fd_set_nonblock(near, 0);
	fx_ok(fx_reply(f, fx_ask(f, "feed", "", far)));
	/* The first thing it is told is to look everywhere. */
	j = fx_recv(near);
	assert_string_equal(json_str(j, "op", ""), "grew");
	assert_true(json_bool(j, "all", false));
	json_free(j);
	return near;
}

/* Wait for a notice that LOG has grown up to LAST; false when the feed says
 * `all` before. */
static bool
grew(int fd, int64_t log, int64_t last)
{
	int64_t l, n;
	struct json *j;
	bool all, hit = false;

	while (!hit) {
		j = fx_recv(fd);
		assert_non_null(j);
		all = json_bool(j, "all", false);
		json_foreach (pair, json_get(j, "logs")) {
			assert_int_equal(pair->len, 2);
			assert_int_equal(json_number_int(pair->child, &l), 0);
			assert_int_equal(
			    json_number_int(pair->child->next, &n), 0);
			hit = hit || (l == log && n == last);
		}
		json_free(j);
		if (all)
			return false;
	}
	return true;
}

static void
tells_each(void **state ATTR_UNUSED)
{
	struct fx f;
	int a, b, w1, w2;
	int64_t next;

	fx_init(&f);
	fx_start(&f);
	fx_session(&f, "s1");
	fx_session(&f, "s2");
	w1 = fx_attach(&f, "s1", &next);
	w2 = fx_attach(&f, "s2", &next);
	a = feed(&f);
	b = feed(&f);
	fx_append(w1, 1, 1, 3);
	assert_true(grew(a, 1, 3));
	assert_true(grew(b, 1, 3));
	fx_append(w2, 1, 1, 500);
	assert_true(grew(b, 2, 500));
	(void)close(b);
	fx_append(w1, 2, 4, 1);
	assert_true(grew(a, 2, 500));
	assert_true(grew(a, 1, 4));
	/* A gateway has nothing to say. */
	b = feed(&f);
	fx_send(b, "{\"op\":\"grew\",\"logs\":[]}", NULL, 0);
	assert_null(fx_recv(b));
	(void)close(b);
	fx_append(w1, 3, 5, 1);
	assert_true(grew(a, 1, 5));
	(void)close(a);
	(void)close(w1);
	(void)close(w2);
	assert_int_equal(fx_stop(&f), 0);
	fx_remove(&f);
}

static void
one_that_does_not_read(void **state ATTR_UNUSED)
{
	struct fx f;
	int64_t next;
	int a, w, i, notices = 0;
	bool told = false;

	fx_init(&f);
	fx_start(&f);
	fx_session(&f, "s1");
	w = fx_attach(&f, "s1", &next);
	a = feed(&f);
	for (i = 1; i <= 12000; i++)
		fx_append(w, i, i, 1);
	/* What it had room for, and then that it has missed something. */
	while (!told) {
		struct json *j = fx_recv(a);

		assert_non_null(j);
		told = json_bool(j, "all", false);
		notices++;
		json_free(j);
	}
	assert_true(notices < 12000);
	fx_append(w, 12001, 12001, 1);
	assert_true(grew(a, 1, 12001));
	(void)close(a);
	(void)close(w);
	assert_int_equal(fx_stop(&f), 0);
	fx_remove(&f);
}

/* --- reading ------------------------------------------------------------- */

struct seen {
	uint64_t n, stop;
};

static bool
count_event(void *ctx, uint64_t sequence, const struct stored_event *ev)
{
	struct seen *s = ctx;
	char head[64];
	int len;

	if (s->stop != 0 && sequence > s->stop)
		return false;
	len = snprintf(head, sizeof(head), "{\"event_id\":\"evt_%llu\",",
	    (unsigned long long)sequence);
	assert_memory_equal(ev->text, head, (size_t)len);
	s->n++;
	return true;
}

static uint64_t
events(struct db *db, uint64_t log, uint64_t after, uint64_t stop)
{
	struct seen s = { .stop = stop };
	uint64_t at = after;
	struct err e;

	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(db_events(db, log, &at, count_event, &s, &e), 0);
	db_end(db);
	assert_int_equal(at, after + s.n);
	return s.n;
}

static void
reads_what_is_stored(void **state ATTR_UNUSED)
{
	struct db_session s;
	uint64_t cursor = UINT64_MAX;
	const char *id, *text;
	size_t len;
	int64_t next;
	struct db *db;
	struct err e;
	struct fx f;
	int w;

	fx_init(&f);
	fx_start(&f);
	fx_session(&f, "s1");
	fx_session(&f, "s2");
	fx_put(&f, "sandboxes", "box", "{\"id\":\"box\"}");
	w = fx_attach(&f, "s2", &next);
	fx_append(w, 1, 1, 100);
	assert_int_equal(db_open_env(&db, f.dir, &e), 0);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(db_begin(db, &e), 0); /* it nests */
	assert_true(db_session(db, "s2", &s));
	assert_int_equal(s.log, 2);
	assert_int_equal(s.last, 100);
	assert_true(s.updated_ms > 0);
	assert_false(db_session(db, "s3", &s));
	assert_false(db_session(db, "", &s));
	db_end(db);
	assert_true(db_session_next(db, &cursor, &id, &len, &s));
	assert_memory_equal(id, "s2", 2);
	assert_true(db_session_next(db, &cursor, &id, &len, &s));
	assert_memory_equal(id, "s1", 2);
	assert_int_equal(s.last, 0);
	assert_false(db_session_next(db, &cursor, &id, &len, &s));
	assert_true(db_record(db, "sandboxes", "box", &text, &len));
	assert_memory_equal(text, "{\"id\":\"box\"}", len);
	assert_false(db_record(db, "sandboxes", "bo", &text, &len));
	assert_false(db_record(db, "meta", "schema", &text, &len));
	db_end(db);
	assert_int_equal(events(db, 2, 0, 0), 100);
	assert_int_equal(events(db, 2, 90, 0), 10);
	assert_int_equal(events(db, 2, 90, 95), 5);
	assert_int_equal(events(db, 2, 100, 0), 0);
	assert_int_equal(events(db, 2, UINT64_MAX, 0), 0);
	assert_int_equal(events(db, 1, 0, 0), 0);
	assert_int_equal(events(db, 99, 0, 0), 0);
	db_close_env(db);
	(void)close(w);
	assert_int_equal(fx_stop(&f), 0);
	fx_remove(&f);
}

/* The map grows, and the store dies and comes back, while it is being read. */
static void
goes_on_reading(void **state ATTR_UNUSED)
{
	int64_t next;
	struct db *db;
	struct err e;
	struct fx f;
	int w, i, at = 0, round;

	fx_init(&f);
	f.map_bytes = (size_t)256 << 10;
	fx_start(&f);
	fx_session(&f, "s1");
	assert_int_equal(db_open_env(&db, f.dir, &e), 0);
	for (round = 0; round < 4; round++) {
		w = fx_attach(&f, "s1", &next);
		assert_int_equal(next, at + 1);
		for (i = 0; i < 12; i++) {
			fx_append(w, i + 1, at + 1, 500);
			at += 500;
			assert_int_equal(
			    events(db, 1, (uint64_t)at - 500, 0), 500);
		}
		fx_kill(&f);
		(void)close(w);
		assert_int_equal(events(db, 1, 0, 0), at);
		fx_start(&f);
	}
	assert_int_equal(events(db, 1, 0, 0), at);
	db_close_env(db);
	assert_int_equal(fx_stop(&f), 0);
	fx_remove(&f);
}

/* --- readers that were killed -------------------------------------------- */

struct find {
	pid_t pid;
	bool found;
};

static int
look_for(const char *line, void *ctx)
{
	struct find *f = ctx;

	f->found = f->found || strtol(line, NULL, 10) == f->pid;
	return 0;
}

static bool
is_reader(const char *dir, pid_t pid)
{
	struct find find = { .pid = pid };
	MDB_env *env;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(
	    mdb_env_open(env, dir, MDB_RDONLY | MDB_NOTLS, 0640), 0);
	assert_true(mdb_reader_list(env, look_for, &find) >= 0);
	mdb_env_close(env);
	return find.found;
}

static void
forgets_dead_readers(void **state ATTR_UNUSED)
{
	int64_t end_ms = now_monotonic_ms() + FX_TIMEOUT_MS;
	int fd, ready[2];
	struct db *db;
	struct err e;
	struct fx f;
	pid_t pid;
	char c;

	fx_init(&f);
	fx_start(&f);
	fx_session(&f, "s1");
	fd = feed(&f);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		/* A gateway in the midst of reading. */
		if (db_open_env(&db, f.dir, &e) == -1 || db_begin(db, &e) == -1)
			_exit(1);
		(void)!write(ready[1], "x", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_true(is_reader(f.dir, pid));
	(void)close(fd); /* the child has the other copy */
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	while (is_reader(f.dir, pid) && now_monotonic_ms() < end_ms)
		(void)poll(NULL, 0, 20);
	assert_false(is_reader(f.dir, pid));
	(void)close(ready[0]);
	(void)close(ready[1]);
	assert_int_equal(fx_stop(&f), 0);
	fx_remove(&f);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_each),
		cmocka_unit_test(one_that_does_not_read),
		cmocka_unit_test(reads_what_is_stored),
		cmocka_unit_test(goes_on_reading),
		cmocka_unit_test(forgets_dead_readers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
