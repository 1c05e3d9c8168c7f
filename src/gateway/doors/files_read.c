/*
 * GET /v1/fs/file: the file comes as a descriptor and goes out by sendfile.
 * Runs in sandboxd-gateway.
 *
 * The descriptor is from a sandbox: it is looked at before it is used, and who
 * changes the file while it is sent harms its reader only, whose connection is
 * cut when bytes that were promised are not there.
 */
#include "gateway/doors/files.h"
#include "gateway/doors/files_cond.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* What the answer is made of. */
struct reading {
	const char *etag; /* NULL: the file has none */
	int64_t mtime;
	uint64_t size;
};

static void
reply_headers(struct req *r, const struct reading *f)
{
	char date[HTTP_DATE_MAX];

	req_add_header(r, "accept-ranges", "bytes");
	if (f->etag == NULL)
		return;
	req_add_header(r, "etag", f->etag);
	http_date(date, f->mtime);
	req_add_header(r, "last-modified", date);
}

/* May the range be used that was asked for, since the file is still that? */
static bool
if_range_holds(const struct req *r, const struct reading *f)
{
	const char *h = req_header(r, "If-Range");
	int64_t t;

	if (h == NULL)
		return true;
	if (f->etag == NULL)
		return false;
	if (h[0] == '"')
		return strcmp(h, f->etag) == 0;
	return http_date_parse(h, &t) == 0 && t == f->mtime;
}

/* 0, or the status to answer with instead of the file. */
static unsigned
conditions(const struct req *r, const struct reading *f)
{
	const char *match = req_header(r, "If-Match");
	const char *none = req_header(r, "If-None-Match");
	const char *since;
	int64_t t;

	if (match != NULL) {
		if (!etag_listed(match, f->etag, false))
			return 412;
	} else {
		since = req_header(r, "If-Unmodified-Since");
		if (since != NULL && f->etag != NULL &&
		    http_date_parse(since, &t) == 0 && f->mtime > t)
			return 412;
	}
	if (none != NULL)
		return etag_listed(none, f->etag, true) ? 304 : 0;
	since = req_header(r, "If-Modified-Since");
	if (since != NULL && f->etag != NULL &&
	    http_date_parse(since, &t) == 0 && f->mtime <= t)
		return 304;
	return 0;
}

static void
reply_part(
    struct req *r, int fd, const struct reading *f, uint64_t from, uint64_t len)
{
	char text[80];

	(void)!str_format(text, sizeof(text), "bytes %llu-%llu/%llu",
	    (unsigned long long)from, (unsigned long long)(from + len - 1),
	    (unsigned long long)f->size);
	req_add_header(r, "content-range", text);
	req_reply_fd(r, 206, "application/octet-stream", fd, from, len);
}

static void
reply_unsatisfiable(struct req *r, const struct reading *f)
{
	char text[40];

	(void)!str_format(
	    text, sizeof(text), "bytes */%llu", (unsigned long long)f->size);
	req_add_header(r, "content-range", text);
	req_problem(r, PROBLEM_RANGE, "the file has %llu bytes",
	    (unsigned long long)f->size);
}

/* Takes FD. */
static void
reply_file(struct req *r, int fd, const struct reading *f)
{
	const char *range = req_header(r, "Range");
	unsigned status = conditions(r, f);
	uint64_t from, len;
	int kind = 0;

	reply_headers(r, f);
	if (status == 304)
		req_reply_empty(r, 304);
	else if (status == 412)
		req_problem(r, PROBLEM_PRECONDITION, "the file is another one");
	if (status != 0) {
		(void)close(fd); /* was only read */
		return;
	}
	if (range != NULL && if_range_holds(r, f))
		kind = range_parse(range, f->size, &from, &len);
	if (kind < 0) {
		(void)close(fd);
		reply_unsatisfiable(r, f);
	} else if (kind > 0) {
		reply_part(r, fd, f, from, len);
	} else {
		req_reply_fd(
		    r, 200, "application/octet-stream", fd, 0, f->size);
	}
}

static void
on_open(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	const struct json *entry = json_get(ok, "entry");
	struct reading f = { 0 };
	struct req *r = ctx;
	struct stat st;
	const char *etag;

	if (e != NULL) {
		files_fail(r, e);
	} else if (nfds != 1 || fstat(fds[0], &st) == -1 ||
		   !S_ISREG(st.st_mode)) {
		req_problem(r, PROBLEM_STREAM_ERROR, "no file came");
	} else {
		etag = json_str(entry, "etag", "");
		if (!json_bool(entry, "sizeless", false) && etag_valid(etag))
			f.etag = etag;
		f.mtime = st.st_mtim.tv_sec;
		f.size = (uint64_t)st.st_size;
		reply_file(r, fd_steal(&fds[0]), &f);
	}
	req_release(r);
}

void
route_fs_read(struct req *r)
{
	struct buf b;
	struct jw w;

	files_fields(&b, &w, r);
	jw_object_end(&w);
	req_hold(r);
	(void)link_call(r->gw, LINK_FILES, r->sandbox, MSG_FS_OPEN, &b, NULL, 0,
	    FILES_CALL_MS, on_open, r);
	buf_free(&b);
}
