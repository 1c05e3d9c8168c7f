/*
 * Records for people; see show.h. Values may come from a sandbox: everything
 * is cleaned on its way out.
 */
#include "ctl/show.h"
#include "ctl/text.h"
#include "lib/strutil.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SHOW_DEPTH 4
#define SHOW_VALUE_MAX (1u << 20)
#define MS_OF_2001 1000000000000 /* less is no time of day in ms */

const struct json *
show_list(const struct json *ok)
{
	if (ok == NULL || ok->type == JSON_ARRAY)
		return ok;
	json_foreach (m, ok)
		if (m->type == JSON_ARRAY)
			return m;
	return NULL;
}

void
show_ids(const struct json *list)
{
	json_foreach (it, list) {
		ctl_put(json_str(it, "id", "?"));
		(void)putchar('\n');
	}
}

const char *
show_age(char dst[AGE_TEXT_MAX], const struct json *record, const char *key)
{
	int64_t at = json_int(record, key, 0);

	if (at >= MS_OF_2001)
		text_age(dst, now_realtime_ms() - at);
	else
		memcpy(dst, "-", sizeof("-"));
	return dst;
}

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s);
	size_t m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

static void
add_number(struct buf *b, const char *key, const struct json *v)
{
	char text[BYTES_TEXT_MAX];
	char age[AGE_TEXT_MAX];
	struct tm tm;
	int64_t n;
	time_t t;

	if (json_number_int(v, &n) == 0 && ends_with(key, "_at") &&
	    n >= MS_OF_2001) {
		t = (time_t)(n / 1000);
		text_age(age, now_realtime_ms() - n);
		if (localtime_r(&t, &tm) != NULL &&
		    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) >
			0) {
			(void)buf_addf(b, "%s (%s ago)", text, age);
			return;
		}
	}
	if (json_number_int(v, &n) == 0 && n >= 1024 &&
	    (ends_with(key, "_bytes") || strcmp(key, "memory") == 0)) {
		text_bytes(text, n);
		(void)buf_adds(b, text);
		return;
	}
	if (json_number_int(v, &n) == 0 && n >= 1000 &&
	    strcmp(key, "uptime_ms") == 0) {
		text_age(age, n);
		(void)buf_adds(b, age);
		return;
	}
	text_clean(b, v->str, v->len, false);
}

static void
add_scalar(struct buf *b, const char *key, const struct json *v)
{
	struct jw w;

	switch (v->type) {
	case JSON_NULL:
		(void)buf_addc(b, '-');
		break;
	case JSON_BOOL:
		(void)buf_adds(b, v->b ? "yes" : "no");
		break;
	case JSON_NUMBER:
		add_number(b, key, v);
		break;
	case JSON_STRING:
		text_clean(b, v->str, v->len, false);
		break;
	default: {
		struct buf t;

		buf_init(&t, SHOW_VALUE_MAX);
		jw_init(&w, &t);
		jw_value(&w, v);
		if (!t.failed && t.len > 0)
			text_clean(b, t.data, t.len, false);
		buf_free(&t);
	}
	}
}

static bool
is_scalar(const struct json *v)
{
	return v->type != JSON_OBJECT && v->type != JSON_ARRAY;
}

/* All members are of one kind: yes or no, or anything that fits in a line. */
static bool
all_members(const struct json *v, bool bools)
{
	json_foreach (m, v)
		if (bools ? m->type != JSON_BOOL : !is_scalar(m))
			return false;
	return v->len > 0;
}

/* {"user":true,"landlock":false} reads "user; not landlock". */
static void
add_bools(struct buf *b, const struct json *v)
{
	bool any = false;
	int want;

	for (want = 1; want >= 0; want--) {
		bool first = true;

		json_foreach (m, v) {
			if (m->b != (want != 0))
				continue;
			if (first && want == 0)
				(void)buf_adds(b, any ? "; not " : "not ");
			else if (!first)
				(void)buf_addc(b, ' ');
			text_clean(b, m->key, strlen(m->key), false);
			first = false;
			any = true;
		}
	}
}

static void
add_line(struct buf *b, const struct json *v)
{
	const char *gap = "";

	json_foreach (m, v) {
		(void)buf_adds(b, gap);
		if (m->key != NULL) {
			text_clean(b, m->key, strlen(m->key), false);
			(void)buf_addc(b, '=');
		}
		add_scalar(b, m->key == NULL ? "" : m->key, m);
		gap = v->type == JSON_ARRAY ? ", " : " ";
	}
}

static void
add_members(struct buf *b, const struct json *v, unsigned depth)
{
	size_t width = 0;

	json_foreach (m, v)
		if (m->key != NULL)
			width = MAX(width, strlen(m->key));
	json_foreach (m, v) {
		size_t before;

		(void)buf_addf(b, "%*s", (int)(2 * depth), "");
		before = b->len;
		if (m->key != NULL)
			text_clean(b, m->key, strlen(m->key), false);
		else
			(void)buf_addc(b, '-');
		while (!b->failed && b->len - before < MIN(width, 24u) + 2)
			(void)buf_addc(b, ' ');
		if (is_scalar(m) || m->len == 0 || depth >= SHOW_DEPTH)
			add_scalar(b, m->key == NULL ? "" : m->key, m);
		else if (m->type == JSON_OBJECT && all_members(m, true))
			add_bools(b, m);
		else if (all_members(m, false))
			add_line(b, m);
		else {
			while (b->len > 0 && b->data[b->len - 1] == ' ')
				b->data[--b->len] = '\0';
			(void)buf_addc(b, '\n');
			add_members(b, m, depth + 1);
			continue;
		}
		(void)buf_addc(b, '\n');
	}
}

void
show_record(const struct json *record)
{
	struct buf b;

	buf_init(&b, 64u << 20);
	if (is_scalar(record)) {
		add_scalar(&b, "", record);
		(void)buf_addc(&b, '\n');
	} else {
		add_members(&b, record, 0);
	}
	if (!b.failed && b.len > 0)
		(void)fwrite(b.data, 1, b.len, stdout);
	buf_free(&b);
}

char *
show_pairs(const struct json *obj)
{
	struct buf b;
	char *text = NULL;

	if (obj == NULL || obj->len == 0)
		return NULL;
	buf_init(&b, SHOW_VALUE_MAX);
	add_line(&b, obj);
	text = buf_steal(&b);
	buf_free(&b);
	return text;
}
