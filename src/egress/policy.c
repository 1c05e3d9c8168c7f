/*
 * See policy.h. Runs in the proxy; the rules come from operators, names and
 * addresses from anybody.
 *
 * What is denied is denied whatever allows it. Addresses that are not public
 * are reached only when a rule names them as such: a network that lies in
 * special addresses as a whole, so that 0.0.0.0/0 lets nobody in there. Nor is
 * this host by its public addresses, unless a rule names one of them.
 */
#include "egress/policy.h"

#include "egress/addr.h"
#include "egress/dial.h"

#include <string.h>

static const struct netrule *
by_name_in(
    const struct netrule *list, size_t n, const char *name, uint16_t port)
{
	for (size_t i = 0; i < n; i++) {
		if (netrule_has_name(&list[i], name, port))
			return &list[i];
	}
	return NULL;
}

/* SPECIAL: only one that was meant for special addresses. */
static const struct netrule *
by_addr_in(const struct netrule *list, size_t n,
    const uint8_t addr[NETADDR_BYTES], uint16_t port, bool special)
{
	for (size_t i = 0; i < n; i++) {
		if (netrule_has_addr(&list[i], addr, port) &&
		    (!special ||
			addr_net_special(list[i].addr, list[i].prefix)))
			return &list[i];
	}
	return NULL;
}

static void
decide(
    struct verdict *v, bool allow, const struct netrule *r, const char *reason)
{
	v->allow = allow;
	v->rule = r != NULL ? r->text : NULL;
	v->reason = reason;
}

const char *
policy_denies_name(const struct netpolicy *p, const char *name, uint16_t port)
{
	const struct netrule *r = by_name_in(p->deny, p->ndeny, name, port);

	return r != NULL ? r->text : NULL;
}

void
policy_name(const struct netpolicy *p, const char *name, uint16_t port,
    struct verdict *v)
{
	const struct netrule *r;

	if ((r = by_name_in(p->deny, p->ndeny, name, port)) != NULL)
		decide(v, false, r, "denied by a rule");
	else if ((r = by_name_in(p->allow, p->nallow, name, port)) != NULL)
		decide(v, true, r, "allowed by a rule");
	else if (p->default_allow)
		decide(v, true, NULL, "allowed by default");
	else
		decide(v, false, NULL, "no rule allows it");
}

void
policy_addr(const struct netpolicy *p, const uint8_t addr[NETADDR_BYTES],
    uint16_t port, bool by_name, struct verdict *v)
{
	const char *special = addr_special(addr);
	const struct netrule *r;

	if ((r = by_addr_in(p->deny, p->ndeny, addr, port, false)) != NULL) {
		decide(v, false, r, "denied by a rule");
		return;
	}
	r = by_addr_in(p->allow, p->nallow, addr, port, special != NULL);
	if (r == NULL && special != NULL)
		decide(v, false, NULL, special);
	else if (r != NULL && (special != NULL || r->prefix == 128))
		decide(v, true, r, "allowed by a rule");
	else if (r == NULL && !by_name && !p->default_allow)
		decide(v, false, NULL, "no rule allows it");
	else if (dial_is_ours(addr))
		decide(v, false, NULL, "an address of this host");
	else
		decide(v, true, r,
		    r != NULL ? "allowed by a rule" : "allowed by default");
}
