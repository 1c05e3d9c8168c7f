/*
 * The command over an exec of ourselves (carry.h). Runs in the supervisor.
 */
#include "supervisor/carry_parts.h"
#include "supervisor/command_priv.h"

#include <string.h>

void
command_put(struct super *s, struct carry *c)
{
	const struct command_origin *o = &command_origin;
	const struct command *cm = s->command;
	struct jw *w = &c->w;
	int64_t mask = 0;

	memcpy(&mask, &o->mask, sizeof(mask)); /* as the kernel has it */
	jw_kint(w, "mask", mask);
	jw_kint(w, "ppid", o->ppid);
	jw_kint(w, "umask", o->umask);
	jw_kint(w, "nofile", (int64_t)o->nofile.rlim_cur);
	jw_kint(w, "nofile_max", (int64_t)o->nofile.rlim_max);
	jw_kbool(w, "nofile_known", o->nofile_known);
	if (cm == NULL)
		return;
	jw_kint(w, "pid", cm->pid);
	jw_kbool(w, "started", cm->started);
	jw_kbool(w, "ended", cm->ended);
	jw_kbool(w, "stopped", cm->stopped);
	jw_kbool(w, "tty", cm->tty);
	jw_kbool(w, "termed", cm->termed);
	jw_kint(w, "code", cm->code);
	jw_kint(w, "held", (int64_t)cm->held);
}

int
command_take(struct super *s, const struct json *j, struct err *e ATTR_UNUSED)
{
	struct command_origin *o = &command_origin;
	struct command *cm = s->command;
	int64_t mask = json_int(j, "mask", 0);

	memcpy(&o->mask, &mask, sizeof(mask));
	o->ppid = (pid_t)json_int(j, "ppid", 0);
	o->umask = (mode_t)json_int(j, "umask", 022);
	o->nofile.rlim_cur = (rlim_t)json_int(j, "nofile", 0);
	o->nofile.rlim_max = (rlim_t)json_int(j, "nofile_max", 0);
	o->nofile_known = json_bool(j, "nofile_known", false);
	if (cm == NULL)
		return 0;
	cm->pid = (pid_t)json_int(j, "pid", -1);
	cm->started = json_bool(j, "started", false);
	cm->ended = json_bool(j, "ended", false);
	cm->stopped = json_bool(j, "stopped", false);
	cm->tty = json_bool(j, "tty", false);
	cm->termed = json_bool(j, "termed", false);
	cm->code = (int)json_int(j, "code", 0);
	cm->held = (uint64_t)json_int(j, "held", 0);
	if (cm->started || cm->ended)
		ev_timer_stop(s->loop, &cm->start_timer);
	if (cm->pid > 0)
		command_watch(cm);
	return 0;
}

const char *
command_busy(struct super *s)
{
	const struct command *cm = s->command;

	return cm != NULL && (cm->ended || !cm->started)
		   ? "the command is starting or has ended"
		   : NULL;
}
