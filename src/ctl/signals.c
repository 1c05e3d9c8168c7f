/*
 * Signals as a descriptor; see signals.h. The handler uses only what is safe
 * in one: write, tcsetattr, _exit.
 */
#include "ctl/signals.h"
#include "ctl/term.h"
#include "lib/fdio.h"
#include <errno.h>
#include <signal.h>

static int pipe_fd[2] = { -1, -1 };
static volatile sig_atomic_t stops_left;

static void
on_signal(int number)
{
	int saved = errno;
	unsigned char c = (unsigned char)number;
	ssize_t n;

	if (number == SIGINT || number == SIGTERM || number == SIGHUP) {
		stops_left = stops_left - 1;
		if (stops_left <= 0) {
			term_restore();
			_exit(128 + number);
		}
	}
	n = write(pipe_fd[1], &c, 1);
	(void)n; /* a full pipe already says that something came */
	errno = saved;
}

int
signals_open(int last, struct err *e)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH,
		SIGCONT };
	struct sigaction sa = { .sa_handler = on_signal };
	struct sigaction old;
	size_t i;

	stops_left = last;
	if (pipe_fd[0] != -1)
		return 0;
	if (fd_pipe(&pipe_fd[0], &pipe_fd[1], e) == -1)
		return -1;
	if (fd_set_nonblock(pipe_fd[0], 1) == -1 ||
	    fd_set_nonblock(pipe_fd[1], 1) == -1)
		return err_sys(e, "set a pipe non-blocking");
	(void)sigemptyset(&sa.sa_mask);
	for (i = 0; i < countof(numbers); i++) {
		if (sigaction(numbers[i], NULL, &old) == -1)
			return err_sys(e, "look at a signal");
		/* nohup and background jobs of simple shells ignore some on
		 * purpose. */
		if (old.sa_handler == SIG_IGN)
			continue;
		if (sigaction(numbers[i], &sa, NULL) == -1)
			return err_sys(e, "catch a signal");
	}
	return 0;
}

int
signals_fd(void)
{
	return pipe_fd[0];
}

void
signals_take(struct signals *s_out)
{
	unsigned char got[64];
	ssize_t n;
	ssize_t i;

	*s_out = (struct signals){ 0 };
	if (pipe_fd[0] == -1)
		return;
	while ((n = read(pipe_fd[0], got, sizeof(got))) > 0) {
		for (i = 0; i < n; i++) {
			if (got[i] == SIGWINCH || got[i] == SIGCONT) {
				s_out->resize = true;
				continue;
			}
			s_out->stops++;
			s_out->number = got[i];
		}
	}
}
