/*
 * Programs that adapters keep; see program.h. Runs in the session worker. The
 * programs are hostile: none of them is waited for longer than its ladder has
 * rungs.
 */
#include "session/agents/program.h"

#include "lib/buf.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include <signal.h>
#include <string.h>

#define RUNG_S 1.0 /* between signals */

static void
on_ladder(struct ev_loop *loop, ev_timer *w, int revents)
{
	static const int signals[] = { [RUNG_INT] = SIGINT,
		[RUNG_TERM] = SIGTERM,
		[RUNG_KILL] = SIGKILL };
	struct ladder *l = w->data;

	(void)loop;
	(void)revents;
	if (l->proc == NULL || l->rung == RUNG_NONE)
		return;
	log_info(l->name, "does not stop, sending a signal",
	    LOG_INT("signal", signals[l->rung]));
	/* INT is for the program itself, which ends its turn upon it. */
	process_signal(l->proc, signals[l->rung], l->rung != RUNG_INT);
	if (l->rung < RUNG_KILL)
		ladder_climb(l, l->proc, l->rung + 1, RUNG_S);
}

void
ladder_init(struct ladder *l, struct ev_loop *loop, const char *name)
{
	ev_timer_init(&l->timer, on_ladder, 0., 0.);
	l->timer.data = l;
	l->loop = loop;
	l->name = name;
	l->proc = NULL;
	l->rung = RUNG_NONE;
}

void
ladder_climb(
    struct ladder *l, struct process *p, enum rung rung, double after_s)
{
	l->proc = p;
	l->rung = rung;
	ev_timer_stop(l->loop, &l->timer);
	ev_timer_set(&l->timer, after_s, 0.);
	ev_timer_start(l->loop, &l->timer);
}

void
ladder_stop(struct ladder *l)
{
	if (l->loop == NULL)
		return;
	ev_timer_stop(l->loop, &l->timer);
	l->proc = NULL;
	l->rung = RUNG_NONE;
}

int
program_command(const struct agent_conf *conf, const char *name,
    const char **argv, size_t max, size_t *n_out, struct err *e)
{
	size_t n = 0, i, words = 1;

	if (conf->command != NULL)
		words = strv_len(conf->command);
	if (conf->program_args != NULL)
		words += strv_len(conf->program_args);
	if (words > max)
		return err_set(e, ERR_LIMIT, "the command is too long");
	if (conf->command == NULL)
		argv[n++] = name;
	for (i = 0; conf->command != NULL && conf->command[i] != NULL; i++)
		argv[n++] = conf->command[i];
	for (i = 0; conf->program_args != NULL && conf->program_args[i] != NULL;
	     i++)
		argv[n++] = conf->program_args[i];
	*n_out = n;
	return 0;
}

void
program_log_death(struct agent *a, const char *name, struct process *p,
    const struct err *failed)
{
	const char *words = process_last_words(p);
	int code = process_exit_code(p);
	autofree char *say = NULL;
	struct buf b;
	struct jw w;

	if (failed != NULL) {
		uni_error(a->out, FROM_DAEMON, err_wire(failed->code),
		    failed->text, NULL);
		return;
	}
	if (code != -1)
		say = xasprintf("%s exited with status %d%s%.1024s", name, code,
		    words != NULL ? ": " : "", words != NULL ? words : "");
	else
		say = xasprintf("%s was killed by signal %d%s%.1024s", name,
		    process_exit_signal(p), words != NULL ? ": " : "",
		    words != NULL ? words : "");
	buf_init(&b, 64u << 10);
	jw_init(&w, &b);
	jw_object(&w);
	process_describe(p, &w);
	jw_object_end(&w);
	uni_error(
	    a->out, FROM_DAEMON, "process_exit", say, b.failed ? NULL : b.data);
	buf_free(&b);
}

void
program_fail_turn(struct agent *a, const struct err *e)
{
	uni_error(a->out, FROM_DAEMON, err_wire(e->code), e->text, NULL);
	agent_turn_ended(a, "error", NULL);
}

bool
program_env_has(char *const *env, const char *entry)
{
	for (; *env != NULL; env++)
		if (strcmp(*env, entry) == 0)
			return true;
	return false;
}
