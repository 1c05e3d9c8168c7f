/*
 * The words of OpenSandbox's lifecycle API: quantities, times, labels, states.
 * Pure functions on what a client has sent.
 */
#ifndef GATEWAY_DOORS_OSB_PARSE_H
#define GATEWAY_DOORS_OSB_PARSE_H

#include "lib/json.h"
#include "lib/strutil.h"

/* A quantity as Kubernetes writes it ("500m", "1.5", "2Gi", "1e3"), in
 * thousandths. -1: it is none, or more than fits. */
int osb_quantity(const char *s, int64_t *millis_out);

/* An RFC 3339 time in milliseconds since 1970. -1: it is none. */
int osb_time_parse(const char *s, int64_t *ms_out);
/* "2026-01-02T03:04:05.678Z" */
void osb_time_write(char dst[TIME_TEXT_MAX], int64_t ms);

/* Are the members of METADATA labels as Kubernetes has them, and none of them
 * reserved? With PATCH null is a value too. */
int osb_labels_check(const struct json *metadata, bool patch, struct err *e);

#define OSB_STATES 6 /* of ours */

/* Its state for ours ("running"), and the reason that goes with it. */
const char *osb_state(const char *state);
const char *osb_reason(const char *state);
/* Ours for its state, any case; NULL when no sandbox of ours is ever in it. */
const char *osb_state_ours(const char *state);

/* SUB below BASE, both of a client: -1 when SUB is absolute or climbs. */
int osb_path_join(const char *base, const char *sub, char *dst, size_t size);

#endif
