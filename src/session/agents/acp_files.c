/*
 * The files that a tool call of an ACP agent touches: from the diffs in its
 * content, from its locations, and from what some agents put into the raw
 * output. Runs in the session worker.
 */
#include "session/agents/acp.h"

#include "lib/xalloc.h"
#include <string.h>

#define DIFF_BYTES_MAX (64u << 10)
#define PATH_BYTES_MAX 4096
#define CONTEXT 3 /* lines around a change */

void
acp_files_drop(struct acp_tool *t)
{
	unsigned i;

	for (i = 0; i < t->nfiles; i++) {
		free(t->files[i].path);
		free(t->files[i].diff);
	}
	t->nfiles = 0;
}

/* --- diffs ---------------------------------------------------------------- */

/* The length of the line at S, with its end. */
static size_t
line_len(const char *s)
{
	size_t n = strcspn(s, "\n");

	return n + (s[n] == '\n' ? 1 : 0);
}

static size_t
count_lines(const char *s, const char *end)
{
	size_t n = 0;

	for (; s < end; s += line_len(s))
		n++;
	return n;
}

/* N lines back from AT, not before START. */
static const char *
back(const char *start, const char *at, size_t n)
{
	for (; n > 0 && at > start; n--)
		for (at--; at > start && at[-1] != '\n'; at--)
			;
	return at;
}

static void
put_lines(struct buf *b, char mark, const char *s, const char *end)
{
	size_t n;

	for (; s < end; s += n) {
		n = line_len(s);
		(void)buf_addc(b, mark);
		(void)buf_add(b, s, n);
		if (s[n - 1] != '\n')
			(void)buf_adds(b, "\n\\ No newline at end of file\n");
	}
}

void
acp_diff(struct buf *b, const char *was, const char *is)
{
	const char *w = was, *i = is, *w_end = was + strlen(was);
	const char *i_end = is + strlen(is), *head, *tail, *w0, *i0;
	size_t n, before, after;

	/* Equal lines at the beginning, then at the end. */
	while (*w != '\0' && line_len(w) == line_len(i) &&
	       memcmp(w, i, line_len(w)) == 0) {
		n = line_len(w);
		w += n;
		i += n;
	}
	for (;;) {
		w0 = back(w, w_end, 1);
		i0 = back(i, i_end, 1);
		if (w0 == w_end || i0 == i_end || w_end - w0 != i_end - i0 ||
		    memcmp(w0, i0, (size_t)(w_end - w0)) != 0)
			break;
		w_end = w0;
		i_end = i0;
	}
	if (w == w_end && i == i_end)
		return; /* the same */
	head = back(was, w, CONTEXT);
	before = count_lines(head, w);
	for (tail = w_end, after = 0; after < CONTEXT && *tail != '\0'; after++)
		tail += line_len(tail);
	n = count_lines(was, head) + 1;
	(void)buf_addf(b, "@@ -%zu,%zu +%zu,%zu @@\n", *was == '\0' ? 0 : n,
	    before + count_lines(w, w_end) + after, *is == '\0' ? 0 : n,
	    before + count_lines(i, i_end) + after);
	put_lines(b, ' ', head, w);
	put_lines(b, '-', w, w_end);
	put_lines(b, '+', i, i_end);
	put_lines(b, ' ', w_end, tail);
}

/* --- learning ------------------------------------------------------------- */

/* The entry of PATH, a new one if need be; NULL when there are too many. */
static struct acp_file *
entry(struct acp_tool *t, const char *path)
{
	unsigned i;

	for (i = 0; i < t->nfiles; i++)
		if (strcmp(t->files[i].path, path) == 0)
			return &t->files[i];
	if (t->nfiles == ACP_FILES_MAX || *path == '\0' ||
	    strlen(path) >= PATH_BYTES_MAX)
		return NULL;
	t->files[t->nfiles] = (struct acp_file){ .path = xstrdup(path) };
	return &t->files[t->nfiles++];
}

static void
keep_diff(struct acp_file *f, const char *diff, const char *action)
{
	free(f->diff);
	f->diff = diff != NULL && *diff != '\0' && strlen(diff) < DIFF_BYTES_MAX
		      ? xstrdup(diff)
		      : NULL;
	f->action = action;
}

static void
learn_diff(struct acp_tool *t, const struct json *block)
{
	const char *path = json_str(block, "path", "");
	const char *was = json_str(block, "oldText", "");
	const char *now = json_str(block, "newText", "");
	struct acp_file *f = entry(t, path);
	struct buf b;

	if (f == NULL)
		return;
	buf_init(&b, DIFF_BYTES_MAX);
	acp_diff(&b, was, now);
	keep_diff(
	    f, b.failed ? NULL : b.data, *was == '\0' ? "write" : "patch");
	buf_free(&b);
}

static bool
kind_is(const struct acp_tool *t, const char *kind)
{
	return t->kind != NULL && strcmp(t->kind, kind) == 0;
}

/* Diffs beside the content: of the one file that it is about, or by name. */
static void
learn_raw(struct acp_tool *t, const struct json *raw)
{
	const struct json *meta = json_get(raw, "metadata");
	const char *diff = json_str(meta, "diff", NULL);
	struct acp_file *f;

	if (t->nfiles == 1 && diff != NULL)
		keep_diff(&t->files[0], diff, "patch");
	if (t->nfiles == 1 && t->files[0].diff == NULL &&
	    json_get(meta, "exists") != NULL)
		t->files[0].action = "write";
	json_foreach (it, json_get(raw, "changes")) {
		diff = json_str(it, "unified_diff", NULL);
		f = it->key != NULL && diff != NULL ? entry(t, it->key) : NULL;
		if (f != NULL && f->diff == NULL)
			keep_diff(f, diff, "patch");
	}
}

void
acp_files_learn(struct acp_tool *t, const struct json *update)
{
	bool changes =
	    kind_is(t, "edit") || kind_is(t, "delete") || kind_is(t, "move");
	struct acp_file *f;

	json_foreach (it, json_get(update, "content"))
		if (strcmp(json_str(it, "type", ""), "diff") == 0)
			learn_diff(t, it);
	if (!changes && !kind_is(t, "read"))
		return;
	json_foreach (it, json_get(update, "locations")) {
		f = entry(t, json_str(it, "path", ""));
		if (f != NULL && f->action == NULL)
			f->action = changes ? "patch" : "read";
	}
	if (changes)
		learn_raw(t, json_get(update, "rawOutput"));
}
