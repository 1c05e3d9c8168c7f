/*
 * The way out of sandboxd-init, asked for or because its channel has closed;
 * changes of copy-on-write mounts; what an idle one costs.
 */
#include "test_init_help.h"

static void
test_stop_empty(void **state)
{
	struct peer *p = plain_box();
	int status;

	(void)state;
	box_stop(p, 60000);
	json_free(peer_reply(p, 1));
	status = wait_end(p->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	peer_free(p);
	free(p);
}

static void
test_stop_gently(void **state)
{
	struct peer *p = plain_box();
	struct run a, b;
	struct json *j;
	int64_t start;

	(void)state;
	a = run_start(p, "\"argv\":[\"sh\",\"-c\",\"trap 'echo term; exit 5' "
			 "TERM; exec 2>/dev/null; echo "
			 "up; while :; do sleep 0.05; done\"]");
	b = run_start(p, "\"argv\":[\"sh\",\"-c\",\"kill -STOP $$\"]");
	(void)run_started(p, &a);
	(void)run_started(p, &b);
	wait_text(a.out_fd, "up\n");
	assert_int_equal(box_wait_count(p, 'T', 1), 1);
	start = now_monotonic_ms();
	box_stop(p, 15000);
	assert_int_equal(run_ended(p, a.id).code, 5);
	assert_int_equal(run_ended(p, b.id).signal, SIGTERM);
	wait_text(a.out_fd, "term\n");
	/* Nothing new meanwhile; the answer is the last word. */
	j = peer_reply(p, 3);
	assert_non_null(json_get(j, "ok"));
	json_free(j);
	assert_true(now_monotonic_ms() - start < 10000);
	assert_int_equal(WEXITSTATUS(wait_end(p->pid)), 0);
	run_close(&a);
	run_close(&b);
	peer_free(p);
	free(p);
}

static void
test_stop_by_force(void **state)
{
	struct peer *p = plain_box();
	int64_t start, ms;
	struct run r, late;
	struct json *j;

	(void)state;
	r = run_start(p, helper_args("stubborn", 6, ""));
	(void)run_started(p, &r);
	wait_text(r.out_fd, "up\n");
	start = now_monotonic_ms();
	box_stop(p, 400);
	late = run_start(p, "\"argv\":[\"true\"]");
	j = peer_reply(p, late.id);
	assert_string_equal(
	    json_str(json_get(j, "error"), "code", ""), "sandbox_state");
	json_free(j);
	assert_int_equal(run_ended(p, r.id).signal, SIGKILL);
	j = peer_reply(p, 2);
	assert_non_null(json_get(j, "ok"));
	json_free(j);
	ms = now_monotonic_ms() - start;
	assert_true(ms >= 400 && ms < 5000);
	assert_int_equal(WEXITSTATUS(wait_end(p->pid)), 0);
	run_close(&r);
	run_close(&late);
	peer_free(p);
	free(p);
}

static void
test_stop_hastened(void **state)
{
	struct peer *p = plain_box();
	int64_t start;
	struct run r;

	(void)state;
	r = run_start(p, helper_args("stubborn", 3, ""));
	(void)run_started(p, &r);
	wait_text(r.out_fd, "up\n");
	start = now_monotonic_ms();
	box_stop(p, 600000);
	box_stop(p, 100);
	json_free(peer_reply(p, 2));
	json_free(peer_reply(p, 3));
	assert_true(now_monotonic_ms() - start < 5000);
	assert_int_equal(WEXITSTATUS(wait_end(p->pid)), 0);
	run_close(&r);
	peer_free(p);
	free(p);
}

/* Whoever held the other end has gone: everything goes. */
static void
test_channel_closed(void **state)
{
	struct peer *p = plain_box();
	struct run r;
	char *rest;

	(void)state;
	r = run_start(p, helper_args("bomb", 2, ""));
	(void)run_started(p, &r);
	wait_text(r.out_fd, "bb");
	fd_close(&p->fd);
	assert_int_equal(WEXITSTATUS(wait_end(p->pid)), 0);
	/* The pipe's end is the proof that nobody is left. */
	rest = read_all(r.out_fd, NULL);
	free(rest);
	run_close(&r);
	peer_free(p);
	free(p);
}

static void
test_changes(void **state)
{
	char dir[] = "/tmp/test_init.XXXXXX";
	struct box_plan plan = { .upper = dir };
	int out[2], fd;
	struct peer *p;
	struct json *j;
	char *text, path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/new", dir);
	assert_int_equal(put_file(path, "fresh"), 0);
	p = box_start(&plan);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	peer_sendf(p, &out[1], 1,
	    "{\"id\":1,\"op\":\"changes\",\"target\":\"/"
	    "workspace\",\"fds\":1}");
	(void)close(out[1]);
	text = read_all(out[0], NULL);
	(void)close(out[0]);
	j = peer_reply(p, 1);
	assert_int_equal(json_int(json_get(j, "ok"), "entries", -1), 1);
	json_free(j);
	assert_non_null(strstr(text, "\"path\":\"new\""));
	assert_non_null(strstr(text, "}\nfresh{\"end\":true"));
	free(text);

	/* A reader that has gone, and a target that is none. */
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	(void)close(out[0]);
	peer_sendf(p, &out[1], 1,
	    "{\"id\":2,\"op\":\"changes\",\"target\":\"/"
	    "workspace\",\"fds\":1}");
	j = peer_reply(p, 2);
	assert_non_null(json_get(j, "error"));
	json_free(j);
	peer_sendf(p, &out[1], 1,
	    "{\"id\":3,\"op\":\"changes\",\"target\":\"/other\",\"fds\":1}");
	(void)close(out[1]);
	j = peer_reply(p, 3);
	assert_string_equal(
	    json_str(json_get(j, "error"), "code", ""), "bad_request");
	json_free(j);
	/* A reader that does not read holds up nobody else. */
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	(void)close(fd);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	peer_sendf(p, &out[1], 1,
	    "{\"id\":4,\"op\":\"changes\",\"target\":\"/"
	    "workspace\",\"fds\":1}");
	(void)close(out[1]);
	p->next_id = 5;
	run_expect(p, "\"argv\":[\"echo\",\"meanwhile\"]", "meanwhile\n");
	assert_null(peer_try(p, "id", 4, NULL, 0));
	free(read_all(out[0], NULL));
	(void)close(out[0]);
	json_free(peer_reply(p, 4));
	box_end(p);
	(void)unlink(path);
	(void)rmdir(dir);
}

static long
pss_kb(pid_t pid)
{
	char path[64], line[256];
	long kb = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Pss: %ld", &kb) == 1)
			break;
	(void)fclose(f);
	return kb;
}

/* What an idle init costs, after work. */
static void
test_memory(void **state)
{
	int64_t end = now_monotonic_ms() + WAIT_MS;
	struct peer *p = plain_box();
	struct run r;
	long kb;
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		r = run_start(p, "\"argv\":[\"true\"]");
		(void)run_started(p, &r);
		(void)run_ended(p, r.id);
		run_close(&r);
	}
	/* Around 580; the kernel maps code by up to 64 kB at a time. */
	if (getenv("SANDBOXD_SANITIZED") == NULL) {
		while ((kb = pss_kb(p->pid)) >= 650 && now_monotonic_ms() < end)
			(void)poll(NULL, 0, 20);
		print_message("# init: %ld kB PSS idle and alone\n", kb);
		assert_true(kb < 650);
	}
	box_end(p);
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_empty),
		cmocka_unit_test(test_stop_gently),
		cmocka_unit_test(test_stop_by_force),
		cmocka_unit_test(test_stop_hastened),
		cmocka_unit_test(test_channel_closed),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_memory),
	};

	return help_main(argc, argv, tests, countof(tests));
}
