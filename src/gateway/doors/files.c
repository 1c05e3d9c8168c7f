/*
 * The file API: everything but reading, writing and watching. Runs in
 * sandboxd-gateway.
 */
#include "gateway/doors/files.h"
#include "lib/fdio.h"
#include "lib/frame.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define SEARCH_LIMIT 1000

/*
 * Refusals
 */

static void
stream_error(struct req *r, enum problem p, const char *text)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 4096);
	(void)buf_adds(&b, "\"details\":");
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "message", text);
	jw_object_end(&w);
	req_problem_ext(r, p, b.failed ? NULL : b.data, "%s", text);
	buf_free(&b);
}

void
files_fail(struct req *r, const struct err *e)
{
	switch (e->code) {
	case ERR_SYSTEM:
		stream_error(r, PROBLEM_STREAM_ERROR, e->text);
		break;
	case ERR_DISK_FULL:
		stream_error(r, PROBLEM_DISK_FULL, e->text);
		break;
	case ERR_BAD_REQUEST:
	case ERR_USER_NOT_FOUND:
		req_problem(r, PROBLEM_INVALID_REQUEST, "%s", e->text);
		break;
	case ERR_PRECONDITION:
		req_problem(r, PROBLEM_PRECONDITION, "%s", e->text);
		break;
	default:
		req_fail(r, e);
		break;
	}
}

void
files_fail_errno(struct req *r, int number)
{
	struct err e;

	(void)err_set(&e,
	    number == ENOSPC || number == EDQUOT ? ERR_DISK_FULL : ERR_SYSTEM,
	    "%s (os error %d)", strerror(number), number);
	files_fail(r, &e);
}

/*
 * Entries
 */

static void
member_copy(struct jw *w, const struct json *entry, const char *key)
{
	const struct json *v = json_get(entry, key);

	if (v != NULL)
		jw_kvalue(w, key, v);
}

/* The members that clients know of an entry, and those that tell more. */
static void
files_entry_members(struct jw *w, const struct json *entry)
{
	static const char *const names[] = { "path", "entryType", "size",
		"modified" };
	size_t i;

	for (i = 0; i < countof(names); i++)
		member_copy(w, entry, names[i]);
}

static void
files_entry_details(struct jw *w, const struct json *entry)
{
	char mode[8];

	member_copy(w, entry, "kind");
	(void)!str_format(mode, sizeof(mode), "%04o",
	    (unsigned)json_int(entry, "mode", 0) & 07777);
	jw_kstr(w, "mode", mode);
	member_copy(w, entry, "uid");
	member_copy(w, entry, "gid");
	member_copy(w, entry, "links");
	member_copy(w, entry, "etag");
	member_copy(w, entry, "target");
}

void
files_fields(struct buf *b, struct jw *w, const struct req *r)
{
	buf_init(b, FRAME_MAX);
	jw_init(w, b);
	jw_object(w);
	jw_kstr(w, "path", req_query(r, "path", "."));
}

/*
 * Calls with a plain answer
 */

typedef void answer_fn(struct req *r, const struct json *ok, struct jw *w);

struct plain {
	struct req *r;
	answer_fn *answer; /* writes the members */
};

static void
on_plain(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct plain *p = ctx;
	struct req *r = p->r;
	struct buf b;
	struct jw w;

	(void)fds;
	(void)nfds;
	if (e != NULL) {
		files_fail(r, e);
	} else {
		buf_init(&b, FRAME_MAX * 2);
		jw_init(&w, &b);
		jw_object(&w);
		p->answer(r, ok, &w);
		jw_object_end(&w);
		req_reply_json(r, 200, &b);
	}
	free(p);
	req_release(r);
}

/* FIELDS (an open object) is closed, sent and freed. */
static void
plain_call(struct req *r, enum msg_type type, struct jw *w, int64_t ms,
    answer_fn *answer)
{
	struct plain *p = xcalloc(1, sizeof(*p));

	jw_object_end(w);
	p->r = r;
	p->answer = answer;
	req_hold(r);
	(void)link_call(r->gw, LINK_FILES, r->sandbox, type, w->b, NULL, 0, ms,
	    on_plain, p);
	buf_free(w->b);
}

static void
answer_path(struct req *r, const struct json *ok, struct jw *w)
{
	(void)r;
	member_copy(w, ok, "path");
}

static void
answer_from_to(struct req *r, const struct json *ok, struct jw *w)
{
	(void)r;
	member_copy(w, ok, "from");
	member_copy(w, ok, "to");
}

static void
answer_stat(struct req *r, const struct json *ok, struct jw *w)
{
	const struct json *entry = json_get(ok, "entry");

	files_entry_members(w, entry);
	/* The answer without flags is what clients have always had. */
	if (req_query_bool(r, "detail", false) ||
	    !req_query_bool(r, "follow", true))
		files_entry_details(w, entry);
}

static void
answer_chmod(struct req *r, const struct json *ok, struct jw *w)
{
	const struct json *entry = json_get(ok, "entry");

	(void)r;
	files_entry_members(w, entry);
	files_entry_details(w, entry);
}

void
route_fs_stat(struct req *r)
{
	struct buf b;
	struct jw w;

	files_fields(&b, &w, r);
	jw_kbool(&w, "follow", req_query_bool(r, "follow", true));
	plain_call(r, MSG_FS_STAT, &w, FILES_CALL_MS, answer_stat);
}

void
route_fs_delete(struct req *r)
{
	struct buf b;
	struct jw w;

	files_fields(&b, &w, r);
	jw_kbool(&w, "recursive", req_query_bool(r, "recursive", false));
	plain_call(r, MSG_FS_DELETE, &w, FILES_TREE_MS, answer_path);
}

void
route_fs_mkdir(struct req *r)
{
	struct buf b;
	struct jw w;

	files_fields(&b, &w, r);
	plain_call(r, MSG_FS_MKDIR, &w, FILES_CALL_MS, answer_path);
}

void
route_fs_move(struct req *r)
{
	struct buf b;
	struct jw w;

	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "from", json_str(r->json, "from", ""));
	jw_kstr(&w, "to", json_str(r->json, "to", ""));
	jw_kbool(&w, "overwrite", json_bool(r->json, "overwrite", false));
	plain_call(r, MSG_FS_MOVE, &w, FILES_TREE_MS, answer_from_to);
}

/* "0644", "644", "0o644", or the number itself (420). -1: none of these. */
static int64_t
mode_parse(const struct json *v)
{
	const char *s = v->str;
	int64_t mode = 0;
	size_t i = 0;

	if (v->type == JSON_NUMBER)
		return json_number_int(v, &mode) == 0 && mode >= 0 &&
			       mode <= 07777
			   ? mode
			   : -1;
	if (v->type != JSON_STRING)
		return -1;
	if (v->len > 2 && s[0] == '0' && s[1] == 'o')
		i = 2;
	if (v->len == i || v->len - i > 5)
		return -1;
	for (; i < v->len; i++) {
		if (s[i] < '0' || s[i] > '7')
			return -1;
		mode = mode * 8 + (s[i] - '0');
	}
	return mode <= 07777 ? mode : -1;
}

void
route_fs_chmod(struct req *r)
{
	const struct json *mode = json_get(r->json, "mode");
	const char *owner = json_str(r->json, "owner", NULL);
	const char *group = json_str(r->json, "group", NULL);
	struct buf b;
	struct jw w;

	if (mode != NULL && mode->type == JSON_NULL)
		mode = NULL;
	if (mode != NULL && mode_parse(mode) == -1) {
		req_problem(r, PROBLEM_BAD_BODY,
		    "mode: neither an octal text nor a number up to 4095");
		return;
	}
	if (mode == NULL && owner == NULL && group == NULL) {
		req_problem(
		    r, PROBLEM_BAD_BODY, "mode, owner or group: one is needed");
		return;
	}
	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "path", json_str(r->json, "path", ""));
	if (mode != NULL)
		jw_kint(&w, "mode", mode_parse(mode));
	if (owner != NULL)
		jw_kstr(&w, "owner", owner);
	if (group != NULL)
		jw_kstr(&w, "group", group);
	plain_call(r, MSG_FS_CHMOD, &w, FILES_CALL_MS, answer_chmod);
}

/*
 * Calls whose answer comes through a pipe
 */

struct piped {
	struct req *r;
	int fd;	  /* owned; what we read */
	char end; /* the last byte of a whole answer */
};

static void
on_piped(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct piped *p = ctx;
	struct req *r = p->r;

	(void)ok;
	(void)fds;
	(void)nfds;
	if (e != NULL) {
		fd_close(&p->fd);
		files_fail(r, e);
	} else {
		files_reply_pipe(r, fd_steal(&p->fd), p->end);
	}
	free(p);
	req_release(r);
}

static void
piped_call(struct req *r, enum msg_type type, struct jw *w, char end)
{
	struct piped *p = xcalloc(1, sizeof(*p));
	int theirs;

	jw_object_end(w);
	if (files_pipe(false, &p->fd, &theirs) == -1) {
		files_fail_errno(r, errno);
		free(p);
		buf_free(w->b);
		return;
	}
	p->r = r;
	p->end = end;
	req_hold(r);
	(void)link_call(r->gw, LINK_FILES, r->sandbox, type, w->b, &theirs, 1,
	    FILES_CALL_MS, on_piped, p);
	buf_free(w->b);
}

void
route_fs_entries(struct req *r)
{
	struct buf b;
	struct jw w;

	files_fields(&b, &w, r);
	piped_call(r, MSG_FS_LIST, &w, ']');
}

void
route_fs_search(struct req *r)
{
	const char *glob = req_query(r, "glob", NULL);
	const char *content = req_query(r, "content", NULL);
	struct buf b;
	struct jw w;

	files_fields(&b, &w, r);
	if (glob != NULL)
		jw_kstr(&w, "glob", glob);
	if (content != NULL)
		jw_kstr(&w, "content", content);
	jw_kbool(&w, "regex", req_query_bool(r, "regex", false));
	jw_kbool(&w, "ignore_case", req_query_bool(r, "ignoreCase", false));
	jw_kint(&w, "limit", req_query_int(r, "limit", SEARCH_LIMIT));
	piped_call(r, MSG_FS_SEARCH, &w, '}');
}
