/*
 * A command in a sandbox that is alive, `true` over the control socket: how
 *long one takes, and how many a second there are when several clients ask.
 *Against the same program started without any sandbox, in the same run, in
 *turns.
 *
 *	bench_exec SOCKET N CLIENTS [ALIVE]
 *
 * N one after the other, then N by so many CLIENTS, each of which asks again
 * when it has its answer. ALIVE is only told: how many other sandboxes there
 * are. One JSON line a figure.
 */
#include "client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define N_MAX 100000
#define CLIENTS_MAX 64
#define WAIT_MS 60000

static char *const bare[] = { "/bin/true", NULL };

static double
ours_once(struct client *c, int null_fd)
{
	double t = now_ms();

	client_send_true(c, "bench", null_fd);
	client_await(c, "sandbox.exec");
	return now_ms() - t;
}

static double
bare_once(void)
{
	double t = now_ms();

	peer_await(peer_start(bare), bare[0]);
	return now_ms() - t;
}

static void
in_turn(struct client *c, size_t n, int null_fd, int alive)
{
	static double ours[N_MAX], theirs[N_MAX];

	for (int i = 0; i < 3; i++) { /* what is only paid once */
		(void)ours_once(c, null_fd);
		(void)bare_once();
	}
	for (size_t i = 0; i < n; i++) {
		ours[i] = ours_once(c, null_fd);
		theirs[i] = bare_once();
	}
	printf(
	    "{\"figure\":\"exec_true\",\"unit\":\"ms\",\"n\":%zu,"
	    "\"alive\":%d,\"median\":%.3f,\"p99\":%.3f,\"peer\":\"no sandbox\","
	    "\"peer_median\":%.3f,\"peer_p99\":%.3f,\"ratio\":%.3f,"
	    "\"goal\":\"median 0.7 ms\"}\n",
	    n, alive, quantile(ours, n, .5), quantile(ours, n, .99),
	    quantile(theirs, n, .5), quantile(theirs, n, .99),
	    quantile(ours, n, .5) / quantile(theirs, n, .5));
}

/* Per second, with COUNT clients. */
static double
ours_rate(struct client *c, size_t count, size_t n, int null_fd)
{
	struct pollfd p[CLIENTS_MAX];
	size_t asked = 0, left = n;
	double t = now_ms();

	for (size_t i = 0; i < count; i++) {
		p[i] = (struct pollfd){ c[i].fd, POLLIN, 0 };
		if (asked++ < n)
			client_send_true(&c[i], "bench", null_fd);
	}
	while (left > 0) {
		if (poll(p, count, WAIT_MS) < 1)
			die("no answer in time");
		for (size_t i = 0; i < count; i++) {
			if (p[i].revents == 0 ||
			    !client_answered(&c[i], "sandbox.exec"))
				continue;
			left--;
			if (asked++ < n)
				client_send_true(&c[i], "bench", null_fd);
		}
	}
	return (double)n / (now_ms() - t) * 1e3;
}

static double
bare_rate(size_t count, size_t n)
{
	size_t asked = 0;
	int status;
	double t = now_ms();

	for (size_t i = 0; i < n; i++) {
		while (asked < n && asked < i + count) {
			(void)peer_start(bare);
			asked++;
		}
		if (waitpid(-1, &status, 0) == -1 || status != 0)
			die("%s failed", bare[0]);
	}
	return (double)n / (now_ms() - t) * 1e3;
}

int
main(int argc, char *argv[])
{
	static struct client c[CLIENTS_MAX];
	int n = argc == 4 || argc == 5 ? atoi(argv[2]) : 0;
	int count = argc == 4 || argc == 5 ? atoi(argv[3]) : 0;
	int alive = argc == 5 ? atoi(argv[4]) : 0;
	int null_fd = null_open();
	double ours, theirs;

	if (n < 1 || n > N_MAX || count < 1 || count > CLIENTS_MAX) {
		(void)fputs(
		    "usage: bench_exec SOCKET N CLIENTS [ALIVE]\n", stderr);
		return 100;
	}
	for (int i = 0; i < count; i++)
		client_open(&c[i], argv[1]);
	client_ask(&c[0], "sandbox.create", "\"id\":\"bench\"");
	in_turn(&c[0], (size_t)n, null_fd, alive);
	ours = ours_rate(c, (size_t)count, (size_t)n, null_fd);
	theirs = bare_rate((size_t)count, (size_t)n);
	printf("{\"figure\":\"exec_true_rate\",\"unit\":\"1/s\",\"n\":%d,"
	       "\"alive\":%d,\"clients\":%d,\"value\":%.0f,\"peer\":\"no "
	       "sandbox\","
	       "\"peer_value\":%.0f,\"ratio\":%.3f,"
	       "\"goal\":\"2500 per second\"}\n",
	    n, alive, count, ours, theirs, ours / theirs);
	client_ask(&c[0], "sandbox.destroy", "\"id\":\"bench\"");
	return 0;
}
