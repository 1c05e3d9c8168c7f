/*
 * The log of a managed process as plain text: what it has printed so far. An
 * errand; see errand.h. Those who want to follow a log read proc.logs.
 */
#include "init/errand.h"
#include "init/procs_priv.h"
#include "lib/fdio.h"

#include <string.h>

#define CHUNK (64u << 10)
_Static_assert(CHUNK > PROCLOG_MAX, "the longest record fits");

static const struct mproc *
process_find(const struct init *in, const struct json *msg, struct err *e)
{
	if (in->procs != NULL)
		return mproc_find(in->procs, msg, e);
	(void)err_set(e, ERR_PROCESS_NOT_FOUND, "process %lld",
	    (long long)json_int(msg, "process", 0));
	return NULL;
}

int
errand_log_fd(const struct init *in, const struct json *msg, struct err *e)
{
	const struct mproc *p = process_find(in, msg, e);

	if (p == NULL)
		return -1;
	return p->log.fd != -1 ? p->log.fd : in->null_fd;
}

static int
records_put(struct errand_child *c, const char *buf, size_t n, size_t *at,
    unsigned streams, struct err *e)
{
	struct proclog r;

	for (*at = 0; proclog_get(buf + *at, n - *at, &r) == 1;
	     *at += PROCLOG_HEADER + r.len) {
		if ((BIT(r.stream) & streams) == 0)
			continue;
		c->n.entries++;
		c->n.bytes += (int64_t)r.len;
		if (fd_write_all(c->fd, buf + *at + PROCLOG_HEADER, r.len) ==
		    -1)
			return err_sys(e, "write");
	}
	return 0;
}

int
errand_log(struct errand_child *c, struct err *e)
{
	const struct mproc *p = process_find(c->in, c->msg, e);
	const char *stream = json_str(c->msg, "stream", "all");
	autofree char *buf = malloc(CHUNK);
	unsigned streams = ~0U;
	struct plog log;
	uint64_t pos;
	size_t n, at;

	if (p == NULL || buf == NULL)
		return p == NULL ? -1 : err_set(e, ERR_LIMIT, "no memory");
	if (strcmp(stream, "stdout") == 0)
		streams = BIT(PROCLOG_STDOUT) | BIT(PROCLOG_PTY);
	else if (strcmp(stream, "stderr") == 0)
		streams = BIT(PROCLOG_STDERR);
	else if (strcmp(stream, "all") != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "stream: '%.32s' is not stdout, stderr or all", stream);
	log = p->log; /* as it was at the fork; the file lives on */
	log.fd = log.fd == -1 ? -1 : c->extra_fd;
	for (pos = log.head; log.fd != -1 && pos < log.tail; pos += at) {
		n = plog_read(&log, pos, buf, CHUNK);
		if (records_put(c, buf, n, &at, streams, e) == -1)
			return -1;
		if (at == 0) /* init has written over it meanwhile */
			return 0;
	}
	return 0;
}
