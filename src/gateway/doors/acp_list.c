/*
 * GET /v1/acp: the servers of a sandbox, as the store knows them. Runs in
 * sandboxd-gateway.
 */
#include "gateway/doors/acp.h"

#include "gateway/doors/list.h"
#include "gateway/doors/sessions.h"
#include "lib/xalloc.h"

#include <string.h>

struct servers {
	char prefix[SESSION_ID_MAX + 1];
	char id[SESSION_ID_MAX + 1]; /* of the last entry */
};

/* -1: its record is damaged. */
static int
server_write(struct jw *w, const struct servers *l, const struct db_session *s)
{
	struct json *rec;

	if (json_parse(s->record, s->record_len, RECORD_DEPTH, &rec, NULL) ==
	    -1)
		return -1;
	jw_object(w);
	jw_kstr(w, "serverId", l->id + strlen(l->prefix));
	jw_kstr(w, "agent", json_str(rec, "agent", ""));
	jw_kint(w, "createdAtMs", json_int(rec, "created_at", 0));
	jw_object_end(w);
	json_free(rec);
	return 1;
}

static int
servers_next(struct req *r, void *at, struct jw *w)
{
	struct servers *l = at;
	struct db_session s;

	while (db_session_below(r->gw->db, l->prefix, l->id, &s)) {
		if (!acp_ended(&s))
			return server_write(w, l, &s);
	}
	return 0;
}

static void
servers_rewind(void *at)
{
	struct servers *l = at;

	l->id[0] = '\0';
}

void
route_acp_list(struct req *r)
{
	static const struct list_kind kind = { "servers", servers_next,
		servers_rewind, free };
	struct servers *l = xcalloc(1, sizeof(*l));

	acp_prefix(l->prefix, r->sandbox);
	list_reply(r, &kind, l);
}

/* --- for whoever tells of agents ----------------------------------------- */

void
acp_each(struct gateway *gw, const char *sandbox,
    void (*each)(void *ctx, const char *agent, int64_t created_ms), void *ctx)
{
	char prefix[SESSION_ID_MAX + 1], id[SESSION_ID_MAX + 1] = "";
	struct db_session s;
	struct json *rec;

	acp_prefix(prefix, sandbox);
	if (db_begin(gw->db, NULL) == -1)
		return;
	while (db_session_below(gw->db, prefix, id, &s)) {
		if (acp_ended(&s) || json_parse(s.record, s.record_len,
					 RECORD_DEPTH, &rec, NULL) == -1)
			continue;
		each(ctx, json_str(rec, "agent", ""),
		    json_int(rec, "created_at", INT64_MAX));
		json_free(rec);
	}
	db_end(gw->db);
}
