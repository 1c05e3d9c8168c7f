/*
 * Recipes: what an agent's definition says of its installation.
 *
 *	{"type":"npm","package":NAME,"version":RANGE|TAG,"program":NAME,
 *	 "bin":PATH,"native":{PLATFORM:{"package","version","bin"}},
 *	 "with":[{the same without type and with}]}
 *	{"type":"archive","version":V,"urls":{PLATFORM:URL},
 *	 "sha256":{PLATFORM:HEX},"bin":PATH,"program":NAME,"strip":N}
 */
#ifndef COURIER_RECIPE_H
#define COURIER_RECIPE_H

#include "courier/digest.h"
#include "courier/platform.h"

#define RECIPE_ROOTS_MAX 16

/* A package of npm and the launcher that it gives. */
struct recipe_root {
	const char *package;
	const char *version; /* range or tag; "latest" if nothing is said */
	const char *program; /* name of the launcher */
	const char *bin;     /* path in the package; NULL: its own `bin` */
	/* Of this platform, or NULL: then the package itself is run. */
	const char *native_package, *native_bin;
	const char *native_version; /* may be NULL; {version} stands in it */
};

struct recipe {
	struct json *j; /* owned: all strings lie in it */
	bool archive;
	struct recipe_root roots[RECIPE_ROOTS_MAX]; /* npm: at least one */
	size_t nroots;
	/* archive */
	const char *version, *url, *bin, *program;
	struct digest digest;
	unsigned strip;
};

/* Read RECIPE for PF. AGENT names the launcher where nothing else does;
 * VERSION (may be NULL) stands in place of the recipe's. ERR_BAD_REQUEST when
 * it is none, ERR_INSTALL_FAILED when there is nothing for this platform. */
int recipe_read(struct recipe *r, const struct json *recipe, const char *agent,
    const char *version, const struct platform *pf, struct err *e);
void recipe_free(struct recipe *r);
/* A single part of a path that is neither hidden nor strange. */
bool recipe_word_valid(const char *s, size_t max);

#endif
