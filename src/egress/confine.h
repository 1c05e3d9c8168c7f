/*
 * What the proxy may still do once it runs: sockets of the Internet.
 */
#ifndef EGRESS_CONFINE_H
#define EGRESS_CONFINE_H

/* After resolver_new(): only the calls that it needs. */
void egress_confine_calls_or_die(void);

#endif
