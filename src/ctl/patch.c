/*
 * One change as a patch; see patch.h. Runs as the caller on names and contents
 * that a sandbox chose: into a pipe contents go as they are, since a patch must
 * be exact; a terminal gets them cleaned.
 */
#include "ctl/patch.h"
#include "ctl/text.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PATCH_MAX (64u << 20)

/* --- names --------------------------------------------------------------- */

/* The way git quotes: only when there is something to quote. */
static void
put_name(struct buf *b, const char *prefix, const char *path)
{
	struct buf clean;
	bool plain;
	const char *p;

	buf_init(&clean, 8 * PATH_MAX);
	text_clean(&clean, path, strlen(path), false);
	plain = !clean.failed && clean.len > 0 &&
		strcmp(clean.data, path) == 0 && strpbrk(path, "\"\\") == NULL;
	buf_free(&clean);
	if (plain) {
		(void)buf_addf(b, "%s%s", prefix, path);
		return;
	}
	(void)buf_addf(b, "\"%s", prefix);
	for (p = path; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '"' || c == '\\')
			(void)buf_addf(b, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			(void)buf_addf(b, "\\%03o", c);
		else
			(void)buf_addc(b, (char)c);
	}
	(void)buf_addc(b, '"');
}

static void
put_side_name(struct buf *b, const char *mark, const char *prefix,
    const char *path, const struct side *s, const char *end)
{
	(void)buf_adds(b, mark);
	if (s->mode == 0)
		(void)buf_adds(b, "/dev/null");
	else
		put_name(b, prefix, path);
	/* A blank in a name would end it for patch(1). */
	if (s->mode != 0 && *end == '\n' && strchr(path, ' ') != NULL)
		(void)buf_addc(b, '\t');
	(void)buf_adds(b, end);
}

/* --- output -------------------------------------------------------------- */

static const char *
line_colour(const char *line, size_t len)
{
	if (len >= 3 &&
	    (memcmp(line, "+++", 3) == 0 || memcmp(line, "---", 3) == 0))
		return "\033[1m";
	if (len >= 10 && memcmp(line, "diff --git", 10) == 0)
		return "\033[1m";
	switch (len > 0 ? line[0] : ' ') {
	case '+':
		return "\033[32m";
	case '-':
		return "\033[31m";
	case '@':
		return "\033[36m";
	default:
		return "";
	}
}

static void
print_patch(const struct ctl *ctl, const struct buf *b)
{
	const char *s = b->data;
	size_t left = b->len;

	if (!ctl->tty) {
		(void)fwrite(s, 1, left, stdout);
		return;
	}
	while (left > 0) {
		const char *nl = memchr(s, '\n', left);
		size_t len = nl == NULL ? left : (size_t)(nl - s);
		const char *colour = ctl->colour ? line_colour(s, len) : "";
		struct buf clean;

		buf_init(&clean, 8 * PATCH_MAX);
		text_clean(&clean, s, len, true);
		(void)printf("%s%s%s\n", colour,
		    clean.failed || clean.len == 0 ? "" : clean.data,
		    *colour == '\0' ? "" : "\033[0m");
		buf_free(&clean);
		len += nl != NULL;
		s += len;
		left -= len;
	}
}

/* --- a change ------------------------------------------------------------ */

static void
put_modes(struct buf *b, const struct side *old, const struct side *new)
{
	if (old->mode == 0)
		(void)buf_addf(b, "new file mode %06o\n", new->mode);
	else if (new->mode == 0)
		(void)buf_addf(b, "deleted file mode %06o\n", old->mode);
	else if (old->mode != new->mode)
		(void)buf_addf(
		    b, "old mode %06o\nnew mode %06o\n", old->mode, new->mode);
}

bool
patch_print(const struct ctl *ctl, const char *path, const struct side *old,
    const struct side *new, const struct buf *hunks, bool opaque)
{
	bool hidden = opaque && !new->is_equal;
	struct buf b;

	buf_init(&b, PATCH_MAX + 64 * PATH_MAX);
	(void)buf_adds(&b, "diff --git ");
	put_name(&b, "a/", path);
	(void)buf_addc(&b, ' ');
	put_name(&b, "b/", path);
	(void)buf_addc(&b, '\n');
	put_modes(&b, old, new);
	if (hidden) {
		(void)buf_adds(&b, "Binary files ");
		put_side_name(&b, "", "a/", path, old, " and ");
		put_side_name(&b, "", "b/", path, new, " differ\n");
	} else if (hunks->len > 0) {
		put_side_name(&b, "--- ", "a/", path, old, "\n");
		put_side_name(&b, "+++ ", "b/", path, new, "\n");
		(void)buf_add(&b, hunks->data, hunks->len);
	}
	print_patch(ctl, &b);
	buf_free(&b);
	return hidden;
}
