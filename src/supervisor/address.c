/*
 * See address.h. Runs in the supervisor; what it parses may be a client's word.
 */
#include "supervisor/address.h"

#include "lib/xalloc.h"

#include <arpa/inet.h>
#include <string.h>

int
address_set(struct address *a_out, const char *host, uint16_t port)
{
	struct address *a = a_out;

	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, host, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(port);
		a->len = sizeof(a->in);
		return 0;
	}
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET6, host, &a->in6.sin6_addr) == 1) {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons(port);
		a->len = sizeof(a->in6);
		return 0;
	}
	return -1;
}

char *
address_text(const struct address *a)
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (a->sa.sa_family == AF_UNIX)
		return xasprintf("unix:%s",
		    a->un.sun_path[0] != '\0' ? a->un.sun_path : "?");
	if (a->sa.sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host));
		return xasprintf("%s:%u", host, ntohs(a->in.sin_port));
	}
	(void)inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host));
	return xasprintf("[%s]:%u", host, ntohs(a->in6.sin6_port));
}

bool
address_same_host(const struct address *a, const struct address *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr,
		   sizeof(a->in6.sin6_addr)) == 0;
}

bool
address_is_local(const struct address *a)
{
	if (a->sa.sa_family == AF_UNIX)
		return true;
	if (a->sa.sa_family == AF_INET)
		return ntohl(a->in.sin_addr.s_addr) >> 24 == 127;
	if (a->sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return a->in6.sin6_addr.s6_addr[12] == 127;
	return a->sa.sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}
