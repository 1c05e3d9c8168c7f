/*
 * POST /v1/fs/upload-batch: the archive goes through a pipe to the file server,
 * which unpacks it as it comes. Runs in sandboxd-gateway, which never looks at
 * what is in it.
 */
#include "gateway/doors/body_pipe.h"
#include "gateway/doors/files.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>

struct batch {
	struct req *r;
	struct body_pipe archive;
	int answer_fd; /* owned; what we read from */
	bool asked;    /* the call is under way */
	bool gone;
};

static void
batch_free_if_over(struct batch *u)
{
	struct req *r = u->r;

	if (!u->gone || u->asked)
		return;
	body_pipe_close(&u->archive);
	fd_close(&u->answer_fd);
	free(u);
	req_release(r);
}

static void
on_unpacked(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct batch *u = ctx;

	(void)ok;
	(void)fds;
	(void)nfds;
	u->asked = false;
	if (e != NULL)
		files_fail(u->r, e);
	else
		files_reply_pipe(u->r, fd_steal(&u->answer_fd), '}');
	body_pipe_close(&u->archive);
	if (!u->gone)
		req_body_resume(u->r);
	batch_free_if_over(u);
}

static size_t
on_body(struct req *r, const char *data, size_t len)
{
	struct batch *u = r->ctx;

	return body_pipe_take(&u->archive, data, len);
}

static void
on_body_end(struct req *r)
{
	struct batch *u = r->ctx;

	body_pipe_close(&u->archive);
}

static void
on_gone(struct req *r)
{
	struct batch *u = r->ctx;

	u->gone = true;
	body_pipe_close(
	    &u->archive); /* in its midst: what is half is dropped there */
	batch_free_if_over(u);
}

void
route_fs_upload(struct req *r)
{
	const char *type = req_header(r, "Content-Type");
	struct batch *u;
	int theirs[2];
	struct buf b;
	struct jw w;

	if (type == NULL || !str_starts(type, "application/x-tar")) {
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "content-type must be application/x-tar");
		return;
	}
	u = xcalloc(1, sizeof(*u));
	u->r = r;
	u->answer_fd = -1;
	if (body_pipe_open(&u->archive, r, &theirs[0]) == -1) {
		files_fail_errno(r, errno);
		free(u);
		return;
	}
	if (files_pipe(false, &u->answer_fd, &theirs[1]) == -1) {
		files_fail_errno(r, errno);
		body_pipe_close(&u->archive);
		fd_close(&theirs[0]);
		free(u);
		return;
	}
	r->ctx = u;
	r->on_body = on_body;
	r->on_body_end = on_body_end;
	r->on_gone = on_gone;
	files_fields(&b, &w, r);
	jw_object_end(&w);
	req_hold(r);
	u->asked = true;
	/* Without a deadline: it takes as long as the client sends. */
	(void)link_call(r->gw, LINK_FILES, r->sandbox, MSG_FS_UNPACK, &b,
	    theirs, 2, 0, on_unpacked, u);
	buf_free(&b);
}
