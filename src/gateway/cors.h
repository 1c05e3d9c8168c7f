/*
 * Which pages of browsers may use us (Fetch, "CORS protocol").
 */
#ifndef GATEWAY_CORS_H
#define GATEWAY_CORS_H

#include "gateway/gateway.h"
#include "gateway/req.h"

struct hreq;

/* SETTINGS: {"origins":[],"methods":[],"headers":[],"credentials":bool}. */
int cors_open(struct gateway *gw, const struct json *settings, struct err *e);
void cors_answer(struct hreq *q); /* headers of an ordinary answer */
/* WebSockets are opened by any page, and no browser asks first. May the page of
 * R have one? With a token to show for it: yes. Without: those of this machine,
 * of the very host that was asked, and those that the settings name. */
bool cors_may_connect(const struct req *r);
/* Are there headers also for those who do not say where they come from? */
bool cors_always(const struct gateway *gw);
void cors_preflight(struct hreq *q); /* answers OPTIONS */

#endif
