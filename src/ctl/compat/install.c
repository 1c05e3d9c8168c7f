/*
 * `sandbox-agent install-agent`: asks a sandboxd of this user to install an
 * agent, over its control socket. One that runs is asked; without one, the one
 * that `server` would start without further words is started for this, serves
 * nobody else, and ends. Runs as the caller.
 */
#include "ctl/compat/background.h"
#include "ctl/compat/compat.h"
#include "ctl/client.h"
#include "ctl/spread.h"
#include "ctl/text.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define AGENTS_MAX 64

struct install {
	struct ctl *ctl;
	const struct args *a;
	struct server server; /* ours, when PID is not 0 */
	pid_t pid;
};

/* --- whom to ask --------------------------------------------------------- */

static int
use(struct install *in, const char *socket_path, struct err *e)
{
	if (str_copy(in->ctl->socket, sizeof(in->ctl->socket), socket_path) ==
	    -1)
		return err_set(e, ERR_SYSTEM, "the socket's path is too long");
	return 0;
}

/* Any server of this user that runs, by its directory's name: ADDRESS-PORT.
 * The name of its run directory follows from address and port; where the
 * address cannot be told from the name it is not found, and asked for nothing.
 */
static bool
find_server(struct install *in)
{
	char dir[PATH_MAX], data[PATH_MAX], host[PLACE_KEY_MAX];
	struct place p;
	struct dirent *d;
	bool found = false;
	DIR *all;

	if (place_data(data, NULL) == -1 ||
	    str_format(dir, sizeof(dir), "%s/servers", data) == -1)
		return false;
	all = opendir(dir);
	while (all != NULL && !found && (d = readdir(all)) != NULL) {
		char *dash = strrchr(d->d_name, '-');
		int64_t port;

		if (dash == NULL || dash == d->d_name ||
		    str_to_int(dash + 1, 1, 65535, &port) == -1 ||
		    str_format(host, sizeof(host), "%.*s",
			(int)(dash - d->d_name), d->d_name) == -1)
			continue;
		found = place_find(&p, host, (int)port, NULL) == 0 &&
			place_owner(&p) != 0 && place_answers(p.socket) &&
			use(in, p.socket, NULL) == 0;
	}
	if (all != NULL)
		(void)closedir(all);
	return found;
}

static int
start_own(struct install *in, struct err *e)
{
	struct server *s = &in->server;

	/* Where `server` will look for what is installed here. */
	server_init(s, NULL, NULL, COMPAT_PORT);
	if (server_open(s, e) == -1 || server_check(s, e) == -1)
		return -1;
	s->log_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (s->log_fd == -1)
		return err_sys(e, "open the log");
	if (background_start(s, &in->pid, e) == -1)
		return -1;
	return use(in, s->place.socket, e);
}

static int
find_daemon(struct install *in, struct err *e)
{
	const char *told = getenv("SANDBOXD_SOCKET");

	if (told != NULL && *told != '\0')
		return use(in, told, e);
	if (find_server(in))
		return 0;
	return start_own(in, e);
}

/* --- asking -------------------------------------------------------------- */

static void
show_progress(const struct ctl *ctl, const struct json *item)
{
	int64_t done = json_int(item, "done", 0);
	int64_t total = json_int(item, "total", 0);
	char bytes[BYTES_TEXT_MAX];
	char percent[16] = "";
	struct buf b;

	text_bytes(bytes, done);
	if (total > 0)
		(void)snprintf(percent, sizeof(percent), " (%d %%)",
		    (int)(100.0 * (double)done / (double)total));
	buf_init(&b, 8192);
	(void)buf_addf(&b, "%s %s", json_str(item, "stage", "?"),
	    json_str(item, "what", ""));
	if (done > 0)
		(void)buf_addf(&b, ": %s%s", bytes, percent);
	if (!b.failed)
		ctl_note(ctl, "%s", b.data);
	buf_free(&b);
}

static int
wait_installed(struct client *c, struct answer *out, struct err *e)
{
	enum client_got got;

	for (;;) {
		if (client_line(c, -1, &got, out, e) == -1)
			return -1;
		if (got == CLIENT_EOF)
			return err_set(e, ERR_SYSTEM,
			    "the server hung up without an answer");
		if (got != CLIENT_GOT)
			continue;
		if (out->kind == ANSWER_OK)
			return 0;
		if (out->kind == ANSWER_ITEM)
			show_progress(c->ctl, out->body);
		else
			(void)answer_error(c->ctl, out, e);
		if (out->kind == ANSWER_ERROR) {
			answer_free(out);
			return -1;
		}
		answer_free(out);
	}
}

static int
install_one(
    struct install *in, const char *agent, struct answer *out, struct err *e)
{
	const char *version = args_str(in->a, "agent-version", NULL);
	struct client c;
	struct jw *w;
	int r;

	client_init(&c, in->ctl);
	w = client_begin(&c, "agent.install");
	jw_kstr(w, "id", agent);
	if (version != NULL)
		jw_kstr(w, "version", version);
	jw_kbool(w, "reinstall", args_has(in->a, "reinstall"));
	jw_kbool(w, "progress", true);
	r = client_send(&c, NULL, 0, e);
	if (r == 0)
		r = wait_installed(&c, out, e);
	client_close(&c);
	if (r == -1 && e->code == ERR_AGENT_UNKNOWN)
		return err_set(
		    e, ERR_AGENT_UNKNOWN, "unsupported agent: %.64s", agent);
	return r;
}

/* One of "artifacts", as that program's scripts know it. */
static void
write_artifact(struct jw *w, const struct json *ok)
{
	bool builtin = json_bool(ok, "builtin", false);

	jw_object(w);
	jw_kstr(w, "kind", builtin ? "AgentProcess" : "NativeAgent");
	jw_kstr(w, "path", builtin ? "builtin" : json_str(ok, "path", ""));
	jw_kstr(w, "source", builtin ? "Builtin" : "Registry");
	jw_kstr(w, "version", json_str(ok, "version", ""));
	jw_object_end(w);
}

/* What is built in is there always, and installed as often as asked. */
static bool
is_new(const struct install *in, const struct json *ok)
{
	if (json_bool(ok, "builtin", false))
		return args_has(in->a, "reinstall");
	return !json_bool(ok, "already", false);
}

static int
install_each(struct install *in, char *const *agents, size_t n, struct jw *w,
    struct err *e)
{
	struct answer ans[AGENTS_MAX] = { 0 };
	bool already = true;
	size_t done;
	int r = 0;

	for (done = 0; done < n && r == 0; done++) {
		r = install_one(in, agents[done], &ans[done], e);
		if (r == 0 && is_new(in, ans[done].body))
			already = false;
	}
	jw_object(w);
	jw_kbool(w, "alreadyInstalled", already);
	jw_key(w, "artifacts");
	jw_array(w);
	for (size_t i = 0; i < done; i++) {
		if (ans[i].body != NULL && is_new(in, ans[i].body))
			write_artifact(w, ans[i].body);
		answer_free(&ans[i]);
	}
	jw_array_end(w);
	jw_object_end(w);
	return r;
}

/* Those that can be installed. */
static int
list_agents(struct install *in, char **agents, size_t *n_out, struct err *e)
{
	struct answer ans;
	size_t n = 0;

	if (client_ask(in->ctl, "agent.list", NULL, &ans, e) == -1)
		return -1;
	json_foreach (x, json_get(ans.body, "agents")) {
		const char *id = json_str(x, "id", NULL);

		if (id != NULL && n < AGENTS_MAX &&
		    (json_bool(x, "installable", false) ||
			strcmp(id, "mock") == 0))
			agents[n++] = xstrdup(id);
	}
	answer_free(&ans);
	*n_out = n;
	return 0;
}

/* --- the command --------------------------------------------------------- */

static int
install(struct install *in, struct buf *b, struct err *e)
{
	char *agents[AGENTS_MAX] = { NULL };
	size_t n = 0;
	struct jw w;
	int r = 0;

	if (find_daemon(in, e) == -1)
		return -1;
	jw_init(&w, b);
	if (!args_has(in->a, "all"))
		agents[n++] = xstrdup(in->a->operands[0]);
	else
		r = list_agents(in, agents, &n, e);
	if (r == 0)
		r = install_each(in, agents, n, &w, e);
	for (size_t i = 0; i < n; i++)
		free(agents[i]);
	return r;
}

static int
check_use(const struct args *a, bool *misuse_out, struct err *e)
{
	bool all = args_has(a, "all");

	*misuse_out = true;
	if (!all && a->noperands == 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "the following required arguments were not provided: "
		    "<AGENT>");
	if (all && a->noperands > 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "the argument '[AGENT]' cannot be used with '--all'");
	*misuse_out = false;
	if (all && (args_has(a, "agent-version") ||
		       args_has(a, "agent-process-version")))
		return err_set(e, ERR_DENIED,
		    "--agent-version and --agent-process-version are only "
		    "supported for single-agent installs");
	return 0;
}

static int
run_install_agent(struct ctl *ctl, const struct args *a)
{
	struct install in = { .ctl = ctl, .a = a };
	bool misuse;
	struct err e, ignored;
	struct buf b;
	int r;

	if (check_use(a, &misuse, &e) == -1)
		return misuse ? ctl_misuse(ctl, &e) : ctl_fail(ctl, &e);
	server_init(&in.server, NULL, NULL, COMPAT_PORT);
	buf_init(&b, 1u << 20);
	r = install(&in, &b, &e);
	if (in.pid != 0)
		(void)background_stop(&in.server.place, in.pid, &ignored);
	server_free(&in.server);
	if (r == 0 && !b.failed)
		(void)spread_text(stdout, b.data, b.len, false);
	buf_free(&b);
	return r == 0 ? EXIT_OK : ctl_fail(ctl, &e);
}

static const struct opt_def install_opts[] = {
	{ "all", '\0', NULL, "All agents that can be installed." },
	{ "reinstall", 'r', NULL, "Also what is there already." },
	{ "agent-version", '\0', "VERSION", "This version." },
	{ "agent-process-version", '\0', "VERSION",
	    "Taken; ours need no process of their own beside the agent." },
};

const struct command compat_install_agent = {
	.name = "install-agent",
	.operands = "[AGENT]",
	.help = "Install an agent, or all.",
	COMMAND_OPTS(install_opts),
	.max = 1,
	.run = run_install_agent,
};
