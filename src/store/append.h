/*
 * The check of an append: bytes from inside a sandbox, believed in nothing.
 *
 * One pass of yajl's callbacks over the frame notes where each event's parts
 * lie; no tree is built and nothing is copied. What passes is an object with
 * exactly the members of `append`, in valid UTF-8, whose events have exactly
 * the members of an event body in their order, each of its type, without a
 * name twice in one object. What lies inside `data` and `raw` beyond that is
 * the worker's own affair.
 */
#ifndef STORE_APPEND_H
#define STORE_APPEND_H

#include "lib/buf.h"
#include "lib/defs.h"
#include "lib/err.h"

#include <stdbool.h>

#define EVENT_BYTES_MAX (904u << 10)
/* What agents print, inside the object that an event wraps around it. */
#define EVENT_DEPTH_MAX 72
#define NATIVE_ID_MAX 1024
/* `set`: a checkpoint of 16 KiB, keys, an agent's options of 64 KiB, and the
 * short members, however escaped. */
#define KEYS_BYTES_MAX (20u << 10)
#define SET_BYTES_MAX (108u << 10)

/* Offsets into the frame. */
struct append_event {
	uint32_t start;	   /* behind the opening brace */
	uint32_t time_end; /* behind the value of `time` */
	uint32_t data_end; /* behind the value of `data` */
	uint32_t end;	   /* behind the closing brace */
	unsigned flags;	   /* STORED_* */
};

struct append_in {
	int64_t id;
	uint64_t first;
	const struct append_event
	    *events; /* the scanner's, until its next use */
	size_t nevents;
	uint32_t set_start, set_end; /* 0, 0 without `set` */
};

struct append_scanner;
struct append_scanner *append_scanner_new(void);
void append_scanner_free(struct append_scanner *sc); /* accepts NULL */
/* -1 is a breach; E names the rule. */
int append_scan(struct append_scanner *sc, const char *text, size_t len,
    struct append_in *in_out, struct err *e) ATTR_WARN_UNUSED;

/* Add an event to B as it is stored, its global sequence still open: a u32 in
 * the host's order with the length of the value, then the value.
 * SESSION_JSON is the session's id as JSON text. */
int append_build(struct buf *b, const char *text, const struct append_event *ev,
    uint64_t seq, const char *session_json, size_t session_json_len);

#endif
