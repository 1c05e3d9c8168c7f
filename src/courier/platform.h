/*
 * Which programs run here: machine and C library, in npm's words.
 */
#ifndef COURIER_PLATFORM_H
#define COURIER_PLATFORM_H

#include "lib/json.h"
#include <stdbool.h>

struct platform {
	char cpu[16];	/* x64, arm64, … */
	bool old_cpu;	/* x64 without AVX2: builds named baseline */
	bool musl;	/* else glibc */
	bool known_cpu; /* npm has a word for it */
};

/* Look: at the kernel's name of the machine, and for dynamic loaders below
 * ROOT ("" for the real one). */
void platform_look(struct platform *p, const char *root);
/* "linux-x64-glibc", for messages. */
#define PLATFORM_TEXT_MAX 48
void platform_text(const struct platform *p, char dst[PLATFORM_TEXT_MAX]);
/* The member of MAP (keys such as linux-x64, linux-x64-musl,
 * linux-x64-baseline-glibc) that suits best; NULL when none does. A key
 * without a C library stands for both. */
const struct json *
platform_choose(const struct platform *p, const struct json *map);
/* May a package with these fields of package.json be installed here? Each is an
 * array of strings, or one string, or missing; "!x" excludes. */
bool platform_suits(const struct platform *p, const struct json *manifest);

#endif
