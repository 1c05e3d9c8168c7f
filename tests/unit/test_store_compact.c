/*
 * Compaction beside readers. A reader of LMDB's opens the data before it takes
 * a lock, and then tells the lock file how far the data have come: if another
 * file has been put in their place between the two, the next store would take
 * that for empty.
 */
#include "lib/dbguard.h"
#include "store/compact.h"
#include "test_store_fixture.h"

#include <lmdb.h>
#include <sys/stat.h>

#define ROUNDS 40
#define CHUNK (1 << 20)

struct place {
	struct fx fx;
	int before_fd; /* the working directory of before */
};

static int
setup(void **state)
{
	static struct place p;

	fx_init(&p.fx);
	p.before_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(chdir(p.fx.dir), 0);
	*state = &p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;

	assert_int_equal(fchdir(p->before_fd), 0);
	fd_close(&p->before_fd);
	fx_remove(&p->fx);
	return 0;
}

static MDB_env *
env_open(unsigned flags)
{
	MDB_env *env;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_mapsize(env, (size_t)64 << 20), 0);
	assert_int_equal(
	    mdb_env_open(env, ".", flags | MDB_NOTLS | MDB_NOSYNC, 0600), 0);
	return env;
}

static void
put(MDB_env *env, const char *key, const char *value, size_t len)
{
	MDB_val k = { strlen(key), (void *)(uintptr_t)key };
	MDB_val v = { len, (void *)(uintptr_t)value };
	MDB_txn *txn;
	MDB_dbi dbi;

	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
	if (value != NULL)
		assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
	else
		assert_int_equal(mdb_del(txn, dbi, &k, NULL), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

/* A database with one record, many transactions and much that is free. */
static void
churn(unsigned round)
{
	static char chunk[CHUNK];
	MDB_env *env = env_open(0);
	char number[16];

	(void)snprintf(number, sizeof(number), "%u", round);
	put(env, "round", number, strlen(number));
	for (int i = 0; i < 2; i++) {
		put(env, "chunk", chunk, sizeof(chunk));
		put(env, "chunk", NULL, 0);
	}
	mdb_env_close(env);
}

static void
expect_round(unsigned round)
{
	MDB_env *env = env_open(0);
	MDB_val k = { 5, (void *)(uintptr_t) "round" }, v;
	char number[16];
	MDB_txn *txn;
	MDB_dbi dbi;

	(void)snprintf(number, sizeof(number), "%u", round);
	assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
	assert_int_equal(mdb_get(txn, dbi, &k, &v), 0);
	assert_int_equal(v.mv_size, strlen(number));
	assert_memory_equal(v.mv_data, number, v.mv_size);
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

static off_t
size_now(void)
{
	struct stat st;

	assert_int_equal(stat("data.mdb", &st), 0);
	return st.st_size;
}

/* --- the guard ---------------------------------------------------------------
 */

static void
test_not_while_one_comes(void **state)
{
	off_t large;
	struct err e;
	int fd;

	(void)state;
	churn(1);
	large = size_now();
	fd = dbguard_share(".");
	assert_true(fd >= 0);
	assert_int_equal(compact_here(1, &e), 0);
	assert_int_equal(size_now(), large);
	fd_close(&fd);
	assert_int_equal(compact_here(1, &e), 0);
	assert_true(size_now() < large / 4);
	expect_round(1);
}

static void
test_not_while_one_has_it(void **state)
{
	struct err e;
	off_t large;
	int fd, to[2];
	char c;
	pid_t pid;

	(void)state;
	churn(1);
	large = size_now();
	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* Letting go of the guard must not let go of LMDB's lock. */
		fd = dbguard_share(".");
		(void)env_open(MDB_RDONLY);
		fd_close(&fd);
		(void)!write(to[1], "", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(to[0], &c, 1), 1);
	assert_int_equal(compact_here(1, &e), 0);
	assert_int_equal(size_now(), large);
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(compact_here(1, &e), 0);
	assert_true(size_now() < large / 4);
	(void)close(to[0]);
	(void)close(to[1]);
}

static void
test_who_reads_waits(void **state)
{
	int fd, to[2];
	pid_t pid;

	(void)state;
	churn(1);
	fd = dbguard_alone(".");
	assert_true(fd >= 0);
	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fd_close(&fd);
		if (dbguard_share(".") >= 0)
			(void)!write(to[1], "", 1);
		_exit(0);
	}
	assert_false(fx_readable(to[0], 200));
	fd_close(&fd);
	assert_true(fx_readable(to[0], FX_TIMEOUT_MS));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(to[0]);
	(void)close(to[1]);
}

/* --- both at once
 * -------------------------------------------------------------- */

/* What a gateway does at its start, again and again. */
static void
read_for_ever(void)
{
	for (;;) {
		int fd = dbguard_share(".");
		MDB_env *env;

		if (fd < 0)
			_exit(1);
		if (mdb_env_create(&env) != 0 ||
		    mdb_env_open(env, ".", MDB_RDONLY | MDB_NOTLS, 0600) != 0)
			_exit(2);
		fd_close(&fd);
		mdb_env_close(env);
		(void)usleep(300); /* the other one's turn */
	}
}

static void
test_nothing_is_lost(void **state)
{
	unsigned smaller = 0;
	struct err e;
	off_t large;
	pid_t pid;

	(void)state;
	churn(0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		read_for_ever();
	for (unsigned i = 1; i <= ROUNDS; i++) {
		churn(i);
		large = size_now();
		for (int try = 0; try < 50 && size_now() == large; try++)
			assert_int_equal(compact_here(1, &e), 0);
		smaller += size_now() < large;
		expect_round(i);
	}
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(smaller > 0);
}

/* A reader that knows nothing of the guard has done the harm. */
static void
test_lock_file_of_another(void **state)
{
	struct db_options opt = {
		.path = ".", .durability = DURABILITY_NONE, .map_bytes = 1 << 20
	};
	struct db db;
	struct err e;
	int to[2];
	char c;
	pid_t pid;

	(void)state;
	assert_int_equal(db_open(&db, &opt, &e), 0);
	db_close(&db);
	for (unsigned i = 0; i < 8; i++)
		churn(i);
	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)env_open(MDB_RDONLY);
		(void)!write(to[1], "", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(to[0], &c, 1), 1);
	{
		MDB_env *env = env_open(MDB_RDONLY | MDB_NOLOCK);

		assert_int_equal(mkdir("fresh", 0700), 0);
		assert_int_equal(
		    mdb_env_copy2(env, "fresh", MDB_CP_COMPACT), 0);
		mdb_env_close(env);
		assert_int_equal(rename("fresh/data.mdb", "data.mdb"), 0);
		assert_int_equal(rmdir("fresh"), 0);
	}
	assert_int_equal(db_open(&db, &opt, &e), -1);
	assert_non_null(strstr(e.text, "of another database"));
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(db_open(&db, &opt, &e), 0); /* alone, it mends that */
	db_close(&db);
	expect_round(7);
	(void)close(to[0]);
	(void)close(to[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_not_while_one_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_not_while_one_has_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_who_reads_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_nothing_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_lock_file_of_another, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
