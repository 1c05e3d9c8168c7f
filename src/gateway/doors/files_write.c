/*
 * PUT /v1/fs/file: the body goes to the descriptor of a file without a name as
 * it comes; the file server gives it its place when all is there. Runs in
 * sandboxd-gateway.
 */
#include "gateway/doors/files.h"
#include "lib/frame.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Bytes come in small pieces, and the kernel takes large ones at three times
 * the speed. Only long bodies get a buffer, and only so many at one time. */
#define GATHER_BYTES (256u << 10)
#define GATHER_FROM (1 << 20) /* length of the body, when it is known */
#define GATHERS_MAX 64

static unsigned gathers; /* that there are */

struct put {
	struct req *r;
	int fd;		  /* owned; -1 until it is there, and afterwards */
	int64_t upload;	  /* the file server's number; 0: none to drop */
	uint64_t pin;	  /* keeps the channel that knows it */
	uint64_t written; /* bytes, those in `gather` not counted */
	char *gather;	  /* owned: GATHER_BYTES, or NULL */
	size_t gathered;  /* bytes in it */
	bool asked;	  /* a call is under way */
	bool ended;	  /* the body */
	bool failed;	  /* and answered; the rest is swallowed */
	bool gone;	  /* on_gone was called */
};

static void
gather_free(struct put *p)
{
	if (p->gather == NULL)
		return;
	free(STEAL(p->gather));
	p->gathered = 0;
	gathers--;
}

/* Nothing becomes of it. */
static void
put_drop(struct put *p)
{
	struct gateway *gw = p->r->gw;
	struct buf b;
	struct jw w;

	fd_close(&p->fd);
	gather_free(p);
	if (p->upload != 0) {
		buf_init(&b, 256);
		jw_init(&w, &b);
		jw_object(&w);
		jw_kint(&w, "upload", p->upload);
		jw_object_end(&w);
		link_notice(gw, LINK_FILES, p->r->sandbox, MSG_FS_ABORT, &b);
		buf_free(&b);
	}
	p->upload = 0;
	link_unpin(gw, p->pin);
	p->pin = 0;
}

static void
put_free_if_over(struct put *p)
{
	struct req *r = p->r;

	if (!p->gone || p->asked)
		return;
	put_drop(p);
	free(p);
	req_release(r);
}

static void
on_committed(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct put *p = ctx;
	const struct json *entry = json_get(ok, "entry");
	const char *path = json_str(entry, "path", "");
	struct buf b;
	struct jw w;

	(void)fds;
	(void)nfds;
	p->asked = false;
	p->upload = 0; /* good or bad, it is over there */
	if (e != NULL) {
		files_fail(p->r, e);
	} else {
		buf_init(&b, FRAME_MAX);
		jw_init(&w, &b);
		jw_object(&w);
		jw_kstr(&w, "path", path);
		jw_kint(&w, "bytesWritten", (int64_t)p->written);
		jw_object_end(&w);
		req_add_header(p->r, "etag", json_str(entry, "etag", "\"\""));
		req_reply_json(p->r, 200, &b);
	}
	put_free_if_over(p);
}

static void
put_commit(struct put *p)
{
	struct req *r = p->r;
	struct buf b;
	struct jw w;

	fd_close(&p->fd);
	gather_free(p);
	buf_init(&b, 256);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kint(&w, "upload", p->upload);
	jw_object_end(&w);
	p->asked = true;
	(void)link_call(r->gw, LINK_FILES, r->sandbox, MSG_FS_COMMIT, &b, NULL,
	    0, FILES_CALL_MS, on_committed, p);
	buf_free(&b);
}

static void
on_created(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct put *p = ctx;
	struct req *r = p->r;
	struct stat st;

	p->asked = false;
	if (e != NULL) {
		p->failed = true;
		files_fail(r, e);
	} else {
		p->upload = json_int(ok, "upload", 0);
		p->pin = link_pin(r->gw, LINK_FILES, r->sandbox);
		/* Writing to anything else could wait. */
		if (nfds == 1 && fstat(fds[0], &st) == 0 &&
		    S_ISREG(st.st_mode)) {
			p->fd = fd_steal(&fds[0]);
		} else {
			p->failed = true;
			req_problem(r, PROBLEM_STREAM_ERROR, "no file came");
		}
	}
	if (p->failed)
		put_drop(p);
	else if (!p->gone && p->ended)
		put_commit(p);
	if (!p->gone && !p->ended)
		req_body_resume(r);
	put_free_if_over(p);
}

/* False when it failed; then that is answered. */
static bool
put_write(struct put *p, const char *data, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(p->fd, data, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			p->failed = true;
			files_fail_errno(p->r, n == 0 ? EIO : errno);
			put_drop(p);
			return false;
		}
		p->written += (uint64_t)n;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static bool
gather_flush(struct put *p)
{
	size_t n = p->gathered;

	p->gathered = 0;
	return n == 0 || put_write(p, p->gather, n);
}

static size_t
on_body(struct req *r, const char *data, size_t len)
{
	struct put *p = r->ctx;
	size_t at, n;

	if (p->failed)
		return len;
	if (p->fd == -1)
		return 0;
	if (p->gather == NULL) {
		(void)put_write(p, data, len); /* a failure is answered */
		return len;
	}
	/* Always filled, so that what is written stays aligned. */
	for (at = 0; at < len && !p->failed; at += n) {
		n = MIN(len - at, GATHER_BYTES - p->gathered);
		memcpy(p->gather + p->gathered, data + at, n);
		p->gathered += n;
		if (p->gathered == GATHER_BYTES)
			(void)gather_flush(p);
	}
	return len;
}

static void
on_body_end(struct req *r)
{
	struct put *p = r->ctx;

	p->ended = true;
	if (p->fd != -1 && !p->failed && gather_flush(p))
		put_commit(p);
}

static void
on_gone(struct req *r)
{
	struct put *p = r->ctx;

	p->gone = true;
	put_free_if_over(p);
}

void
route_fs_write(struct req *r)
{
	const char *match = req_header(r, "If-Match");
	const char *none = req_header(r, "If-None-Match");
	struct put *p;
	struct buf b;
	struct jw w;

	if ((match != NULL && (match[0] == '\0' || strlen(match) > 256)) ||
	    (none != NULL && (none[0] == '\0' || strlen(none) > 256))) {
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "If-Match, If-None-Match: at most 256 bytes");
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->r = r;
	p->fd = -1;
	if (gathers < GATHERS_MAX &&
	    (r->content_length < 0 || r->content_length >= GATHER_FROM)) {
		p->gather = xmalloc(GATHER_BYTES);
		gathers++;
	}
	r->ctx = p;
	r->body_later = true;
	r->on_body = on_body;
	r->on_body_end = on_body_end;
	r->on_gone = on_gone;
	files_fields(&b, &w, r);
	if (r->content_length > 0)
		jw_kint(&w, "size", r->content_length);
	if (match != NULL)
		jw_kstr(&w, "if_match", match);
	if (none != NULL)
		jw_kstr(&w, "if_none_match", none);
	jw_object_end(&w);
	req_hold(r);
	p->asked = true;
	(void)link_call(r->gw, LINK_FILES, r->sandbox, MSG_FS_CREATE, &b, NULL,
	    0, FILES_CALL_MS, on_created, p);
	buf_free(&b);
}
