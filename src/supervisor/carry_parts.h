/*
 * The rows of carry.c: what each module carries over an exec. Each _put writes
 * members of an object that is begun; each _take gets that object.
 */
#ifndef SUPERVISOR_CARRY_PARTS_H
#define SUPERVISOR_CARRY_PARTS_H

#include "supervisor/carry.h"

typedef void carry_put_fn(struct super *s, struct carry *c);
typedef int carry_take_fn(struct super *s, const struct json *j, struct err *e);
typedef const char *carry_busy_fn(struct super *s);

carry_put_fn instance_put, listen_put, control_put; /* carry_base.c */
carry_take_fn instance_take, listen_take, control_take;

carry_put_fn command_put; /* command_carry.c */
carry_take_fn command_take;
carry_busy_fn command_busy;

carry_put_fn storec_carry_put, relay_carry_put, courier_carry_put;
carry_take_fn storec_carry_take, relay_carry_take, courier_carry_take;
carry_busy_fn storec_carry_busy, relay_carry_busy, courier_carry_busy;

carry_put_fn egress_put; /* egress.c */
carry_take_fn egress_take;
carry_busy_fn egress_busy;

carry_put_fn gateways_put; /* gateway_carry.c */
carry_take_fn gateways_take;
carry_busy_fn gateways_busy;

carry_put_fn tokens_put; /* tokens.c */
carry_take_fn tokens_take;
carry_busy_fn tokens_busy;

carry_put_fn clients_put; /* client_carry.c */
carry_take_fn clients_take;
carry_busy_fn clients_busy;

carry_put_fn sandboxes_put; /* sandbox_carry.c */
carry_take_fn sandboxes_take;
carry_busy_fn sandboxes_busy;

carry_put_fn sessions_put; /* session_carry.c */
carry_take_fn sessions_take;
carry_busy_fn sessions_carry_busy;

/* Between them. A client by its place, which both sides count alike; -1, NULL:
 * none. */
struct client;
int client_place(const struct super *s, const struct request *r);
struct request *client_request(const struct super *s, int64_t place);
/* exec_carry.c: the member "execs" of a sandbox. */
struct sandbox;
void execs_put(struct sandbox *sb, struct carry *c);
int execs_take(struct sandbox *sb, const struct json *list, struct err *e);
/* ops_session.c: R waits for the store to have served it. */
void request_serve_take(struct request *r, int64_t call);

#endif
