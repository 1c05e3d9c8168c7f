/*
 * Events of the universal schema that are no items; see universal.h. Runs in
 * the session worker. What they tell comes from an agent, hostile and of any
 * length; a budget bounds each.
 */
#include "session/universal_log.h"

#include "lib/defs.h"
#include <string.h>

static void
kjson(struct jw *w, const char *key, const char *json, size_t *budget)
{
	jw_key(w, key);
	content_json(w, json, json != NULL ? strlen(json) : 0, budget);
}

static void
ktext(struct jw *w, const char *key, const char *s, size_t *budget)
{
	jw_key(w, key);
	content_text(w, s, s != NULL ? strlen(s) : 0, budget);
}

void
uni_session_started(struct universal *u, const char *metadata)
{
	size_t budget = CONTENT_BYTES;
	struct jw *w = uni_event_begin(u, FROM_DAEMON, "session.started");

	jw_object(w);
	kjson(w, "metadata", metadata, &budget);
	jw_object_end(w);
	uni_event_end(u, FROM_DAEMON);
}

void
uni_log_session_ended(
    struct universal *u, const char *reason, const char *terminated_by)
{
	struct jw *w = uni_event_begin(u, FROM_DAEMON, "session.ended");

	jw_object(w);
	jw_kstr(w, "reason", reason);
	jw_kstr(w, "terminated_by", terminated_by);
	jw_object_end(w);
	uni_event_end(u, FROM_DAEMON);
}

static void
turn(struct universal *u, const char *type, const char *phase,
    const char *turn_id, const char *metadata)
{
	size_t budget = CONTENT_BYTES;
	struct jw *w = uni_event_begin(u, FROM_DAEMON, type);

	jw_object(w);
	jw_kstr(w, "phase", phase);
	jw_kstr(w, "turn_id", turn_id);
	if (metadata != NULL)
		kjson(w, "metadata", metadata, &budget);
	jw_object_end(w);
	uni_event_end(u, FROM_DAEMON);
}

void
uni_turn_started(struct universal *u, const char *turn_id, const char *metadata)
{
	turn(u, "turn.started", "started", turn_id, metadata);
}

void
uni_turn_ended(struct universal *u, const char *turn_id, const char *metadata)
{
	turn(u, "turn.ended", "ended", turn_id, metadata);
}

void
uni_log_error(struct universal *u, enum origin from, const char *code,
    const char *message, const char *details)
{
	size_t budget = CONTENT_BYTES;
	struct jw *w = uni_event_begin(u, from, "error");

	jw_object(w);
	ktext(w, "message", message, &budget);
	uni_kname(w, "code", code);
	kjson(w, "details", details, &budget);
	jw_object_end(w);
	uni_event_end(u, from);
}

void
uni_log_unparsed(struct universal *u, const char *location, const char *error,
    const char *raw, const char *text, size_t len)
{
	size_t budget = CONTENT_BYTES;
	struct jw *w = uni_event_begin(u, FROM_DAEMON, "agent.unparsed");

	jw_object(w);
	uni_kname(w, "error", error);
	uni_kname(w, "location", location);
	jw_knull(w, "raw_hash");
	jw_object_end(w);
	if (raw != NULL) {
		uni_event_raw(u, raw, len);
	} else {
		jw_key(w, "raw");
		content_text(w, text, len, &budget);
	}
	uni_event_add(u);
}

void
uni_permission(struct universal *u, enum origin from, bool resolved,
    const char *id, const char *action, const char *status,
    const char *metadata)
{
	size_t budget = CONTENT_BYTES;
	struct jw *w = uni_event_begin(
	    u, from, resolved ? "permission.resolved" : "permission.requested");

	jw_object(w);
	uni_kname(w, "permission_id", id);
	uni_kname(w, "action", action);
	jw_kstr(w, "status", status);
	kjson(w, "metadata", metadata, &budget);
	jw_object_end(w);
	uni_event_end(u, from);
}

void
uni_question(struct universal *u, enum origin from, bool resolved,
    const char *id, const char *prompt, const char *options,
    const char *response, const char *status)
{
	size_t budget = CONTENT_BYTES;
	struct jw *w = uni_event_begin(
	    u, from, resolved ? "question.resolved" : "question.requested");

	jw_object(w);
	uni_kname(w, "question_id", id);
	ktext(w, "prompt", prompt, &budget);
	kjson(w, "options", options != NULL ? options : "[]", &budget);
	ktext(w, "response", response, &budget);
	jw_kstr(w, "status", status);
	jw_object_end(w);
	uni_event_end(u, from);
}

void
uni_log_status(struct universal *u, const char *label, const char *detail)
{
	struct part p = { .type = PART_STATUS,
		.name = label,
		.text = detail,
		.len = detail != NULL ? strlen(detail) : 0 };
	const struct item it = { .kind = ITEM_STATUS,
		.role = ROLE_OF_SYSTEM,
		.parts = &p,
		.nparts = 1 };

	uni_item_completed(u, &it, ITEM_COMPLETED);
}
