/*
 * See semver.h. Runs in the courier; texts come from a registry or from
 * packages, and may be anything.
 *
 * A range is sets of comparators, one of which must hold as a whole. Every
 * short form (^ ~ x-ranges, hyphens) becomes at most one lower and one upper
 * comparator, so that there is one place that compares.
 */
#include "courier/semver.h"

#include "lib/defs.h"
#include "lib/strutil.h"

#include <stddef.h>
#include <string.h>

#define DIGITS_MAX 15 /* what a number of JavaScript holds exactly */

enum op {
	OP_EQ,
	OP_LT,
	OP_LE,
	OP_GT,
	OP_GE
};

struct comparator {
	enum op op;
	struct semver v;
};

/* A version of which the end may be left open: "1", "1.x", "1.2.3-a". */
struct partial {
	struct semver v;
	unsigned given; /* how many of the three */
};

/* What a set of comparators has seen so far of one version. */
struct set {
	const struct semver *v; /* NULL: only look whether it is well-formed */
	bool holds;
	bool names_pre; /* one names a pre-release of the same three */
};

static bool
word_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z') || c == '-';
}

/* --- reading ------------------------------------------------------------- */

static int
read_number(const char **at, uint64_t *v_out)
{
	const char *s = *at;
	uint64_t v = 0;

	while (*s >= '0' && *s <= '9') {
		if (s - *at == DIGITS_MAX)
			return -1;
		v = v * 10 + (uint64_t)(*s++ - '0');
	}
	if (s == *at)
		return -1;
	*at = s;
	*v_out = v;
	return 0;
}

/* Words with dots between them, none of them empty: into DST unless NULL. */
static int
read_words(const char **at, char *dst, size_t size)
{
	const char *s = *at;
	size_t n;

	for (;;) {
		const char *word = s;

		while (word_char(*s))
			s++;
		if (s == word)
			return -1;
		if (*s != '.')
			break;
		s++;
	}
	n = (size_t)(s - *at);
	if (n >= size)
		return -1;
	if (dst != NULL) {
		memcpy(dst, *at, n);
		dst[n] = '\0';
	}
	*at = s;
	return 0;
}

static bool
is_wild(char c)
{
	return c == 'x' || c == 'X' || c == '*';
}

/* Behind the three numbers: "-pre" and "+build". */
static int
read_tail(const char **at, struct semver *v)
{
	if (**at == '-') {
		(*at)++;
		if (read_words(at, v->pre, sizeof(v->pre)) == -1)
			return -1;
	}
	if (**at == '+') {
		(*at)++;
		if (read_words(at, NULL, SEMVER_TEXT_MAX) == -1)
			return -1;
	}
	return 0;
}

static int
read_partial(const char **at, struct partial *p)
{
	const char *s = *at;
	bool open = false;

	memset(p, 0, sizeof(*p));
	s += strspn(s, "v=");
	for (unsigned i = 0; i < 3; i++) {
		if (i > 0 && *s++ != '.')
			return -1;
		if (is_wild(*s)) {
			s++;
			open = true;
		} else if (open) {
			uint64_t ignored; /* 1.x.3 is 1.x */

			if (read_number(&s, &ignored) == -1)
				return -1;
		} else if (read_number(&s, &p->v.part[i]) == -1) {
			return -1;
		} else {
			p->given = i + 1;
		}
		if (*s != '.')
			break;
	}
	if (read_tail(&s, &p->v) == -1)
		return -1;
	if (p->given < 3)
		p->v.pre[0] = '\0';
	*at = s;
	return 0;
}

int
semver_parse(const char *s, struct semver *v_out)
{
	struct partial p;

	if (strlen(s) >= SEMVER_TEXT_MAX || read_partial(&s, &p) == -1 ||
	    *s != '\0' || p.given != 3)
		return -1;
	*v_out = p.v;
	return 0;
}

/* --- comparing ----------------------------------------------------------- */

static bool
all_digits(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
	}
	return n > 0;
}

/* One word of a pre-release: numbers by value and before words. */
static int
word_compare(const char *a, size_t an, const char *b, size_t bn)
{
	bool na = all_digits(a, an), nb = all_digits(b, bn);
	int r;

	if (na != nb)
		return na ? -1 : 1;
	if (na) {
		while (an > 1 && *a == '0')
			a++, an--;
		while (bn > 1 && *b == '0')
			b++, bn--;
		if (an != bn)
			return an < bn ? -1 : 1;
	}
	r = memcmp(a, b, MIN(an, bn));
	if (r != 0)
		return r;
	return an == bn ? 0 : an < bn ? -1 : 1;
}

static int
pre_compare(const char *a, const char *b)
{
	if (*a == '\0' || *b == '\0')
		return *a == *b ? 0 : *a == '\0' ? 1 : -1;
	for (;;) {
		size_t an = strcspn(a, "."), bn = strcspn(b, ".");
		int r = word_compare(a, an, b, bn);

		if (r != 0)
			return r;
		a += an;
		b += bn;
		if (*a == '\0' || *b == '\0')
			return *a == *b ? 0 : *a == '\0' ? -1 : 1;
		a++;
		b++;
	}
}

int
semver_compare(const struct semver *a, const struct semver *b)
{
	for (size_t i = 0; i < 3; i++) {
		if (a->part[i] != b->part[i])
			return a->part[i] < b->part[i] ? -1 : 1;
	}
	return pre_compare(a->pre, b->pre);
}

/* --- comparators --------------------------------------------------------- */

static bool
comparator_holds(const struct comparator *c, const struct semver *v)
{
	int r = semver_compare(v, &c->v);

	switch (c->op) {
	case OP_LT:
		return r < 0;
	case OP_LE:
		return r <= 0;
	case OP_GT:
		return r > 0;
	case OP_GE:
		return r >= 0;
	case OP_EQ:
	default:
		return r == 0;
	}
}

static void
set_add(struct set *s, enum op op, const struct semver *v)
{
	const struct comparator c = { op, *v };

	if (s->v == NULL)
		return;
	if (!comparator_holds(&c, s->v))
		s->holds = false;
	if (v->pre[0] != '\0' &&
	    memcmp(v->part, s->v->part, sizeof(v->part)) == 0)
		s->names_pre = true;
}

/* V with number I counted up and what follows zero: the first version that is
 * beyond all of "V up to I". With pre-releases of that left out as well. */
static struct semver
next(const struct semver *v, unsigned i, bool below_pre)
{
	struct semver n = *v;

	n.part[i]++;
	for (unsigned k = i + 1; k < 3; k++)
		n.part[k] = 0;
	(void)!str_copy(n.pre, sizeof(n.pre), below_pre ? "0" : "");
	return n;
}

/* From P on and below the next of its number I. */
static void
set_add_span(struct set *s, const struct partial *p, unsigned i)
{
	struct semver end = next(&p->v, i, true);

	set_add(s, OP_GE, &p->v);
	set_add(s, OP_LT, &end);
}

/* What lets nothing through. */
static void
set_add_nothing(struct set *s)
{
	const struct semver zero = { .pre = "0" };

	set_add(s, OP_LT, &zero);
}

static void
set_add_caret(struct set *s, const struct partial *p)
{
	unsigned i = 0;

	/* Up to the first number that is not zero, or the last one given. */
	while (i + 1 < p->given && p->v.part[i] == 0)
		i++;
	set_add_span(s, p, i);
}

static void
set_add_upper(struct set *s, enum op op, const struct partial *p)
{
	struct semver end;

	if (p->given == 3) {
		set_add(s, op, &p->v);
	} else if (op == OP_LT) {
		end = p->v;
		(void)!str_copy(end.pre, sizeof(end.pre), "0");
		set_add(s, OP_LT, &end);
	} else {
		end = next(&p->v, p->given - 1, true);
		set_add(s, OP_LT, &end);
	}
}

static void
set_add_lower(struct set *s, enum op op, const struct partial *p)
{
	struct semver begin;

	if (op == OP_GT && p->given < 3) {
		begin = next(&p->v, p->given - 1, false);
		set_add(s, OP_GE, &begin);
	} else {
		set_add(s, op, &p->v);
	}
}

static const char *const op_words[] = { ">=", "<=", "~>", ">", "<", "=", "~",
	"^", "" };

static void
set_add_partial(struct set *s, const char *op, const struct partial *p)
{
	if (p->given == 0) {
		if (strcmp(op, "<") == 0 || strcmp(op, ">") == 0)
			set_add_nothing(s);
		else
			set_add(s, OP_GE, &p->v); /* anything */
	} else if (op[0] == '^') {
		set_add_caret(s, p);
	} else if (op[0] == '~') {
		set_add_span(s, p, p->given == 1 ? 0 : 1);
	} else if (op[0] == '<') {
		set_add_upper(s, op[1] == '=' ? OP_LE : OP_LT, p);
	} else if (op[0] == '>') {
		set_add_lower(s, op[1] == '=' ? OP_GE : OP_GT, p);
	} else if (p->given < 3) {
		set_add_span(s, p, p->given - 1);
	} else {
		set_add(s, OP_EQ, &p->v);
	}
}

/* --- ranges -------------------------------------------------------------- */

#define BLANKS " \t\r\n"

/* One comparator, or two with a hyphen between them. */
static int
read_comparator(const char **at, struct set *set)
{
	const char *s = *at, *op = "";
	struct partial p, to;

	for (size_t i = 0; i < countof(op_words); i++) {
		if (str_starts(s, op_words[i])) {
			op = op_words[i];
			s += strlen(op);
			break;
		}
	}
	s += strspn(s, BLANKS);
	if (read_partial(&s, &p) == -1)
		return -1;
	if (op[0] == '\0' && strspn(s, BLANKS) > 0 &&
	    s[strspn(s, BLANKS)] == '-' &&
	    strspn(s + strspn(s, BLANKS) + 1, BLANKS) > 0) {
		s += strspn(s, BLANKS) + 1;
		s += strspn(s, BLANKS);
		if (read_partial(&s, &to) == -1)
			return -1;
		set_add(set, OP_GE, &p.v);
		if (to.given > 0)
			set_add_upper(set, OP_LE, &to);
	} else {
		set_add_partial(set, op, &p);
	}
	if (*s != '\0' && *s != '|' && strspn(s, BLANKS) == 0)
		return -1;
	*at = s;
	return 0;
}

/* 1 when V lies in S, 0 when not, -1 when S is no range. */
static int
range_read(const char *s, const struct semver *v)
{
	bool any = false;

	if (strlen(s) > RANGE_TEXT_MAX)
		return -1;
	for (;;) {
		struct set set = { .v = v, .holds = true };

		s += strspn(s, BLANKS);
		while (*s != '\0' && *s != '|') {
			if (read_comparator(&s, &set) == -1)
				return -1;
			s += strspn(s, BLANKS);
		}
		if (v != NULL && set.holds &&
		    (v->pre[0] == '\0' || set.names_pre))
			any = true;
		if (*s == '\0')
			return any;
		if (s[1] != '|')
			return -1;
		s += 2;
	}
}

bool
range_valid(const char *s)
{
	return range_read(s, NULL) != -1;
}

bool
range_holds(const char *s, const struct semver *v)
{
	return range_read(s, v) == 1;
}
