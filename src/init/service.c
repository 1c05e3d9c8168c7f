/*
 * The life of a service; see service.h. Runs in init.
 *
 * What it prints and whether it is ready is hostile and changes nothing but
 * its own fate. Every wait has a bound: the start limit, the backoff, the time
 * of its finish command. Memory is taken when a service is asked for.
 */
#include "init/service_priv.h"
#include "init/stop.h"
#include "lib/fdio.h"
#include "lib/frame.h"
#include "lib/strutil.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define STABLE_MS 60000	 /* it ran so long: the backoff begins anew */
#define FINISH_NEVER 125 /* of the finish command: do not start it again */
#define KILLED_CODE 256	 /* told to the finish command: ended by a signal */

enum service_end {
	END_CLEAN,
	END_FAILURE,
	END_ABNORMAL
};

static void service_start(struct service *sv);

void
service_tell(struct service *sv, const char *event, const char *why)
{
	struct jw *w = chan_begin(sv->in->ch);
	/* It may be of a child's report, and so of anybody. */
	size_t n = why != NULL ? utf8_valid_prefix(why, strlen(why)) : 0;

	sv->told = event;
	proto_begin(w, MSG_INIT_SERVICED, 0);
	jw_kstr(w, "event", event);
	jw_kint(w, "restarts", sv->restarts);
	if (sv->running)
		jw_kint(w, "pid", sv->x->pid);
	if (strcmp(event, "exited") == 0)
		jw_kint(w, sv->code != -1 ? "code" : "signal",
		    sv->code != -1 ? sv->code : sv->sig);
	if (n > 0) {
		jw_key(w, "why");
		jw_strn(w, why, n);
	}
	(void)chan_end(sv->in->ch, NULL, 0); /* a full queue ends the channel */
}

void
service_kill(struct service *sv)
{
	if (sv->running)
		exec_signal(sv->x, SIGKILL);
}

/* --- commands in its surroundings ---------------------------------------- */

struct json *
service_command(
    const struct service *sv, const struct json *argv, const char *const *extra)
{
	static const char *const same[] = { "env", "cwd", "user" };
	struct json *msg = NULL;
	struct buf b;
	struct jw w;
	size_t i;

	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_key(&w, "argv");
	jw_array(&w);
	json_foreach (it, argv)
		jw_value(&w, it);
	for (; extra != NULL && *extra != NULL; extra++)
		jw_str(&w, *extra);
	jw_array_end(&w);
	for (i = 0; i < countof(same); i++)
		if (json_get(sv->msg, same[i]) != NULL)
			jw_kvalue(&w, same[i], json_get(sv->msg, same[i]));
	jw_object_end(&w);
	if (b.failed ||
	    json_parse(b.data, b.len, JSON_DEPTH_CONTROL, &msg, NULL) == -1)
		msg = NULL;
	buf_free(&b);
	return msg;
}

/* --- again, or not ------------------------------------------------------- */

static enum service_end
end_kind(const struct service *sv)
{
	if (sv->hung || sv->late)
		return END_ABNORMAL;
	if (sv->code != -1)
		return sv->code == 0 ? END_CLEAN : END_FAILURE;
	/* What one ends a program with on purpose. */
	return sv->sig == SIGHUP || sv->sig == SIGINT || sv->sig == SIGTERM ||
		       sv->sig == SIGPIPE
		   ? END_CLEAN
		   : END_ABNORMAL;
}

static bool
policy_wants(const struct service *sv)
{
	const char *restart = json_str(sv->policy, "restart", "never");
	const char *action =
	    json_str(json_get(sv->policy, "watchdog"), "action", "restart");
	enum service_end end = end_kind(sv);

	if (sv->hung)
		return strcmp(action, "restart") == 0;
	if (strcmp(restart, "always") == 0)
		return true;
	if (strcmp(restart, "on-failure") == 0)
		return end != END_CLEAN;
	return strcmp(restart, "on-abnormal") == 0 && end == END_ABNORMAL;
}

static void
on_again(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct service *sv = t->data;

	(void)loop;
	(void)revents;
	if (stop_begun(sv->in))
		return;
	sv->restarts++;
	service_start(sv);
}

/* Up to a tenth longer, so that many do not come back in one instant. */
static int64_t
with_chance(int64_t ms)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = 0; /* before the pool is filled: then all alike */
	return ms + (int64_t)(r % (uint32_t)(ms / 10 + 1));
}

/* After a doubling delay. */
static void
again_later(struct service *sv)
{
	int64_t ms = json_int(sv->policy, "backoff_ms", 1000);
	int64_t max = json_int(sv->policy, "backoff_max_ms", 60000);
	unsigned i;

	if (sv->ran_ms >= STABLE_MS)
		sv->failures = 0;
	for (i = 0; i < sv->failures && ms < max; i++)
		ms *= 2;
	sv->failures++;
	ms = with_chance(MIN(ms, max));
	ev_now_update(sv->in->loop);
	ev_timer_set(&sv->again, (double)ms / 1e3, 0.);
	ev_timer_start(sv->in->loop, &sv->again);
}

/* It has ended, and so has its finish command, with FINISH (-1: none). */
static void
decide(struct service *sv, int finish)
{
	if (stop_begun(sv->in))
		return;
	if (finish == FINISH_NEVER)
		service_tell(sv, "failed", "its finish command ended with 125");
	else if (sv->late && !policy_wants(sv))
		service_tell(sv, "failed", "not ready in time");
	else if (sv->hung && !policy_wants(sv))
		service_tell(sv, "failed", "hung");
	else if (policy_wants(sv))
		again_later(sv);
	/* Else it is over, as `exited` has said. */
}

/* --- the finish command -------------------------------------------------- */

static void
finish_nothing(struct exec *x)
{
	(void)x;
}

static void
finish_failed(struct exec *x, const struct err *e)
{
	struct service *sv = x->ctx;

	(void)e;
	decide(sv, -1);
}

static void
finish_ended(struct exec *x)
{
	struct service *sv = x->ctx;

	decide(sv, x->code == CLD_EXITED && !x->timed_out ? x->value : -1);
}

static const struct exec_ops finish_ops = { finish_nothing, finish_failed,
	finish_ended };

/* 0: it was started; -1: there is none, or it cannot be. */
static int
finish_start(struct service *sv)
{
	const struct json *f = json_get(sv->policy, "finish");
	struct exec_how how = {
		.plan = { .fds = { sv->in->null_fd, sv->in->null_fd,
			      sv->in->null_fd } },
		.timeout_ms = json_int(f, "timeout_ms", 5000),
	};
	char code[16], sig[16];
	const char *const extra[] = { code, sig, NULL };

	if (f == NULL || stop_begun(sv->in))
		return -1;
	(void)snprintf(
	    code, sizeof(code), "%d", sv->code != -1 ? sv->code : KILLED_CODE);
	(void)snprintf(sig, sizeof(sig), "%d", sv->sig);
	json_free(sv->finish_msg);
	sv->finish_msg = service_command(sv, json_get(f, "command"), extra);
	how.plan.msg = sv->finish_msg;
	if (sv->finish_msg == NULL)
		return -1;
	return exec_start(sv->in, &how, &finish_ops, sv, NULL, NULL);
}

/* --- the service itself -------------------------------------------------- */

static void
after_end(struct service *sv)
{
	if (finish_start(sv) == -1)
		decide(sv, -1);
}

static void
on_started(struct exec *x)
{
	struct service *sv = x->ctx;

	sv->running = true;
	service_tell(sv, sv->restarts > 0 ? "restarted" : "started", NULL);
	ready_started(sv);
}

static void
not_started(struct service *sv, const struct err *e)
{
	ready_ended(sv);
	sv->x = NULL;
	sv->ran_ms = 0;
	sv->code = 127;
	sv->sig = 0;
	service_tell(sv, "exited", e->text);
	after_end(sv);
}

static void
on_failed(struct exec *x, const struct err *e)
{
	struct service *sv = x->ctx;

	not_started(sv, e);
}

static void
on_ended(struct exec *x)
{
	struct service *sv = x->ctx;

	ready_ended(sv);
	sv->running = false;
	sv->x = NULL;
	sv->ran_ms = now_monotonic_ms() - sv->started_ms;
	sv->code = x->code == CLD_EXITED ? x->value : -1;
	sv->sig = x->code == CLD_EXITED ? 0 : x->value;
	service_tell(sv, "exited", NULL);
	/* What it has left would be in the way of the next one. */
	if (policy_wants(sv) && !stop_begun(sv->in))
		exec_signal(x, SIGKILL);
	after_end(sv);
}

static const struct exec_ops service_ops = { on_started, on_failed, on_ended };

/* More starts within the time than the limit allows? */
static bool
too_often(struct service *sv)
{
	size_t limit = (size_t)json_int(sv->policy, "start_limit", 5), i;
	int64_t span = json_int(sv->policy, "start_limit_ms", 10000);
	int64_t now = now_monotonic_ms();
	size_t within = 0;

	for (i = 0; i < MIN(sv->nstarts, (size_t)SERVICE_STARTS_MAX); i++)
		within += now - sv->starts[i] < span;
	sv->starts[sv->nstarts++ % SERVICE_STARTS_MAX] = now;
	return within >= limit;
}

static void
service_start(struct service *sv)
{
	struct exec_how how = {
		.plan = { .msg = sv->msg,
		    .own_fds = true,
		    .fds = { sv->in->null_fd, sv->in->null_fd,
			sv->in->null_fd } },
	};
	int given[2] = { -1, -1 };
	struct err e;
	int r;

	if (too_often(sv)) {
		service_tell(sv, "failed", "started too often");
		return;
	}
	sv->hung = sv->late = false;
	sv->started_ms = now_monotonic_ms();
	r = ready_pipes(sv, &how, &e);
	given[0] = how.plan.notify_fd > 0 ? how.plan.notify_fd : -1;
	given[1] = sv->output_fd != -1 ? how.plan.fds[1] : -1;
	if (r == 0)
		r = exec_start(sv->in, &how, &service_ops, sv, &sv->x, &e);
	fd_close_all(given, countof(given));
	if (r == -1)
		not_started(sv, &e);
}

void
service_request(struct init *in, int64_t id, const struct chan_frame *f)
{
	struct service *sv = calloc(1, sizeof(*sv));
	struct err e;

	if (in->service != NULL)
		(void)err_set(&e, ERR_BAD_REQUEST, "there is a service");
	else if (stop_begun(in))
		(void)err_set(&e, ERR_SANDBOX_STATE, "the sandbox is stopping");
	else if (sv == NULL)
		(void)err_set(&e, ERR_LIMIT, "no memory");
	/* It is needed at every start. */
	else if (json_parse(
		     f->text, f->len, JSON_DEPTH_CONTROL, &sv->msg, &e) == 0) {
		sv->in = in;
		sv->policy = json_get(sv->msg, "service");
		ev_init(&sv->again, on_again);
		sv->again.data = sv;
		ready_init(sv);
		in->service = sv;
		(void)chan_reply_ok(in->ch, id);
		service_start(sv);
		return;
	}
	free(sv);
	(void)chan_reply_err(in->ch, id, &e);
}

void
service_put_state(const struct init *in, struct jw *w)
{
	if (in->service == NULL || in->service->told == NULL)
		return;
	jw_kstr(w, "service", in->service->told);
	jw_kint(w, "restarts", in->service->restarts);
}
