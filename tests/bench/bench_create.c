/*
 * How long a sandbox takes, over the control socket as any client does it:
 * create, run `true` (the first command has ended), destroy. Against bubblewrap
 * starting `true` with all its namespaces, and crun doing the same from BUNDLE.
 * All in turn, so that a busy machine slows all.
 *
 *	bench_create SOCKET N [BUNDLE]		N, one after the other
 *	bench_create SOCKET ROUNDS together N	N asked at the same moment
 *
 * One JSON line a figure.
 */
#include "client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define N_MAX 10000
#define TOGETHER_MAX 200
#define WAIT_MS 60000

static char *const bwrap[] = { "bwrap", "--unshare-all", "--ro-bind", "/", "/",
	"--proc", "/proc", "--dev", "/dev", "/bin/true", NULL };

static double
peer_once(char *const argv[])
{
	double t = now_ms();

	peer_await(peer_start(argv), argv[0]);
	return now_ms() - t;
}

/* --- one after the other ------------------------------------------------- */

static double
ours_once(struct client *c, int null_fd, double *all_out)
{
	double t = now_ms(), first;

	client_ask(c, "sandbox.create", "\"id\":\"bench\"");
	client_send_true(c, "bench", null_fd);
	client_await(c, "sandbox.exec");
	first = now_ms() - t;
	client_ask(c, "sandbox.destroy", "\"id\":\"bench\"");
	*all_out = now_ms() - t;
	return first;
}

static void
in_turn(const char *socket, size_t n, const char *bundle)
{
	static double first[N_MAX], all[N_MAX], by_bwrap[N_MAX], by_crun[N_MAX];
	char *const crun[] = { "crun", "--cgroup-manager=disabled", "run", "-b",
		(char *)bundle, "sandboxd-bench", NULL };
	int null_fd = null_open();
	struct client c;

	client_open(&c, socket);
	for (int i = 0; i < 3; i++) { /* what is only paid once */
		(void)ours_once(&c, null_fd, &all[0]);
		(void)peer_once(bwrap);
	}
	for (size_t i = 0; i < n; i++) {
		first[i] = ours_once(&c, null_fd, &all[i]);
		by_bwrap[i] = peer_once(bwrap);
		if (bundle != NULL)
			by_crun[i] = peer_once(crun);
	}
	printf("{\"figure\":\"create_true_destroy\",\"unit\":\"ms\",\"n\":%zu,"
	       "\"median\":%.3f,\"p99\":%.3f,\"peer\":\"bwrap --unshare-all\","
	       "\"peer_median\":%.3f,\"peer_p99\":%.3f,\"ratio\":%.3f,"
	       "\"goal\":\"ratio below 1\"}\n",
	    n, quantile(all, n, .5), quantile(all, n, .99),
	    quantile(by_bwrap, n, .5), quantile(by_bwrap, n, .99),
	    quantile(all, n, .5) / quantile(by_bwrap, n, .5));
	printf("{\"figure\":\"create_first_command\",\"unit\":\"ms\","
	       "\"n\":%zu,\"median\":%.3f,\"p99\":%.3f,"
	       "\"peer\":\"bwrap --unshare-all\",\"peer_median\":%.3f,"
	       "\"peer_p99\":%.3f,\"ratio\":%.3f,"
	       "\"goal\":\"median 3 ms, p99 8 ms\"}\n",
	    n, quantile(first, n, .5), quantile(first, n, .99),
	    quantile(by_bwrap, n, .5), quantile(by_bwrap, n, .99),
	    quantile(first, n, .5) / quantile(by_bwrap, n, .5));
	if (bundle != NULL)
		printf("{\"figure\":\"create_first_command\",\"unit\":\"ms\","
		       "\"n\":%zu,\"median\":%.3f,\"p99\":%.3f,"
		       "\"peer\":\"crun run\",\"peer_median\":%.3f,"
		       "\"peer_p99\":%.3f,\"ratio\":%.3f}\n",
		    n, quantile(first, n, .5), quantile(first, n, .99),
		    quantile(by_crun, n, .5), quantile(by_crun, n, .99),
		    quantile(first, n, .5) / quantile(by_crun, n, .5));
}

/* --- all at the same moment ---------------------------------------------- */

/* The times from the common beginning to the end of each one's command, into
 * MS. */
static void
ours_together(struct client *c, size_t n, int null_fd, double *ms)
{
	static bool made[TOGETHER_MAX];
	struct pollfd p[TOGETHER_MAX];
	char id[64];
	size_t left = n;
	double t = now_ms();

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(id, sizeof(id), "\"id\":\"bench%zu\"", i);
		client_send(&c[i], "sandbox.create", id);
		p[i] = (struct pollfd){ c[i].fd, POLLIN, 0 };
		made[i] = false;
	}
	while (left > 0) {
		if (poll(p, n, WAIT_MS) < 1)
			die("together: no answer in time");
		for (size_t i = 0; i < n; i++) {
			if (p[i].revents == 0 ||
			    !client_answered(&c[i], "together"))
				continue;
			if (made[i]) {
				ms[i] = now_ms() - t;
				p[i].fd = -1;
				left--;
				continue;
			}
			made[i] = true;
			(void)snprintf(id, sizeof(id), "bench%zu", i);
			client_send_true(&c[i], id, null_fd);
		}
	}
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(id, sizeof(id), "\"id\":\"bench%zu\"", i);
		client_send(&c[i], "sandbox.destroy", id);
	}
	for (size_t i = 0; i < n; i++)
		client_await(&c[i], "sandbox.destroy");
}

static void
peers_together(size_t n, double *ms)
{
	int status;
	double t = now_ms();

	for (size_t i = 0; i < n; i++)
		(void)peer_start(bwrap);
	for (size_t i = 0; i < n; i++) {
		if (waitpid(-1, &status, 0) == -1 || status != 0)
			die("bwrap failed");
		ms[i] = now_ms() - t;
	}
}

static void
together(const char *socket, size_t rounds, size_t n)
{
	static struct client c[TOGETHER_MAX];
	static double ours[N_MAX], theirs[N_MAX], all[N_MAX], all_theirs[N_MAX];
	int null_fd = null_open();
	double *ms = ours, *peer_ms = theirs;

	for (size_t i = 0; i < n; i++)
		client_open(&c[i], socket);
	for (size_t i = 0; i < rounds; i++, ms += n, peer_ms += n) {
		ours_together(c, n, null_fd, ms);
		all[i] = quantile(ms, n, 1);
		peers_together(n, peer_ms);
		all_theirs[i] = quantile(peer_ms, n, 1);
	}
	printf("{\"figure\":\"create_first_command_together\",\"unit\":\"ms\","
	       "\"together\":%zu,\"rounds\":%zu,\"median\":%.3f,\"p99\":%.3f,"
	       "\"all\":%.3f,\"peer\":\"bwrap --unshare-all\","
	       "\"peer_median\":%.3f,\"peer_p99\":%.3f,\"peer_all\":%.3f,"
	       "\"ratio\":%.3f,\"each\":%.3f,"
	       "\"goal\":\"each: 3 ms\"}\n",
	    n, rounds, quantile(ours, n * rounds, .5),
	    quantile(ours, n * rounds, .99), quantile(all, rounds, .5),
	    quantile(theirs, n * rounds, .5), quantile(theirs, n * rounds, .99),
	    quantile(all_theirs, rounds, .5),
	    quantile(all, rounds, .5) / quantile(all_theirs, rounds, .5),
	    quantile(all, rounds, .5) / (double)n);
}

int
main(int argc, char *argv[])
{
	int n = argc >= 3 ? atoi(argv[2]) : 0;
	int k = argc == 5 ? atoi(argv[4]) : 1;

	if (n < 1 || k < 1 || n > N_MAX / k || k > TOGETHER_MAX || argc > 5 ||
	    (argc == 5 && strcmp(argv[3], "together") != 0)) {
		(void)fputs("usage: bench_create SOCKET N [BUNDLE]\n"
			    "       bench_create SOCKET ROUNDS together N\n",
		    stderr);
		return 100;
	}
	if (argc == 5)
		together(argv[1], (size_t)n, (size_t)k);
	else
		in_turn(argv[1], (size_t)n, argc == 4 ? argv[3] : NULL);
	return 0;
}
