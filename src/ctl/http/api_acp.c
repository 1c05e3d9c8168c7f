/*
 * `sandboxctl api acp …`: envelopes of the Agent Client Protocol, sent and
 * streamed as they are; and `agents report`, which tells in short what agents
 * can be set to. Runs as the caller.
 */
#include "ctl/http/api.h"
#include "ctl/spread.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>

#define ENVELOPE_DEPTH 512
#define ANSWER_DEPTH 64
#define SERVER "/v1/acp/{server-id}"

/* --- acp post ------------------------------------------------------------ */

/* The envelope's text; the caller's. */
static int
read_envelope(struct api *a, char **text_out, size_t *len_out, struct err *e)
{
	const char *text = args_str(&a->args, "json", NULL);
	const char *file = args_str(&a->args, "json-file", NULL);
	struct json *j = NULL;

	*text_out = NULL;
	if (text == NULL && file == NULL)
		return err_set(e, ERR_DENIED,
		    "missing payload: provide --json or --json-file");
	if (text != NULL && file != NULL)
		return err_set(e, ERR_DENIED,
		    "provide either --json or --json-file, not both");
	if (file != NULL) {
		if (api_slurp(file, text_out, len_out, e) == -1)
			return err_prefix(e, "io error");
	} else {
		*text_out = xstrdup(text);
		*len_out = strlen(text);
	}
	if (json_parse(*text_out, *len_out, ENVELOPE_DEPTH, &j, e) == -1) {
		e->code = ERR_DENIED;
		return err_prefix(e, "json error");
	}
	json_free(j);
	return 0;
}

static int
run_post(struct api *a)
{
	autofree char *path = NULL;
	autofree char *text = NULL;
	struct http_call c;
	struct err e;
	size_t len = 0;
	int code;

	path = api_path(a, &e);
	if (path == NULL)
		return api_misuse(a, &e);
	if (strchr(args_str(&a->args, "server-id", ""), '/') != NULL) {
		(void)err_set(&e, ERR_DENIED, "server id must not contain '/'");
		(void)ctl_fail(a->ctl, &e);
		return EXIT_FAILED;
	}
	if (read_envelope(a, &text, &len, &e) == -1) {
		(void)ctl_fail(a->ctl, &e);
		return EXIT_FAILED;
	}
	http_call_init(&c, "POST", path);
	c.body = text;
	c.body_len = len;
	code = api_perform(a, &c);
	http_end(&a->http, &c);
	return code;
}

/* --- the table ----------------------------------------------------------- */

static const struct opt_def post_opts[] = {
	{ "server-id", '\0', "ID", "The ACP server, made by its first post." },
	{ "agent", '\0', "AGENT", "Which agent; in the first post." },
	{ "json", '\0', "TEXT", "The envelope." },
	{ "json-file", '\0', "FILE",
	    "It is in this file; - is standard input." },
};
static const struct opt_def stream_opts[] = {
	{ "server-id", '\0', "ID", "The ACP server." },
	{ "last-event-id", '\0', "N", "Only what came after envelope N." },
};
static const struct opt_def close_opts[] = {
	{ "server-id", '\0', "ID", "The ACP server." },
};
static const struct api_query post_query[] = { { "agent", "agent" },
	{ NULL, NULL } };

#define OPTS(t) .opts = (t), .nopts = countof(t)

const struct api_action api_acp[] = {
	{ .group = "acp",
	    .name = "list",
	    .method = "GET",
	    .path = "/v1/acp",
	    .operands = "",
	    .help = "ACP servers that are there.",
	    .in_sandbox = true },
	{ .group = "acp",
	    .name = "post",
	    .path = SERVER,
	    .operands = "",
	    .help = "Send an envelope; prints the agent's answer.",
	    OPTS(post_opts),
	    .query = post_query,
	    .in_sandbox = true,
	    .run = run_post },
	{ .group = "acp",
	    .name = "stream",
	    .method = "GET",
	    .path = SERVER,
	    .operands = "",
	    .help = "Stream what the agent says.",
	    OPTS(stream_opts),
	    .out = API_STREAM,
	    .in_sandbox = true },
	{ .group = "acp",
	    .name = "close",
	    .method = "DELETE",
	    .path = SERVER,
	    .operands = "",
	    .help = "End it.",
	    OPTS(close_opts),
	    .in_sandbox = true },
};
const size_t api_nacp = countof(api_acp);

/* --- agents report ------------------------------------------------------- */

#define VALUES_MAX 4096

struct values {
	const struct json *v[VALUES_MAX];
	size_t n;
};

/* Options may stand in groups, one level deep. */
static void
collect(struct values *all, const struct json *options)
{
	json_foreach (o, options) {
		const struct json *group = json_get(o, "options");

		if (group == NULL) {
			if (all->n < VALUES_MAX)
				all->v[all->n++] = o;
			continue;
		}
		json_foreach (inner, group) {
			if (all->n < VALUES_MAX)
				all->v[all->n++] = inner;
		}
	}
}

static int
by_value(const void *a, const void *b)
{
	const struct json *const *x = a;
	const struct json *const *y = b;

	return strcmp(json_str(*x, "value", ""), json_str(*y, "value", ""));
}

static void
write_setting(struct jw *w, const struct json *agent, const char *category,
    const char *key)
{
	static struct values all;

	all.n = 0;
	jw_key(w, key);
	jw_object(w);
	json_foreach (o, json_get(agent, "configOptions")) {
		if (strcmp(json_str(o, "category", ""), category) != 0)
			continue;
		if (json_str(o, "currentValue", NULL) != NULL)
			jw_kstr(
			    w, "currentValue", json_str(o, "currentValue", ""));
		collect(&all, json_get(o, "options"));
		break;
	}
	if (all.n > 1)
		qsort(all.v, all.n, sizeof(all.v[0]), by_value);
	jw_key(w, "values");
	jw_array(w);
	for (size_t i = 0; i < all.n; i++) {
		jw_object(w);
		jw_kstr(w, "value", json_str(all.v[i], "value", ""));
		if (json_str(all.v[i], "name", NULL) != NULL)
			jw_kstr(w, "name", json_str(all.v[i], "name", ""));
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_object_end(w);
}

static void
write_report(struct api *a, struct jw *w, const struct json *answer)
{
	jw_object(w);
	jw_kint(w, "generatedAtMs", now_realtime_ms());
	jw_kstr(w, "endpoint", a->target.base);
	jw_key(w, "agents");
	jw_array(w);
	json_foreach (x, json_get(answer, "agents")) {
		jw_object(w);
		jw_kstr(w, "id", json_str(x, "id", ""));
		jw_kbool(w, "installed", json_bool(x, "installed", false));
		write_setting(w, x, "model", "models");
		write_setting(w, x, "mode", "modes");
		write_setting(w, x, "thought_level", "thoughtLevels");
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_object_end(w);
}

static int
print_report(struct api *a, const struct http_call *c)
{
	struct json *j = NULL;
	struct buf b;
	struct err e;
	struct jw w;
	int code = EXIT_OK;

	if (c->body_in.len == 0 || json_parse(c->body_in.data, c->body_in.len,
				       ANSWER_DEPTH, &j, &e) == -1) {
		(void)err_set(
		    &e, ERR_INTERNAL, "the server's answer is no list");
		(void)ctl_fail(a->ctl, &e);
		return EXIT_FAILED;
	}
	buf_init(&b, 64u << 20);
	jw_init(&w, &b);
	write_report(a, &w, j);
	if (b.failed || spread_text(stdout, b.data, b.len, false) == -1)
		code = EXIT_FAILED;
	buf_free(&b);
	json_free(j);
	return code;
}

int
api_report(struct api *a)
{
	autofree char *path = NULL;
	struct http_call c;
	struct buf b;
	int code;

	buf_init(&b, 4096);
	if (a->sandbox != NULL) {
		(void)buf_adds(&b, "/i/");
		target_escape(&b, a->sandbox);
	}
	(void)buf_adds(&b, "/v1/agents?config=true");
	path = buf_steal(&b);
	http_call_init(&c, "GET", path);
	code = api_fetch(a, &c);
	if (code == EXIT_OK)
		code = print_report(a, &c);
	http_end(&a->http, &c);
	return code;
}
