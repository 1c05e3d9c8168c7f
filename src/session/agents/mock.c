/*
 * The mock agent: built in, scripted, needs no program and no key. Runs in the
 * session worker. It shows every shape of event that a client may meet
 * (mock_script.c) and, for tests and demonstrations, does real work when asked
 * (mock_work.c).
 *
 * Events come as fast as the store takes them, or MOCK_DELAY_MS apart if the
 * session's environment says so.
 */
#include "session/agents/mock.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <inttypes.h>
#include <string.h>

#define BURST 256 /* steps in one round of the loop */
#define DELAY_MS_MAX 60000

struct mock_step *
mock_add(struct mock *m, mock_run *run, const char *key, const char *text)
{
	struct mock_step *st = xcalloc(1, sizeof(*st));

	st->run = run;
	st->key = key;
	st->text = text != NULL ? xstrdup(text) : NULL;
	TAILQ_INSERT_TAIL(&m->steps, st, link);
	return st;
}

static void
step_free(struct mock *m, struct mock_step *st)
{
	TAILQ_REMOVE(&m->steps, st, link);
	free(st->text);
	free(st);
}

static void
drop_steps(struct mock *m)
{
	ev_timer_stop(m->a.loop, &m->tick);
	while (!TAILQ_EMPTY(&m->steps))
		step_free(m, TAILQ_FIRST(&m->steps));
	m->running = false;
}

const char *
mock_id(const struct mock *m, char dst[MOCK_ID_MAX], const char *key)
{
	if (str_format(dst, MOCK_ID_MAX, "%s_%s", m->prefix, key) == -1)
		abort(); /* both are ours and short */
	return dst;
}

static void
arm(struct mock *m, double after_s)
{
	ev_timer_stop(m->a.loop, &m->tick);
	ev_timer_set(&m->tick, after_s, 0.);
	ev_timer_start(m->a.loop, &m->tick);
}

static void
finish(struct mock *m)
{
	m->running = false;
	if (m->end == MOCK_PARKS)
		agent_turn_parked(&m->a);
	else
		agent_turn_ended(&m->a,
		    m->end == MOCK_FAILS ? "error" : "end_turn", m->more);
}

static void
on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct mock *m = w->data;
	struct mock_step *st;
	int i;

	(void)loop;
	(void)revents;
	for (i = 0; i < BURST && m->running && !m->paused && m->proc == NULL;
	     i++) {
		st = TAILQ_FIRST(&m->steps);
		if (st == NULL) {
			finish(m);
			return;
		}
		m->wait_s = -1;
		st->again = false;
		st->run(m, st);
		if (!st->again)
			step_free(m, st);
		if (m->wait_s >= 0 || m->delay_s > 0)
			break;
	}
	if (m->running && !m->paused && m->proc == NULL)
		arm(m, m->wait_s >= 0 ? m->wait_s : m->delay_s);
}

/* --- the adapter --------------------------------------------------------- */

static int
mock_open(struct agent *a, bool fresh, struct err *e)
{
	struct mock *m = (struct mock *)a;
	autofree char *native = NULL;
	char *const *env;
	int64_t ms = 0;
	const struct agent_settings asked = { .agent_mode = a->conf->agent_mode,
		.thought_level = a->conf->thought_level };

	if (mock_settings_check(&asked, e) == -1)
		return -1;
	TAILQ_INIT(&m->steps);
	buf_init(&m->output, 64u << 10);
	ev_timer_init(&m->tick, on_tick, 0., 0.);
	m->tick.data = m;
	for (env = a->conf->env; *env != NULL; env++)
		if (str_starts(*env, "MOCK_DELAY_MS=") &&
		    str_to_int(strchr(*env, '=') + 1, 0, DELAY_MS_MAX, &ms) ==
			-1)
			ms = 0; /* not ours to refuse a session for */
	m->delay_s = (double)ms / 1000.;
	if (fresh) {
		native = xasprintf("mock-%s", a->conf->session);
		agent_native_id(a, native);
	}
	return 0;
}

static void
user_message(struct mock *m, const char *text)
{
	char id[MOCK_ID_MAX];
	const struct part p = PART(PART_TEXT, text);
	const struct item it = { .native_id = mock_id(m, id, "user"),
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_USER,
		.parts = &p,
		.nparts = 1 };

	uni_item_started(m->a.out, &it);
	uni_item_completed(m->a.out, &it, ITEM_COMPLETED);
}

static int
mock_prompt(struct agent *a, uint64_t number, const struct agent_message *msg,
    struct err *e)
{
	struct mock *m = (struct mock *)a;
	autofree char *flat = agent_message_flat(msg, false), *trimmed = NULL;
	const char *text = flat;
	bool told;
	size_t len;

	if (str_format(m->prefix, sizeof(m->prefix), "mock_%" PRIu64, number) ==
	    -1)
		return err_set(e, ERR_INTERNAL, "turn number too long");
	m->number = number;
	text += strspn(text, " \t\r\n");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		len--;
	if (len == 0) {
		agent_turn_parked(a);
		return 0;
	}
	trimmed = xstrndup(text, len);
	if (strcmp(trimmed, "forget") == 0 && !m->forgot) {
		m->forgot = true;
		agent_forgot(a);
		return 0;
	}
	told =
	    m->forgot && len >= 6 && strcmp(trimmed + len - 6, "forget") == 0;
	m->forgot = false;
	user_message(m, told ? "forget" : trimmed);
	m->end = MOCK_ENDS;
	m->more = NULL;
	m->running = true;
	if (told)
		mock_say(m, "told", trimmed);
	else
		mock_script(m, trimmed);
	/* At once, so that a short turn is stored with its message. */
	if (m->delay_s > 0 || m->paused)
		arm(m, m->delay_s);
	else
		on_tick(a->loop, &m->tick, 0);
	return 0;
}

static int
mock_cancel(struct agent *a, struct err *e)
{
	struct mock *m = (struct mock *)a;

	(void)e;
	drop_steps(m);
	mock_work_stop(m);
	agent_turn_ended(a, "cancelled", NULL);
	return 0;
}

static int
mock_permission(struct agent *a, const char *id, enum agent_reply r,
    const char *message, struct err *e)
{
	/* Its requests lead to nothing: there is nobody to tell. */
	(void)a, (void)id, (void)r, (void)message, (void)e;
	return 0;
}

static int
mock_question(
    struct agent *a, const char *id, const struct json *answers, struct err *e)
{
	(void)a, (void)id, (void)answers, (void)e;
	return 0;
}

static int
mock_configure(struct agent *a, const struct agent_settings *set, struct err *e)
{
	struct mock *m = (struct mock *)a;

	if (mock_settings_check(set, e) == -1)
		return -1;
	mock_tell_options(m, set);
	return 0;
}

static int
mock_probe(struct agent *a, struct err *e)
{
	(void)e;
	mock_tell_options((struct mock *)a, &(struct agent_settings){ 0 });
	return 0;
}

static void
mock_pause(struct agent *a, bool on)
{
	struct mock *m = (struct mock *)a;

	m->paused = on;
	if (m->proc != NULL)
		process_pause(m->proc, on);
	else if (!on && m->running)
		arm(m, 0.);
}

static void
mock_close(struct agent *a)
{
	struct mock *m = (struct mock *)a;

	drop_steps(m);
	mock_work_stop(m);
	buf_free(&m->output);
}

static void
mock_stop(struct agent *a)
{
	struct mock *m = (struct mock *)a;

	drop_steps(m);
	mock_work_stop(m);
	agent_stopped(a);
}

const struct agent_ops agent_mock = {
	.name = "mock",
	.size = sizeof(struct mock),
	.echoes_user = true,
	.keeps_requests = true,
	.open = mock_open,
	.prompt = mock_prompt,
	.cancel = mock_cancel,
	.permission = mock_permission,
	.question = mock_question,
	.configure = mock_configure,
	.probe = mock_probe,
	.pause = mock_pause,
	.stop = mock_stop,
	.close = mock_close,
};
