/*
 * Rings of records in unnamed files; runs in init. The file is made in the
 * sandbox's root, so it lies on the sandbox's own disk and counts as its use,
 * and goes with the last descriptor. Other processes of the sandbox cannot open
 * what /proc shows of us.
 *
 * A disk that is full costs records, never the process that prints them.
 */
#include "init/procs_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define SLACK_BYTES (64u << 10) /* for headers, whatever the limit */
#define RING_MAX (256u << 20)
#define SCAN_BYTES (64u << 10)

_Static_assert(SLACK_BYTES > PROCLOG_MAX && SCAN_BYTES > PROCLOG_MAX,
    "the longest record fits");

void
plog_init(struct plog *l)
{
	*l = (struct plog){ .fd = -1 };
}

void
plog_close(struct plog *l)
{
	if (l->fd != -1)
		(void)close(fd_steal(&l->fd)); /* nobody reads it again */
	l->head = l->tail;
	l->raw_bytes = 0;
}

/* "/" is no link and cannot be replaced. Where it is read-only or has no such
 * files, memory of the sandbox must do. */
static int
plog_open(struct plog *l, uint64_t max_bytes)
{
	l->fd = open("/", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (l->fd == -1)
		l->fd = memfd_create("process-log", MFD_CLOEXEC);
	/* As much again for headers: lines are short. */
	l->ring_bytes = MIN(max_bytes, RING_MAX / 2) * 2 + SLACK_BYTES;
	return l->fd == -1 ? -1 : 0;
}

/* All of N bytes at POS, in two pieces where the ring ends. */
static int
ring_io(const struct plog *l, uint64_t pos, char *p, size_t n, bool put)
{
	uint64_t at;
	size_t part;
	ssize_t k;

	while (n > 0) {
		at = pos % l->ring_bytes;
		part = MIN(n, l->ring_bytes - at);
		k = put ? pwrite(l->fd, p, part, (off_t)at)
			: pread(l->fd, p, part, (off_t)at);
		if (k == -1 && errno == EINTR)
			continue;
		if (k <= 0)
			return -1;
		p += k;
		pos += (uint64_t)k;
		n -= (size_t)k;
	}
	return 0;
}

/* -1: the oldest record cannot be read, so nothing of the ring can. */
static int
plog_drop(struct plog *l)
{
	char h[PROCLOG_HEADER];
	struct proclog r;

	if (ring_io(l, l->head, h, sizeof(h), false) == -1 ||
	    proclog_get(h, sizeof(h), &r) == -1)
		return -1;
	l->head += PROCLOG_HEADER + r.len;
	l->raw_bytes -= MIN(r.len, l->raw_bytes);
	return 0;
}

int
plog_append(struct plog *l, const char *r, size_t len, uint64_t max_bytes)
{
	uint64_t raw = len - PROCLOG_HEADER;
	char copy[PROCLOG_MAX];

	if (l->fd == -1 && plog_open(l, max_bytes) == -1)
		return -1;
	while (
	    l->head < l->tail && (l->raw_bytes + raw > max_bytes ||
				     l->tail - l->head + len > l->ring_bytes)) {
		if (plog_drop(l) == -1) {
			l->head = l->tail;
			l->raw_bytes = 0;
		}
	}
	if (raw > max_bytes)
		return -1;
	memcpy(copy, r, len);
	if (ring_io(l, l->tail, copy, len, true) == -1)
		return -1;
	l->tail += len;
	l->raw_bytes += raw;
	return 0;
}

size_t
plog_read(const struct plog *l, uint64_t pos, char *dst, size_t n)
{
	n = MIN(n, l->tail - pos);
	return ring_io(l, pos, dst, n, false) == 0 ? n : 0;
}

/* Count the records of STREAMS after SINCE, up to STOP of them. *LAST_OUT is
 * the sequence of the last one met, SINCE when there is none. */
static uint64_t
plog_walk(const struct plog *l, unsigned streams, uint64_t since, uint64_t stop,
    uint64_t *last_out)
{
	autofree char *buf = malloc(SCAN_BYTES);
	uint64_t pos = l->head, met = 0;
	struct proclog r;
	size_t n, at;

	*last_out = since;
	while (buf != NULL && pos < l->tail && met < stop) {
		n = plog_read(l, pos, buf, SCAN_BYTES);
		for (at = 0;
		     met < stop && proclog_get(buf + at, n - at, &r) == 1;
		     at += PROCLOG_HEADER + r.len) {
			if ((BIT(r.stream) & streams) == 0 ||
			    r.sequence <= since)
				continue;
			met++;
			*last_out = r.sequence;
		}
		if (at == 0)
			break;
		pos += at;
	}
	return met;
}

uint64_t
plog_tail(const struct plog *l, unsigned streams, uint64_t since, uint64_t n)
{
	uint64_t all, last;

	if (l->fd == -1)
		return since;
	all = plog_walk(l, streams, since, UINT64_MAX, &last);
	if (all > n)
		(void)plog_walk(l, streams, since, all - n, &last);
	else
		last = since;
	return last;
}
