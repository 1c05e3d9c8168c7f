/*
 * The session behind an agent: what answers the agent_*() calls of adapters.
 * There are several kinds of host: a session whose log is of the universal
 * schema (turns.c, asks.c, options.c), one of the sessions of an ACP server
 * (acp/session.c), and a probe (probe.c). agent.h says what each call means.
 */
#ifndef SESSION_AGENT_HOST_H
#define SESSION_AGENT_HOST_H

#include "session/agent.h"

struct agent_host {
	void (*native_id)(struct agent *a, const char *id);
	void (*turn_begun)(struct agent *a);
	bool (*turn_open)(const struct agent *a);
	bool (*cancelling)(const struct agent *a);
	void (*turn_ended)(
	    struct agent *a, const char *stop_reason, const char *more);
	void (*turn_parked)(struct agent *a);
	void (*mode_changed)(struct agent *a, const char *permission_mode);
	void (*forgot)(struct agent *a);
	void (*options)(struct agent *a, const char *json);
	void (*failed)(struct agent *a, const struct err *e);
	void (*commands)(struct agent *a, const char *json);
	void (*usage)(struct agent *a, int64_t used, int64_t window);
	bool (*settled)(const struct agent *a);
	void (*stopped)(struct agent *a);
	int (*ask_permission)(struct agent *a, const char *id,
	    const char *action, const char *metadata);
	int (*ask_question)(struct agent *a, const char *id, const char *prompt,
	    const char *options, bool multi);
	void (*request_settled)(struct agent *a, enum origin from,
	    const char *id, const char *response);
};

/* A new agent, closed, of OPS: HOST answers for it, with DATA for itself; what
 * it emits goes to OUT. After ops->close it is freed with free(). */
struct agent *agent_new(const struct agent_ops *ops,
    const struct agent_host *host, void *data, struct session *session,
    const struct agent_conf *conf, struct universal *out, struct ev_loop *loop);

#endif
