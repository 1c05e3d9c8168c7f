/*
 * See target.h. Runs in the proxy, on what clients in sandboxes say.
 */
#include "egress/target.h"

#include "lib/strutil.h"

#include <stdio.h>
#include <string.h>

static int
parse_port(const char *s, size_t n, uint16_t *port_out)
{
	char text[8];
	int64_t v;

	if (n == 0 || n > 5)
		return -1;
	memcpy(text, s, n);
	text[n] = '\0';
	if (str_to_int(text, 1, 65535, &v) == -1)
		return -1;
	*port_out = (uint16_t)v;
	return 0;
}

int
target_parse(struct target *t, const char *s, size_t n, uint16_t default_port)
{
	const char *end = s + n, *host_end, *colon;

	memset(t, 0, sizeof(*t));
	if (n > 0 && s[0] == '[') {
		host_end = memchr(s, ']', n);
		if (host_end == NULL ||
		    memchr(s, ':', (size_t)(host_end - s)) == NULL ||
		    netaddr_parse(t->addr, s + 1, (size_t)(host_end - s - 1)) ==
			-1)
			return -1;
		t->is_addr = true;
		colon = host_end + 1;
	} else {
		host_end = memchr(s, ':', n);
		colon = host_end = host_end != NULL ? host_end : end;
		n = (size_t)(host_end - s);
		t->is_addr = netaddr_parse(t->addr, s, n) == 0;
		if (!t->is_addr && netname_clean(t->name, s, n) == -1)
			return -1;
	}
	t->port = default_port;
	if (colon == end)
		return default_port == 0 ? -1 : 0;
	if (*colon != ':')
		return -1;
	return parse_port(colon + 1, (size_t)(end - colon - 1), &t->port);
}

bool
target_same_host(const struct target *a, const struct target *b)
{
	if (a->is_addr != b->is_addr)
		return false;
	return a->is_addr ? memcmp(a->addr, b->addr, NETADDR_BYTES) == 0
			  : strcmp(a->name, b->name) == 0;
}

void
target_host(char dst[TARGET_TEXT_MAX], const struct target *t)
{
	char addr[NETADDR_TEXT_MAX];

	if (!t->is_addr) {
		(void)!str_copy(dst, TARGET_TEXT_MAX, t->name); /* it fits */
		return;
	}
	netaddr_text(addr, t->addr);
	(void)snprintf(
	    dst, TARGET_TEXT_MAX, netaddr_is_v4(t->addr) ? "%s" : "[%s]", addr);
}

void
target_text(
    char dst[TARGET_TEXT_MAX], const struct target *t, uint16_t default_port)
{
	size_t n;

	target_host(dst, t);
	n = strlen(dst);
	if (t->port != default_port)
		(void)snprintf(dst + n, TARGET_TEXT_MAX - n, ":%u", t->port);
}
