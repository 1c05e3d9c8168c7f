/*
 * Forms of an ACP agent (elicitation): each field is a question. Runs in the
 * session worker; a form's schema is hostile input. The agent is told when all
 * questions are answered, or when one was declined.
 */
#include "session/agents/acp.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>
#include <strings.h>

/* --- requests --------------------------------------------------------------
 */

/* Where the words of FIELD's options stand in its schema; NULL: it takes any
 * words. */
static const struct json *
choices(const struct json *schema)
{
	const struct json *items = json_get(schema, "items");
	const struct json *of = items != NULL ? items : schema;
	const struct json *list = json_get(of, "oneOf");

	if (list == NULL)
		list = json_get(of, "anyOf");
	if (list == NULL)
		list = json_get(of, "enum");
	return list != NULL && list->type == JSON_ARRAY ? list : NULL;
}

/* The value that stands for a choice. */
static const char *
choice_value(const struct json *choice)
{
	if (choice->type == JSON_STRING)
		return choice->str;
	return json_str(choice, "const", json_str(choice, "title", ""));
}

static char *
choice_words(const struct json *schema)
{
	bool yes_no = strcmp(json_str(schema, "type", ""), "boolean") == 0;
	struct buf b;
	struct jw w;

	buf_init(&b, 65536);
	jw_init(&w, &b);
	jw_array(&w);
	json_foreach (it, choices(schema))
		jw_str(&w, choice_value(it));
	if (yes_no) {
		jw_str(&w, "yes");
		jw_str(&w, "no");
	}
	jw_array_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

/* A text field behind a choice, named after it, is for other words. */
static bool
goes_with(const struct json *field, const struct json *next)
{
	size_t n = strlen(field->key);

	return next != NULL && choices(field) != NULL &&
	       choices(next) == NULL &&
	       strcmp(json_str(next, "type", ""), "string") == 0 &&
	       strncmp(next->key, field->key, n) == 0 && next->key[n] == '_';
}

static const char *
prompt_of(const struct json *params, const struct json *field, bool only)
{
	const char *message = json_str(params, "message", "");
	const char *title = json_str(field, "title", NULL);
	const char *more = json_str(field, "description", NULL);

	/* The longest is the question, the others are headings. */
	if (only && (title == NULL || strchr(title, ' ') == NULL) &&
	    *message != '\0')
		return message;
	if (more != NULL && (title == NULL || strlen(more) > strlen(title)))
		return more;
	return title != NULL ? title : message;
}

static int
add_field(struct acp *p, struct acp_ask *k, const char *base,
    const struct json *params, const struct json *field, bool only)
{
	struct acp_field *f = &k->field[k->nfields];
	autofree char *words = choice_words(field);

	f->id = k->nfields == 0 ? xstrdup(base)
				: xasprintf("%s_%u", base, k->nfields + 1);
	f->key = xstrdup(field->key);
	f->schema = agent_json(field);
	if (goes_with(field, field->next))
		f->custom = xstrdup(field->next->key);
	k->nfields++;
	return agent_ask_question(&p->a, f->id, prompt_of(params, field, only),
	    words, strcmp(json_str(field, "type", ""), "array") == 0);
}

static void
withdraw(struct acp *p, struct acp_ask *k)
{
	unsigned i;

	for (i = 0; i < k->nfields; i++)
		if (k->field[i].answer == NULL)
			agent_request_settled(
			    &p->a, FROM_DAEMON, k->field[i].id, NULL);
	acp_ask_free(p, k);
}

static unsigned
count_fields(const struct json *properties)
{
	const struct json *before = NULL;
	unsigned n = 0;

	json_foreach (it, properties) {
		if (before == NULL || !goes_with(before, it))
			n++;
		before = it;
	}
	return n;
}

int
acp_form_ask(struct acp *p, const struct json *m, struct err *e)
{
	const struct json *params = json_get(m, "params");
	const struct json *list =
	    json_path(params, "requestedSchema.properties");
	const struct json *before = NULL;
	char base[RANDOM_ID_MAX];
	struct acp_ask *k;
	unsigned n = count_fields(list);
	int rc = 0;

	if (list == NULL || list->type != JSON_OBJECT || n == 0 ||
	    n > ACP_FIELDS_MAX || p->nasks >= ACP_ASKS_MAX)
		return err_set(e, ERR_LIMIT, "it cannot be shown");
	acp_expect_turn(p);
	acp_chunk_close(p, ITEM_COMPLETED);
	random_id(base, "ask_");
	k = acp_ask_new(p, json_get(m, "id"));
	if (agent_cancelling(&p->a)) {
		(void)acp_form_answer(p, k, "cancel", e);
		acp_ask_free(p, k);
		return 0;
	}
	json_foreach (it, list) {
		if (before == NULL || !goes_with(before, it))
			rc = add_field(p, k, base, params, it, n == 1);
		if (rc == -1)
			break;
		before = it;
	}
	if (rc == 0)
		return 0;
	withdraw(p, k);
	return err_set(e, ERR_LIMIT, "too many requests are open");
}

/* --- answers ---------------------------------------------------------------
 */

int
acp_form_answer(
    struct acp *p, const struct acp_ask *k, const char *action, struct err *e)
{
	struct buf b;
	struct jw w;
	unsigned i;

	acp_answer_begin(&w, &b, k->rpc_id);
	jw_kstr(&w, "action", action);
	if (strcmp(action, "accept") == 0) {
		jw_key(&w, "content");
		jw_object(&w);
		for (i = 0; i < k->nfields; i++) {
			const struct acp_field *f = &k->field[i];

			if (f->answer != NULL && f->other == NULL) {
				jw_key(&w, f->key);
				jw_raw(&w, f->answer, strlen(f->answer));
			}
			if (f->other != NULL)
				jw_kstr(&w, f->custom, f->other);
		}
		jw_object_end(&w);
	}
	return acp_answer_send(p, &w, &b, e);
}

/* The value of the choice that WORD names; NULL: none. */
static const char *
chosen(const struct json *schema, const char *word)
{
	json_foreach (it, choices(schema))
		if (strcasecmp(choice_value(it), word) == 0 ||
		    strcasecmp(json_str(it, "title", ""), word) == 0)
			return choice_value(it);
	return NULL;
}

static void
write_value(struct jw *w, const struct json *schema, const char *word)
{
	const char *type = json_str(schema, "type", "");
	const char *value = chosen(schema, word);
	int64_t number;

	if (strcmp(type, "boolean") == 0)
		jw_bool(w, strcasecmp(word, "yes") == 0 ||
			       strcasecmp(word, "true") == 0);
	else if ((strcmp(type, "integer") == 0 ||
		     strcmp(type, "number") == 0) &&
		 str_to_int(word, INT64_MIN, INT64_MAX, &number) == 0)
		jw_int(w, number);
	else
		jw_str(w, value != NULL ? value : word);
}

/* WORDS: a list of words, or one. */
static void
answer_field(struct acp_field *f, const struct json *words)
{
	autofree char *text = agent_answer_text(words, true);
	const char *word = text != NULL ? text : "";
	struct json *schema = NULL;
	struct buf b;
	struct jw w;

	/* Written by us, from a tree. */
	if (json_parse(f->schema, strlen(f->schema), JSON_DEPTH_AGENT, &schema,
		NULL) == -1)
		schema = NULL;
	buf_init(&b, 65536);
	jw_init(&w, &b);
	if (strcmp(json_str(schema, "type", ""), "array") == 0) {
		jw_array(&w);
		if (words != NULL && words->type == JSON_ARRAY) {
			json_foreach (it, words)
				if (it->type == JSON_STRING)
					write_value(&w,
					    json_get(schema, "items"), it->str);
		} else {
			write_value(&w, schema, word);
		}
		jw_array_end(&w);
	} else {
		write_value(&w, schema, word);
		if (f->custom != NULL && chosen(schema, word) == NULL)
			f->other = xstrdup(word);
	}
	f->answer = b.failed ? xstrdup("null") : xstrdup(b.data);
	buf_free(&b);
	json_free(schema);
}

static struct acp_ask *
form_find(struct acp *p, const char *id, unsigned *at)
{
	struct acp_ask *k;
	unsigned i;

	TAILQ_FOREACH (k, &p->asks, link)
		for (i = 0; i < k->nfields; i++)
			if (strcmp(k->field[i].id, id) == 0) {
				*at = i;
				return k;
			}
	return NULL;
}

static int
decline(struct acp *p, struct acp_ask *k, unsigned at, struct err *e)
{
	if (acp_form_answer(p, k, "decline", e) == -1)
		return -1;
	if (k->field[at].answer == NULL) /* the caller settles this one */
		k->field[at].answer = xstrdup("null");
	withdraw(p, k);
	return 0;
}

int
acp_question(
    struct agent *a, const char *id, const struct json *answers, struct err *e)
{
	struct acp *p = (struct acp *)a;
	unsigned at = 0, i;
	struct acp_ask *k = form_find(p, id, &at);
	const struct json *list;

	if (k == NULL)
		return err_set(e, ERR_QUESTION_NOT_FOUND,
		    "the agent waits for no such answer");
	if (answers == NULL)
		return decline(p, k, at, e);
	/* More lists than one answer the questions that follow, too. */
	for (list = answers->child, i = at; i < k->nfields;
	     i++, list = list != NULL ? list->next : NULL) {
		autofree char *text = NULL;

		if (k->field[i].answer != NULL || (list == NULL && i != at))
			continue;
		answer_field(&k->field[i], list);
		text = agent_answer_text(list, true);
		if (i != at)
			agent_request_settled(a, FROM_DAEMON, k->field[i].id,
			    text != NULL ? text : "");
	}
	for (i = 0; i < k->nfields; i++)
		if (k->field[i].answer == NULL)
			return 0; /* the agent is told when all are answered */
	if (acp_form_answer(p, k, "accept", e) == -1)
		return -1;
	acp_ask_free(p, k);
	return 0;
}
