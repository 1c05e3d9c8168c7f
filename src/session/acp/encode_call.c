/*
 * Tool calls of the ACP encoder: a call and its result, two items to us, are
 * one tool call to clients, by the call's own id. Runs in the session worker;
 * see encode.h.
 */
#include "session/acp/encode_item.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>

#define RAW_OUTPUT_BYTES (32u << 10)
#define TELL_MS 200 /* between updates of output as it comes */

struct enc_tool {
	TAILQ_ENTRY(enc_tool) link;
	char *item;   /* owned: native id of the call's item, or NULL */
	char *call;   /* owned: its id, as clients know it */
	char *name;   /* owned: what was called */
	char *args;   /* owned: arguments as they were told, if short */
	bool diff;    /* clients see what it changes */
	bool runs;    /* its output is shown in a terminal */
	bool working; /* in_progress was told */
	bool done;
};

#define ARGS_KEPT (16u << 10)

static struct enc_tool *
tool_find(struct acp_encoder *en, const char *id)
{
	struct enc_tool *t;

	TAILQ_FOREACH (t, &en->tools, link)
		if (id != NULL &&
		    (strcmp(t->call, id) == 0 ||
			(t->item != NULL && strcmp(t->item, id) == 0)))
			return t;
	return NULL;
}

bool
enc_call_of(
    struct acp_encoder *en, const char *native_id, struct enc_call *call_out)
{
	const struct enc_tool *t = tool_find(en, native_id);

	if (t == NULL)
		return false;
	call_out->id = t->call;
	call_out->name = t->args != NULL ? t->name : NULL;
	call_out->args = t->args;
	return true;
}

static void
tool_drop(struct acp_encoder *en, struct enc_tool *t)
{
	TAILQ_REMOVE(&en->tools, t, link);
	en->ntools--;
	free(t->item);
	free(t->call);
	free(t->name);
	free(t->args);
	free(t);
}

static void
write_status(struct acp_encoder *en, const struct enc_tool *t, const char *word)
{
	struct jw *w = enc_update(en, "tool_call_update");

	jw_key(w, "toolCallId");
	content_name(w, t->call);
	jw_kstr(w, "status", word);
	enc_update_end(en);
}

static struct enc_tool *
tool_new(struct acp_encoder *en, const char *item, const char *call)
{
	struct enc_tool *t = TAILQ_FIRST(&en->tools);

	if (en->ntools == ENC_TOOLS_MAX) {
		if (!t->done)
			write_status(en, t, "failed");
		tool_drop(en, t);
	}
	t = xcalloc(1, sizeof(*t));
	if (item != NULL)
		t->item = xstrndup(item, NAME_BYTES_MAX);
	t->call = xstrndup(call, NAME_BYTES_MAX);
	TAILQ_INSERT_TAIL(&en->tools, t, link);
	en->ntools++;
	return t;
}

static const struct part *
part_of(const struct item *it, enum part_type type)
{
	size_t i;

	for (i = 0; i < it->nparts; i++)
		if (it->parts[i].type == type)
			return &it->parts[i];
	return NULL;
}

/* The id of the call that IT is, or is the result of. */
static const char *
call_id(const struct item *it, enum part_type type)
{
	const struct part *p = part_of(it, type);

	if (p != NULL && p->word != NULL && *p->word != '\0')
		return p->word;
	return it->native_id != NULL ? it->native_id : "tool";
}

/* Arguments as NUL-terminated text; the caller's. */
static char *
args_text(const struct part *p)
{
	return p != NULL && p->text != NULL ? xstrndup(p->text, p->len)
					    : xstrdup("");
}

static void
write_meta(struct acp_encoder *en, struct jw *w, const struct enc_tool *t,
    const char *name, const char *parent)
{
	const struct enc_tool *above = tool_find(en, parent);

	jw_key(w, "_meta");
	jw_object(w);
	jw_key(w, ENC_META);
	jw_object(w);
	jw_key(w, "toolName");
	content_name(w, name);
	if (above != NULL) {
		jw_key(w, "parentToolCallId");
		content_name(w, above->call);
	}
	jw_object_end(w);
	if (t->runs) {
		jw_key(w, "terminal_info");
		jw_object(w);
		jw_key(w, "terminal_id");
		content_name(w, t->call);
		jw_object_end(w);
	}
	jw_object_end(w);
}

static void
keep_args(struct enc_tool *t, const char *args)
{
	free(t->args);
	t->args = strlen(args) <= ARGS_KEPT ? xstrdup(args) : NULL;
}

/* Tell of a call for the first time. */
static struct enc_tool *
announce(struct acp_encoder *en, const struct item *it, const char *word)
{
	const struct part *p = part_of(it, PART_TOOL_CALL);
	const char *name = p != NULL && p->name != NULL ? p->name : "Tool";
	autofree char *args = args_text(p);
	struct enc_tool *t =
	    tool_new(en, it->native_id, call_id(it, PART_TOOL_CALL));
	struct json *j = NULL;
	struct jw *w;

	if (json_parse(args, strlen(args), JSON_DEPTH_AGENT, &j, NULL) == -1)
		j = NULL;
	t->name = xstrndup(name, NAME_BYTES_MAX);
	t->runs = en->terminal && enc_tool_runs(name, j);
	json_free(j);
	w = enc_update(en, "tool_call");
	jw_key(w, "toolCallId");
	content_name(w, t->call);
	jw_kstr(w, "status", word);
	t->diff = enc_tool_members(
	    w, name, args, en->directory, t->runs ? t->call : NULL);
	write_meta(en, w, t, name, it->parent);
	enc_update_end(en);
	keep_args(t, args);
	return t;
}

void
enc_tool_started(struct acp_encoder *en, const struct item *it)
{
	if (tool_find(en, call_id(it, PART_TOOL_CALL)) == NULL)
		(void)announce(en, it, "pending");
}

void
enc_tool_completed(
    struct acp_encoder *en, const struct item *it, enum item_status status)
{
	const struct part *p = part_of(it, PART_TOOL_CALL);
	const char *word = status == ITEM_FAILED ? "failed" : "in_progress";
	struct enc_tool *t = tool_find(en, call_id(it, PART_TOOL_CALL));
	autofree char *args = args_text(p);
	struct jw *w;

	if (t == NULL && it->native_id != NULL)
		t = tool_find(en, it->native_id);
	if (t != NULL && t->done)
		return;
	if (t == NULL) {
		t = announce(en, it, word);
	} else {
		w = enc_update(en, "tool_call_update");
		jw_key(w, "toolCallId");
		content_name(w, t->call);
		jw_kstr(w, "status", word);
		if (p != NULL &&
		    (t->args == NULL || strcmp(t->args, args) != 0))
			t->diff = enc_tool_members(w,
			    p->name != NULL ? p->name : "Tool", args,
			    en->directory, t->runs ? t->call : NULL);
		enc_update_end(en);
		keep_args(t, args);
	}
	t->working = true;
	t->done = status == ITEM_FAILED;
}

/* --- results -------------------------------------------------------------- */

/* The tool that IT is the result of; one that was never called is announced
 * now. */
static struct enc_tool *
tool_of_result(struct acp_encoder *en, const struct item *it)
{
	struct enc_tool *t = tool_find(en, call_id(it, PART_TOOL_RESULT));

	if (t == NULL && it->native_id != NULL)
		t = tool_find(en, it->native_id);
	if (t == NULL) {
		struct part p = { .type = PART_TOOL_CALL,
			.name = "Tool",
			.word = call_id(it, PART_TOOL_RESULT) };
		const struct item call = { .native_id = it->native_id,
			.parent = it->parent,
			.kind = ITEM_TOOL_CALL,
			.parts = &p,
			.nparts = 1 };

		t = announce(en, &call, "in_progress");
		t->working = true;
	}
	return t;
}

void
enc_result_started(struct acp_encoder *en, const struct item *it)
{
	struct enc_tool *t = tool_of_result(en, it);

	if (t->working || t->done)
		return;
	t->working = true;
	write_status(en, t, "in_progress");
}

/* Output for a client that shows it in a terminal. */
static void
terminal_output(
    struct acp_encoder *en, const struct enc_tool *t, const char *s, size_t n)
{
	size_t budget = 256u << 10;
	struct jw *w;

	if (n == 0)
		return;
	w = enc_update(en, "tool_call_update");
	jw_key(w, "toolCallId");
	content_name(w, t->call);
	jw_key(w, "_meta");
	jw_object(w);
	jw_key(w, "terminal_output");
	jw_object(w);
	jw_key(w, "terminal_id");
	content_name(w, t->call);
	jw_key(w, "data");
	content_text(w, s, n, &budget);
	jw_object_end(w);
	jw_object_end(w);
	enc_update_end(en);
}

void
enc_result_delta(
    struct acp_encoder *en, struct enc_item *o, const char *s, size_t n)
{
	const struct item it = { .native_id = o->native_id,
		.kind = ITEM_TOOL_RESULT };
	struct enc_tool *t = tool_of_result(en, &it);
	size_t room = OUTPUT_BYTES - o->text.len;
	int64_t now;
	struct jw *w;

	(void)buf_add(
	    &o->text, s, MIN(n, room)); /* the rest comes at the end */
	o->sent += n;
	if (t->runs) {
		terminal_output(en, t, s, n);
		return;
	}
	/* Each update repeats what was there before: not for every byte. */
	now = now_monotonic_ms();
	if (now - o->told_ms < TELL_MS || room == 0)
		return;
	o->told_ms = now;
	w = enc_update(en, "tool_call_update");
	jw_key(w, "toolCallId");
	content_name(w, t->call);
	jw_key(w, "content");
	jw_array(w);
	enc_text_content(w, o->text.data, o->text.len);
	jw_array_end(w);
	enc_update_end(en);
}

static bool
is_change(const struct part *p)
{
	return p->type == PART_FILE_REF && p->text != NULL && p->len > 0 &&
	       p->name != NULL;
}

/* What the result shows: changes of files, or its words. */
static void
write_content(
    struct jw *w, const struct enc_tool *t, const struct item *it, bool failed)
{
	bool diff = false;
	size_t i;

	jw_array(w);
	for (i = 0; i < it->nparts; i++)
		if (is_change(&it->parts[i]))
			diff |= enc_diff_content(w, it->parts[i].name,
			    it->parts[i].text, it->parts[i].len);
	for (i = 0; i < it->nparts; i++) {
		const struct part *p = &it->parts[i];

		/* JSON beside words is more about them, for programs. */
		if ((p->type == PART_TOOL_RESULT || p->type == PART_TEXT ||
			(p->type == PART_JSON && it->nparts == 1)) &&
		    p->len > 0 && (failed || !(diff || t->diff)))
			enc_text_content(w, p->text, p->len);
	}
	jw_array_end(w);
}

static bool
has_change(const struct item *it)
{
	size_t i;

	for (i = 0; i < it->nparts; i++)
		if (is_change(&it->parts[i]))
			return true;
	return false;
}

static void
write_locations(struct acp_encoder *en, struct jw *w, const struct item *it)
{
	size_t i;

	if (part_of(it, PART_FILE_REF) == NULL)
		return;
	jw_key(w, "locations");
	jw_array(w);
	for (i = 0; i < it->nparts; i++)
		if (it->parts[i].type == PART_FILE_REF &&
		    it->parts[i].name != NULL)
			enc_location(w, en->directory, it->parts[i].name);
	jw_array_end(w);
}

static void
write_terminal_exit(struct jw *w, const struct enc_tool *t, bool failed)
{
	jw_key(w, "_meta");
	jw_object(w);
	jw_key(w, "terminal_exit");
	jw_object(w);
	jw_key(w, "terminal_id");
	content_name(w, t->call);
	jw_kint(w, "exit_code", failed ? 1 : 0);
	jw_knull(w, "signal");
	jw_object_end(w);
	jw_object_end(w);
}

void
enc_result_completed(
    struct acp_encoder *en, const struct item *it, enum item_status status)
{
	const struct part *out = part_of(it, PART_TOOL_RESULT);
	const struct enc_item *o =
	    enc_item_find(en, it->native_id, ITEM_TOOL_RESULT);
	struct enc_tool *t = tool_of_result(en, it);
	bool failed = status == ITEM_FAILED;
	size_t budget = RAW_OUTPUT_BYTES;
	struct jw *w;

	if (t->runs && out != NULL && (o == NULL || o->sent == 0))
		terminal_output(en, t, out->text, out->len);
	w = enc_update(en, "tool_call_update");
	jw_key(w, "toolCallId");
	content_name(w, t->call);
	jw_kstr(w, "status", failed ? "failed" : "completed");
	if (!t->runs && (failed || !t->diff || has_change(it))) {
		jw_key(w, "content");
		write_content(w, t, it, failed);
	}
	write_locations(en, w, it);
	if (out != NULL && out->text != NULL) {
		jw_key(w, "rawOutput");
		content_text(w, out->text, out->len, &budget);
	}
	if (t->runs)
		write_terminal_exit(w, t, failed);
	enc_update_end(en);
	t->done = true;
}

/* --- the end of a turn ---------------------------------------------------- */

void
enc_tools_end(struct acp_encoder *en)
{
	const struct enc_tool *t;

	TAILQ_FOREACH (t, &en->tools, link)
		if (!t->done)
			write_status(en, t, "failed");
	enc_tools_free(en);
}

void
enc_tools_free(struct acp_encoder *en)
{
	while (!TAILQ_EMPTY(&en->tools))
		tool_drop(en, TAILQ_FIRST(&en->tools));
}
