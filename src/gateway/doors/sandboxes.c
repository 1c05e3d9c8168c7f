/*
 * /v1/sandboxes: one sandbox and the list of them, in OpenSandbox's words. Runs
 * in sandboxd-gateway. Each door is one operation of the supervisor's.
 */
#include "gateway/doors/osb.h"
#include "gateway/query.h"
#include "lib/frame.h"

#include <string.h>

#define PAGE_SIZE_MAX 200
#define PAGE_MAX 1000000

/* --- the list ------------------------------------------------------------ */

struct page {
	int64_t number, size;
};

static int
page_take(struct req *r, struct page *p, struct err *e)
{
	const char *number = req_query(r, "page", "1");
	const char *size = req_query(r, "pageSize", "20");

	if (str_to_int(number, 1, PAGE_MAX, &p->number) == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "page must be a whole number, at least 1");
	if (str_to_int(size, 1, PAGE_SIZE_MAX, &p->size) == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "pageSize must be a whole number from 1 to %d",
		    PAGE_SIZE_MAX);
	return 0;
}

/* The states that were asked for, each once. */
struct wanted {
	const char *ours[OSB_STATES];
	size_t n;
	bool any;
};

static void
add_state(void *ctx, const char *value)
{
	const char *ours = osb_state_ours(value);
	struct wanted *wanted = ctx;

	wanted->any = true;
	for (size_t i = 0; ours != NULL && i < wanted->n; i++) {
		if (strcmp(wanted->ours[i], ours) == 0)
			return;
	}
	if (ours != NULL && wanted->n < OSB_STATES)
		wanted->ours[wanted->n++] = ours;
}

/* `team=a&env=dev`, encoded once more as one parameter. */
static int
write_labels(struct jw *w, const char *text, struct err *e)
{
	struct query_pair p;
	struct buf key, value;
	int rc = 0;

	buf_init(&key, 4096);
	buf_init(&value, 4096);
	jw_key(w, "labels");
	jw_object(w);
	while (rc == 0 && query_next(&text, &p)) {
		buf_clear(&key);
		buf_clear(&value);
		if (p.name_len == 0 || p.value == NULL ||
		    p.value == p.name + p.name_len ||
		    query_decode(&key, p.name, p.name_len) == -1 ||
		    query_decode(&value, p.value, p.value_len) == -1) {
			rc = err_set(e, ERR_BAD_REQUEST,
			    "metadata must be key=value pairs joined by &");
			break;
		}
		jw_keyn(w, key.len > 0 ? key.data : "", key.len);
		jw_strn(w, value.len > 0 ? value.data : "", value.len);
	}
	jw_object_end(w);
	buf_free(&key);
	buf_free(&value);
	return rc;
}

static void
on_list(struct req *r, const struct json *result, const struct err *e)
{
	struct page p = { 1, 20 };
	int64_t total, pages;
	struct buf b;
	struct jw w;

	if (e != NULL) {
		/* A label twice makes an object that is none. */
		osb_fail(r, e, NULL, "INVALID_METADATA_FORMAT");
		return;
	}
	(void)page_take(r, &p, NULL); /* was taken before */
	total = json_int(result, "total", 0);
	pages = (total + p.size - 1) / p.size;
	buf_init(&b, FRAME_MAX * 4);
	jw_init(&w, &b);
	jw_object(&w);
	jw_key(&w, "items");
	jw_array(&w);
	json_foreach (it, json_get(result, "sandboxes")) {
		osb_write(&w, it, true, true);
	}
	jw_array_end(&w);
	jw_key(&w, "pagination");
	jw_object(&w);
	jw_kint(&w, "page", p.number);
	jw_kint(&w, "pageSize", p.size);
	jw_kint(&w, "totalItems", total);
	jw_kint(&w, "totalPages", pages);
	jw_kbool(&w, "hasNextPage", p.number < pages);
	jw_object_end(&w);
	jw_object_end(&w);
	req_reply_json(r, 200, &b);
}

void
route_osb_list(struct req *r)
{
	const char *metadata = req_query(r, "metadata", "");
	struct wanted wanted = { .n = 0 };
	struct page p;
	struct buf b;
	struct jw w;
	struct err e;

	if (page_take(r, &p, &e) == -1) {
		req_problem(r, PROBLEM_BAD_BODY, "%s", e.text);
		return;
	}
	buf_init(&b, 65536);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kbool(&w, "brief", true);
	jw_kint(&w, "offset", (p.number - 1) * p.size);
	jw_kint(&w, "limit", p.size);
	req_query_each(r, "state", add_state, &wanted);
	if (wanted.any) {
		/* One that none of ours is ever in matches nothing. */
		jw_key(&w, "states");
		jw_array(&w);
		for (size_t i = 0; i < wanted.n; i++)
			jw_str(&w, wanted.ours[i]);
		jw_array_end(&w);
	}
	if (write_labels(&w, metadata, &e) == -1) {
		osb_fail(r, &e, NULL, "INVALID_METADATA_FORMAT");
		buf_free(&b);
		return;
	}
	jw_object_end(&w);
	osb_call(r, "sandbox.list", &b, on_list);
	buf_free(&b);
}

/* --- one of them --------------------------------------------------------- */

static void
on_record(struct req *r, const struct json *result, const struct err *e)
{
	if (e != NULL)
		osb_fail(r, e, NULL, NULL);
	else
		osb_reply(r, 200, result, true);
}

void
route_osb_get(struct req *r)
{
	osb_call_id(r, "sandbox.get", on_record);
}

static void
on_deleted(struct req *r, const struct json *result, const struct err *e)
{
	(void)result;
	if (e != NULL)
		osb_fail(r, e, NULL, NULL);
	else
		req_reply_empty(r, 204);
}

void
route_osb_delete(struct req *r)
{
	osb_call_id(r, "sandbox.destroy", on_deleted);
}

static void
on_paused(struct req *r, const struct json *result, const struct err *e)
{
	(void)result;
	if (e == NULL)
		req_reply_empty(r, 202);
	else if (e->code == ERR_ISOLATION_UNAVAILABLE ||
		 e->code == ERR_TIMEOUT || e->code == ERR_SYSTEM)
		req_problem_code(r, PROBLEM_INTERNAL,
		    "DOCKER::SANDBOX_PAUSE_FAILED", "%s", e->text);
	else
		osb_fail(r, e, "DOCKER::SANDBOX_NOT_RUNNING", NULL);
}

void
route_osb_pause(struct req *r)
{
	osb_call_id(r, "sandbox.pause", on_paused);
}

static void
on_resumed(struct req *r, const struct json *result, const struct err *e)
{
	(void)result;
	if (e == NULL)
		req_reply_empty(r, 202);
	else
		osb_fail(r, e, "DOCKER::SANDBOX_NOT_PAUSED", NULL);
}

void
route_osb_resume(struct req *r)
{
	osb_call_id(r, "sandbox.resume", on_resumed);
}

/* --- its end ------------------------------------------------------------- */

static void
on_renewed(struct req *r, const struct json *result, const struct err *e)
{
	char text[TIME_TEXT_MAX];
	struct buf b;
	struct jw w;

	if (e != NULL) {
		osb_fail(r, e, "DOCKER::INVALID_EXPIRATION",
		    "DOCKER::INVALID_EXPIRATION");
		return;
	}
	osb_time_write(text, json_int(result, "expires_at", 0));
	buf_init(&b, 256);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "expiresAt", text);
	jw_object_end(&w);
	req_reply_json(r, 200, &b);
}

void
route_osb_renew(struct req *r)
{
	const char *id = osb_sandbox(r);
	const char *at = json_str(r->json, "expiresAt", "");
	int64_t ms;
	struct buf b;
	struct jw w;

	if (id == NULL)
		return;
	if (osb_time_parse(at, &ms) == -1) {
		req_problem_code(r, PROBLEM_INVALID_REQUEST,
		    "DOCKER::INVALID_EXPIRATION",
		    "expiresAt must be a time such as 2026-01-02T03:04:05Z");
		return;
	}
	buf_init(&b, 1024);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", id);
	jw_kint(&w, "expires_at", ms);
	jw_object_end(&w);
	osb_call(r, "sandbox.renew", &b, on_renewed);
	buf_free(&b);
}

/* --- its metadata -------------------------------------------------------- */

static void
on_labels(struct req *r, const struct json *result, const struct err *e)
{
	if (e != NULL)
		osb_fail(r, e, NULL, "INVALID_METADATA_LABEL");
	else
		osb_reply(r, 200, result, true);
}

void
route_osb_metadata(struct req *r)
{
	const char *id = osb_sandbox(r);
	struct buf b;
	struct err e;
	struct jw w;

	if (id == NULL)
		return;
	if (osb_labels_check(r->json, true, &e) == -1) {
		osb_fail(r, &e, NULL, "INVALID_METADATA_LABEL");
		return;
	}
	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", id);
	jw_kvalue(&w, "labels", r->json);
	jw_object_end(&w);
	osb_call(r, "sandbox.update", &b, on_labels);
	buf_free(&b);
}
