/*
 * What the agent asks the client of its ACP server: permissions, and questions
 * as forms (elicitation) if the client can fill them in, else as a choice among
 * options. Runs in the session worker. Answers are a client's: what is not
 * understood counts as a refusal.
 */
#include "session/acp/serve.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROMPT_BYTES (16u << 10)
#define CHOICES_MAX 64
#define LABEL_BYTES 512

static void
ktext(struct jw *w, const char *key, const char *s, size_t bytes)
{
	jw_key(w, key);
	content_text(w, s, strlen(s), &bytes);
}

static void
write_option(struct jw *w, const char *id, const char *name, const char *kind)
{
	jw_object(w);
	jw_kstr(w, "optionId", id);
	ktext(w, "name", name, LABEL_BYTES);
	jw_kstr(w, "kind", kind);
	jw_object_end(w);
}

/* --- permissions ---------------------------------------------------------- */

/* The call that is asked about, from what the agent has sent. */
static void
write_tool_call(struct serve_session *ss, struct jw *w, const char *id,
    const char *action, const struct json *metadata)
{
	const char *native = json_str(
	    metadata, "toolCallId", json_str(metadata, "toolUseId", NULL));
	const struct json *input = json_get(metadata, "input");
	struct enc_call call = { .id = native != NULL ? native : id };
	struct buf b;
	struct jw args;

	buf_init(&b, 4u << 20);
	jw_init(&args, &b);
	jw_value(&args, input != NULL ? input : metadata);
	/* As it was announced, if it was: some agents ask for a call by its id
	 * alone. */
	if (!enc_call_of(&ss->out, native, &call) || call.name == NULL) {
		call.name = action;
		call.args = b.failed ? "{}" : b.data;
	}
	jw_key(w, "toolCall");
	jw_object(w);
	ktext(w, "toolCallId", call.id, NAME_BYTES_MAX);
	jw_kstr(w, "status", "pending");
	(void)enc_tool_members(
	    w, call.name, call.args, ss->conf.directory, NULL);
	jw_object_end(w);
	buf_free(&b);
}

static void
ask_client(struct serve_session *ss, struct request *r)
{
	struct serve *sv = ss->sv;
	struct json *metadata = NULL;
	struct jw *w;

	if (r->metadata != NULL && json_parse(r->metadata, strlen(r->metadata),
				       JSON_DEPTH_AGENT, &metadata, NULL) == -1)
		metadata = NULL;
	w = serve_ask(sv, "session/request_permission", &r->number);
	jw_kstr(w, "sessionId", ss->id);
	write_tool_call(ss, w, r->id, r->what, metadata);
	jw_key(w, "options");
	jw_array(w);
	write_option(w, "allow_once", "Allow once", "allow_once");
	write_option(w, "allow_always", "Always allow", "allow_always");
	write_option(w, "reject_once", "Reject", "reject_once");
	jw_array_end(w);
	serve_ask_end(sv);
	json_free(metadata);
}

int
serve_ask_permission(
    struct agent *a, const char *id, const char *action, const char *metadata)
{
	struct serve_session *ss = a->host_data;
	struct request *r =
	    pending_add(&ss->asks, false, id, action, metadata, false);
	struct err e;

	if (r == NULL)
		return -1;
	if (!pending_allowed(&ss->asks, r)) {
		ask_client(ss, r);
		return 0;
	}
	/* The user has allowed the like for the session. */
	if (a->ops->permission(a, id, REPLY_ONCE, NULL, &e) == -1)
		log_warn("acp", "allowed request cannot be answered",
		    LOG_STR("why", e.text));
	r = pending_find(&ss->asks, id);
	if (r != NULL)
		pending_drop(&ss->asks, r);
	return 0;
}

static void
permission_answered(
    struct serve_session *ss, const char *id, const struct json *result)
{
	const struct json *outcome = json_get(result, "outcome");
	const char *option = json_str(outcome, "optionId", "");
	bool chosen = strcmp(json_str(outcome, "outcome", ""), "selected") == 0;
	enum agent_reply reply = REPLY_REJECT;
	struct request *r;
	struct err e;

	if (chosen && strcmp(option, "allow_once") == 0)
		reply = REPLY_ONCE;
	else if (chosen && strcmp(option, "allow_always") == 0)
		reply = REPLY_ALWAYS;
	if (ss->agent->ops->permission(ss->agent, id, reply, NULL, &e) == -1)
		log_warn("acp", "an answer reaches no agent",
		    LOG_STR("why", e.text));
	/* The agent may have ended its turn on hearing that. */
	r = pending_find(&ss->asks, id);
	if (r == NULL)
		return;
	if (reply == REPLY_ALWAYS)
		pending_allow(&ss->asks, r);
	pending_drop(&ss->asks, r);
}

/* --- questions ------------------------------------------------------------ */

/* The label of an option: a text, or an object that has one. */
static const char *
label_of(const struct json *o)
{
	if (o->type == JSON_STRING)
		return o->str;
	return json_str(
	    o, "label", json_str(o, "name", json_str(o, "value", "")));
}

static void
write_enum(struct jw *w, const char *key, const struct json *options)
{
	unsigned n = 0;

	jw_key(w, key);
	jw_array(w);
	json_foreach (o, options) {
		if (n++ == CHOICES_MAX)
			break;
		jw_object(w);
		ktext(w, "const", label_of(o), LABEL_BYTES);
		ktext(w, "title", label_of(o), LABEL_BYTES);
		jw_object_end(w);
	}
	jw_array_end(w);
}

/* The form: `answer`, and with OPTIONS also `other` for one's own words. */
static void
write_schema(struct jw *w, const struct json *options, bool multi)
{
	bool choice = options != NULL && options->len > 0;

	jw_object(w);
	jw_kstr(w, "type", "object");
	jw_key(w, "properties");
	jw_object(w);
	jw_key(w, "answer");
	jw_object(w);
	jw_kstr(w, "title", "Answer");
	if (!choice) {
		jw_kstr(w, "type", "string");
	} else if (!multi) {
		jw_kstr(w, "type", "string");
		write_enum(w, "oneOf", options);
	} else {
		jw_kstr(w, "type", "array");
		jw_key(w, "items");
		jw_object(w);
		write_enum(w, "anyOf", options);
		jw_object_end(w);
	}
	jw_object_end(w);
	if (choice) {
		jw_key(w, "other");
		jw_object(w);
		jw_kstr(w, "title", "Other");
		jw_kstr(w, "type", "string");
		jw_object_end(w);
	}
	jw_object_end(w);
	jw_object_end(w);
}

static void
ask_form(
    struct serve_session *ss, struct request *r, const struct json *options)
{
	struct jw *w = serve_ask(ss->sv, "elicitation/create", &r->number);

	jw_kstr(w, "mode", "form");
	jw_kstr(w, "sessionId", ss->id);
	ktext(w, "message", r->what, PROMPT_BYTES);
	jw_key(w, "requestedSchema");
	write_schema(w, options, r->multi);
	serve_ask_end(ss->sv);
}

static void
ask_choice(
    struct serve_session *ss, struct request *r, const struct json *options)
{
	struct jw *w =
	    serve_ask(ss->sv, "session/request_permission", &r->number);
	char id[32];
	unsigned n = 0;

	jw_kstr(w, "sessionId", ss->id);
	jw_key(w, "toolCall");
	jw_object(w);
	ktext(w, "toolCallId", r->id, NAME_BYTES_MAX);
	jw_kstr(w, "status", "pending");
	jw_kstr(w, "kind", "other");
	ktext(w, "title", r->what, PROMPT_BYTES);
	jw_object_end(w);
	jw_key(w, "options");
	jw_array(w);
	json_foreach (o, options) {
		if (n == CHOICES_MAX)
			break;
		(void)snprintf(id, sizeof(id), "choice-%u", n++);
		write_option(w, id, label_of(o), "allow_once");
	}
	write_option(w, "decline", "Decline", "reject_once");
	jw_array_end(w);
	serve_ask_end(ss->sv);
}

int
serve_ask_question(struct agent *a, const char *id, const char *prompt,
    const char *options, bool multi)
{
	struct serve_session *ss = a->host_data;
	struct json *list = NULL;
	struct request *r;
	bool choice;

	if (options != NULL && json_parse(options, strlen(options),
				   JSON_DEPTH_AGENT, &list, NULL) == -1)
		list = NULL;
	choice = list != NULL && list->type == JSON_ARRAY && list->len > 0;
	/* One's own words cannot be said without a form. */
	r = choice || ss->sv->forms
		? pending_add(&ss->asks, true, id, prompt, options, multi)
		: NULL;
	if (r != NULL && ss->sv->forms)
		ask_form(ss, r, list);
	else if (r != NULL)
		ask_choice(ss, r, list);
	json_free(list);
	return r != NULL ? 0 : -1;
}

/* Words as the answers of agent.h: one list of them; NULL: declined. The
 * caller's. */
static char *
answers_of(const struct request *r, const struct json *result)
{
	const struct json *content = json_get(result, "content");
	const struct json *outcome = json_get(result, "outcome");
	const struct json *given = json_get(content, "answer");
	const char *other = json_str(content, "other", "");
	struct json *options = NULL;
	int64_t n = 0;
	struct buf b;
	struct jw w;
	bool any = false;

	buf_init(&b, ACP_INPUT_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	jw_array(&w);
	if (strcmp(json_str(result, "action", ""), "accept") == 0) {
		if (*other != '\0') {
			jw_str(&w, other);
			any = true;
		} else if (given != NULL && given->type == JSON_STRING) {
			jw_value(&w, given);
			any = true;
		}
		json_foreach (it, given) {
			if (it->type != JSON_STRING)
				continue;
			jw_value(&w, it);
			any = true;
		}
	} else if (sscanf(json_str(outcome, "optionId", ""), "choice-%" SCNd64,
		       &n) == 1 &&
		   r->metadata != NULL &&
		   json_parse(r->metadata, strlen(r->metadata),
		       JSON_DEPTH_AGENT, &options, NULL) == 0) {
		json_foreach (o, options)
			if (n-- == 0) {
				jw_str(&w, label_of(o));
				any = true;
			}
		json_free(options);
	}
	jw_array_end(&w);
	jw_array_end(&w);
	if (!any || b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

static void
question_answered(
    struct serve_session *ss, const char *id, const struct json *result)
{
	struct request *r = pending_find(&ss->asks, id);
	autofree char *text = answers_of(r, result);
	struct json *answers = NULL;
	struct err e;

	if (text != NULL && json_parse(text, strlen(text), JSON_DEPTH_AGENT,
				&answers, NULL) == -1)
		answers = NULL;
	if (ss->agent->ops->question(ss->agent, id, answers, &e) == -1)
		log_warn("acp", "an answer reaches no agent",
		    LOG_STR("why", e.text));
	json_free(answers);
	r = pending_find(&ss->asks, id);
	if (r != NULL)
		pending_drop(&ss->asks, r);
}

/* --- answers -------------------------------------------------------------- */

static struct request *
find_number(struct serve_session *ss, int64_t number)
{
	struct request *r;

	TAILQ_FOREACH (r, &ss->asks.requests, link)
		if (r->number == number)
			return r;
	return NULL;
}

bool
serve_answered(struct serve *sv, const struct json *env)
{
	int64_t number = json_int(env, "id", -1);
	const struct json *result = json_get(env, "result");
	struct serve_session *ss;
	struct request *r = NULL;
	autofree char *id = NULL;

	TAILQ_FOREACH (ss, &sv->sessions, link)
		if ((r = find_number(ss, number)) != NULL)
			break;
	if (r == NULL || ss->agent == NULL)
		return false;
	id = xstrdup(r->id);
	if (r->question)
		question_answered(ss, id, result);
	else
		permission_answered(ss, id, result);
	serve_session_unpark(ss);
	return true;
}

void
serve_request_settled(
    struct agent *a, enum origin from, const char *id, const char *response)
{
	struct serve_session *ss = a->host_data;
	struct request *r = pending_find(&ss->asks, id);

	(void)from, (void)response;
	if (r != NULL)
		pending_drop(&ss->asks, r);
}

void
serve_asks_drop(struct serve_session *ss)
{
	while (!TAILQ_EMPTY(&ss->asks.requests))
		pending_drop(&ss->asks, TAILQ_FIRST(&ss->asks.requests));
}
