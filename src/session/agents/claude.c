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

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#define ARGV_MAX 300
#define INTERRUPT_S 2.0 /* for claude to answer an interrupt by its result */
#define FAREWELL_S 1.5	/* to leave by itself when its input is closed */

static const char *const places[] = { ".claude/skills", NULL };

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

/* {"type":"control_request","request_id":…,"request":{"subtype":…,K:V}}; with
 * INNER {…,"settings":{K:V}}. */
static int
control_in(struct claude *c, const char *subtype, const char *inner,
    const char *key, const char *value, struct err *e)
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
	if (inner != NULL) {
		jw_key(&w, inner);
		jw_object(&w);
	}
	if (key != NULL)
		jw_kstr(&w, key, value);
	if (inner != NULL)
		jw_object_end(&w);
	jw_object_end(&w);
	jw_object_end(&w);
	(void)buf_addc(&b, '\n');
	rc = claude_send(c, &b, e);
	buf_free(&b);
	return rc;
}

static int
control(struct claude *c, const char *subtype, const char *key,
    const char *value, struct err *e)
{
	return control_in(c, subtype, NULL, key, value, e);
}

/* Give claude the message that is held. */
static int
send_held(struct claude *c, struct err *e)
{
	autofree char *line = STEAL(c->held);
	const struct buf b = { .data = line, .len = strlen(line) };

	if (claude_send(c, &b, e) == -1)
		return -1;
	c->working = true;
	return 0;
}

/* --- settings ------------------------------------------------------------ */

static int
check_model(const char *model, struct err *e)
{
	if (!agent_word_ok(model))
		return err_set(e, ERR_BAD_REQUEST, "not a model's name");
	return 0;
}

static int
check_settings(
    const struct claude *c, const struct agent_settings *set, struct err *e)
{
	const struct agent_conf *conf = c->a.conf;

	if (set->model != NULL && check_model(set->model, e) == -1)
		return -1;
	if (set->thought_level != NULL &&
	    claude_level_check(set->thought_level, e) == -1)
		return -1;
	return claude_mode_check(c,
	    set->permission_mode != NULL ? set->permission_mode
					 : conf->permission_mode,
	    set->agent_mode != NULL ? set->agent_mode : conf->agent_mode, e);
}

static int
change_mode(struct claude *c, const struct agent_settings *set, struct err *e)
{
	const struct agent_conf *conf = c->a.conf;
	const char *was =
	    claude_mode_of(conf->permission_mode, conf->agent_mode);
	const char *is =
	    claude_mode_of(set->permission_mode != NULL ? set->permission_mode
							: conf->permission_mode,
		set->agent_mode != NULL ? set->agent_mode : conf->agent_mode);

	if (strcmp(was, is) == 0)
		return 0;
	if (strcmp(is, "bypassPermissions") == 0) {
		/* Only a process that was started so may do this. */
		c->restart = true;
		return 0;
	}
	return control(c, "set_permission_mode", "mode", is, e);
}

static int
claude_configure(
    struct agent *a, const struct agent_settings *set, struct err *e)
{
	struct claude *c = (struct claude *)a;
	const char *level = set->thought_level;

	if (check_settings(c, set, e) == -1)
		return -1;
	if (c->proc == NULL || c->retiring)
		return 0; /* the next process is started with it */
	if (set->model != NULL &&
	    control(c, "set_model", "model", set->model, e) == -1)
		return -1;
	if (level != NULL && strcmp(level, "default") == 0)
		c->restart = true;
	else if (level != NULL &&
		 control_in(c, "apply_flag_settings", "settings", "effortLevel",
		     level, e) == -1)
		return -1;
	return change_mode(c, set, e);
}

/* --- the process --------------------------------------------------------- */

/* Let the process leave by itself. */
static void
retire(struct claude *c)
{
	if (c->proc == NULL || c->retiring)
		return;
	c->retiring = true;
	process_finish_input(c->proc);
	ladder_climb(&c->ladder, c->proc, RUNG_TERM, FAREWELL_S);
}

/* Asked to resume, it could not: what it knew of the conversation is gone.
 * That must be seen, not papered over, once the message is sent again. */
static void
lose(struct claude *c, const char *why)
{
	const char *native = c->a.out->native_session;

	free(c->lost);
	c->lost = xasprintf("claude cannot resume conversation %s (%s); it "
			    "starts anew, with what was said before",
	    native != NULL ? native : "?", why);
	agent_native_id(&c->a, NULL);
	c->restart = true;
	agent_forgot(&c->a);
}

/* It left without a word for a conversation that it does not know. */
static bool
left_lost(const struct claude *c, struct process *p)
{
	const char *words = process_last_words(p);

	return c->resumed && !c->alive && words != NULL &&
	       str_starts(words, "No conversation found");
}

static void
probe_failed(struct claude *c, struct process *p, const struct err *failed)
{
	const char *words = process_last_words(p);
	struct err e;

	if (failed == NULL)
		(void)err_set(&e, ERR_AGENT_FAILED, "claude ended: %.200s",
		    words != NULL ? words : "without a word");
	agent_failed(&c->a, failed != NULL ? failed : &e);
}

static void begin(struct claude *c);

static void
on_exited(struct process *p, const struct err *failed, void *ctx)
{
	struct claude *c = ctx;
	bool was_working = c->working, lost = false;

	ladder_stop(&c->ladder);
	c->retiring = false;
	c->working = false;
	claude_asks_drop(c);
	if (!c->stopping && was_working && agent_turn_open(&c->a) &&
	    !agent_cancelling(&c->a)) {
		lost = left_lost(c, p);
		if (!lost)
			program_log_death(&c->a, "claude", p, failed);
	}
	if (c->probing && !c->stopping) {
		probe_failed(c, p, failed);
		was_working = false;
	}
	c->proc = NULL;
	process_free(p);
	if (c->stopping)
		agent_stopped(&c->a);
	else if (c->held != NULL)
		begin(c);
	else if (lost)
		lose(c, "it does not know it");
	else if (was_working)
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
	const char *argv[ARGV_MAX] = { NULL };
	struct process_spec spec = { .env = conf->env,
		.directory = conf->directory };
	autofd int tools_fd = c->probing ? -1 : claude_tools(c);
	const char *mode =
	    claude_mode_of(conf->permission_mode, conf->agent_mode);
	size_t n, i;

	if (program_command(conf, "claude", argv,
		ARGV_MAX - countof(fixed) - 12, &n, e) == -1)
		return -1;
	for (i = 0; i < countof(fixed); i++)
		argv[n++] = fixed[i];
	if (conf->model != NULL) {
		argv[n++] = "--model";
		argv[n++] = conf->model;
	}
	if (strcmp(mode, "default") != 0) {
		argv[n++] = "--permission-mode";
		argv[n++] = mode;
	}
	if (conf->thought_level != NULL &&
	    strcmp(conf->thought_level, "default") != 0) {
		argv[n++] = "--effort";
		argv[n++] = conf->thought_level;
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
	claude_plan_free(c);
	if (control(c, "initialize", NULL, NULL, e) == -1)
		return -1;
	return control(c, "get_settings", NULL, NULL, e);
}

static void
start_held(struct claude *c)
{
	struct err e;

	if (start(c, &e) == -1 || send_held(c, &e) == -1) {
		free(STEAL(c->held));
		program_fail_turn(&c->a, &e);
	}
}

static void
on_skills(struct agent *a)
{
	struct claude *c = (struct claude *)a;

	skills_free(STEAL(c->skills));
	start_held(c);
}

/* Start a process for the message that is held, skills first. */
static void
begin(struct claude *c)
{
	c->skills = skills_prepare(&c->a, places, on_skills);
	if (c->skills == NULL)
		start_held(c);
}

/* --- turns --------------------------------------------------------------- */

static int
claude_prompt(struct agent *a, uint64_t number, const struct agent_message *m,
    struct err *e)
{
	struct claude *c = (struct claude *)a;

	(void)number;
	free(STEAL(c->error));
	c->said = false;
	c->initialised = false;
	if (c->lost != NULL)
		uni_status(a->out, "resume_failed", c->lost);
	free(STEAL(c->lost));
	free(c->held);
	c->held = message_user_line(m);
	if (c->held == NULL)
		return err_set(e, ERR_TOO_LARGE, "the message is too long");
	if (c->restart)
		retire(c);
	if (c->proc != NULL && !c->retiring)
		return send_held(c, e);
	if (c->proc == NULL)
		begin(c);
	return 0;
}

/* What claude cannot be told (no process yet, or none any more). */
static void
forget_message(struct claude *c)
{
	free(STEAL(c->held));
	skills_free(STEAL(c->skills));
}

static int
claude_cancel(struct agent *a, struct err *e)
{
	struct claude *c = (struct claude *)a;

	if (c->held != NULL || c->proc == NULL) {
		forget_message(c);
		agent_turn_ended(a, "cancelled", NULL);
		return 0;
	}
	/* An interrupt that claude reads before it has begun the turn is lost:
	 * claude_read.c asks again at its beginning. */
	(void)control(c, "interrupt", NULL, NULL, e); /* the ladder follows */
	ladder_climb(&c->ladder, c->proc, RUNG_INT, INTERRUPT_S);
	return 0;
}

/* False: the conversation is lost, and the turn begins again. */
static bool
log_failure(struct claude *c, const struct json *m)
{
	const char *subtype = json_str(m, "subtype", "");
	const struct json *errors = json_get(m, "errors");
	const char *text = json_str(m, "result", NULL);
	autofree char *details = NULL;

	if (text == NULL && errors != NULL && errors->child != NULL &&
	    errors->child->type == JSON_STRING)
		text = errors->child->str;
	if (text == NULL || *text == '\0')
		text = subtype;
	if (c->resumed && !c->alive) {
		lose(c, text);
		return false;
	}
	if (c->error != NULL && strcmp(c->error, text) == 0)
		return true; /* said already */
	details = xasprintf("{\"retrying\":false,\"status\":%" PRId64 "}",
	    json_int(m, "api_error_status", 0));
	uni_error(c->a.out, FROM_AGENT,
	    strcmp(subtype, "success") == 0 ? "api_error" : subtype, text,
	    details);
	return true;
}

static void
tell_usage(struct claude *c, const struct json *m)
{
	const struct json *models = json_get(m, "modelUsage");
	int64_t window = 0;

	json_foreach (it, models)
		window = MAX(window, json_int(it, "contextWindow", 0));
	if (c->context > 0)
		agent_usage(&c->a, c->context, window);
}

void
claude_result(struct claude *c, const struct json *m)
{
	const char *text = json_str(m, "result", "");
	const char *reason = message_stop_reason(&c->a, m);
	autofree char *more = message_result_metadata(m);
	struct part p = PART(PART_TEXT, text);
	const struct item it = { .kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	ladder_stop(&c->ladder);
	c->working = false;
	c->nblocks = 0;
	claude_asks_drop(c);
	if (!agent_turn_open(&c->a))
		return;
	if (json_bool(m, "is_error", false)) {
		if (!agent_cancelling(&c->a) && !log_failure(c, m))
			return;
	} else if (!c->said && *text != '\0') {
		uni_item_completed(c->a.out, &it, ITEM_COMPLETED);
	}
	uni_raw(c->a.out, NULL, 0);
	tell_usage(c, m);
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
	ladder_init(&c->ladder, a->loop, "claude");
	if (claude_mode_check(c, conf->permission_mode, conf->agent_mode, e) ==
		-1 ||
	    (conf->model != NULL && check_model(conf->model, e) == -1) ||
	    (conf->thought_level != NULL &&
		claude_level_check(conf->thought_level, e) == -1))
		return -1;
	/* A new session without its program is refused; one that goes on says
	 * so in the turn that needs it. */
	return fresh ? process_find(
			   conf->command != NULL ? conf->command[0] : "claude",
			   conf->env, &path, e)
		     : 0;
}

static int
claude_probe(struct agent *a, struct err *e)
{
	struct claude *c = (struct claude *)a;

	c->probing = true;
	return start(c, e);
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
	forget_message(c);
	if (c->proc == NULL) {
		agent_stopped(a);
		return;
	}
	/* Nothing is read any more, so that nothing is left to be held up. */
	process_pause(c->proc, false);
	process_finish_input(c->proc);
	if (c->working) {
		process_signal(c->proc, SIGTERM, true);
		ladder_climb(&c->ladder, c->proc, RUNG_KILL, 1.0);
	} else {
		ladder_climb(&c->ladder, c->proc, RUNG_TERM, FAREWELL_S);
	}
}

static void
claude_close(struct agent *a)
{
	struct claude *c = (struct claude *)a;

	ladder_stop(&c->ladder);
	if (c->asks.tqh_last != NULL) /* it was opened */
		claude_asks_drop(c);
	process_free(STEAL(c->proc));
	forget_message(c);
	claude_plan_free(c);
	json_free(STEAL(c->models));
	free(STEAL(c->lost));
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
	.probe = claude_probe,
	.pause = claude_pause,
	.stop = claude_stop,
	.close = claude_close,
};
