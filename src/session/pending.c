/*
 * Open requests and what is allowed for the session; see pending.h. Runs in
 * the session worker. Ids, actions and metadata come from the agent: numbers
 * and lengths are bounded here.
 *
 * "Always" is remembered as a set of keys made from a request: its action, the
 * kind words in its metadata, and the first word of each. A later request that
 * shares a key is allowed. That is coarse on purpose: it says "this tool", not
 * "this very command"; what the command may reach is the sandbox's affair.
 */
#include "session/pending.h"

#include "lib/json.h"
#include "lib/xalloc.h"
#include <ctype.h>
#include <string.h>

#define KEYS_MAX 8

struct keys {
	char key[KEYS_MAX][KEY_BYTES_MAX];
	unsigned n;
};

void
pending_init(struct pending *p)
{
	memset(p, 0, sizeof(*p));
	TAILQ_INIT(&p->requests);
}

void
pending_free(struct pending *p)
{
	while (!TAILQ_EMPTY(&p->requests))
		pending_drop(p, TAILQ_FIRST(&p->requests));
	while (p->nalways > 0)
		free(p->always[--p->nalways]);
}

struct request *
pending_find(struct pending *p, const char *id)
{
	struct request *r;

	TAILQ_FOREACH (r, &p->requests, link)
		if (strcmp(r->id, id) == 0)
			return r;
	return NULL;
}

struct request *
pending_add(struct pending *p, bool question, const char *id, const char *what,
    const char *metadata, bool multi)
{
	struct request *r;

	if (p->n == PENDING_MAX || *id == '\0' || strlen(id) > 256 ||
	    pending_find(p, id) != NULL)
		return NULL;
	r = xcalloc(1, sizeof(*r));
	r->question = question;
	r->multi = multi;
	r->of_turn = true;
	r->id = xstrdup(id);
	r->what = xstrdup(what);
	r->metadata = metadata != NULL ? xstrdup(metadata) : NULL;
	TAILQ_INSERT_TAIL(&p->requests, r, link);
	p->n++;
	return r;
}

void
pending_drop(struct pending *p, struct request *r)
{
	TAILQ_REMOVE(&p->requests, r, link);
	p->n--;
	free(r->id);
	free(r->what);
	free(r->metadata);
	free(r);
}

unsigned
pending_of_turn(const struct pending *p)
{
	const struct request *r;
	unsigned n = 0;

	TAILQ_FOREACH (r, &p->requests, link)
		n += r->of_turn ? 1 : 0;
	return n;
}

void
pending_turn_over(struct pending *p)
{
	struct request *r;

	TAILQ_FOREACH (r, &p->requests, link)
		r->of_turn = false;
}

static void
keys_put(struct keys *k, const char *s, size_t len)
{
	if (len == 0 || len >= KEY_BYTES_MAX || k->n == KEYS_MAX)
		return;
	memcpy(k->key[k->n], s, len);
	k->key[k->n++][len] = '\0';
}

/* S itself, and its first word up to a colon in lower case, if it is one. */
static void
keys_add(struct keys *k, const char *s)
{
	char word[KEY_BYTES_MAX];
	size_t i, len;

	if (s == NULL)
		return;
	keys_put(k, s, strlen(s));
	s += strspn(s, " \t\n");
	len = strcspn(s, " \t\n:");
	if (len == 0 || len >= sizeof(word))
		return;
	for (i = 0; i < len; i++) {
		if (!isalnum((unsigned char)s[i]) &&
		    strchr("_-.", s[i]) == NULL)
			return;
		word[i] = (char)tolower((unsigned char)s[i]);
	}
	keys_put(k, word, len);
}

static void
keys_of(struct keys *k, const struct request *r)
{
	static const char *const members[] = { "permission", "codexRequestKind",
		"toolName", "tool_name" };
	struct json *j = NULL;
	size_t i;

	k->n = 0;
	keys_add(k, r->what);
	if (r->metadata == NULL || json_parse(r->metadata, strlen(r->metadata),
				       JSON_DEPTH_AGENT + 2, &j, NULL) == -1)
		return;
	for (i = 0; i < countof(members); i++)
		keys_add(k, json_str(j, members[i], NULL));
	json_free(j);
}

static bool
is_allowed(const struct pending *p, const char *key)
{
	unsigned i;

	for (i = 0; i < p->nalways; i++)
		if (strcmp(p->always[i], key) == 0)
			return true;
	return false;
}

void
pending_allow_key(struct pending *p, const char *key)
{
	if (p->nalways < ALWAYS_MAX && strlen(key) < KEY_BYTES_MAX &&
	    !is_allowed(p, key))
		p->always[p->nalways++] = xstrdup(key);
}

void
pending_allow(struct pending *p, const struct request *r)
{
	struct keys k;
	unsigned i;

	keys_of(&k, r);
	for (i = 0; i < k.n; i++)
		pending_allow_key(p, k.key[i]);
}

bool
pending_allowed(const struct pending *p, const struct request *r)
{
	struct keys k;
	unsigned i;

	if (p->nalways == 0)
		return false;
	keys_of(&k, r);
	for (i = 0; i < k.n; i++)
		if (is_allowed(p, k.key[i]))
			return true;
	return false;
}

void
pending_log_requested(struct universal *u, const struct request *r)
{
	if (r->question)
		uni_question(u, FROM_AGENT, false, r->id, r->what, r->metadata,
		    NULL, "requested");
	else
		uni_permission(u, FROM_AGENT, false, r->id, r->what,
		    "requested", r->metadata);
}

void
pending_log_resolved(struct universal *u, enum origin from,
    const struct request *r, const char *status, const char *response)
{
	if (r->question)
		uni_question(u, from, true, r->id, r->what, r->metadata,
		    response, status);
	else
		uni_permission(
		    u, from, true, r->id, r->what, status, r->metadata);
}
