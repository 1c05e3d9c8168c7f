/*
 * May a connection be made? Asked twice for a name: before it is looked up, and
 * of each address that it turned out to have.
 */
#ifndef EGRESS_POLICY_H
#define EGRESS_POLICY_H

#include "lib/netrule.h"

struct verdict {
	bool allow;
	const char *rule; /* that decided, as it was written; NULL: none did */
	const char *reason; /* static words */
};

/* NAME is clean. With "deny" nobody is even asked where it is. */
void policy_name(const struct netpolicy *p, const char *name, uint16_t port,
    struct verdict *v_out);
/* ADDR was asked for itself; or it is one of a name (BY_NAME) that
 * policy_name() has allowed. */
void policy_addr(const struct netpolicy *p, const uint8_t addr[NETADDR_BYTES],
    uint16_t port, bool by_name, struct verdict *v_out);
/* Is a rule in the list of what is denied for this name, on this port? */
const char *
policy_denies_name(const struct netpolicy *p, const char *name, uint16_t port);

#endif
