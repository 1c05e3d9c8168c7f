/*
 * What streams are made of: `serve` of proto.def, its kinds and their lines.
 */
#ifndef STORE_SERVE_H
#define STORE_SERVE_H

#include "lib/json.h"
#include "store/store.h"

/* Begin to answer: MSG is a checked `serve`, FD the client's connection, which
 * is taken over in any case. -1 when the message makes no sense; whatever a
 * client has to be told goes to the client. */
int serve_begin(struct store *st, int64_t id, const struct json *msg, int fd,
    struct err *e) ATTR_WARN_UNUSED;

#endif
