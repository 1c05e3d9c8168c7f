/*
 * A power cut, imitated: what has been flushed is what is left. The store of
 * this test writes through calls of ours, which keep beside the database's file
 * a second one, with the content as of the last flush (and what was written
 * through descriptors that flush by themselves). The store is killed in the
 * midst of its work, and another one starts with the second file.
 *
 * With `full` every acknowledged event is in it; with `relaxed` all but those
 * of the last commit; with `none` the process's death alone loses nothing, and
 * there is nothing to be said about the second file.
 */
#include "test_store_fixture.h"

#include <sys/random.h>
#include <sys/syscall.h>

#define ROUNDS 25
#define FLUSHED "flushed.mdb"

/* --- the disk ------------------------------------------------------------- */

static unsigned flushes; /* in the store's process */

static bool
is_database(int fd)
{
	char link[40], path[200];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return false;
	path[n] = '\0';
	return strstr(path, "/data.mdb") != NULL;
}

/* All of the file as it is now. */
static void
keep_all(int fd)
{
	static char piece[1 << 16];
	int to = open(
	    FLUSHED ".part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, piece, sizeof(piece), at)) > 0) {
		if (write(to, piece, (size_t)n) != n)
			abort();
		at += n;
	}
	(void)close(to);
	if (rename(FLUSHED ".part", FLUSHED) == -1)
		abort();
}

static int
flushed(int fd, int rc)
{
	if (rc == 0 && is_database(fd)) {
		flushes++;
		keep_all(fd);
	}
	return rc;
}

int fdatasync(int fd);
int
fdatasync(int fd)
{
	return flushed(fd, (int)syscall(SYS_fdatasync, fd));
}

int fsync(int fd);
int
fsync(int fd)
{
	return flushed(fd, (int)syscall(SYS_fsync, fd));
}

static ssize_t
written(int fd, const void *p, size_t n, off_t at)
{
	ssize_t rc = syscall(SYS_pwrite64, fd, p, n, at);
	int to;

	if (rc <= 0 || (fcntl(fd, F_GETFL) & O_DSYNC) == 0 || !is_database(fd))
		return rc;
	to = open(FLUSHED, O_WRONLY | O_CLOEXEC);
	if (to != -1 &&
	    syscall(SYS_pwrite64, to, p, (size_t)rc, at) != (long)rc)
		abort();
	if (to != -1)
		(void)close(to);
	return rc;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	return written(fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at);
ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	return written(fd, p, n, (off_t)at);
}

/* --- cuts -------------------------------------------------------------------
 */

static unsigned
random_below(unsigned n)
{
	unsigned v;

	if (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v))
		return 0;
	return v % n;
}

/* One append after the other, each a commit; then the cut. Gives what was
 * acknowledged with the last commit, and with the one before. */
static void
write_and_cut(struct fx *f, int64_t *acked, int64_t *before)
{
	int64_t next, id = 0;
	int w = fx_attach(f, "s", &next), n, appends;
	struct json *j;
	struct buf b;

	*acked = *before = next - 1;
	buf_init(&b, FRAME_MAX);
	for (appends = 1 + (int)random_below(12); appends > 0; appends--) {
		n = 1 + (int)random_below(30);
		buf_clear(&b);
		fx_deltas(&b, ++id, *acked + 1, n);
		fx_send(w, b.data, NULL, 0);
		j = fx_recv(w);
		assert_int_equal(
		    json_int(json_get(j, "ok"), "last", -1), *acked + n);
		json_free(j);
		*before = *acked;
		*acked += n;
	}
	/* Another is under way, or not, or half. */
	if (random_below(2) == 0) {
		buf_clear(&b);
		fx_deltas(&b, ++id, *acked + 1, 20);
		(void)fx_try_send(w, b.data, b.len, NULL, 0);
		(void)poll(NULL, 0, (int)random_below(2));
	}
	buf_free(&b);
	fx_kill(f);
	(void)close(w);
}

/* The disk after the cut. */
static void
lights_on(const struct fx *f)
{
	char from[200], to[200], lock[200];

	(void)snprintf(from, sizeof(from), "%s/" FLUSHED, f->dir);
	(void)snprintf(to, sizeof(to), "%s/data.mdb", f->dir);
	(void)snprintf(lock, sizeof(lock), "%s/lock.mdb", f->dir);
	assert_int_equal(rename(from, to), 0);
	(void)unlink(lock);
}

static void
cuts(enum durability durability, bool flush_counts)
{
	int64_t acked, before, next, lost = 0;
	struct fx f;
	int w;

	fx_init(&f);
	f.durability = durability;
	f.map_bytes = 512 << 10;
	fx_start(&f);
	fx_session(&f, "s");
	for (int round = 0; round < ROUNDS; round++) {
		write_and_cut(&f, &acked, &before);
		if (flush_counts)
			lights_on(&f);
		fx_start(&f);
		w = fx_attach(&f, "s", &next);
		(void)close(w);
		if (next - 1 < acked)
			lost++;
		if (durability == DURABILITY_RELAXED)
			assert_true(next - 1 >= before);
		else
			assert_true(next - 1 >= acked);
		/* Something is flushed again before the next cut. */
		fx_put(&f, "sandboxes", "b", "{\"id\":\"b\"}");
		fx_put(&f, "sandboxes", "c", "{\"id\":\"c\"}");
	}
	print_message(
	    "# cuts that cost a commit: %d of %d\n", (int)lost, ROUNDS);
	/* This imitation sees what is not flushed: else it proves nothing. */
	if (durability == DURABILITY_RELAXED)
		assert_true(lost > 0);
	fx_remove(&f);
}

static void
full_keeps_what_was_acknowledged(void **state ATTR_UNUSED)
{
	cuts(DURABILITY_FULL, true);
}

static void
relaxed_may_lose_the_last_commit(void **state ATTR_UNUSED)
{
	cuts(DURABILITY_RELAXED, true);
}

static void
none_survives_a_crash_of_the_process(void **state ATTR_UNUSED)
{
	cuts(DURABILITY_NONE, false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_keeps_what_was_acknowledged),
		cmocka_unit_test(relaxed_may_lose_the_last_commit),
		cmocka_unit_test(none_survives_a_crash_of_the_process),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
