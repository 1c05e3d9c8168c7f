/*
 * Unified diff; see udiff.h. Finds a shortest edit script by walking diagonals
 * (Myers, 1986) between what both texts begin and end with; when they have too
 * little in common for that to pay, the middle is shown as replaced. Runs as
 * the caller on bytes that a sandbox wrote: time and memory are bounded.
 */
#include "ctl/udiff.h"
#include <string.h>

#define CONTEXT 3
#define EDITS_MAX 2000 /* 16 MB of trace, well under a second */

struct line {
	const char *s;
	size_t len; /* with its newline, if it has one */
	uint32_t hash;
};

struct text {
	struct line *lines; /* owned */
	size_t n;
};

/* One step of the script: lines taken from A, from B, or from both. */
struct step {
	char what; /* ' ', '-', '+' */
	size_t a, b;
};

struct script {
	struct step *steps; /* owned */
	size_t n;
};

bool
udiff_is_binary(const char *s, size_t n)
{
	return n > 0 && memchr(s, '\0', MIN(n, (size_t)8000)) != NULL;
}

static int
split(struct text *t, const char *s, size_t len)
{
	size_t n = 0;
	size_t i;

	for (i = 0; i < len; i++)
		n += s[i] == '\n';
	t->lines = calloc(n + 1, sizeof(*t->lines));
	if (t->lines == NULL)
		return -1;
	t->n = 0;
	while (len > 0) {
		const char *nl = memchr(s, '\n', len);
		struct line *l = &t->lines[t->n++];

		l->s = s;
		l->len = nl == NULL ? len : (size_t)(nl - s) + 1;
		l->hash = 2166136261u;
		for (i = 0; i < l->len; i++)
			l->hash = (l->hash ^ (unsigned char)s[i]) * 16777619u;
		s += l->len;
		len -= l->len;
	}
	return 0;
}

static bool
same_line(const struct line *x, const struct line *y)
{
	return x->hash == y->hash && x->len == y->len &&
	       memcmp(x->s, y->s, x->len) == 0;
}

static void
push(struct script *sc, char what, size_t a, size_t b)
{
	sc->steps[sc->n++] = (struct step){ what, a, b };
}

/* The furthest reach of every diagonal after 0, 1, 2 … edits. Row d has the
 * diagonals -d … d, so it begins at d * d. Returns the number of edits, or -1
 * when it would take too many. */
static int
trace(const struct line *a, int na, const struct line *b, int nb, int *reach)
{
	int d;

	for (d = 0; d <= EDITS_MAX; d++) {
		int *row = reach + d * d + d;
		const int *prev =
		    d == 0 ? NULL : reach + (d - 1) * (d - 1) + (d - 1);
		int k;

		for (k = -d; k <= d; k += 2) {
			int x = 0;
			int y;

			if (d > 0 &&
			    (k == -d || (k != d && prev[k - 1] < prev[k + 1])))
				x = prev[k + 1];
			else if (d > 0)
				x = prev[k - 1] + 1;
			y = x - k;
			while (x < na && y < nb && same_line(&a[x], &b[y])) {
				x++;
				y++;
			}
			row[k] = x;
			if (x >= na && y >= nb)
				return d;
		}
	}
	return -1;
}

/* Walk back from the end; the steps come out last first. */
static void
backtrack(
    struct script *sc, int na, int nb, size_t off, int d, const int *reach)
{
	size_t from = sc->n;
	size_t i;
	int x = na;
	int y = nb;

	for (; d >= 0; d--) {
		const int *prev =
		    d == 0 ? NULL : reach + (d - 1) * (d - 1) + (d - 1);
		int k = x - y;
		bool down =
		    d > 0 && (k == -d || (k != d && prev[k - 1] < prev[k + 1]));
		int x0 = d == 0 ? 0 : down ? prev[k + 1] : prev[k - 1];
		int y0 = d == 0 ? 0 : x0 - (down ? k + 1 : k - 1);

		while (x > x0 + (d > 0 && !down) && y > y0 + down) {
			x--;
			y--;
			push(sc, ' ', (size_t)x + off, (size_t)y + off);
		}
		if (d > 0)
			push(sc, down ? '+' : '-', (size_t)x0 + off,
			    (size_t)y0 + off);
		x = x0;
		y = y0;
	}
	for (i = from; i < from + (sc->n - from) / 2; i++) {
		struct step t = sc->steps[i];
		size_t j = from + sc->n - 1 - i;

		sc->steps[i] = sc->steps[j];
		sc->steps[j] = t;
	}
}

static int
middle(struct script *sc, const struct text *a, const struct text *b,
    size_t head, size_t tail)
{
	size_t na = a->n - head - tail;
	size_t nb = b->n - head - tail;
	size_t rows = MIN(na + nb, (size_t)EDITS_MAX) + 1;
	int *reach = NULL;
	int d = -1;
	size_t i;

	if (na < INT32_MAX / 2 && nb < INT32_MAX / 2) {
		reach = calloc(rows * rows, sizeof(*reach));
		if (reach == NULL)
			return -1;
		d = trace(
		    a->lines + head, (int)na, b->lines + head, (int)nb, reach);
	}
	if (d >= 0) {
		backtrack(sc, (int)na, (int)nb, head, d, reach);
	} else {
		for (i = 0; i < na; i++)
			push(sc, '-', head + i, head);
		for (i = 0; i < nb; i++)
			push(sc, '+', head + na, head + i);
	}
	free(reach);
	return 0;
}

static int
build(struct script *sc, const struct text *a, const struct text *b)
{
	size_t least = MIN(a->n, b->n);
	size_t head = 0;
	size_t tail = 0;
	size_t i;

	while (head < least && same_line(&a->lines[head], &b->lines[head]))
		head++;
	while (tail < least - head && same_line(&a->lines[a->n - 1 - tail],
					  &b->lines[b->n - 1 - tail]))
		tail++;
	sc->steps = calloc(a->n + b->n + 1, sizeof(*sc->steps));
	if (sc->steps == NULL)
		return -1;
	for (i = 0; i < head; i++)
		push(sc, ' ', i, i);
	if (middle(sc, a, b, head, tail) == -1)
		return -1;
	for (i = tail; i > 0; i--)
		push(sc, ' ', a->n - i, b->n - i);
	return 0;
}

/* --- writing ------------------------------------------------------------- */

static void
put_step(struct buf *out, const struct step *st, const struct text *a,
    const struct text *b)
{
	const struct line *l =
	    st->what == '+' ? &b->lines[st->b] : &a->lines[st->a];

	(void)buf_addc(out, st->what);
	(void)buf_add(out, l->s, l->len);
	if (l->s[l->len - 1] != '\n')
		(void)buf_adds(out, "\n\\ No newline at end of file\n");
}

static void
put_range(struct buf *out, char sign, size_t start, size_t n)
{
	/* An empty range names the line before it. */
	(void)buf_addf(out, "%c%zu", sign, n == 0 ? start : start + 1);
	if (n != 1)
		(void)buf_addf(out, ",%zu", n);
}

static void
put_hunk(struct buf *out, const struct script *sc, size_t from, size_t to,
    const struct text *a, const struct text *b)
{
	size_t na = 0;
	size_t nb = 0;
	size_t i;

	for (i = from; i < to; i++) {
		na += sc->steps[i].what != '+';
		nb += sc->steps[i].what != '-';
	}
	(void)buf_adds(out, "@@ ");
	put_range(out, '-', sc->steps[from].a, na);
	(void)buf_addc(out, ' ');
	put_range(out, '+', sc->steps[from].b, nb);
	(void)buf_adds(out, " @@\n");
	for (i = from; i < to; i++)
		put_step(out, &sc->steps[i], a, b);
}

static void
put_hunks(struct buf *out, const struct script *sc, const struct text *a,
    const struct text *b)
{
	size_t i = 0;

	while (i < sc->n) {
		size_t from, last, end;

		while (i < sc->n && sc->steps[i].what == ' ')
			i++;
		if (i == sc->n)
			return;
		from = i > CONTEXT ? i - CONTEXT : 0;
		/* Changes less than two contexts apart share a hunk. */
		for (last = i; i < sc->n && i - last <= 2 * CONTEXT + 1; i++)
			if (sc->steps[i].what != ' ')
				last = i;
		end = MIN(last + 1 + CONTEXT, sc->n);
		put_hunk(out, sc, from, end, a, b);
		i = end;
	}
}

int
udiff(struct buf *out, const char *a, size_t a_len, const char *b, size_t b_len,
    struct udiff_stat *stat_out)
{
	struct text ta = { 0 };
	struct text tb = { 0 };
	struct script sc = { 0 };
	size_t i;
	int r = -1;

	*stat_out = (struct udiff_stat){ 0 };
	if (split(&ta, a, a_len) == 0 && split(&tb, b, b_len) == 0 &&
	    build(&sc, &ta, &tb) == 0) {
		for (i = 0; i < sc.n; i++) {
			stat_out->removed += sc.steps[i].what == '-';
			stat_out->added += sc.steps[i].what == '+';
		}
		if (out != NULL)
			put_hunks(out, &sc, &ta, &tb);
		r = out != NULL && out->failed ? -1 : 0;
	}
	free(ta.lines);
	free(tb.lines);
	free(sc.steps);
	return r;
}
