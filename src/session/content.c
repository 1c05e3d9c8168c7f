/*
 * Item content as JSON, within a budget; see content.h. Runs in the session
 * worker on texts that an agent wrote: they may be huge, hold control
 * characters (six bytes each when escaped) or bytes that are no UTF-8. Whatever
 * they are, what is written here is valid and short enough.
 */
#include "session/content.h"

#include "lib/strutil.h"
#include <stdio.h>
#include <string.h>

#define PARTS_MAX 64
#define MARK_ROOM 64 /* for the mark that stands where text was cut */

static const char *const kinds[ITEM_KIND_N] = {
	[ITEM_MESSAGE] = "message",
	[ITEM_TOOL_CALL] = "tool_call",
	[ITEM_TOOL_RESULT] = "tool_result",
	[ITEM_SYSTEM] = "system",
	[ITEM_STATUS] = "status",
	[ITEM_UNKNOWN] = "unknown",
};
static const char *const roles[ROLE_OF_N] = {
	[ROLE_OF_USER] = "user",
	[ROLE_OF_ASSISTANT] = "assistant",
	[ROLE_OF_SYSTEM] = "system",
	[ROLE_OF_TOOL] = "tool",
};
static const char *const statuses[ITEM_STATUS_N] = {
	[ITEM_IN_PROGRESS] = "in_progress",
	[ITEM_COMPLETED] = "completed",
	[ITEM_FAILED] = "failed",
};
static const char *const types[PART_TYPE_N] = {
	[PART_TEXT] = "text",
	[PART_JSON] = "json",
	[PART_TOOL_CALL] = "tool_call",
	[PART_TOOL_RESULT] = "tool_result",
	[PART_FILE_REF] = "file_ref",
	[PART_REASONING] = "reasoning",
	[PART_IMAGE] = "image",
	[PART_STATUS] = "status",
};

const char *
item_kind_word(enum item_kind k)
{
	return kinds[k];
}

const char *
item_role_word(enum item_role r)
{
	return roles[r];
}

const char *
item_status_word(enum item_status s)
{
	return statuses[s];
}

enum item_kind
item_kind_of(const char *word)
{
	unsigned k;

	for (k = 0; k < ITEM_KIND_N; k++)
		if (strcmp(kinds[k], word) == 0)
			break;
	return (enum item_kind)k;
}

enum item_role
item_role_of(const char *word)
{
	unsigned r;

	for (r = 0; r < ROLE_OF_N; r++)
		if (strcmp(roles[r], word) == 0)
			break;
	return (enum item_role)r;
}

/* Bytes that C takes inside a JSON string, at most. */
static size_t
cost(unsigned char c, bool valid)
{
	if (c < 0x20 || c == 0x7f)
		return 6;
	if (c == '"' || c == '\\' || c == '/')
		return 2;
	return c < 0x80 || valid ? 1 : 3; /* 3: U+FFFD in its place */
}

/* How much of S[0..n) fits into ROOM bytes; *USED_OUT is what it takes. */
static size_t
fitting(const char *s, size_t n, size_t room, size_t *used_out)
{
	bool valid = utf8_valid_prefix(s, n) == n;
	size_t i, c, used = 0;

	for (i = 0; i < n; i++) {
		c = cost((unsigned char)s[i], valid);
		if (used + c > room)
			break;
		used += c;
	}
	/* Not within a character: its first byte is left out too. */
	while (i > 0 && i < n && ((unsigned char)s[i] & 0xc0) == 0x80)
		i--;
	*used_out = used;
	return i;
}

void
content_text(struct jw *w, const char *s, size_t n, size_t *budget)
{
	char mark[MARK_ROOM];
	size_t fit, used;

	if (s == NULL) {
		jw_null(w);
		return;
	}
	fit = fitting(s, n, *budget, &used);
	if (fit == n) {
		*budget -= used;
		jw_strn(w, s, n);
		return;
	}
	fit =
	    fitting(s, n, *budget > MARK_ROOM ? *budget - MARK_ROOM : 0, &used);
	if (str_format(mark, sizeof(mark), "\n[cut: %zu of %zu bytes]", n - fit,
		n) == -1)
		mark[0] = '\0';
	*budget = 0;
	jw_str_begin(w);
	jw_str_add(w, s, fit);
	jw_str_add(w, mark, strlen(mark));
	jw_str_end(w);
}

void
content_json(struct jw *w, const char *v, size_t n, size_t *budget)
{
	if (v == NULL) {
		jw_null(w);
	} else if (n <= *budget) {
		*budget -= n;
		jw_raw(w, v, n);
	} else {
		jw_object(w);
		jw_kbool(w, "truncated", true);
		jw_kint(w, "bytes", (int64_t)n);
		jw_object_end(w);
	}
}

void
content_name(struct jw *w, const char *s)
{
	size_t budget = NAME_BYTES_MAX;

	content_text(w, s, s != NULL ? strlen(s) : 0, &budget);
}

static void
kname(struct jw *w, const char *key, const char *s)
{
	jw_key(w, key);
	content_name(w, s);
}

static void
part_write(struct jw *w, const struct part *p, size_t *budget)
{
	const char *key = "text";

	jw_object(w);
	jw_kstr(w, "type", types[p->type]);
	switch (p->type) {
	case PART_JSON:
		jw_key(w, "json");
		content_json(w, p->text, p->len, budget);
		jw_object_end(w);
		return;
	case PART_TOOL_CALL:
		kname(w, "name", p->name);
		key = "arguments";
		break;
	case PART_TOOL_RESULT:
		kname(w, "call_id", p->word);
		key = "output";
		break;
	case PART_FILE_REF:
		kname(w, "path", p->name);
		kname(w, "action", p->word);
		key = "diff";
		break;
	case PART_IMAGE:
		kname(w, "path", p->name);
		kname(w, "mime", p->word);
		jw_object_end(w);
		return;
	case PART_STATUS:
		kname(w, "label", p->name);
		key = "detail";
		break;
	case PART_TEXT:
	case PART_REASONING:
	case PART_TYPE_N:
		break;
	}
	jw_key(w, key);
	content_text(w, p->text, p->len, budget);
	if (p->type == PART_TOOL_CALL)
		kname(w, "call_id", p->word);
	else if (p->type == PART_REASONING)
		kname(w, "visibility", p->word);
	jw_object_end(w);
}

void
content_parts(struct jw *w, const struct part *parts, size_t n, size_t *budget)
{
	struct part rest = { .type = PART_TEXT };
	char text[MARK_ROOM];
	size_t i;

	jw_array(w);
	for (i = 0; i < n && i < PARTS_MAX; i++)
		part_write(w, &parts[i], budget);
	if (i < n &&
	    str_format(text, sizeof(text), "[cut: %zu parts]", n - i) == 0) {
		rest.text = text;
		rest.len = strlen(text);
		part_write(w, &rest, budget);
	}
	jw_array_end(w);
}
