/*
 * The caller's terminal; see term.h.
 */
#include "ctl/term.h"
#include <signal.h>
#include <stdbool.h>
#include <termios.h>

static struct termios saved;
static struct termios raw;
static volatile sig_atomic_t is_raw;

size_t
term_columns(size_t def)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == -1 || ws.ws_col == 0)
		return def;
	return ws.ws_col;
}

void
term_size(struct winsize *ws_out)
{
	*ws_out = (struct winsize){ 0 };
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, ws_out) == -1 &&
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, ws_out) == -1)
		*ws_out = (struct winsize){ 0 };
	if (ws_out->ws_col == 0)
		ws_out->ws_col = 80;
	if (ws_out->ws_row == 0)
		ws_out->ws_row = 24;
}

int
term_raw(struct err *e)
{
	static bool registered;

	if (isatty(STDIN_FILENO) != 1)
		return 0;
	if (tcgetattr(STDIN_FILENO, &saved) == -1)
		return err_sys(e, "look at the terminal");
	if (!registered && atexit(term_restore) != 0)
		return err_set(e, ERR_SYSTEM, "no memory");
	registered = true;
	raw = saved;
	cfmakeraw(&raw);
	is_raw = 1;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == -1) {
		is_raw = 0;
		return err_sys(e, "set the terminal to raw mode");
	}
	return 0;
}

void
term_raw_again(void)
{
	/* Failing leaves a terminal in cooked mode, which still works. */
	if (is_raw != 0)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

void
term_restore(void)
{
	if (is_raw == 0)
		return;
	is_raw = 0;
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved); /* nothing left to do */
}
