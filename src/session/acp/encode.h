/*
 * The ACP encoder: what an adapter emits becomes session/update notifications
 * of one session. Messages and thoughts become chunks, a tool call and its
 * result become one tool call with updates; what ACP has no word for becomes a
 * session_info_update whose _meta says it, so that nothing is lost.
 */
#ifndef SESSION_ACP_ENCODE_H
#define SESSION_ACP_ENCODE_H

#include "session/universal.h"
#include <sys/queue.h>

#define ENC_TOOLS_MAX 64
#define ENC_META "sandboxd" /* our name in _meta */

struct acp_door;
struct enc_item;
struct enc_tool;

struct acp_encoder {
	struct universal u;    /* first: what the adapter knows */
	struct acp_door *door; /* borrowed */
	const char *session;   /* borrowed: the id that clients know */
	const char *directory; /* borrowed */
	bool terminal;	       /* the client shows output as it comes */
	TAILQ_HEAD(enc_items, enc_item) items; /* owned: started */
	unsigned nitems;
	TAILQ_HEAD(enc_tools, enc_tool) tools; /* owned: announced */
	unsigned ntools;
	/* The error that was emitted last in this turn; owned, or NULL. */
	char *error_code, *error_text, *error_details;
};

/* SESSION and DIRECTORY are borrowed. */
void enc_init(struct acp_encoder *en, struct acp_door *door,
    const char *session, const char *directory);
void enc_free(struct acp_encoder *en);
/* A turn begins: no error yet. */
void enc_turn_begins(struct acp_encoder *en);
/* It ends: what is open is closed, tools as failed; memory is given back. */
void enc_turn_ends(struct acp_encoder *en);

/* One update of KIND: begin, write members, end. */
struct jw *enc_update(struct acp_encoder *en, const char *kind);
void enc_update_end(struct acp_encoder *en);
/* An update whose one member KEY is the JSON text JSON. */
void enc_update_json(struct acp_encoder *en, const char *kind, const char *key,
    const char *json);
void enc_usage(struct acp_encoder *en, int64_t used, int64_t window);

/* A tool call as clients know it. */
struct enc_call {
	const char *id;
	const char *name, *args; /* NULL: they were too long to be kept */
};
/* The call that the item of this native id is about; false: there is none. */
bool enc_call_of(
    struct acp_encoder *en, const char *native_id, struct enc_call *call_out);

/* --- encode_tool.c: what a tool call is about ----------------------------- */

/* Is it shown as a terminal? */
bool enc_tool_runs(const char *name, const struct json *args);
/* Members title, kind, rawInput, locations and content (a diff, if the
 * arguments tell one) of the open object. Returns whether there was a diff. */
bool enc_tool_members(struct jw *w, const char *name, const char *args_text,
    const char *directory, const char *terminal_id);
/* Elements of a content array: the text in a block, and changes of a file as a
 * unified diff tells them. False when DIFF is none. */
void enc_text_content(struct jw *w, const char *text, size_t len);
bool
enc_diff_content(struct jw *w, const char *path, const char *diff, size_t len);
void enc_location(struct jw *w, const char *directory, const char *path);

#endif
