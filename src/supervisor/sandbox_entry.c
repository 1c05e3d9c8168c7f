/*
 * A sandbox's entrypoint: a command that is started each time the sandbox is.
 * Runs in the supervisor, which connects it to nothing and waits for nothing:
 * whether it goes on is its own affair.
 */
#include "lib/log.h"
#include "supervisor/exec.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/service.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define START_MS 30000

static void
on_started(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct sandbox *sb = ctx;

	if (ok == NULL)
		sandbox_event(sb, SH_ERROR, e->text);
}

/* What clients of OpenSandbox send to keep a container alive, which a sandbox
 * needs not: it is kept in the record and costs no process. */
static bool
only_waits(char *const *v)
{
	static const char *const idle[] = { "tail", "-f", "/dev/null" };

	for (size_t i = 0; i < countof(idle); i++) {
		if (v[i] == NULL || strcmp(v[i], idle[i]) != 0)
			return false;
	}
	return v[countof(idle)] == NULL;
}

void
sandbox_entry_start(struct sandbox *sb)
{
	int fds[3] = { -1, -1, -1 };
	struct jw *w;

	if (sb->spec.service != NULL) {
		service_begin(sb);
		return;
	}
	if (sb->spec.entrypoint == NULL || only_waits(sb->spec.entrypoint))
		return;
	for (size_t i = 0; i < countof(fds); i++) {
		fds[i] = open(
		    "/dev/null", (i == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
		if (fds[i] == -1) {
			sandbox_event(sb, SH_ERROR, strerror(errno));
			fd_close_all(fds, countof(fds));
			return;
		}
	}
	w = proc_call(&sb->proc, MSG_INIT_EXEC, START_MS, on_started, sb);
	if (w == NULL) {
		fd_close_all(fds, countof(fds)); /* it has ended already */
		return;
	}
	jw_kstr(w, "kind", "command");
	jw_kbool(w, "keep", true);
	jw_key(w, "argv");
	jw_array(w);
	for (char **v = sb->spec.entrypoint; *v != NULL; v++)
		jw_str(w, *v);
	jw_array_end(w);
	jw_key(w, "env");
	exec_env_write(w, sb, NULL);
	if (sb->spec.directory != NULL)
		jw_kstr(w, "cwd", sb->spec.directory);
	jw_kstr(w, "user", sb->spec.user);
	(void)proc_send(&sb->proc, fds, 3); /* failure comes as an answer */
}
