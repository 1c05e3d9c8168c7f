/*
 * Where a client wants to go, as it said.
 */
#ifndef EGRESS_TARGET_H
#define EGRESS_TARGET_H

#include "lib/netrule.h"

struct target {
	bool is_addr;
	char name[NETNAME_MAX + 1];  /* clean; "" when IS_ADDR */
	uint8_t addr[NETADDR_BYTES]; /* IS_ADDR */
	uint16_t port;
};

#define TARGET_TEXT_MAX (NETNAME_MAX + 16)

/* HOST, HOST:PORT, [IPV6] or [IPV6]:PORT. DEFAULT_PORT 0: a port must be there.
 * -1 for what is none of these. */
int
target_parse(struct target *t, const char *s, size_t n, uint16_t default_port);
bool target_same_host(const struct target *a, const struct target *b);
/* As a Host field has it: without the port when that is DEFAULT_PORT. */
void target_text(
    char dst[TARGET_TEXT_MAX], const struct target *t, uint16_t default_port);
/* Only the host. */
void target_host(char dst[TARGET_TEXT_MAX], const struct target *t);

#endif
