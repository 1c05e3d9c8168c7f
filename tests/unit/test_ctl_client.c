/*
 * The client against a server that lies, hangs up, repeats itself and sends
 * what nobody asked for; and the follower, which must show each event once
 * whatever happens to its connections.
 */
#include "test_ctl.h"

#include "ctl/follow.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

struct server {
	char dir[64];
	struct ctl ctl;
	pid_t pid;
	int fd;
};

/* One script per connection: what to write once a request line has come. "@"
 * in it stands for the request's id. NULL ends the list. */
static void
serve(int listen_fd, const char *const *scripts)
{
	for (; *scripts != NULL; scripts++) {
		int fd = accept(listen_fd, NULL, NULL);
		char line[4096];
		const char *p;
		size_t n = 0;

		if (fd == -1)
			_exit(1);
		while (n < sizeof(line) && read(fd, line + n, 1) == 1 &&
		       line[n] != '\n')
			n++;
		for (p = *scripts; *p != '\0'; p++)
			if (write(fd, *p == '@' ? "1" : p, 1) != 1)
				break;
		(void)close(fd);
	}
	_exit(0);
}

static void
start(struct server *s, const char *const *scripts)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	*s = (struct server){ .ctl = { .json = true } };
	make_tmp(s->dir);
	(void)snprintf(s->ctl.socket, sizeof(s->ctl.socket), "%s/s", s->dir);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/s", s->dir);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_not_equal(s->fd, -1);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(s->fd, 16), 0);
	s->pid = fork();
	assert_int_not_equal(s->pid, -1);
	if (s->pid == 0)
		serve(s->fd, scripts);
	(void)close(s->fd);
}

static void
stop(struct server *s)
{
	(void)kill(s->pid, SIGKILL);
	(void)waitpid(s->pid, NULL, 0);
	remove_tmp(s->dir);
}

static int
call(const char *script, struct answer *a, struct ctl *ctl_out, struct err *e)
{
	const char *scripts[] = { script, NULL };
	struct server s;
	int r;

	start(&s, scripts);
	r = client_ask(&s.ctl, "sandbox.get", "x", a, e);
	*ctl_out = s.ctl;
	stop(&s);
	return r;
}

static void
test_answers(void **state)
{
	struct answer a;
	struct ctl ctl;
	struct err e;

	(void)state;
	assert_int_equal(call("{\"id\":@,\"item\":{}}\n{\"id\":@,\"item\":1}\n"
			      "{\"id\":@,\"ok\":{\"id\":\"x\"}}\nrest",
			     &a, &ctl, &e),
	    0);
	assert_string_equal(json_str(a.body, "id", ""), "x");
	answer_free(&a);
	assert_int_equal(call("{\"id\":@,\"error\":{\"code\":"
			      "\"sandbox_not_found\",\"detail\":\"no x\"}}\n",
			     &a, &ctl, &e),
	    -1);
	assert_int_equal(e.code, ERR_SANDBOX_NOT_FOUND);
	assert_string_equal(e.text, "no x");
	assert_true(ctl.refused);
	/* a code that we do not know keeps its name */
	assert_int_equal(call("{\"id\":@,\"error\":{\"code\":\"new_one\","
			      "\"detail\":\"d\"}}\n",
			     &a, &ctl, &e),
	    -1);
	assert_string_equal(e.text, "new_one: d");
}

static void
test_garbage(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"garbage\n",
		"{\"id\":@,\"ok\":{}}", /* cut off */
		"{\"id\":7,\"ok\":{}}\n",
		"{\"id\":\"@\",\"ok\":{}}\n",
		"{\"ok\":{}}\n",
		"{\"id\":@}\n",
		"[1]\n",
		"{\"id\":@,\"ok\":{}} x\n",
		"{\"id\":@,\"ok\":\"\xff\"}\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < countof(bad); i++) {
		struct answer a;
		struct ctl ctl;
		struct err e;

		if (call(bad[i], &a, &ctl, &e) != -1)
			fail_msg("accepted: %s", bad[i]);
		assert_false(ctl.refused);
	}
}

static void
test_nobody(void **state)
{
	struct ctl ctl = { .socket = "/tmp/test-ctl-no-such/s" };
	struct answer a;
	struct err e;

	(void)state;
	assert_int_equal(client_ask(&ctl, "status", NULL, &a, &e), -1);
	assert_non_null(strstr(e.text, "start one"));
	assert_false(ctl.refused);
}

/* Read until the end or an error; sequences in order into SEEN. */
static int
follow_all(struct ctl *ctl, char *seen, size_t room, struct err *e)
{
	struct follow f;
	size_t at = 0;
	int r;

	seen[0] = '\0';
	follow_init(&f, ctl, "s", 0, true);
	for (;;) {
		enum follow_got got;
		struct answer a;

		r = follow_next(&f, &got, &a, e);
		if (r == -1 || got == FOLLOW_END)
			break;
		if (got == FOLLOW_NONE) {
			struct pollfd pfd = { .fd = follow_fd(&f),
				.events = POLLIN };

			(void)poll(&pfd, 1, follow_wait_ms(&f));
			continue;
		}
		at += (size_t)snprintf(seen + at, room - at, "%lld ",
		    (long long)json_int(a.body, "sequence", -1));
		answer_free(&a);
	}
	follow_free(&f);
	return r;
}

#define EV(n) "{\"id\":@,\"item\":{\"sequence\":" n ",\"type\":\"x\"}}\n"

static void
test_each_event_once(void **state)
{
	static const char *const scripts[] = {
		EV("1") EV("2"),			      /* hangs up */
		EV("2") EV("3") "{\"id\":@,\"item\":{\"sequ", /* cut */
		EV("3") EV("4") "garbage\n",
		"{\"id\":@,\"item\":{\"type\":\"x\"}}\n",
		"{\"id\":@,\"error\":{\"code\":\"store_unavailable\","
		"\"detail\":\"\"}}\n",
		EV("5") EV("5") EV("4") EV("6") "{\"id\":@,\"ok\":{}}\n",
		NULL,
	};
	struct server s;
	struct err e;
	char seen[256];

	(void)state;
	start(&s, scripts);
	if (follow_all(&s.ctl, seen, sizeof(seen), &e) == -1)
		fail_msg("%s", e.text);
	assert_string_equal(seen, "1 2 3 4 5 6 ");
	stop(&s);
}

static void
test_refusal_is_final(void **state)
{
	static const char *const scripts[] = {
		EV("1"),
		"{\"id\":@,\"error\":{\"code\":\"session_not_found\","
		"\"detail\":\"no s\"}}\n",
		EV("2"),
		NULL,
	};
	struct server s;
	struct err e;
	char seen[256];

	(void)state;
	start(&s, scripts);
	assert_int_equal(follow_all(&s.ctl, seen, sizeof(seen), &e), -1);
	assert_string_equal(seen, "1 ");
	assert_int_equal(e.code, ERR_SESSION_NOT_FOUND);
	stop(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_each_event_once),
		cmocka_unit_test(test_refusal_is_final),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
