/*
 * What the parts of sandboxd-gateway share: one struct gateway per process,
 * made in main.c and lent to the others.
 *
 * The gateway reads what anybody on the network sends, so it holds nothing: no
 * right, no file, no secret but hashes of tokens. What it may do it asks of the
 * supervisor (call.h), of a sandbox's init, file server or session worker
 * (link.h), and of the store's map, which it can only read (db.h).
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "lib/chan.h"
#include "lib/defs.h"
#include "lib/proto.h"
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct http;
struct calls;
struct links;
struct db;
struct watch;
struct cors;
struct auth;
struct metrics;
struct ports;

struct gateway_limits {
	size_t max_connections;	 /* of this process */
	size_t max_per_address;	 /* of those, from one address; 0: no limit */
	size_t max_header_bytes; /* of one request, its line included */
	int64_t idle_ms;	 /* between requests, or without any progress */
	int64_t header_ms;	 /* from the first byte to the last header */
	size_t stream_bytes;	 /* waiting for one slow client */
	int64_t proxy_ms;	 /* for a port's server to answer */
	int64_t tunnel_ms;	 /* without a byte, on an upgraded connection
				    or one to an exposed port; 0: no limit */
};

struct gateway {
	struct ev_loop *loop; /* owned */
	struct chan *super;   /* owned; to the supervisor */
	unsigned index;	      /* which of the gateways we are, from 0 */
	size_t max_fds;	      /* descriptors that may be open */
	struct gateway_limits limits;
	struct http *http;	 /* owned: connections and requests */
	struct calls *calls;	 /* owned: what the supervisor was asked */
	struct links *links;	 /* owned: channels to inits and workers */
	struct db *db;		 /* owned: the store's map, read only */
	struct watch *watch;	 /* owned: who waits for events */
	struct cors *cors;	 /* owned */
	struct auth *auth;	 /* owned */
	struct metrics *metrics; /* owned: our slot of the shared page */
	struct ports *ports;	 /* owned: exposed ports */
};

#endif
