/*
 * Installing an agent when a session first names it. Runs in the supervisor.
 * The create goes on when the agent is there; whoever asks for the same agent
 * meanwhile waits for the same installation.
 */
#include "supervisor/courier.h"
#include "supervisor/sandboxes.h"
#include "supervisor/session_priv.h"

#include <string.h>

bool
session_agent_may_install(const struct super *s, const struct agent_def *a,
    enum session_kind kind, const struct json *args)
{
	const char *preinstalled = getenv("SANDBOX_AGENT_REQUIRE_PREINSTALL");
	bool on_use = strcmp(s->conf.agent_install, "use") == 0 &&
		      (preinstalled == NULL || strcmp(preinstalled, "1") != 0);

	return s->courier != NULL && a->install != NULL && kind != SK_PROBE &&
	       json_bool(args, "install", on_use);
}

bool
session_may_install(const struct session *ss, const struct json *args)
{
	return ss->command == NULL && !ss->install_tried &&
	       session_agent_may_install(ss->s, ss->agent, ss->kind, args);
}

static void
on_installed(void *ctx, const struct courier_installed *done ATTR_UNUSED,
    const struct err *e)
{
	struct session *ss = ctx;

	ss->installing = NULL;
	if (ss->creating == NULL)
		return;
	if (e != NULL)
		session_create_failed(ss, e);
	else
		session_create_go(ss);
}

void
session_install(struct session *ss)
{
	const struct courier_order order = { .agent = ss->agent->id,
		.recipe = ss->agent->install };

	ss->install_tried = true;
	ss->installing =
	    courier_install(ss->s->courier, &order, NULL, on_installed, ss);
}
