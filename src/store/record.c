/*
 * Merging and showing records. Runs in the store. Patches of the supervisor
 * are trusted in content and bounded in size; those of a worker (`set`) are
 * hostile: a few members, each checked, and the supervisor never gets to see
 * those that are no short strings.
 */
#include "store/record.h"

#include "store/append.h"

#include <string.h>

static const char *const kept_by_store[] = { "log", "event_count",
	"first_sequence", "last_sequence", "updated_at" };
static const char *const hidden_from_clients[] = { "log", "checkpoint", "env",
	"keys", "idempotency_key", "request_hash" };
static const char *const written_by_workers[] = { "checkpoint", "keys",
	"options" };

static bool
listed(const char *const *list, size_t n, const char *key)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(list[i], key) == 0)
			return true;
	}
	return false;
}

uint64_t
record_log(const struct json *rec)
{
	return (uint64_t)json_int(rec, "log", 0);
}

int
record_merge(const struct json *old, const struct json *patch, uint64_t log,
    struct buf *out, struct err *e)
{
	const struct json *v;
	struct jw w;

	jw_init(&w, out);
	jw_object(&w);
	if (log > 0)
		jw_kint(&w, "log", (int64_t)log);
	json_foreach (it, old) {
		if (log > 0 &&
		    listed(kept_by_store, countof(kept_by_store), it->key))
			continue;
		v = json_get(patch, it->key);
		if (v == NULL)
			v = it;
		if (v->type != JSON_NULL)
			jw_kvalue(&w, it->key, v);
	}
	json_foreach (it, patch) {
		if (it->type == JSON_NULL || json_get(old, it->key) != NULL)
			continue;
		if (log > 0 &&
		    listed(kept_by_store, countof(kept_by_store), it->key))
			continue;
		jw_kvalue(&w, it->key, it);
	}
	jw_object_end(&w);
	if (out->failed)
		return err_set(e, ERR_TOO_LARGE, "a record too large");
	return 0;
}

void
record_write(struct jw *w, const struct json *rec, enum record_view view,
    const struct record_facts *facts)
{
	jw_object(w);
	json_foreach (it, rec) {
		if (view == VIEW_CLIENT &&
		    listed(hidden_from_clients, countof(hidden_from_clients),
			it->key))
			continue;
		if (view == VIEW_SUPERVISOR &&
		    listed(written_by_workers, countof(written_by_workers),
			it->key))
			continue;
		jw_kvalue(w, it->key, it);
	}
	jw_kint(w, "event_count", (int64_t)(facts->last + 1 - facts->first));
	jw_kint(w, "first_sequence", (int64_t)facts->first);
	jw_kint(w, "last_sequence", (int64_t)facts->last);
	jw_kint(w, "updated_at", facts->updated_ms);
	jw_object_end(w);
}

static int
set_text_check(const struct json *v, size_t max, struct err *e)
{
	size_t i;

	if (v->type == JSON_NULL)
		return 0;
	if (v->type != JSON_STRING || v->len > max)
		return err_set(e, ERR_BAD_REQUEST, "set: a member's type");
	for (i = 0; i < v->len; i++) {
		if ((unsigned char)v->str[i] < 0x20)
			return err_set(
			    e, ERR_BAD_REQUEST, "set: a control character");
	}
	return 0;
}

static int
set_state_check(const struct json *v, struct err *e)
{
	static const char *const states[] = { "idle", "turn", "ended",
		"error" };

	if (v->type == JSON_STRING && strlen(v->str) == v->len &&
	    listed(states, countof(states), v->str))
		return 0;
	return err_set(e, ERR_BAD_REQUEST, "set: the state");
}

/* The members that are short texts, and how long they may be. */
static const struct {
	const char *name;
	size_t max;
} set_texts[] = {
	{ "native_session_id", NATIVE_ID_MAX },
	{ "model", 256 },
	{ "permission_mode", 64 },
	{ "agent_mode", 64 },
	{ "thought_level", 64 },
	{ "version", 128 },
	{ "keys", KEYS_BYTES_MAX },
};

static int
set_member_check(const struct json *it, struct err *e)
{
	if (strcmp(it->key, "state") == 0)
		return set_state_check(it, e);
	for (size_t i = 0; i < countof(set_texts); i++) {
		if (strcmp(it->key, set_texts[i].name) == 0)
			return set_text_check(it, set_texts[i].max, e);
	}
	/* SET_BYTES_MAX bounds these. */
	if ((strcmp(it->key, "checkpoint") == 0 &&
		(it->type == JSON_OBJECT || it->type == JSON_NULL)) ||
	    (strcmp(it->key, "options") == 0 &&
		(it->type == JSON_ARRAY || it->type == JSON_NULL)))
		return 0;
	return err_set(
	    e, ERR_BAD_REQUEST, "set: a member unknown or of a wrong type");
}

int
record_set_check(const struct json *set, struct err *e)
{
	json_foreach (it, set) {
		if (set_member_check(it, e) == -1)
			return -1;
	}
	return 0;
}
