/*
 * Where HTTP is served: sockets of our own, or of systemd, opened by the
 * supervisor and lent to every gateway.
 */
#ifndef SUPERVISOR_LISTEN_H
#define SUPERVISOR_LISTEN_H

#include "supervisor/super.h"

#define LISTENERS_MAX 64

struct listener {
	char *name; /* owned; as bound: 127.0.0.1:2468, [::1]:80, unix:/x */
	int fd;	    /* owned */
	bool tls;
	char *path; /* owned; of a unix socket that we made, else NULL */
	dev_t dev;  /* of that path, so that only ours is removed */
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
	int control_fd; /* owned; systemd's for the control socket, or -1 */
};

/* Look at the addresses without touching them. -1: wrong use, also when
 * strangers could come in and nobody has said that they may. */
int listen_check(struct super *s, struct err *e);
/* Open them all. -1 with ERR_DENIED or ERR_BAD_REQUEST for wrong use. */
int listen_open(struct super *s, struct err *e);
void listen_close(struct super *s);

#endif
