/*
 * How an event lies in the database: the one description for the store, which
 * writes it, and for every process that reads the map itself.
 *
 *	events  key    u64 log number, u64 sequence (big endian)
 *	        value  struct stored_head (16 bytes), then the public event
 *	               object as JSON text on one line, without an end mark
 *	feed    key    u64 global sequence (big endian)
 *	        value  the key of the event
 *	logs    key    u64 log number (big endian)
 *	        value  u64 last sequence, u64 time of the last change in ms (big
 *	               endian), then the session's id
 *
 * `raw` is the last member of an event. The head tells where the text before
 * it ends, so that an event is served without it by adding `,"raw":null}` to
 * that part: nobody parses what has been stored. The text alone is the whole
 * event: a dump of the database stays readable.
 *
 * The global sequence stands in the head so that a log that is removed takes
 * its entries of the feed with it. Sequences of a removed session are missing
 * from the feed; readers skip them.
 */
#ifndef STORE_STORED_H
#define STORE_STORED_H

#include "lib/defs.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#define STORED_HEAD_BYTES 16
#define STORED_FORMAT 1

#define STORED_ENDS_TURN BIT(0)	   /* turn.ended */
#define STORED_ENDS_SESSION BIT(1) /* session.ended */

/* The head: u8 format, u8 flags, u16 zero, u32 length of the text before
 * `,"raw":`, u64 global sequence; all big endian. */
static inline void
stored_head_put(char *p, unsigned flags, uint32_t text_len, uint64_t global)
{
	uint32_t len_be = htobe32(text_len);
	uint64_t global_be = htobe64(global);

	p[0] = STORED_FORMAT;
	p[1] = (char)flags;
	p[2] = 0;
	p[3] = 0;
	memcpy(p + 4, &len_be, sizeof(len_be));
	memcpy(p + 8, &global_be, sizeof(global_be));
}

struct stored_event {
	const char *text; /* borrowed from the value */
	size_t len;
	size_t head_len; /* of the text before `,"raw":` */
	unsigned flags;
	uint64_t global;
};

/* False when the value is not one of ours. */
static inline bool
stored_event_get(const void *value, size_t size, struct stored_event *ev_out)
{
	const char *p = value;
	uint32_t len_be;
	uint64_t global_be;

	if (size < STORED_HEAD_BYTES || p[0] != STORED_FORMAT)
		return false;
	memcpy(&len_be, p + 4, sizeof(len_be));
	memcpy(&global_be, p + 8, sizeof(global_be));
	ev_out->text = p + STORED_HEAD_BYTES;
	ev_out->len = size - STORED_HEAD_BYTES;
	ev_out->head_len = be32toh(len_be);
	ev_out->flags = (unsigned char)p[1];
	ev_out->global = be64toh(global_be);
	return ev_out->head_len < ev_out->len;
}

/* Keys. */
struct event_key {
	uint64_t log_be, seq_be;
};
_Static_assert(sizeof(struct event_key) == 16, "no padding");

static inline struct event_key
event_key(uint64_t log, uint64_t seq)
{
	return (struct event_key){ htobe64(log), htobe64(seq) };
}

#define LOG_VALUE_BYTES 16 /* before the session's id */

#endif
