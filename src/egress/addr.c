/*
 * See addr.h. Runs in the proxy, on addresses that a resolver or a client in a
 * sandbox has sent. The list follows the registries of special-purpose
 * addresses; of IPv6 only 2000::/3 is given out at all, so whatever else there
 * is counts as special.
 */
#include "egress/addr.h"

#include <string.h>

#define V4(a, b, c, d)                                                       \
	{                                                                    \
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (a), (b), (c), (d) \
	}
#define V6(a, b, c, d)             \
	{                          \
		(a), (b), (c), (d) \
	}

struct block {
	uint8_t addr[NETADDR_BYTES];
	uint8_t prefix;
	const char *what;
};

static const struct block blocks[] = {
	{ V4(0, 0, 0, 0), 96 + 8, "this host" },
	{ V4(10, 0, 0, 0), 96 + 8, "private" },
	{ V4(100, 64, 0, 0), 96 + 10, "private" }, /* of carriers */
	{ V4(127, 0, 0, 0), 96 + 8, "loopback" },
	{ V4(169, 254, 0, 0), 96 + 16, "link-local" }, /* with metadata */
	{ V4(172, 16, 0, 0), 96 + 12, "private" },
	{ V4(192, 0, 0, 0), 96 + 24, "reserved" },
	{ V4(192, 0, 2, 0), 96 + 24, "documentation" },
	{ V4(192, 88, 99, 0), 96 + 24, "6to4" },
	{ V4(192, 168, 0, 0), 96 + 16, "private" },
	{ V4(198, 18, 0, 0), 96 + 15, "benchmark" },
	{ V4(198, 51, 100, 0), 96 + 24, "documentation" },
	{ V4(203, 0, 113, 0), 96 + 24, "documentation" },
	{ V4(224, 0, 0, 0), 96 + 4, "multicast" },
	{ V4(240, 0, 0, 0), 96 + 4, "reserved" },
	{ V6(0x20, 0x01, 0, 0), 23, "reserved" }, /* with Teredo */
	{ V6(0x20, 0x01, 0x0d, 0xb8), 32, "documentation" },
	{ V6(0x20, 0x02, 0, 0), 16, "6to4" },
	{ V6(0x3f, 0xff, 0, 0), 20, "documentation" },
	{ V6(0xfc, 0, 0, 0), 7, "private" },
	{ V6(0xfe, 0x80, 0, 0), 10, "link-local" },
	{ V6(0xfe, 0xc0, 0, 0), 10, "private" },
	{ V6(0xff, 0, 0, 0), 8, "multicast" },
};
static const uint8_t one[NETADDR_BYTES] = { [15] = 1 };
static const uint8_t global[NETADDR_BYTES] = { 0x20 };
static const uint8_t mapped[NETADDR_BYTES] = V4(0, 0, 0, 0);
/* 64:ff9b::/96: the last four bytes are an address of IPv4 behind a
 * translator. */
static const uint8_t nat64[NETADDR_BYTES] = { 0, 0x64, 0xff, 0x9b };

/* What all of the network is, or NULL. */
static const char *
net_special(const uint8_t addr[NETADDR_BYTES], unsigned prefix)
{
	uint8_t inner[NETADDR_BYTES];

	if (prefix == 128 && memcmp(addr, one, NETADDR_BYTES) == 0)
		return "loopback";
	for (size_t i = 0; i < countof(blocks); i++) {
		if (prefix >= blocks[i].prefix &&
		    netaddr_within(addr, blocks[i].addr, blocks[i].prefix))
			return blocks[i].what;
	}
	if (prefix >= 96 && netaddr_within(addr, mapped, 96))
		return NULL;
	if (prefix >= 96 && netaddr_within(addr, nat64, 96)) {
		memcpy(inner, mapped, NETADDR_BYTES);
		memcpy(inner + 12, addr + 12, 4);
		return net_special(inner, prefix);
	}
	if (prefix >= 3 && !netaddr_within(addr, global, 3) &&
	    !(prefix < 96 && (netaddr_within(mapped, addr, prefix) ||
				 netaddr_within(nat64, addr, prefix))))
		return "reserved";
	return NULL;
}

const char *
addr_special(const uint8_t addr[NETADDR_BYTES])
{
	return net_special(addr, 128);
}

bool
addr_net_special(const uint8_t addr[NETADDR_BYTES], unsigned prefix)
{
	return net_special(addr, prefix) != NULL;
}
