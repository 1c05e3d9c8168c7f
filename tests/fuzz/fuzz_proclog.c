/*
 * What a sandbox's init tells of a process, and the base64 that a client sends
 * for it: records are walked as the doors do, values must survive being written
 * again, and what was taken must be the one way to write it.
 *
 * Also: src/gateway/lossy.c
 */
#include "fuzz.h"
#include "gateway/lossy.h"
#include "lib/base64.h"
#include "lib/proclog.h"
#include "lib/strutil.h"
#include <string.h>

static void
record(const char *p, const struct proclog *r)
{
	char again[PROCLOG_HEADER + PROCLOG_EXIT_LEN];
	struct proclog_exit x;

	CHECK(r->len <= PROCLOG_DATA_MAX);
	CHECK(proclog_stream_name(r->stream) != NULL);
	proclog_put(again, r);
	CHECK(memcmp(again, p, PROCLOG_HEADER) == 0);
	if (r->stream != PROCLOG_EXIT ||
	    proclog_get_exit(p + PROCLOG_HEADER, r->len, &x) == -1)
		return;
	CHECK(proclog_put_exit(again, &x, r->time_ms) == sizeof(again));
	CHECK(memcmp(again + PROCLOG_HEADER, p + PROCLOG_HEADER,
		  PROCLOG_EXIT_LEN) == 0);
}

static void
records(const char *p, size_t n)
{
	struct proclog r;
	size_t at = 0;

	while (proclog_get(p + at, n - at, &r) == 1) {
		record(p + at, &r);
		at += PROCLOG_HEADER + r.len;
		CHECK(at <= n);
	}
}

static void
base64(const char *p, size_t n)
{
	char why[BASE64_WHY_MAX], *again;
	struct buf b;

	buf_init(&b, n + 1);
	if (base64_get(&b, p, n, why) == 0) {
		CHECK(BASE64_LEN(b.len) == n);
		again = malloc(n + 1);
		base64_put(again, b.data, b.len);
		CHECK(n == 0 || memcmp(again, p, n) == 0);
		free(again);
	} else {
		CHECK(strlen(why) > 0 && strlen(why) < sizeof(why));
	}
	buf_free(&b);
}

static void
lossy(const char *p, size_t n)
{
	struct json *j;
	struct buf b;
	struct jw w;

	buf_init(&b, n * 6 + 16);
	jw_init(&w, &b);
	lossy_put(&w, p, n);
	CHECK(!b.failed);
	CHECK(utf8_valid_prefix(b.data, b.len) == b.len);
	CHECK(json_parse(b.data, b.len, 2, &j, NULL) == 0);
	if (utf8_valid_prefix(p, n) == n)
		CHECK(j->len == n && (n == 0 || memcmp(j->str, p, n) == 0));
	json_free(j);
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 20000)
		return 0;
	records((const char *)data, size);
	base64((const char *)data, size);
	lossy((const char *)data, size);
	return 0;
}
