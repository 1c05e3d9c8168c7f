/*
 * Bytes from one descriptor to another; see pump.h. Runs as the caller. What
 * passes is the sandbox's and is not looked at.
 */
#include "ctl/pump.h"
#include "lib/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#define PUMP_CHUNK 65536
#define SPLICE_CHUNK (1u << 20)
#define FEED_CHUNK 65536
#define PTY_CHUNK 256 /* what a terminal's queue takes for certain */

void
pump_init(struct pump *p, int src_fd, int dst_fd)
{
	*p = (struct pump){ .src_fd = src_fd, .dst_fd = dst_fd, .left = -1 };
}

void
pump_poll(const struct pump *p, struct pollfd *pfd_out)
{
	*pfd_out = (struct pollfd){ .fd = p->src_fd, .events = POLLIN };
	if (p->src_fd != -1 && p->has_data)
		*pfd_out =
		    (struct pollfd){ .fd = p->dst_fd, .events = POLLOUT };
}

void
pump_close(struct pump *p)
{
	fd_close(&p->src_fd);
}

static ssize_t
move_buffered(struct pump *p, size_t want)
{
	static char data[PUMP_CHUNK];
	ssize_t n = read(p->src_fd, data, MIN(want, sizeof(data)));

	if (n <= 0)
		return n;
	if (fd_write_all(p->dst_fd, data, (size_t)n) == -1) {
		p->broken = true;
		return 0;
	}
	return n;
}

static void
move(struct pump *p)
{
	size_t want = SPLICE_CHUNK;
	ssize_t n = -1;

	if (p->left >= 0)
		want = (size_t)MIN(p->left, (int64_t)SPLICE_CHUNK);
	p->has_data = false;
	if (!p->no_splice) {
		n = splice(p->src_fd, NULL, p->dst_fd, NULL, want,
		    SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		/* Terminals, files opened for appending and others refuse. */
		if (n == -1 && errno == EINVAL)
			p->no_splice = true;
	}
	if (p->no_splice)
		n = move_buffered(p, want);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1 && errno == EPIPE)
		p->broken = true;
	/* A pty answers EIO when its last user has gone: an end of file. */
	if (n <= 0) {
		pump_close(p);
		return;
	}
	if (p->left > 0)
		p->left -= n;
	if (p->left == 0)
		pump_close(p);
}

void
pump_go(struct pump *p, const struct pollfd *pfd)
{
	if (p->src_fd == -1 || pfd->revents == 0)
		return;
	if (!p->has_data) {
		p->has_data = true; /* data, end or error: reading tells */
		return;
	}
	if ((pfd->revents & POLLERR) != 0 && (pfd->revents & POLLOUT) == 0) {
		/* Closing our end lets the command know by its own EPIPE. */
		p->broken = true;
		pump_close(p);
		return;
	}
	move(p);
}

void
pump_last(struct pump *p)
{
	int n = 0;

	if (p->src_fd == -1)
		return;
	if (ioctl(p->src_fd, FIONREAD, &n) == -1 || n <= 0) {
		pump_close(p);
		return;
	}
	p->left = n;
}

int
feed_init(struct feed *f, int src_fd, int dst_fd)
{
	*f = (struct feed){ .src_fd = src_fd, .dst_fd = dst_fd };
	if (src_fd == -1) {
		fd_close(&f->dst_fd);
		return 0;
	}
	f->data = malloc(FEED_CHUNK);
	return f->data == NULL ? -1 : 0;
}

void
feed_poll(const struct feed *f, struct pollfd pfd_out[2])
{
	bool pending = f->at < f->len;

	pfd_out[0] = (struct pollfd){ .fd = -1 };
	pfd_out[1] = (struct pollfd){ .fd = -1 };
	if (f->dst_fd == -1)
		return;
	if (!pending)
		pfd_out[0] =
		    (struct pollfd){ .fd = f->src_fd, .events = POLLIN };
	/* Without POLLOUT this still tells that the reader has gone; not for
	 * a terminal, whose output side is watched elsewhere. */
	if (pending || !f->tty)
		pfd_out[1] = (struct pollfd){ .fd = f->dst_fd,
			.events = pending ? POLLOUT : 0 };
}

void
feed_close(struct feed *f)
{
	f->src_fd = -1;
	if (f->tty)
		f->dst_fd = -1; /* the terminal's owner closes it */
	fd_close(&f->dst_fd);
	free(f->data);
	f->data = NULL;
	f->at = f->len = 0;
}

static void
take(struct feed *f)
{
	ssize_t n = read(f->src_fd, f->data, FEED_CHUNK);

	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return;
	f->at = 0;
	f->len = n > 0 ? (size_t)n : 0;
	if (n > 0)
		return;
	if (!f->tty) {
		feed_close(f);
		return;
	}
	f->src_fd = -1;
	f->data[0] = 4; /* ^D: what a person would type */
	f->len = 1;
}

void
feed_go(struct feed *f, const struct pollfd pfd[2])
{
	size_t want;
	ssize_t n;

	if (f->dst_fd == -1)
		return;
	if (f->at == f->len && f->src_fd != -1 && pfd[0].revents != 0)
		take(f);
	if (f->dst_fd != -1 && f->at < f->len && pfd[1].revents != 0) {
		want = f->len - f->at;
		if (f->tty)
			want = MIN(want, (size_t)PTY_CHUNK);
		n = write(f->dst_fd, f->data + f->at, want);
		if (n > 0)
			f->at += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			feed_close(f);
	} else if (f->dst_fd != -1 && !f->tty &&
		   (pfd[1].revents & POLLERR) != 0) {
		feed_close(f);
	}
}
