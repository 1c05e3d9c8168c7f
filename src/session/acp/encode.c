/*
 * See encode.h. Runs in the session worker. Its input is what an adapter
 * understood of a hostile program's output: texts of any length, deltas of
 * items that were never started, tools that are completed twice. Its output is
 * always a well-formed update that fits an event.
 */
#include "session/acp/encode.h"

#include "lib/xalloc.h"
#include "session/acp/door.h"
#include "session/acp/encode_item.h"
#include "session/conf.h"
#include <string.h>

#define CHUNK_BYTES (64u << 10) /* longer ones become several */
#define ERROR_BYTES (16u << 10)
#define JSON_BYTES (256u << 10)

/* --- writing updates ------------------------------------------------------ */

struct jw *
enc_update(struct acp_encoder *en, const char *kind)
{
	struct jw *w = &en->u.w;

	buf_clear(&en->u.body);
	jw_init(w, &en->u.body);
	jw_object(w);
	jw_kstr(w, "jsonrpc", "2.0");
	jw_kstr(w, "method", "session/update");
	jw_key(w, "params");
	jw_object(w);
	jw_kstr(w, "sessionId", en->session);
	jw_key(w, "update");
	jw_object(w);
	jw_kstr(w, "sessionUpdate", kind);
	return w;
}

void
enc_update_end(struct acp_encoder *en)
{
	struct jw *w = &en->u.w;

	jw_object_end(w);
	jw_object_end(w);
	jw_object_end(w);
	if (!en->u.body.failed)
		acp_notify(en->door, en->u.body.data, en->u.body.len);
}

void
enc_update_json(
    struct acp_encoder *en, const char *kind, const char *key, const char *json)
{
	size_t len = strlen(json);
	struct jw *w;

	if (len > JSON_BYTES)
		return;
	w = enc_update(en, kind);
	jw_key(w, key);
	jw_raw(w, json, len);
	enc_update_end(en);
}

/* What ACP has no update for: WORD says what it is. */
static void
info(struct acp_encoder *en, const char *word, const char *code,
    const char *text, size_t len, const char *details)
{
	size_t budget = ERROR_BYTES;
	struct jw *w = enc_update(en, "session_info_update");

	jw_key(w, "_meta");
	jw_object(w);
	jw_key(w, ENC_META);
	jw_object(w);
	jw_key(w, word);
	jw_object(w);
	jw_key(w, "code");
	content_name(w, code);
	jw_key(w, "text");
	content_text(w, text, len, &budget);
	if (details != NULL) {
		jw_key(w, "details");
		content_json(w, details, strlen(details), &budget);
	}
	jw_object_end(w);
	jw_object_end(w);
	jw_object_end(w);
	enc_update_end(en);
}

static void
chunk(struct acp_encoder *en, bool thought, const char *native_id,
    const char *s, size_t n)
{
	size_t budget = 8 * CHUNK_BYTES;
	struct jw *w = enc_update(
	    en, thought ? "agent_thought_chunk" : "agent_message_chunk");

	jw_key(w, "content");
	jw_object(w);
	jw_kstr(w, "type", "text");
	jw_key(w, "text");
	content_text(w, s, n, &budget);
	jw_object_end(w);
	if (native_id != NULL) {
		jw_key(w, "messageId");
		content_name(w, native_id);
	}
	enc_update_end(en);
}

static void
chunks(struct acp_encoder *en, bool thought, const char *native_id,
    const char *s, size_t n)
{
	size_t len;

	while (n > 0) {
		len = MIN(n, CHUNK_BYTES);
		while (len < n && len > CHUNK_BYTES - 4 &&
		       ((unsigned char)s[len] & 0xc0) == 0x80)
			len--; /* not within a character */
		chunk(en, thought, native_id, s, len);
		s += len;
		n -= len;
	}
}

/* A file or an image that the agent shows. */
static void
link_chunk(struct acp_encoder *en, const char *native_id, const struct part *p)
{
	const char *path = p->name != NULL ? p->name : "";
	const char *slash = strrchr(path, '/');
	autofree char *uri =
	    xasprintf("file://%s%s%s", path[0] == '/' ? "" : en->directory,
		path[0] == '/' ? "" : "/", path);
	struct jw *w = enc_update(en, "agent_message_chunk");

	jw_key(w, "content");
	jw_object(w);
	jw_kstr(w, "type", "resource_link");
	jw_key(w, "uri");
	content_name(w, uri);
	jw_key(w, "name");
	content_name(w, slash != NULL ? slash + 1 : path);
	if (p->type == PART_IMAGE && p->word != NULL) {
		jw_key(w, "mimeType");
		content_name(w, p->word);
	}
	jw_object_end(w);
	if (native_id != NULL) {
		jw_key(w, "messageId");
		content_name(w, native_id);
	}
	enc_update_end(en);
}

/* --- messages ------------------------------------------------------------- */

/* FNV-1a: whether what is completed begins with what was streamed. */
static uint64_t
hash_more(uint64_t h, const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
	return h;
}

struct enc_item *
enc_item_find(
    struct acp_encoder *en, const char *native_id, enum item_kind kind)
{
	struct enc_item *o;

	TAILQ_FOREACH (o, &en->items, link)
		if (native_id != NULL && o->native_id != NULL &&
		    (kind == ITEM_KIND_N || o->kind == kind) &&
		    strcmp(o->native_id, native_id) == 0)
			return o;
	return NULL;
}

void
enc_item_drop(struct acp_encoder *en, struct enc_item *o)
{
	if (o == NULL)
		return;
	TAILQ_REMOVE(&en->items, o, link);
	en->nitems--;
	buf_free(&o->text);
	free(o->native_id);
	free(o);
}

static struct enc_item *
item_new(struct acp_encoder *en, const struct item *it)
{
	struct enc_item *o;

	if (en->nitems == OPEN_ITEMS_MAX)
		enc_item_drop(en, TAILQ_FIRST(&en->items));
	o = xcalloc(1, sizeof(*o));
	if (it->native_id != NULL)
		o->native_id = xstrndup(it->native_id, NAME_BYTES_MAX);
	o->kind = it->kind;
	o->role = it->role;
	o->thought = it->nparts > 0 && it->parts[0].type == PART_REASONING;
	o->hash = HASH_BEGIN;
	buf_init(&o->text, OUTPUT_BYTES);
	TAILQ_INSERT_TAIL(&en->items, o, link);
	en->nitems++;
	return o;
}

/* The texts of a message, one after the other, each on its own line. */
static void
message_text(struct buf *all, const struct item *it, enum part_type type)
{
	size_t i;

	for (i = 0; i < it->nparts; i++) {
		if (it->parts[i].type != type)
			continue;
		if (all->len > 0)
			(void)buf_addc(all, '\n');
		(void)buf_add(all, it->parts[i].text, it->parts[i].len);
	}
}

/* What was not streamed of a message. */
static void
message_rest(
    struct acp_encoder *en, const struct enc_item *o, const struct item *it)
{
	enum part_type type = o->thought ? PART_REASONING : PART_TEXT;
	struct buf all;

	buf_init(&all, 8u << 20);
	message_text(&all, it, type);
	if (!all.failed && all.len > o->sent &&
	    hash_more(HASH_BEGIN, all.data, o->sent) == o->hash)
		chunks(en, o->thought, o->native_id, all.data + o->sent,
		    all.len - o->sent);
	buf_free(&all);
}

static void
message_parts(
    struct acp_encoder *en, const struct enc_item *o, const struct item *it)
{
	const struct part *p;
	size_t i;

	for (i = 0; i < it->nparts; i++) {
		p = &it->parts[i];
		if (p->type == PART_REASONING && !o->thought &&
		    (p->word == NULL || strcmp(p->word, "private") != 0))
			chunks(en, true, o->native_id, p->text, p->len);
		else if (p->type == PART_JSON)
			chunks(en, false, o->native_id, p->text, p->len);
		else if (p->type == PART_IMAGE || p->type == PART_FILE_REF)
			link_chunk(en, o->native_id, p);
	}
}

static void
message_completed(struct acp_encoder *en, const struct item *it)
{
	struct enc_item *o = enc_item_find(en, it->native_id, it->kind);

	if (it->role == ROLE_OF_USER) {
		enc_item_drop(en, o);
		return; /* who has said it knows it */
	}
	if (o == NULL)
		o = item_new(en, it);
	message_rest(en, o, it);
	message_parts(en, o, it);
	enc_item_drop(en, o);
}

/* --- what adapters call --------------------------------------------------- */

static struct acp_encoder *
of(struct universal *u)
{
	return (struct acp_encoder *)u;
}

static void
item_started(struct universal *u, const struct item *it)
{
	struct acp_encoder *en = of(u);
	struct enc_item *o = enc_item_find(en, it->native_id, it->kind);

	if (o != NULL)
		return;
	if (it->kind == ITEM_TOOL_CALL)
		enc_tool_started(en, it);
	else if (it->kind == ITEM_TOOL_RESULT)
		enc_result_started(en, it);
	(void)item_new(en, it);
}

static void
item_delta(struct universal *u, const char *native_id, const char *s, size_t n)
{
	struct acp_encoder *en = of(u);
	const struct item it = { .native_id = native_id,
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT };
	struct enc_item *o = enc_item_find(en, native_id, ITEM_KIND_N);

	if (n == 0)
		return;
	if (o == NULL)
		o = item_new(en, &it);
	if (o->kind == ITEM_TOOL_RESULT) {
		enc_result_delta(en, o, s, n);
	} else if (o->kind == ITEM_MESSAGE && o->role != ROLE_OF_USER) {
		chunks(en, o->thought, o->native_id, s, n);
		o->hash = hash_more(o->hash, s, n);
		o->sent += n;
	}
}

/* A status, a system message, or an item of unknown kind. */
static void
other_completed(struct acp_encoder *en, const struct item *it)
{
	const struct part *p;
	size_t i;

	for (i = 0; i < it->nparts; i++) {
		p = &it->parts[i];
		info(en, item_kind_word(it->kind), p->name,
		    p->text != NULL ? p->text : "",
		    p->text != NULL ? p->len : 0, NULL);
	}
}

static void
item_completed(
    struct universal *u, const struct item *it, enum item_status status)
{
	struct acp_encoder *en = of(u);

	switch (it->kind) {
	case ITEM_MESSAGE:
		message_completed(en, it);
		return;
	case ITEM_TOOL_CALL:
		enc_tool_completed(en, it, status);
		break;
	case ITEM_TOOL_RESULT:
		enc_result_completed(en, it, status);
		break;
	case ITEM_SYSTEM:
	case ITEM_STATUS:
	case ITEM_UNKNOWN:
	case ITEM_KIND_N:
		other_completed(en, it);
		break;
	}
	enc_item_drop(en, enc_item_find(en, it->native_id, it->kind));
}

static bool
item_close(struct universal *u, const char *native_id, enum item_status status)
{
	struct acp_encoder *en = of(u);
	struct enc_item *o = enc_item_find(en, native_id, ITEM_KIND_N);
	struct item it = { .native_id = native_id };
	struct part p = { .type = PART_TOOL_RESULT };
	autofree char *text = NULL;

	if (o == NULL)
		return false;
	it.kind = o->kind;
	it.role = o->role;
	if (o->kind == ITEM_TOOL_RESULT) {
		p.len = o->text.len;
		text = o->text.len > 0 ? buf_steal(&o->text) : NULL;
		p.text = text != NULL ? text : "";
		it.parts = &p;
		it.nparts = 1;
	}
	if (o->kind == ITEM_MESSAGE)
		enc_item_drop(en, o);
	else
		item_completed(u, &it, status);
	return true;
}

static void
plan(struct universal *u, const char *label, const char *entries)
{
	static const char *const words[] = { "pending", "in_progress",
		"completed" };
	struct acp_encoder *en = of(u);
	struct json *j = NULL;
	struct jw *w;
	size_t i;

	(void)label;
	if (json_parse(entries, strlen(entries), JSON_DEPTH_AGENT, &j, NULL) ==
	    -1)
		return;
	w = enc_update(en, "plan");
	jw_key(w, "entries");
	jw_array(w);
	json_foreach (it, j) {
		const char *status = json_str(it, "status", "pending");
		size_t budget = ERROR_BYTES;
		const char *text = json_str(it, "content", "");

		for (i = 0; i < countof(words); i++)
			if (strcmp(words[i], status) == 0)
				break;
		jw_object(w);
		jw_key(w, "content");
		content_text(w, text, strlen(text), &budget);
		jw_kstr(w, "priority", json_str(it, "priority", "medium"));
		jw_kstr(w, "status", i < countof(words) ? status : "pending");
		jw_object_end(w);
	}
	jw_array_end(w);
	enc_update_end(en);
	json_free(j);
}

static void
status(struct universal *u, const char *label, const char *detail)
{
	info(of(u), "status", label, detail != NULL ? detail : "",
	    detail != NULL ? strlen(detail) : 0, NULL);
}

static void
error(struct universal *u, enum origin from, const char *code,
    const char *message, const char *details)
{
	struct acp_encoder *en = of(u);
	const char *text = message != NULL ? message : "";

	(void)from;
	conf_set(&en->error_code, code);
	free(en->error_text);
	en->error_text = xstrndup(text, MIN(strlen(text), ERROR_BYTES));
	conf_set(&en->error_details,
	    details != NULL && strlen(details) <= ERROR_BYTES ? details : NULL);
	info(en, "error", code, text, strlen(text), en->error_details);
}

static void
unparsed(struct universal *u, const char *location, const char *why,
    const char *raw, const char *text, size_t len)
{
	info(of(u), "unparsed", location, why, strlen(why), NULL);
	(void)raw, (void)text, (void)len;
}

static const struct encoder encoder_acp = {
	.item_started = item_started,
	.item_delta = item_delta,
	.item_completed = item_completed,
	.item_close = item_close,
	.plan = plan,
	.status = status,
	.error = error,
	.unparsed = unparsed,
};

void
enc_usage(struct acp_encoder *en, int64_t used, int64_t window)
{
	struct jw *w = enc_update(en, "usage_update");

	jw_kint(w, "used", used);
	jw_kint(w, "size", window);
	enc_update_end(en);
}

/* --- life ----------------------------------------------------------------- */

void
enc_init(struct acp_encoder *en, struct acp_door *door, const char *session,
    const char *directory)
{
	memset(en, 0, sizeof(*en));
	uni_init(&en->u, NULL);
	buf_init(&en->u.body, ACP_ENVELOPE_MAX);
	en->u.as = &encoder_acp;
	en->door = door;
	en->session = session;
	en->directory = directory;
	TAILQ_INIT(&en->items);
	TAILQ_INIT(&en->tools);
}

static void
forget_error(struct acp_encoder *en)
{
	free(STEAL(en->error_code));
	free(STEAL(en->error_text));
	free(STEAL(en->error_details));
}

void
enc_turn_begins(struct acp_encoder *en)
{
	forget_error(en);
}

void
enc_turn_ends(struct acp_encoder *en)
{
	enc_tools_end(en);
	while (!TAILQ_EMPTY(&en->items))
		enc_item_drop(en, TAILQ_FIRST(&en->items));
	uni_trim(&en->u);
}

void
enc_free(struct acp_encoder *en)
{
	forget_error(en);
	while (!TAILQ_EMPTY(&en->items))
		enc_item_drop(en, TAILQ_FIRST(&en->items));
	enc_tools_free(en);
	uni_free(&en->u);
}
