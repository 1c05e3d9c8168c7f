/*
 * Requests of control clients, as they are written: a JSON object, or words.
 * Runs in the supervisor on bytes of any client that may connect, and in
 * sandboxctl. Both forms end in the same tree and the same check; nothing is
 * believed that only one of them looked at.
 */
#include "ops.h"
#include "strutil.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ID_INT_MAX INT64_MAX
#define ID_STR_MAX 48
#define OP_NAME_MAX 64
#define ARGS_MAX 32 /* fields of one operation; ops.c asserts it */
/* Depth of arguments: the JSON form has one more level around them. */
#define ARGS_DEPTH (JSON_DEPTH_CONTROL - 1)

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* --- ids and names ------------------------------------------------------- */

static int
id_take(const struct json *v, struct op_request *r, struct err *e)
{
	char text[sizeof(r->id)];
	struct buf b;
	struct jw w;
	int64_t n;
	int ret;

	if (json_number_int(v, &n) == 0 && n <= ID_INT_MAX && n >= -ID_INT_MAX)
		return str_format(r->id, sizeof(r->id), "%" PRId64, n);
	if (v->type != JSON_STRING || v->len > ID_STR_MAX)
		return err_set(e, ERR_BAD_REQUEST,
		    "id: must be a whole number of 64 bits or text of at most "
		    "%d bytes",
		    ID_STR_MAX);
	/* Escapes may make it longer than what was counted. */
	buf_init(&b, sizeof(r->id) - 1);
	jw_init(&w, &b);
	jw_strn(&w, v->str, v->len);
	ret = b.failed ? -1 : str_copy(text, sizeof(text), b.data);
	buf_free(&b);
	if (ret == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "id: too many characters that need an escape");
	memcpy(r->id, text, sizeof(text));
	return 0;
}

/* How many letters to add, drop or change to make A from B. */
static unsigned
distance(const char *a, size_t na, const char *b)
{
	unsigned row[OP_NAME_MAX + 1];
	unsigned corner, up;
	size_t nb = strlen(b);
	size_t i, j;

	assert(nb <= OP_NAME_MAX);
	for (j = 0; j <= nb; j++)
		row[j] = (unsigned)j;
	for (i = 1; i <= na; i++) {
		corner = row[0];
		row[0] = (unsigned)i;
		for (j = 1; j <= nb; j++) {
			up = row[j];
			row[j] = MIN(MIN(row[j], row[j - 1]) + 1,
			    corner + (a[i - 1] != b[j - 1]));
			corner = up;
		}
	}
	return row[nb];
}

static int
refuse_op(const char *name, size_t n, struct err *e)
{
	unsigned best = 3 + 1, d; /* further away it is no misspelling */
	char shown[44];
	unsigned i, near = OP_N;

	str_show(shown, sizeof(shown), name, n);
	for (i = 0; n <= OP_NAME_MAX && i < OP_N; i++) {
		d = distance(name, n, op_table[i].name);
		if (d < best && d * 2 < n) {
			best = d;
			near = i;
		}
	}
	if (near == OP_N)
		return err_set(e, ERR_UNKNOWN_OPERATION,
		    "no operation %s; help lists them", shown);
	return err_set(e, ERR_UNKNOWN_OPERATION,
	    "no operation %s; did you mean %s? help lists them", shown,
	    op_table[near].name);
}

static int
op_take(const char *name, size_t n, struct op_request *r, struct err *e)
{
	char text[OP_NAME_MAX + 1];

	if (n > OP_NAME_MAX)
		return refuse_op(name, n, e);
	memcpy(text, name, n);
	text[n] = '\0';
	r->op = strlen(text) == n ? op_find(text) : OP_N;
	return r->op == OP_N ? refuse_op(name, n, e) : 0;
}

/* --- words --------------------------------------------------------------- */

/* A word's value: the text that is meant, or a JSON value. */
struct value {
	const char *s; /* borrowed: from the line, or from TREE */
	size_t n;
	bool quoted;
	bool is_json;	   /* TREE is what is meant */
	struct json *tree; /* owned */
};

struct words {
	const char *at, *end; /* of the line, borrowed */
	const struct op *op;
	size_t cap; /* of each text made here */
	/* For each field of the operation: its value so far, as JSON. */
	struct {
		struct buf b;
		struct jw w;
		bool dotted; /* an object still open for more members */
	} field[ARGS_MAX];
};

/* The end of the JSON value that opens at P: where its brackets are even.
 * END when they never are; the parser will say what is wrong. */
static const char *
json_span(const char *p, const char *end)
{
	unsigned depth = 0;
	bool in_string = false;

	for (; p < end; p++) {
		if (in_string) {
			if (*p == '\\' && p + 1 < end)
				p++;
			else if (*p == '"')
				in_string = false;
		} else if (*p == '"') {
			in_string = true;
		} else if (*p == '{' || *p == '[') {
			depth++;
		} else if ((*p == '}' || *p == ']') && --depth == 0) {
			return p + 1;
		}
	}
	return end;
}

static const char *
quote_span(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '\\')
			p++;
		else if (*p == '"')
			return p + 1;
	}
	return end;
}

/* Read the value at W->at. TEXT_ONLY: a bracket is a letter like others. */
static int
value_read(struct words *w, bool text_only, struct value *v, struct err *e)
{
	const char *p = w->at;
	char c = p < w->end ? *p : '\0';

	memset(v, 0, sizeof(*v));
	v->quoted = c == '"';
	v->is_json = !text_only && (c == '{' || c == '[');
	v->s = p;
	if (!v->quoted && !v->is_json) {
		while (w->at < w->end && !is_blank(*w->at))
			w->at++;
		v->n = (size_t)(w->at - p);
		return 0;
	}
	w->at = v->quoted ? quote_span(p, w->end) : json_span(p, w->end);
	if (json_parse(p, (size_t)(w->at - p), ARGS_DEPTH - 1, &v->tree, e) ==
	    -1)
		return -1;
	if (w->at < w->end && !is_blank(*w->at))
		return err_set(
		    e, ERR_BAD_REQUEST, "a blank must follow the value");
	if (v->quoted) {
		v->s = v->tree->str;
		v->n = v->tree->len;
	}
	return 0;
}

static bool
value_is(const struct value *v, const char *word)
{
	return v->n == strlen(word) && memcmp(v->s, word, v->n) == 0;
}

/* Is the text digits and the like, that is, a number to JSON? */
static bool
value_is_number(const struct value *v)
{
	struct json *j;
	bool is;

	if (v->quoted || v->n == 0 || v->n > 32 ||
	    json_parse(v->s, v->n, 1, &j, NULL) == -1)
		return false;
	is = j->type == JSON_NUMBER;
	json_free(j);
	return is;
}

/* K=V,K=V as an object. What is none stays text, which the check refuses. */
static void
put_map(struct jw *w, const struct value *v)
{
	const char *p = v->s, *end = v->s + v->n;
	const char *comma, *equals;

	for (; p < end; p = comma + 1) {
		comma = memchr(p, ',', (size_t)(end - p));
		comma = comma != NULL ? comma : end;
		if (memchr(p, '=', (size_t)(comma - p)) == NULL) {
			jw_strn(w, v->s, v->n);
			return;
		}
	}
	jw_object(w);
	for (p = v->s; p < end; p = comma + 1) {
		comma = memchr(p, ',', (size_t)(end - p));
		comma = comma != NULL ? comma : end;
		equals = memchr(p, '=', (size_t)(comma - p));
		jw_keyn(w, p, (size_t)(equals - p));
		jw_strn(w, equals + 1, (size_t)(comma - equals - 1));
	}
	jw_object_end(w);
}

/* A value as the field's kind wants it. A text that cannot become that stays
 * a text: the check then says what is allowed. */
static void
put_value(struct jw *w, enum json_kind kind, const struct value *v)
{
	if (v->is_json) {
		jw_value(w, v->tree);
	} else if (kind == JK_INT && value_is_number(v)) {
		jw_raw(w, v->s, v->n);
	} else if (kind == JK_BOOL &&
		   (value_is(v, "true") || value_is(v, "1") ||
		       value_is(v, "yes"))) {
		jw_bool(w, true);
	} else if (kind == JK_BOOL &&
		   (value_is(v, "false") || value_is(v, "0") ||
		       value_is(v, "no"))) {
		jw_bool(w, false);
	} else if (kind == JK_STRV) {
		jw_array(w);
		jw_strn(w, v->s, v->n);
		jw_array_end(w);
	} else if (kind == JK_STRMAP) {
		put_map(w, v);
	} else {
		jw_strn(w, v->s, v->n);
	}
}

/* A member set by a dotted name. The table does not know its kind: numbers
 * and truth values that are not in quotes are taken for such. */
static void
put_member(struct jw *w, enum json_kind kind, const struct value *v)
{
	if (v->is_json)
		jw_value(w, v->tree);
	else if (kind == JK_OBJECT && !v->quoted &&
		 (value_is_number(v) || value_is(v, "true") ||
		     value_is(v, "false")))
		jw_raw(w, v->s, v->n);
	else
		jw_strn(w, v->s, v->n);
}

/* The field called NAME[0..n), or whose member that is. */
static size_t
field_find(const struct op *o, const char *name, size_t n, bool *dotted_out)
{
	const struct json_field *f;
	size_t i, len;

	for (i = 0; i < o->nargs; i++) {
		f = &o->args[i].field;
		len = strlen(f->name);
		if (len > n || memcmp(f->name, name, len) != 0)
			continue;
		*dotted_out = n > len;
		if (n == len)
			break;
		if (name[len] == '.' && n > len + 1 &&
		    (f->kind == JK_OBJECT || f->kind == JK_STRMAP))
			break;
	}
	return i;
}

/* Let the check name the stranger, as it does for the JSON form. */
static int
refuse_field(const struct words *w, const char *name, size_t n, struct err *e)
{
	struct json stranger = { .type = JSON_NULL };
	struct json args = {
		.type = JSON_OBJECT, .child = &stranger, .len = 1
	};
	char shown[44];

	str_show(shown, sizeof(shown), name, n);
	stranger.key = shown;
	return op_check((enum op_type)(w->op - op_table), &args, e);
}

static int
word_read(struct words *w, struct err *e)
{
	const char *name = w->at, *equals;
	const struct json_field *f;
	struct value v;
	char shown[44];
	bool dotted;
	size_t n, i;
	int r;

	equals = memchr(name, '=', (size_t)(w->end - name));
	for (n = 0; name + n < w->end && !is_blank(name[n]); n++)
		continue;
	if (equals == NULL || equals >= name + n || equals == name) {
		str_show(shown, sizeof(shown), name, n);
		return err_set(e, ERR_BAD_REQUEST, "%s: %s: must be NAME=VALUE",
		    w->op->name, shown);
	}
	n = (size_t)(equals - name);
	i = field_find(w->op, name, n, &dotted);
	if (i == w->op->nargs)
		return refuse_field(w, name, n, e);
	f = &w->op->args[i].field;
	if (w->field[i].b.len > 0 && !(dotted && w->field[i].dotted))
		return err_set(e, ERR_BAD_REQUEST, "%s: field %s: given twice",
		    w->op->name, f->name);
	w->at = equals + 1;
	r = value_read(w,
	    f->kind == JK_STR || f->kind == JK_INT || f->kind == JK_BOOL ||
		(dotted && f->kind == JK_STRMAP),
	    &v, e);
	if (r == 0 && w->field[i].b.len == 0) {
		buf_init(&w->field[i].b, w->cap);
		jw_init(&w->field[i].w, &w->field[i].b);
		w->field[i].dotted = dotted;
		if (dotted)
			jw_object(&w->field[i].w);
	}
	if (r == 0 && dotted) {
		n -= strlen(f->name) + 1;
		jw_keyn(&w->field[i].w, equals - n, n);
		put_member(&w->field[i].w, f->kind, &v);
	} else if (r == 0) {
		put_value(&w->field[i].w, f->kind, &v);
	} else {
		err_prefix(e, "%s: field %s", w->op->name, f->name);
	}
	json_free(v.tree);
	return r;
}

/* The fields together as one object, parsed like any other. */
static int
words_join(struct words *w, struct json **args_out, struct err *e)
{
	struct buf b;
	struct jw out;
	size_t i;
	int r;

	buf_init(&b, w->cap);
	jw_init(&out, &b);
	jw_object(&out);
	for (i = 0; i < w->op->nargs; i++) {
		if (w->field[i].b.len == 0 && !w->field[i].b.failed)
			continue;
		if (w->field[i].dotted)
			jw_object_end(&w->field[i].w);
		jw_key(&out, w->op->args[i].field.name);
		if (w->field[i].b.failed)
			b.failed = true;
		else
			jw_raw(&out, w->field[i].b.data, w->field[i].b.len);
	}
	jw_object_end(&out);
	r = 0;
	if (b.failed)
		r = err_set(e, ERR_LIMIT, "no memory for the request");
	else if (json_parse(b.data, b.len, ARGS_DEPTH, args_out, NULL) == -1)
		/* We wrote the text ourselves; this is all that can be wrong
		 * with it, and places in it would mean nothing to anybody. */
		r = err_set(e, ERR_BAD_REQUEST,
		    "%s: the same member twice, or too many of them",
		    w->op->name);
	buf_free(&b);
	return r;
}

static int
words_parse(const char *at, const char *end, const struct op *op,
    struct json **args_out, struct err *e)
{
	struct words w;
	size_t i;
	int r = 0;

	memset(&w, 0, sizeof(w));
	w.at = at;
	w.end = end;
	w.op = op;
	/* An escape is at most six times as long as its byte. */
	w.cap = (size_t)(end - at) * 6 + 1024;
	while (r == 0) {
		while (w.at < w.end && is_blank(*w.at))
			w.at++;
		if (w.at == w.end)
			break;
		r = word_read(&w, e);
	}
	if (r == 0)
		r = words_join(&w, args_out, e);
	for (i = 0; i < ARGS_MAX; i++)
		buf_free(&w.field[i].b);
	return r;
}

/* --- the two forms ------------------------------------------------------- */

/* NAME, then words or one JSON object. */
static int
line_words(const char *at, const char *end, struct op_request *r, struct err *e)
{
	const char *name = at;

	while (at < end && !is_blank(*at))
		at++;
	if (op_take(name, (size_t)(at - name), r, e) == -1)
		return -1;
	while (at < end && is_blank(*at))
		at++;
	if (at == end || *at != '{')
		return words_parse(at, end, &op_table[r->op], &r->args, e);
	if (json_parse(at, (size_t)(end - at), ARGS_DEPTH, &r->args, e) == -1)
		return err_prefix(e, "%s", op_table[r->op].name);
	return 0;
}

static int
line_json(const char *at, const char *end, struct op_request *r, struct err *e)
{
	static const struct json_field members[] = {
		{ "id", JK_ANY, false, 0, 0 },
		{ "op", JK_STR, true, 0, CONTROL_LINE_MAX },
		{ "args", JK_OBJECT, false, 0, 0 },
	};
	struct json *m;
	const char *op;

	if (json_parse(
		at, (size_t)(end - at), JSON_DEPTH_CONTROL, &r->root, e) == -1)
		return -1;
	/* The id first: it goes into the answer, whatever else is wrong. */
	for (m = r->root->child; m != NULL; m = m->next) {
		if (strcmp(m->key, "id") == 0 && id_take(m, r, e) == -1)
			return -1;
		if (strcmp(m->key, "args") == 0)
			r->args = m;
	}
	if (json_check(r->root, members, countof(members), e) == -1)
		return -1;
	op = json_str(r->root, "op", "");
	if (op_take(op, strlen(op), r, e) == -1)
		return -1;
	if (r->args != NULL)
		return 0;
	json_free(r->root);
	r->root = NULL;
	return json_parse("{}", 2, 1, &r->args, e);
}

static int
line_check(const char *line, size_t len, struct err *e)
{
	size_t i;

	if (len > CONTROL_LINE_MAX)
		return err_set(e, ERR_TOO_LARGE, "a line of more than %u bytes",
		    CONTROL_LINE_MAX);
	if (utf8_valid_prefix(line, len) != len)
		return err_set(e, ERR_BAD_REQUEST, "not UTF-8");
	for (i = 0; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 && line[i] != '\t')
			return err_set(e, ERR_BAD_REQUEST,
			    "byte %zu is a control character", i);
	}
	return 0;
}

int
op_parse_line(const char *line, size_t len, uint64_t number,
    struct op_request *r, struct err *e)
{
	const char *at = line, *end;
	int ret;

	memset(r, 0, sizeof(*r));
	r->op = OP_N;
	(void)snprintf(r->id, sizeof(r->id), "%" PRIu64, number); /* fits */
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (line_check(line, len, e) == -1)
		return -1;
	end = line + len;
	while (at < end && is_blank(*at))
		at++;
	while (end > at && is_blank(end[-1]))
		end--;
	if (at == end)
		return err_set(e, ERR_BAD_REQUEST, "an empty request");
	ret = *at == '{' ? line_json(at, end, r, e) : line_words(at, end, r, e);
	if (ret == 0 && r->root == NULL)
		r->root = r->args; /* the arguments are the whole tree */
	if (ret == 0)
		ret = op_check(r->op, r->args, e);
	if (ret == -1)
		op_request_free(r);
	return ret;
}

void
op_request_free(struct op_request *r)
{
	json_free(r->root);
	r->root = NULL;
	r->args = NULL;
}
