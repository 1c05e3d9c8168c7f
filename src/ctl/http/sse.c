/*
 * Server-sent events; see sse.h. Runs as the caller; what comes is bounded and
 * otherwise taken as bytes.
 */
#include "ctl/http/sse.h"
#include "lib/strutil.h"
#include <string.h>

void
sse_init(struct sse *s,
    int (*on_event)(void *, const char *, const char *, size_t), void *ctx)
{
	*s = (struct sse){ .on_event = on_event, .ctx = ctx };
	buf_init(&s->line, SSE_EVENT_MAX);
	buf_init(&s->data, SSE_EVENT_MAX);
}

void
sse_free(struct sse *s)
{
	buf_free(&s->line);
	buf_free(&s->data);
}

static int
dispatch(struct sse *s)
{
	int r = 0;

	if (s->has_data && s->data.len > 0) {
		s->data.len--; /* the newline behind its last line */
		s->data.data[s->data.len] = '\0';
		r = s->on_event(s->ctx, s->name, s->data.data, s->data.len);
	}
	buf_clear(&s->data);
	s->has_data = false;
	s->name[0] = '\0';
	return r;
}

static int
on_line(struct sse *s)
{
	char *line = s->line.len == 0 ? NULL : s->line.data;
	char *value;
	size_t name;

	if (line == NULL)
		return dispatch(s);
	name = strcspn(line, ":");
	value = line + name;
	if (*value == ':')
		value++;
	if (*value == ' ')
		value++;
	if (name == 4 && memcmp(line, "data", 4) == 0) {
		s->has_data = true;
		(void)buf_add(
		    &s->data, value, s->line.len - (size_t)(value - line));
		(void)buf_addc(&s->data, '\n');
		if (s->data.failed)
			return -1;
	} else if (name == 5 && memcmp(line, "event", 5) == 0) {
		if (str_copy(s->name, sizeof(s->name), value) == -1)
			s->name[0] = '\0';
	}
	return 0;
}

int
sse_feed(struct sse *s, const char *p, size_t n)
{
	const char *end = p + n;

	while (p < end) {
		const char *stop = p;

		if (s->after_cr && *p == '\n') {
			s->after_cr = false;
			p++;
			continue;
		}
		s->after_cr = false;
		while (stop < end && *stop != '\n' && *stop != '\r')
			stop++;
		if (buf_add(&s->line, p, (size_t)(stop - p)) == -1)
			return -1;
		if (stop == end)
			break;
		s->after_cr = *stop == '\r';
		if (on_line(s) == -1)
			return -1;
		buf_clear(&s->line);
		p = stop + 1;
	}
	return 0;
}
