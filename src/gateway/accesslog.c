/*
 * The access log: what was asked and what came of it, never what was in it.
 * Runs in sandboxd-gateway. Lines go to the supervisor through our channel,
 * which must not fill up: beyond so many a second they are only counted.
 */
#include "gateway/accesslog.h"
#include "gateway/req_priv.h"
#include "lib/log.h"

#define LINES_PER_S 2000

static struct {
	bool on;
	int64_t second;
	unsigned lines, left_out;
} state;

void
accesslog_open(bool on)
{
	state.on = on;
}

void
accesslog_write(const struct hreq *q, double seconds)
{
	int64_t now;

	if (!state.on)
		return;
	now = http_now(q->r.gw->http) / 1000;
	if (now != state.second) {
		if (state.left_out > 0)
			log_info("access", "requests were not logged",
			    LOG_INT("count", state.left_out));
		state.second = now;
		state.lines = state.left_out = 0;
	}
	/* Nor when the supervisor is slow to read them. */
	if (state.lines++ >= LINES_PER_S ||
	    chan_queued(q->r.gw->super) > 65536) {
		state.left_out++;
		return;
	}
	/* The query may hold a token: it is left out. */
	log_info("access", q->r.method_name != NULL ? q->r.method_name : "-",
	    LOG_STR("path", q->r.path), LOG_INT("status", q->status),
	    LOG_INT("bytes", q->sent), LOG_INT("us", seconds * 1e6),
	    LOG_STR("peer", req_peer(&q->r)), LOG_STR("token", q->caller));
}
