/*
 * What an item consists of, as adapters hand it over: parts that point into
 * memory of the caller. Writing them keeps to a budget of bytes, cutting long
 * texts at a character's edge with a mark that says how much is missing.
 */
#ifndef SESSION_CONTENT_H
#define SESSION_CONTENT_H

#include "lib/json.h"
#include <stddef.h>

enum item_kind {
	ITEM_MESSAGE,
	ITEM_TOOL_CALL,
	ITEM_TOOL_RESULT,
	ITEM_SYSTEM,
	ITEM_STATUS,
	ITEM_UNKNOWN,
	ITEM_KIND_N
};

enum item_role {
	ROLE_OF_USER,
	ROLE_OF_ASSISTANT,
	ROLE_OF_SYSTEM,
	ROLE_OF_TOOL,
	ROLE_OF_N
};

enum item_status {
	ITEM_IN_PROGRESS,
	ITEM_COMPLETED,
	ITEM_FAILED,
	ITEM_STATUS_N
};

enum part_type {
	PART_TEXT,	  /* text */
	PART_JSON,	  /* text: a JSON value, trusted to be one */
	PART_TOOL_CALL,	  /* name, text: arguments, word: call id */
	PART_TOOL_RESULT, /* text: output, word: call id */
	PART_FILE_REF,	  /* name: path, word: action, text: diff or NULL */
	PART_REASONING,	  /* text, word: visibility */
	PART_IMAGE,	  /* name: path, word: mime or NULL */
	PART_STATUS,	  /* name: label, text: detail or NULL */
	PART_TYPE_N
};

struct part {
	enum part_type type;
	const char *text;
	size_t len;
	const char *name;
	const char *word;
};

#define PART(ty, s) \
	((struct part){ .type = (ty), .text = (s), .len = strlen(s) })

#define NAME_BYTES_MAX 512 /* names, ids and words are cut beyond this */

const char *item_kind_word(enum item_kind k);
const char *item_role_word(enum item_role r);
const char *item_status_word(enum item_status s);
enum item_kind item_kind_of(const char *word); /* ITEM_KIND_N when none */
enum item_role item_role_of(const char *word); /* ROLE_OF_N when none */

/* S[0..n) as a JSON string that takes at most *BUDGET bytes; what it took is
 * taken off. NULL writes null. */
void content_text(struct jw *w, const char *s, size_t n, size_t *budget);
/* JSON text V[0..n), or an object that says how long it was. */
void content_json(struct jw *w, const char *v, size_t n, size_t *budget);
/* A short string: cut at NAME_BYTES_MAX. NULL writes null. */
void content_name(struct jw *w, const char *s);
/* The parts as an array. */
void
content_parts(struct jw *w, const struct part *parts, size_t n, size_t *budget);

#endif
