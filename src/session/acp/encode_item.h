/*
 * What the files of the ACP encoder share: items that were started, and tool
 * calls.
 */
#ifndef SESSION_ACP_ENCODE_ITEM_H
#define SESSION_ACP_ENCODE_ITEM_H

#include "session/acp/encode.h"

#define OUTPUT_BYTES (64u << 10) /* kept of a tool's output as it comes */
#define HASH_BEGIN 0xcbf29ce484222325u

/* An item that was started and not completed. */
struct enc_item {
	TAILQ_ENTRY(enc_item) link;
	char *native_id; /* owned, or NULL */
	enum item_kind kind;
	enum item_role role;
	bool thought; /* its deltas are */
	size_t sent;  /* bytes streamed of a message, and their hash */
	uint64_t hash;
	struct buf text; /* of a tool's output */
	int64_t told_ms; /* when clients were told of it last */
};

/* KIND may be ITEM_KIND_N: any. */
struct enc_item *enc_item_find(
    struct acp_encoder *en, const char *native_id, enum item_kind kind);
void enc_item_drop(struct acp_encoder *en, struct enc_item *o);

/* encode_call.c: tool calls and their results. */
void enc_tool_started(struct acp_encoder *en, const struct item *it);
void enc_tool_completed(
    struct acp_encoder *en, const struct item *it, enum item_status status);
void enc_result_started(struct acp_encoder *en, const struct item *it);
void enc_result_delta(
    struct acp_encoder *en, struct enc_item *o, const char *s, size_t n);
void enc_result_completed(
    struct acp_encoder *en, const struct item *it, enum item_status status);
/* Those that are open have failed. */
void enc_tools_end(struct acp_encoder *en);
void enc_tools_free(struct acp_encoder *en);

#endif
