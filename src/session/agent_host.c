/*
 * What adapters tell, handed to the host of their agent; see agent_host.h.
 * Runs in the session worker. A host may leave out what does not concern it.
 */
#include "session/agent_host.h"

#include "lib/xalloc.h"

struct agent *
agent_new(const struct agent_ops *ops, const struct agent_host *host,
    void *data, struct session *session, const struct agent_conf *conf,
    struct universal *out, struct ev_loop *loop)
{
	struct agent *a = xcalloc(1, ops->size);

	a->ops = ops;
	a->host = host;
	a->host_data = data;
	a->session = session;
	a->conf = conf;
	a->out = out;
	a->loop = loop;
	return a;
}

void
agent_native_id(struct agent *a, const char *id)
{
	if (a->host->native_id != NULL)
		a->host->native_id(a, id);
}

void
agent_turn_begun(struct agent *a)
{
	if (a->host->turn_begun != NULL)
		a->host->turn_begun(a);
}

bool
agent_turn_open(const struct agent *a)
{
	return a->host->turn_open != NULL && a->host->turn_open(a);
}

bool
agent_cancelling(const struct agent *a)
{
	return a->host->cancelling != NULL && a->host->cancelling(a);
}

void
agent_turn_ended(struct agent *a, const char *stop_reason, const char *more)
{
	if (a->host->turn_ended != NULL)
		a->host->turn_ended(a, stop_reason, more);
}

void
agent_turn_parked(struct agent *a)
{
	if (a->host->turn_parked != NULL)
		a->host->turn_parked(a);
}

void
agent_mode_changed(struct agent *a, const char *permission_mode)
{
	if (a->host->mode_changed != NULL)
		a->host->mode_changed(a, permission_mode);
}

void
agent_forgot(struct agent *a)
{
	if (a->host->forgot != NULL)
		a->host->forgot(a);
}

void
agent_options(struct agent *a, const char *json)
{
	if (a->host->options != NULL)
		a->host->options(a, json);
}

void
agent_failed(struct agent *a, const struct err *e)
{
	if (a->host->failed != NULL)
		a->host->failed(a, e);
}

void
agent_commands(struct agent *a, const char *json)
{
	if (a->host->commands != NULL)
		a->host->commands(a, json);
}

void
agent_usage(struct agent *a, int64_t used, int64_t window)
{
	if (a->host->usage != NULL)
		a->host->usage(a, used, window);
}

bool
agent_settled(const struct agent *a)
{
	return a->host->settled == NULL || a->host->settled(a);
}

void
agent_stopped(struct agent *a)
{
	if (a->host->stopped != NULL)
		a->host->stopped(a);
}

int
agent_ask_permission(
    struct agent *a, const char *id, const char *action, const char *metadata)
{
	return a->host->ask_permission != NULL
		   ? a->host->ask_permission(a, id, action, metadata)
		   : -1;
}

int
agent_ask_question(struct agent *a, const char *id, const char *prompt,
    const char *options, bool multi)
{
	return a->host->ask_question != NULL
		   ? a->host->ask_question(a, id, prompt, options, multi)
		   : -1;
}

void
agent_request_settled(
    struct agent *a, enum origin from, const char *id, const char *response)
{
	if (a->host->request_settled != NULL)
		a->host->request_settled(a, from, id, response);
}
