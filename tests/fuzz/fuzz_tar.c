/*
 * An archive from anybody, in pieces of any size. Whatever is read in pieces
 * must read the same at once; names are never empty, too long or with a NUL,
 * and files get exactly the bytes that were announced.
 *
 * Input: a byte for the size of the pieces, then the archive.
 */
#include "fuzz.h"
#include "lib/tar.h"
#include "lib/defs.h"
#include <string.h>

struct seen {
	uint64_t sum;  /* of all that was told */
	uint64_t left; /* of the file's data */
	unsigned open; /* between entry and end */
	unsigned entries;
};

static void
mix(struct seen *s, const void *p, size_t n)
{
	const uint8_t *u = p;
	size_t i;

	for (i = 0; i < n; i++)
		s->sum = (s->sum ^ u[i]) * 1099511628211u;
}

static int
on_entry(void *ctx, const struct tar_entry *t, struct err *e)
{
	struct seen *s = ctx;
	size_t n = strlen(t->path);

	(void)e;
	CHECK(s->open == 0 && n > 0 && n <= TAR_NAME_MAX);
	CHECK(strlen(t->link) <= TAR_NAME_MAX);
	CHECK(t->type < TAR_TYPE_N && t->mode <= 07777);
	CHECK(t->mtime_ns >= 0 && t->mtime_ns < 1000000000);
	CHECK(t->type == TAR_FILE || t->size == 0);
	if (t->type == TAR_SYMLINK || t->type == TAR_HARDLINK)
		CHECK(t->link[0] != '\0');
	mix(s, t->path, n + 1);
	mix(s, t->link, strlen(t->link) + 1);
	mix(s, &t->size, sizeof(t->size));
	mix(s, &t->mode, sizeof(t->mode));
	mix(s, &t->mtime_s, sizeof(t->mtime_s));
	s->open = 1;
	s->left = t->size;
	s->entries++;
	return 0;
}

static int
on_data(void *ctx, const void *p, size_t n, struct err *e)
{
	struct seen *s = ctx;

	(void)e;
	CHECK(s->open == 1 && n > 0 && n <= s->left);
	s->left -= n;
	mix(s, p, n);
	return 0;
}

static int
on_end(void *ctx, struct err *e)
{
	struct seen *s = ctx;

	(void)e;
	CHECK(s->open == 1 && s->left == 0);
	s->open = 0;
	return 0;
}

static int
play(const uint8_t *data, size_t size, size_t piece, struct seen *s)
{
	static const struct tar_ops ops = { on_entry, on_data, on_end };
	struct tar *t = tar_new(&ops, s);
	size_t at, n;
	struct err e;
	int r = 0;

	memset(s, 0, sizeof(*s));
	err_clear(&e);
	for (at = 0; at < size && r == 0; at += n) {
		n = MIN(piece, size - at);
		r = tar_feed(t, data + at, n, &e);
	}
	if (r == 0)
		r = tar_finish(t, &e);
	if (r == 0)
		CHECK(s->open == 0);
	else
		CHECK(e.code == ERR_BAD_REQUEST && e.text[0] != '\0');
	tar_free(t);
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole, pieces;
	int r;

	if (size < 1)
		return 0;
	r = play(data + 1, size - 1, size, &whole);
	CHECK(play(data + 1, size - 1, (size_t)data[0] + 1, &pieces) == r);
	/* Where it broke both have told the same before. */
	CHECK(whole.entries == pieces.entries);
	if (r == 0)
		CHECK(whole.sum == pieces.sum);
	return 0;
}
