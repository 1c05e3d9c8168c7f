/*
 * The Claude Code adapter: its process, its turns, and how it is stopped. Runs
 * in the session worker. claude is started at the first message and kept from
 * then on; it gets exactly the environment of the session. What it prints is
 * hostile input and is read in claude_read.c.
 *
 * A process that died, or that must be replaced for a new setting, is followed
 * by one that resumes the conversation by its native id.
 */
#include "session/agents/claude.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#define ARGV_MAX 300
#define INTERRUPT_S 2.0 /* for claude to answer an interrupt by its result */
#define RUNG_S 1.0	/* between signals */
#define FAREWELL_S 1.5	/* to leave by itself when its input is closed */

static const struct {
	const char *ours, *theirs;
} modes[] = {
	{ "default", "default" },
	{ "acceptEdits", "acceptEdits" },
	{ "plan", "plan" },
	{ "bypass", "bypassPermissions" },
};

static int start(struct claude *c, struct err *e);

/* --- lines to claude ----------------------------------------------------- */

void
claude_line(struct jw *w, struct buf *b, const char *type)
{
	buf_init(b, STDIN_BYTES_MAX);
	jw_init(w, b);
	jw_object(w);
	jw_kstr(w, "type", type);
}

int
claude_send(struct claude *c, const struct buf *line, struct err *e)
{
	if (c->proc == NULL || c->retiring)
		return err_set(e, ERR_AGENT_FAILED, "claude is not running");
	if (line->failed || process_write(c->proc, line->data, line->len) == -1)
		return err_set(
		    e, ERR_LIMIT, "claude does not read what it is sent");
	return 0;
}

/* {"type":"control_request","request_id":…,"request":{"subtype":…,K:V}} */
static int
control(struct claude *c, const char *subtype, const char *key,
    const char *value, struct err *e)
{
	char id[CLAUDE_ID_MAX];
	struct buf b;
	struct jw w;
	int rc;

	if (str_format(id, sizeof(id), "req_%" PRIu64, ++c->requests) == -1)
		return err_set(e, ERR_INTERNAL, "too many requests");
	claude_line(&w, &b, "control_request");
	jw_kstr(&w, "request_id", id);
	jw_key(&w, "request");
	jw_object(&w);
	jw_kstr(&w, "subtype", subtype);
	if (key != NULL)
		jw_kstr(&w, key, value);
	jw_object_end(&w);
	jw_object_end(&w);
	(void)buf_addc(&b, '\n');
	rc = claude_send(c, &b, e);
	buf_free(&b);
	return rc;
}

static int
send_message(struct claude *c, const char *text, struct err *e)
{
	struct buf b;
	struct jw w;
	int rc;

	claude_line(&w, &b, "user");
	jw_key(&w, "message");
	jw_object(&w);
	jw_kstr(&w, "role", "user");
	jw_kstr(&w, "content", text);
	jw_object_end(&w);
	jw_knull(&w, "parent_tool_use_id");
	jw_kstr(&w, "session_id", "");
	jw_object_end(&w);
	(void)buf_addc(&b, '\n');
	rc = claude_send(c, &b, e);
	buf_free(&b);
	if (rc == 0)
		c->working = true;
	return rc;
}

/* --- settings ------------------------------------------------------------ */

static const char *
native_mode(const struct agent_conf *conf)
{
	size_t i;

	/* Planning may be asked for by either word. */
	if (strcmp(conf->agent_mode, "plan") == 0 &&
	    strcmp(conf->permission_mode, "default") == 0)
		return "plan";
	for (i = 0; i < countof(modes); i++)
		if (strcmp(modes[i].ours, conf->permission_mode) == 0)
			return modes[i].theirs;
	return NULL;
}

static bool
env_has(char *const *env, const char *entry)
{
	for (; *env != NULL; env++)
		if (strcmp(*env, entry) == 0)
			return true;
	return false;
}

static int
check_mode(const struct claude *c, const char *mode, struct err *e)
{
	size_t i;

	for (i = 0; i < countof(modes); i++)
		if (strcmp(modes[i].ours, mode) == 0)
			break;
	if (i == countof(modes))
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "claude has no permission mode %s", mode);
	if (strcmp(mode, "bypass") == 0 && geteuid() == 0 &&
	    !env_has(c->a.conf->env, "IS_SANDBOX=1"))
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "claude refuses bypass as root unless IS_SANDBOX=1 is in "
		    "the session's environment");
	return 0;
}

static int
check_model(const char *model, struct err *e)
{
	if (!agent_word_ok(model))
		return err_set(e, ERR_BAD_REQUEST, "not a model's name");
	return 0;
}

static int
claude_configure(struct agent *a, const char *model,
    const char *permission_mode, struct err *e)
{
	struct claude *c = (struct claude *)a;
	bool running = c->proc != NULL && !c->retiring;
	size_t i;

	if (model != NULL && check_model(model, e) == -1)
		return -1;
	if (permission_mode != NULL && check_mode(c, permission_mode, e) == -1)
		return -1;
	if (!running)
		return 0; /* the next process is started with it */
	if (model != NULL && control(c, "set_model", "model", model, e) == -1)
		return -1;
	if (permission_mode == NULL)
		return 0;
	if (strcmp(permission_mode, "bypass") == 0) {
		/* Only a process that was started so may do this. */
		c->restart = true;
		return 0;
	}
	for (i = 0; i < countof(modes) - 1; i++)
		if (strcmp(modes[i].ours, permission_mode) == 0)
			break;
	return control(c, "set_permission_mode", "mode", modes[i].theirs, e);
}

/* --- the process --------------------------------------------------------- */

static void
climb(struct claude *c, enum claude_rung rung, double after_s)
{
	c->rung = rung;
	ev_timer_stop(c->a.loop, &c->ladder);
	ev_timer_set(&c->ladder, after_s, 0.);
	ev_timer_start(c->a.loop, &c->ladder);
}

static void
on_ladder(struct ev_loop *loop, ev_timer *w, int revents)
{
	static const int signals[] = { [RUNG_INT] = SIGINT,
		[RUNG_TERM] = SIGTERM,
		[RUNG_KILL] = SIGKILL };
	struct claude *c = w->data;

	(void)loop;
	(void)revents;
	if (c->proc == NULL || c->rung == RUNG_NONE)
		return;
	log_info("claude", "does not stop, sending a signal",
	    LOG_INT("signal", signals[c->rung]));
	/* INT is for claude itself, which ends its turn upon it. */
	process_signal(c->proc, signals[c->rung], c->rung != RUNG_INT);
	if (c->rung < RUNG_KILL)
		climb(c, c->rung + 1, RUNG_S);
}

/* Let the process leave by itself. */
static void
retire(struct claude *c)
{
	if (c->proc == NULL || c->retiring)
		return;
	c->retiring = true;
	process_finish_input(c->proc);
	climb(c, RUNG_TERM, FAREWELL_S);
}

static void
fail_turn(struct claude *c, const struct err *e)
{
	uni_error(c->a.out, FROM_DAEMON, err_wire(e->code), e->text, NULL);
	agent_turn_ended(&c->a, "error", NULL);
}

static void
log_death(struct claude *c, const struct err *failed)
{
	const char *words = process_last_words(c->proc);
	int code = process_exit_code(c->proc);
	autofree char *say = NULL;
	struct buf b;
	struct jw w;

	if (failed != NULL) {
		uni_error(c->a.out, FROM_DAEMON, err_wire(failed->code),
		    failed->text, NULL);
		return;
	}
	if (code != -1)
		say = xasprintf("claude exited with status %d%s%.1024s", code,
		    words != NULL ? ": " : "", words != NULL ? words : "");
	else
		say = xasprintf("claude was killed by signal %d%s%.1024s",
		    process_exit_signal(c->proc), words != NULL ? ": " : "",
		    words != NULL ? words : "");
	buf_init(&b, 64u << 10);
	jw_init(&w, &b);
	jw_object(&w);
	process_describe(c->proc, &w);
	jw_object_end(&w);
	uni_error(c->a.out, FROM_DAEMON, "process_exit", say,
	    b.failed ? NULL : b.data);
	buf_free(&b);
}

static void
on_exited(struct process *p, const struct err *failed, void *ctx)
{
	struct claude *c = ctx;
	autofree char *held = STEAL(c->held);
	bool was_working = c->working;
	struct err e;

	ev_timer_stop(c->a.loop, &c->ladder);
	c->rung = RUNG_NONE;
	c->retiring = false;
	c->working = false;
	claude_asks_drop(c);
	if (!c->stopping && was_working && agent_turn_open(&c->a) &&
	    !agent_cancelling(&c->a))
		log_death(c, failed);
	c->proc = NULL;
	process_free(p);
	if (c->stopping)
		agent_stopped(&c->a);
	else if (held != NULL) {
		if (start(c, &e) == -1 || send_message(c, held, &e) == -1)
			fail_turn(c, &e);
	} else if (was_working)
		agent_turn_ended(&c->a,
		    agent_cancelling(&c->a) ? "cancelled" : "error", NULL);
}

static void
on_line(
    struct process *p, const char *line, size_t len, size_t total, void *ctx)
{
	struct claude *c = ctx;

	(void)p;
	if (!c->stopping)
		claude_read(c, line, len, total);
}

static const struct process_ops process_ops = { .line = on_line,
	.exited = on_exited };

static int
start(struct claude *c, struct err *e)
{
	static const char *const fixed[] = { "-p", "--output-format",
		"stream-json", "--input-format", "stream-json", "--verbose",
		"--include-partial-messages", "--permission-prompt-tool",
		"stdio" };
	const struct agent_conf *conf = c->a.conf;
	const char *native = c->a.out->native_session;
	const char *argv[ARGV_MAX] = { "claude" };
	struct process_spec spec = { .env = conf->env,
		.directory = conf->directory };
	autofd int tools_fd = claude_tools(c);
	size_t n, i;

	n = conf->command != NULL ? strv_len(conf->command) : 1;
	if (n > ARGV_MAX - countof(fixed) - 10)
		return err_set(e, ERR_LIMIT, "the command is too long");
	for (i = 0; conf->command != NULL && i < n; i++)
		argv[i] = conf->command[i];
	for (i = 0; i < countof(fixed); i++)
		argv[n++] = fixed[i];
	if (conf->model != NULL) {
		argv[n++] = "--model";
		argv[n++] = conf->model;
	}
	if (strcmp(native_mode(conf), "default") != 0) {
		argv[n++] = "--permission-mode";
		argv[n++] = native_mode(conf);
	}
	c->resumed = native != NULL && agent_word_ok(native);
	if (c->resumed) {
		argv[n++] = "--resume";
		argv[n++] = native;
	}
	if (tools_fd != -1) {
		spec.pass_fd = &tools_fd;
		argv[n++] = "--mcp-config";
		argv[n++] = PROCESS_PASSED;
	}
	argv[n] = NULL;
	/* execve does not write to the strings; its type is older than const */
	spec.argv = (char *const *)(uintptr_t)argv;
	c->alive = false;
	c->restart = false;
	c->nblocks = 0;
	if (process_start(c->a.loop, &spec, &process_ops, c, &c->proc, e) ==
	    -1) {
		c->proc = NULL;
		return -1;
	}
	process_pause(c->proc, c->paused);
	return control(c, "initialize", NULL, NULL, e);
}

/* --- turns --------------------------------------------------------------- */

static int
claude_prompt(struct agent *a, uint64_t number, const char *text, struct err *e)
{
	struct claude *c = (struct claude *)a;

	(void)number;
	free(STEAL(c->error));
	c->said = false;
	c->initialised = false;
	if (c->restart)
		retire(c);
	if (c->proc != NULL && c->retiring) {
		c->held = xstrdup(text);
		return 0;
	}
	if (c->proc == NULL && start(c, e) == -1)
		return -1;
	return send_message(c, text, e);
}

static int
claude_cancel(struct agent *a, struct err *e)
{
	struct claude *c = (struct claude *)a;

	if (c->held != NULL || c->proc == NULL) {
		free(STEAL(c->held));
		agent_turn_ended(a, "cancelled", NULL);
		return 0;
	}
	/* An interrupt that claude reads before it has begun the turn is lost:
	 * claude_read.c asks again at its beginning. */
	(void)control(c, "interrupt", NULL, NULL, e); /* the ladder follows */
	climb(c, RUNG_INT, INTERRUPT_S);
	return 0;
}

static const char *
stop_reason(const struct claude *c, const struct json *m)
{
	const char *why = json_str(m, "stop_reason", "");
	const char *subtype = json_str(m, "subtype", "");

	if (agent_cancelling(&c->a))
		return "cancelled";
	if (strcmp(subtype, "error_max_turns") == 0)
		return "max_turns";
	if (json_bool(m, "is_error", false))
		return "error";
	if (strcmp(why, "max_tokens") == 0)
		return "max_tokens";
	return strcmp(why, "refusal") == 0 ? "refusal" : "end_turn";
}

static void
log_failure(struct claude *c, const struct json *m)
{
	const char *subtype = json_str(m, "subtype", "");
	const struct json *errors = json_get(m, "errors");
	const char *text = json_str(m, "result", NULL);
	const char *native = c->a.out->native_session;
	autofree char *details = NULL, *say = NULL;
	bool lost = c->resumed && !c->alive;

	if (text == NULL && errors != NULL && errors->child != NULL &&
	    errors->child->type == JSON_STRING)
		text = errors->child->str;
	if (text == NULL || *text == '\0')
		text = subtype;
	if (lost) {
		/* It is about to exit. What it knew of the conversation is
		 * gone: that must be seen, not papered over. */
		say = xasprintf("claude cannot resume conversation %s (%s); "
				"the next message starts a new one",
		    native != NULL ? native : "?", text);
		uni_error(c->a.out, FROM_AGENT, "resume_failed", say, NULL);
		agent_native_id(&c->a, NULL);
		c->restart = true;
		return;
	}
	if (c->error != NULL && strcmp(c->error, text) == 0)
		return; /* said already */
	details = xasprintf("{\"retrying\":false,\"status\":%" PRId64 "}",
	    json_int(m, "api_error_status", 0));
	uni_error(c->a.out, FROM_AGENT,
	    strcmp(subtype, "success") == 0 ? "api_error" : subtype, text,
	    details);
}

static char *
result_metadata(const struct json *m)
{
	static const char *const members[] = { "usage", "total_cost_usd",
		"duration_ms", "num_turns" };
	struct buf b;
	struct jw w;
	size_t i;

	buf_init(&b, 32u << 10);
	jw_init(&w, &b);
	jw_object(&w);
	for (i = 0; i < countof(members); i++)
		if (json_get(m, members[i]) != NULL)
			jw_kvalue(&w, members[i], json_get(m, members[i]));
	jw_object_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

void
claude_result(struct claude *c, const struct json *m)
{
	const char *text = json_str(m, "result", "");
	const char *reason = stop_reason(c, m);
	autofree char *more = result_metadata(m);
	struct part p = PART(PART_TEXT, text);
	const struct item it = { .kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	ev_timer_stop(c->a.loop, &c->ladder);
	c->rung = RUNG_NONE;
	c->working = false;
	c->nblocks = 0;
	claude_asks_drop(c);
	if (!agent_turn_open(&c->a))
		return;
	if (json_bool(m, "is_error", false)) {
		if (!agent_cancelling(&c->a))
			log_failure(c, m);
	} else if (!c->said && *text != '\0') {
		uni_item_completed(c->a.out, &it, ITEM_COMPLETED);
	}
	uni_raw(c->a.out, NULL, 0);
	if (c->restart)
		retire(c);
	agent_turn_ended(&c->a, reason, more);
}

/* --- life ---------------------------------------------------------------- */

static int
claude_open(struct agent *a, bool fresh, struct err *e)
{
	struct claude *c = (struct claude *)a;
	const struct agent_conf *conf = a->conf;
	autofree char *path = NULL;

	TAILQ_INIT(&c->asks);
	ev_timer_init(&c->ladder, on_ladder, 0., 0.);
	c->ladder.data = c;
	if (strcmp(conf->agent_mode, "build") != 0 &&
	    strcmp(conf->agent_mode, "plan") != 0)
		return err_set(e, ERR_MODE_NOT_SUPPORTED,
		    "claude has no agent mode %s", conf->agent_mode);
	if (check_mode(c, conf->permission_mode, e) == -1 ||
	    (conf->model != NULL && check_model(conf->model, e) == -1))
		return -1;
	/* A new session without its program is refused; one that goes on says
	 * so in the turn that needs it. */
	return fresh ? process_find(
			   conf->command != NULL ? conf->command[0] : "claude",
			   conf->env, &path, e)
		     : 0;
}

static void
claude_pause(struct agent *a, bool on)
{
	struct claude *c = (struct claude *)a;

	c->paused = on;
	if (c->proc != NULL)
		process_pause(c->proc, on);
}

static void
claude_stop(struct agent *a)
{
	struct claude *c = (struct claude *)a;

	c->stopping = true;
	free(STEAL(c->held));
	if (c->proc == NULL) {
		agent_stopped(a);
		return;
	}
	/* Nothing is read any more, so that nothing is left to be held up. */
	process_pause(c->proc, false);
	process_finish_input(c->proc);
	if (c->working) {
		process_signal(c->proc, SIGTERM, true);
		climb(c, RUNG_KILL, RUNG_S);
	} else {
		climb(c, RUNG_TERM, FAREWELL_S);
	}
}

static void
claude_close(struct agent *a)
{
	struct claude *c = (struct claude *)a;

	if (c->asks.tqh_last != NULL) { /* it was opened */
		ev_timer_stop(a->loop, &c->ladder);
		claude_asks_drop(c);
	}
	process_free(STEAL(c->proc));
	free(STEAL(c->held));
	free(STEAL(c->error));
}

const struct agent_ops agent_claude = {
	.name = "claude",
	.size = sizeof(struct claude),
	.open = claude_open,
	.prompt = claude_prompt,
	.cancel = claude_cancel,
	.permission = claude_permission,
	.question = claude_question,
	.configure = claude_configure,
	.pause = claude_pause,
	.stop = claude_stop,
	.close = claude_close,
};
