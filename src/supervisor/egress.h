/*
 * Filtered network: sandboxes that reach others only through a proxy. Each has
 * a socket that listens on its own loopback (made while it is built, see
 * sandbox/launch.h); the proxy, a process outside of them all, accepts there.
 * It runs while there is such a sandbox. Nothing that goes through it comes
 * here.
 */
#ifndef SUPERVISOR_EGRESS_H
#define SUPERVISOR_EGRESS_H

#include "supervisor/sandboxes.h"

struct egress;

struct egress *egress_new(struct super *s);
void egress_free(struct egress *eg); /* accepts NULL */

bool sandbox_is_filtered(const struct sandbox_spec *sp);

/* SB is being built; its listening socket will come out of SOCK, which is ours
 * now. */
void egress_expect(struct sandbox *sb, int sock);
/* SB is up: take it, and serve it. */
int egress_serve(struct sandbox *sb, struct err *e);
/* The proxy serves SB already, by this socket (-1: it does not). */
void egress_take_socket(struct sandbox *sb, int fd);
/* SB has other rules. */
void egress_rules(struct sandbox *sb);
/* SB has ended, or goes. */
void egress_leave(struct sandbox *sb);

/* Variables ("K=V", NULL-terminated) that make programs inside use the proxy;
 * NULL when SB has none. Those that BASE or OVER (may be NULL) have in some
 * spelling are to be left out: egress_env_is_set(). */
const char *const *egress_env(const struct sandbox *sb);
bool
egress_env_is_set(const char *var, char *const *base, const struct json *over);

/* New settings (after HUP). */
void egress_renew(struct egress *eg);
struct proc *egress_proc(struct egress *eg);
/* Part of the orderly stop: true once no proxy is left. */
bool egress_stopped(struct egress *eg);

#endif
