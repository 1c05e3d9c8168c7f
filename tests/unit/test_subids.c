/*
 * sandbox/subids: slices of what the host lends, and the maps of a sandbox.
 * Every map is judged as the kernel would: no id twice, on either side, and
 * nothing outside that is not the sandbox's.
 */
#include "sandbox/subids.h"
#include "sandbox/plan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define OWN 54321u
#define FIRST 200000u

/* What INSIDE is outside; 0: nobody. */
static uint32_t
outside(const struct id_map *m, uint32_t inside)
{
	uint32_t found = 0;
	size_t i;

	for (i = 0; i < m->n; i++) {
		if (inside < m->v[i].inside ||
		    inside - m->v[i].inside >= m->v[i].count)
			continue;
		assert_int_equal(found, 0);
		found = m->v[i].outside + (inside - m->v[i].inside);
	}
	return found;
}

static void
judge(uint32_t count, uint32_t user)
{
	static bool seen[PLAN_IDS];
	uint32_t self = subids_self(count, user), id, out, n = 0;
	struct id_map m;

	memset(seen, 0, sizeof(seen));
	subids_slice_map(&m, FIRST, count, OWN, user);
	assert_true(m.n <= countof(m.v));
	assert_int_equal(outside(&m, self), OWN);
	for (id = 0; id < PLAN_IDS; id++) {
		out = outside(&m, id);
		n += out != 0;
		if (out == 0 || out == OWN) {
			assert_true(out == 0 || id == self);
			continue;
		}
		assert_true(out >= FIRST && out - FIRST < count);
		assert_false(seen[out - FIRST]);
		seen[out - FIRST] = true;
		/* It does not hang on who the user is. */
		assert_true(out - FIRST == id ||
			    (id == SUBIDS_NOBODY && out - FIRST == count - 1));
	}
	assert_true(n + 1 >= count);
	assert_true(outside(&m, 0) != 0);
	assert_true(outside(&m, SUBIDS_NOBODY) != 0);
}

static void
maps_are_whole(void **state ATTR_UNUSED)
{
	static const uint32_t counts[] = { SUBIDS_MIN, 4095, SUBIDS_SLICE,
		65533, 65534, 65535, PLAN_IDS };
	static const uint32_t users[] = { 0, 1, 998, 999, 1000, 4094, 4095,
		5000, 65532, 65533, 65534, 65535 };
	size_t i, k;

	for (i = 0; i < countof(counts); i++)
		for (k = 0; k < countof(users); k++)
			judge(counts[i], users[k]);
}

static void
the_user_is_the_caller(void **state ATTR_UNUSED)
{
	assert_int_equal(subids_self(1, 0), 0);
	assert_int_equal(subids_self(1, 1000), 0);
	assert_int_equal(subids_self(4096, 1000), 1000);
	assert_int_equal(subids_self(4096, 4094), 4094);
	assert_int_equal(subids_self(4096, 4095), 0);
	assert_int_equal(subids_self(4096, 65534), 65534);
	assert_int_equal(subids_self(PLAN_IDS, 65535), 65535);
}

static struct subids
lent(uint32_t uids, uint32_t gids)
{
	struct subids si = { .nuids = 2, .ngids = 1 };

	si.uids[0] = (struct id_range){ 100, 50 };
	si.uids[1] = (struct id_range){ FIRST, uids };
	si.gids[0] = (struct id_range){ FIRST + 7, gids };
	return si;
}

static void
slices_do_not_meet(void **state ATTR_UNUSED)
{
	static const struct {
		uint32_t uids, gids;
		unsigned n;
		uint32_t size;
	} cases[] = {
		{ 1000, 1000, 1, 1000 },
		{ 8191, 65536, 1, 8191 },
		{ 8192, 65536, 2, 4096 },
		{ 65536, 65536, 16, 4096 },
		{ 131071, 131072, 31, 4096 },
		{ 131072, 200000, 2, 65536 },
		{ 1u << 30, 1u << 30, 1u << 14, 65536 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct subids si = lent(cases[i].uids, cases[i].gids);

		assert_int_equal(subids_count(&si), cases[i].n);
		for (unsigned k = 0; k < cases[i].n; k++) {
			struct subids_slice sl = subids_slice(&si, k);

			assert_int_equal(sl.count, cases[i].size);
			assert_int_equal(sl.uid, FIRST + k * sl.count);
			assert_int_equal(sl.gid, FIRST + 7 + k * sl.count);
			assert_true(subids_holds(&si, &sl));
		}
	}
}

static void
what_is_not_lent_is_not_held(void **state ATTR_UNUSED)
{
	struct subids si = lent(65536, 65536);
	struct subids_slice sl = subids_slice(&si, 15);

	assert_true(subids_holds(&si, &sl));
	sl.uid++;
	assert_false(subids_holds(&si, &sl));
	sl = subids_slice(&si, 0);
	sl.gid--;
	assert_false(subids_holds(&si, &sl));
	sl = (struct subids_slice){ FIRST, FIRST + 7, UINT32_MAX };
	assert_false(subids_holds(&si, &sl));
	sl = (struct subids_slice){ UINT32_MAX - 10, FIRST + 7, 4096 };
	assert_false(subids_holds(&si, &sl));
	sl = (struct subids_slice){ 0, 0, 0 };
	assert_false(subids_holds(&si, &sl));
	si.lack = SUBIDS_REFUSED;
	sl = (struct subids_slice){ FIRST, FIRST + 7, 4096 };
	assert_false(subids_holds(&si, &sl));
	assert_int_equal(subids_count(&si), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_are_whole),
		cmocka_unit_test(the_user_is_the_caller),
		cmocka_unit_test(slices_do_not_meet),
		cmocka_unit_test(what_is_not_lent_is_not_held),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("subids", tests, NULL, NULL);
}
