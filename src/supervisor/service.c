/*
 * Checks what is asked of a service, hands it to init, and writes what init
 * tells into the sandbox's log. Runs in the supervisor. Init may lie: it can
 * say what it likes of its own sandbox, in the words below and at the length
 * that proto.def allows.
 */
#include "supervisor/service.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/exec.h"
#include "supervisor/sandbox_priv.h"

#include <string.h>

#define START_MS 30000
/* Entries of the log at once, and a second. */
#define TOLD_BURST 400.
#define TOLD_PER_S 20.
#define TIME_MAX 3600000
#define SERVICE_TEXT_MAX 65536

static const struct json_field fields[] = {
	{ "restart", JK_STR, false, 1, 16 },
	{ "backoff_ms", JK_INT, false, 1, TIME_MAX },
	{ "backoff_max_ms", JK_INT, false, 1, TIME_MAX },
	{ "start_limit", JK_INT, false, 1, 64 },
	{ "start_limit_ms", JK_INT, false, 1, TIME_MAX },
	{ "ready", JK_OBJECT, false, 0, 0 },
	{ "watchdog", JK_OBJECT, false, 0, 0 },
	{ "finish", JK_OBJECT, false, 0, 0 },
};

static const struct json_field ready_fields[] = {
	{ "notify", JK_BOOL, false, 0, 0 },
	{ "tcp", JK_INT, false, 1, 65535 },
	{ "http", JK_OBJECT, false, 0, 0 },
	{ "exec", JK_STRV, false, 1, 256 },
	{ "timeout_ms", JK_INT, false, 1, TIME_MAX },
	{ "interval_ms", JK_INT, false, 10, TIME_MAX },
};
#define READY_KINDS 4 /* the first of them; one is needed */

static const struct json_field http_fields[] = {
	{ "port", JK_INT, true, 1, 65535 },
	{ "path", JK_STR, false, 1, 1000 },
};

static const struct json_field watchdog_fields[] = {
	{ "ms", JK_INT, true, 100, TIME_MAX },
	{ "action", JK_STR, false, 1, 16 },
};

static const struct json_field finish_fields[] = {
	{ "command", JK_STRV, true, 1, 256 },
	{ "timeout_ms", JK_INT, false, 1, 60000 },
};

static bool
one_of(const char *s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(s, words[i]) == 0)
			return true;
	}
	return false;
}

static int
check_ready(const struct json *ready, struct err *e)
{
	const struct json *http = json_get(ready, "http");
	const char *path = json_str(http, "path", "/");
	size_t kinds = 0;

	if (json_check(ready, ready_fields, countof(ready_fields), e) == -1)
		return -1;
	for (size_t i = 0; i < READY_KINDS; i++)
		kinds += json_get(ready, ready_fields[i].name) != NULL;
	if (kinds != 1 || (json_get(ready, "notify") != NULL &&
			      !json_bool(ready, "notify", false)))
		return err_set(
		    e, ERR_BAD_REQUEST, "one of notify, tcp, http and exec");
	if (http != NULL &&
	    json_check(http, http_fields, countof(http_fields), e) == -1)
		return -1;
	if (path[0] != '/')
		return err_set(e, ERR_BAD_REQUEST, "http: path: no path");
	for (const char *p = path; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~')
			return err_set(e, ERR_BAD_REQUEST,
			    "http: path: only printable ASCII");
	}
	if (json_get(ready, "exec") != NULL &&
	    json_get(ready, "exec")->len == 0)
		return err_set(e, ERR_BAD_REQUEST, "exec: no command");
	return 0;
}

static int
check_rest(const struct json *service, struct err *e)
{
	static const char *const actions[] = { "stop", "restart", "nothing" };
	const struct json *w = json_get(service, "watchdog");
	const struct json *f = json_get(service, "finish");

	if (w != NULL &&
	    (json_check(w, watchdog_fields, countof(watchdog_fields), e) == -1))
		return err_prefix(e, "watchdog");
	if (!one_of(json_str(w, "action", "stop"), actions, countof(actions)))
		return err_set(e, ERR_BAD_REQUEST,
		    "watchdog: action: not stop, restart or nothing");
	if (f == NULL)
		return 0;
	if (json_check(f, finish_fields, countof(finish_fields), e) == -1)
		return err_prefix(e, "finish");
	if (json_get(f, "command")->len == 0)
		return err_set(e, ERR_BAD_REQUEST, "finish: no command");
	return 0;
}

static int
service_check(const struct json *service, struct err *e)
{
	static const char *const policies[] = { "never", "always", "on-failure",
		"on-abnormal" };
	const struct json *ready = json_get(service, "ready");

	if (json_check(service, fields, countof(fields), e) == -1)
		return err_prefix(e, "service");
	if (!one_of(json_str(service, "restart", "never"), policies,
		countof(policies)))
		return err_set(e, ERR_BAD_REQUEST,
		    "service: restart: not never, always, on-failure or "
		    "on-abnormal");
	if (ready != NULL && check_ready(ready, e) == -1)
		return err_prefix(e, "service: ready");
	return check_rest(service, e) == -1 ? err_prefix(e, "service") : 0;
}

int
service_take(const struct json *args, bool has_entrypoint, char **service_out,
    struct err *e)
{
	const struct json *service = json_get(args, "service");

	if (service == NULL)
		return 0;
	if (!has_entrypoint)
		return err_set(e, ERR_BAD_REQUEST,
		    "service: there is no entrypoint to keep");
	if (service_check(service, e) == -1)
		return -1;
	*service_out = json_text(service, SERVICE_TEXT_MAX);
	if (*service_out == NULL)
		return err_set(e, ERR_TOO_LARGE, "service: too long");
	return 0;
}

static void
on_begun(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct sandbox *sb = ctx;

	if (ok != NULL)
		return;
	sb->service.state = "failed";
	sandbox_event(sb, SH_ERROR, e->text);
}

void
service_begin(struct sandbox *sb)
{
	struct jw *w =
	    proc_call(&sb->proc, MSG_INIT_SERVICE, START_MS, on_begun, sb);

	if (w == NULL)
		return; /* it has ended already */
	sb->service = (struct service_now){ .state = "starting",
		.tokens = TOLD_BURST,
		.filled_ms = now_monotonic_ms() };
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
	jw_key(w, "service");
	jw_raw(w, sb->spec.service, strlen(sb->spec.service));
	(void)proc_send(&sb->proc, NULL, 0); /* failure comes as an answer */
}

/* --- what is told of it -------------------------------------------------- */

static const struct {
	const char *event, *state; /* NULL: as before it hung */
	enum sandbox_happening what;
} words[] = {
	{ "started", "running", SH_SERVICE_STARTED },
	{ "restarted", "running", SH_SERVICE_RESTARTED },
	{ "ready", "ready", SH_SERVICE_READY },
	{ "exited", "exited", SH_SERVICE_EXITED },
	{ "hung", "hung", SH_SERVICE_HUNG },
	{ "alive", NULL, SH_SERVICE_ALIVE },
	{ "failed", "failed", SH_SERVICE_FAILED },
};

/* A service may come and go fast, and an init may lie: the log, which is on
 * the disk, and the store's time are for all. */
static bool
may_tell(struct service_now *n)
{
	int64_t now = now_monotonic_ms();

	n->tokens += (double)(now - n->filled_ms) / 1e3 * TOLD_PER_S;
	n->tokens = MIN(n->tokens, TOLD_BURST);
	n->filled_ms = now;
	if (n->tokens < 1.) {
		n->left_out++;
		return false;
	}
	n->tokens -= 1.;
	return true;
}

int
service_told(struct sandbox *sb, const struct json *msg, struct err *e)
{
	static const char *const numbers[] = { "code", "signal", "restarts",
		"pid" };
	const char *event = json_str(msg, "event", "");
	struct log_field f[countof(numbers) + 1];
	struct service_now *now = &sb->service;
	size_t i = 0, n = 0;

	while (i < countof(words) && strcmp(words[i].event, event) != 0)
		i++;
	if (i == countof(words) || now->state == NULL)
		return err_set(e, ERR_BAD_REQUEST, "serviced: no such event");
	if (words[i].what == SH_SERVICE_HUNG)
		now->before = now->state;
	now->state = words[i].state != NULL ? words[i].state : now->before;
	if (now->state == NULL)
		now->state = "running"; /* it was never told to hang */
	now->restarts = json_int(msg, "restarts", 0);
	if (!may_tell(now))
		return 0;
	for (size_t k = 0; k < countof(numbers); k++) {
		if (json_get(msg, numbers[k]) != NULL)
			f[n++] =
			    LOG_INT(numbers[k], json_int(msg, numbers[k], 0));
	}
	if (now->left_out > 0)
		f[n++] = LOG_INT("left_out", now->left_out);
	now->left_out = 0;
	sandbox_event_with(sb, words[i].what, json_str(msg, "why", NULL), f, n);
	return 0;
}

int
service_adopted(struct sandbox *sb, const struct json *msg, struct err *e)
{
	const char *event = json_str(msg, "service", NULL);
	size_t i = 0;

	if (sb->spec.service == NULL && event != NULL)
		return err_set(e, ERR_BAD_REQUEST, "adopted: no such service");
	if (sb->spec.service == NULL)
		return 0;
	sb->service = (struct service_now){ .state = "starting",
		.tokens = TOLD_BURST,
		.filled_ms = now_monotonic_ms(),
		.restarts = json_int(msg, "restarts", 0) };
	while (event != NULL && i < countof(words) &&
	       strcmp(words[i].event, event) != 0)
		i++;
	if (i == countof(words))
		return err_set(e, ERR_BAD_REQUEST, "adopted: no such event");
	if (event != NULL)
		sb->service.state =
		    words[i].state != NULL ? words[i].state : "running";
	return 0;
}

void
service_write(const struct sandbox *sb, struct jw *w)
{
	if (sb->service.state == NULL)
		return;
	jw_key(w, "service_state");
	jw_object(w);
	jw_kstr(w, "state", sb->service.state);
	jw_kint(w, "restarts", sb->service.restarts);
	jw_object_end(w);
}

/* --- over an exec of ourselves ------------------------------------------- */

void
service_put(const struct sandbox *sb, struct jw *w)
{
	const struct service_now *n = &sb->service;

	if (n->state == NULL)
		return;
	jw_key(w, "service");
	jw_object(w);
	jw_kstr(w, "state", n->state);
	if (n->before != NULL)
		jw_kstr(w, "before", n->before);
	jw_kint(w, "restarts", n->restarts);
	jw_kint(w, "tokens", (int64_t)n->tokens);
	jw_kint(w, "left_out", n->left_out);
	jw_object_end(w);
}

/* The text of ours that says NAME; NULL: none does. */
static const char *
state_of(const char *name)
{
	if (strcmp(name, "starting") == 0)
		return "starting";
	for (size_t i = 0; i < countof(words); i++) {
		if (words[i].state != NULL && strcmp(words[i].state, name) == 0)
			return words[i].state;
	}
	return NULL;
}

void
service_carried(struct sandbox *sb, const struct json *j)
{
	sb->service = (struct service_now){
		.state = state_of(json_str(j, "state", "")),
		.before = state_of(json_str(j, "before", "")),
		.restarts = json_int(j, "restarts", 0),
		.tokens = (double)json_int(j, "tokens", 0),
		.filled_ms = now_monotonic_ms(),
		.left_out = json_int(j, "left_out", 0),
	};
}
