/*
 * What is known of a package of npm: its versions with what each of them needs,
 * as a registry tells it ("packument") or as tarballs of a mirror do.
 */
#ifndef COURIER_PACKUMENT_H
#define COURIER_PACKUMENT_H

#include "courier/digest.h"
#include "courier/platform.h"
#include "courier/semver.h"
#include "lib/err.h"
#include "lib/json.h"
#include <stdbool.h>

#define PACKUMENT_BYTES (48u << 20) /* of one, as text */
#define PACKAGE_NAME_MAX 214

enum dep_kind {
	DEP_NORMAL,
	DEP_OPTIONAL,
	DEP_PEER
};

struct pkg_dep {
	char *name; /* in node_modules */
	char *real; /* the package's: another one for an alias */
	char *want; /* range or tag; NULL: not from a registry, SPEC tells */
	char *spec; /* as it is written */
	enum dep_kind kind;
};

struct pkg_bin {
	char *name, *path;
};

/* One version of one package. */
struct pkg {
	char *name, *version;
	struct semver v;
	char *tarball; /* its address, or a file of the mirror when LOCAL */
	bool local;
	struct digest digest; /* kind DIGEST_NONE only when LOCAL */
	bool suits;	      /* may be installed on this platform */
	struct pkg_dep *deps; /* by name, peers last */
	size_t ndeps;
	struct pkg_bin *bins;
	size_t nbins;
};

struct packument;

/* "name" or "@scope/name", fit to be a path below node_modules. */
bool package_name_valid(const char *name);
/* NAME wants SPEC: alias, range, tag or something else. */
void pkg_dep_set(
    struct pkg_dep *d, const char *name, const char *spec, enum dep_kind kind);
void pkg_dep_free(struct pkg_dep *d);

struct packument *packument_new(const char *name);
void packument_free(struct packument *p); /* accepts NULL */
/* What a registry says of the package. */
int packument_parse(
    struct packument *p, const char *text, size_t len, struct err *e);
/* One version from a package.json; FILE holds it. */
int packument_add(struct packument *p, const struct json *manifest,
    const char *file, struct err *e);
/* The best version for WANT (a range or tag): the latest when that fits, else
 * the highest one, deprecated ones last. Belongs to P. */
const struct pkg *packument_pick(struct packument *p, const char *want,
    const struct platform *pf, struct err *e);
const char *packument_name(const struct packument *p);

#endif
