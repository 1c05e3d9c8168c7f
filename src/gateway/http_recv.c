/*
 * A client that says its last byte and still wants its answer: MHD, when it
 * happens to look, takes the end of what the client sends for the end of the
 * client, as long as the answer is not there. Runs in sandboxd-gateway.
 *
 * MHD reads by recv(), which this one replaces while the program is linked, as
 * http_words.c does with another: for everything else it does the same. Should
 * MHD not come by here, such clients are cut off. What comes is shown to
 * http_scan.c, except from TLS: see http_tls.c.
 */
#include "gateway/http_priv.h"
#include "gateway/req_priv.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static struct {
	struct conn **of; /* by descriptor */
	size_t n;
} table;

void
recv_join(struct conn *c)
{
	size_t n = table.n;

	if ((size_t)c->fd >= n) {
		n = MAX((size_t)c->fd + 1, n * 2);
		table.of = xreallocarray(table.of, n, sizeof(struct conn *));
		memset(table.of + table.n, 0,
		    (n - table.n) * sizeof(struct conn *));
		table.n = n;
	}
	table.of[c->fd] = c;
}

void
recv_leave(const struct conn *c)
{
	if ((size_t)c->fd < table.n && table.of[c->fd] == c)
		table.of[c->fd] = NULL;
}

struct conn *
recv_conn(int fd)
{
	return fd >= 0 && (size_t)fd < table.n ? table.of[fd] : NULL;
}

/* All of the request is here, and we owe an answer. */
static bool
waits(struct conn *c)
{
	return c != NULL && !c->kill && c->phase == CONN_WAIT &&
	       c->req != NULL && c->req->body_done && !c->req->queued;
}

ssize_t
recv(int fd, void *p, size_t n, int flags)
{
	ssize_t got = recvfrom(fd, p, n, flags, NULL, NULL);
	struct conn *c = recv_conn(fd);

	if (got > 0 && c != NULL && c->phase != CONN_AWAY && !c->mhd->secure &&
	    (flags & MSG_PEEK) == 0)
		scan_bytes(&c->scan, p, (size_t)got);
	if (got != 0 || n == 0 || !waits(c))
		return got;
	if (c->half_since == 0)
		c->half_since = http_now(c->http);
	errno = EAGAIN;
	return -1;
}
