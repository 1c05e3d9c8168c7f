/*
 * process.logs over HTTP: what a process has printed so far, to the command's
 * pipe or as items. Runs as the caller; what comes from the server is checked.
 */
#include "ctl/http/bridge.h"
#include "lib/base64.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>

static int
put(struct bridge *b, const char *data, size_t len, struct err *e)
{
	struct buf item;
	struct jw *w;
	int r = 0;

	if (b->nfds > 0)
		return fd_write_all(b->fds[0], data, len) == 0
			   ? 0
			   : err_sys(e, "write what it has printed");
	buf_init(&item, BASE64_LEN(len) + 1);
	(void)base64_add(&item, data, len);
	w = bridge_begin(b, "item");
	jw_object(w);
	jw_kstr(w, "stream", "stdout");
	jw_key(w, "base64");
	jw_strn(w, item.data, item.len);
	jw_object_end(w);
	if (item.failed)
		r = err_set(e, ERR_INTERNAL, "too much at one time");
	else
		bridge_send(b, -1);
	buf_free(&item);
	return r;
}

/* A terminal's stream has a name of its own; for the commands it is stdout. */
static bool
is_wanted(const struct json *entry, const char *stream)
{
	const char *name = json_str(entry, "stream", "");

	return strcmp(stream, "all") == 0 || strcmp(name, stream) == 0 ||
	       (strcmp(stream, "stdout") == 0 && strcmp(name, "pty") == 0);
}

static int
put_entry(struct bridge *b, const struct json *entry, struct err *e)
{
	const struct json *data = json_get(entry, "data");
	char why[BASE64_WHY_MAX];
	struct buf bytes;
	int r = 0;

	if (data == NULL || data->type != JSON_STRING)
		return err_set(e, ERR_INTERNAL, "an entry without data");
	buf_init(&bytes, HTTP_BODY_MAX);
	if (base64_get(&bytes, data->str, data->len, why) == -1)
		r = err_set(e, ERR_INTERNAL, "an entry of bytes: %s", why);
	else if (bytes.len > 0)
		r = put(b, bytes.data, bytes.len, e);
	buf_free(&bytes);
	return r;
}

int
bridge_process_logs(struct bridge *b, const struct json *args, struct err *e)
{
	const char *stream = json_str(args, "stream", "all");
	autofree char *id =
	    xasprintf("proc_%lld", (long long)json_int(args, "process", 0));
	const char *words[] = { id };
	autofree char *path = bridge_path(
	    json_str(args, "id", ""), "/v1/processes/{}/logs", words);
	struct json *j = NULL;
	int r;

	if (strcmp(stream, "all") != 0 && strcmp(stream, "stdout") != 0 &&
	    strcmp(stream, "stderr") != 0)
		return err_set(
		    e, ERR_BAD_REQUEST, "stream: stdout, stderr or all");
	r = bridge_ask(b, "GET", path, NULL, &j, e);
	if (r == -1 && e->code == ERR_SANDBOX_NOT_FOUND)
		e->code = ERR_PROCESS_NOT_FOUND;
	json_foreach (entry, json_get(j, "entries"))
		if (r == 0 && is_wanted(entry, stream))
			r = put_entry(b, entry, e);
	json_free(j);
	if (r == -1)
		return -1;
	/* The pipe ends before the answer comes. */
	fd_close_all(b->fds, b->nfds);
	b->nfds = 0;
	bridge_ok_empty(b);
	return 0;
}
