/*
 * lib/tar: what is told of an archive, in pieces of every size, and what is
 * refused. Names and data in bulk are tested through HTTP and by the fuzzer.
 */
#include "lib/tar.h"
#include "lib/buf.h"
#include "lib/defs.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char type_letters[] = "fdlhs";

static int
on_entry(void *ctx, const struct tar_entry *t, struct err *e)
{
	(void)e;
	return buf_addf(ctx, "%c %s>%s %o %lld.%09ld %llu[",
	    type_letters[t->type], t->path, t->link, t->mode,
	    (long long)t->mtime_s, t->mtime_ns, (unsigned long long)t->size);
}

static int
on_data(void *ctx, const void *p, size_t n, struct err *e)
{
	const char *s = p;
	size_t i;

	(void)e;
	for (i = 0; i < n; i++) /* what follows is looked at as a string */
		if (s[i] != '\0' && buf_addc(ctx, s[i]) == -1)
			return -1;
	return 0;
}

static int
on_end(void *ctx, struct err *e)
{
	struct buf *b = ctx;

	if (strstr(b->data, "stop>") != NULL)
		return err_set(e, ERR_LIMIT, "stopped");
	return buf_addc(b, ']');
}

static const struct tar_ops ops = { on_entry, on_data, on_end };

/* A header of ustar's form, with a sum that fits. */
static void
add(struct buf *b, char type, const char *name, const char *link,
    const char *size, const char *mtime, const char *data)
{
	char h[TAR_BLOCK] = { 0 };
	size_t i, n = strlen(data);
	unsigned sum = 0;

	(void)snprintf(h, 100, "%s", name);
	(void)snprintf(h + 100, 8, "0000644");
	memcpy(h + 124, size, MIN(strlen(size), 12u));
	memcpy(h + 136, mtime, MIN(strlen(mtime), 12u));
	memset(h + 148, ' ', 8);
	h[156] = type;
	(void)snprintf(h + 157, 100, "%s", link);
	memcpy(h + 257, "ustar\00000", 8);
	for (i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	(void)snprintf(h + 148, 8, "%06o", sum);
	(void)buf_add(b, h, sizeof(h));
	(void)buf_add(b, data, n);
	for (; n % TAR_BLOCK != 0; n++)
		(void)buf_addc(b, '\0');
}

static void
add_end(struct buf *b)
{
	static const char zeros[2 * TAR_BLOCK];

	(void)buf_add(b, zeros, sizeof(zeros));
}

/* Feed in pieces of every size that matters: always the same must be told. */
static void
expect(const struct buf *tar, const char *want)
{
	static const size_t pieces[] = { 1, 7, 511, 512, 513, 100000 };
	size_t i, at, n;
	struct tar *t;
	struct buf got;
	struct err e;
	int r;

	for (i = 0; i < countof(pieces); i++) {
		buf_init(&got, 1 << 20);
		(void)buf_adds(&got, "");
		t = tar_new(&ops, &got);
		err_clear(&e);
		for (at = 0, r = 0; at < tar->len && r == 0; at += n) {
			n = MIN(pieces[i], tar->len - at);
			r = tar_feed(t, tar->data + at, n, &e);
		}
		if (r == 0)
			r = tar_finish(t, &e);
		if (r == -1)
			(void)buf_addf(&got, "!%s", e.text);
		assert_string_equal(got.data, want);
		tar_free(t);
		buf_free(&got);
	}
}

static void
entries(void **state ATTR_UNUSED)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	add(&b, '0', "a.txt", "", "00000000005", "14524664000", "hello");
	add(&b, '5', "d/", "", "00000000000", "0", "");
	add(&b, '2', "l", "../x", "0", "0", "");
	add(&b, '1', "h", "a.txt", "0", "0", "");
	add(&b, '3', "dev", "", "0", "0", "");
	add_end(&b);
	(void)buf_adds(&b, "whatever comes behind the end");
	expect(&b, "f a.txt> 644 1699964928.000000000 5[hello]"
		   "d d/> 644 0.000000000 0[]l l>../x 644 0.000000000 0[]"
		   "h h>a.txt 644 0.000000000 0[]s dev> 644 0.000000000 0[]");
	buf_free(&b);
}

static void
extensions(void **state ATTR_UNUSED)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	add(&b, 'g', "g", "", "11", "0", "9 x=y\nzz\n");
	add(&b, 'x', "x", "", "45", "0",
	    "13 path=long\n14 mtime=-1.5\n10 size=3\n");
	add(&b, '0', "short", "", "0", "0", "abc");
	add(&b, 'L', "L", "", "5", "0", "name");
	add(&b, 'K', "K", "", "7", "0", "target");
	add(&b, '2', "n", "t", "0", "0", "");
	expect(&b, "f long> 644 -2.500000000 3[abc]"
		   "l name>target 644 0.000000000 0[]");
	buf_free(&b);
}

static void
numbers(void **state ATTR_UNUSED)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	/* GNU's binary form, which needs no terminator. */
	add(&b, '0', "b", "", "\200\0\0\0\0\0\0\0\0\0\0\0", "0", "");
	expect(&b, "f b> 644 0.000000000 0[]");
	buf_clear(&b);
	add(&b, '0', "n", "", "  3 ", "  7 ", "abc");
	expect(&b, "f n> 644 7.000000000 3[abc]");
	buf_clear(&b);
	add(&b, '0', "n", "", "9", "0", "");
	expect(&b, "!not a tar archive: a size that is no number");
	buf_clear(&b);
	add(&b, '0', "n", "",
	    "\377\377\377\377\377\377\377\377\377\377\377\377", "0", "");
	expect(&b, "!not a tar archive: a size that is no number");
	buf_free(&b);
}

static void
refusals(void **state ATTR_UNUSED)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	expect(&b, "");
	add(&b, '2', "l", "x", "4", "0", "data");
	expect(&b, "!not a tar archive: data behind an entry that has none");
	buf_clear(&b);
	add(&b, '2', "l", "", "0", "0", "");
	expect(&b, "!not a tar archive: a link to nothing");
	buf_clear(&b);
	add(&b, 'S', "s", "", "0", "0", "");
	expect(&b, "!not a tar archive: an entry of an unknown type");
	buf_clear(&b);
	add(&b, 'x', "x", "", "6", "0", "6 a=b\n");
	expect(&b, "");
	add_end(&b);
	expect(&b, "");
	buf_clear(&b);
	add(&b, 'x', "x", "", "17", "0", "13 path=long\n\n\n");
	expect(&b, "!not a tar archive: a pax header without lengths");
	buf_clear(&b);
	add(&b, 'L', "L", "", "1000000", "0", "");
	expect(&b, "!not a tar archive: an extension that is too long");
	buf_clear(&b);
	add(&b, '0', "stop", "", "0", "0", "");
	expect(&b, "f stop> 644 0.000000000 0[!stopped");
	buf_clear(&b);
	add(&b, '0', "cut", "", "2000", "0", "abc");
	expect(&b, "f cut> 644 0.000000000 1024[abc"
		   "!not a tar archive: it is cut off within an entry");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries),
		cmocka_unit_test(extensions),
		cmocka_unit_test(numbers),
		cmocka_unit_test(refusals),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("tar", tests, NULL, NULL);
}
