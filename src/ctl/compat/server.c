/*
 * `sandbox-agent server`; see server.h. Runs as the caller and becomes his
 * sandboxd. The port is taken before anything else, so that a second server at
 * it fails with one sentence and has changed nothing; sandboxd gets the socket
 * as systemd would hand it over.
 */
#include "ctl/compat/server.h"

#include "ctl/compat/compat.h"
#include "ctl/compat/listen.h"
#include "ctl/compat/log.h"
#include "ctl/compat/server_conf.h"
#include "ctl/credentials.h"
#include "ctl/home.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SOCKET_FD 3 /* where the convention of LISTEN_FDS begins */
#define TOKEN_FD 4
#define READY_FD 5
#define SPARE_FD 10 /* ours are moved here before they go to their places */

void
server_init(struct server *s, const struct args *a, const char *host, int port)
{
	*s = (struct server){ .host = host,
		.port = port,
		.args = a,
		.listen_fd = -1,
		.token_fd = -1,
		.ready_fd = -1,
		.log_fd = -1 };
}

void
server_free(struct server *s)
{
	fd_close(&s->listen_fd);
	fd_close(&s->token_fd);
	fd_close(&s->ready_fd);
	fd_close(&s->log_fd);
}

int
server_token(struct server *s, const char *token, struct err *e)
{
	size_t n = strlen(token);

	/* A memory file: no trace on a disk, and gone with the daemon. */
	s->token_fd = memfd_create("token", MFD_CLOEXEC);
	if (s->token_fd == -1 || fchmod(s->token_fd, 0600) == -1 ||
	    fd_write_all(s->token_fd, token, n) == -1)
		return err_sys(e, "keep the token");
	/* It is an argument of ours, which we may write to. */
	explicit_bzero((char *)(uintptr_t)token, n);
	return 0;
}

int
server_open(struct server *s, struct err *e)
{
	const char *host = s->host == NULL ? COMPAT_HOST : s->host;
	char spec[SERVER_SPEC_MAX];

	if (s->host != NULL &&
	    listen_tcp(host, &s->port, &s->listen_fd, e) == -1)
		return -1;
	if (programs_find(&s->programs, e) == -1 ||
	    place_find(&s->place, host, s->port, e) == -1 ||
	    server_conf_spec(s, spec, e) == -1 ||
	    place_kind(&s->place, spec, e) == -1 ||
	    place_make(&s->place, e) == -1 ||
	    server_conf_write(s, spec, e) == -1)
		return -1;
	/* Whoever has the port has the link: nobody else serves there. */
	return s->host == NULL ? 0 : place_use(&s->place, e);
}

/* --- its arguments ------------------------------------------------------- */

/* An argument vector that grows; the words are borrowed, but for those that
 * `made` owns. */
struct words {
	char **v;
	size_t n;
	char *made[4];
};

static void
add(struct words *w, const char *word)
{
	w->v = xreallocarray(w->v, w->n + 2, sizeof(char *));
	w->v[w->n++] = (char *)(uintptr_t)word; /* exec writes to none */
	w->v[w->n] = NULL;
}

static void
add_two(struct words *w, const char *flag, const char *value)
{
	add(w, flag);
	add(w, value);
}

static void
add_each(
    struct words *w, const struct args *a, const char *flag, const char *as)
{
	size_t pos = 0;
	const char *v;

	while (a != NULL && (v = args_next(a, flag, &pos)) != NULL)
		add_two(w, as, v);
}

static void
add_http(struct words *w, const struct server *s, int token_fd)
{
	if (s->host == NULL) {
		add(w, "--no-http");
		return;
	}
	if (s->token_fd == -1) {
		add(w, "--no-token");
	} else if (lseek(s->token_fd, 0, SEEK_END) == 0) {
		add_two(w, "--token", ""); /* which lets nobody in */
	} else {
		w->made[0] = xasprintf("/proc/self/fd/%d", token_fd);
		add_two(w, "--token-file", w->made[0]);
	}
	add_each(w, s->args, "cors-allow-origin", "-O");
	add_each(w, s->args, "cors-allow-method", "-M");
	add_each(w, s->args, "cors-allow-header", "-A");
	if (s->args != NULL && args_has(s->args, "cors-allow-credentials"))
		add(w, "--cors-allow-credentials");
}

static void
make_words(struct words *w, const struct server *s, int token_fd)
{
	*w = (struct words){ 0 };
	add(w, s->programs.sandboxd);
	add_two(w, "--config", s->place.conf);
	add_two(w, "--state-dir", s->place.state);
	add_two(w, "--run-dir", s->place.run);
	if (s->programs.libexec[0] != '\0')
		add_two(w, "--libexec-dir", s->programs.libexec);
	add_http(w, s, token_fd);
}

static void
free_words(struct words *w)
{
	for (size_t i = 0; i < countof(w->made); i++)
		free(w->made[i]);
	free(w->v);
}

/* --- checking ------------------------------------------------------------ */

static void
check_child(const struct server *s, int out)
{
	struct words w;

	if (s->token_fd != -1)
		(void)fd_set_cloexec(s->token_fd, 0); /* it is open */
	make_words(&w, s, s->token_fd);
	add(&w, "--check");
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(out, STDERR_FILENO);
	(void)execv(s->programs.sandboxd, w.v);
	(void)dprintf(out, "run %s: %s", s->programs.sandboxd, strerror(errno));
	_exit(EXIT_SYS);
}

int
server_check(const struct server *s, struct err *e)
{
	autofree char *said = NULL;
	autofd int in = -1, out = -1;
	size_t len = 0;
	const char *text;
	int status;
	pid_t pid;

	if (fd_pipe(&in, &out, e) == -1)
		return -1;
	/* PRIV: none before, none after; the child is the caller as we are. */
	pid = fork();
	if (pid == -1)
		return err_sys(e, "fork");
	if (pid == 0)
		check_child(s, out);
	fd_close(&out);
	if (fd_slurp(in, 16384, &said, &len, e) == -1)
		said = xstrdup("its output is too long");
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return err_sys(e, "wait for sandboxd");
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK)
		return 0;
	said[strcspn(said, "\n")] = '\0';
	text =
	    str_starts(said, "sandboxd: ") ? said + strlen("sandboxd: ") : said;
	return err_set(e, ERR_BAD_REQUEST, "%s",
	    *text == '\0' ? "sandboxd refuses its settings" : text);
}

/* --- the environment ----------------------------------------------------- */

static const char *
from_environment(const char *name)
{
	return getenv(name);
}

static void
set_missing(const char *name, const char *secret)
{
	if (getenv(name) == NULL)
		(void)setenv(name, secret, 0); /* else that agent has none */
}

static void
set_one(const struct credential *c)
{
	char room[CREDENTIAL_NAME_MAX];
	const char *names[3];

	if (c->secret[0] == '\0')
		return;
	/* Programs take an OAuth token where they expect one, and fail with it
	 * where a key belongs. Codex reads its own from its own file only. */
	if (c->oauth) {
		if (strcmp(c->provider, "anthropic") == 0 &&
		    getenv("ANTHROPIC_AUTH_TOKEN") == NULL)
			set_missing("CLAUDE_CODE_OAUTH_TOKEN", c->secret);
		return;
	}
	credential_names(c, room, names);
	for (size_t i = 0; names[i] != NULL; i++)
		set_missing(names[i], c->secret);
}

void
server_credentials(void)
{
	struct credentials_from from = { .env = from_environment,
		.now_ms = now_realtime_ms() };
	struct credentials c;
	char home[PATH_MAX];
	struct err e;

	if (home_find(home, sizeof(home), &e) == 0)
		from.home = home;
	credentials_find(&c, &from);
	for (size_t i = 0; i < c.n; i++)
		set_one(&c.v[i]);
	credentials_free(&c);
}

/* --- becoming it --------------------------------------------------------- */

/* FD out of the way of the places that others of ours go to. */
static int
move_up(int *fd, struct err *e)
{
	int high;

	if (*fd == -1)
		return 0;
	high = fcntl(*fd, F_DUPFD_CLOEXEC, SPARE_FD);
	if (high == -1)
		return err_sys(e, "move a descriptor");
	(void)close(*fd);
	*fd = high;
	return 0;
}

static int
put(int fd, int place, struct err *e)
{
	if (fd != -1 && dup2(fd, place) == -1)
		return err_sys(e, "hand over a descriptor");
	return 0;
}

static void
set_listen(void)
{
	char pid[24];

	(void)unsetenv("LISTEN_FDNAMES");
	if (str_format(pid, sizeof(pid), "%ld", (long)getpid()) == -1)
		return;
	(void)setenv("LISTEN_PID", pid, 1); /* it says it finds no socket */
	(void)setenv("LISTEN_FDS", "1", 1);
}

int
server_exec(struct server *s, struct err *e)
{
	struct words w;

	if (move_up(&s->listen_fd, e) == -1 || move_up(&s->token_fd, e) == -1 ||
	    move_up(&s->ready_fd, e) == -1 || move_up(&s->log_fd, e) == -1)
		return -1;
	/* What we have inherited without knowing goes no further. */
	if (close_range(SOCKET_FD, ~0u, CLOSE_RANGE_CLOEXEC) == -1)
		return err_sys(e, "close_range");
	if (put(s->listen_fd, SOCKET_FD, e) == -1 ||
	    put(s->token_fd, TOKEN_FD, e) == -1 ||
	    put(s->ready_fd, READY_FD, e) == -1)
		return -1;
	make_words(&w, s, TOKEN_FD);
	if (s->ready_fd != -1)
		add_two(&w, "--ready-fd", "5");
	if (s->listen_fd != -1)
		set_listen();
	(void)signal(SIGPIPE, SIG_DFL);
	if (s->log_fd != -1 && (dup2(s->log_fd, STDOUT_FILENO) == -1 ||
				   dup2(s->log_fd, STDERR_FILENO) == -1)) {
		free_words(&w);
		return err_sys(e, "open the log");
	}
	(void)execv(s->programs.sandboxd, w.v);
	free_words(&w);
	return err_sys(e, "run %s", s->programs.sandboxd);
}

/* --- the command --------------------------------------------------------- */

static int
start(struct server *s, const struct args *a, struct err *e)
{
	const char *token = args_str(a, "token", NULL);

	/* With both a token and --no-token the token counts. */
	if (token != NULL && server_token(s, token, e) == -1)
		return -1;
	if (server_open(s, e) == -1 || server_check(s, e) == -1 ||
	    log_open(&s->log_fd, &s->ready_fd, e) == -1)
		return -1;
	server_credentials();
	return server_exec(s, e);
}

static int
run_server(struct ctl *ctl, const struct args *a)
{
	struct server s;
	const char *host;
	struct err e;
	int port;

	if (compat_where(a, &host, &port, &e) == -1 ||
	    server_conf_check(a, &e) == -1)
		return ctl_misuse(ctl, &e);
	if (a->noperands > 0) {
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "unexpected argument '%.64s' found", a->operands[0]);
		return ctl_misuse(ctl, &e);
	}
	server_init(&s, a, host, port);
	(void)start(&s, a, &e); /* which returns to fail */
	server_free(&s);
	return ctl_fail(ctl, &e);
}

static const struct opt_def server_opts[] = {
	SERVER_WHERE_OPTS,
	{ "cors-allow-origin", 'O', "ORIGIN",
	    "Let pages of ORIGIN in; repeatable, as the next two." },
	{ "cors-allow-method", 'M', "METHOD", "With these methods only." },
	{ "cors-allow-header", 'A', "HEADER", "With these headers only." },
	{ "cors-allow-credentials", 'C', NULL, "And with cookies." },
	{ "no-telemetry", '\0', NULL, "Taken: there is none in any case." },
	SERVER_SANDBOX_OPTS,
};

const struct command compat_server = {
	.name = "server",
	.operands = "",
	.help = "Serve HTTP for this user, in the foreground.",
	COMMAND_OPTS(server_opts),
	.max = 0,
	.run = run_server,
};
