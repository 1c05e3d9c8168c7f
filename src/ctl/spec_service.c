/*
 * How an entrypoint is kept, from flags to the object "service"; see spec.h.
 * Runs as the caller. What can be wrong beyond the form of a flag the
 * supervisor says.
 */
#include "ctl/spec.h"
#include "lib/strutil.h"
#include <string.h>

/* TEXT, in our words a command for sh, as the member KEY. NAME (may be NULL) is
 * what the shell calls itself, behind which further words come. */
static void
write_shell(struct jw *w, const char *key, const char *text, const char *name)
{
	jw_key(w, key);
	jw_array(w);
	jw_str(w, "sh");
	jw_str(w, "-c");
	jw_str(w, text);
	if (name != NULL)
		jw_str(w, name);
	jw_array_end(w);
}

static int
write_ms(struct jw *w, const struct args *a, const char *flag, const char *key,
    struct err *e)
{
	const char *v = args_str(a, flag, NULL);
	int64_t ms;

	if (v == NULL)
		return 0;
	if (spec_ms(v, &ms, e) == -1)
		return err_prefix(e, "--%s", flag);
	jw_kint(w, key, ms);
	return 0;
}

/* "tcp:8080", "http:8080/health", "exec:COMMAND", "notify". */
static int
write_ready(struct jw *w, const char *how, struct err *e)
{
	const char *path = strchr(how, '/');
	char port[8];
	int64_t n;

	if (strcmp(how, "notify") == 0) {
		jw_kbool(w, "notify", true);
		return 0;
	}
	if (str_starts(how, "exec:")) {
		write_shell(w, "exec", how + 5, NULL);
		return 0;
	}
	if (str_starts(how, "tcp:") && str_to_int(how + 4, 1, 65535, &n) == 0) {
		jw_kint(w, "tcp", n);
		return 0;
	}
	if (path == NULL)
		path = how + strlen(how);
	if (!str_starts(how, "http:") ||
	    str_format(port, sizeof(port), "%.*s", (int)MIN(path - how - 5, 9),
		how + 5) == -1 ||
	    str_to_int(port, 1, 65535, &n) == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "--ready '%s': write notify, tcp:PORT, http:PORT/PATH or "
		    "exec:COMMAND",
		    how);
	jw_key(w, "http");
	jw_object(w);
	jw_kint(w, "port", n);
	if (*path != '\0')
		jw_kstr(w, "path", path);
	jw_object_end(w);
	return 0;
}

/* "30s", "30s:stop". */
static int
write_watchdog(struct jw *w, const char *text, struct err *e)
{
	const char *colon = strchr(text, ':');
	char time[32];
	int64_t ms;

	if (colon == NULL)
		colon = text + strlen(text);
	if (str_format(time, sizeof(time), "%.*s", (int)MIN(colon - text, 40),
		text) == -1 ||
	    spec_ms(time, &ms, e) == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "--watchdog '%s': write TIME, or TIME:ACTION", text);
	jw_key(w, "watchdog");
	jw_object(w);
	jw_kint(w, "ms", ms);
	if (*colon != '\0')
		jw_kstr(w, "action", colon + 1);
	jw_object_end(w);
	return 0;
}

static int
write_start_limit(struct jw *w, const struct args *a, struct err *e)
{
	const char *v = args_str(a, "start-limit", NULL);
	int64_t n;

	if (v == NULL)
		return 0;
	if (str_to_int(v, 1, INT32_MAX, &n) == -1)
		return err_set(
		    e, ERR_BAD_REQUEST, "--start-limit: '%s' is no number", v);
	jw_kint(w, "start_limit", n);
	return 0;
}

int
spec_service(struct jw *w, const struct args *a, struct err *e)
{
	static const struct opt_def flags[] = { SPEC_SERVICE_OPTS };
	const char *ready = args_str(a, "ready", NULL);
	const char *watchdog = args_str(a, "watchdog", NULL);
	const char *finish = args_str(a, "finish", NULL);
	bool any = false;

	for (size_t i = 0; i < countof(flags); i++)
		any = any || args_has(a, flags[i].name);
	if (!any)
		return 0;
	if (ready == NULL && args_has(a, "ready-timeout"))
		return err_set(
		    e, ERR_BAD_REQUEST, "--ready-timeout: without --ready");
	jw_key(w, "service");
	jw_object(w);
	spec_copy(w, a, "restart", "restart");
	if (write_ms(w, a, "backoff", "backoff_ms", e) == -1 ||
	    write_start_limit(w, a, e) == -1)
		return -1;
	if (ready != NULL) {
		jw_key(w, "ready");
		jw_object(w);
		if (write_ready(w, ready, e) == -1 ||
		    write_ms(w, a, "ready-timeout", "timeout_ms", e) == -1)
			return -1;
		jw_object_end(w);
	}
	if (watchdog != NULL && write_watchdog(w, watchdog, e) == -1)
		return -1;
	if (finish != NULL) {
		jw_key(w, "finish");
		jw_object(w);
		write_shell(w, "command", finish, "finish");
		jw_object_end(w);
	}
	jw_object_end(w);
	return 0;
}
