/*
 * What an ACP agent asks: permission to use a tool, and forms (acp_form.c).
 * Runs in the session worker; the requests are hostile input.
 *
 * The agent waits for an answer without end, so every request gets one: what
 * cannot be shown to the user is refused. Which option of a permission means
 * what is told by its kind; ids differ from agent to agent.
 */
#include "session/agents/acp.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>
#include <strings.h>

#define METADATA_BYTES_MAX (256u << 10)

void
acp_ask_free(struct acp *p, struct acp_ask *k)
{
	unsigned i;

	TAILQ_REMOVE(&p->asks, k, link);
	p->nasks--;
	for (i = 0; i < k->nfields; i++) {
		free(k->field[i].id);
		free(k->field[i].key);
		free(k->field[i].custom);
		free(k->field[i].schema);
		free(k->field[i].answer);
		free(k->field[i].other);
	}
	free(k->rpc_id);
	free(k->id);
	free(k->once);
	free(k->always);
	free(k->reject);
	free(k);
}

void
acp_asks_drop(struct acp *p)
{
	while (!TAILQ_EMPTY(&p->asks))
		acp_ask_free(p, TAILQ_FIRST(&p->asks));
}

struct acp_ask *
acp_ask_new(struct acp *p, const struct json *id)
{
	struct acp_ask *k = xcalloc(1, sizeof(*k));

	k->rpc_id = agent_json(id);
	TAILQ_INSERT_TAIL(&p->asks, k, link);
	p->nasks++;
	return k;
}

/* --- permissions: answers ------------------------------------------------- */

/* OPTION NULL: the request was cancelled. */
static int
answer_permission(
    struct acp *p, const char *rpc_id, const char *option, struct err *e)
{
	struct buf b;
	struct jw w;

	acp_answer_begin(&w, &b, rpc_id);
	jw_key(&w, "outcome");
	jw_object(&w);
	jw_kstr(&w, "outcome", option != NULL ? "selected" : "cancelled");
	if (option != NULL)
		jw_kstr(&w, "optionId", option);
	jw_object_end(&w);
	return acp_answer_send(p, &w, &b, e);
}

static const char *
option_for(const struct acp_ask *k, enum agent_reply r)
{
	if (r == REPLY_REJECT)
		return k->reject;
	if (r == REPLY_ALWAYS && k->always != NULL)
		return k->always;
	return k->once != NULL ? k->once : k->always;
}

static struct acp_ask *
ask_find(struct acp *p, const char *id)
{
	struct acp_ask *k;

	TAILQ_FOREACH (k, &p->asks, link)
		if (k->id != NULL && strcmp(k->id, id) == 0)
			return k;
	return NULL;
}

int
acp_permission(struct agent *a, const char *id, enum agent_reply r,
    const char *message, struct err *e)
{
	struct acp *p = (struct acp *)a;
	struct acp_ask *k = ask_find(p, id);

	(void)message; /* the protocol has no place for it */
	if (k == NULL)
		return err_set(e, ERR_PERMISSION_NOT_FOUND,
		    "the agent waits for no such answer");
	if (answer_permission(p, k->rpc_id, option_for(k, r), e) == -1)
		return -1;
	acp_ask_free(p, k);
	return 0;
}

/* --- permissions: requests ------------------------------------------------ */

/* Where all options have the same kind a word must do. */
static bool
sounds_like_no(const char *name)
{
	static const char *const words[] = { "deny", "reject", "no", "cancel",
		"block", "abort" };
	size_t i, n = strcspn(name, " ,.:;!");

	for (i = 0; i < countof(words); i++)
		if (strlen(words[i]) == n &&
		    strncasecmp(words[i], name, n) == 0)
			return true;
	return false;
}

static void
keep(char **dst, const char *id)
{
	if (*dst == NULL)
		*dst = xstrdup(id);
}

static void
learn_options(struct acp_ask *k, const struct json *options)
{
	const char *id, *kind, *spare = NULL;

	json_foreach (it, options) {
		id = json_str(it, "optionId", NULL);
		kind = json_str(it, "kind", "");
		if (id == NULL)
			continue;
		if (sounds_like_no(json_str(it, "name", "")))
			spare = spare != NULL ? spare : id;
		if (strcmp(kind, "allow_once") == 0)
			keep(&k->once, id);
		else if (strcmp(kind, "allow_always") == 0)
			keep(&k->always, id);
		else if (strcmp(kind, "reject_once") == 0)
			keep(&k->reject, id);
	}
	json_foreach (it, options)
		if (strcmp(json_str(it, "kind", ""), "reject_always") == 0 &&
		    json_str(it, "optionId", NULL) != NULL)
			keep(&k->reject, json_str(it, "optionId", NULL));
	if (spare != NULL)
		keep(&k->reject, spare);
}

/* The mode that was asked for, where the agent has none for it. */
static bool
allowed_by_mode(const struct acp *p, const struct json *call)
{
	return p->allow_all ||
	       (p->allow_edits &&
		   strcmp(json_str(call, "kind", ""), "edit") == 0);
}

static char *
permission_metadata(const struct json *params, const struct acp_tool *t)
{
	const struct json *call = json_get(params, "toolCall");
	struct buf b;
	struct jw w;

	buf_init(&b, METADATA_BYTES_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "toolCallId", json_str(call, "toolCallId", NULL));
	jw_kstr(&w, "title", json_str(call, "title", NULL));
	if (t != NULL && t->kind != NULL)
		jw_kstr(&w, "kind", t->kind);
	jw_kvalue(&w, "toolCall", call);
	jw_kvalue(&w, "options", json_get(params, "options"));
	jw_object_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

static int
ask_permission(struct acp *p, const struct json *m, struct err *e)
{
	const struct json *params = json_get(m, "params");
	const struct json *call = json_get(params, "toolCall");
	struct acp_ask *k;
	const struct acp_tool *t;
	autofree char *metadata = NULL;
	char id[RANDOM_ID_MAX];

	if (call == NULL || call->type != JSON_OBJECT ||
	    p->nasks >= ACP_ASKS_MAX)
		return err_set(e, ERR_LIMIT, "it cannot be shown");
	acp_expect_turn(p);
	acp_chunk_close(p, ITEM_COMPLETED);
	t = acp_tool_asked(p, call);
	k = acp_ask_new(p, json_get(m, "id"));
	learn_options(k, json_get(params, "options"));
	if (agent_cancelling(&p->a) || allowed_by_mode(p, call)) {
		(void)answer_permission(p, k->rpc_id,
		    agent_cancelling(&p->a) ? NULL : option_for(k, REPLY_ONCE),
		    e);
		acp_ask_free(p, k);
		return 0;
	}
	random_id(id, "perm_");
	k->id = xstrdup(id);
	metadata = permission_metadata(params, t);
	/* K may be answered and gone when this returns 0. */
	if (agent_ask_permission(&p->a, id,
		t != NULL && t->name != NULL   ? t->name
		: t != NULL && t->kind != NULL ? t->kind
					       : "tool",
		metadata) == 0)
		return 0;
	acp_ask_free(p, k);
	return err_set(e, ERR_LIMIT, "too many requests are open");
}

/* --- all requests --------------------------------------------------------- */

void
acp_asks_cancel(struct acp *p)
{
	struct acp_ask *k;
	struct err e;

	while ((k = TAILQ_FIRST(&p->asks)) != NULL) {
		if (k->nfields > 0)
			(void)acp_form_answer(p, k, "cancel", &e);
		else
			(void)answer_permission(p, k->rpc_id, NULL, &e);
		/* What was asked is settled with its turn. */
		acp_ask_free(p, k);
	}
}

void
acp_request(struct acp *p, const struct json *m, const char *line, size_t len)
{
	const char *method = json_str(m, "method", "");
	const struct json *params = json_get(m, "params");
	const char *session = json_str(params, "sessionId", "");
	autofree char *rpc_id = agent_json(json_get(m, "id"));
	bool ours = p->stage == ACP_READY && strcmp(session, p->session) == 0;
	struct err e;

	if (rpc_id == NULL)
		return; /* it was parsed: no memory */
	if (strcmp(method, "session/request_permission") == 0) {
		if (ours && ask_permission(p, m, &e) == 0)
			return;
		(void)answer_permission(p, rpc_id, NULL, &e);
	} else if (strcmp(method, "elicitation/create") == 0) {
		if (ours &&
		    strcmp(json_str(params, "mode", "form"), "form") == 0 &&
		    acp_form_ask(p, m, &e) == 0)
			return;
		acp_refuse(p, rpc_id, -32602, "this cannot be asked");
	} else {
		/* Files, terminals: not ours to do, as it was told. */
		acp_refuse(p, rpc_id, -32601, "Method not found");
		return;
	}
	if (ours)
		uni_unparsed(p->a.out, "acp",
		    "a request that cannot be shown was refused", line, NULL,
		    len);
}
