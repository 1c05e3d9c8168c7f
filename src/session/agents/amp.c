/*
 * The adapter of Amp: its process, its turn, and how both end. Runs in the
 * session worker. Amp works with a service of its own only. It is started for
 * each message and goes on with the conversation by its thread; it gets exactly
 * the environment of the session. What it prints is hostile input and is read
 * in amp_read.c.
 *
 * Amp asks nobody for leave: what its rules do not allow it does not do, and
 * with the mode bypass it does all.
 */
#include "session/agents/amp.h"

#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/tools.h"
#include <signal.h>
#include <string.h>
#include <strings.h>

#define ARGV_MAX 300
#define FIRST_LINE_S 120.0 /* it gives its service 30 s, several times */
#define FAREWELL_S 10.0	   /* to leave by itself after its last line */
#define INTERRUPT_S 2.0	   /* to end upon INT */
#define CONFIG_MAX (4u << 20)

static const char *const places[] = { ".agents/skills", NULL };

static void begin(struct amp *m);

/* --- MCP servers ---------------------------------------------------------- */

static void
write_server(struct agent *a, const struct mcp_server *s, void *ctx)
{
	struct jw *w = ctx;
	char **arg = s->argv;

	(void)a;
	jw_key(w, s->name);
	jw_object(w);
	if (arg != NULL) {
		jw_kstr(w, "command", *arg++);
		jw_key(w, "args");
		jw_array(w);
		for (; *arg != NULL; arg++)
			jw_str(w, *arg);
		jw_array_end(w);
		if (s->env != NULL)
			jw_kvalue(w, "env", s->env);
	} else {
		jw_kstr(w, "url", s->url);
		if (s->headers != NULL)
			jw_kvalue(w, "headers", s->headers);
	}
	jw_object_end(w);
}

/* A memory file with the servers, or -1 when there are none: what they are
 * told is no business of who reads arguments. */
static int
servers_fd(struct agent *a)
{
	struct buf b;
	struct err e;
	struct jw w;
	int fd = -1;

	buf_init(&b, CONFIG_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	tools_mcp(a, MCP_CWD_WRAPPED, write_server, &w);
	jw_object_end(&w);
	if (b.failed)
		uni_error(a->out, FROM_DAEMON, "invalid_config",
		    "the MCP servers' configuration is too long", NULL);
	else if (b.len > 2 &&
		 fd_sealed("mcp.json", b.data, b.len, &fd, &e) == -1)
		uni_error(a->out, FROM_DAEMON, "invalid_config", e.text, NULL);
	buf_free(&b);
	return fd;
}

/* --- settings ------------------------------------------------------------- */

static int
check(const struct agent_settings *set, struct err *e)
{
	const char *mode = set->permission_mode;

	if (mode != NULL && strcmp(mode, "default") != 0 &&
	    strcmp(mode, "bypass") != 0)
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "amp has no permission mode %s", mode);
	if (set->agent_mode != NULL && strcmp(set->agent_mode, "build") != 0)
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "amp has no agent mode %s", set->agent_mode);
	if (set->thought_level != NULL &&
	    strcmp(set->thought_level, "default") != 0)
		return err_set(
		    e, ERR_MODE_NOT_SUPPORTED, "amp has no thought levels");
	if (set->model != NULL && !agent_word_ok(set->model))
		return err_set(e, ERR_BAD_REQUEST, "not a model's name");
	return 0;
}

static int
amp_configure(struct agent *a, const struct agent_settings *set, struct err *e)
{
	(void)a; /* the next process is started with it */
	return check(set, e);
}

/* --- its end -------------------------------------------------------------- */

void
amp_turn_over(struct amp *m, const char *reason, const char *more)
{
	ev_timer_stop(m->a.loop, &m->first);
	uni_raw(m->a.out, NULL, 0);
	m->working = false;
	if (m->proc != NULL)
		ladder_climb(&m->ladder, m->proc, RUNG_TERM, FAREWELL_S);
	if (m->context > 0)
		agent_usage(&m->a, m->context, 0);
	agent_turn_ended(
	    &m->a, agent_cancelling(&m->a) ? "cancelled" : reason, more);
}

void
amp_wants_login(struct amp *m)
{
	m->login = true;
	if (m->proc != NULL)
		process_signal(m->proc, SIGKILL, true);
}

static void
on_first(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct amp *m = w->data;

	(void)loop, (void)revents;
	m->silent = true;
	if (m->proc != NULL)
		process_signal(m->proc, SIGKILL, true);
}

/* The line of stderr that says what is wrong: what follows it is advice. The
 * caller's; NULL: there is none. */
static char *
complaint(struct process *p)
{
	static const char mark[] = "Error: ";
	struct json *tree = NULL;
	char *text = NULL;
	const char *head;
	struct buf b;
	struct jw w;

	buf_init(&b, 64u << 10);
	jw_init(&w, &b);
	jw_object(&w);
	process_describe(p, &w);
	jw_object_end(&w);
	if (!b.failed &&
	    json_parse(b.data, b.len, JSON_DEPTH_CONTROL, &tree, NULL) == 0) {
		head = json_str(json_get(tree, "stderr"), "head", "");
		head = strstr(head, mark) != NULL
			   ? strstr(head, mark) + sizeof(mark) - 1
			   : head + strspn(head, " \t\r\n");
		if (*head != '\0')
			text = xstrndup(head, strcspn(head, "\r\n"));
	}
	json_free(tree);
	buf_free(&b);
	return text;
}

/* It knows no such thread. */
static bool
is_lost(const struct amp *m, const char *said)
{
	static const char *const words[] = { "not found", "not-found",
		"does not exist", "unknown", "invalid", "no such" };
	size_t i;

	if (!m->resumed || m->spoke || said == NULL ||
	    strcasestr(said, "thread") == NULL)
		return false;
	for (i = 0; i < countof(words); i++)
		if (strcasestr(said, words[i]) != NULL)
			return true;
	return false;
}

/* What it knew is gone. That must be seen, once the message is sent again. */
static void
lose(struct amp *m, const char *said)
{
	const char *native = m->a.out->native_session;

	free(m->lost);
	m->lost = xasprintf("amp cannot go on with thread %s (%.300s); it "
			    "starts anew, with what was said before",
	    native != NULL ? native : "?", said);
	agent_native_id(&m->a, NULL);
	agent_forgot(&m->a);
}

static void
log_failure(struct amp *m, struct process *p, const struct err *failed,
    const char *said)
{
	const char *code = NULL;

	if (m->login) {
		uni_error(m->a.out, FROM_AGENT, "auth_required",
		    "amp is not logged in: AMP_API_KEY is not in the session's "
		    "environment",
		    NULL);
		return;
	}
	if (m->silent) {
		uni_error(m->a.out, FROM_DAEMON, "timeout",
		    "amp said nothing for two minutes and was ended", NULL);
		return;
	}
	if (failed == NULL && said != NULL && !m->spoke) {
		if (strcasestr(said, "api key") != NULL ||
		    strcasestr(said, "log in") != NULL ||
		    strcasestr(said, "login") != NULL)
			code = "auth_required";
		else if (strcasestr(said, "connect") != NULL ||
			 strcasestr(said, "reach") != NULL ||
			 strcasestr(said, "offline") != NULL)
			code = "service_unavailable";
	}
	if (code != NULL)
		uni_error(m->a.out, FROM_AGENT, code, said, NULL);
	else
		program_log_death(&m->a, "amp", p, failed);
}

/* The process is gone in the middle of its turn. */
static void
turn_broken(struct amp *m, struct process *p, const struct err *failed)
{
	autofree char *said = failed == NULL ? complaint(p) : NULL;
	bool fine = failed == NULL && process_exit_code(p) == 0 && m->said;

	m->working = false;
	if (agent_cancelling(&m->a)) {
		agent_turn_ended(&m->a, "cancelled", NULL);
		return;
	}
	if (is_lost(m, said)) {
		lose(m, said);
		return;
	}
	if (!fine && m->error == NULL)
		log_failure(m, p, failed, said);
	agent_turn_ended(
	    &m->a, fine && m->error == NULL ? "end_turn" : "error", NULL);
}

static void
on_exited(struct process *p, const struct err *failed, void *ctx)
{
	struct amp *m = ctx;

	ladder_stop(&m->ladder);
	ev_timer_stop(m->a.loop, &m->first);
	m->proc = NULL;
	if (m->stopping)
		agent_stopped(&m->a);
	else if (m->working)
		turn_broken(m, p, failed);
	else if (m->held != NULL)
		begin(m);
	process_free(p);
}

/* --- its beginning -------------------------------------------------------- */

static void
on_line(
    struct process *p, const char *line, size_t len, size_t total, void *ctx)
{
	struct amp *m = ctx;

	(void)p;
	if (!m->stopping && m->working && !m->login)
		amp_read(m, line, len, total);
}

static size_t
flags(struct amp *m, const char **argv, bool servers)
{
	const struct agent_conf *conf = m->a.conf;
	const char *model = conf->model;
	size_t n = 0;

	if (m->resumed) {
		argv[n++] = "threads";
		argv[n++] = "continue";
		argv[n++] = m->a.out->native_session;
	}
	argv[n++] = "--execute";
	argv[n++] = "--stream-json";
	argv[n++] = "--stream-json-input";
	argv[n++] = "--stream-json-thinking";
	if (!m->resumed)
		argv[n++] = "--no-archive-after-execute";
	if (strcmp(conf->permission_mode, "bypass") == 0)
		argv[n++] = "--dangerously-allow-all";
	/* What amp lets one choose is how it works, not a model by its name. */
	if (model != NULL && strcmp(model, "default") != 0 &&
	    strcmp(model, "amp-default") != 0) {
		argv[n++] = "--mode";
		argv[n++] = model;
	}
	if (servers) {
		argv[n++] = "--mcp-config";
		argv[n++] = PROCESS_PASSED;
	}
	return n;
}

static int
start(struct amp *m, struct err *e)
{
	static const struct process_ops ops = { .line = on_line,
		.exited = on_exited };
	const struct agent_conf *conf = m->a.conf;
	const char *native = m->a.out->native_session;
	const char *argv[ARGV_MAX] = { NULL };
	struct process_spec spec = { .env = conf->env,
		.directory = conf->directory };
	autofree char *line = STEAL(m->held);
	autofd int tools_fd = servers_fd(&m->a);
	size_t n;

	m->resumed = native != NULL && agent_word_ok(native);
	m->spoke = m->login = m->silent = false;
	if (program_command(conf, "amp", argv, ARGV_MAX - 20, &n, e) == -1)
		return -1;
	n += flags(m, argv + n, tools_fd != -1);
	argv[n] = NULL;
	if (tools_fd != -1)
		spec.pass_fd = &tools_fd;
	/* execve does not write to the strings; its type is older than const */
	spec.argv = (char *const *)(uintptr_t)argv;
	if (process_start(m->a.loop, &spec, &ops, m, &m->proc, e) == -1) {
		m->proc = NULL;
		return -1;
	}
	process_pause(m->proc, m->paused);
	m->working = true;
	ev_timer_set(&m->first, FIRST_LINE_S, 0.);
	ev_timer_start(m->a.loop, &m->first);
	if (process_write(m->proc, line, strlen(line)) == -1)
		return err_set(e, ERR_LIMIT, "amp does not read its message");
	process_finish_input(m->proc);
	return 0;
}

static void
start_or_fail(struct amp *m)
{
	struct err e;

	if (start(m, &e) == -1) {
		m->working = false;
		program_fail_turn(&m->a, &e);
	}
}

static void
on_skills(struct agent *a)
{
	struct amp *m = (struct amp *)a;

	skills_free(STEAL(m->skills));
	start_or_fail(m);
}

/* Start a process for the message that is held, skills first. */
static void
begin(struct amp *m)
{
	m->skills = skills_prepare(&m->a, places, on_skills);
	if (m->skills == NULL)
		start_or_fail(m);
}

/* --- turns ---------------------------------------------------------------- */

/* {"type":"user","message":{"role":"user","content":[{"type":"text",…}]}} */
static char *
message_line(const struct agent_message *msg)
{
	autofree char *text = agent_message_flat(msg, false);
	struct buf b;
	struct jw w;

	buf_init(&b, STDIN_BYTES_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "type", "user");
	jw_key(&w, "message");
	jw_object(&w);
	jw_kstr(&w, "role", "user");
	jw_key(&w, "content");
	jw_array(&w);
	jw_object(&w);
	jw_kstr(&w, "type", "text");
	jw_kstr(&w, "text", text);
	jw_object_end(&w);
	jw_array_end(&w);
	jw_object_end(&w);
	jw_object_end(&w);
	(void)buf_addc(&b, '\n');
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

static void
forget_message(struct amp *m)
{
	free(STEAL(m->held));
	skills_free(STEAL(m->skills));
}

static int
amp_prompt(struct agent *a, uint64_t number, const struct agent_message *msg,
    struct err *e)
{
	struct amp *m = (struct amp *)a;

	(void)number;
	if (m->lost != NULL)
		uni_status(a->out, "resume_failed", m->lost);
	free(STEAL(m->lost));
	free(STEAL(m->error));
	m->said = false;
	m->context = 0;
	forget_message(m);
	m->held = message_line(msg);
	if (m->held == NULL)
		return err_set(e, ERR_TOO_LARGE, "the message is too long");
	if (m->proc == NULL) /* else the last one is still leaving */
		begin(m);
	return 0;
}

static int
amp_cancel(struct agent *a, struct err *e)
{
	struct amp *m = (struct amp *)a;

	(void)e;
	if (m->held != NULL || m->proc == NULL) {
		forget_message(m);
		agent_turn_ended(a, "cancelled", NULL);
		return 0;
	}
	process_signal(m->proc, SIGINT, false);
	ladder_climb(&m->ladder, m->proc, RUNG_TERM, INTERRUPT_S);
	return 0;
}

/* --- life ----------------------------------------------------------------- */

static int
amp_open(struct agent *a, bool fresh, struct err *e)
{
	struct amp *m = (struct amp *)a;
	const struct agent_conf *conf = a->conf;
	const struct agent_settings all = { conf->model, conf->permission_mode,
		conf->agent_mode, conf->thought_level };
	autofree char *path = NULL;

	ladder_init(&m->ladder, a->loop, "amp");
	ev_timer_init(&m->first, on_first, 0., 0.);
	m->first.data = m;
	if (check(&all, e) == -1)
		return -1;
	/* A new session without its program is refused; one that goes on says
	 * so in the turn that needs it. */
	return fresh ? process_find(
			   conf->command != NULL ? conf->command[0] : "amp",
			   conf->env, &path, e)
		     : 0;
}

static void
amp_pause(struct agent *a, bool on)
{
	struct amp *m = (struct amp *)a;

	m->paused = on;
	if (m->proc != NULL)
		process_pause(m->proc, on);
}

static void
amp_stop(struct agent *a)
{
	struct amp *m = (struct amp *)a;

	m->stopping = true;
	forget_message(m);
	ev_timer_stop(a->loop, &m->first);
	if (m->proc == NULL) {
		agent_stopped(a);
		return;
	}
	/* Nothing is read any more, so that nothing is left to be held up. */
	process_pause(m->proc, false);
	process_signal(m->proc, SIGTERM, true);
	ladder_climb(&m->ladder, m->proc, RUNG_KILL, 1.0);
}

static void
amp_close(struct agent *a)
{
	struct amp *m = (struct amp *)a;

	ladder_stop(&m->ladder);
	if (m->first.data != NULL) /* it was opened */
		ev_timer_stop(a->loop, &m->first);
	process_free(STEAL(m->proc));
	forget_message(m);
	free(STEAL(m->lost));
	free(STEAL(m->error));
}

const struct agent_ops agent_amp = {
	.name = "amp",
	.size = sizeof(struct amp),
	.open = amp_open,
	.prompt = amp_prompt,
	.cancel = amp_cancel,
	.configure = amp_configure,
	.pause = amp_pause,
	.stop = amp_stop,
	.close = amp_close,
};
