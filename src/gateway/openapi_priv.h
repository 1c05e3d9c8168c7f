/*
 * Shared by openapi.c and openapi_schema.c only.
 */
#ifndef GATEWAY_OPENAPI_PRIV_H
#define GATEWAY_OPENAPI_PRIV_H

#include "lib/json.h"

void openapi_ref(struct jw *w, const char *name, size_t len);
/* TYPE[0..LEN) as schemas.def has it. */
void openapi_type(struct jw *w, const char *type, size_t len);
/* Begins an object that the caller ends. */
void openapi_field(struct jw *w, const struct json_field *f);
/* Members of components.schemas. */
void openapi_schemas(struct jw *w);

#endif
