/*
 * Where HTTP is served: sockets of our own, or of systemd, opened by the
 * supervisor and lent to every gateway.
 */
#ifndef SUPERVISOR_LISTEN_H
#define SUPERVISOR_LISTEN_H

#include "supervisor/address.h"
#include "supervisor/super.h"

#define LISTENERS_MAX 64

struct listener {
	char *name;  /* owned; as bound: 127.0.0.1:2468, [::1]:80, unix:/x */
	char *asked; /* owned; as it was asked for: the port may be 0 */
	int fd;	     /* owned */
	bool tls;
	bool former; /* of a reload: it was open before, and is borrowed */
	char *path;  /* owned; of a unix socket that we made, else NULL */
	dev_t dev;   /* of that path, so that only ours is removed */
	ino_t ino;
};

/* Of a former life of ours, until it is known whether it is still wanted. */
struct kept {
	char *name;    /* owned; the service manager's */
	char *address; /* owned; as address_text() has it */
	int fd;	       /* owned; -1: taken */
};

struct listeners {
	struct listener v[LISTENERS_MAX];
	size_t n;
	struct kept kept[LISTENERS_MAX];
	size_t nkept;
	bool given; /* by systemd, in place of the configuration's */
	const struct conf *conf;  /* borrowed while they are opened */
	struct listeners *before; /* borrowed: what a reload begins with */
	int control_fd; /* owned; systemd's for the control socket, or -1 */
};

/* Look at the addresses without touching them. -1: wrong use, also when
 * strangers could come in and nobody has said that they may. */
int listen_check(struct super *s, struct err *e);
/* Open them all. -1 with ERR_DENIED or ERR_BAD_REQUEST for wrong use. */
int listen_open(struct super *s, struct err *e);
void listen_close(struct super *s);

/* What C wants is opened beside what is there, which goes on; nobody is served
 * on it yet. NULL in *LS_OUT: all stays. -1: nothing has happened. */
int listen_reload(struct super *s, const struct conf *c,
    struct listeners **ls_out, struct err *e);
/* Then one of these. Who has come to an address that goes is served still. */
void listen_commit(struct super *s, struct listeners *ls);
void listen_discard(struct super *s, struct listeners *ls);
/* listen_reload.c: the one that is open for A already, or NULL; and to listen
 * with FD, also beside those whose address covers its own. */
struct listener *listen_former(struct listeners *ls, const char *asked);
int listen_beside(const struct listeners *before, int fd,
    const struct address *a, int backlog);
/* Close L and forget it; its path goes if it is ours. */
void listen_drop(struct super *s, struct listener *l);
/* Open all that the configuration of S->listeners wants. */
int listen_open_all(struct super *s, struct err *e);

#endif
