/*
 * See body_pipe.h. Runs in sandboxd-gateway, which never looks at what goes
 * through.
 */
#include "gateway/doors/body_pipe.h"
#include "gateway/doors/files.h"

#include <errno.h>
#include <fcntl.h>

#define PIPE_BYTES (1 << 20)

static void
on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct body_pipe *b = io->data;

	(void)revents;
	ev_io_stop(loop, io);
	req_body_resume(b->r);
}

int
body_pipe_open(struct body_pipe *b, struct req *r, int *read_fd_out)
{
	b->r = r;
	b->fd = -1;
	if (files_pipe(true, &b->fd, read_fd_out) == -1)
		return -1;
	(void)fcntl(b->fd, F_SETPIPE_SZ, PIPE_BYTES); /* it goes without */
	ev_io_init(&b->io, on_writable, b->fd, EV_WRITE);
	b->io.data = b;
	return 0;
}

size_t
body_pipe_take(struct body_pipe *b, const char *data, size_t len)
{
	size_t done = 0;
	ssize_t n;

	/* What comes behind the end of an archive, or after a refusal. */
	if (b->fd == -1)
		return len;
	while (done < len) {
		n = write(b->fd, data + done, len - done);
		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			ev_io_start(b->r->gw->loop, &b->io);
			break;
		}
		body_pipe_close(b); /* the answer tells why */
		return len;
	}
	return done;
}

void
body_pipe_close(struct body_pipe *b)
{
	ev_io_stop(b->r->gw->loop, &b->io);
	fd_close(&b->fd);
}
