/*
 * Shared by http*.c and req*.c only.
 */
#ifndef GATEWAY_HTTP_PRIV_H
#define GATEWAY_HTTP_PRIV_H

#include "gateway/http.h"
#include "gateway/http_scan.h"
#include "gateway/req.h"
#include "gateway/route.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/queue.h>

#define ADDRESS_TEXT_MAX 48

/* What a connection is doing, for its deadlines. */
enum conn_phase {
	CONN_IDLE, /* between requests */
	CONN_HEAD, /* the request line is here, the headers are not */
	CONN_BODY, /* a body comes */
	CONN_WAIT, /* a door thinks, or a stream has nothing to say */
	CONN_SEND, /* an answer goes out */
	CONN_AWAY  /* upgraded: somebody else's */
};

struct conn {
	LIST_ENTRY(conn) link;
	struct http *http;
	struct mhd *mhd;
	struct hreq *req; /* the request of now, may be NULL */
	struct address *address;
	int fd; /* MHD's */
	enum conn_phase phase;
	bool local;	/* a unix socket */
	bool kill;	/* to be closed as soon as MHD asks */
	bool linger;	/* what still comes is read before it is closed */
	bool watched;	/* is in hup_fd's set */
	bool first;	/* nothing was asked yet */
	bool carried;	/* upgraded, and MHD is to read no more of it */
	unsigned nreqs; /* that MHD has seen */
	struct scan scan;
	int64_t since;	    /* of the phase, or of its last progress */
	uint64_t seen;	    /* a counter of bytes, as it was then */
	int64_t half_since; /* the client said its last byte; 0: not yet */
	char peer[ADDRESS_TEXT_MAX];
};

/* One of libmicrohttpd's daemons: without and with TLS. */
struct mhd {
	struct http *http;
	struct MHD_Daemon *daemon;
	ev_io io;
	ev_timer timer;
	bool secure;
};

struct listener {
	LIST_ENTRY(listener) link;
	struct http *http;
	char *name;
	int fd;
	ev_io io;
	ev_timer pause; /* no descriptors left: wait a little */
	bool secure;
};

/* Connections of one address. */
struct address {
	LIST_ENTRY(address) link;
	uint8_t bytes[16];
	size_t conns;
};

#define ADDRESS_SLOTS 1024
#define HREQ_SPARE_MAX 256

struct http {
	struct gateway *gw;
	struct mhd plain, tls;
	bool has_tls;
	LIST_HEAD(, listener) listeners;
	LIST_HEAD(, conn) conns;
	LIST_HEAD(address_list, address) addresses[ADDRESS_SLOTS];
	uint64_t address_seed;
	size_t nconns;
	size_t most_conns;		  /* since memory was given back */
	size_t buffered;		  /* bytes of bodies that are kept */
	const struct sockaddr *accepting; /* whom accept is handing over */
	ev_timer tick;
	int hup_fd; /* an epoll set of connections that may go away */
	ev_io hup;
	LIST_HEAD(, lingering) lingers;
	size_t nlingers;
	struct hreq *spare; /* requests to be used again */
	size_t nspare;
	bool finishing;
	int64_t finish_at, finish_idle_at;
	void (*finished)(void *ctx);
	void *finished_ctx;
	char date[40]; /* of this second, for answers that we write ourselves */
};

/* http.c */
int64_t http_now(const struct http *h); /* the loop's time in ms */
void http_run(struct mhd *m);

/* http_conn.c: MHD tells of connections. */
void conn_notify(void *cls, struct MHD_Connection *mc, void **ctx,
    enum MHD_ConnectionNotificationCode what);
struct conn *conn_of(struct MHD_Connection *mc);
void conn_phase(struct conn *c, enum conn_phase phase);
/* N bytes of a body came. */
void conn_progress(struct conn *c, size_t n);
void conn_kill(struct conn *c); /* close it from outside of MHD */
bool conn_allowed(struct http *h, const struct sockaddr *sa);
void conn_tick(struct http *h);

/* http_hup.c: clients that leave while nobody reads from them. */
int hup_open(struct http *h, struct err *e);
void hup_watch(struct conn *c);
void hup_forget(struct conn *c);

/* http_recv.c: which descriptor is whose. */
void recv_join(struct conn *c);
void recv_leave(const struct conn *c);
struct conn *recv_conn(int fd);

/* http_lookup.c: the first header of that name as it came, or NULL. */
const char *lookup_header(struct MHD_Connection *mc, const char *name);

/* http_linger.c: read on for a while, so that an early answer arrives. */
void linger_begin(struct http *h, int fd); /* takes FD */
void linger_tick(struct http *h);

/* http_listen.c */
void listen_close(struct http *h);

/* req_life.c */
void hreq_wake(struct hreq *q);

/* req_begin.c: MHD's calls. */
void *req_uri(void *cls, const char *uri, struct MHD_Connection *mc);
enum MHD_Result req_access(void *cls, struct MHD_Connection *mc,
    const char *url, const char *method, const char *version, const char *data,
    size_t *size, void **con_cls);
void req_completed(void *cls, struct MHD_Connection *mc, void **con_cls,
    enum MHD_RequestTerminationCode why);

#endif
