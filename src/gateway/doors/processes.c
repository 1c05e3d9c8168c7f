/*
 * /v1/processes: starting, listing, ending, and what goes in. Runs in
 * sandboxd-gateway; the processes live in a sandbox, with its init, which holds
 * all that is known of them. Nothing is remembered here.
 */
#include "gateway/doors/processes.h"
#include "lib/base64.h"
#include "lib/proclog.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define SPAWN_FAILED "failed to spawn process"
#define SPAWN_TTY_FAILED "failed to spawn tty process"
#define CALL_MS 30000
#define STOP_WAIT_MS 2000
#define WAIT_MAX_MS 600000
#define LIST_MAX (16u << 20)
#define DETAILS_MAX 2048

/*
 * What others use
 */

int64_t
process_number(const char *word)
{
	int64_t n;

	if (str_starts(word, "proc_") && word[5] != '0' &&
	    str_to_int(word + 5, 1, INT64_MAX - 1, &n) == 0)
		return n;
	return 0;
}

static void
details_write(struct buf *b, const char *key, const char *value,
    const char *key2, const char *value2)
{
	struct jw w;

	buf_init(b, DETAILS_MAX);
	(void)buf_adds(b, "\"details\":");
	jw_init(&w, b);
	jw_object(&w);
	jw_kstr(&w, key, value);
	if (key2 != NULL)
		jw_kstr(&w, key2, value2);
	jw_object_end(&w);
}

static void
process_missing(struct req *r, const char *id)
{
	struct buf b;

	details_write(&b, "id", id, "resource", "process");
	req_problem_ext(
	    r, PROBLEM_NOT_FOUND, b.failed ? NULL : b.data, "process %s", id);
	buf_free(&b);
}

int64_t
process_id(struct req *r)
{
	int64_t n = process_number(r->params[0]);

	if (n == 0)
		process_missing(r, r->params[0]);
	return n;
}

static void
problem_message(struct req *r, enum problem p, const char *message)
{
	struct buf b;

	details_write(&b, "message", message, NULL, NULL);
	req_problem_ext(r, p, b.failed ? NULL : b.data, "%s", message);
	buf_free(&b);
}

static void
process_conflict(struct req *r, const char *why)
{
	problem_message(r, PROBLEM_CONFLICT, why);
}

void
process_fail(struct req *r, const struct err *e, const char *what)
{
	char text[ERR_TEXT_MAX + 64];

	switch (e->code) {
	case ERR_PROCESS_NOT_FOUND:
		process_missing(r, r->nparams > 0 ? r->params[0] : "?");
		break;
	case ERR_PROCESS_STATE:
		process_conflict(r, e->text);
		break;
	case ERR_EXEC_FAILED:
	case ERR_USER_NOT_FOUND:
	case ERR_SYSTEM:
		(void)snprintf(text, sizeof(text), "%s: %s", what, e->text);
		problem_message(r, PROBLEM_STREAM_ERROR, text);
		break;
	default:
		req_fail(r, e);
		break;
	}
}

/* False, and 422 is answered: NAME is there and null. */
static bool
process_no_null(struct req *r, const char *name)
{
	const struct json *v = json_get(r->json, name);

	if (v == NULL || v->type != JSON_NULL)
		return true;
	req_problem(r, PROBLEM_BAD_BODY, "%s: null is no value of it", name);
	return false;
}

void
process_fields(struct buf *b, int64_t id)
{
	buf_init(b, 64);
	(void)buf_addf(b, "{\"process\":%lld}", (long long)id);
}

int
process_decode(struct buf *out, const char *data, size_t len,
    const char *encoding, const char *def, char why[INPUT_WHY_MAX])
{
	char bad[BASE64_WHY_MAX];

	if (encoding == NULL)
		encoding = def;
	if (strcmp(encoding, "utf8") == 0 || strcmp(encoding, "text") == 0) {
		if (buf_add(out, data, len) == 0)
			return 0;
		(void)snprintf(why, INPUT_WHY_MAX, "no memory");
		return -1;
	}
	if (strcmp(encoding, "base64") != 0) {
		(void)snprintf(why, INPUT_WHY_MAX,
		    "encoding must be one of: base64, utf8, text");
		return -1;
	}
	if (base64_get(out, data, len, bad) == 0)
		return 0;
	(void)snprintf(why, INPUT_WHY_MAX, "invalid base64 input: %s", bad);
	return -1;
}

int
process_read_exit(int end_fd, struct proclog_exit *x_out)
{
	char record[PROCLOG_HEADER + PROCLOG_EXIT_LEN];
	struct proclog r;
	ssize_t n = read(end_fd, record, sizeof(record));

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* Written at one stroke: a part of it is no record. */
	if (n <= 0 || proclog_get(record, (size_t)n, &r) != 1 ||
	    r.stream != PROCLOG_EXIT)
		return -1;
	return proclog_get_exit(record + PROCLOG_HEADER, r.len, x_out) == 0
		   ? 1
		   : -1;
}

/* A string that the system could take. -1: the answer is given. */
static int
word_check(struct req *r, const char *name, const struct json *v, bool tty)
{
	if (v == NULL || v->type != JSON_STRING) {
		req_problem(r, PROBLEM_BAD_BODY, "%s: not a string", name);
		return -1;
	}
	if (memchr(v->str, '\0', v->len) == NULL)
		return 0;
	problem_message(r, PROBLEM_STREAM_ERROR,
	    tty ? SPAWN_TTY_FAILED ": nul byte found in provided data"
		: SPAWN_FAILED ": nul byte found in provided data");
	return -1;
}

static int
cwd_put(struct req *r, struct jw *w, bool tty)
{
	const struct json *cwd = json_get(r->json, "cwd");

	if (cwd == NULL || cwd->type == JSON_NULL)
		return 0;
	if (word_check(r, "cwd", cwd, tty) == -1)
		return -1;
	if (cwd->len == 0) {
		problem_message(r, PROBLEM_STREAM_ERROR,
		    tty ? SPAWN_TTY_FAILED
			": No such file or directory (os error 2)"
			: SPAWN_FAILED
			": No such file or directory (os error 2)");
		return -1;
	}
	jw_kstr(w, "cwd", cwd->str);
	return 0;
}

int
process_command(struct req *r, struct jw *w, bool tty)
{
	const struct json *command = json_get(r->json, "command");
	const struct json *args = json_get(r->json, "args");
	const struct json *env = json_get(r->json, "env");

	if (command != NULL && command->type == JSON_STRING &&
	    strspn(command->str, " \t\n\v\f\r") == command->len) {
		req_problem(
		    r, PROBLEM_INVALID_REQUEST, "command must not be empty");
		return -1;
	}
	if (word_check(r, "command", command, tty) == -1)
		return -1;
	json_foreach (it, args)
		if (word_check(r, "args", it, tty) == -1)
			return -1;
	jw_key(w, "argv");
	jw_array(w);
	jw_str(w, command->str);
	json_foreach (it, args)
		jw_str(w, it->str);
	jw_array_end(w);
	if (env != NULL)
		jw_kvalue(w, "env", env);
	if (json_str(r->json, "user", NULL) != NULL)
		jw_kstr(w, "user", json_str(r->json, "user", ""));
	return cwd_put(r, w, tty);
}

/*
 * Processes as clients know them
 */

static void
info_put(struct jw *w, const struct json *p)
{
	const struct json *about = json_get(p, "about");
	const struct json *argv = json_get(about, "argv");
	const char *cwd = json_str(about, "cwd", NULL);
	char id[32];

	(void)snprintf(
	    id, sizeof(id), "proc_%lld", (long long)json_int(p, "id", 0));
	jw_object(w);
	jw_kstr(w, "id", id);
	jw_kvalue(w, "command", argv != NULL ? argv->child : NULL);
	jw_key(w, "args");
	jw_array(w);
	if (argv != NULL && argv->child != NULL)
		for (const struct json *it = argv->child->next; it != NULL;
		     it = it->next)
			jw_value(w, it);
	jw_array_end(w);
	if (cwd != NULL)
		jw_kstr(w, "cwd", cwd);
	jw_kbool(w, "tty", json_bool(about, "tty", false));
	jw_kbool(w, "interactive", json_bool(about, "interactive", false));
	jw_kstr(w, "owner", json_str(about, "owner", "user"));
	jw_kstr(
	    w, "status", json_bool(p, "running", false) ? "running" : "exited");
	if (json_get(p, "pid") != NULL)
		jw_kint(w, "pid", json_int(p, "pid", 0));
	if (json_get(p, "code") != NULL)
		jw_kint(w, "exitCode", json_int(p, "code", 0));
	jw_kint(w, "createdAtMs", json_int(p, "created_ms", 0));
	if (json_get(p, "exited_ms") != NULL)
		jw_kint(w, "exitedAtMs", json_int(p, "exited_ms", 0));
	jw_object_end(w);
}

static void
info_reply(struct req *r, const struct json *ok)
{
	struct buf b;
	struct jw w;

	buf_init(&b, LIST_MAX);
	jw_init(&w, &b);
	info_put(&w, json_get(ok, "process"));
	req_reply_json(r, 200, &b);
}

/* Ends every call here that has one answer. */
static void
answered(
    struct req *r, const struct json *ok, const struct err *e, const char *what)
{
	if (ok != NULL)
		info_reply(r, ok);
	else
		process_fail(r, e, what);
	req_release(r);
}

static void
on_info(void *ctx, const struct json *ok, int *fds ATTR_UNUSED,
    size_t nfds ATTR_UNUSED, const struct err *e)
{
	answered(ctx, ok, e, SPAWN_FAILED);
}

static void
on_tty_info(void *ctx, const struct json *ok, int *fds ATTR_UNUSED,
    size_t nfds ATTR_UNUSED, const struct err *e)
{
	answered(ctx, ok, e, SPAWN_TTY_FAILED);
}

static void
ask(struct req *r, enum msg_type type, struct buf *fields, int64_t ms,
    link_done *done)
{
	req_hold(r);
	(void)link_call(
	    r->gw, LINK_INIT, r->sandbox, type, fields, NULL, 0, ms, done, r);
	buf_free(fields);
}

void
route_process_create(struct req *r)
{
	bool tty = json_bool(r->json, "tty", false);
	struct buf b;
	struct jw w;

	if (!process_no_null(r, "tty") || !process_no_null(r, "interactive"))
		return;
	buf_init(&b, proto_table[MSG_PROC_CREATE].max_bytes);
	jw_init(&w, &b);
	jw_object(&w);
	if (process_command(r, &w, tty) == -1) {
		buf_free(&b);
		return;
	}
	jw_kbool(&w, "tty", tty);
	jw_kbool(&w, "interactive", json_bool(r->json, "interactive", false));
	jw_object_end(&w);
	ask(r, MSG_PROC_CREATE, &b, CALL_MS, tty ? on_tty_info : on_info);
}

void
route_process_get(struct req *r)
{
	int64_t id = process_id(r);
	struct buf b;

	if (id == 0)
		return;
	process_fields(&b, id);
	ask(r, MSG_PROC_GET, &b, CALL_MS, on_info);
}

static void
signal_send(struct req *r, int sig)
{
	int64_t wait_ms = req_query_int(r, "waitMs", STOP_WAIT_MS);
	int64_t id = process_id(r);
	struct buf b;

	if (id == 0)
		return;
	wait_ms = MIN(wait_ms, WAIT_MAX_MS);
	buf_init(&b, 128);
	(void)buf_addf(&b, "{\"process\":%lld,\"signal\":%d,\"wait_ms\":%lld}",
	    (long long)id, sig, (long long)wait_ms);
	ask(r, MSG_PROC_SIGNAL, &b, wait_ms + CALL_MS, on_info);
}

void
route_process_stop(struct req *r)
{
	signal_send(r, SIGTERM);
}

void
route_process_kill(struct req *r)
{
	signal_send(r, SIGKILL);
}

static void
on_deleted(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct req *r = ctx;

	(void)fds;
	(void)nfds;
	if (ok != NULL)
		req_reply_empty(r, 204);
	else
		process_fail(r, e, "delete");
	req_release(r);
}

void
route_process_delete(struct req *r)
{
	int64_t id = process_id(r);
	struct buf b;

	if (id == 0)
		return;
	process_fields(&b, id);
	ask(r, MSG_PROC_DELETE, &b, CALL_MS, on_deleted);
}

/*
 * The list
 */

struct entry {
	int64_t id;
	char text[24]; /* the id: what the list is sorted by */
	size_t at, len;
};

struct list {
	struct req *r;
	struct buf infos;
	struct entry *v; /* owned */
	size_t n;
};

static int
entry_compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->text, y->text);
}

static void
list_free(struct list *l)
{
	req_release(l->r);
	buf_free(&l->infos);
	free(l->v);
	free(l);
}

static void
list_reply(struct list *l)
{
	struct buf b;
	size_t i;

	if (l->n > 0)
		qsort(l->v, l->n, sizeof(*l->v), entry_compare);
	buf_init(&b, LIST_MAX);
	(void)buf_adds(&b, "{\"processes\":[");
	for (i = 0; i < l->n; i++) {
		if (i > 0)
			(void)buf_addc(&b, ',');
		(void)buf_add(&b, l->infos.data + l->v[i].at, l->v[i].len);
	}
	(void)buf_adds(&b, "]}");
	req_reply_json(l->r, 200, &b);
}

/* The processes of one answer that the client wants. */
static void
list_take(struct list *l, const struct json *some)
{
	const char *owner = req_query(l->r, "owner", NULL);
	struct entry *en;
	struct jw w;

	if (some == NULL || some->len == 0)
		return;
	l->v = xreallocarray(l->v, l->n + some->len, sizeof(*l->v));
	json_foreach (it, some) {
		if (owner != NULL &&
		    strcmp(owner,
			json_str(json_get(it, "about"), "owner", "user")) != 0)
			continue;
		en = &l->v[l->n++];
		en->id = json_int(it, "id", 0);
		(void)snprintf(
		    en->text, sizeof(en->text), "%lld", (long long)en->id);
		en->at = l->infos.len;
		jw_init(&w, &l->infos);
		info_put(&w, it);
		en->len = l->infos.len - en->at;
	}
}

static void list_ask(struct list *l, int64_t after);

static void
on_list(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	const struct json *some = json_get(ok, "processes");
	struct list *l = ctx;
	int64_t last = 0;

	(void)fds;
	(void)nfds;
	if (ok == NULL) {
		process_fail(l->r, e, "list");
		list_free(l);
		return;
	}
	list_take(l, some);
	json_foreach (it, some)
		last = json_int(it, "id", 0);
	if (json_bool(ok, "more", false) && last > 0 && !l->infos.failed) {
		list_ask(l, last);
		return;
	}
	list_reply(l);
	list_free(l);
}

static void
list_ask(struct list *l, int64_t after)
{
	struct buf b;

	buf_init(&b, 64);
	(void)buf_addf(&b, "{\"after\":%lld}", (long long)after);
	(void)link_call(l->r->gw, LINK_INIT, l->r->sandbox, MSG_PROC_LIST, &b,
	    NULL, 0, CALL_MS, on_list, l);
	buf_free(&b);
}

void
route_process_list(struct req *r)
{
	const char *owner = req_query(r, "owner", NULL);
	struct list *l;

	if (owner != NULL && strcmp(owner, "user") != 0 &&
	    strcmp(owner, "desktop") != 0 && strcmp(owner, "system") != 0) {
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "owner must be one of: user, desktop, system");
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->r = r;
	buf_init(&l->infos, LIST_MAX);
	req_hold(r);
	list_ask(l, 0);
}
