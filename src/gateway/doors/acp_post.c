/*
 * POST /v1/acp/{server_id}: an envelope from a client to an agent. Runs in
 * sandboxd-gateway; the body is anybody's and is checked to be JSON, what is in
 * it is the worker's affair and the agent's.
 *
 * The first envelope makes the server; see acp_make.c. A request waits for the
 * agent's response as long as its client does: the response is stored first and
 * read from the store's map, so what was answered is never lost.
 */
#include "gateway/doors/acp.h"

#include "gateway/call.h"
#include "gateway/doors/sessions.h"
#include "gateway/link.h"
#include "lib/fdio.h"
#include "lib/frame.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>
#include <strings.h>

/* Longer texts travel in a memory file: less copying. */
#define INLINE_MAX (128u << 10)
#define ID_MAX 4096 /* of a request's id, as JSON */
/* How often, and after which time, for a response of a worker that died. */
#define LOOKS 4
#define REMOVED_MAX 8
#define LOOK_S 0.05
#define ENVELOPE_MAX (1u << 20) /* of an agent, as stored */

struct post {
	struct req *r;	   /* held */
	const char *agent; /* the query's, or NULL */
	bool object;	   /* the body is one */
	char *id;	   /* owned: a request's, as JSON; else NULL */
	char session[SESSION_ID_MAX + 1];
	uint64_t call;	  /* 0: none is under way */
	uint64_t after;	  /* the log's end before the request was sent */
	unsigned looks;	  /* for a response of which nobody has told */
	unsigned removed; /* times that the server was gone again */
	ev_timer look;
};

/* --- answers ------------------------------------------------------------- */

static void
post_end(struct post *p)
{
	struct req *r = p->r;

	r->ctx = NULL;
	ev_timer_stop(r->gw->loop, &p->look);
	free(p->id);
	free(p);
	req_release(r);
}

/* What fails behind the lookup is told with the agent's name. */
static void
post_fail(struct post *p, const struct err *e)
{
	struct acp_found found = { .agent = "" };

	if (p->agent == NULL)
		(void)acp_find(p->r->gw, p->session, &found, NULL);
	acp_fail(p->r, p->agent != NULL ? p->agent : found.agent, e);
	post_end(p);
}

static bool
copy_raw(void *ctx, uint64_t sequence, const struct stored_event *ev)
{
	static const char name[] = ",\"raw\":";
	const size_t before = ev->head_len + sizeof(name) - 1;

	(void)sequence;
	if (ev->len > before)
		(void)buf_add(ctx, ev->text + before, ev->len - before - 1);
	return false;
}

/* The envelope that was stored as event SEQ, as it came from the agent. */
static void
answer_stored(struct post *p, uint64_t seq)
{
	struct gateway *gw = p->r->gw;
	uint64_t after = seq - 1;
	struct db_session s;
	struct buf b;
	struct err e;
	int rc;

	buf_init(&b, ENVELOPE_MAX);
	if (db_begin(gw->db, &e) == -1) {
		post_fail(p, &e);
		return;
	}
	rc = db_session(gw->db, p->session, &s)
		 ? db_events(gw->db, s.log, &after, copy_raw, &b, &e)
		 : err_set(&e, ERR_SESSION_NOT_FOUND, "removed meanwhile");
	db_end(gw->db);
	if (rc == 0 && (b.len == 0 || b.failed))
		rc = err_set(&e, ERR_INTERNAL, "event %llu is not there",
		    (unsigned long long)seq);
	if (rc == -1) {
		buf_free(&b);
		post_fail(p, &e);
		return;
	}
	req_reply_json(p->r, 200, &b);
	post_end(p);
}

/* --- a worker that died --------------------------------------------------- */

struct search {
	const char *id;
	uint64_t found; /* 0: not yet */
};

/* The caller's; NULL: there is none. */
static char *
id_text(const struct json *envelope)
{
	const struct json *id = json_get(envelope, "id");
	struct buf b;
	struct jw w;

	if (id == NULL)
		return NULL;
	buf_init(&b, ID_MAX);
	jw_init(&w, &b);
	jw_value(&w, id);
	return buf_steal(&b);
}

static bool
is_response(void *ctx, uint64_t sequence, const struct stored_event *ev)
{
	struct search *s = ctx;
	autofree char *id = NULL;
	struct json *j;
	const struct json *raw;

	if (json_parse(ev->text, ev->len, RECORD_DEPTH, &j, NULL) == -1)
		return true; /* cannot be: it was checked when it came */
	raw = json_get(j, "raw");
	if (json_get(raw, "method") == NULL)
		id = id_text(raw);
	if (id != NULL && strcmp(id, s->id) == 0)
		s->found = sequence;
	json_free(j);
	return s->found == 0;
}

/* The worker may have stored the response and died before it told us: who asked
 * is not to be told that there is none. 0: it is not there. */
static uint64_t
response_stored(const struct post *p)
{
	struct search search = { .id = p->id };
	struct gateway *gw = p->r->gw;
	uint64_t after = p->after;
	struct db_session s;

	if (p->id == NULL || db_begin(gw->db, NULL) == -1)
		return 0;
	if (db_session(gw->db, p->session, &s))
		(void)db_events(
		    gw->db, s.log, &after, is_response, &search, NULL);
	db_end(gw->db);
	return search.found;
}

static void
on_look(struct ev_loop *loop, ev_timer *t, int revents ATTR_UNUSED)
{
	struct post *p = t->data;
	uint64_t seq = response_stored(p);
	struct err e;

	if (seq != 0) {
		answer_stored(p, seq);
	} else if (++p->looks < LOOKS) {
		ev_timer_set(t, LOOK_S, 0.);
		ev_timer_start(loop, t);
	} else {
		err_set(&e, ERR_SESSION_FAILED,
		    "the agent's worker ended before it answered");
		post_fail(p, &e);
	}
}

/* The agent ended before it answered. */
static void
answer_exited(struct post *p, const struct json *ok)
{
	struct acp_found found = { .agent = "" };

	(void)acp_find(p->r->gw, p->session, &found, NULL);
	acp_fail_agent(p->r, PROBLEM_AGENT_EXITED, found.agent,
	    json_str(ok, "stderr", NULL), (int)json_int(ok, "exit_code", -1));
	post_end(p);
}

static void
on_answer(void *ctx, const struct json *ok, int *fds ATTR_UNUSED,
    size_t nfds ATTR_UNUSED, const struct err *e)
{
	struct post *p = ctx;
	int64_t seq = json_int(ok, "seq", 0);

	p->call = 0;
	if (ok == NULL && e->code == ERR_SESSION_FAILED && p->id != NULL) {
		/* What it has handed to the store may yet be on its way. */
		ev_timer_set(&p->look, 0., 0.);
		ev_timer_start(p->r->gw->loop, &p->look);
	} else if (ok == NULL) {
		post_fail(p, e);
	} else if (seq > 0) {
		answer_stored(p, (uint64_t)seq);
	} else if (json_bool(ok, "exited", false)) {
		answer_exited(p, ok);
	} else if (json_bool(ok, "broken", false)) {
		acp_fail_message(p->r, PROBLEM_STREAM_ERROR,
		    "failed writing to agent stdin: Broken pipe (os error 32)");
		post_end(p);
	} else {
		req_reply_empty(p->r, 202);
		post_end(p);
	}
}

/* --- sending ------------------------------------------------------------- */

/* The members of the message into B, or a descriptor. */
static int
envelope_pack(const struct req *r, struct buf *b, int *fd_out, struct err *e)
{
	struct jw w;

	buf_init(b, FRAME_MAX - 1024);
	*fd_out = -1;
	if (r->body_len > INLINE_MAX) {
		(void)buf_adds(b, "{}");
		return fd_sealed("envelope", r->body, r->body_len, fd_out, e);
	}
	jw_init(&w, b);
	jw_object(&w);
	jw_key(&w, "text");
	jw_strn(&w, r->body, r->body_len);
	jw_object_end(&w);
	return 0;
}

static uint64_t
log_end(const struct post *p)
{
	struct gateway *gw = p->r->gw;
	struct db_session s = { .last = 0 };

	if (db_begin(gw->db, NULL) == 0) {
		if (!db_session(gw->db, p->session, &s))
			s.last = 0;
		db_end(gw->db);
	}
	return s.last;
}

static void
post_send(struct post *p)
{
	struct buf b;
	struct err e;
	int fd;

	if (p->r->gone) { /* while the server was made: it knows of nothing */
		post_end(p);
		return;
	}
	if (!p->object) {
		req_problem(p->r, PROBLEM_INVALID_REQUEST,
		    "request body must be a JSON-RPC object");
		post_end(p);
		return;
	}
	p->after = log_end(p);
	if (envelope_pack(p->r, &b, &fd, &e) == -1)
		post_fail(p, &e);
	else
		p->call = link_call(p->r->gw, LINK_SESSION, p->session,
		    MSG_SESSION_ACP, &b, &fd, fd != -1 ? 1 : 0, 0, on_answer,
		    p);
	buf_free(&b);
	req_body_drop(p->r);
}

/* --- is it the server that is meant -------------------------------------- */

static void
fail_conflict(struct post *p, const char *agent)
{
	char text[512];

	if (str_format(text, sizeof(text),
		"server '%s' already exists for agent '%s'; requested '%s'",
		p->r->params[0], agent, p->agent) == -1)
		(void)!str_copy(text, sizeof(text),
		    "the server already exists for another agent");
	acp_fail_message(p->r, PROBLEM_CONFLICT, text);
	post_end(p);
}

static void post_begin(struct post *p);

static void
on_known(void *ctx, const struct json *result, const struct err *e)
{
	struct post *p = ctx;
	struct acp_found found = { .agent = "" };

	if (result == NULL) {
		post_fail(p, e);
		return;
	}
	/* It may have been removed meanwhile. */
	if (acp_find(p->r->gw, p->session, &found, NULL) == 1 ||
	    ++p->removed > REMOVED_MAX)
		fail_conflict(p, found.agent);
	else
		post_begin(p);
}

/* An agent that nobody knows is told so before anything else. */
static void
ask_known(struct post *p)
{
	struct buf b;
	struct err e;
	struct jw w;

	if (p->agent[0] == '\0' || strlen(p->agent) > ACP_AGENT_MAX) {
		err_set(&e, ERR_AGENT_UNKNOWN, "no such agent");
		post_fail(p, &e);
		return;
	}
	buf_init(&b, 1024);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", p->agent);
	jw_kbool(&w, "all", true);
	jw_object_end(&w);
	super_call(p->r->gw, "agent.list", &b, on_known, p);
	buf_free(&b);
}

/* The server is there. */
static void
post_found(struct post *p, const struct acp_found *found)
{
	if (p->agent != NULL && strcmp(p->agent, found->agent) != 0)
		ask_known(p);
	else
		post_send(p);
}

/* --- the request --------------------------------------------------------- */

static void
on_made(void *ctx, const char *agent, const struct err *e)
{
	struct acp_found found;
	struct post *p = ctx;
	struct err why;

	if (e == NULL) {
		if (acp_find(p->r->gw, p->session, &found, &why) == 1) {
			post_found(p, &found);
			return;
		}
		err_set(&why, ERR_SESSION_NOT_FOUND, "removed meanwhile");
		e = &why;
	} else if (p->agent == NULL || strcmp(p->agent, agent) != 0) {
		post_begin(p); /* what failed was not its affair */
		return;
	}
	post_fail(p, e);
}

static void
post_new_server(struct post *p)
{
	struct err e;

	if (p->agent == NULL) {
		req_problem(p->r, PROBLEM_INVALID_REQUEST,
		    "missing required 'agent' query parameter for first POST "
		    "to /v1/acp/%s",
		    p->r->params[0]);
		post_end(p);
	} else if (p->agent[0] == '\0' || strlen(p->agent) > ACP_AGENT_MAX) {
		err_set(&e, ERR_AGENT_UNKNOWN, "no such agent");
		post_fail(p, &e);
	} else {
		acp_make(
		    p->r->gw, p->session, p->r->sandbox, p->agent, on_made, p);
	}
}

static void
post_begin(struct post *p)
{
	struct acp_found found;
	struct err e;

	if (acp_make_wait(p->session, on_made, p))
		return;
	switch (acp_find(p->r->gw, p->session, &found, &e)) {
	case 1:
		/* Another gateway is making it; or that has just failed, and
		 * it may be tried again. The supervisor knows. */
		if (found.starting && p->agent != NULL)
			post_new_server(p);
		else
			post_found(p, &found);
		break;
	case 0:
		post_new_server(p);
		break;
	default:
		post_fail(p, &e);
		break;
	}
}

/* The client has left, or has its answer. What the agent was asked, it goes on
 * with; its response shows in the stream. */
static void
on_gone(struct req *r)
{
	struct post *p = r->ctx;

	if (p == NULL || (p->call == 0 && !ev_is_active(&p->look)))
		return;
	if (p->call != 0)
		link_cancel(r->gw, p->call);
	post_end(p);
}

static bool
type_fits(const struct req *r)
{
	const char *type = req_header(r, "content-type");
	const char *word = "application/json";

	return type != NULL && strcspn(type, "; \t") == strlen(word) &&
	       strncasecmp(type, word, strlen(word)) == 0;
}

/* Is it JSON at all? -1: the request was answered. ID_OUT is set for a request;
 * it is the caller's. */
static int
body_take(struct req *r, bool *object_out, char **id_out)
{
	struct json *j;
	struct err e;

	if (json_parse(r->body, r->body_len, JSON_DEPTH_AGENT, &j, &e) == -1) {
		req_problem(
		    r, PROBLEM_NOT_JSON, "invalid JSON body: %s", e.text);
		return -1;
	}
	*object_out = j->type == JSON_OBJECT;
	*id_out = json_get(j, "method") != NULL ? id_text(j) : NULL;
	json_free(j);
	return 0;
}

void
route_acp_post(struct req *r)
{
	char session[SESSION_ID_MAX + 1];
	autofree char *id = NULL;
	struct post *p;
	bool object;

	if (!type_fits(r)) {
		acp_fail_message(r, PROBLEM_UNSUPPORTED_MEDIA,
		    "content-type must be application/json");
		return;
	}
	if (!acp_accepts(r, "application/json")) {
		acp_fail_message(r, PROBLEM_NOT_ACCEPTABLE,
		    "accept must allow application/json");
		return;
	}
	if (body_take(r, &object, &id) == -1)
		return;
	if (acp_session(r, session) == -1) {
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "server id: at most %zu bytes without control characters",
		    SESSION_ID_MAX - strlen("acp::") - strlen(r->sandbox));
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->r = r;
	p->object = object;
	p->id = STEAL(id);
	ev_timer_init(&p->look, on_look, 0., 0.);
	p->look.data = p;
	p->agent = req_query(r, "agent", NULL);
	memcpy(p->session, session, sizeof(p->session));
	r->ctx = p;
	r->on_gone = on_gone;
	req_hold(r);
	post_begin(p);
}
