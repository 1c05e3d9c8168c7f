/*
 * What Codex asks: leave to run a command, to change files, for more
 * permissions, to call a tool of an MCP server; and questions to the user. All
 * are requests of JSON-RPC. Runs in the session worker; the requests are
 * hostile input.
 *
 * Codex waits for an answer without end, so every request gets one: what cannot
 * be shown to the user is refused, what is not known is answered by an error.
 * Codex counts its requests anew in every process; in the log they are named by
 * the item or turn that they are about as well, so that no two are alike.
 */
#include "session/agents/codex.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agents/messages.h"
#include <string.h>

#define METHOD_UNKNOWN (-32601)
#define METADATA_MAX (256u << 10)

static const struct {
	const char *method;
	enum codex_ask_kind kind;
	const char *action;
} known[] = {
	{ "item/commandExecution/requestApproval", ASK_COMMAND,
	    "commandExecution" },
	{ "item/fileChange/requestApproval", ASK_FILES, "fileChange" },
	{ "item/permissions/requestApproval", ASK_PERMISSIONS, "permissions" },
	{ "mcpServer/elicitation/request", ASK_MCP_TOOL, NULL },
	{ "item/tool/requestUserInput", ASK_USER, NULL },
};

/* Known, but not for us: we offer no tools, clocks or accounts. */
static const char *const unserved[] = { "item/tool/call", "currentTime/read",
	"attestation/generate", "account/chatgptAuthTokens/refresh",
	"applyPatchApproval", "execCommandApproval" };

static bool
is_unserved(const char *method)
{
	size_t i;

	for (i = 0; i < countof(unserved); i++)
		if (strcmp(unserved[i], method) == 0)
			return true;
	return false;
}

static void
ask_free(struct codex *c, struct codex_ask *k)
{
	unsigned i;

	TAILQ_REMOVE(&c->asks, k, link);
	c->nasks--;
	for (i = 0; i < k->nq; i++) {
		free(k->q[i].id);
		free(k->q[i].key);
		free(k->q[i].answers);
	}
	free(k->id);
	free(k->rpc_id);
	free(k->profile);
	free(k);
}

void
codex_asks_drop(struct codex *c)
{
	while (!TAILQ_EMPTY(&c->asks))
		ask_free(c, TAILQ_FIRST(&c->asks));
}

/* The request that ID belongs to; for questions *I_OUT tells which. */
static struct codex_ask *
ask_find(struct codex *c, const char *id, unsigned *i_out)
{
	struct codex_ask *k;
	unsigned i;

	TAILQ_FOREACH (k, &c->asks, link) {
		if (k->kind != ASK_USER && strcmp(k->id, id) == 0)
			return k;
		for (i = 0; i < k->nq; i++)
			if (strcmp(k->q[i].id, id) == 0) {
				*i_out = i;
				return k;
			}
	}
	return NULL;
}

/* --- answers -------------------------------------------------------------- */

static void
answer_begin(
    struct jw *w, struct buf *b, const char *rpc_id, const char *member)
{
	buf_init(b, STDIN_BYTES_MAX);
	jw_init(w, b);
	jw_object(w);
	jw_key(w, "id");
	jw_raw(w, rpc_id, strlen(rpc_id));
	jw_key(w, member);
	jw_object(w);
}

static int
answer_send(struct codex *c, struct jw *w, struct buf *b, struct err *e)
{
	jw_object_end(w);
	jw_object_end(w);
	return codex_send(c, b, e);
}

static void
write_permissions(
    struct jw *w, const struct codex_ask *k, enum agent_reply reply)
{
	jw_key(w, "permissions");
	if (reply == REPLY_REJECT || k->profile == NULL) {
		jw_object(w);
		jw_object_end(w);
	} else {
		jw_raw(w, k->profile, strlen(k->profile));
	}
	jw_kstr(w, "scope", reply == REPLY_ALWAYS ? "session" : "turn");
}

static void
write_elicitation(struct jw *w, enum agent_reply reply)
{
	jw_kstr(w, "action", reply == REPLY_REJECT ? "decline" : "accept");
	if (reply == REPLY_REJECT)
		return;
	jw_key(w, "content");
	jw_object(w);
	jw_object_end(w);
	if (reply == REPLY_ALWAYS) {
		jw_key(w, "_meta");
		jw_object(w);
		jw_kstr(w, "persist", "session");
		jw_object_end(w);
	}
}

static int
give_leave(struct codex *c, const struct codex_ask *k, enum agent_reply reply,
    struct err *e)
{
	static const char *const words[REPLY_N] = { [REPLY_ONCE] = "accept",
		[REPLY_ALWAYS] = "acceptForSession",
		[REPLY_REJECT] = "decline" };
	struct buf b;
	struct jw w;

	answer_begin(&w, &b, k->rpc_id, "result");
	if (k->kind == ASK_PERMISSIONS)
		write_permissions(&w, k, reply);
	else if (k->kind == ASK_MCP_TOOL)
		write_elicitation(&w, reply);
	else
		jw_kstr(&w, "decision", words[reply]);
	return answer_send(c, &w, &b, e);
}

int
codex_permission(struct agent *a, const char *id, enum agent_reply r,
    const char *message, struct err *e)
{
	struct codex *c = (struct codex *)a;
	unsigned i;
	struct codex_ask *k = ask_find(c, id, &i);

	if (k == NULL || k->kind == ASK_USER)
		return err_set(e, ERR_PERMISSION_NOT_FOUND,
		    "codex waits for no such answer");
	if (give_leave(c, k, r, e) == -1)
		return -1;
	ask_free(c, k);
	/* A refusal itself carries no words. */
	if (r == REPLY_REJECT && message != NULL && *message != '\0') {
		autofree char *say =
		    xasprintf("The user declined this and says: %s", message);

		codex_steer(c, say);
	}
	return 0;
}

/* No answer to any of them is how a user declines. */
static int
give_answers(
    struct codex *c, const struct codex_ask *k, bool declined, struct err *e)
{
	struct buf b;
	struct jw w;
	unsigned i;

	answer_begin(&w, &b, k->rpc_id, "result");
	jw_key(&w, "answers");
	jw_object(&w);
	for (i = 0; i < k->nq && !declined; i++) {
		jw_key(&w, k->q[i].key);
		jw_object(&w);
		jw_key(&w, "answers");
		jw_raw(&w, k->q[i].answers, strlen(k->q[i].answers));
		jw_object_end(&w);
	}
	jw_object_end(&w);
	return answer_send(c, &w, &b, e);
}

static int
decline(struct codex *c, struct codex_ask *k, unsigned answered, struct err *e)
{
	unsigned i;

	if (give_answers(c, k, true, e) == -1)
		return -1;
	for (i = 0; i < k->nq; i++)
		if (i != answered && k->q[i].answers == NULL)
			agent_request_settled(
			    &c->a, FROM_DAEMON, k->q[i].id, NULL);
	ask_free(c, k);
	return 0;
}

/* One question's answer as Codex wants it: a list of words. */
static char *
words_of(const struct json *list)
{
	struct buf b;
	struct jw w;

	buf_init(&b, METADATA_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	if (list != NULL && list->type == JSON_STRING)
		jw_strn(&w, list->str, list->len);
	else
		json_foreach (it, list)
			if (it->type == JSON_STRING)
				jw_strn(&w, it->str, it->len);
	jw_array_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : xstrdup("[]");
}

int
codex_question(
    struct agent *a, const char *id, const struct json *answers, struct err *e)
{
	struct codex *c = (struct codex *)a;
	unsigned at = 0, i;
	struct codex_ask *k = ask_find(c, id, &at);
	const struct json *list;

	if (k == NULL || k->kind != ASK_USER)
		return err_set(e, ERR_QUESTION_NOT_FOUND,
		    "codex waits for no such answer");
	if (answers == NULL)
		return decline(c, k, at, e);
	/* More lists than one answer the questions that follow, too. */
	for (list = answers->child, i = at; i < k->nq;
	     i++, list = list != NULL ? list->next : NULL) {
		if (k->q[i].answers != NULL || (list == NULL && i != at))
			continue;
		k->q[i].answers = words_of(list);
		if (i != at) {
			autofree char *text = agent_answer_text(list, true);

			agent_request_settled(a, FROM_DAEMON, k->q[i].id, text);
		}
	}
	for (i = 0; i < k->nq; i++)
		if (k->q[i].answers == NULL)
			return 0; /* codex is told when all are answered */
	if (give_answers(c, k, false, e) == -1)
		return -1;
	ask_free(c, k);
	return 0;
}

/* --- requests ------------------------------------------------------------- */

static void
refuse(struct codex *c, const char *rpc_id, const char *why)
{
	struct buf b;
	struct jw w;
	struct err e;

	answer_begin(&w, &b, rpc_id, "error");
	jw_kint(&w, "code", METHOD_UNKNOWN);
	jw_kstr(&w, "message", why);
	if (answer_send(c, &w, &b, &e) == -1)
		log_warn("codex", "request cannot be refused",
		    LOG_STR("why", e.text));
}

static struct codex_ask *
ask_new(struct codex *c, enum codex_ask_kind kind, const char *rpc_id,
    const struct json *params)
{
	const char *about =
	    json_str(params, "itemId", json_str(params, "turnId", "request"));
	struct codex_ask *k = xcalloc(1, sizeof(*k));

	k->kind = kind;
	k->rpc_id = xstrdup(rpc_id);
	k->id = xasprintf("%.128s:%.64s", about, rpc_id);
	k->profile = agent_json(json_get(params, "permissions"));
	TAILQ_INSERT_TAIL(&c->asks, k, link);
	c->nasks++;
	return k;
}

/* What Codex sent, and how others know it. */
static char *
metadata(
    const struct codex_ask *k, const char *action, const struct json *params)
{
	static const char *const ours[] = { "codexRequestKind",
		"codexRequestId", "toolCallId", "toolName" };
	const char *tool = json_str(params, "itemId", NULL);
	struct buf b;
	struct jw w;
	size_t i;

	buf_init(&b, METADATA_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, k->kind == ASK_MCP_TOOL ? "toolName" : "codexRequestKind",
	    action);
	jw_key(&w, "codexRequestId");
	jw_raw(&w, k->rpc_id, strlen(k->rpc_id));
	if (tool != NULL)
		jw_kstr(&w, "toolCallId", tool);
	json_foreach (v, params) {
		for (i = 0; i < countof(ours); i++)
			if (strcmp(ours[i], v->key) == 0)
				break;
		if (i == countof(ours))
			jw_kvalue(&w, v->key, v);
	}
	jw_object_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

/* True when it is not for the user: the mode says what the answer is. */
static bool
answered_by_mode(struct codex *c, struct codex_ask *k)
{
	const struct codex_mode *mode = codex_mode_of(c);
	enum agent_reply reply = REPLY_ONCE;

	if (strcmp(mode->approval, "never") == 0)
		;
	else if (k->kind == ASK_FILES && mode->edits != EDITS_ASK)
		reply = mode->edits == EDITS_ACCEPT ? REPLY_ONCE : REPLY_REJECT;
	else
		return false;
	if (give_leave(c, k, reply, NULL) == -1)
		log_warn("codex", "a request cannot be answered",
		    LOG_STR("mode", mode->word));
	ask_free(c, k);
	return true;
}

static int
ask_leave(struct codex *c, struct codex_ask *k, const char *action,
    const struct json *params)
{
	autofree char *more = NULL;

	if (answered_by_mode(c, k))
		return 0;
	more = metadata(k, action, params);
	/* K may be answered and gone when this returns 0. */
	if (agent_ask_permission(&c->a, k->id, action, more) == 0)
		return 0;
	if (give_leave(c, k, REPLY_REJECT, NULL) == -1)
		log_warn("codex", "request cannot be refused",
		    LOG_STR("action", action));
	ask_free(c, k);
	return -1;
}

/* A server of MCP wants something of the user. Leave to call one of its tools
 * comes in this form, too; anything else is declined. */
static int
ask_elicitation(struct codex *c, struct codex_ask *k, const struct json *params)
{
	const struct json *meta = json_get(params, "_meta");
	autofree char *action =
	    xasprintf("%.128s.%.256s", json_str(params, "serverName", "server"),
		json_str(meta, "tool_name", "tool"));

	if (strcmp(json_str(meta, "codex_approval_kind", ""),
		"mcp_tool_call") == 0)
		return ask_leave(c, k, action, params);
	if (agent_turn_open(&c->a))
		uni_status(c->a.out, "mcp.elicitation.declined",
		    json_str(params, "message", NULL));
	if (give_leave(c, k, REPLY_REJECT, NULL) == -1)
		log_warn("codex", "request cannot be refused",
		    LOG_STR("action", action));
	ask_free(c, k);
	return 0;
}

/* Labels of the options as a JSON array. */
static char *
option_labels(const struct json *options)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 65536);
	jw_init(&w, &b);
	jw_array(&w);
	json_foreach (o, options)
		jw_str(&w, json_str(o, "label", ""));
	jw_array_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

static int
add_question(struct codex *c, struct codex_ask *k, const struct json *q)
{
	struct codex_question *mine = &k->q[k->nq];
	autofree char *options = option_labels(json_get(q, "options"));

	mine->id =
	    k->nq == 0 ? xstrdup(k->id) : xasprintf("%s_%u", k->id, k->nq + 1);
	mine->key = xstrdup(json_str(q, "id", ""));
	k->nq++;
	return agent_ask_question(&c->a, mine->id, json_str(q, "question", ""),
	    options != NULL ? options : "[]", false);
}

static void
withdraw(struct codex *c, struct codex_ask *k, enum origin from)
{
	unsigned i;

	if (k->kind != ASK_USER)
		agent_request_settled(&c->a, from, k->id, NULL);
	for (i = 0; i < k->nq; i++)
		if (k->q[i].answers == NULL)
			agent_request_settled(&c->a, from, k->q[i].id, NULL);
	ask_free(c, k);
}

static int
ask_user(struct codex *c, struct codex_ask *k, const struct json *params)
{
	const struct json *list = json_get(params, "questions");
	int rc = 0;

	if (list == NULL || list->type != JSON_ARRAY || list->len == 0 ||
	    list->len > CODEX_QUESTIONS_MAX)
		rc = -1;
	else
		json_foreach (q, list) {
			rc = add_question(c, k, q);
			if (rc == -1)
				break;
		}
	if (rc == 0)
		return 0;
	if (give_answers(c, k, true, NULL) == -1)
		log_warn("codex", "questions cannot be declined", LOG_END);
	withdraw(c, k, FROM_DAEMON);
	return -1;
}

static int
ask(struct codex *c, size_t which, const char *rpc_id,
    const struct json *params)
{
	struct codex_ask *k = ask_new(c, known[which].kind, rpc_id, params);

	switch (k->kind) {
	case ASK_USER:
		return ask_user(c, k, params);
	case ASK_MCP_TOOL:
		return ask_elicitation(c, k, params);
	case ASK_COMMAND:
	case ASK_FILES:
	case ASK_PERMISSIONS:
		break;
	}
	return ask_leave(c, k, known[which].action, params);
}

void
codex_request(
    struct codex *c, const struct json *m, const char *line, size_t len)
{
	autofree char *rpc_id = agent_json(json_get(m, "id"));
	const char *method = json_str(m, "method", "");
	size_t i;

	for (i = 0; i < countof(known); i++)
		if (strcmp(known[i].method, method) == 0)
			break;
	if (rpc_id == NULL || strlen(rpc_id) >= CODEX_ID_MAX) {
		codex_unparsed(
		    c, "a request that cannot be answered", line, len, true);
		return;
	}
	if (i == countof(known)) {
		if (!is_unserved(method))
			codex_unparsed(c, "unknown request", line, len, true);
		refuse(c, rpc_id, "unsupported request");
		return;
	}
	if (c->nasks == CODEX_ASKS_MAX) {
		refuse(c, rpc_id, "too many requests are open");
		return;
	}
	if (ask(c, i, rpc_id, json_get(m, "params")) == -1)
		codex_unparsed(c, "a request that cannot be shown was refused",
		    line, len, true);
}

void
codex_request_resolved(struct codex *c, const struct json *params)
{
	autofree char *rpc_id = agent_json(json_get(params, "requestId"));
	struct codex_ask *k;

	TAILQ_FOREACH (k, &c->asks, link)
		if (rpc_id != NULL && strcmp(k->rpc_id, rpc_id) == 0)
			break;
	if (k != NULL)
		withdraw(c, k, FROM_AGENT);
}
