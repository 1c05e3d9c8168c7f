/*
 * The command line's words about the command, and the state that a child finds
 * as we found it. Runs in the supervisor before anything else; trusts whoever
 * started us.
 */
#include "supervisor/command_priv.h"

#include "lib/strutil.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct command_origin command_origin;

int
command_signal_parse(const char *text, bool zero)
{
	const char *name = text;
	int64_t n;

	if (str_to_int(text, zero ? 0 : 1, SIGRTMAX, &n) == 0)
		return n == 32 || n == 33 ? -1 : (int)n; /* the C library's */
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (int sig = 1; sig < 32; sig++) {
		const char *abbrev = sigabbrev_np(sig);

		if (abbrev != NULL && strcasecmp(abbrev, name) == 0)
			return sig;
	}
	if (strncasecmp(name, "RTMIN", 5) != 0)
		return -1;
	if (name[5] == '\0')
		return SIGRTMIN;
	if (name[5] != '+' ||
	    str_to_int(name + 6, 0, SIGRTMAX - SIGRTMIN, &n) == -1)
		return -1;
	return SIGRTMIN + (int)n;
}

void
command_options_init(struct command_options *o)
{
	memset(o, 0, sizeof(*o));
	for (int sig = 0; sig < NSIG; sig++)
		o->to[sig] = (unsigned char)sig;
}

static int
rewrite_add(struct command_options *o, const char *arg, struct err *e)
{
	const char *colon = strchr(arg, ':');
	char from[16];
	int a = -1, b = -1;

	if (colon != NULL && (size_t)(colon - arg) < sizeof(from)) {
		memcpy(from, arg, (size_t)(colon - arg));
		from[colon - arg] = '\0';
		a = command_signal_parse(from, false);
		b = command_signal_parse(colon + 1, true);
	}
	if (a == -1 || b == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "--rewrite %.40s: not FROM:TO, two signals (TO may be 0)",
		    arg);
	if (a == SIGKILL || a == SIGSTOP || a == SIGCHLD)
		return err_set(e, ERR_BAD_REQUEST,
		    "--rewrite %.40s: this signal is never passed on", arg);
	o->to[a] = (unsigned char)b;
	return 0;
}

int
command_option(struct command_options *o, int c, const char *arg, struct err *e)
{
	int64_t code;

	switch (c) {
	case 'e':
		if (str_to_int(arg, 0, 255, &code) == -1)
			return err_set(e, ERR_BAD_REQUEST,
			    "--remap-exit %.40s: not an exit code", arg);
		o->remap[code] = true;
		return 1;
	case 'g':
		o->group = true;
		return 1;
	case 's':
		o->subreaper = true;
		return 1;
	case 'r':
		return rewrite_add(o, arg, e) == -1 ? -1 : 1;
	case 'p':
		o->parent_death = command_signal_parse(arg, false);
		if (o->parent_death == -1 || o->parent_death == SIGKILL ||
		    o->parent_death == SIGSTOP || o->parent_death == SIGCHLD)
			return err_set(e, ERR_BAD_REQUEST,
			    "--parent-death %.40s: not a signal that can be "
			    "acted on",
			    arg);
		return 1;
	default:
		return 0;
	}
}

void
command_signals_hold(void)
{
	sigset_t all;

	command_origin.ppid = getppid();
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &command_origin.mask);
}

void
command_signals_release(void)
{
	(void)sigprocmask(SIG_SETMASK, &command_origin.mask, NULL);
}

void
command_remember(void)
{
	struct command_origin *o = &command_origin;

	o->umask = umask(022);
	(void)umask(o->umask);
	o->nofile_known = getrlimit(RLIMIT_NOFILE, &o->nofile) == 0;
}
