/*
 * lib/proclog: records and their checks; init/procs_log: the ring that they are
 * kept in, against a plain list of all that was ever appended.
 */
#include "init/procs_log.h"
#include "lib/proclog.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void
records_come_back(void **state ATTR_UNUSED)
{
	const struct proclog r = {
		.stream = PROCLOG_STDERR,
		.len = 3,
		.sequence = 0x0102030405060708,
		.time_ms = 1795230021101,
	};
	char b[PROCLOG_HEADER + 3];
	struct proclog got;
	size_t n;

	proclog_put(b, &r);
	memcpy(b + PROCLOG_HEADER, "abc", 3);
	assert_memory_equal(b, "\0\0\0\3\2\0\0\0\1\2\3\4\5\6\7\10", 16);
	for (n = 0; n < sizeof(b); n++)
		assert_int_equal(proclog_get(b, n, &got), 0);
	assert_int_equal(proclog_get(b, sizeof(b), &got), 1);
	assert_int_equal(got.stream, r.stream);
	assert_int_equal(got.len, r.len);
	assert_true(got.sequence == r.sequence);
	assert_true(got.time_ms == r.time_ms);
}

static void
bad_records_are_seen(void **state ATTR_UNUSED)
{
	static const struct {
		size_t at;
		unsigned char byte;
	} bad[] = {
		{ 0, 1 },     /* longer than any */
		{ 2, 0x21 },  /* 8448 bytes */
		{ 4, 0 },     /* no stream */
		{ 4, 5 },     /* no such stream */
		{ 5, 1 },     /* not zero */
		{ 7, 1 },     /* not zero */
		{ 8, 0x80 },  /* a sequence below zero */
		{ 16, 0xff }, /* a time below zero */
	};
	const struct proclog r = { .stream = PROCLOG_PTY, .len = 1 };
	char b[PROCLOG_HEADER + 1] = "";
	struct proclog got;
	size_t i;

	for (i = 0; i < countof(bad); i++) {
		proclog_put(b, &r);
		b[bad[i].at] = (char)bad[i].byte;
		assert_int_equal(proclog_get(b, sizeof(b), &got), -1);
	}
}

static void
ends_come_back(void **state ATTR_UNUSED)
{
	static const struct proclog_exit ends[] = { { 0, 0, false },
		{ 255, 0, false }, { -1, 9, true }, { -1, 64, false } };
	char b[PROCLOG_HEADER + PROCLOG_EXIT_LEN];
	struct proclog_exit got;
	struct proclog r;
	size_t i, n;

	for (i = 0; i < countof(ends); i++) {
		n = proclog_put_exit(b, &ends[i], 5);
		assert_int_equal(n, sizeof(b));
		assert_int_equal(proclog_get(b, n, &r), 1);
		assert_int_equal(r.stream, PROCLOG_EXIT);
		assert_int_equal(
		    proclog_get_exit(b + PROCLOG_HEADER, r.len, &got), 0);
		assert_int_equal(got.code, ends[i].code);
		assert_int_equal(got.sig, ends[i].sig);
		assert_int_equal(got.timed_out, ends[i].timed_out);
	}
	assert_int_equal(proclog_get_exit(b + PROCLOG_HEADER, 7, &got), -1);
	assert_int_equal(proclog_get_exit("\0\1\11\0\0\0\0\0", 8, &got), -1);
	assert_int_equal(proclog_get_exit("\377\377\0\0\0\0\0\0", 8, &got), -1);
	assert_int_equal(proclog_get_exit("\1\0\0\0\0\0\0\0", 8, &got), -1);
	assert_int_equal(proclog_get_exit("\0\1\0\2\0\0\0\0", 8, &got), -1);
	assert_int_equal(proclog_get_exit("\0\1\0\0\0\0\0\1", 8, &got), -1);
}

#define APPENDED 3000

/* What the ring must hold: the newest records whose data is at most MAX. */
static void
ring_check(const struct plog *l, const size_t *lens, size_t n, uint64_t max)
{
	static char b[PROCLOG_MAX];
	uint64_t pos = l->head, raw = 0;
	struct proclog r;
	size_t first = n, i;

	while (first > 0 && raw + lens[first - 1] <= max)
		raw += lens[--first];
	/* One that is longer than all has emptied it, itself included. */
	assert_true(l->raw_bytes <= max);
	for (i = n; pos < l->tail; i++) {
		size_t got = plog_read(l, pos, b, sizeof(b));

		assert_int_equal(proclog_get(b, got, &r), 1);
		if (i == n)
			i = (size_t)r.sequence - 1;
		assert_int_equal(r.sequence, i + 1);
		assert_int_equal(r.len, lens[i]);
		assert_true(
		    r.len == 0 || (unsigned char)b[PROCLOG_HEADER] == i % 251);
		pos += PROCLOG_HEADER + r.len;
	}
	assert_true(l->head == l->tail || i == n);
	if (l->head < l->tail)
		assert_true(l->raw_bytes == raw);
}

static void
rings_keep_the_newest(void **state)
{
	static const uint64_t limits[] = { 1, 10, 5000, 70000, 300000 };
	static size_t lens[APPENDED];
	static char rec[PROCLOG_MAX];
	struct proclog r = { .stream = PROCLOG_STDOUT };
	struct plog l;
	size_t i, k;

	(void)state;
	srandom(7);
	for (k = 0; k < countof(limits); k++) {
		plog_init(&l);
		for (i = 0; i < APPENDED; i++) {
			lens[i] = (size_t)random() %
				  (i % 3 == 0 ? PROCLOG_DATA_MAX + 1 : 40);
			r.len = lens[i];
			r.sequence = ++l.sequence;
			proclog_put(rec, &r);
			memset(rec + PROCLOG_HEADER, (int)(i % 251), r.len);
			assert_int_equal(plog_append(&l, rec,
					     PROCLOG_HEADER + r.len, limits[k]),
			    r.len > limits[k] ? -1 : 0);
			if (i % 37 == 0 && lens[i] <= limits[k])
				ring_check(&l, lens, i + 1, limits[k]);
		}
		plog_close(&l);
		assert_int_equal(l.fd, -1);
		assert_true(l.head == l.tail);
	}
}

static void
tails_are_found(void **state ATTR_UNUSED)
{
	char rec[PROCLOG_HEADER + 1] = "";
	struct proclog r = { .len = 1 };
	struct plog l;
	int i;

	plog_init(&l);
	assert_int_equal(plog_tail(&l, ~0u, 5, 1), 5);
	for (i = 0; i < 10; i++) { /* odd: stdout, even: stderr */
		r.sequence = ++l.sequence;
		r.stream = i % 2 == 0 ? PROCLOG_STDOUT : PROCLOG_STDERR;
		proclog_put(rec, &r);
		assert_int_equal(plog_append(&l, rec, sizeof(rec), 100), 0);
	}
	assert_int_equal(plog_tail(&l, ~0u, 0, 3), 7);
	assert_int_equal(plog_tail(&l, ~0u, 0, 10), 0);
	assert_int_equal(plog_tail(&l, ~0u, 0, 99), 0);
	assert_int_equal(plog_tail(&l, ~0u, 0, 0), 10);
	assert_int_equal(plog_tail(&l, BIT(PROCLOG_STDOUT), 0, 1), 7);
	assert_int_equal(plog_tail(&l, BIT(PROCLOG_STDERR), 0, 2), 6);
	assert_int_equal(plog_tail(&l, BIT(PROCLOG_PTY), 0, 2), 0);
	assert_int_equal(plog_tail(&l, ~0u, 8, 1), 9);
	assert_int_equal(plog_tail(&l, ~0u, 20, 1), 20);
	plog_close(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_back),
		cmocka_unit_test(bad_records_are_seen),
		cmocka_unit_test(ends_come_back),
		cmocka_unit_test(rings_keep_the_newest),
		cmocka_unit_test(tails_are_found),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("proclog", tests, NULL, NULL);
}
