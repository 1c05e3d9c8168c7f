/*
 * Versions and ranges of packages, as a registry may write them: an order is an
 * order, a version lies in the range that names it, and a range of two parts
 * holds what either holds.
 *
 * Input: lines: two versions, then ranges.
 *
 * Also: src/courier/semver.c
 */
#include "fuzz.h"

#include "courier/semver.h"
#include <string.h>

#define LINE_SIZE 600
#define LINES_MAX 8

static int
sign(int v)
{
	return (v > 0) - (v < 0);
}

static void
check_versions(const char *a, const char *b)
{
	struct semver va, vb;

	if (semver_parse(a, &va) == -1)
		return;
	CHECK(strlen(va.pre) < SEMVER_TEXT_MAX);
	CHECK(semver_compare(&va, &va) == 0);
	/* What is a version is a range as well: of itself. */
	CHECK(range_valid(a) && range_holds(a, &va));
	if (semver_parse(b, &vb) == -1)
		return;
	CHECK(
	    sign(semver_compare(&va, &vb)) == -sign(semver_compare(&vb, &va)));
	CHECK(range_holds(b, &va) == (semver_compare(&va, &vb) == 0));
}

static void
check_range(const char *s, const char *t, const struct semver *v)
{
	char both[2 * LINE_SIZE + 8];
	bool ok = range_valid(s) && range_valid(t);
	bool holds = range_holds(s, v) || range_holds(t, v);

	CHECK(range_valid(s) || !range_holds(s, v));
	if (!ok || strlen(s) + strlen(t) + 4 > RANGE_TEXT_MAX)
		return;
	(void)snprintf(both, sizeof(both), "%s || %s", s, t);
	CHECK(range_valid(both) && range_holds(both, v) == holds);
	(void)snprintf(both, sizeof(both), "%s||%s", t, s);
	CHECK(range_valid(both) && range_holds(both, v) == holds);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char line[LINES_MAX][LINE_SIZE];
	const char *at = (const char *)data;
	size_t left = size, n = 0;
	struct semver v;

	while (left > 0 && n < LINES_MAX) {
		const char *nl = memchr(at, '\n', left);
		size_t len = nl != NULL ? (size_t)(nl - at) : left;

		if (len >= LINE_SIZE || memchr(at, '\0', len) != NULL)
			return 0;
		memcpy(line[n], at, len);
		line[n++][len] = '\0';
		len += nl != NULL;
		at += len;
		left -= len;
	}
	if (n < 2)
		return 0;
	check_versions(line[0], line[1]);
	check_versions(line[1], line[0]);
	for (size_t i = 2; i < n; i++) {
		(void)range_valid(line[i]);
		if (semver_parse(line[0], &v) == 0)
			check_range(line[i], line[i - 1], &v);
	}
	return 0;
}
