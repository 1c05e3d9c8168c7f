/*
 * A session of kind probe: it asks an agent what it can do and which version
 * it is, writes that into its record, and answers `start` only then. Runs in
 * the session worker. What the agent and its program say is bounded and
 * checked for form; whoever reads the record treats it as the agent's words.
 */
#include "session/session.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agent_host.h"
#include "session/agent_process.h"
#include "session/children.h"
#include <string.h>

#define PROBE_S 10.0
#define OPTIONS_BYTES_MAX (60u << 10)
#define VERSION_MAX 120
#define ARGV_MAX 64

struct probe {
	struct session *s; /* borrowed */
	struct process *version;
	ev_timer deadline;
	char *options; /* owned JSON array, or NULL */
	char *words;   /* owned: what the program said of its version */
	struct err failed;
	bool asked;    /* options are waited for */
	bool answered; /* `start` is */
};

/* --- the answer ------------------------------------------------------------
 */

static void
answer(struct probe *p)
{
	struct session *s = p->s;
	const struct asker super = { 0, s->start_id };

	if (p->answered || p->asked || p->version != NULL)
		return;
	p->answered = true;
	ev_timer_stop(s->loop, &p->deadline);
	session_state(s, "idle"); /* the record is written with it */
	if (p->options == NULL && p->failed.code != ERR_NONE)
		session_reply_failed(s, super, &p->failed);
	else
		session_reply_stored(s, super);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct probe *p = w->data;

	(void)loop;
	(void)revents;
	if (p->asked)
		(void)err_set(&p->failed, ERR_TIMEOUT,
		    "%s did not tell its options in %.0f s", p->s->conf.agent,
		    PROBE_S);
	p->asked = false;
	process_free(STEAL(p->version));
	answer(p);
}

/* --- what the agent tells --------------------------------------------------
 */

static void
probe_options(struct agent *a, const char *json)
{
	struct probe *p = a->session->probe;
	struct json *j = NULL;

	if (strlen(json) > OPTIONS_BYTES_MAX ||
	    json_parse(json, strlen(json), JSON_DEPTH_AGENT, &j, NULL) == -1 ||
	    j->type != JSON_ARRAY) {
		(void)err_set(&p->failed, ERR_AGENT_FAILED,
		    "%s tells its options in no form that is known",
		    a->conf->agent);
	} else {
		free(p->options);
		p->options = xstrdup(json);
	}
	json_free(j);
	p->asked = false;
	answer(p);
}

static void
probe_failed(struct agent *a, const struct err *e)
{
	struct probe *p = a->session->probe;

	p->failed = *e;
	p->asked = false;
	answer(p);
}

static bool
probe_settled(const struct agent *a)
{
	(void)a;
	return true;
}

static void
probe_stopped(struct agent *a)
{
	session_over(a->session);
}

/* No turn is ever begun: the rest of a host is never asked. */
static const struct agent_host probe_host = {
	.options = probe_options,
	.failed = probe_failed,
	.settled = probe_settled,
	.stopped = probe_stopped,
};

/* --- its version ------------------------------------------------------------
 */

static void
on_line(
    struct process *proc, const char *line, size_t len, size_t total, void *ctx)
{
	struct probe *p = ctx;
	const char *end;

	(void)proc, (void)total;
	while (len > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	if (p->words != NULL || len == 0)
		return;
	/* "2.1.197 (Claude Code)": what stands in brackets is no version. */
	end = memmem(line, len, " (", 2);
	if (end != NULL)
		len = (size_t)(end - line);
	len = MIN(len, (size_t)VERSION_MAX);
	len = utf8_valid_prefix(line, len);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20)
			return;
	p->words = xstrndup(line, len);
}

static void
on_exited(struct process *proc, const struct err *e, void *ctx)
{
	struct probe *p = ctx;

	(void)e; /* no version is no failure */
	process_free(proc);
	p->version = NULL;
	answer(p);
}

static const struct process_ops version_ops = { .line = on_line,
	.exited = on_exited };

static void
ask_version(struct probe *p)
{
	const struct agent_conf *conf = &p->s->conf;
	const char *argv[ARGV_MAX];
	struct process_spec spec = {
		.env = conf->env, .directory = "/", .merge = true, .quiet = true
	};
	struct err e;
	size_t n = 0;

	if (conf->command == NULL || conf->version_args == NULL)
		return;
	argv[n++] = conf->command[0];
	for (char **v = conf->version_args; *v != NULL && n < ARGV_MAX - 1; v++)
		argv[n++] = *v;
	argv[n] = NULL;
	/* execve does not write to the strings; its type is older than const */
	spec.argv = (char *const *)(uintptr_t)argv;
	if (process_start(
		p->s->loop, &spec, &version_ops, p, &p->version, &e) == -1)
		p->version = NULL; /* then there is no version */
}

/* --- life --------------------------------------------------------------------
 */

static int
probe_open(struct session *s, bool fresh, struct err *e)
{
	const struct agent_ops *ops = agent_find(s->conf.protocol);
	struct probe *p;

	(void)fresh; /* nothing is ever left to go on with */
	p = s->probe = xcalloc(1, sizeof(*p));
	p->s = s;
	ev_timer_init(&p->deadline, on_deadline, PROBE_S, 0.);
	p->deadline.data = p;
	s->uni.as = &encoder_mute;
	s->agent =
	    agent_new(ops, &probe_host, NULL, s, &s->conf, &s->uni, s->loop);
	return ops->open(s->agent, true, e);
}

static void
probe_opened(struct session *s)
{
	struct probe *p = s->probe;

	ev_timer_start(s->loop, &p->deadline);
	ask_version(p);
	if (s->agent->ops->probe == NULL) {
		answer(p);
		return;
	}
	p->asked = true; /* before it may answer at once */
	if (s->agent->ops->probe(s->agent, &p->failed) == -1) {
		p->asked = false;
		answer(p);
	}
}

static void
probe_set(struct session *s, struct jw *w)
{
	struct probe *p = s->probe;

	if (p == NULL || !p->answered)
		return;
	if (p->options != NULL) {
		jw_key(w, "options");
		jw_raw(w, p->options, strlen(p->options));
	}
	jw_kstr(w, "version", p->words);
}

static void
probe_pause(struct session *s, bool on)
{
	s->agent->ops->pause(s->agent, on);
}

static void
probe_stop(struct session *s)
{
	s->agent->ops->stop(s->agent);
}

static void
probe_close(struct session *s)
{
	struct probe *p = STEAL(s->probe);

	if (s->agent != NULL)
		s->agent->ops->close(s->agent);
	free(STEAL(s->agent));
	if (p == NULL)
		return;
	ev_timer_stop(s->loop, &p->deadline);
	process_free(p->version);
	free(p->options);
	free(p->words);
	free(p);
}

const struct session_kind kind_probe = {
	.name = "probe",
	.answers_start = true,
	.open = probe_open,
	.opened = probe_opened,
	.set = probe_set,
	.pause = probe_pause,
	.stop = probe_stop,
	.close = probe_close,
};
