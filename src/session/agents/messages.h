/*
 * Messages as Anthropic's programming interface has them, with content blocks:
 * what Claude Code and Amp print is made of them. Here they become items, for
 * whichever adapter read them.
 */
#ifndef SESSION_AGENTS_MESSAGES_H
#define SESSION_AGENTS_MESSAGES_H

#include "session/agent.h"

/* A line of type `assistant` or `user` carries its message and, in
 * parent_tool_use_id, the tool call that it belongs to. M is the line, BLOCK
 * one of its blocks. */
/* Text or thinking, whole, as the item NATIVE_ID. */
void message_text(struct agent *a, const char *native_id, const struct json *m,
    const struct json *block, bool reasoning, enum item_status status);
void message_tool_use(
    struct agent *a, const struct json *m, const struct json *block);
/* What is neither text, thinking nor a tool's use. */
void message_other_block(
    struct agent *a, const struct json *m, const struct json *block);
/* ONLY: it is the line's only one, to which its structured result belongs. */
void message_tool_result(
    struct agent *a, const struct json *m, const struct json *block, bool only);

/* The line that tells such an agent the user's message: its text as a string,
 * or with images as blocks. The caller's; NULL: it is too long. */
char *message_user_line(const struct agent_message *m);

/* A line of type `result`: why the turn ended, and what its end tells besides
 * ({usage, total_cost_usd, …}; the caller's, or NULL). */
const char *message_stop_reason(const struct agent *a, const struct json *m);
char *message_result_metadata(const struct json *m);
/* One count of a `usage`, within what can be added up. */
int64_t message_tokens(const struct json *usage, const char *key);
/* Tokens of a message's `usage` that its model call had in its context. */
int64_t message_context_tokens(const struct json *usage);

#endif
