/*
 * One app-server for several sessions: lines of hostile sessions and of a
 * hostile server. Whoever has gone is told nothing; what is told is whole JSON,
 * unless it came from the server as it is; an answer that a session gets is to
 * what it has asked and has not been answered; and nothing grows without end.
 *
 * Input: lines. The first byte of each says who: `1` to `4` a session, `s` the
 * server, `-` and one of those digits: it leaves. The rest is what it says;
 * `@` is the number of the call that was sent to the server last.
 *
 * Also: src/session/agents/codex_route.c
 * Also: src/session/agents/codex_route_server.c
 * Also: src/session/agents/codex_route_state.c
 */
#include "fuzz.h"
#include "session/agents/codex_route.h"

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agent_process.h"
#include <string.h>

#define INPUT_MAX (64u << 10)
#define SESSIONS 4
#define TOLD_MAX 4096 /* lines that one line may be the cause of */

struct stage {
	bool here[SESSIONS + 1];
	unsigned owed[SESSIONS + 1]; /* requests without an answer */
	bool from_server;	     /* who speaks */
	int64_t last;		     /* call's number */
	unsigned told;
};

static void
to_client(void *ctx, unsigned client, const char *line, size_t len)
{
	struct stage *s = ctx;
	struct json *m = NULL;

	CHECK(++s->told <= TOLD_MAX);
	CHECK(client <= SESSIONS);
	CHECK(client == 0 || s->here[client]);
	CHECK(client != 0 || s->from_server);
	if (client == 0)
		return;
	CHECK(json_parse(line, len, JSON_DEPTH_AGENT, &m, NULL) == 0);
	if (json_get(m, "method") == NULL && json_get(m, "id") != NULL) {
		CHECK(s->owed[client] > 0);
		s->owed[client]--;
	}
	json_free(m);
}

static int
to_server(void *ctx, const char *line, size_t len)
{
	struct stage *s = ctx;
	struct json *m = NULL;

	CHECK(++s->told <= TOLD_MAX);
	CHECK(memchr(line, '\n', len) == NULL);
	CHECK(json_parse(line, len, JSON_DEPTH_AGENT, &m, NULL) == 0);
	if (json_str(m, "method", NULL) != NULL && json_int(m, "id", 0) > 0)
		s->last = json_int(m, "id", 0);
	json_free(m);
	return 0;
}

/* Does the session wait for an answer to this? */
static bool
asks(const char *line, size_t len)
{
	struct json *m = NULL;
	autofree char *id = NULL;
	bool rc;

	if (json_parse(line, len, JSON_DEPTH_AGENT, &m, NULL) == -1)
		return false;
	id = json_text(json_get(m, "id"), ROUTE_ID_MAX);
	rc = id != NULL && json_str(m, "method", NULL) != NULL;
	json_free(m);
	return rc;
}

static void
session_says(struct stage *s, struct route *r, unsigned who, const char *line,
    size_t len)
{
	struct err e;

	s->here[who] = true;
	s->owed[who] += asks(line, len) ? 1 : 0;
	if (route_from_client(r, who, line, len, &e) == 0)
		return;
	CHECK(e.code != ERR_NONE && e.text[0] != '\0');
	route_leave(r, who);
	s->here[who] = false;
	s->owed[who] = 0;
}

static void
play(struct stage *s, struct route *r, const char *line, size_t len)
{
	char number[DECIMAL_MAX + 1];
	struct buf said;
	size_t i;

	if (len == 0)
		return;
	s->told = 0;
	s->from_server = line[0] == 's';
	if (line[0] == '-' && len > 1 && line[1] >= '1' && line[1] <= '4') {
		route_leave(r, (unsigned)(line[1] - '0'));
		s->here[line[1] - '0'] = false;
		s->owed[line[1] - '0'] = 0;
		return;
	}
	number[str_decimal(number, (uint64_t)s->last)] = '\0';
	buf_init(&said, 2 * INPUT_MAX);
	for (i = 1; i < len; i++)
		(void)(line[i] == '@' ? buf_adds(&said, number)
				      : buf_addc(&said, line[i]));
	/* A text, as what comes from a pipe is. */
	if (!said.failed && said.len > 0 &&
	    memchr(said.data, '\0', said.len) == NULL) {
		if (s->from_server)
			route_from_server(r, said.data, said.len, said.len);
		else if (line[0] >= '1' && line[0] <= '4')
			session_says(s, r, (unsigned)(line[0] - '0'), said.data,
			    said.len);
	}
	buf_free(&said);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct route_ops ops = { .to_client = to_client,
		.to_server = to_server };
	struct stage s = { .last = 0 };
	struct route *r;
	const char *at = (const char *)data, *end = at + size, *nl;
	unsigned i;

	if (size > INPUT_MAX)
		return 0;
	r = route_new(&ops, &s);
	for (; at < end; at = nl + 1) {
		nl = memchr(at, '\n', (size_t)(end - at));
		if (nl == NULL)
			nl = end;
		play(&s, r, at, (size_t)(nl - at));
		for (i = 1; i <= SESSIONS; i++)
			CHECK(s.owed[i] <= ROUTE_CALLS_MAX);
		if (nl == end)
			break;
	}
	route_free(r);
	return 0;
}
