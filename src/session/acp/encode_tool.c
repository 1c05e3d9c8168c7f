/*
 * What a tool call is about, for a client to show: its title, kind, files and
 * changes, out of its name and arguments; see encode.h. Runs in the session
 * worker. Both are an agent's: of any length, and only a guess at what it will
 * do. The names of arguments are those of the agents that are known; for any
 * other tool there is its name.
 */
#include "session/acp/encode.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>
#include <strings.h>

#define TITLE_BYTES 240
#define RAW_BYTES (96u << 10)
#define TEXT_BYTES (160u << 10)
#define DIFFS_BYTES (320u << 10) /* of all diffs of a call */
#define DIFFS_MAX 64
#define ARGS_DEPTH JSON_DEPTH_AGENT

static const struct {
	const char *name, *kind;
} kinds[] = {
	{ "bash", "execute" },
	{ "shell", "execute" },
	{ "exec", "execute" },
	{ "exec_command", "execute" },
	{ "command_execution", "execute" },
	{ "commandExecution", "execute" },
	{ "run", "execute" },
	{ "bashoutput", "execute" },
	{ "killshell", "execute" },
	{ "read", "read" },
	{ "view", "read" },
	{ "cat", "read" },
	{ "read_file", "read" },
	{ "notebookread", "read" },
	{ "write", "edit" },
	{ "edit", "edit" },
	{ "multiedit", "edit" },
	{ "notebookedit", "edit" },
	{ "create_file", "edit" },
	{ "edit_file", "edit" },
	{ "write_file", "edit" },
	{ "apply_patch", "edit" },
	{ "patch", "edit" },
	{ "file_change", "edit" },
	{ "fileChange", "edit" },
	{ "undo_edit", "edit" },
	{ "delete_file", "delete" },
	{ "glob", "search" },
	{ "grep", "search" },
	{ "find", "search" },
	{ "ls", "search" },
	{ "list", "search" },
	{ "search", "search" },
	{ "codebase_search_agent", "search" },
	{ "webfetch", "fetch" },
	{ "fetch", "fetch" },
	{ "read_web_page", "fetch" },
	{ "websearch", "fetch" },
	{ "web_search", "fetch" },
	{ "webSearch", "fetch" },
	{ "task", "think" },
	{ "agent", "think" },
	{ "todowrite", "think" },
	{ "todoread", "think" },
	{ "todo_write", "think" },
	{ "think", "think" },
	{ "exitplanmode", "switch_mode" },
};

static const char *const path_keys[] = { "file_path", "path", "filePath",
	"filepath", "notebook_path", "grantRoot" };
static const char *const subject_keys[] = { "pattern", "query", "url",
	"description", "prompt", "objective" };
static const char *const old_keys[] = { "old_string", "oldText", "old_str",
	"oldString" };
static const char *const new_keys[] = { "new_string", "newText", "new_str",
	"newString", "new_source" };
static const char *const whole_keys[] = { "content", "file_text" };

static const struct json *
first_of(const struct json *args, const char *const *keys, size_t n)
{
	const struct json *v;
	size_t i;

	for (i = 0; i < n; i++) {
		v = json_get(args, keys[i]);
		if (v != NULL && v->type == JSON_STRING &&
		    strlen(v->str) == v->len)
			return v;
	}
	return NULL;
}

#define FIRST(args, keys) first_of((args), (keys), countof(keys))

/* A command without the shell that it is given to: "/bin/bash -lc '…'". */
static char *
unwrapped(const char *s)
{
	const char *p = s + strcspn(s, " "), *at = p;
	size_t n;

	while (at > s && at[-1] != '/')
		at--;
	if ((!str_starts(at, "bash ") && !str_starts(at, "sh ") &&
		!str_starts(at, "zsh ")) ||
	    (!str_starts(p, " -lc ") && !str_starts(p, " -c ")))
		return xstrdup(s);
	p = strchr(p + 1, ' ') + 1;
	n = strlen(p);
	if (n >= 2 && (*p == '\'' || *p == '"') && p[n - 1] == *p &&
	    memchr(p + 1, *p, n - 2) == NULL)
		return xstrndup(p + 1, n - 2);
	return xstrdup(s);
}

/* The command in words; the caller's, or NULL. */
static char *
command_of(const struct json *args)
{
	const struct json *v = json_get(args, "command"), *last = NULL;
	struct buf b;

	if (v == NULL)
		v = json_get(args, "cmd");
	if (v != NULL && v->type == JSON_STRING && v->len > 0 &&
	    strlen(v->str) == v->len)
		return unwrapped(v->str);
	if (v == NULL || v->type != JSON_ARRAY || v->len == 0)
		return NULL;
	/* A shell that is given the command as its last word. */
	json_foreach (it, v)
		last = it;
	if (v->len == 3 && last->type == JSON_STRING &&
	    v->child->next->type == JSON_STRING &&
	    v->child->next->str[0] == '-')
		return xstrndup(last->str, strnlen(last->str, last->len));
	buf_init(&b, TEXT_BYTES);
	json_foreach (it, v) {
		if (it->type != JSON_STRING)
			continue;
		if (b.len > 0)
			(void)buf_addc(&b, ' ');
		(void)buf_add(&b, it->str, strnlen(it->str, it->len));
	}
	return b.len > 0 ? buf_steal(&b) : NULL;
}

static const char *
kind_of(const char *name, const struct json *args)
{
	size_t i;

	for (i = 0; i < countof(kinds); i++)
		if (strcasecmp(kinds[i].name, name) == 0)
			return kinds[i].kind;
	if (json_get(args, "command") != NULL)
		return "execute";
	if (FIRST(args, path_keys) != NULL && FIRST(args, new_keys) != NULL)
		return "edit";
	return "other";
}

bool
enc_tool_runs(const char *name, const struct json *args)
{
	return strcmp(kind_of(name, args), "execute") == 0;
}

/* PATH as seen from DIRECTORY. */
static const char *
shown(const char *directory, const char *path)
{
	size_t n = strlen(directory);

	if (n > 1 && strncmp(path, directory, n) == 0 && path[n] == '/')
		return path + n + 1;
	return path;
}

static void
write_title(struct jw *w, const char *name, const char *kind,
    const struct json *args, const char *directory)
{
	const struct json *path = FIRST(args, path_keys);
	const struct json *subject = FIRST(args, subject_keys);
	const struct json *changes = json_get(args, "changes");
	autofree char *command = NULL, *title = NULL;
	size_t budget = TITLE_BYTES, n;

	if (path == NULL && changes != NULL)
		path = FIRST(changes->child, path_keys);
	if (strcmp(kind, "execute") == 0)
		command = command_of(args);
	if (command != NULL)
		title = xstrdup(command);
	else if (path != NULL)
		title = xasprintf("%s %s", name, shown(directory, path->str));
	else if (subject != NULL)
		title = xasprintf("%s %s", name, subject->str);
	else
		title = xstrdup(*name != '\0' ? name : "Tool");
	n = strcspn(title, "\r\n");
	jw_key(w, "title");
	content_text(w, title, n > 0 ? n : strlen(title), &budget);
}

void
enc_location(struct jw *w, const char *directory, const char *path)
{
	autofree char *full = NULL;

	if (path[0] != '/')
		full = xasprintf("%s/%s", directory, path);
	jw_object(w);
	jw_key(w, "path");
	content_name(w, full != NULL ? full : path);
	jw_object_end(w);
}

void
enc_text_content(struct jw *w, const char *text, size_t len)
{
	size_t budget = TEXT_BYTES;

	jw_object(w);
	jw_kstr(w, "type", "content");
	jw_key(w, "content");
	jw_object(w);
	jw_kstr(w, "type", "text");
	jw_key(w, "text");
	content_text(w, text, len, &budget);
	jw_object_end(w);
	jw_object_end(w);
}

/* --- changes of files ----------------------------------------------------- */

static void
write_diff(struct jw *w, const char *path, const char *old, size_t old_len,
    const char *new, size_t new_len, size_t *budget)
{
	jw_object(w);
	jw_kstr(w, "type", "diff");
	jw_key(w, "path");
	content_name(w, path);
	jw_key(w, "oldText");
	content_text(w, old, old_len, budget);
	jw_key(w, "newText");
	content_text(w, new, new_len, budget);
	jw_object_end(w);
}

/* A header of a unified diff, which is no line of either text. */
static bool
is_header(const char *line)
{
	return str_starts(line, "--- ") || str_starts(line, "+++ ") ||
	       str_starts(line, "@@") || str_starts(line, "diff ") ||
	       str_starts(line, "index ") || str_starts(line, "Index: ") ||
	       str_starts(line, "=====") || line[0] == '\\';
}

bool
enc_diff_content(struct jw *w, const char *path, const char *diff, size_t len)
{
	autofree char *text = diff != NULL ? xstrndup(diff, len) : NULL;
	size_t budget = DIFFS_BYTES;
	bool any = false, had = false;
	char *line, *next;
	struct buf old, new;

	buf_init(&old, len + 2);
	buf_init(&new, len + 2);
	for (line = text; line != NULL && *line != '\0'; line = next) {
		next = line + strcspn(line, "\n");
		if (*next != '\0')
			*next++ = '\0';
		if (is_header(line))
			continue;
		any = any || *line == '+' || *line == '-';
		had = had || *line != '+';
		if (*line != '+') {
			(void)buf_adds(&old, *line != '\0' ? line + 1 : line);
			(void)buf_addc(&old, '\n');
		}
		if (*line != '-') {
			(void)buf_adds(&new, *line != '\0' ? line + 1 : line);
			(void)buf_addc(&new, '\n');
		}
	}
	if (any)
		write_diff(w, path, had ? old.data : NULL, old.len,
		    new.data != NULL ? new.data : "", new.len, &budget);
	buf_free(&old);
	buf_free(&new);
	return any;
}

static bool
replacement(
    struct jw *w, const char *path, const struct json *args, size_t *budget)
{
	const struct json *old = FIRST(args, old_keys);
	const struct json *new = FIRST(args, new_keys);

	if (old == NULL || new == NULL)
		return false;
	write_diff(w, path, old->str, old->len, new->str, new->len, budget);
	return true;
}

/* One of a list of changes: a diff, or all of a file that is new or goes. */
static bool
change(struct jw *w, const struct json *c, size_t *budget)
{
	const char *diff = json_str(c, "diff", NULL);
	const char *path = json_str(c, "path", NULL);
	const char *type =
	    json_str(json_get(c, "kind"), "type", json_str(c, "kind", ""));
	size_t len;

	if (diff == NULL || path == NULL)
		return false;
	len = strlen(diff);
	if (strcmp(type, "add") == 0)
		write_diff(w, path, NULL, 0, diff, len, budget);
	else if (strcmp(type, "delete") == 0)
		write_diff(w, path, diff, len, "", 0, budget);
	else
		return enc_diff_content(w, path, diff, len);
	return true;
}

/* The elements of a content array which tell what ARGS change. */
static bool
write_diffs(struct jw *w, const char *kind, const struct json *args)
{
	const struct json *path = FIRST(args, path_keys);
	const struct json *whole = FIRST(args, whole_keys);
	size_t budget = DIFFS_BYTES;
	unsigned n = 0;
	bool any = false;

	json_foreach (it, json_get(args, "changes"))
		if (n++ < DIFFS_MAX)
			any |= change(w, it, &budget);
	if (path == NULL)
		return any;
	json_foreach (it, json_get(args, "edits"))
		if (n++ < DIFFS_MAX)
			any |= replacement(w, path->str, it, &budget);
	if (replacement(w, path->str, args, &budget))
		return true;
	if (!any && whole != NULL && strcmp(kind, "edit") == 0) {
		write_diff(
		    w, path->str, NULL, 0, whole->str, whole->len, &budget);
		any = true;
	}
	return any;
}

static void
write_raw_input(struct jw *w, const struct json *args, const char *text)
{
	size_t budget = RAW_BYTES;
	size_t len = strlen(text);

	if (len == 0)
		return;
	jw_key(w, "rawInput");
	if (args != NULL)
		content_json(w, text, len, &budget);
	else
		content_text(w, text, len, &budget);
}

static void
write_locations(struct jw *w, const char *directory, const struct json *path,
    const struct json *changes)
{
	unsigned n = 0;

	if (path == NULL && changes == NULL)
		return;
	jw_key(w, "locations");
	jw_array(w);
	if (path != NULL)
		enc_location(w, directory, path->str);
	json_foreach (it, changes)
		if (json_str(it, "path", NULL) != NULL && n++ < DIFFS_MAX)
			enc_location(w, directory, json_str(it, "path", ""));
	jw_array_end(w);
}

bool
enc_tool_members(struct jw *w, const char *name, const char *args_text,
    const char *directory, const char *terminal_id)
{
	const struct json *path;
	struct json *args = NULL;
	const char *kind;
	bool diff = false;

	if (json_parse(args_text, strlen(args_text), ARGS_DEPTH, &args, NULL) ==
	    -1)
		args = NULL;
	kind = kind_of(name, args);
	path = FIRST(args, path_keys);
	write_title(w, name, kind, args, directory);
	jw_kstr(w, "kind", kind);
	write_raw_input(w, args, args_text);
	write_locations(w, directory, path, json_get(args, "changes"));
	jw_key(w, "content");
	jw_array(w);
	if (terminal_id != NULL) {
		jw_object(w);
		jw_kstr(w, "type", "terminal");
		jw_kstr(w, "terminalId", terminal_id);
		jw_object_end(w);
	} else {
		diff = write_diffs(w, kind, args);
	}
	jw_array_end(w);
	json_free(args);
	return diff;
}
