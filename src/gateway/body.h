/*
 * Bodies of requests: are they JSON by their type, and of the shape that the
 * BODY rows of a route want.
 */
#ifndef GATEWAY_BODY_H
#define GATEWAY_BODY_H

#include "gateway/route.h"

/* application/json or application/…+json, in any case, whatever its
 * parameters; TYPE may be NULL. */
bool body_type_is_json(const char *type);
/* Members that no row names are ignored, and null counts as missing where that
 * may be. */
int body_check(const struct route *rt, const struct json *root, struct err *e);

#endif
