/*
 * Problem documents (RFC 7807), and the shorter form that routes of the
 * OpenSandbox dialect have. Runs in sandboxd-gateway.
 */
#include "gateway/req_priv.h"
#include "lib/strutil.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_MAX 1024
#define PROBLEM_BYTES_MAX 65536
#define URN "urn:sandbox-agent:error:"

static const struct {
	const char *urn;
	unsigned status;
	const char *title;
	const char *prefix;
} problem_table[PROBLEM_N] = {
#define PROBLEM(sym, urn, status, title, prefix, help) \
	{ urn, status, title, prefix },
#include "gateway/problems.def"
};

/* Which problem tells what one of ours has refused. */
static const struct {
	enum err_code code;
	enum problem problem;
} fails[] = {
	{ ERR_BAD_REQUEST, PROBLEM_INVALID_REQUEST },
	{ ERR_TOO_LARGE, PROBLEM_TOO_LARGE },
	{ ERR_DENIED, PROBLEM_PERMISSION_DENIED },
	{ ERR_UNKNOWN_OPERATION, PROBLEM_NOT_FOUND },
	{ ERR_SANDBOX_NOT_FOUND, PROBLEM_NOT_FOUND },
	{ ERR_PROCESS_NOT_FOUND, PROBLEM_NOT_FOUND },
	{ ERR_ROLE_NOT_FOUND, PROBLEM_NOT_FOUND },
	{ ERR_PROCESS_STATE, PROBLEM_CONFLICT },
	{ ERR_SANDBOX_EXISTS, PROBLEM_CONFLICT },
	{ ERR_SANDBOX_STATE, PROBLEM_CONFLICT },
	{ ERR_SANDBOX_FAILED, PROBLEM_UNAVAILABLE },
	{ ERR_SESSION_NOT_FOUND, PROBLEM_SESSION_NOT_FOUND },
	{ ERR_SESSION_EXISTS, PROBLEM_SESSION_EXISTS },
	{ ERR_SESSION_ENDED, PROBLEM_CONFLICT },
	{ ERR_SESSION_FAILED, PROBLEM_AGENT_EXITED },
	{ ERR_TURN_NOT_RUNNING, PROBLEM_CONFLICT },
	{ ERR_PERMISSION_NOT_FOUND, PROBLEM_NOT_FOUND },
	{ ERR_QUESTION_NOT_FOUND, PROBLEM_NOT_FOUND },
	{ ERR_AGENT_UNKNOWN, PROBLEM_UNSUPPORTED_AGENT },
	{ ERR_AGENT_NOT_INSTALLED, PROBLEM_AGENT_NOT_INSTALLED },
	{ ERR_INSTALL_FAILED, PROBLEM_INSTALL_FAILED },
	{ ERR_AGENT_FAILED, PROBLEM_AGENT_EXITED },
	{ ERR_MODE_NOT_SUPPORTED, PROBLEM_MODE_NOT_SUPPORTED },
	{ ERR_IMAGE_NOT_FOUND, PROBLEM_INVALID_REQUEST },
	{ ERR_MOUNT_REFUSED, PROBLEM_INVALID_REQUEST },
	{ ERR_USER_NOT_FOUND, PROBLEM_INVALID_REQUEST },
	{ ERR_STORE_UNAVAILABLE, PROBLEM_UNAVAILABLE },
	{ ERR_DISK_FULL, PROBLEM_DISK_FULL },
	{ ERR_LIMIT, PROBLEM_LIMIT },
	{ ERR_TIMEOUT, PROBLEM_TIMEOUT },
	{ ERR_SHUTTING_DOWN, PROBLEM_UNAVAILABLE },
	{ ERR_PORT_CLOSED, PROBLEM_STREAM_ERROR },
	{ ERR_SYSTEM, PROBLEM_STREAM_ERROR },
};

/* OpenSandbox's codes are words of their own for the key, else ours in
 * capitals. */
static void
osb_write(struct buf *b, enum problem p, const char *code, const char *detail)
{
	char word[64];
	struct jw w;
	size_t i;

	if (code == NULL) {
		const char *urn = problem_table[p].urn;

		for (i = 0; urn[i] != '\0' && i + 1 < sizeof(word); i++)
			word[i] = (char)toupper((unsigned char)urn[i]);
		word[i] = '\0';
		code = word;
	}
	jw_init(&w, b);
	jw_object(&w);
	jw_kstr(&w, "code", code);
	jw_key(&w, "message");
	jw_strn(&w, detail, strlen(detail));
	jw_object_end(&w);
}

static void
problem_write(
    struct buf *b, enum problem p, const char *ext, const char *detail)
{
	struct jw w;

	jw_init(&w, b);
	jw_object(&w);
	jw_key(&w, "type");
	jw_str_begin(&w);
	jw_str_add(&w, URN, sizeof(URN) - 1);
	jw_str_add(&w, problem_table[p].urn, strlen(problem_table[p].urn));
	jw_str_end(&w);
	jw_kstr(&w, "title", problem_table[p].title);
	jw_kint(&w, "status", problem_table[p].status);
	jw_key(&w, "detail");
	jw_strn(&w, detail, strlen(detail));
	jw_object_end(&w);
	if (ext == NULL || b->failed)
		return;
	b->len--; /* the brace */
	(void)buf_addc(b, ',');
	(void)buf_adds(b, ext);
	(void)buf_addc(b, '}');
}

static void
problem_send(struct req *r, enum problem p, const char *ext, const char *code,
    const char *fmt, va_list ap)
{
	struct hreq *q = hreq_of(r);
	char detail[DETAIL_MAX];
	struct buf b;
	int n;

	if (q->mc == NULL || q->answered)
		return;
	n = snprintf(detail, sizeof(detail), "%s",
	    q->osb ? "" : problem_table[p].prefix);
	if (n >= 0 && (size_t)n < sizeof(detail))
		(void)vsnprintf(detail + n, sizeof(detail) - (size_t)n, fmt,
		    ap); /* a cut detail is better than none */
	buf_init(&b, PROBLEM_BYTES_MAX);
	if (q->osb)
		osb_write(&b, p, code, detail);
	else
		problem_write(&b, p, ext, detail);
	if (b.failed) {
		buf_free(&b);
		buf_init(&b, PROBLEM_BYTES_MAX);
		(void)buf_adds(&b, "{}");
	}
	if (q->begun && !q->body_done && r->content_length != 0) {
		buf_init(&q->late, PROBLEM_BYTES_MAX);
		(void)buf_add(&q->late, b.data, b.len);
	}
	req_reply(r, problem_table[p].status,
	    q->osb ? "application/json" : "application/problem+json", &b);
}

void
req_problem(struct req *r, enum problem p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	problem_send(r, p, NULL, NULL, fmt, ap);
	va_end(ap);
}

void
req_problem_ext(
    struct req *r, enum problem p, const char *ext, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	problem_send(r, p, ext, NULL, fmt, ap);
	va_end(ap);
}

void
req_problem_code(
    struct req *r, enum problem p, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	problem_send(r, p, NULL, code, fmt, ap);
	va_end(ap);
}

void
req_fail(struct req *r, const struct err *e)
{
	req_fail_ext(r, e, NULL);
}

void
req_fail_ext(struct req *r, const struct err *e, const char *ext)
{
	enum problem p = PROBLEM_INTERNAL;

	for (size_t i = 0; i < countof(fails); i++)
		if (fails[i].code == e->code)
			p = fails[i].problem;
	req_problem_ext(r, p, ext, "%s", e->text);
}
