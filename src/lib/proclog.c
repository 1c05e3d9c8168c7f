/*
 * Writing and checking records of process output. Runs in init, which writes
 * them, and in the gateway, which reads them out of pipes whose other end lives
 * among hostile processes: every byte is checked.
 */
#include "proclog.h"
#include <string.h>

static void
put_be(char *p, uint64_t v, size_t n)
{
	while (n-- > 0) {
		p[n] = (char)(v & 0xff);
		v >>= 8;
	}
}

static uint64_t
get_be(const char *p, size_t n)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < n; i++)
		v = v << 8 | (unsigned char)p[i];
	return v;
}

void
proclog_put(char h[PROCLOG_HEADER], const struct proclog *r)
{
	put_be(h, r->len, 4);
	put_be(h + 4, (uint64_t)r->stream << 24, 4);
	put_be(h + 8, r->sequence, 8);
	put_be(h + 16, (uint64_t)r->time_ms, 8);
}

int
proclog_get(const char *p, size_t n, struct proclog *r_out)
{
	uint64_t stream, time;

	if (n < PROCLOG_HEADER)
		return 0;
	r_out->len = (size_t)get_be(p, 4);
	stream = get_be(p + 4, 4);
	r_out->sequence = get_be(p + 8, 8);
	time = get_be(p + 16, 8);
	if (r_out->len > PROCLOG_DATA_MAX || (stream & 0xffffff) != 0 ||
	    stream >> 24 < PROCLOG_STDOUT || stream >> 24 >= PROCLOG_N ||
	    r_out->sequence > INT64_MAX || time > INT64_MAX)
		return -1;
	r_out->stream = (enum proclog_stream)(stream >> 24);
	r_out->time_ms = (int64_t)time;
	return n - PROCLOG_HEADER >= r_out->len ? 1 : 0;
}

/* u16 code or 0xffff, u8 signal, u8 timed out, 4 zero bytes */
size_t
proclog_put_exit(char p[PROCLOG_HEADER + PROCLOG_EXIT_LEN],
    const struct proclog_exit *x, int64_t time_ms)
{
	const struct proclog r = {
		.stream = PROCLOG_EXIT,
		.len = PROCLOG_EXIT_LEN,
		.time_ms = time_ms,
	};

	proclog_put(p, &r);
	p += PROCLOG_HEADER;
	memset(p, 0, PROCLOG_EXIT_LEN);
	put_be(p, x->code < 0 ? 0xffff : (uint64_t)x->code & 0xff, 2);
	put_be(p + 2, (uint64_t)x->sig & 0x7f, 1);
	put_be(p + 3, x->timed_out, 1);
	return PROCLOG_HEADER + PROCLOG_EXIT_LEN;
}

int
proclog_get_exit(const char *data, size_t len, struct proclog_exit *x_out)
{
	uint64_t code, sig, timed_out;

	if (len != PROCLOG_EXIT_LEN || get_be(data + 4, 4) != 0)
		return -1;
	code = get_be(data, 2);
	sig = get_be(data + 2, 1);
	timed_out = get_be(data + 3, 1);
	if ((code > 255 && code != 0xffff) || sig > 64 || timed_out > 1 ||
	    (code == 0xffff) != (sig > 0))
		return -1;
	x_out->code = code == 0xffff ? -1 : (int)code;
	x_out->sig = (int)sig;
	x_out->timed_out = timed_out == 1;
	return 0;
}

const char *
proclog_stream_name(enum proclog_stream s)
{
	static const char *const names[PROCLOG_N] = {
		[PROCLOG_STDOUT] = "stdout",
		[PROCLOG_STDERR] = "stderr",
		[PROCLOG_PTY] = "pty",
		[PROCLOG_EXIT] = "exit",
	};

	return (unsigned)s < PROCLOG_N ? names[s] : NULL;
}
