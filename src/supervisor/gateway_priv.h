/*
 * What gateway.c (processes), gateway_ask.c (what they ask for) and
 * gateway_all.c (what is told to all) share.
 */
#ifndef SUPERVISOR_GATEWAY_PRIV_H
#define SUPERVISOR_GATEWAY_PRIV_H

#include "supervisor/gateway.h"

#define GATEWAYS_MAX 16

struct gateway_ask;
TAILQ_HEAD(gateway_asks, gateway_ask);

struct gateway_proc {
	struct super *s;
	struct gateways *gs;
	struct proc proc;
	unsigned index;
	bool serving;	 /* has answered gateway.start */
	bool want_renew; /* its settings are old */
	bool renew;	 /* is being replaced */
	struct gateway_asks asks;
	size_t nasks;
};

/* A socket besides those of listen.c. */
struct extra {
	LIST_ENTRY(extra) link;
	char *name, *sandbox; /* owned; SANDBOX NULL: HTTP */
	int fd;		      /* owned */
	int port;
};

struct gateways {
	struct super *s;
	int page_fd;
	size_t n;
	bool rest;   /* not only the first was started */
	bool served; /* one of them did */
	bool paused; /* none is to run now */
	LIST_HEAD(, extra) extras;
	struct gateway_proc v[GATEWAYS_MAX];
};

/* The Ith of them, not started; and what its channel may hold. */
void gateway_init(struct gateways *gs, size_t i);
void gateway_chan_set(struct chan *ch);
/* What the one that waits longest has asked for. */
const char *gateway_ask_first(const struct gateway_proc *g);

/* Lend it a copy of FD. */
void gateway_send_listen(struct gateway_proc *g, const char *name, int fd,
    bool tls, const char *sandbox, int port);
void gateway_extra_free(struct extra *x);

/* proc_kind.message: MSG_GATEWAY_CALL and MSG_GATEWAY_CONNECT. */
int gateway_asked(struct proc *p, const struct proto_in *in,
    const struct chan_frame *f, struct err *e);
/* Records are loaded: serve what has waited for them. */
void gateway_asks_ready(struct gateway_proc *g);
/* The process has gone: nobody wants the answers any more. */
void gateway_asks_drop(struct gateway_proc *g);

#endif
