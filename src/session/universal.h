/*
 * Encoders: canonical events of an adapter become what readers of the log see.
 * Adapters call uni_*() and need not know for whom: event bodies of the
 * universal schema, updates of ACP (acp/encode.h), or nothing (a probe).
 *
 * The universal encoder keeps the promises that readers of a log rely on: item
 * ids are unique, an item is started before it has deltas and is completed
 * once, a message that was not streamed still has one delta, every body is
 * small enough, and what is open when a turn ends is completed as failed.
 */
#ifndef SESSION_UNIVERSAL_H
#define SESSION_UNIVERSAL_H

#include "lib/buf.h"
#include "session/content.h"
#include "session/outbox.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* Who made an event: what the daemon makes is marked synthetic. */
enum origin {
	FROM_AGENT,
	FROM_DAEMON
};

struct item {
	const char *native_id; /* NULL: none, always a new item */
	const char *parent;    /* native id of the tool call it belongs to */
	enum item_kind kind;
	enum item_role role;
	enum origin origin;
	const struct part *parts;
	size_t nparts;
};

/* An item that was started and not completed. */
struct open_item {
	TAILQ_ENTRY(open_item) link;
	uint64_t number;
	uint64_t parent; /* number of the parent, 0 when none */
	char *native_id; /* owned, or NULL */
	char *content;	 /* owned: JSON it was started with, if short */
	struct buf text; /* deltas so far */
	enum item_kind kind;
	enum item_role role;
	bool reasoning; /* its text is reasoning */
	bool streamed;	/* a delta was seen */
};

#define OPEN_ITEMS_MAX 32 /* one more, and the oldest fails */

struct secrets;
struct tool_call;
struct universal;

/* What an encoder makes of what an adapter emits; NULL: nothing. The functions
 * below say what each is told. */
struct encoder {
	void (*item_started)(struct universal *u, const struct item *it);
	void (*item_delta)(struct universal *u, const char *native_id,
	    const char *s, size_t n);
	void (*item_completed)(struct universal *u, const struct item *it,
	    enum item_status status);
	bool (*item_close)(struct universal *u, const char *native_id,
	    enum item_status status);
	void (*plan)(
	    struct universal *u, const char *label, const char *entries);
	void (*status)(
	    struct universal *u, const char *label, const char *detail);
	void (*error)(struct universal *u, enum origin from, const char *code,
	    const char *message, const char *details);
	void (*unparsed)(struct universal *u, const char *location,
	    const char *error, const char *raw, const char *text, size_t len);
	void (*session_ended)(
	    struct universal *u, const char *reason, const char *terminated_by);
};

extern const struct encoder encoder_universal;
extern const struct encoder encoder_mute; /* tells nobody */

struct universal {
	const struct encoder *as;      /* encoder_universal unless changed */
	struct outbox *out;	       /* borrowed */
	const struct secrets *secrets; /* borrowed: not to be logged */
	char *native_session;	       /* owned, NULL until known */
	uint64_t items;		       /* item number given last */
	TAILQ_HEAD(open_items, open_item) open;
	unsigned nopen;
	TAILQ_HEAD(tool_calls, tool_call) calls; /* may become parents */
	unsigned ncalls;
	struct buf body; /* the event being written */
	struct jw w;
	const char *raw; /* borrowed: native message being converted */
	size_t raw_len;
};

void uni_init(struct universal *u, struct outbox *out);
void uni_free(struct universal *u);
/* Give memory back that is not needed between turns. */
void uni_trim(struct universal *u);
void uni_native_session(struct universal *u, const char *id);
/* Events of the agent carry this native message (JSON, borrowed) as `raw`
 * until the next call; NULL: none. */
void uni_raw(struct universal *u, const char *json, size_t len);

/* --- what adapters emit, for any encoder --------------------------------- */

void uni_item_started(struct universal *u, const struct item *it);
void uni_item_delta(
    struct universal *u, const char *native_id, const char *s, size_t n);
/* Completes the open item of this native id and kind, or a new one. */
void uni_item_completed(
    struct universal *u, const struct item *it, enum item_status status);
/* Complete an open item with the text of its deltas; false: none is open. */
bool uni_item_close(
    struct universal *u, const char *native_id, enum item_status status);
/* The agent's plan: ENTRIES is a JSON array of {content, status: pending |
 * in_progress | completed, priority?}; each call replaces the former. LABEL is
 * what the universal schema calls it, e.g. turn.plan.updated. */
void uni_plan(struct universal *u, const char *label, const char *entries);
/* News that is no more than that: LABEL, and DETAIL as text or NULL. */
void uni_status(struct universal *u, const char *label, const char *detail);
void uni_session_ended(
    struct universal *u, const char *reason, const char *terminated_by);
/* DETAILS is JSON text, or NULL. */
void uni_error(struct universal *u, enum origin from, const char *code,
    const char *message, const char *details);
/* What could not be understood: RAW is JSON, or NULL and TEXT are its bytes. */
void uni_unparsed(struct universal *u, const char *location, const char *error,
    const char *raw, const char *text, size_t len);

/* --- the universal encoder only ------------------------------------------ */

/* Complete everything that is open as failed. */
void uni_close_items(struct universal *u);
/* After a restart of the worker: this item was open. */
void uni_restore_item(struct universal *u, uint64_t number, uint64_t parent,
    const char *native_id, enum item_kind kind, enum item_role role);

/* METADATA is JSON text, or NULL. */
void uni_session_started(struct universal *u, const char *metadata);
void uni_turn_started(
    struct universal *u, const char *turn_id, const char *metadata);
void
uni_turn_ended(struct universal *u, const char *turn_id, const char *metadata);
void uni_permission(struct universal *u, enum origin from, bool resolved,
    const char *id, const char *action, const char *status,
    const char *metadata);
/* OPTIONS is a JSON array. */
void uni_question(struct universal *u, enum origin from, bool resolved,
    const char *id, const char *prompt, const char *options,
    const char *response, const char *status);

#endif
