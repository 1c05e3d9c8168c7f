/*
 * POST /v1/fs/upload-batch: the archive goes through a pipe to the file server,
 * which unpacks it as it comes. Runs in sandboxd-gateway, which never looks at
 * what is in it.
 */
#include "gateway/doors/files.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <fcntl.h>

#define PIPE_BYTES (1 << 20)

struct batch {
	struct req *r;
	int archive_fd; /* owned; what we write to, -1: no more */
	int answer_fd;	/* owned; what we read from */
	ev_io io;	/* the pipe has room again */
	bool asked;	/* the call is under way */
	bool over;	/* nobody reads the archive any more */
	bool gone;
};

static void
archive_close(struct batch *u)
{
	ev_io_stop(u->r->gw->loop, &u->io);
	fd_close(&u->archive_fd);
}

static void
batch_free_if_over(struct batch *u)
{
	struct req *r = u->r;

	if (!u->gone || u->asked)
		return;
	archive_close(u);
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
	u->over = true;
	if (e != NULL)
		files_fail(u->r, e);
	else
		files_reply_pipe(u->r, fd_steal(&u->answer_fd), '}');
	archive_close(u);
	if (!u->gone)
		req_body_resume(u->r);
	batch_free_if_over(u);
}

static void
on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct batch *u = io->data;

	(void)revents;
	ev_io_stop(loop, io);
	req_body_resume(u->r);
}

static size_t
on_body(struct req *r, const char *data, size_t len)
{
	struct batch *u = r->ctx;
	size_t done = 0;
	ssize_t n;

	/* What comes behind the end of an archive, or after a refusal. */
	if (u->over || u->archive_fd == -1)
		return len;
	while (done < len) {
		n = write(u->archive_fd, data + done, len - done);
		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			ev_io_start(r->gw->loop, &u->io);
			break;
		}
		archive_close(u); /* the answer tells why */
		return len;
	}
	return done;
}

static void
on_body_end(struct req *r)
{
	archive_close(r->ctx);
}

static void
on_gone(struct req *r)
{
	struct batch *u = r->ctx;

	u->gone = true;
	archive_close(u); /* in its midst: what is half is dropped there */
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
	if (files_pipe(true, &u->archive_fd, &theirs[0]) == -1) {
		files_fail_errno(r, errno);
		free(u);
		return;
	}
	if (files_pipe(false, &u->answer_fd, &theirs[1]) == -1) {
		files_fail_errno(r, errno);
		fd_close(&u->archive_fd);
		fd_close(&theirs[0]);
		free(u);
		return;
	}
	(void)fcntl(u->archive_fd, F_SETPIPE_SZ, PIPE_BYTES);
	ev_io_init(&u->io, on_writable, u->archive_fd, EV_WRITE);
	u->io.data = u;
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
