/*
 * Versions and ranges of versions as npm reads them. Pure: no I/O, no memory.
 */
#ifndef COURIER_SEMVER_H
#define COURIER_SEMVER_H

#include <stdbool.h>
#include <stdint.h>

#define SEMVER_TEXT_MAX 128 /* bytes of a version */
#define RANGE_TEXT_MAX 1024 /* bytes of a range */

struct semver {
	uint64_t part[3];	   /* major, minor, patch */
	char pre[SEMVER_TEXT_MAX]; /* behind the hyphen; "" for a release */
};

/* A whole version: "1.2.3-beta.1+build"; a leading v or = is let pass. 0, or
 * -1 when S is none. */
int semver_parse(const char *s, struct semver *v_out);
/* Below, at or above 0 as A is before, like or after B. Builds are ignored. */
int semver_compare(const struct semver *a, const struct semver *b);

/* Is S a range at all ("", "*", "^1.2 || >=3 <4.1", "1.2 - 2.3")? What is none
 * may be a tag. */
bool range_valid(const char *s);
/* Does V lie in range S? A pre-release does only where the range names one of
 * the same major.minor.patch. False for what is no range. */
bool range_holds(const char *s, const struct semver *v);

#endif
