/*
 * See socks.h. Runs in the proxy, on bytes from inside sandboxes.
 */
#include "egress/socks.h"

#include <string.h>

#define NO_PASSWORD 0
#define CONNECT 1
#define IPV4 1
#define NAME 3
#define IPV6 4

static const uint8_t v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

ssize_t
socks_methods(const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;

	if (n >= 1 && p[0] != SOCKS_VERSION)
		return -1;
	if (n < 2 || n < 2u + p[1])
		return 0;
	if (memchr(p + 2, NO_PASSWORD, p[1]) == NULL)
		return -1;
	return 2 + p[1];
}

/* A name may also be an address in its plain form. */
static int
take_name(struct target *t, const char *s, size_t n)
{
	t->is_addr = netaddr_parse(t->addr, s, n) == 0;
	return t->is_addr ? 0 : netname_clean(t->name, s, n);
}

ssize_t
socks_request(
    const char *s, size_t n, struct target *t, enum socks_reply *reply)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t len;

	memset(t, 0, sizeof(*t));
	*reply = SOCKS_FAILED;
	if (n < 5)
		return n >= 1 && p[0] != SOCKS_VERSION ? -1 : 0;
	if (p[0] != SOCKS_VERSION || p[2] != 0)
		return -1;
	if (p[1] != CONNECT) {
		*reply = SOCKS_NO_COMMAND;
		return -1;
	}
	len = p[3] == IPV4 ? 4 : p[3] == IPV6 ? 16 : 1u + p[4];
	if (p[3] != IPV4 && p[3] != IPV6 && p[3] != NAME) {
		*reply = SOCKS_NO_ADDRESS;
		return -1;
	}
	if (n < 4 + len + 2)
		return 0;
	t->port = (uint16_t)(p[4 + len] << 8 | p[5 + len]);
	t->is_addr = p[3] != NAME;
	if (p[3] == IPV4) {
		memcpy(t->addr, v4_prefix, sizeof(v4_prefix));
		memcpy(t->addr + sizeof(v4_prefix), p + 4, 4);
	} else if (p[3] == IPV6) {
		memcpy(t->addr, p + 4, 16);
	} else if (take_name(t, s + 5, p[4]) == -1) {
		return -1;
	}
	return t->port == 0 ? -1 : (ssize_t)(4 + len + 2);
}
