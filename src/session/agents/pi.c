/*
 * The adapter of Pi: its process, its turns, and how they end. Runs in the
 * session worker. pi is started at the first message and kept; it gets exactly
 * the environment of the session. What it prints is hostile input and is read
 * in pi_read.c.
 *
 * A process that died is followed by one that goes on with the conversation's
 * file; when that is gone, so is what pi knew.
 */
#include "session/agents/pi.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/tools.h"
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define ARGV_MAX 300
#define HANDSHAKE_S 60.0 /* to tell its state: it loads extensions first */
#define ABORT_S 3.0	 /* to obey `abort` */
#define FAREWELL_S 1.5	 /* to leave by itself when its input is closed */
#define FILE_MAX 1024	 /* bytes of its path */

static const char *const places[] = { ".agents/skills", NULL };

static void begin(struct pi *p);

/* --- commands ------------------------------------------------------------- */

uint64_t
pi_command(struct pi *p, struct jw *w, struct buf *b, const char *type)
{
	char id[PI_ID_MAX];

	if (str_format(id, sizeof(id), "%" PRIu64, ++p->requests) == -1)
		abort(); /* 20 bytes */
	buf_init(b, STDIN_BYTES_MAX);
	jw_init(w, b);
	jw_object(w);
	jw_kstr(w, "id", id);
	jw_kstr(w, "type", type);
	return p->requests;
}

int
pi_send(struct pi *p, struct jw *w, struct buf *b, struct err *e)
{
	int rc = 0;

	jw_object_end(w);
	(void)buf_addc(b, '\n');
	if (p->proc == NULL || p->retiring)
		rc = err_set(e, ERR_AGENT_FAILED, "pi is not running");
	else if (b->failed || process_write(p->proc, b->data, b->len) == -1)
		rc = err_set(e, ERR_LIMIT, "pi does not read what it is sent");
	buf_free(b);
	return rc;
}

int
pi_order(struct pi *p, const char *type)
{
	struct buf b;
	struct err e;
	struct jw w;

	(void)pi_command(p, &w, &b, type);
	return pi_send(p, &w, &b, &e);
}

static int
send_held(struct pi *p, struct err *e)
{
	autofree char *text = STEAL(p->held), *images = STEAL(p->images);
	struct buf b;
	struct jw w;

	p->prompt = pi_command(p, &w, &b, "prompt");
	jw_kstr(&w, "message", text);
	if (images != NULL) {
		jw_key(&w, "images");
		jw_raw(&w, images, strlen(images));
	}
	if (pi_send(p, &w, &b, e) == -1) {
		p->prompt = 0;
		return -1;
	}
	p->working = true;
	return 0;
}

/* The message's images as pi wants them; NULL: there are none. */
static char *
images_of(const struct json *parts)
{
	struct buf b;
	struct jw w;

	buf_init(&b, STDIN_BYTES_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	json_foreach (it, parts) {
		if (strcmp(json_str(it, "type", ""), "image") != 0)
			continue;
		jw_object(&w);
		jw_kstr(&w, "type", "image");
		jw_kvalue(&w, "data", json_get(it, "data"));
		jw_kstr(&w, "mimeType", json_str(it, "mimeType", "image/png"));
		jw_object_end(&w);
	}
	jw_array_end(&w);
	if (b.failed || b.len <= 2)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

static void
forget_message(struct pi *p)
{
	free(STEAL(p->held));
	free(STEAL(p->images));
	skills_free(STEAL(p->skills));
}

/* --- waiting for it --------------------------------------------------------
 */

void
pi_watch(struct pi *p, double seconds)
{
	ev_timer_stop(p->a.loop, &p->watch);
	ev_timer_set(&p->watch, seconds, 0.);
	ev_timer_start(p->a.loop, &p->watch);
}

static void
on_watch(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct pi *p = w->data;

	(void)loop, (void)revents;
	if (p->proc == NULL)
		return;
	if (!p->ready) {
		process_signal(p->proc, SIGKILL, true);
		return;
	}
	p->announced = false; /* it did not come */
	pi_check(p);
}

/* Let the process leave by itself. */
void
pi_retire(struct pi *p)
{
	if (p->proc == NULL || p->retiring)
		return;
	p->retiring = true;
	ev_timer_stop(p->a.loop, &p->watch);
	process_finish_input(p->proc);
	ladder_climb(&p->ladder, p->proc, RUNG_TERM, FAREWELL_S);
}

/* --- the process ---------------------------------------------------------- */

/* What pi knew is gone. That must be seen, once the message is sent again. */
static void
lose(struct pi *p)
{
	const char *native = p->a.out->native_session;

	forget_message(p);
	free(p->lost);
	p->lost = xasprintf("pi's file of the conversation is gone (%s); it "
			    "starts anew, with what was said before",
	    native != NULL ? native : "?");
	agent_native_id(&p->a, NULL);
	agent_forgot(&p->a);
}

static bool
file_is_there(const char *path)
{
	struct stat st;

	return path[0] == '/' && agent_word_ok(path) && stat(path, &st) == 0 &&
	       S_ISREG(st.st_mode) && st.st_size > 0;
}

static void
probe_failed(struct pi *p, struct process *proc, const struct err *failed)
{
	const char *words = process_last_words(proc);
	struct err e;

	if (failed == NULL)
		(void)err_set(&e, ERR_AGENT_FAILED, "pi ended: %.200s",
		    words != NULL ? words : "without a word");
	agent_failed(&p->a, failed != NULL ? failed : &e);
}

static void
on_exited(struct process *proc, const struct err *failed, void *ctx)
{
	struct pi *p = ctx;
	bool waits = p->held != NULL && p->retiring;
	bool was_working = p->working || (p->held != NULL && !waits);

	ladder_stop(&p->ladder);
	ev_timer_stop(p->a.loop, &p->watch);
	p->retiring = false;
	pi_dialogs_drop(p);
	if (!p->stopping && was_working && agent_turn_open(&p->a) &&
	    !agent_cancelling(&p->a))
		program_log_death(&p->a, "pi", proc, failed);
	if (p->probing && !p->stopping)
		probe_failed(p, proc, failed);
	p->proc = NULL;
	process_free(proc);
	pi_turn_reset(p);
	if (p->stopping) {
		agent_stopped(&p->a);
	} else if (waits) {
		begin(p);
	} else if (was_working) {
		forget_message(p);
		agent_turn_ended(&p->a,
		    agent_cancelling(&p->a) ? "cancelled" : "error", NULL);
	}
}

static void
on_line(
    struct process *proc, const char *line, size_t len, size_t total, void *ctx)
{
	struct pi *p = ctx;

	(void)proc;
	if (!p->stopping && !p->retiring)
		pi_read(p, line, len, total);
}

/* Pi has no MCP servers. */
static void
note_server(struct agent *a, const struct mcp_server *s, void *ctx)
{
	struct buf *b = ctx;

	(void)a;
	(void)buf_addf(b, "%s%.64s", b->len > 0 ? ", " : "", s->name);
}

static void
note_servers(struct pi *p)
{
	autofree char *say = NULL;
	struct buf b;

	buf_init(&b, 4096);
	tools_mcp(&p->a, MCP_CWD_KEPT, note_server, &b);
	if (b.len > 0) {
		say = xasprintf("pi has no MCP servers; left out: %s", b.data);
		uni_status(p->a.out, "mcp.unsupported", say);
	}
	buf_free(&b);
}

static size_t
flags(struct pi *p, const char **argv)
{
	const struct agent_conf *conf = p->a.conf;
	size_t n = 0;

	argv[n++] = "--mode";
	argv[n++] = "rpc";
	if (p->probing)
		argv[n++] = "--no-session";
	if (p->resumed) {
		argv[n++] = "--session";
		argv[n++] = p->a.out->native_session;
	}
	if (conf->model != NULL && strcmp(conf->model, "default") != 0) {
		argv[n++] = "--model";
		argv[n++] = conf->model;
	}
	if (conf->thought_level != NULL &&
	    strcmp(conf->thought_level, "default") != 0) {
		argv[n++] = "--thinking";
		argv[n++] = conf->thought_level;
	}
	return n;
}

static int
start(struct pi *p, struct err *e)
{
	static const struct process_ops ops = { .line = on_line,
		.exited = on_exited };
	const struct agent_conf *conf = p->a.conf;
	const char *argv[ARGV_MAX] = { NULL };
	struct process_spec spec = { .env = conf->env,
		.directory = conf->directory };
	size_t n;

	p->resumed = p->a.out->native_session != NULL && !p->probing;
	if (!p->probing)
		note_servers(p);
	if (program_command(conf, "pi", argv, ARGV_MAX - 16, &n, e) == -1)
		return -1;
	n += flags(p, argv + n);
	argv[n] = NULL;
	/* execve does not write to the strings; its type is older than const */
	spec.argv = (char *const *)(uintptr_t)argv;
	p->ready = p->restart = false;
	pi_turn_reset(p);
	if (process_start(p->a.loop, &spec, &ops, p, &p->proc, e) == -1) {
		p->proc = NULL;
		return -1;
	}
	process_pause(p->proc, p->paused);
	pi_watch(p, HANDSHAKE_S);
	if (pi_order(p, "get_state") == -1)
		return err_set(e, ERR_AGENT_FAILED, "pi takes no command");
	return 0;
}

static void
start_or_fail(struct pi *p)
{
	struct err e;

	if (start(p, &e) == -1) {
		forget_message(p);
		program_fail_turn(&p->a, &e);
	}
}

static void
on_skills(struct agent *a)
{
	struct pi *p = (struct pi *)a;

	skills_free(STEAL(p->skills));
	start_or_fail(p);
}

/* Start a process for the message that is held, skills first. */
static void
begin(struct pi *p)
{
	p->skills = skills_prepare(&p->a, places, on_skills);
	if (p->skills == NULL)
		start_or_fail(p);
}

void
pi_ready(struct pi *p, const struct json *state)
{
	const char *file = json_str(state, "sessionFile", NULL);
	struct err e;

	p->ready = true;
	free(STEAL(p->file));
	if (file != NULL && agent_word_ok(file) && strlen(file) <= FILE_MAX)
		p->file = xstrdup(file);
	ev_timer_stop(p->a.loop, &p->watch);
	(void)pi_order(p, "get_available_models");
	(void)pi_order(p, "get_commands");
	if (p->probing)
		return;
	if (p->resumed && json_int(state, "messageCount", 1) == 0) {
		/* The file was there, but nothing of use in it. */
		p->resumed = false;
		lose(p);
		return;
	}
	if (p->file != NULL)
		agent_native_id(&p->a, p->file);
	if (p->held != NULL && send_held(p, &e) == -1)
		program_fail_turn(&p->a, &e);
}

/* --- turns ---------------------------------------------------------------- */

static int
pi_prompt(struct agent *a, uint64_t number, const struct agent_message *m,
    struct err *e)
{
	struct pi *p = (struct pi *)a;
	const char *native = a->out->native_session;

	p->turn = number;
	p->message = 0;
	if (p->lost != NULL)
		uni_status(a->out, "resume_failed", p->lost);
	free(STEAL(p->lost));
	forget_message(p);
	p->images = images_of(m->parts);
	p->held = agent_message_flat(m, p->images != NULL);
	if (p->restart)
		pi_retire(p);
	if (p->proc != NULL) {
		if (!p->ready || p->retiring)
			return 0;
		if (p->file != NULL)
			agent_native_id(a, p->file); /* it was forgotten */
		return send_held(p, e);
	}
	if (native != NULL && !file_is_there(native))
		lose(p);
	else
		begin(p);
	return 0;
}

static int
pi_cancel(struct agent *a, struct err *e)
{
	struct pi *p = (struct pi *)a;

	(void)e;
	if (p->held != NULL || p->proc == NULL) {
		forget_message(p);
		agent_turn_ended(a, "cancelled", NULL);
		return 0;
	}
	/* While a dialog is open pi does not hear of anything else. */
	pi_dialogs_cancel(p, NULL);
	/* An abort that comes before the run is lost: pi_read.c repeats it at
	 * its beginning. */
	(void)pi_order(p, "abort"); /* the ladder follows */
	ladder_climb(&p->ladder, p->proc, RUNG_TERM, ABORT_S);
	return 0;
}

/* --- life ----------------------------------------------------------------- */

static int
pi_open(struct agent *a, bool fresh, struct err *e)
{
	struct pi *p = (struct pi *)a;
	const struct agent_conf *conf = a->conf;
	const struct agent_settings all = { conf->model, conf->permission_mode,
		conf->agent_mode, conf->thought_level };
	autofree char *path = NULL;

	TAILQ_INIT(&p->dialogs);
	ladder_init(&p->ladder, a->loop, "pi");
	ev_timer_init(&p->watch, on_watch, 0., 0.);
	p->watch.data = p;
	if (pi_settings_check(p, &all, e) == -1)
		return -1;
	/* A new session without its program is refused; one that goes on says
	 * so in the turn that needs it. */
	return fresh ? process_find(
			   conf->command != NULL ? conf->command[0] : "pi",
			   conf->env, &path, e)
		     : 0;
}

static int
pi_probe(struct agent *a, struct err *e)
{
	struct pi *p = (struct pi *)a;

	p->probing = true;
	return start(p, e);
}

static void
pi_pause(struct agent *a, bool on)
{
	struct pi *p = (struct pi *)a;

	p->paused = on;
	if (p->proc != NULL)
		process_pause(p->proc, on);
}

static void
pi_stop(struct agent *a)
{
	struct pi *p = (struct pi *)a;

	p->stopping = true;
	forget_message(p);
	ev_timer_stop(a->loop, &p->watch);
	if (p->proc == NULL) {
		agent_stopped(a);
		return;
	}
	/* Nothing is read any more, so that nothing is left to be held up. */
	process_pause(p->proc, false);
	process_finish_input(p->proc);
	if (p->working) {
		process_signal(p->proc, SIGTERM, true);
		ladder_climb(&p->ladder, p->proc, RUNG_KILL, 1.0);
	} else {
		ladder_climb(&p->ladder, p->proc, RUNG_TERM, FAREWELL_S);
	}
}

static void
pi_close(struct agent *a)
{
	struct pi *p = (struct pi *)a;

	ladder_stop(&p->ladder);
	if (p->dialogs.tqh_last != NULL) { /* it was opened */
		ev_timer_stop(a->loop, &p->watch);
		pi_dialogs_drop(p);
	}
	process_free(STEAL(p->proc));
	forget_message(p);
	pi_turn_reset(p);
	json_free(STEAL(p->models));
	free(STEAL(p->model));
	free(STEAL(p->file));
	free(STEAL(p->lost));
}

const struct agent_ops agent_pi = {
	.name = "pi",
	.size = sizeof(struct pi),
	.open = pi_open,
	.prompt = pi_prompt,
	.cancel = pi_cancel,
	.permission = pi_permission,
	.question = pi_question,
	.configure = pi_configure,
	.probe = pi_probe,
	.pause = pi_pause,
	.stop = pi_stop,
	.close = pi_close,
};
