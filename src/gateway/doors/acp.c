/*
 * /v1/acp: which servers there are for a request, the stream of what an agent
 * says, and the end of a server. Runs in sandboxd-gateway; ids and headers are
 * anybody's, records were written by the supervisor and, in some members, by
 * workers inside sandboxes.
 */
#include "gateway/doors/acp.h"

#include "gateway/call.h"
#include "gateway/doors/sessions.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>
#include <strings.h>

#define EXT_MAX (64u << 10)

/* --- servers ------------------------------------------------------------- */

void
acp_prefix(char dst[SESSION_ID_MAX + 1], const char *sandbox)
{
	/* What is no name of a sandbox has none; a colon in it would find the
	 * servers of another. */
	(void)!str_format(dst, SESSION_ID_MAX + 1,
	    "acp:%s:", sandbox_id_valid(sandbox) ? sandbox : "");
}

int
acp_session(const struct req *r, char dst[SESSION_ID_MAX + 1])
{
	if (!sandbox_id_valid(r->sandbox) || r->params[0][0] == '\0' ||
	    str_format(dst, SESSION_ID_MAX + 1, "acp:%s:%s", r->sandbox,
		r->params[0]) == -1)
		return -1;
	return session_id_valid(dst) ? 0 : -1;
}

/* The supervisor writes `agent` right behind `kind`, and both before anything
 * that a worker may set: the first match cannot lie inside of a string, where
 * a quote would be escaped. */
void
acp_take(const struct db_session *s, struct acp_found *out)
{
	static const char name[] = "\",\"agent\":\"";
	static const char starting[] = "\"state\":\"starting\"";
	const char *at =
	    memmem(s->record, s->record_len, name, sizeof(name) - 1);
	const char *end;

	out->log = s->log;
	out->starting = memmem(s->record, s->record_len, starting,
			    sizeof(starting) - 1) != NULL;
	out->agent[0] = '\0';
	if (at == NULL)
		return;
	at += sizeof(name) - 1;
	end = memchr(at, '"', s->record_len - (size_t)(at - s->record));
	if (end == NULL || end - at > ACP_AGENT_MAX)
		return;
	memcpy(out->agent, at, (size_t)(end - at));
	out->agent[end - at] = '\0';
}

/* Most records have no such words anywhere, and are not taken apart. */
bool
acp_ended(const struct db_session *s)
{
	static const char words[] = "\"ended\"";
	struct json *rec;
	bool ended;

	if (memmem(s->record, s->record_len, words, sizeof(words) - 1) == NULL)
		return false;
	if (json_parse(s->record, s->record_len, RECORD_DEPTH, &rec, NULL) ==
	    -1)
		return true;
	ended = strcmp(json_str(rec, "state", ""), "ended") == 0;
	json_free(rec);
	return ended;
}

int
acp_find(struct gateway *gw, const char *session, struct acp_found *out,
    struct err *e)
{
	struct db_session s;
	int found;

	if (db_begin(gw->db, e) == -1)
		return -1;
	found = db_session(gw->db, session, &s) && !acp_ended(&s) ? 1 : 0;
	if (found == 1 && out != NULL)
		acp_take(&s, out);
	db_end(gw->db);
	return found;
}

/* --- what a client takes ------------------------------------------------- */

/* Is one item of Accept, such as "text/html;q=0.8", KIND? */
static bool
item_fits(const char *item, size_t len, const char *kind)
{
	size_t slash = strcspn(kind, "/") + 1;

	while (len > 0 && (*item == ' ' || *item == '\t')) {
		item++;
		len--;
	}
	len = strcspn(item, ";, \t") < len ? strcspn(item, ";, \t") : len;
	if (len == 3 && memcmp(item, "*/*", 3) == 0)
		return true;
	if (len == slash + 1 && item[slash] == '*')
		return strncasecmp(item, kind, slash) == 0;
	return len == strlen(kind) && strncasecmp(item, kind, len) == 0;
}

bool
acp_accepts(const struct req *r, const char *kind)
{
	const char *at = req_header(r, "accept");
	size_t len;

	if (at == NULL)
		return true;
	for (;;) {
		len = strcspn(at, ",");
		if (item_fits(at, len, kind))
			return true;
		if (at[len] == '\0')
			return false;
		at += len + 1;
	}
}

/* --- refusals ------------------------------------------------------------ */

void
acp_fail_message(struct req *r, enum problem p, const char *detail)
{
	struct buf b;
	struct jw w;

	buf_init(&b, EXT_MAX);
	(void)buf_adds(&b, "\"details\":");
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "message", detail);
	jw_object_end(&w);
	req_problem_ext(r, p, b.failed ? NULL : b.data, "%s", detail);
	buf_free(&b);
}

void
acp_fail_agent(struct req *r, enum problem p, const char *agent,
    const char *stderr_text, int code)
{
	struct buf b;
	struct jw w;

	buf_init(&b, EXT_MAX);
	(void)buf_adds(&b, "\"agent\":");
	jw_init(&w, &b);
	jw_str(&w, agent);
	if (stderr_text != NULL || code >= 0) {
		(void)buf_adds(&b, ",\"details\":");
		jw_init(&w, &b);
		jw_object(&w);
		if (code >= 0)
			jw_kint(&w, "exitCode", code);
		if (stderr_text != NULL) {
			jw_key(&w, "stderr");
			jw_strn(&w, stderr_text, strlen(stderr_text));
		}
		jw_object_end(&w);
	}
	req_problem_ext(r, p, b.failed ? NULL : b.data, "%s", agent);
	buf_free(&b);
}

static void
fail_missing(struct req *r)
{
	struct buf b;
	struct jw w;

	buf_init(&b, EXT_MAX);
	(void)buf_adds(&b, "\"sessionId\":");
	jw_init(&w, &b);
	jw_str(&w, r->params[0]);
	req_problem_ext(r, PROBLEM_SESSION_NOT_FOUND, b.failed ? NULL : b.data,
	    "%s", r->params[0]);
	buf_free(&b);
}

void
acp_fail(struct req *r, const char *agent, const struct err *e)
{
	if (agent == NULL)
		agent = "";
	switch (e->code) {
	case ERR_AGENT_UNKNOWN:
		acp_fail_agent(r, PROBLEM_UNSUPPORTED_AGENT, agent, NULL, -1);
		break;
	case ERR_AGENT_NOT_INSTALLED:
		acp_fail_agent(r, PROBLEM_AGENT_NOT_INSTALLED, agent, NULL, -1);
		break;
	case ERR_INSTALL_FAILED:
		acp_fail_agent(r, PROBLEM_INSTALL_FAILED, agent, e->text, -1);
		break;
	case ERR_AGENT_FAILED:
	case ERR_SESSION_FAILED:
		acp_fail_agent(r, PROBLEM_AGENT_EXITED, agent, e->text, -1);
		break;
	case ERR_EXEC_FAILED:
	case ERR_SYSTEM:
		acp_fail_message(r, PROBLEM_STREAM_ERROR, e->text);
		break;
	case ERR_TIMEOUT:
		acp_fail_message(r, PROBLEM_TIMEOUT, e->text);
		break;
	case ERR_SESSION_EXISTS:
	case ERR_KEY_REUSED:
		acp_fail_message(r, PROBLEM_CONFLICT,
		    "the server is just being made for another agent");
		break;
	case ERR_SESSION_NOT_FOUND:
	case ERR_SESSION_ENDED:
		fail_missing(r); /* it was removed meanwhile */
		break;
	default:
		req_fail(r, e);
		break;
	}
}

/* --- what the agent says ------------------------------------------------- */

/* -1: it is no number. Absent, or empty, it is 0. */
static int
resume_from(const struct req *r, uint64_t *after_out)
{
	const char *at = req_header(r, "last-event-id");
	uint64_t n = 0;

	*after_out = 0;
	if (at == NULL)
		return 0;
	at += strspn(at, " \t");
	for (; *at >= '0' && *at <= '9'; at++) {
		/* More than any log has is as good as the most. */
		n = n > (UINT64_MAX >> 1) / 10 ? UINT64_MAX >> 1
					       : n * 10 + (uint64_t)(*at - '0');
	}
	at += strspn(at, " \t");
	*after_out = n;
	return *at == '\0' ? 0 : -1;
}

void
route_acp_stream(struct req *r)
{
	char session[SESSION_ID_MAX + 1];
	struct events_from from = { .envelopes = true, .session = session };
	struct acp_found found;
	struct err e;
	int rc = 0;

	if (!acp_accepts(r, "text/event-stream")) {
		acp_fail_message(r, PROBLEM_NOT_ACCEPTABLE,
		    "accept must allow text/event-stream");
		return;
	}
	if (resume_from(r, &from.after) == -1) {
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "Last-Event-ID must be a positive integer");
		return;
	}
	if (acp_session(r, session) == 0)
		rc = acp_find(r->gw, session, &found, &e);
	if (rc == -1) {
		req_fail(r, &e);
	} else if (rc == 0) {
		fail_missing(r);
	} else {
		from.log = found.log;
		events_stream(r, &from);
	}
}

/* --- the end ------------------------------------------------------------- */

static void
on_deleted(void *ctx, const struct json *result, const struct err *e)
{
	struct req *r = ctx;

	if (result != NULL || e->code == ERR_SESSION_NOT_FOUND)
		req_reply_empty(r, 204);
	else
		acp_fail(r, NULL, e);
	req_release(r);
}

/* R is held. */
static void
close_now(
    void *ctx, const char *agent ATTR_UNUSED, const struct err *e ATTR_UNUSED)
{
	struct req *r = ctx;
	char session[SESSION_ID_MAX + 1];
	struct buf b;
	struct jw w;

	(void)!acp_session(r, session); /* could be made before */
	buf_init(&b, 1024);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", session);
	jw_object_end(&w);
	super_call(r->gw, "session.delete", &b, on_deleted, r);
	buf_free(&b);
}

void
route_acp_close(struct req *r)
{
	char session[SESSION_ID_MAX + 1];

	if (acp_session(r, session) == -1) {
		req_reply_empty(r, 204);
		return;
	}
	req_hold(r);
	/* It must not overtake the making of what it is to end. */
	if (!acp_make_wait(session, close_now, r))
		close_now(r, NULL, NULL);
}
