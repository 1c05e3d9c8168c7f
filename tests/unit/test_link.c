/*
 * gateway/call and gateway/link: one end for each call, whoever answers, stays
 * silent, dies or lies. The supervisor and those behind a channel are raw
 * frames in the test's hand.
 */
#include "gateway/call.h"
#include "gateway/link.h"
#include "lib/frame.h"
#include "lib/log.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "open_fds.h"

static struct gateway gw;
static int super_fd = -1; /* the supervisor's end */
static int fds_at_start;

/* What came back, one letter a call: k ok, or the error's code. */
static char told[4000];
static struct buf last; /* members of the last "ok" */
static int last_fd = -1;

static void
on_super(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct proto_in in;
	struct err e;

	(void)ch;
	(void)why;
	(void)ctx;
	assert_int_equal(what, CHAN_FRAME);
	assert_int_equal(proto_check(ROLE_SUPER, PS_RUNNING, ROLE_GATEWAY,
			     f->msg, f->len, f->nfds, &in, &e),
	    0);
	assert_int_not_equal(in.kind, PROTO_MESSAGE);
	calls_reply(&gw, &in, f);
}

static int
setup(void **state)
{
	struct err e;
	int fd;

	(void)state;
	fds_at_start = open_fds();
	memset(&gw, 0, sizeof(gw));
	told[0] = '\0';
	buf_init(&last, 65536);
	gw.loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	assert_int_equal(fd_socketpair(&fd, &super_fd, &e), 0);
	gw.super = chan_new(gw.loop, fd, "supervisor", on_super, NULL);
	assert_int_equal(calls_open(&gw, &e), 0);
	assert_int_equal(links_open(&gw, &e), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	links_close(&gw);
	calls_close(&gw);
	chan_free(STEAL(gw.super));
	fd_close(&super_fd);
	fd_close(&last_fd);
	ev_loop_destroy(gw.loop);
	buf_free(&last);
	assert_int_equal(open_fds(), fds_at_start);
	return 0;
}

static void
turn(void)
{
	ev_run(gw.loop, EVRUN_NOWAIT);
	ev_run(gw.loop, EVRUN_NOWAIT);
}

/* --- the other sides ----------------------------------------------------- */

/* The next frame on FD as text; "" when there is none. */
static const char *
heard(int fd, int *fd_out)
{
	static char text[70000];
	char head[FRAME_HEADER];
	int fds[FDIO_MAX_FDS];
	size_t nfds = 0, len;

	turn();
	if (fd_recv(fd, head, sizeof(head), fds, &nfds) != FRAME_HEADER)
		return "";
	if (fd_out != NULL && nfds == 1)
		*fd_out = fds[0];
	else
		fd_close_all(fds, nfds);
	len = (size_t)(unsigned char)head[2] << 8 | (unsigned char)head[3];
	len |= (size_t)(unsigned char)head[1] << 16;
	assert_true(len < sizeof(text));
	assert_int_equal(read(fd, text, len), len);
	text[len] = '\0';
	/* That a sandbox is in use is told beside everything else. */
	if (strstr(text, "\"name\":\"sandbox.touch\"") != NULL)
		return heard(fd, fd_out);
	return text;
}

static void say(int fd, int with_fd, const char *fmt, ...) ATTR_PRINTF(3, 4);

static void
say(int fd, int with_fd, const char *fmt, ...)
{
	struct buf b;
	char text[4096];
	va_list ap;
	size_t at;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_init(&b, 8192);
	at = frame_begin(&b);
	(void)buf_adds(&b, text);
	assert_int_equal(frame_end(&b, at), 0);
	assert_int_equal(fd_send(fd, b.data, b.len, &with_fd, with_fd != -1),
	    (ssize_t)b.len);
	buf_free(&b);
	turn();
}

static int64_t
id_of(const char *text)
{
	const char *at = strstr(text, "\"id\":");

	assert_non_null(at);
	return strtoll(at + 5, NULL, 10);
}

/* Answer the gateway.connect that has been sent; the end of who is there. */
static int
let_in(const char *kind, const char *id)
{
	const char *text = heard(super_fd, NULL);
	char want[200];
	int ours, theirs;
	struct err e;

	(void)snprintf(
	    want, sizeof(want), "\"kind\":\"%s\",\"name\":\"%s\"}", kind, id);
	assert_non_null(strstr(text, "gateway.connect"));
	assert_non_null(strstr(text, want));
	assert_int_equal(fd_socketpair(&ours, &theirs, &e), 0);
	say(super_fd, theirs, "{\"id\":%lld,\"ok\":{},\"fds\":1}",
	    (long long)id_of(text));
	fd_close(&theirs);
	return ours;
}

/* --- who waits ----------------------------------------------------------- */

static void
note(const char *name, const char *what)
{
	size_t n = strlen(told);

	(void)snprintf(told + n, sizeof(told) - n, "%s:%s ", name, what);
}

static void
on_link(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct jw w;

	note(ctx, ok != NULL ? "ok" : err_wire(e->code));
	assert_int_equal(ok != NULL, e == NULL);
	if (ok == NULL)
		return;
	buf_clear(&last);
	jw_init(&w, &last);
	jw_value(&w, ok);
	if (nfds > 0) {
		fd_close(&last_fd);
		last_fd = fd_steal(&fds[0]);
	}
}

static void
on_call(void *ctx, const struct json *result, const struct err *e)
{
	note(ctx, result != NULL ? "ok" : err_wire(e->code));
	assert_int_equal(result != NULL, e == NULL);
}

/* How often WORD was told: those that fail at one time come in any order. */
static unsigned
times(const char *word)
{
	unsigned n = 0;

	for (const char *at = told; (at = strstr(at, word)) != NULL; at++)
		n++;
	return n;
}

static char a[] = "a", b_[] = "b", c_[] = "c";

static uint64_t
ask(const char *sandbox, enum msg_type type, const char *fields, int64_t ms,
    void *name)
{
	struct buf b;
	uint64_t n;

	buf_init(&b, 1 << 20);
	(void)buf_adds(&b, fields);
	n = link_call(
	    &gw, LINK_INIT, sandbox, type, &b, NULL, 0, ms, on_link, name);
	buf_free(&b);
	return n;
}

#define GET "{\"process\":5}"

/* --- tests --------------------------------------------------------------- */

static void
test_calls(void **state)
{
	struct buf args;
	const char *text;

	(void)state;
	buf_init(&args, 1 << 20);
	(void)buf_adds(&args, "{\"id\":\"x\"}");
	super_call(&gw, "sandbox.get", &args, on_call, a);
	super_call(&gw, "status", NULL, on_call, b_);
	assert_string_equal(told, "");
	text = heard(super_fd, NULL);
	assert_non_null(
	    strstr(text, "\"name\":\"sandbox.get\",\"args\":{\"id\":\"x\"}"));
	say(super_fd, -1,
	    "{\"id\":%lld,\"error\":{\"code\":\"sandbox_not_found\","
	    "\"detail\":\"no\"}}",
	    (long long)id_of(text));
	assert_string_equal(told, "a:sandbox_not_found ");
	text = heard(super_fd, NULL);
	assert_non_null(strstr(text, "\"name\":\"status\",\"args\":{}"));
	say(super_fd, -1, "{\"id\":%lld,\"ok\":{\"result\":[1]}}",
	    (long long)id_of(text));
	assert_string_equal(told, "a:sandbox_not_found b:ok ");
	/* A second answer is nobody's. */
	say(super_fd, -1, "{\"id\":%lld,\"ok\":{\"result\":[1]}}",
	    (long long)id_of(text));
	assert_string_equal(told, "a:sandbox_not_found b:ok ");
	buf_free(&args);
}

/* What the supervisor would hang up for is not sent. */
static void
test_calls_are_looked_at(void **state)
{
	static const char *const bad[] = { "{\"a\":", "{\"a\":1}}",
		"{\"a\":[[[[[[[[1]]]]]]]]}", "" };
	struct buf args;

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		buf_init(&args, 1 << 21);
		(void)buf_adds(&args, bad[i]);
		super_call(&gw, "status", &args, on_call, a);
		buf_free(&args);
	}
	buf_init(&args, 1 << 21);
	(void)buf_adds(&args, "{\"a\":\"");
	for (size_t i = 0; i < (1 << 20); i++)
		(void)buf_addc(&args, 'x');
	(void)buf_adds(&args, "\"}");
	super_call(&gw, "status", &args, on_call, b_);
	buf_free(&args);
	assert_string_equal(told, "");
	assert_string_equal(heard(super_fd, NULL), "");
	assert_int_equal(times("a:bad_request "), 4);
	assert_int_equal(times("b:too_large "), 1);
}

static void
test_one_channel_for_all(void **state)
{
	const char *text;
	int64_t first, second;
	int peer;

	(void)state;
	ask("box", MSG_PROC_GET, GET, 0, a);
	ask("box", MSG_PROC_GET, GET, 0, b_);
	peer = let_in("init", "box");
	first = id_of(heard(peer, NULL));
	text = heard(peer, NULL);
	assert_non_null(strstr(text, "\"op\":\"proc.get\""));
	assert_non_null(strstr(text, "\"process\":5"));
	second = id_of(text);
	/* Answers come in any order. */
	say(peer, -1, "{\"id\":%lld,\"ok\":{\"process\":{}}}",
	    (long long)second);
	say(peer, -1,
	    "{\"id\":%lld,\"error\":{\"code\":\"limit\",\"detail\":\"\"}}",
	    (long long)first);
	assert_string_equal(told, "b:ok a:limit ");
	ask("box", MSG_PROC_GET, GET, 0, c_);
	assert_non_null(strstr(heard(peer, NULL), "proc.get"));
	assert_string_equal(heard(super_fd, NULL), "");
	fd_close(&peer);
	turn();
	assert_string_equal(told, "b:ok a:limit c:sandbox_failed ");
}

static void
test_descriptors_travel(void **state)
{
	struct err e;
	int peer, r, w, got = -1;
	struct buf f;

	(void)state;
	assert_int_equal(fd_pipe(&r, &w, &e), 0);
	buf_init(&f, 100);
	(void)buf_adds(&f, GET);
	link_call(
	    &gw, LINK_INIT, "box", MSG_PROC_INPUT, &f, &w, 1, 0, on_link, a);
	buf_free(&f);
	peer = let_in("init", "box");
	say(peer, r, "{\"id\":%lld,\"ok\":{\"bytes\":3},\"fds\":1}",
	    (long long)id_of(heard(peer, &got)));
	assert_string_equal(told, "a:ok ");
	assert_string_equal(last.data, "{\"bytes\":3}");
	assert_int_not_equal(got, -1);
	assert_int_not_equal(last_fd, -1);
	assert_int_equal(write(got, "x", 1), 1);
	fd_close(&got);
	fd_close(&r);
	fd_close(&peer);
}

static void
no_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	(void)ctx;
	(void)level;
	(void)line;
	(void)len;
}

/* Whoever lies loses the channel, and nobody else notices. */
static void
test_liars(void **state)
{
	static const char *const lies[] = {
		"no json",
		"[]",
		"{\"op\":\"hello\",\"role\":\"init\",\"version\":\"1\"}",
		"{\"op\":\"gateway.stop\",\"grace_ms\":1}",
		"{\"op\":\"exited\",\"exec\":1,\"code\":0}",
		"{\"id\":999999,\"ok\":{}}",
		"{\"id\":%lld,\"ok\":{}}",
		"{\"id\":%lld,\"ok\":{\"process\":5}}",
		"{\"id\":%lld,\"ok\":{\"process\":{},\"more\":1}}",
		"{\"id\":%lld,\"ok\":{\"process\":{}},\"fds\":1}",
		"{\"id\":%lld,\"error\":{}}",
		"{\"id\":%lld}",
	};
	int honest = -1, liar;
	int64_t id, other;

	(void)state;
	log_sink(no_log, NULL);
	for (size_t i = 0; i < countof(lies); i++) {
		told[0] = '\0';
		ask("liar", MSG_PROC_GET, GET, 0, a);
		liar = let_in("init", "liar");
		id = id_of(heard(liar, NULL));
		ask("honest", MSG_PROC_GET, GET, 0, b_);
		if (i == 0)
			honest = let_in("init", "honest");
		other = id_of(heard(honest, NULL));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		say(liar, -1, lies[i], (long long)id);
#pragma GCC diagnostic pop
		assert_string_equal(told, "a:sandbox_failed ");
		assert_int_equal(recv(liar, &id, 1, 0), 0); /* hung up */
		fd_close(&liar);
		say(honest, -1, "{\"id\":%lld,\"ok\":{\"process\":{}}}",
		    (long long)other);
		assert_string_equal(told, "a:sandbox_failed b:ok ");
	}
	fd_close(&honest);
	log_sink(NULL, NULL);
}

/* The number of another channel's call is no key to it. */
static void
test_answers_for_others(void **state)
{
	int one, two;
	int64_t id;

	(void)state;
	ask("one", MSG_PROC_GET, GET, 0, a);
	one = let_in("init", "one");
	ask("two", MSG_PROC_GET, GET, 0, b_);
	two = let_in("init", "two");
	id = id_of(heard(one, NULL));
	log_sink(no_log, NULL);
	say(two, -1, "{\"id\":%lld,\"ok\":{\"process\":{}}}", (long long)id);
	log_sink(NULL, NULL);
	assert_string_equal(told, "b:sandbox_failed ");
	say(one, -1, "{\"id\":%lld,\"ok\":{\"process\":{}}}", (long long)id);
	assert_string_equal(told, "b:sandbox_failed a:ok ");
	fd_close(&one);
	fd_close(&two);
}

/* As many answers as there were calls: who sends more would keep us busy. */
static void
test_answers_too_many(void **state)
{
	uint64_t n;
	int64_t id;
	int peer;
	char c;

	(void)state;
	n = ask("box", MSG_PROC_GET, GET, 0, a);
	peer = let_in("init", "box");
	id = id_of(heard(peer, NULL));
	link_cancel(&gw, n);
	say(peer, -1, "{\"id\":%lld,\"ok\":{\"process\":{}}}", (long long)id);
	assert_int_equal(recv(peer, &c, 1, MSG_DONTWAIT), -1); /* forgiven */
	ask("box", MSG_PROC_GET, GET, 0, b_);
	id = id_of(heard(peer, NULL));
	say(peer, -1, "{\"id\":%lld,\"ok\":{\"process\":{}}}", (long long)id);
	assert_string_equal(told, "b:ok ");
	log_sink(no_log, NULL);
	say(peer, -1, "{\"id\":%lld,\"ok\":{\"process\":{}}}", (long long)id);
	log_sink(NULL, NULL);
	assert_int_equal(recv(peer, &c, 1, 0), 0); /* hung up */
	fd_close(&peer);
}

static void
test_no_way_in(void **state)
{
	const char *text;

	(void)state;
	ask("box", MSG_PROC_GET, GET, 0, a);
	ask("box", MSG_PROC_GET, GET, 0, b_);
	text = heard(super_fd, NULL);
	say(super_fd, -1,
	    "{\"id\":%lld,\"error\":{\"code\":\"sandbox_not_found\","
	    "\"detail\":\"no\"}}",
	    (long long)id_of(text));
	assert_string_equal(told, "a:sandbox_not_found b:sandbox_not_found ");
	/* The next one asks again. */
	ask("box", MSG_PROC_GET, GET, 0, c_);
	text = heard(super_fd, NULL);
	assert_non_null(strstr(text, "gateway.connect"));
	/* An answer without the descriptor is a defect, not a crash. */
	say(super_fd, -1, "{\"id\":%lld,\"ok\":{}}", (long long)id_of(text));
	assert_non_null(strstr(told, "c:internal "));
}

static void
test_deadlines(void **state)
{
	const char *text;
	int64_t run;
	int peer;

	(void)state;
	ask("box", MSG_PROC_RUN, "{\"argv\":[\"x\"]}", 30, a);
	peer = let_in("init", "box");
	run = id_of(heard(peer, NULL));
	for (int i = 0; i < 100 && told[0] == '\0'; i++)
		ev_run(gw.loop, EVRUN_ONCE);
	assert_string_equal(told, "a:timeout ");
	text = heard(peer, NULL);
	assert_non_null(strstr(text, "\"op\":\"proc.cancel\""));
	/* Too late, and forgiven. */
	say(peer, -1,
	    "{\"id\":%lld,\"ok\":{\"pid\":1,\"code\":0,\"timed_out\":false}}",
	    (long long)run);
	assert_string_equal(told, "a:timeout ");
	fd_close(&peer);
}

static void
test_cancel(void **state)
{
	uint64_t n, waiting;
	int peer;

	(void)state;
	n = ask("box", MSG_PROC_RUN, "{\"argv\":[\"x\"]}", 0, a);
	waiting = ask("box", MSG_PROC_RUN, "{\"argv\":[\"x\"]}", 0, b_);
	link_cancel(&gw, waiting); /* before anybody has heard of it */
	peer = let_in("init", "box");
	assert_int_equal(id_of(heard(peer, NULL)), n);
	assert_string_equal(heard(peer, NULL), "");
	link_cancel(&gw, n);
	link_cancel(&gw, n); /* nothing more */
	assert_non_null(strstr(heard(peer, NULL), "\"op\":\"proc.cancel\""));
	assert_string_equal(heard(peer, NULL), "");
	fd_close(&peer);
	turn();
	assert_string_equal(told, "");
}

/* What the other side would have to refuse does not reach it. */
static void
test_messages_are_looked_at(void **state)
{
	char big[40000];
	struct buf f;
	int peer;

	(void)state;
	ask("box", MSG_PROC_GET, GET, 0, a);
	peer = let_in("init", "box");
	(void)heard(peer, NULL);
	ask("box", MSG_PROC_GET, "{}", 0, b_);
	ask("box", MSG_PROC_GET, "{\"process\":0}", 0, b_);
	ask("box", MSG_PROC_GET, "{\"process\":1,\"id\":7}", 0, b_);
	ask("box", MSG_PROC_GET, "{\"process\":1,\"op\":\"x\"}", 0, b_);
	ask("box", MSG_PROC_CONFIG, "{\"set\":{\"a\":[[[[[[[[[[1]]]]]]]]]]}}",
	    0, b_);
	memset(big, 'x', sizeof(big));
	memcpy(big, "{\"path\":\"", 9);
	memcpy(big + sizeof(big) - 3, "\"}", 3);
	ask("box", MSG_FS_STAT, big, 0, c_);
	assert_string_equal(told, "");
	assert_string_equal(heard(peer, NULL), "");
	assert_int_equal(times("b:bad_request "), 5);
	assert_int_equal(times("c:too_large "), 1);
	buf_init(&f, 100);
	(void)buf_adds(&f, "{\"nonsense\":1}");
	link_notice(&gw, LINK_INIT, "box", MSG_FS_ABORT, &f);
	assert_string_equal(heard(peer, NULL), "");
	buf_clear(&f);
	(void)buf_adds(&f, "{\"upload\":3}");
	link_notice(&gw, LINK_INIT, "box", MSG_FS_ABORT, &f);
	assert_non_null(strstr(heard(peer, NULL), "\"upload\":3"));
	/* To nobody: no channel is made for it. */
	link_notice(&gw, LINK_FILES, "box", MSG_FS_ABORT, &f);
	assert_string_equal(heard(super_fd, NULL), "");
	buf_free(&f);
	fd_close(&peer);
}

static void
test_left_for_new_ones(void **state)
{
	int old, fresh;
	int64_t id;

	(void)state;
	ask("box", MSG_PROC_GET, GET, 0, a);
	old = let_in("init", "box");
	id = id_of(heard(old, NULL));
	links_leave(&gw, "files", "box"); /* another kind */
	links_leave(&gw, "init", "other");
	ask("box", MSG_PROC_GET, GET, 0, b_);
	assert_non_null(strstr(heard(old, NULL), "proc.get"));
	links_leave(&gw, "init", "box");
	ask("box", MSG_PROC_GET, GET, 0, c_);
	fresh = let_in("init", "box");
	assert_non_null(strstr(heard(fresh, NULL), "proc.get"));
	/* What was asked before is still answered. */
	say(old, -1, "{\"id\":%lld,\"ok\":{\"process\":{}}}", (long long)id);
	assert_string_equal(told, "a:ok ");
	fd_close(&old);
	turn();
	assert_string_equal(told, "a:ok b:sandbox_failed ");
	fd_close(&fresh);
	turn();
	assert_string_equal(told, "a:ok b:sandbox_failed c:sandbox_failed ");
}

/* Asked again from within the bad news: a new channel, not the dead one. */
static void
on_again(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	on_link(ctx, ok, fds, nfds, e);
	ask("box", MSG_PROC_GET, GET, 0, c_);
}

static void
test_again_from_the_end(void **state)
{
	struct buf f;
	int peer;

	(void)state;
	buf_init(&f, 100);
	(void)buf_adds(&f, GET);
	link_call(
	    &gw, LINK_INIT, "box", MSG_PROC_GET, &f, NULL, 0, 0, on_again, a);
	link_call(
	    &gw, LINK_INIT, "box", MSG_PROC_GET, &f, NULL, 0, 0, on_link, b_);
	buf_free(&f);
	peer = let_in("init", "box");
	fd_close(&peer);
	turn();
	assert_string_equal(told, "a:sandbox_failed b:sandbox_failed ");
	peer = let_in("init", "box");
	assert_non_null(strstr(heard(peer, NULL), "proc.get"));
	fd_close(&peer);
	turn();
	assert_non_null(strstr(told, "c:sandbox_failed "));
}

static void
test_pins(void **state)
{
	uint64_t pin;
	int peer;

	(void)state;
	assert_int_equal(link_pin(&gw, LINK_FILES, "box"), 0);
	ask("box", MSG_PROC_GET, GET, 0, a);
	assert_int_equal(link_pin(&gw, LINK_INIT, "box"), 0);
	peer = let_in("init", "box");
	pin = link_pin(&gw, LINK_INIT, "box");
	assert_int_not_equal(pin, 0);
	link_unpin(&gw, pin);
	link_unpin(&gw, pin);
	link_unpin(&gw, 0);
	/* One that outlives its channel. */
	pin = link_pin(&gw, LINK_INIT, "box");
	fd_close(&peer);
	turn();
	link_unpin(&gw, pin);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_calls),
		T(test_calls_are_looked_at),
		T(test_one_channel_for_all),
		T(test_descriptors_travel),
		T(test_liars),
		T(test_answers_for_others),
		T(test_answers_too_many),
		T(test_no_way_in),
		T(test_deadlines),
		T(test_cancel),
		T(test_messages_are_looked_at),
		T(test_left_for_new_ones),
		T(test_again_from_the_end),
		T(test_pins),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
