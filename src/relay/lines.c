/*
 * Runs in sandboxd-relay. The bytes come from commands in sandboxes and are
 * hostile: they leave as the content of one JSON string and can neither end
 * the line nor the string.
 */
#include "relay/lines.h"
#include "lib/base64.h"
#include "lib/json.h"
#include "lib/strutil.h"

#include <inttypes.h>
#include <string.h>

size_t
lines_whole(const char *p, size_t n)
{
	size_t cut = utf8_incomplete_tail(p, n);

	/* In bytes that are not UTF-8 anyway nothing is worth waiting for. */
	if (cut == 0 || utf8_valid_prefix(p, n - cut) != n - cut)
		return n;
	return n - cut;
}

void
lines_item(struct buf *b, const char *request, const char *stream,
    const char *p, size_t n)
{
	struct jw w;

	jw_init(&w, b);
	jw_object(&w);
	jw_key(&w, "id");
	jw_raw(&w, request, strlen(request));
	jw_key(&w, "item");
	jw_object(&w);
	jw_kstr(&w, "stream", stream);
	if (utf8_valid_prefix(p, n) == n) {
		jw_key(&w, "data");
		jw_strn(&w, p, n);
	} else {
		jw_key(&w, "base64");
		(void)buf_addc(b, '"'); /* a failure stays in b->failed */
		(void)base64_add(b, p, n);
		jw_raw(&w, "\"", 1);
	}
	jw_object_end(&w);
	jw_object_end(&w);
	(void)buf_addc(b, '\n');
}

void
lines_final(struct buf *b, const char *request, const char *ok,
    const char *error, const struct lines_totals *t)
{
	size_t n;

	if (ok == NULL) {
		(void)buf_addf(b, "{\"id\":%s,\"error\":%s}\n", request, error);
		return;
	}
	n = strlen(ok) - 1; /* without its closing brace */
	(void)buf_addf(b, "{\"id\":%s,\"ok\":%.*s%s", request, (int)n, ok,
	    n > 1 ? "," : "");
	(void)buf_addf(b,
	    "\"stdout_bytes\":%" PRId64 ",\"stderr_bytes\":%" PRId64
	    ",\"truncated\":%s}}\n",
	    t->stdout_bytes, t->stderr_bytes, t->truncated ? "true" : "false");
}
