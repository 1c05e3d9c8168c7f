/*
 * The tar reader; see tar.h. Used by forked children of a sandbox's init
 * on what any client sends, and by sandboxctl on what a sandbox sends: every
 * length is bounded before it is believed, and nothing is kept but one header
 * and one extension.
 */
#include "tar.h"
#include "buf.h"
#include "strutil.h"
#include "xalloc.h"

#include <string.h>

/* Where fields stand in a header block. */
enum {
	AT_NAME = 0,
	AT_MODE = 100,
	AT_UID = 108,
	AT_GID = 116,
	AT_SIZE = 124,
	AT_MTIME = 136,
	AT_SUM = 148,
	AT_TYPE = 156,
	AT_LINK = 157,
	AT_MAGIC = 257,
	AT_PREFIX = 345
};

enum state {
	S_HEADER,    /* a header block comes */
	S_DATA,	     /* of a file */
	S_EXTENSION, /* of a pax header or a long name */
	S_PADDING,   /* to the end of a block */
	S_END	     /* two blocks of zeros were seen */
};

/* What extensions say of the entry that follows. */
struct next {
	char path[TAR_NAME_MAX + 1], link[TAR_NAME_MAX + 1];
	bool has_path, has_link, has_size, has_mtime, has_uid, has_gid;
	uint64_t size;
	int64_t mtime_s, uid, gid;
	long mtime_ns;
	struct buf xattrs; /* as in struct tar_entry */
};

struct tar {
	const struct tar_ops *ops; /* borrowed */
	void *ctx;		   /* borrowed */
	enum state state;
	char block[TAR_BLOCK];
	size_t have;	 /* of block */
	uint64_t left;	 /* of data or extension */
	size_t padding;	 /* behind it */
	char extension;	 /* its type */
	struct buf text; /* the extension */
	struct next next;
	bool file;	/* left is of a file */
	unsigned zeros; /* blocks of zeros, one behind the other */
	char path[TAR_NAME_MAX + 1], link[TAR_NAME_MAX + 1];
};

struct tar *
tar_new(const struct tar_ops *ops, void *ctx)
{
	struct tar *t = xcalloc(1, sizeof(*t));

	t->ops = ops;
	t->ctx = ctx;
	buf_init(&t->text, TAR_EXTENSION_MAX);
	buf_init(&t->next.xattrs, TAR_EXTENSION_MAX);
	return t;
}

void
tar_free(struct tar *t)
{
	if (t == NULL)
		return;
	buf_free(&t->text);
	buf_free(&t->next.xattrs);
	free(t);
}

static int
garbage(struct err *e, const char *what)
{
	return err_set(e, ERR_BAD_REQUEST, "not a tar archive: %s", what);
}

/*
 * Fields
 */

/* Octal, blanks before it and a blank or NUL behind. An empty one is 0. */
static int
octal(const char *p, size_t n, uint64_t *v_out)
{
	uint64_t v = 0;
	size_t i = 0;

	while (i < n && p[i] == ' ')
		i++;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
		if (v >> 60 != 0)
			return -1;
		v = v << 3 | (uint64_t)(p[i] - '0');
	}
	for (; i < n; i++)
		if (p[i] != ' ' && p[i] != '\0')
			return -1;
	*v_out = v;
	return 0;
}

/* Octal, or where that is too short GNU's binary form: bit 7 of the first byte
 * set, the rest big endian; 0xff begins a negative number. */
static int
number(const char *p, size_t n, int64_t *v_out)
{
	const unsigned char *u = (const unsigned char *)p;
	uint64_t v;
	size_t i;

	if ((u[0] & 0x80) == 0) {
		if (octal(p, n, &v) == -1 || v > INT64_MAX)
			return -1;
		*v_out = (int64_t)v;
		return 0;
	}
	if (u[0] != 0x80 && u[0] != 0xff)
		return -1;
	/* What does not fit in 64 bits must be the sign, repeated. */
	for (i = 1; i + 8 < n; i++)
		if (u[i] != (u[0] == 0xff ? 0xff : 0))
			return -1;
	for (v = u[0] == 0xff ? UINT64_MAX : 0; i < n; i++)
		v = v << 8 | u[i];
	if ((v >> 63 != 0) != (u[0] == 0xff))
		return -1;
	*v_out = (int64_t)v;
	return 0;
}

/* "1700000000.123456789", also negative, as pax writes times. */
static int
decimal_time(const char *s, int64_t *s_out, long *ns_out)
{
	const char *dot = strchr(s, '.');
	char whole[24];
	long ns = 0, unit = 100000000;
	size_t n = dot == NULL ? strlen(s) : (size_t)(dot - s);

	if (str_format(whole, sizeof(whole), "%.*s", (int)MIN(n, 100u), s) ==
		-1 ||
	    str_to_int(whole, INT64_MIN / 2, INT64_MAX / 2, s_out) == -1)
		return -1;
	for (dot = dot == NULL ? "" : dot + 1; *dot != '\0'; dot++) {
		if (*dot < '0' || *dot > '9')
			return -1;
		ns += (*dot - '0') * unit;
		unit /= 10;
	}
	/* -1.25 is -2 seconds and 750 milliseconds. */
	if (s[0] == '-' && ns > 0) {
		(*s_out)--;
		ns = 1000000000 - ns;
	}
	*ns_out = ns;
	return 0;
}

static bool
all_zero(const char *p)
{
	size_t i;

	for (i = 0; i < TAR_BLOCK; i++)
		if (p[i] != '\0')
			return false;
	return true;
}

/* The sum is of unsigned bytes; some old writers summed signed ones. */
static bool
sum_fits(const char *p)
{
	uint64_t want;
	int64_t with_sign = 0;
	uint64_t sum = 0;
	size_t i;
	char c;

	if (octal(p + AT_SUM, 8, &want) == -1)
		return false;
	for (i = 0; i < TAR_BLOCK; i++) {
		c = i >= AT_SUM && i < AT_SUM + 8 ? ' ' : p[i];
		sum += (unsigned char)c;
		with_sign += (signed char)c;
	}
	return sum == want || with_sign == (int64_t)want;
}

/*
 * Extensions
 */

static int
name_set(char *dst, const char *p, size_t n, struct err *e)
{
	if (n == 0 || n > TAR_NAME_MAX || memchr(p, 0, n) != NULL)
		return garbage(e, "a name that is empty or too long");
	memcpy(dst, p, n);
	dst[n] = '\0';
	return 0;
}

static int
xattr_add(struct next *x, const char *name, const char *value, size_t n,
    struct err *e)
{
	uint32_t len = (uint32_t)n; /* at most TAR_EXTENSION_MAX */

	if (name[0] == '\0' || strlen(name) > 255 ||
	    buf_add(&x->xattrs, name, strlen(name) + 1) == -1 ||
	    buf_add(&x->xattrs, &len, sizeof(len)) == -1 ||
	    buf_add(&x->xattrs, value, n) == -1)
		return garbage(e, "an attribute that is too long");
	return 0;
}

static int
id_set(int64_t *id, bool *has, const char *value, struct err *e)
{
	if (str_to_int(value, 0, UINT32_MAX - 1, id) == -1)
		return garbage(e, "an owner that is no number");
	*has = true;
	return 0;
}

static int
pax_member(
    struct next *x, const char *key, const char *value, size_t n, struct err *e)
{
	int64_t v;

	if (strcmp(key, "path") == 0) {
		x->has_path = true;
		return name_set(x->path, value, n, e);
	}
	if (strcmp(key, "linkpath") == 0) {
		x->has_link = true;
		return name_set(x->link, value, n, e);
	}
	if (strcmp(key, "size") == 0) {
		if (str_to_int(value, 0, INT64_MAX, &v) == -1)
			return garbage(e, "a size that is no number");
		x->has_size = true;
		x->size = (uint64_t)v;
		return 0;
	}
	if (strcmp(key, "mtime") == 0) {
		if (decimal_time(value, &x->mtime_s, &x->mtime_ns) == -1)
			return garbage(e, "a time that is no number");
		x->has_mtime = true;
		return 0;
	}
	if (strcmp(key, "uid") == 0)
		return id_set(&x->uid, &x->has_uid, value, e);
	if (strcmp(key, "gid") == 0)
		return id_set(&x->gid, &x->has_gid, value, e);
	if (str_starts(key, "SCHILY.xattr.user."))
		return xattr_add(x, key + strlen("SCHILY.xattr."), value, n, e);
	if (str_starts(key, "GNU.sparse."))
		return garbage(e, "sparse files are not supported");
	return 0;
}

/* "27 path=some/where/else\n", again and again. */
static int
pax_parse(struct next *x, char *p, size_t n, struct err *e)
{
	char *blank, *eq, *end;
	int64_t len;

	while (n > 0) {
		blank = memchr(p, ' ', MIN(n, 20u));
		if (blank == NULL)
			return garbage(e, "a pax header without lengths");
		*blank = '\0';
		if (str_to_int(p, 5, (int64_t)n, &len) == -1 ||
		    p + len - 1 <= blank || p[len - 1] != '\n')
			return garbage(e, "a pax header with a wrong length");
		end = p + len - 1;
		*end = '\0';
		eq = memchr(blank + 1, '=', (size_t)(end - blank - 1));
		if (eq == NULL)
			return garbage(e, "a pax header without values");
		*eq = '\0';
		if (pax_member(
			x, blank + 1, eq + 1, (size_t)(end - eq - 1), e) == -1)
			return -1;
		p += len;
		n -= (size_t)len;
	}
	return 0;
}

static int
extension_end(struct tar *t, struct err *e)
{
	size_t n = t->text.len;

	if (t->text.failed)
		return garbage(e, "an extension that is too long");
	switch (t->extension) {
	case 'x':
		return pax_parse(&t->next, n > 0 ? t->text.data : NULL, n, e);
	case 'L':
	case 'K':
		/* Written with its terminator, if by GNU tar itself. */
		n = n > 0 ? strnlen(t->text.data, n) : 0;
		if (t->extension == 'L') {
			t->next.has_path = true;
			return name_set(
			    t->next.path, n > 0 ? t->text.data : "", n, e);
		}
		t->next.has_link = true;
		return name_set(t->next.link, n > 0 ? t->text.data : "", n, e);
	default: /* g: of no use to us */
		return 0;
	}
}

/* Is something waiting for its entry? */
static bool
extended(const struct next *x)
{
	return x->has_path || x->has_link || x->has_size || x->has_mtime ||
	       x->has_uid || x->has_gid || x->xattrs.len > 0;
}

/*
 * Headers
 */

static int
names_read(struct tar *t, struct err *e)
{
	const char *b = t->block, *prefix = b + AT_PREFIX;
	size_t n = strnlen(b, 100), np = 0;

	/* The old GNU form uses the prefix for other things. */
	if (memcmp(b + AT_MAGIC, "ustar\0", 6) == 0)
		np = strnlen(prefix, 155);
	if (t->next.has_path)
		(void)memcpy(t->path, t->next.path, sizeof(t->path));
	else if (n == 0)
		return garbage(e, "an entry without a name");
	else
		(void)!str_format(t->path, sizeof(t->path), "%.*s%s%.*s",
		    (int)np, prefix, np > 0 ? "/" : "", (int)n, b);
	if (t->next.has_link)
		(void)memcpy(t->link, t->next.link, sizeof(t->link));
	else
		(void)!str_format(t->link, sizeof(t->link), "%.*s",
		    (int)strnlen(b + AT_LINK, 100), b + AT_LINK);
	return 0;
}

static int
type_read(const struct tar *t, enum tar_type *type_out, struct err *e)
{
	size_t n = strlen(t->path);

	switch (t->block[AT_TYPE]) {
	case '\0':
	case '0':
	case '7':
		/* Before there were types a slash said it. */
		*type_out =
		    n > 0 && t->path[n - 1] == '/' ? TAR_DIRECTORY : TAR_FILE;
		return 0;
	case '1':
		*type_out = TAR_HARDLINK;
		break;
	case '2':
		*type_out = TAR_SYMLINK;
		break;
	case '5':
		*type_out = TAR_DIRECTORY;
		return 0;
	case '3':
	case '4':
	case '6':
		*type_out = TAR_SPECIAL;
		return 0;
	default:
		return garbage(e, "an entry of an unknown type");
	}
	return t->link[0] != '\0' ? 0 : garbage(e, "a link to nothing");
}

static void
body_begin(struct tar *t, enum state state, uint64_t size)
{
	t->left = size;
	t->padding = (size_t)(-size % TAR_BLOCK);
	t->state = state;
}

/* The block holds a header of a file or link; SIZE is what it says. */
static int
entry_begin(struct tar *t, int64_t size, struct err *e)
{
	struct tar_entry en = { .path = t->path, .link = t->link };
	struct next *x = &t->next;
	uint64_t mode;
	int r;

	if (names_read(t, e) == -1 || type_read(t, &en.type, e) == -1)
		return -1;
	if (octal(t->block + AT_MODE, 8, &mode) == -1 ||
	    number(t->block + AT_UID, 8, &en.uid) == -1 ||
	    number(t->block + AT_GID, 8, &en.gid) == -1 ||
	    number(t->block + AT_MTIME, 12, &en.mtime_s) == -1)
		return garbage(e, "a field that is no number");
	en.mode = (uint32_t)mode & 07777;
	en.size = x->has_size ? x->size : (uint64_t)size;
	if (x->has_mtime) {
		en.mtime_s = x->mtime_s;
		en.mtime_ns = x->mtime_ns;
	}
	if (x->has_uid)
		en.uid = x->uid;
	if (x->has_gid)
		en.gid = x->gid;
	en.xattrs = x->xattrs.data;
	en.xattrs_len = x->xattrs.len;
	/* Some readers look for data behind a link and others do not. */
	if (en.type != TAR_FILE && en.size != 0)
		return garbage(e, "data behind an entry that has none");
	x->has_path = x->has_link = x->has_size = x->has_mtime = false;
	x->has_uid = x->has_gid = false;
	r = t->ops->entry(t->ctx, &en, e);
	buf_clear(&x->xattrs);
	if (r == -1)
		return -1;
	t->file = en.type == TAR_FILE;
	if (en.size == 0)
		return t->ops->end(t->ctx, e);
	body_begin(t, S_DATA, en.size);
	return 0;
}

static int
header(struct tar *t, struct err *e)
{
	const char *magic = t->block + AT_MAGIC;
	int64_t size;

	if (all_zero(t->block)) {
		if (extended(&t->next))
			return garbage(e, "an extension of nothing");
		if (++t->zeros == 2)
			t->state = S_END;
		return 0;
	}
	if (t->zeros > 0)
		return garbage(e, "a block of zeros in its midst");
	if (!sum_fits(t->block))
		return garbage(e, "wrong checksum");
	if (memcmp(magic, "ustar\0", 6) != 0 &&
	    memcmp(magic, "ustar  ", 7) != 0 &&
	    memcmp(magic, "\0\0\0\0\0\0\0", 7) != 0)
		return garbage(e, "unknown form");
	if (number(t->block + AT_SIZE, 12, &size) == -1 || size < 0)
		return garbage(e, "a size that is no number");
	t->extension = t->block[AT_TYPE];
	if (t->extension != '\0' && strchr("xgLK", t->extension) != NULL) {
		if (size > TAR_EXTENSION_MAX)
			return garbage(e, "an extension that is too long");
		buf_clear(&t->text);
		body_begin(t, S_EXTENSION, (uint64_t)size);
		return 0;
	}
	return entry_begin(t, size, e);
}

static int
body_end(struct tar *t, struct err *e)
{
	int r;

	if (t->state == S_EXTENSION)
		r = extension_end(t, e);
	else
		r = t->ops->end(t->ctx, e);
	t->state = t->padding > 0 ? S_PADDING : S_HEADER;
	return r;
}

/* One step with at most N bytes of P: how many were used, -1. */
static ssize_t
step(struct tar *t, const char *p, size_t n, struct err *e)
{
	size_t k;

	switch (t->state) {
	case S_HEADER:
		k = MIN(n, TAR_BLOCK - t->have);
		memcpy(t->block + t->have, p, k);
		t->have += k;
		if (t->have < TAR_BLOCK)
			return (ssize_t)k;
		t->have = 0;
		return header(t, e) == -1 ? -1 : (ssize_t)k;
	case S_PADDING:
		k = MIN(n, t->padding);
		t->padding -= k;
		if (t->padding == 0)
			t->state = S_HEADER;
		return (ssize_t)k;
	case S_END:
		return (ssize_t)n;
	case S_DATA:
	case S_EXTENSION:
	default:
		k = (size_t)MIN((uint64_t)n, t->left);
		if (t->state == S_EXTENSION)
			(void)buf_add(&t->text, p, k); /* failed: seen later */
		else if (t->ops->data(t->ctx, p, k, e) == -1)
			return -1;
		t->left -= k;
		return (ssize_t)k;
	}
}

int
tar_feed(struct tar *t, const void *data, size_t n, struct err *e)
{
	const char *p = data;
	ssize_t k;

	for (;;) {
		if ((t->state == S_DATA || t->state == S_EXTENSION) &&
		    t->left == 0 && body_end(t, e) == -1)
			return -1;
		if (n == 0)
			return 0;
		k = step(t, p, n, e);
		if (k == -1)
			return -1;
		p += k;
		n -= (size_t)k;
	}
}

int
tar_finish(struct tar *t, struct err *e)
{
	if (t->state == S_END)
		return 0;
	if (t->state == S_HEADER && t->have > 0)
		return garbage(e, "it is cut off within a block");
	if (t->state != S_HEADER || extended(&t->next))
		return garbage(e, "it is cut off within an entry");
	return 0;
}
