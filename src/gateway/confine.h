/*
 * The gateway's part of its confinement; the rest is lib/confine.h.
 */
#ifndef GATEWAY_CONFINE_H
#define GATEWAY_CONFINE_H

/* Only the calls that a gateway makes from here on. Ends the process when that
 * cannot be done. */
void confine_calls_or_die(void);

#endif
