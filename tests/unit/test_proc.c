/*
 * The state grid of children: every cell is walked, and each path of a life is
 * taken with a fake child at the other end of a real channel. Signals and the
 * clock are fakes, so nothing is ever killed and no test waits for a guess.
 */
#include "test_supervisor.h"

#include "lib/fdio.h"
#include "lib/frame.h"
#include "supervisor/proc.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

struct fake {
	struct ev_loop *loop;
	struct proc p;
	int child_fd; /* the child's end of the channel */
	int starts, ups, downs, kills, asks, messages;
	int fail_start, not_yet;
	char cause[256];
};

static struct fake F;
static int signals_sent, last_signal;
static int64_t fake_now;

static int
fake_kill(int pidfd, int sig)
{
	(void)pidfd;
	signals_sent++;
	last_signal = sig;
	return 0;
}

static int64_t
fake_clock(void)
{
	return fake_now;
}

static int
k_start(struct proc *p, struct err *e)
{
	int ours = -1;

	F.starts++;
	if (F.fail_start)
		return err_set(e, ERR_SYSTEM, "no luck");
	fd_close(&F.child_fd);
	assert_int_equal(fd_socketpair(&ours, &F.child_fd, e), 0);
	proc_spawned(p, -1, dup(0), ours);
	return 0;
}

static bool
k_may_start(const struct proc *p)
{
	(void)p;
	return F.not_yet == 0 || F.not_yet-- == 0;
}

static void
k_up(struct proc *p)
{
	(void)p;
	F.ups++;
}

static int
k_message(struct proc *p, const struct proto_in *in, const struct chan_frame *f,
    struct err *e)
{
	(void)p;
	(void)f;
	F.messages++;
	if (in->type != MSG_INIT_EXITED)
		return err_set(e, ERR_BAD_REQUEST, "not this one");
	return 0;
}

static void
k_ask(struct proc *p)
{
	(void)p;
	F.asks++;
}

static void
k_kill(struct proc *p)
{
	(void)p;
	F.kills++;
}

static void
k_down(struct proc *p, const char *cause)
{
	(void)p;
	F.downs++;
	(void)snprintf(F.cause, sizeof(F.cause), "%s", cause);
}

static struct proc_kind kind = {
	.role = ROLE_INIT,
	.start = k_start,
	.may_start = k_may_start,
	.up = k_up,
	.message = k_message,
	.ask_stop = k_ask,
	.kill = k_kill,
	.down = k_down,
	.start_ms = 60000,
	.stop_ms = 60000,
	.restart = true,
};

static int
setup(void **state)
{
	(void)state;
	memset(&F, 0, sizeof(F));
	F.child_fd = -1;
	F.loop = ev_default_loop(0);
	sysops.pidfd_kill = fake_kill;
	sysops.now_ms = fake_clock;
	signals_sent = 0;
	fake_now = 1000000;
	proc_init(&F.p, &kind, &F, F.loop, "init test");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	proc_free(&F.p);
	fd_close(&F.child_fd);
	return 0;
}

/* Run the loop until nothing more is to be done at once. */
static void
settle(void)
{
	for (int i = 0; i < 20; i++)
		ev_run(F.loop, EVRUN_NOWAIT);
}

static void
put(const char *json)
{
	struct buf b;
	size_t pos;

	buf_init(&b, FRAME_MAX + 4);
	pos = frame_begin(&b);
	(void)buf_adds(&b, json);
	assert_int_equal(frame_end(&b, pos), 0);
	assert_int_equal(fd_write_all(F.child_fd, b.data, b.len), 0);
	buf_free(&b);
}

static void
say(const char *json)
{
	put(json);
	settle();
}

static void
hello(void)
{
	say("{\"op\":\"hello\",\"role\":\"init\",\"version\":\"" PACKAGE_VERSION
	    "\"}");
}

static void
start_up(void)
{
	struct err e;

	assert_int_equal(proc_start(&F.p, &e), 0);
	assert_int_equal(F.p.state, PS_STARTING);
	hello();
	assert_int_equal(F.p.state, PS_RUNNING);
	assert_int_equal(F.ups, 1);
}

/* Each state must say what happens when we want it to end, and each state that
 * has a process what happens when it ends or its channel does. */
static void
test_grid_is_complete(void **state)
{
	(void)state;
	for (int s = 0; s < PS_N; s++) {
		assert_string_not_equal(
		    proc_state_name((enum proc_state)s), "?");
		if (s != PS_DOWN)
			assert_non_null(proc_grid[s][PE_STOP]);
		if (s == PS_STARTING || s == PS_RUNNING || s == PS_STOPPING) {
			assert_non_null(proc_grid[s][PE_EXIT]);
			assert_non_null(proc_grid[s][PE_EOF]);
			assert_non_null(proc_grid[s][PE_MSG]);
		} else {
			assert_null(proc_grid[s][PE_EXIT]);
			assert_null(proc_grid[s][PE_EOF]);
			assert_null(proc_grid[s][PE_HELLO]);
			assert_null(proc_grid[s][PE_MSG]);
		}
	}
	/* Every state that has a deadline says what its passing means. */
	assert_non_null(proc_grid[PS_STARTING][PE_TIMEOUT]);
	assert_non_null(proc_grid[PS_STOPPING][PE_TIMEOUT]);
	assert_non_null(proc_grid[PS_WAITING][PE_TIMEOUT]);
	/* A second hello is a breach. */
	assert_null(proc_grid[PS_RUNNING][PE_HELLO]);
	for (int ev = 0; ev < PE_N; ev++)
		assert_string_not_equal(
		    proc_event_name((enum proc_event)ev), "?");
}

static void
test_needs_exit_and_eof(void **state)
{
	(void)state;
	start_up();
	proc_exited(&F.p, SIGKILL);
	assert_int_equal(F.downs, 0); /* its last words may still come */
	say("{\"op\":\"exited\",\"exec\":1,\"code\":0,\"timed_out\":false}");
	assert_int_equal(F.messages, 1);
	fd_close(&F.child_fd);
	settle();
	assert_int_equal(F.downs, 1);
	assert_int_equal(F.p.state, PS_WAITING);
	assert_string_equal(F.cause, "killed by signal 9");
}

/* We were kept from reading for longer than a dead child's words may take: they
 * are heard all the same, in whatever order the loop finds things. */
static void
test_words_before_deadlines(void **state)
{
	(void)state;
	start_up();
	proc_exited(&F.p, SIGKILL);
	put("{\"op\":\"exited\",\"exec\":1,\"code\":0,\"timed_out\":false}");
	put("{\"op\":\"exited\",\"exec\":2,\"code\":0,\"timed_out\":false}");
	ev_timer_stop(F.loop, &F.p.timer);
	ev_timer_set(&F.p.timer, 0.001, 0.);
	ev_timer_start(F.loop, &F.p.timer);
	ev_sleep(0.01);
	settle();
	assert_int_equal(F.messages, 2);
	assert_int_equal(F.downs, 1); /* its end of the channel is still open */
}

/* What a child may say while it runs it may have said before it was stopped, or
 * died: read after that, it is no breach. */
static void
test_no_breach_by_being_read_late(void **state)
{
	(void)state;
	for (int m = 0; m < MSG_N; m++) {
		if ((proto_table[m].receivers & BIT(ROLE_SUPER)) == 0 ||
		    (proto_table[m].states & BIT(PS_RUNNING)) == 0)
			continue;
		assert_true((proto_table[m].states & BIT(PS_STOPPING)) != 0);
	}
}

static void
test_eof_before_exit(void **state)
{
	(void)state;
	start_up();
	fd_close(&F.child_fd);
	settle();
	assert_int_equal(F.p.state, PS_STOPPING);
	assert_int_equal(F.downs, 0);
	assert_int_equal(F.kills, 1); /* of no use without a channel */
	proc_exited(&F.p, 0);
	assert_int_equal(F.downs, 1);
}

static void
test_breach_costs_the_child(void **state)
{
	static const char *const breaches[] = {
		"{\"op\":\"hello\",\"role\":\"init\",\"version\":\"x\"}",
		"{\"op\":\"exited\",\"exec\":1}",
		"{\"op\":\"gone\",\"carry\":1}",
		"{\"op\":\"nonsense\"}",
		"{\"id\":77,\"ok\":{}}",
		"[1]",
		("{\"op\":\"exited\",\"exec\":1,\"code\":0,\"timed_out\":false,"
		 "\"more\":1}"),
	};

	(void)state;
	for (size_t i = 0; i < countof(breaches); i++) {
		start_up();
		say(breaches[i]);
		assert_int_equal(F.p.state, PS_STOPPING);
		assert_int_equal(F.kills, 1);
		proc_exited(&F.p, SIGKILL);
		assert_int_equal(F.downs, 1);
		/* The breach is told, not the kill that follows it. */
		assert_null(strstr(F.cause, "killed"));
		teardown(NULL);
		setup(NULL);
	}
}

static void
test_wrong_version_is_refused(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(proc_start(&F.p, &e), 0);
	say("{\"op\":\"hello\",\"role\":\"init\",\"version\":\"0.0.0\"}");
	assert_int_equal(F.ups, 0);
	assert_int_equal(F.p.state, PS_STOPPING);
}

static void
test_exited_while_starting_is_a_breach(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(proc_start(&F.p, &e), 0);
	say("{\"op\":\"exited\",\"exec\":1,\"code\":0,\"timed_out\":false}");
	assert_int_equal(F.messages, 0);
	assert_int_equal(F.p.state, PS_STOPPING);
}

static void
test_stop_asks_then_kills(void **state)
{
	(void)state;
	start_up();
	proc_stop(&F.p);
	assert_int_equal(F.asks, 1);
	assert_int_equal(F.kills, 0);
	proc_stop(&F.p); /* a second time changes nothing */
	assert_int_equal(F.asks, 1);
	/* The deadline passes. */
	ev_invoke(F.loop, &F.p.timer, EV_TIMER);
	assert_int_equal(F.kills, 1);
	proc_exited(&F.p, SIGKILL);
	fd_close(&F.child_fd);
	settle();
	assert_int_equal(F.p.state, PS_DOWN); /* wanted: no restart */
	assert_int_equal(F.downs, 1);
}

static void
test_kill_does_not_ask(void **state)
{
	(void)state;
	start_up();
	proc_kill(&F.p);
	assert_int_equal(F.asks, 0);
	assert_int_equal(F.kills, 1);
}

static void
test_mute_child(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(proc_start(&F.p, &e), 0);
	ev_invoke(F.loop, &F.p.timer, EV_TIMER);
	assert_int_equal(F.kills, 1);
	proc_exited(&F.p, SIGKILL);
	fd_close(&F.child_fd);
	settle();
	assert_string_equal(F.cause, "did not say hello in time");
	assert_int_equal(F.p.state, PS_WAITING);
}

static void
die_of(int status)
{
	proc_exited(&F.p, status);
	fd_close(&F.child_fd);
	settle();
}

static double
delay_then_start(void)
{
	double delay = (double)proc_next_start_ms(&F.p) / 1000.0;

	ev_timer_stop(F.loop, &F.p.timer);
	ev_invoke(F.loop, &F.p.timer, EV_TIMER);
	assert_int_equal(F.p.state, PS_STARTING);
	hello();
	return delay;
}

/* Lives that are long against the delay: it does not grow. */
static void
test_backoff(void **state)
{
	(void)state;
	start_up();
	for (int i = 1; i < 14; i++) {
		fake_now += 3000; /* too rare for a loop */
		die_of(1 << 8);
		assert_int_equal(F.p.state, PS_WAITING);
		assert_true(F.p.delay_ms >= 20 && F.p.delay_ms <= 25);
		assert_int_not_equal(proc_next_start_ms(&F.p), -1);
		(void)delay_then_start();
	}
	assert_string_equal(F.p.why, "exited with 1");
}

/* What it needs is away for longer than five deaths would take. */
static void
test_waits_for_what_it_needs(void **state)
{
	(void)state;
	start_up();
	F.not_yet = 8;
	die_of(1 << 8);
	for (int i = 8; i > 0; i--) {
		assert_int_equal(F.not_yet, i);
		ev_timer_stop(F.loop, &F.p.timer);
		ev_invoke(F.loop, &F.p.timer, EV_TIMER);
		assert_int_equal(F.p.state, PS_WAITING);
		assert_int_equal(F.starts, 1);
	}
	(void)delay_then_start();
	assert_int_equal(F.starts, 2);
	assert_int_equal(F.p.ncrashes, 1);
}

/* Short ones: it doubles up to its cap, and a stable minute sets it back. */
static void
test_backoff_cap(void **state)
{
	int64_t last = 0;

	(void)state;
	start_up();
	for (int i = 0; i < 12; i++) {
		/* A KILL of somebody else's is no crash, but no life either. */
		die_of(SIGKILL);
		assert_int_equal(F.p.state, PS_WAITING);
		assert_true(F.p.delay_ms > last || F.p.delay_ms >= 4000);
		assert_true(F.p.delay_ms <= 5000);
		last = F.p.delay_ms;
		(void)delay_then_start();
	}
	assert_true(last >= 4000);
	fake_now += 60000;
	die_of(SIGKILL);
	assert_int_equal(F.p.state, PS_WAITING);
	assert_true(F.p.delay_ms <= 25);
}

static void
crash_loop(void)
{
	for (int i = 1; i < PROC_LOOP_DEATHS; i++) {
		die_of(1 << 8);
		assert_int_equal(F.p.state, PS_WAITING);
		(void)delay_then_start();
		fake_now += 1900;
	}
	die_of(1 << 8);
	assert_int_equal(F.p.state, PS_FAILED);
}

static void
test_giving_up(void **state)
{
	struct err e;

	(void)state;
	start_up();
	crash_loop();
	assert_string_equal(F.p.why,
	    "died 5 times in 10 s of running, the last time: exited with 1");
	assert_int_equal(proc_next_start_ms(&F.p), -1);
	/* Asked for by name it starts again, with a clean slate. */
	assert_int_equal(proc_start(&F.p, &e), 0);
	hello();
	assert_int_equal(F.p.state, PS_RUNNING);
	die_of(1 << 8);
	assert_int_equal(F.p.state, PS_WAITING);
	(void)delay_then_start();
	for (int i = 2; i < PROC_LOOP_DEATHS; i++) {
		die_of(1 << 8);
		(void)delay_then_start();
	}
	die_of(1 << 8);
	assert_int_equal(F.p.state, PS_FAILED);
	proc_reset(&F.p);
	assert_int_equal(F.p.state, PS_WAITING);
	assert_true(delay_then_start() < 0.1);
	assert_int_equal(F.p.state, PS_RUNNING);
	assert_string_equal(F.p.why, "");
}

/* What the daemon cannot do without is tried again, every 10 s. */
static void
test_keep_trying(void **state)
{
	double delay;

	(void)state;
	kind.keep_trying = true;
	start_up();
	crash_loop();
	fake_now += 60000;
	delay = delay_then_start();
	assert_true(delay > 5.0 && delay <= 12.5);
	fake_now += 30000;
	die_of(1 << 8); /* one is enough now */
	assert_int_equal(F.p.state, PS_FAILED);
	(void)delay_then_start();
	fake_now += 60000;
	die_of(1 << 8); /* a minute's life is a new one */
	assert_int_equal(F.p.state, PS_WAITING);
	kind.keep_trying = false;
}

static void
test_failed_start_is_told(void **state)
{
	struct err e;

	(void)state;
	F.fail_start = 1;
	assert_int_equal(proc_start(&F.p, &e), -1);
	assert_string_equal(e.text, "no luck");
	assert_int_equal(F.p.state, PS_DOWN);
	assert_int_equal(F.downs, 0);
}

static void
test_start_report(void **state)
{
	struct err e, why;

	(void)state;
	assert_int_equal(proc_start(&F.p, &e), 0);
	err_set(&why, ERR_SYSTEM, "mount the root: Permission denied");
	proc_start_failed(&F.p, &why);
	assert_int_equal(F.p.state, PS_STOPPING);
	proc_exited(&F.p, 1 << 8);
	fd_close(&F.child_fd);
	settle();
	assert_string_equal(F.cause, "mount the root: Permission denied");
}

/* --- calls --------------------------------------------------------------- */

static int replies_ok, replies_err;
static enum err_code reply_code;

static void
on_reply(void *ctx, const struct json *ok, const struct chan_frame *f,
    const struct err *e)
{
	(void)ctx;
	(void)f;
	if (ok != NULL) {
		replies_ok++;
	} else {
		replies_err++;
		reply_code = e->code;
	}
}

static void
call_kill(void)
{
	struct jw *w = proc_call(&F.p, MSG_INIT_KILL, 0, on_reply, &F);

	assert_non_null(w);
	jw_kint(w, "exec", 1);
	jw_kint(w, "signal", 9);
	assert_int_equal(proc_send(&F.p, NULL, 0), 0);
}

static void
test_calls_are_answered_once(void **state)
{
	(void)state;
	replies_ok = replies_err = 0;
	start_up();
	call_kill();
	call_kill();
	say("{\"id\":2,\"ok\":{}}");
	assert_int_equal(replies_ok, 1);
	say("{\"id\":2,\"ok\":{}}"); /* late or double: forgiven */
	assert_int_equal(replies_ok, 1);
	say("{\"id\":1,\"error\":{\"code\":\"exec_failed\",\"detail\":\"x\"}}");
	assert_int_equal(replies_err, 1);
	assert_int_equal(reply_code, ERR_EXEC_FAILED);
	assert_int_equal(F.p.state, PS_RUNNING);
}

static void
test_calls_fail_with_the_child(void **state)
{
	(void)state;
	replies_ok = replies_err = 0;
	start_up();
	call_kill();
	proc_exited(&F.p, SIGSEGV);
	fd_close(&F.child_fd);
	settle();
	assert_int_equal(replies_err, 1);
	assert_int_equal(reply_code, ERR_SANDBOX_FAILED);
	assert_null(proc_call(&F.p, MSG_INIT_KILL, 0, on_reply, &F));
}

/* It was killed, and nobody has noticed yet: that is its end, and not that it
 * has too much to do, which whoever waits for a store takes for a refusal. */
static void
test_call_to_one_just_dead(void **state)
{
	struct jw *w;

	(void)state;
	replies_ok = replies_err = 0;
	start_up();
	fd_close(&F.child_fd);
	w = proc_call(&F.p, MSG_INIT_KILL, 0, on_reply, &F);
	assert_non_null(w);
	jw_kint(w, "exec", 1);
	jw_kint(w, "signal", 9);
	assert_int_equal(proc_send(&F.p, NULL, 0), -1);
	proc_exited(&F.p, SIGKILL);
	settle();
	assert_int_equal(replies_ok, 0);
	assert_int_equal(replies_err, 1);
	assert_int_equal(reply_code, ERR_SANDBOX_FAILED);
}

/* As test_words_before_deadlines, for an answer. */
static void
test_answer_before_deadline(void **state)
{
	(void)state;
	replies_ok = replies_err = 0;
	start_up();
	assert_non_null(proc_call(&F.p, MSG_INIT_KILL, 1, on_reply, &F));
	assert_int_equal(proc_send(&F.p, NULL, 0), 0);
	put("{\"id\":1,\"ok\":{}}");
	ev_sleep(0.01);
	settle();
	assert_int_equal(replies_ok, 1);
	assert_int_equal(replies_err, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_grid_is_complete, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_needs_exit_and_eof, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_words_before_deadlines, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_no_breach_by_being_read_late, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_eof_before_exit, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_breach_costs_the_child, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_wrong_version_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_exited_while_starting_is_a_breach, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_stop_asks_then_kills, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_kill_does_not_ask, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_mute_child, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backoff, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_waits_for_what_it_needs, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_backoff_cap, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_giving_up, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_keep_trying, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_failed_start_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_start_report, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_calls_are_answered_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_calls_fail_with_the_child, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_call_to_one_just_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_answer_before_deadline, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	log_init("test", LOG_L_ERROR, LOG_F_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
