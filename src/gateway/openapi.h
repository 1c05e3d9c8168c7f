/*
 * The description of the API (OpenAPI 3.1), made of the same tables as the API.
 */
#ifndef GATEWAY_OPENAPI_H
#define GATEWAY_OPENAPI_H

/* Made at the first call, then kept. */
const char *openapi_text(void);

#endif
