/*
 * /v1/sandboxes/{id}/proxy/{port}/…: OpenSandbox's server proxy, which is ours
 * by another address. Runs in sandboxd-gateway. Unlike there it wants the
 * token: whoever has none has no business in a sandbox.
 */
#include "gateway/doors/osb.h"
#include "gateway/proxy.h"

#include <stdio.h>

void
route_osb_proxy(struct req *r)
{
	const char *id = osb_sandbox(r);
	struct proxy_options opt = { .strict = true };
	char prefix[SANDBOX_ID_MAX + 64];
	int64_t port;
	struct err e;

	if (id == NULL)
		return;
	if (osb_port(r, &port, &e) == -1) {
		osb_fail(r, &e, NULL, "DOCKER::INVALID_PORT");
		return;
	}
	/* As it came: with or without /v1. An id needs no escapes. */
	(void)snprintf(prefix, sizeof(prefix), "%s/sandboxes/%s/proxy/%lld",
	    str_starts(r->path, "/v1/") ? "/v1" : "", id, (long long)port);
	opt.prefix = prefix;
	proxy_request(r, id, port, r->params[2], &opt);
}
