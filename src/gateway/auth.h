/*
 * Who is asking, and whether they may: tokens, known by their SHA-256 only.
 */
#ifndef GATEWAY_AUTH_H
#define GATEWAY_AUTH_H

#include "gateway/gateway.h"
#include "gateway/req.h"

struct hreq;

/* SETTINGS: {"auth":bool,"token_sha256":["hex",…]}. */
int auth_open(struct gateway *gw, const struct json *settings, struct err *e);
/* May the request do what its route does? False: it was answered. */
bool auth_check(struct hreq *q, enum route_id route);
/* May the caller touch this sandbox? For doors whose path does not name it. */
bool auth_may_sandbox(const struct req *r, const char *sandbox);
/* Was a token set? Without one everybody may do everything. */
bool auth_wanted(const struct gateway *gw);
/* Is the caller's token limited to one sandbox? Its id, or NULL. */
const char *auth_sandbox(const struct req *r);

/* Does a client's word that came to R hold a token of ours, which nobody else
 * is to see? The value of an Authorization header; a value of a query, not
 * decoded. */
bool auth_knows_header(const struct req *r, const char *value);
bool auth_knows_query(const struct req *r, const char *value, size_t len);

#endif
