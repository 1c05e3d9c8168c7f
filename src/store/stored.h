/*
 * How an event lies in the database: the one description for the store, which
 * writes it, and for every process that reads the map itself.
 *
 *	events  key    u64 log number, u64 sequence (big endian)
 *	        value  the head (24 bytes; 16 in format 1), then the public
 *	               event object as JSON text on one line, without an end
 *	               mark
 *	feed    key    u64 global sequence (big endian)
 *	        value  the key of the event
 *	logs    key    u64 log number (big endian)
 *	        value  u64 last sequence, u64 time of the last change in ms, u64
 *	               first sequence that is there (last + 1: none), u64 bytes
 *	               of its events' values (all big endian), then the
 *	               session's id; no id: the log of a sandbox
 *	sandbox_logs
 *	        key    the sandbox's id
 *	        value  u64 log number, u64 time in ms when the sandbox was
 *	               destroyed, 0 before (big endian)
 *
 * `raw` is the last member of an event. The head tells where the text before
 * it ends, so that an event is served without it by adding `,"raw":null}` to
 * that part: nobody parses what has been stored. The text alone is the whole
 * event: a dump of the database stays readable.
 *
 * The global sequence stands in the head so that a log that is removed takes
 * its entries of the feed with it. Sequences of a removed session are missing
 * from the feed; readers skip them.
 *
 * A sandbox's log lies among the events like a session's, but its entries are
 * records of the kind {"seq":1,"at":ms,"event":"started",...}, have no `raw`,
 * and are not in the feed (global sequence 0).
 *
 * Events go from the front of a log as they get old; `first` tells. The last
 * one always stays, and numbers are never given again.
 */
#ifndef STORE_STORED_H
#define STORE_STORED_H

#include "lib/defs.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#define STORED_HEAD_BYTES 24
#define STORED_HEAD_BYTES_1 16 /* of format 1, which had no time */
#define STORED_FORMAT 2

#define STORED_ENDS_TURN BIT(0)	   /* turn.ended */
#define STORED_ENDS_SESSION BIT(1) /* session.ended */

/* The head: u8 format, u8 flags, u16 zero, u32 length of the text before
 * `,"raw":`, u64 global sequence, u64 time of storing in ms; all big endian.
 * The last two are put in when the event is stored. */
static inline void
stored_head_put(char *p, unsigned flags, uint32_t text_len)
{
	uint32_t len_be = htobe32(text_len);

	p[0] = STORED_FORMAT;
	p[1] = (char)flags;
	p[2] = 0;
	p[3] = 0;
	memcpy(p + 4, &len_be, sizeof(len_be));
	memset(p + 8, 0, 2 * sizeof(uint64_t));
}

static inline void
stored_head_fill(char *p, uint64_t global, uint64_t stored_ms)
{
	uint64_t be[2] = { htobe64(global), htobe64(stored_ms) };

	memcpy(p + 8, be, sizeof(be));
}

struct stored_event {
	const char *text; /* borrowed from the value */
	size_t len;
	size_t head_len; /* of the text before `,"raw":` */
	unsigned flags;
	uint64_t global;    /* 0: not in the feed */
	uint64_t stored_ms; /* 0: not known */
};

/* False when the value is not one of ours. */
static inline bool
stored_event_get(const void *value, size_t size, struct stored_event *ev_out)
{
	const char *p = value;
	size_t head;
	uint32_t len_be;
	uint64_t be[2] = { 0, 0 };

	if (size < STORED_HEAD_BYTES_1)
		return false;
	head = p[0] == STORED_FORMAT ? STORED_HEAD_BYTES : STORED_HEAD_BYTES_1;
	if ((p[0] != STORED_FORMAT && p[0] != 1) || size < head)
		return false;
	memcpy(&len_be, p + 4, sizeof(len_be));
	memcpy(be, p + 8, head - 8);
	ev_out->text = p + head;
	ev_out->len = size - head;
	ev_out->head_len = be32toh(len_be);
	ev_out->flags = (unsigned char)p[1];
	ev_out->global = be64toh(be[0]);
	ev_out->stored_ms = be64toh(be[1]);
	return ev_out->head_len <= ev_out->len;
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

/* The fixed part of a log's value. */
#define LOG_VALUE_BYTES 32
struct log_value {
	uint64_t last, updated_ms, first, bytes;
};

static inline bool
log_value_get(const void *value, size_t size, struct log_value *lv_out)
{
	uint64_t be[4];

	if (size < LOG_VALUE_BYTES)
		return false;
	memcpy(be, value, sizeof(be));
	*lv_out = (struct log_value){ be64toh(be[0]), be64toh(be[1]),
		be64toh(be[2]), be64toh(be[3]) };
	return true;
}

static inline void
log_value_put(void *value, const struct log_value *lv)
{
	uint64_t be[4] = { htobe64(lv->last), htobe64(lv->updated_ms),
		htobe64(lv->first), htobe64(lv->bytes) };

	memcpy(value, be, sizeof(be));
}

/* Of a sandbox's log. */
#define SANDBOX_LOG_BYTES 16
struct sandbox_log {
	uint64_t log, gone_ms;
};

static inline bool
sandbox_log_get(const void *value, size_t size, struct sandbox_log *sl_out)
{
	uint64_t be[2];

	if (size != SANDBOX_LOG_BYTES)
		return false;
	memcpy(be, value, sizeof(be));
	*sl_out = (struct sandbox_log){ be64toh(be[0]), be64toh(be[1]) };
	return true;
}

#endif
