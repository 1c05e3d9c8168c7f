/*
 * The store is killed at random points of a flood, again and again. After each
 * start every acknowledged event is there, once, in order and as it was sent;
 * what was not acknowledged is there as a whole append or not at all.
 */
#include "test_store_fixture.h"

#include <sys/random.h>

#define ROUNDS 200
#define WORKERS 4
#define WINDOW 3	/* appends of a worker under way */
#define EVENTS_MAX 40	/* of one append */
#define KILL_WITHIN 120 /* answers, all workers together */

struct flood {
	const char *session;
	int fd;
	int64_t sent, acked; /* sequences */
	int64_t id;
	int64_t under_way[WINDOW]; /* last sequences, oldest first */
	int n;
};

static uint64_t random_state;

static unsigned
random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 33) % n;
}

/* False when the store is gone. */
static bool
send_one(struct flood *w)
{
	int n = 1 + (int)random_below(EVENTS_MAX), rc;
	struct buf b;

	buf_init(&b, FRAME_MAX);
	fx_deltas(&b, ++w->id, w->sent + 1, n);
	if (random_below(3) == 0) {
		b.len--; /* the closing brace */
		(void)buf_addf(&b, ",\"set\":{\"checkpoint\":{\"at\":%lld}}}",
		    (long long)w->sent + n);
	}
	rc = fx_try_send(w->fd, b.data, b.len, NULL, 0);
	buf_free(&b);
	w->sent += n;
	w->under_way[w->n++] = w->sent;
	return rc == 0;
}

/* False at the end of file. */
static bool
take_answer(struct flood *w)
{
	struct json *j = fx_recv(w->fd);

	if (j == NULL)
		return false;
	assert_true(w->n > 0);
	assert_int_equal(
	    json_int(json_get(j, "ok"), "last", -1), w->under_way[0]);
	w->acked = w->under_way[0];
	memmove(w->under_way, w->under_way + 1,
	    (size_t)--w->n * sizeof(w->under_way[0]));
	json_free(j);
	return true;
}

/* Flood until the kill, then take what answers are still in the sockets. */
static void
flood_and_kill(struct fx *f, struct flood *w)
{
	unsigned left = random_below(KILL_WITHIN);
	struct pollfd p[WORKERS];
	int i;

	while (left > 0) {
		for (i = 0; i < WORKERS; i++) {
			while (w[i].n < WINDOW)
				assert_true(send_one(&w[i]));
			p[i] = (struct pollfd){ w[i].fd, POLLIN, 0 };
		}
		assert_true(poll(p, WORKERS, FX_TIMEOUT_MS) > 0);
		for (i = 0; i < WORKERS && left > 0; i++) {
			if (p[i].revents == 0)
				continue;
			assert_true(take_answer(&w[i]));
			left--;
		}
	}
	/* Somewhere in the work of what is under way. */
	for (i = 0; i < WORKERS; i++) {
		while (w[i].n < WINDOW)
			(void)send_one(&w[i]);
	}
	(void)poll(NULL, 0, (int)random_below(3));
	fx_kill(f);
	for (i = 0; i < WORKERS; i++) {
		while (w[i].n > 0 && take_answer(&w[i]))
			;
		(void)close(w[i].fd);
	}
}

/* Attach again; NEXT tells what of the unanswered was stored. */
static void
attach_again(struct fx *f, struct flood *w)
{
	int64_t next;
	bool whole;
	int i;

	w->fd = fx_attach(f, w->session, &next);
	assert_true(next - 1 >= w->acked);
	whole = next - 1 == w->acked;
	for (i = 0; i < w->n; i++)
		whole = whole || next - 1 == w->under_way[i];
	if (!whole)
		fail_msg("%s: %lld stored, which no append ends with",
		    w->session, (long long)next - 1);
	w->n = 0;
	w->acked = next - 1;
	w->sent = next - 1;
}

/* Every event up to LAST as it was sent. */
static void
history_is(struct fx *f, const struct flood *w)
{
	struct client c;
	struct json *j;
	char rest[200], text[24];
	int64_t seq;

	(void)snprintf(rest, sizeof(rest),
	    ",\"kind\":\"events\",\"raw\":true,\"session\":\"%s\"", w->session);
	fx_serve(f, &c, rest);
	for (seq = 1; seq <= w->acked; seq++) {
		j = client_line(&c);
		assert_int_equal(
		    json_int(json_get(j, "item"), "sequence", -1), seq);
		(void)snprintf(text, sizeof(text), "%lld", (long long)seq);
		assert_string_equal(
		    json_str(json_path(j, "item.data"), "delta", ""), text);
		assert_int_equal(json_path(j, "item.raw")->type, JSON_OBJECT);
		json_free(j);
	}
	client_final(f, &c, w->acked, w->acked, false);
}

/* The feed names every event once. */
static void
feed_is_whole(const struct fx *f, int64_t events)
{
	struct db_options opt = { f->dir, DURABILITY_FULL, f->map_bytes };
	struct db_figures fig;
	MDB_stat feed;
	MDB_txn *txn;
	struct err e;
	struct db db;

	assert_int_equal(db_open(&db, &opt, &e), 0);
	assert_int_equal(db_figures(&db, &fig, &e), 0);
	assert_int_equal(fig.events, events);
	assert_int_equal(db_read(&db, &txn, &e), 0);
	assert_int_equal(mdb_stat(txn, db.dbi[DB_FEED], &feed), 0);
	assert_int_equal(feed.ms_entries, events);
	db_read_done(&db);
	db_close(&db);
}

static void
survives_kills(void **state ATTR_UNUSED)
{
	static const char *const names[WORKERS] = { "s0", "s1", "s2", "s3" };
	struct flood w[WORKERS] = { 0 };
	int64_t all = 0;
	struct fx f;
	int round, i;

	fx_init(&f);
	f.durability = DURABILITY_FULL;
	f.map_bytes = 256 << 10; /* so that it also grows meanwhile */
	fx_start(&f);
	for (i = 0; i < WORKERS; i++) {
		w[i].session = names[i];
		fx_session(&f, w[i].session);
		attach_again(&f, &w[i]);
	}
	for (round = 0; round < ROUNDS; round++) {
		flood_and_kill(&f, w);
		fx_start(&f);
		for (i = 0; i < WORKERS; i++)
			attach_again(&f, &w[i]);
	}
	for (i = 0; i < WORKERS; i++) {
		history_is(&f, &w[i]);
		all += w[i].acked;
		(void)close(w[i].fd);
	}
	assert_int_equal(fx_stop(&f), EXIT_OK);
	feed_is_whole(&f, all);
	print_message(
	    "# %lld events through %d kills\n", (long long)all, ROUNDS);
	fx_remove(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_kills),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	(void)signal(SIGPIPE, SIG_IGN);
	if (getrandom(&random_state, sizeof(random_state), 0) == -1 ||
	    random_state == 0)
		random_state = 1;
	print_message("# seed %llu\n", (unsigned long long)random_state);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
