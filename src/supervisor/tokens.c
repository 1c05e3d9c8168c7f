/*
 * Tokens: making, listing, revoking, and their end by time. Runs in the
 * supervisor, which forgets a token's text as soon as it has been told.
 *
 *	record  {"id","sha256","label","sandbox","read_only","expires_at_ms",
 *	         "created_at_ms"}, by the SHA-256 in hex
 */
#include "supervisor/tokens.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/carry_parts.h"
#include "supervisor/ops.h"
#include "supervisor/sandboxes.h"
#include "supervisor/storec.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define TOKENS_MAX 2000 /* so that a list of them fits in a frame */
#define LIFE_MAX_MS (100ll * 366 * 86400 * 1000)
#define RANDOM_BYTES 32
#define TOKEN_PREFIX "sbx_"
#define TOKEN_TEXT (sizeof(TOKEN_PREFIX) + 43)
/* Looked at this often at most: a clock may be set meanwhile. */
#define LOOK_MS 60000

struct token {
	TAILQ_ENTRY(token) link;
	struct tokens *ts;
	char id[RANDOM_ID_MAX];
	char sha256[SHA256_HEX + 1];
	char *label, *sandbox; /* owned; may be NULL */
	bool read_only;
	int64_t expires_at_ms; /* 0: never */
	int64_t created_at_ms;
	bool going;	       /* is being removed */
	bool orphan;	       /* its sandbox went while it was being made */
	struct request *r;     /* who waits for the commit, or NULL */
	char text[TOKEN_TEXT]; /* until it was told */
};

struct tokens {
	struct super *s;
	TAILQ_HEAD(, token) all;
	size_t n;
	ev_timer timer;
};

static void set_timer(struct tokens *ts);

static void
token_free(struct token *t)
{
	storec_forget(t->ts->s->store, t);
	TAILQ_REMOVE(&t->ts->all, t, link);
	t->ts->n--;
	explicit_bzero(t->text, sizeof(t->text));
	free(t->label);
	free(t->sandbox);
	free(t);
}

static struct token *
token_new(
    struct tokens *ts, const char *id, const char *label, const char *sandbox)
{
	struct token *t = xcalloc(1, sizeof(*t));

	t->ts = ts;
	(void)!str_copy(t->id, sizeof(t->id), id); /* was made, or checked */
	t->label = label != NULL ? xstrdup(label) : NULL;
	t->sandbox = sandbox != NULL ? xstrdup(sandbox) : NULL;
	TAILQ_INSERT_TAIL(&ts->all, t, link);
	ts->n++;
	return t;
}

static void
on_deleted(void *ctx, const struct err *e)
{
	struct token *t = ctx;
	struct request *r = STEAL(t->r);
	struct jw *w;

	if (r != NULL && e != NULL) {
		request_end_err(r, e);
	} else if (r != NULL) {
		w = request_ok(r);
		jw_object(w);
		jw_kstr(w, "id", t->id);
		jw_object_end(w);
		request_end_ok(r);
	}
	t->going = false;
	if (e == NULL)
		token_free(t);
	else
		set_timer(t->ts); /* it is still there */
}

/* Out of the store; R, if not NULL, is told when that is done. */
static void
token_remove(struct token *t, struct request *r)
{
	t->going = true;
	t->r = r;
	storec_delete(t->ts->s->store, "tokens", t->sha256, on_deleted, t);
}

/* --- time ---------------------------------------------------------------- */

static void
on_timer(struct ev_loop *loop ATTR_UNUSED, ev_timer *w, int revents ATTR_UNUSED)
{
	struct tokens *ts = w->data;
	int64_t now = now_realtime_ms();
	struct token *t;

	TAILQ_FOREACH (t, &ts->all, link) {
		if (t->expires_at_ms != 0 && t->expires_at_ms <= now &&
		    !t->going && t->r == NULL) {
			log_info("token", "expired", LOG_STR("id", t->id));
			token_remove(t, NULL);
		}
	}
	set_timer(ts);
}

static void
set_timer(struct tokens *ts)
{
	int64_t now = now_realtime_ms(), wait = INT64_MAX;
	struct token *t;

	TAILQ_FOREACH (t, &ts->all, link) {
		if (t->expires_at_ms != 0 && !t->going)
			wait = MIN(wait, t->expires_at_ms - now);
	}
	ev_timer_stop(ts->s->loop, &ts->timer);
	if (wait == INT64_MAX)
		return;
	wait = MIN(MAX(wait, 1), LOOK_MS);
	ev_timer_set(&ts->timer, (double)wait / 1000.0, 0.);
	ev_timer_start(ts->s->loop, &ts->timer);
}

/* --- records ------------------------------------------------------------- */

/* The public members. */
static void
token_write(const struct token *t, struct jw *w)
{
	jw_kstr(w, "id", t->id);
	if (t->label != NULL)
		jw_kstr(w, "label", t->label);
	if (t->sandbox != NULL)
		jw_kstr(w, "sandbox", t->sandbox);
	jw_kbool(w, "read_only", t->read_only);
	if (t->expires_at_ms != 0)
		jw_kint(w, "expires_at_ms", t->expires_at_ms);
	jw_kint(w, "created_at_ms", t->created_at_ms);
}

void
tokens_loaded(struct tokens *ts, const struct json *rec)
{
	const char *id = json_str(rec, "id", "");
	const char *hash = json_str(rec, "sha256", "");
	struct token *t;

	if (id[0] == '\0' || strlen(id) >= RANDOM_ID_MAX ||
	    strlen(hash) != SHA256_HEX) {
		log_error("token", "record not understood", LOG_STR("id", id));
		return;
	}
	TAILQ_FOREACH (t, &ts->all, link) {
		if (strcmp(t->sha256, hash) == 0)
			return; /* loaded before the store died */
	}
	t = token_new(ts, id, json_str(rec, "label", NULL),
	    json_str(rec, "sandbox", NULL));
	memcpy(t->sha256, hash, SHA256_HEX);
	t->read_only = json_bool(rec, "read_only", false);
	t->expires_at_ms = json_int(rec, "expires_at_ms", 0);
	t->created_at_ms = json_int(rec, "created_at_ms", 0);
	set_timer(ts);
}

/* --- over an exec of ourselves (carry.h) -----------------------------------
 */

void
tokens_put(struct super *s, struct carry *c)
{
	const struct token *t;

	jw_key(&c->w, "list");
	jw_array(&c->w);
	TAILQ_FOREACH (t, &s->tokens->all, link) {
		jw_object(&c->w);
		token_write(t, &c->w);
		jw_kstr(&c->w, "sha256", t->sha256);
		jw_object_end(&c->w);
	}
	jw_array_end(&c->w);
}

int
tokens_take(struct super *s, const struct json *j, struct err *e ATTR_UNUSED)
{
	json_foreach (it, json_get(j, "list"))
		tokens_loaded(s->tokens, it);
	return 0;
}

const char *
tokens_busy(struct super *s)
{
	const struct token *t;

	TAILQ_FOREACH (t, &s->tokens->all, link) {
		if (t->going || t->r != NULL)
			return "a token is being made or revoked";
	}
	return NULL;
}

struct tokens *
tokens_new(struct super *s)
{
	struct tokens *ts = xcalloc(1, sizeof(*ts));

	ts->s = s;
	TAILQ_INIT(&ts->all);
	ev_timer_init(&ts->timer, on_timer, 0., 0.);
	ts->timer.data = ts;
	return ts;
}

void
tokens_free(struct tokens *ts)
{
	struct token *t;

	if (ts == NULL)
		return;
	ev_timer_stop(ts->s->loop, &ts->timer);
	while ((t = TAILQ_FIRST(&ts->all)) != NULL)
		token_free(t);
	free(ts);
}

void
tokens_sandbox_gone(struct tokens *ts, const char *sandbox)
{
	struct token *t;

	TAILQ_FOREACH (t, &ts->all, link) {
		if (t->sandbox == NULL || strcmp(t->sandbox, sandbox) != 0 ||
		    t->going)
			continue;
		if (t->r != NULL)
			t->orphan = true; /* on_stored() takes it back */
		else
			token_remove(t, NULL);
	}
}

/* --- operations ---------------------------------------------------------- */

/* RFC 4648, section 5, without padding. */
static void
base64url(char *dst, const unsigned char *p, size_t n)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	int have = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | p[i];
		for (have += 8; have >= 6; have -= 6)
			*dst++ = digits[bits >> (have - 6) & 63];
	}
	if (have > 0)
		*dst++ = digits[bits << (6 - have) & 63];
	*dst = '\0';
}

static int
make_text(struct token *t, struct err *e)
{
	unsigned char raw[RANDOM_BYTES];

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return err_sys(e, "random bytes");
	memcpy(t->text, TOKEN_PREFIX, sizeof(TOKEN_PREFIX));
	base64url(t->text + sizeof(TOKEN_PREFIX) - 1, raw, sizeof(raw));
	explicit_bzero(raw, sizeof(raw));
	sha256_hex(t->text, strlen(t->text), t->sha256);
	return 0;
}

static void
on_stored(void *ctx, const struct err *e)
{
	struct token *t = ctx;
	struct request *r = STEAL(t->r);
	struct err gone;
	struct jw *w;

	if (e != NULL) {
		request_end_err(r, e);
		token_free(t);
		return;
	}
	if (t->orphan) {
		err_set(&gone, ERR_SANDBOX_NOT_FOUND,
		    "sandbox was destroyed: %s", t->sandbox);
		request_end_err(r, &gone);
		token_remove(t, NULL);
		return;
	}
	w = request_ok(r);
	jw_object(w);
	jw_kstr(w, "token", t->text);
	token_write(t, w);
	jw_object_end(w);
	request_end_ok(r);
	explicit_bzero(t->text, sizeof(t->text));
	log_info("token", "made", LOG_STR("id", t->id));
	set_timer(t->ts);
}

static int
check_create(
    struct request *r, const char *sandbox, int64_t *life_out, struct err *e)
{
	const char *life = json_str(r->op.args, "expires_in", NULL);
	const struct sandbox *sb;

	*life_out = 0;
	if (r->s->tokens->n >= TOKENS_MAX)
		return err_set(
		    e, ERR_LIMIT, "there are %d tokens already", TOKENS_MAX);
	if (life != NULL && (str_to_ms(life, life_out) == -1 || *life_out < 1 ||
				*life_out > LIFE_MAX_MS))
		return err_set(e, ERR_BAD_REQUEST,
		    "expires_in: '%s' is no time such as 12h", life);
	if (sandbox == NULL || strcmp(sandbox, "default") == 0)
		return 0; /* the default one is made at first use */
	sb = sandbox_find(r->s, sandbox);
	if (sb == NULL || sb->state == SB_DESTROYING)
		return err_set(
		    e, ERR_SANDBOX_NOT_FOUND, "no such sandbox: %s", sandbox);
	return 0;
}

void
op_token_create(struct request *r)
{
	const char *sandbox = json_str(r->op.args, "sandbox", NULL);
	char id[RANDOM_ID_MAX];
	struct token *t;
	int64_t life;
	struct err e;
	struct buf b;
	struct jw w;

	if (check_create(r, sandbox, &life, &e) == -1) {
		request_end_err(r, &e);
		return;
	}
	random_id(id, "tok-");
	t = token_new(
	    r->s->tokens, id, json_str(r->op.args, "label", NULL), sandbox);
	if (make_text(t, &e) == -1) {
		token_free(t);
		request_end_err(r, &e);
		return;
	}
	t->read_only = json_bool(r->op.args, "read_only", false);
	t->created_at_ms = now_realtime_ms();
	t->expires_at_ms = life > 0 ? t->created_at_ms + life : 0;
	t->r = r;
	buf_init(&b, 8192);
	jw_init(&w, &b);
	jw_object(&w);
	token_write(t, &w);
	jw_kstr(&w, "sha256", t->sha256);
	jw_object_end(&w);
	storec_put(r->s->store, "tokens", t->sha256, &b, on_stored, t);
	buf_free(&b);
}

void
op_token_list(struct request *r)
{
	struct jw *w = request_ok(r);
	const struct token *t;

	jw_object(w);
	jw_key(w, "tokens");
	jw_array(w);
	TAILQ_FOREACH (t, &r->s->tokens->all, link) {
		if (t->going || t->r != NULL)
			continue;
		jw_object(w);
		token_write(t, w);
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_object_end(w);
	request_end_ok(r);
}

void
op_token_revoke(struct request *r)
{
	const char *id = json_str(r->op.args, "id", "");
	struct token *t;
	struct err e;

	TAILQ_FOREACH (t, &r->s->tokens->all, link) {
		if (strcmp(t->id, id) == 0 && !t->going && t->r == NULL) {
			token_remove(t, r);
			return;
		}
	}
	err_set(&e, ERR_TOKEN_NOT_FOUND, "no such token: %s", id);
	request_end_err(r, &e);
}
