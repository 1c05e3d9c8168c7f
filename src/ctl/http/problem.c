/*
 * What a server refuses, as errors of ours: problem documents (RFC 7807), the
 * {"code","message"} of the sandbox routes, and whatever else comes with a
 * status that is no success. Runs as the caller.
 */
#include "ctl/http/http.h"
#include "lib/strutil.h"
#include <string.h>

#define PROBLEM_DEPTH 16
#define URN "urn:sandbox-agent:error:"

static const struct {
	const char *urn;
	enum err_code code;
} urns[] = {
	{ "unsupported_agent", ERR_AGENT_UNKNOWN },
	{ "mode_not_supported", ERR_MODE_NOT_SUPPORTED },
	{ "session_not_found", ERR_SESSION_NOT_FOUND },
	{ "session_already_exists", ERR_SESSION_EXISTS },
	{ "agent_not_installed", ERR_AGENT_NOT_INSTALLED },
	{ "agent_process_exited", ERR_AGENT_FAILED },
	{ "token_invalid", ERR_DENIED },
	{ "permission_denied", ERR_DENIED },
	{ "timeout", ERR_TIMEOUT },
	{ "limit_reached", ERR_LIMIT },
	{ "disk_full", ERR_DISK_FULL },
	{ "unavailable", ERR_STORE_UNAVAILABLE },
	{ "internal", ERR_INTERNAL },
	{ "not_found", ERR_SANDBOX_NOT_FOUND },
	{ "conflict", ERR_SANDBOX_STATE },
	{ "stream_error", ERR_EXEC_FAILED },
};

const char *
http_status_text(long status)
{
	static const struct {
		long status;
		const char *text;
	} all[] = { { 400, "400 Bad Request" }, { 401, "401 Unauthorized" },
		{ 403, "403 Forbidden" }, { 404, "404 Not Found" },
		{ 405, "405 Method Not Allowed" }, { 409, "409 Conflict" },
		{ 412, "412 Precondition Failed" },
		{ 413, "413 Payload Too Large" },
		{ 415, "415 Unsupported Media Type" },
		{ 416, "416 Range Not Satisfiable" },
		{ 422, "422 Unprocessable Entity" },
		{ 429, "429 Too Many Requests" },
		{ 500, "500 Internal Server Error" },
		{ 502, "502 Bad Gateway" }, { 503, "503 Service Unavailable" },
		{ 504, "504 Gateway Timeout" },
		{ 507, "507 Insufficient Storage" } };
	static char other[16];
	size_t i;

	for (i = 0; i < countof(all); i++)
		if (all[i].status == status)
			return all[i].text;
	if (str_format(other, sizeof(other), "%ld", status) == -1)
		return "?";
	return other;
}

static enum err_code
code_of_status(long status)
{
	switch (status) {
	case 400:
	case 413:
	case 415:
	case 422:
		return ERR_BAD_REQUEST;
	case 401:
	case 403:
		return ERR_DENIED;
	case 404:
		return ERR_SANDBOX_NOT_FOUND;
	case 409:
		return ERR_SANDBOX_STATE;
	case 429:
		return ERR_LIMIT;
	case 503:
		return ERR_STORE_UNAVAILABLE;
	case 504:
		return ERR_TIMEOUT;
	case 507:
		return ERR_DISK_FULL;
	default:
		return ERR_INTERNAL;
	}
}

static enum err_code
code_of(const struct json *j, long status)
{
	const char *type = json_str(j, "type", "");
	const char *word = json_str(j, "code", NULL);
	size_t i;

	/* An operation as it is tells its own error. */
	if (word != NULL && err_from_wire(word) != ERR_INTERNAL)
		return err_from_wire(word);
	if (str_starts(type, URN))
		for (i = 0; i < countof(urns); i++)
			if (strcmp(type + strlen(URN), urns[i].urn) == 0)
				return urns[i].code;
	return code_of_status(status);
}

int
http_problem(const struct http_call *c, struct err *e)
{
	const struct buf *b = &c->body_in;
	struct json *j = NULL;
	const char *detail;

	if (b->len == 0 ||
	    json_parse(b->data, b->len, PROBLEM_DEPTH, &j, NULL) == -1)
		return err_set(e, code_of_status(c->status), "%s %s: %s",
		    c->method, c->path, http_status_text(c->status));
	detail = json_str(
	    j, "detail", json_str(j, "message", json_str(j, "title", "")));
	(void)err_set(e, code_of(j, c->status), "%s",
	    *detail == '\0' ? http_status_text(c->status) : detail);
	json_free(j);
	return -1;
}
