/*
 * What claude asks: permission to use a tool, questions to the user, approval
 * of a plan. All three come as can_use_tool requests, are told apart by the
 * tool's name, and are answered by one control_response each. Runs in the
 * session worker; the requests are hostile input.
 *
 * claude waits for an answer without end, so every request gets one: what
 * cannot be shown to the user is refused.
 */
#include "session/agents/claude.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>
#include <strings.h>

static void
ask_free(struct claude *c, struct ask *k)
{
	unsigned i;

	TAILQ_REMOVE(&c->asks, k, link);
	for (i = 0; i < k->nq; i++) {
		free(k->q[i].id);
		free(k->q[i].text);
		free(k->q[i].answer);
	}
	free(k->request_id);
	free(k->input);
	free(k->suggestions);
	free(k);
}

void
claude_asks_drop(struct claude *c)
{
	while (!TAILQ_EMPTY(&c->asks))
		ask_free(c, TAILQ_FIRST(&c->asks));
}

/* The request that ID belongs to; for questions *I_OUT tells which. */
static struct ask *
ask_find(struct claude *c, const char *id, unsigned *i_out)
{
	struct ask *k;
	unsigned i;

	TAILQ_FOREACH (k, &c->asks, link) {
		if (k->kind == ASK_PERMISSION && strcmp(k->request_id, id) == 0)
			return k;
		for (i = 0; i < k->nq; i++)
			if (strcmp(k->q[i].id, id) == 0) {
				*i_out = i;
				return k;
			}
	}
	return NULL;
}

/* --- answers ------------------------------------------------------------- */

static void
answer_begin(
    struct jw *w, struct buf *b, const char *subtype, const char *request_id)
{
	claude_line(w, b, "control_response");
	jw_key(w, "response");
	jw_object(w);
	jw_kstr(w, "subtype", subtype);
	jw_kstr(w, "request_id", request_id);
}

static int
answer_send(struct claude *c, struct jw *w, struct buf *b, struct err *e)
{
	int rc;

	jw_object_end(w);
	jw_object_end(w);
	(void)buf_addc(b, '\n');
	rc = claude_send(c, b, e);
	buf_free(b);
	return rc;
}

static int
deny(struct claude *c, const char *request_id, const char *message,
    struct err *e)
{
	struct buf b;
	struct jw w;

	answer_begin(&w, &b, "success", request_id);
	jw_key(&w, "response");
	jw_object(&w);
	jw_kstr(&w, "behavior", "deny");
	jw_kstr(&w, "message", message);
	jw_object_end(&w);
	return answer_send(c, &w, &b, e);
}

/* The suggested rules, for this process only: claude would write others into
 * the user's repository. */
static void
write_rules(struct jw *w, const char *suggestions)
{
	struct json *list = NULL;

	jw_array(w);
	if (json_parse(suggestions, strlen(suggestions), JSON_DEPTH_AGENT,
		&list, NULL) == 0) {
		json_foreach (rule, list) {
			if (rule->type != JSON_OBJECT)
				continue;
			jw_object(w);
			json_foreach (v, rule)
				if (strcmp(v->key, "destination") != 0)
					jw_kvalue(w, v->key, v);
			jw_kstr(w, "destination", "session");
			jw_object_end(w);
		}
		json_free(list);
	}
	jw_array_end(w);
}

static int
allow(struct claude *c, const struct ask *k, bool always, struct err *e)
{
	struct buf b;
	struct jw w;

	answer_begin(&w, &b, "success", k->request_id);
	jw_key(&w, "response");
	jw_object(&w);
	jw_kstr(&w, "behavior", "allow");
	jw_key(&w, "updatedInput");
	jw_raw(&w, k->input, strlen(k->input));
	if (always && k->suggestions != NULL) {
		jw_key(&w, "updatedPermissions");
		write_rules(&w, k->suggestions);
	}
	jw_object_end(&w);
	return answer_send(c, &w, &b, e);
}

/* The input again, with the answers keyed by the text of their question. */
static int
allow_answers(struct claude *c, const struct ask *k, struct err *e)
{
	struct json *input = NULL;
	struct buf b;
	struct jw w;
	unsigned i, j;

	if (json_parse(
		k->input, strlen(k->input), JSON_DEPTH_AGENT, &input, e) == -1)
		return -1;
	answer_begin(&w, &b, "success", k->request_id);
	jw_key(&w, "response");
	jw_object(&w);
	jw_kstr(&w, "behavior", "allow");
	jw_key(&w, "updatedInput");
	jw_object(&w);
	json_foreach (v, input)
		if (strcmp(v->key, "answers") != 0)
			jw_kvalue(&w, v->key, v);
	jw_key(&w, "answers");
	jw_object(&w);
	for (i = 0; i < k->nq; i++) {
		for (j = 0; j < i; j++)
			if (strcmp(k->q[j].text, k->q[i].text) == 0)
				break;
		if (j == i) /* the same question twice has one key */
			jw_kstr(&w, k->q[i].text, k->q[i].answer);
	}
	jw_object_end(&w);
	jw_object_end(&w);
	jw_object_end(&w);
	json_free(input);
	return answer_send(c, &w, &b, e);
}

int
claude_permission(struct agent *a, const char *id, enum agent_reply r,
    const char *message, struct err *e)
{
	struct claude *c = (struct claude *)a;
	unsigned i;
	struct ask *k = ask_find(c, id, &i);
	int rc;

	if (k == NULL)
		return err_set(e, ERR_PERMISSION_NOT_FOUND,
		    "claude waits for no such answer");
	if (r == REPLY_REJECT)
		rc = deny(c, k->request_id,
		    message != NULL && *message != '\0'
			? message
			: "The user declined this.",
		    e);
	else
		rc = allow(c, k, r == REPLY_ALWAYS, e);
	if (rc == 0)
		ask_free(c, k);
	return rc;
}

static char *
words_text(const struct json *list)
{
	char *text = agent_answer_text(list, true);

	return text != NULL ? text : xstrdup("");
}

static int
decline(struct claude *c, struct ask *k, unsigned answered, struct err *e)
{
	unsigned i;

	if (deny(c, k->request_id, "The user declined to answer.", e) == -1)
		return -1;
	for (i = 0; i < k->nq; i++)
		if (i != answered && k->q[i].answer == NULL)
			agent_request_settled(
			    &c->a, FROM_DAEMON, k->q[i].id, NULL);
	ask_free(c, k);
	return 0;
}

static int
answer_plan(
    struct claude *c, struct ask *k, const struct json *answers, struct err *e)
{
	autofree char *text = words_text(answers->child);
	autofree char *why = NULL;
	int rc;

	if (strcasecmp(text, "approve") == 0) {
		rc = allow(c, k, false, e);
	} else {
		why = xasprintf("The user did not approve the plan.%s%s",
		    strcasecmp(text, "reject") == 0 ? "" : " They said: ",
		    strcasecmp(text, "reject") == 0 ? "" : text);
		rc = deny(c, k->request_id, why, e);
	}
	if (rc == 0)
		ask_free(c, k);
	return rc;
}

int
claude_question(
    struct agent *a, const char *id, const struct json *answers, struct err *e)
{
	struct claude *c = (struct claude *)a;
	unsigned at = 0, i;
	struct ask *k = ask_find(c, id, &at);
	const struct json *list;

	if (k == NULL)
		return err_set(e, ERR_QUESTION_NOT_FOUND,
		    "claude waits for no such answer");
	if (answers == NULL)
		return decline(c, k, at, e);
	if (k->kind == ASK_PLAN)
		return answer_plan(c, k, answers, e);
	/* More lists than one answer the questions that follow, too. */
	for (list = answers->child, i = at; i < k->nq;
	     i++, list = list != NULL ? list->next : NULL) {
		if (k->q[i].answer != NULL || (list == NULL && i != at))
			continue;
		k->q[i].answer = words_text(list);
		if (i != at)
			agent_request_settled(
			    a, FROM_DAEMON, k->q[i].id, k->q[i].answer);
	}
	for (i = 0; i < k->nq; i++)
		if (k->q[i].answer == NULL)
			return 0; /* claude is told when all are answered */
	if (allow_answers(c, k, e) == -1)
		return -1;
	ask_free(c, k);
	return 0;
}

/* --- requests ------------------------------------------------------------ */

static struct ask *
ask_new(struct claude *c, enum ask_kind kind, const char *request_id,
    const struct json *request)
{
	struct ask *k = xcalloc(1, sizeof(*k));

	k->kind = kind;
	k->request_id = xstrdup(request_id);
	k->input = agent_json(json_get(request, "input"));
	if (k->input == NULL)
		k->input = xstrdup("{}");
	k->suggestions =
	    agent_json(json_get(request, "permission_suggestions"));
	TAILQ_INSERT_TAIL(&c->asks, k, link);
	return k;
}

static int
ask_permission(struct claude *c, const char *request_id, const char *tool,
    const struct json *request)
{
	struct ask *k = ask_new(c, ASK_PERMISSION, request_id, request);
	struct buf b;
	struct jw w;
	int rc;

	buf_init(&b, 2 * LINE_BYTES_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "toolName", tool);
	jw_kvalue(&w, "input", json_get(request, "input"));
	jw_kvalue(&w, "permissionSuggestions",
	    json_get(request, "permission_suggestions"));
	jw_kstr(&w, "blockedPath", json_str(request, "blocked_path", NULL));
	jw_kstr(&w, "toolUseId", json_str(request, "tool_use_id", NULL));
	jw_kstr(&w, "toolCallId", json_str(request, "tool_use_id", NULL));
	jw_object_end(&w);
	/* K may be answered and gone when this returns 0. */
	rc = agent_ask_permission(
	    &c->a, request_id, tool, b.failed ? NULL : b.data);
	buf_free(&b);
	if (rc == -1)
		ask_free(c, k);
	return rc;
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
		jw_str(&w,
		    o->type == JSON_STRING ? o->str : json_str(o, "label", ""));
	jw_array_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

static int
add_question(struct claude *c, struct ask *k, const char *base,
    const char *text, const char *options, bool multi)
{
	struct ask_question *q = &k->q[k->nq];

	q->id =
	    k->nq == 0 ? xstrdup(base) : xasprintf("%s_%u", base, k->nq + 1);
	q->text = xstrdup(text);
	q->multi = multi;
	k->nq++;
	return agent_ask_question(&c->a, q->id, text, options, multi);
}

static void
withdraw(struct claude *c, struct ask *k, enum origin from)
{
	unsigned i;

	if (k->kind == ASK_PERMISSION)
		agent_request_settled(&c->a, from, k->request_id, NULL);
	for (i = 0; i < k->nq; i++)
		if (k->q[i].answer == NULL)
			agent_request_settled(&c->a, from, k->q[i].id, NULL);
	ask_free(c, k);
}

static int
ask_questions(
    struct claude *c, const char *request_id, const struct json *request)
{
	const struct json *list = json_path(request, "input.questions");
	const char *base = json_str(request, "tool_use_id", request_id);
	struct ask *k;
	int rc = 0;

	if (list == NULL || list->type != JSON_ARRAY || list->len == 0 ||
	    list->len > CLAUDE_QUESTIONS_MAX)
		return -1;
	k = ask_new(c, ASK_QUESTIONS, request_id, request);
	json_foreach (q, list) {
		autofree char *options = option_labels(json_get(q, "options"));

		rc = add_question(c, k, base, json_str(q, "question", ""),
		    options, json_bool(q, "multiSelect", false));
		if (rc == -1)
			break;
	}
	if (rc == -1)
		withdraw(c, k, FROM_DAEMON);
	return rc;
}

static int
ask_plan(struct claude *c, const char *request_id, const struct json *request)
{
	struct ask *k = ask_new(c, ASK_PLAN, request_id, request);

	if (add_question(c, k, json_str(request, "tool_use_id", request_id),
		"Approve plan execution?", "[\"approve\",\"reject\"]",
		false) == 0)
		return 0;
	withdraw(c, k, FROM_DAEMON);
	return -1;
}

static void
refuse(struct claude *c, const char *request_id, const char *why)
{
	struct buf b;
	struct jw w;
	struct err e;

	answer_begin(&w, &b, "error", request_id);
	jw_kstr(&w, "error", why);
	if (answer_send(c, &w, &b, &e) == -1)
		log_warn("claude", "request cannot be refused",
		    LOG_STR("why", e.text));
}

void
claude_control_request(
    struct claude *c, const struct json *m, const char *line, size_t len)
{
	const struct json *request = json_get(m, "request");
	const char *id = json_str(m, "request_id", NULL);
	const char *tool = json_str(request, "tool_name", NULL);
	struct err e;
	int rc;

	if (id == NULL || tool == NULL ||
	    strcmp(json_str(request, "subtype", ""), "can_use_tool") != 0) {
		uni_unparsed(c->a.out, "claude", "unknown control request",
		    line, NULL, len);
		if (id != NULL)
			refuse(c, id, "unsupported control request");
		return;
	}
	if (strcmp(tool, "AskUserQuestion") == 0)
		rc = ask_questions(c, id, request);
	else if (strcmp(tool, "ExitPlanMode") == 0)
		rc = ask_plan(c, id, request);
	else
		rc = ask_permission(c, id, tool, request);
	if (rc == 0)
		return;
	uni_unparsed(c->a.out, "claude",
	    "a request that cannot be shown was refused", line, NULL, len);
	if (deny(c, id, "This request could not be shown to the user.", &e) ==
	    -1)
		log_warn("claude", "request cannot be denied",
		    LOG_STR("why", e.text));
}

void
claude_control_cancel(struct claude *c, const struct json *m)
{
	const char *id = json_str(m, "request_id", "");
	struct ask *k;

	TAILQ_FOREACH (k, &c->asks, link)
		if (strcmp(k->request_id, id) == 0)
			break;
	if (k != NULL)
		withdraw(c, k, FROM_AGENT);
}
