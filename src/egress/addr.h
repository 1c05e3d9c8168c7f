/*
 * Which addresses are nobody's business outside: those that are not of the
 * public network.
 */
#ifndef EGRESS_ADDR_H
#define EGRESS_ADDR_H

#include "lib/netrule.h"

/* Why no connection goes there unless a rule names it ("loopback", "private",
 * "link-local", …); NULL for a public address. */
const char *addr_special(const uint8_t addr[NETADDR_BYTES]);
/* Does the network lie in such addresses as a whole? */
bool addr_net_special(const uint8_t addr[NETADDR_BYTES], unsigned prefix);

#endif
