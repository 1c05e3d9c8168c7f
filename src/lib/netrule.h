/*
 * Rules about where connections may go: hosts, addresses and ports, and lists
 * of them. What operators write is checked here by the supervisor, and matched
 * here by the proxy.
 *
 *	example.org		this name only
 *	*.example.org		every name below it, not example.org itself
 *	*			every name, no address
 *	192.0.2.7, 10.0.0.0/8	an address, or all of a network
 *	2001:db8::/32		the same; in brackets when ports follow
 *	HOST:443  HOST:80,443  HOST:8000-8100	only these ports
 *
 * Addresses are 16 bytes everywhere; those of IPv4 as ::ffff:a.b.c.d.
 */
#ifndef LIB_NETRULE_H
#define LIB_NETRULE_H

#include "err.h"
#include "json.h"
#include <stdbool.h>

#define NETADDR_BYTES 16
#define NETADDR_TEXT_MAX 48
#define NETNAME_MAX 253
#define NETRULE_TEXT_MAX 300
#define NETRULE_PORTS_MAX 16
#define NETPOLICY_RULES_MAX 512 /* in each list */

enum netrule_kind {
	NETRULE_ANY,
	NETRULE_NAME,
	NETRULE_BELOW,
	NETRULE_NET
};

struct netrule {
	char *text; /* owned, as it was written */
	enum netrule_kind kind;
	char name[NETNAME_MAX + 1]; /* NAME; BELOW: without "*." */
	uint8_t addr[NETADDR_BYTES];
	unsigned prefix; /* NET: bits of ADDR that count, of 128 */
	struct {
		uint16_t low, high;
	} ports[NETRULE_PORTS_MAX];
	size_t nports; /* 0: every port */
};

struct netpolicy {
	struct netrule *allow, *deny; /* owned */
	size_t nallow, ndeny;
	bool default_allow;
};

/* A host name as it is compared: lower case, no dot at its end. -1 for what is
 * none: bad letters, too long, or with a last part that is a number, which
 * programs take for an address of some form. */
int netname_clean(char dst[NETNAME_MAX + 1], const char *s, size_t n);
/* An address in the plain form of its kind: four decimal numbers without
 * leading zeros, or IPv6 without a zone. -1 for all else. */
int netaddr_parse(uint8_t dst[NETADDR_BYTES], const char *s, size_t n);
void
netaddr_text(char dst[NETADDR_TEXT_MAX], const uint8_t addr[NETADDR_BYTES]);
bool netaddr_is_v4(const uint8_t addr[NETADDR_BYTES]);
/* Do the first PREFIX bits agree? */
bool netaddr_within(const uint8_t addr[NETADDR_BYTES],
    const uint8_t net[NETADDR_BYTES], unsigned prefix);

/* One rule; on failure R holds nothing. */
int netrule_parse(const char *text, struct netrule *r, struct err *e);
void netrule_free(struct netrule *r);
/* NAME is clean. */
bool netrule_has_name(const struct netrule *r, const char *name, uint16_t port);
bool netrule_has_addr(
    const struct netrule *r, const uint8_t addr[NETADDR_BYTES], uint16_t port);

/* {allow: […], deny: […], default: "deny" or "allow"}, all of them optional;
 * NULL is {}. On failure P is empty. */
int netpolicy_parse(const struct json *obj, struct netpolicy *p, struct err *e);
void netpolicy_free(struct netpolicy *p);
/* All of it, as netpolicy_parse() reads it. */
void netpolicy_write(const struct netpolicy *p, struct jw *w);

#endif
