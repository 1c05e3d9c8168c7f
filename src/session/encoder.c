/*
 * What adapters emit, handed to the encoder of their session; see universal.h.
 * Runs in the session worker.
 */
#include "session/universal.h"

const struct encoder encoder_mute = { 0 };

void
uni_item_started(struct universal *u, const struct item *it)
{
	if (u->as->item_started != NULL)
		u->as->item_started(u, it);
}

void
uni_item_delta(
    struct universal *u, const char *native_id, const char *s, size_t n)
{
	if (u->as->item_delta != NULL)
		u->as->item_delta(u, native_id, s, n);
}

void
uni_item_completed(
    struct universal *u, const struct item *it, enum item_status status)
{
	if (u->as->item_completed != NULL)
		u->as->item_completed(u, it, status);
}

bool
uni_item_close(
    struct universal *u, const char *native_id, enum item_status status)
{
	return u->as->item_close != NULL &&
	       u->as->item_close(u, native_id, status);
}

void
uni_plan(struct universal *u, const char *label, const char *entries)
{
	if (u->as->plan != NULL)
		u->as->plan(u, label, entries);
}

void
uni_status(struct universal *u, const char *label, const char *detail)
{
	if (u->as->status != NULL)
		u->as->status(u, label, detail);
}

void
uni_error(struct universal *u, enum origin from, const char *code,
    const char *message, const char *details)
{
	if (u->as->error != NULL)
		u->as->error(u, from, code, message, details);
}

void
uni_unparsed(struct universal *u, const char *location, const char *error,
    const char *raw, const char *text, size_t len)
{
	if (u->as->unparsed != NULL)
		u->as->unparsed(u, location, error, raw, text, len);
}

void
uni_session_ended(
    struct universal *u, const char *reason, const char *terminated_by)
{
	if (u->as->session_ended != NULL)
		u->as->session_ended(u, reason, terminated_by);
}
