/*
 * A channel's peer says anything, in pieces of any size. What the channel
 * delivers must be what a plain walk over the same bytes finds: the same
 * frames up to the first breach, and a breach exactly where there is one.
 *
 * Input: a byte for the size of the pieces, then what the peer says.
 */
#include "fuzz.h"
#include "lib/chan.h"
#include "lib/frame.h"
#include "lib/log.h"
#include <string.h>

struct seen {
	unsigned frames, closed;
	size_t bytes;
	const uint8_t *at; /* where the next frame must come from */
};

static void
on_chan(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct seen *s = ctx;

	(void)ch;
	CHECK(s->closed == 0);
	if (what == CHAN_CLOSED) {
		CHECK(why != NULL && why[0] != '\0');
		s->closed++;
		return;
	}
	CHECK(f->msg->type == JSON_OBJECT && f->nfds == 0);
	CHECK(memcmp(f->text, s->at + FRAME_HEADER, f->len) == 0);
	s->at += FRAME_HEADER + f->len;
	s->frames++;
	s->bytes += f->len;
}

static void
no_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	(void)ctx;
	(void)level;
	CHECK(strlen(line) == len && len <= LOG_LINE_MAX);
}

/* Frames of P[0..n) before the first breach; *BREACH_OUT if there is one. */
static unsigned
walk(const char *p, size_t n, int *breach_out)
{
	unsigned frames = 0;
	struct json *j;
	const char *body;
	int64_t fds;
	size_t len;
	int r, bad;

	*breach_out = 0;
	while ((r = frame_peek(p, n, FRAME_MAX, &body, &len)) == 1) {
		if (json_parse(body, len, JSON_DEPTH_CONTROL, &j, NULL) == -1)
			break;
		bad = j->type != JSON_OBJECT ||
		      (json_get(j, "fds") != NULL &&
			  (json_number_int(json_get(j, "fds"), &fds) == -1 ||
			      fds != 0));
		json_free(j);
		if (bad)
			break;
		frames++;
		p = body + len;
		n -= FRAME_HEADER + len;
	}
	*breach_out = r != 0;
	return frames;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ev_loop *loop;
	struct seen s = { 0 };
	struct chan *ch;
	size_t at, n, piece;
	unsigned frames;
	int breach, fd, peer;

	if (size < 1 || size > 60000)
		return 0;
	if (loop == NULL) {
		loop = ev_loop_new(EVFLAG_AUTO);
		log_sink(no_log, NULL);
	}
	piece = (size_t)data[0] + 1;
	frames = walk((const char *)data + 1, size - 1, &breach);

	CHECK(fd_socketpair(&fd, &peer, NULL) == 0);
	s.at = data + 1;
	ch = chan_new(loop, fd, "fuzz", on_chan, &s);
	for (at = 1; at < size && s.closed == 0; at += n) {
		n = MIN(piece, size - at);
		CHECK(fd_send(peer, data + at, n, NULL, 0) == (ssize_t)n);
		ev_run(loop, EVRUN_NOWAIT);
	}
	CHECK(s.frames == frames);
	CHECK((int)s.closed == breach);
	fd_close(&peer);
	ev_run(loop, EVRUN_NOWAIT);
	CHECK(s.closed == 1);
	chan_free(ch);
	return 0;
}
