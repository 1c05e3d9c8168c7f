/*
 * lib/chan: order of bytes and descriptors, breaches, backpressure, and
 * callbacks that free their own channel. One end is a channel, the other a
 * bare socket in the test's hand, or a second channel.
 */
#include "lib/chan.h"
#include "lib/frame.h"
#include "lib/log.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "open_fds.h"

struct side {
	struct chan *ch;
	unsigned frames, closed, drained;
	char why[200];
	char log[2000]; /* texts of frames, one after the other */
	int fds[64];
	size_t nfds;
	unsigned free_at;  /* free the channel in this frame */
	unsigned pause_at; /* pause it in this frame */
	bool keep_closed;  /* do not free on CHAN_CLOSED */
	size_t bytes;
	int64_t last; /* number in the last frame */
};

static struct ev_loop *loop;
static struct side us;
static int peer_fd = -1;
static int fds_at_start;

static void
on_chan(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct side *s = ctx;
	size_t i;

	assert_ptr_equal(ch, s->ch);
	if (what == CHAN_CLOSED) {
		assert_null(f);
		s->closed++;
		(void)snprintf(s->why, sizeof(s->why), "%s", why);
		if (!s->keep_closed) {
			chan_free(ch);
			s->ch = NULL;
		}
		return;
	}
	assert_int_equal(s->closed, 0);
	s->frames++;
	s->bytes += f->len;
	if (f->msg != NULL)
		s->last = json_int(f->msg, "n", -1);
	if (strlen(s->log) + f->len < sizeof(s->log))
		strncat(s->log, f->text, f->len);
	for (i = 0; i < f->nfds && s->nfds < countof(s->fds); i++)
		s->fds[s->nfds++] = fd_steal(&f->fds[i]);
	if (s->frames == s->pause_at)
		chan_pause(ch);
	if (s->frames == s->free_at) {
		chan_free(ch);
		s->ch = NULL;
	}
}

static void
quiet(void *ctx ATTR_UNUSED, enum log_level level ATTR_UNUSED,
    const char *line ATTR_UNUSED, size_t len ATTR_UNUSED)
{
}

static int
open_pair(void **state ATTR_UNUSED)
{
	struct err e;
	int fd;

	log_sink(quiet, NULL); /* breaches are meant */
	loop = ev_loop_new(EVFLAG_AUTO);
	assert_non_null(loop);
	fds_at_start = open_fds();
	memset(&us, 0, sizeof(us));
	assert_int_equal(fd_socketpair(&fd, &peer_fd, &e), 0);
	us.ch = chan_new(loop, fd, "test", on_chan, &us);
	return 0;
}

static int
close_pair(void **state ATTR_UNUSED)
{
	int n;

	chan_free(us.ch);
	us.ch = NULL;
	fd_close_all(us.fds, us.nfds);
	fd_close(&peer_fd);
	n = open_fds();
	ev_loop_destroy(loop);
	log_sink(NULL, NULL);
	/* epoll's descriptor of the loop may be one more or less. */
	return n <= fds_at_start + 1 ? 0 : -1;
}

/* Run what is ready, and what that makes ready. */
static void
run(void)
{
	int i;

	for (i = 0; i < 400; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

/* Send a frame with this text and N descriptors of /dev/null. */
static void
peer_frame_fds(const char *text, size_t n)
{
	size_t len = strlen(text);
	int fds[FDIO_MAX_FDS];
	char f[1000];
	size_t i;

	assert_true(len + 4 < sizeof(f));
	f[0] = 0;
	f[1] = 0;
	f[2] = (char)(len >> 8);
	f[3] = (char)len;
	memcpy(f + 4, text, len);
	for (i = 0; i < n; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_send(peer_fd, f, len + 4, fds, n), len + 4);
	fd_close_all(fds, n);
}

static void
peer_frame(const char *text)
{
	peer_frame_fds(text, 0);
}

static void
assert_closed(const char *why)
{
	assert_int_equal(us.closed, 1);
	assert_string_equal(us.why, why);
}

static void
frames_arrive_in_order(void **state ATTR_UNUSED)
{
	peer_frame("{\"n\":1}");
	peer_frame("{\"n\":2}");
	run();
	peer_frame("{}");
	run();
	assert_string_equal(us.log, "{\"n\":1}{\"n\":2}{}");
	fd_close(&peer_fd);
	run();
	assert_closed("closed by peer");
}

static void
byte_by_byte(void **state ATTR_UNUSED)
{
	static const char bytes[] = "\0\0\0\2{}\0\0\0\7{\"n\":5}\0\0\0\2{}";
	size_t i;

	for (i = 0; i < sizeof(bytes) - 1; i++) {
		assert_int_equal(write(peer_fd, bytes + i, 1), 1);
		run();
	}
	assert_string_equal(us.log, "{}{\"n\":5}{}");
	assert_int_equal(us.closed, 0);
}

static void
closed_inside_a_frame(void **state ATTR_UNUSED)
{
	peer_frame("{}");
	assert_int_equal(write(peer_fd, "\0\0\0\7{\"n", 7), 7);
	fd_close(&peer_fd);
	run();
	assert_int_equal(us.frames, 1);
	assert_closed("closed by peer inside a frame");
}

static void
breaches_close_after_what_was_good(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *why;
	} t[] = {
		{ "\0\0\0\0", 4, "frame is empty or too long" },
		{ "\0\x10\0\1", 4, "frame is empty or too long" },
		{ "\xff\xff\xff\xff", 4, "frame is empty or too long" },
		{ "\0\0\0\2[]", 6, "frame is no object, or its fds no number" },
		{ "\0\0\0\1{", 5,
		    "not valid JSON: byte 1: parse error: premature EOF" },
		{ "\0\0\0\x9{\"fds\":9}", 13,
		    "frame is no object, or its fds no number" },
		{ "\0\0\0\xa{\"fds\":-1}", 14,
		    "frame is no object, or its fds no number" },
		{ "\0\0\0\x9{\"fds\":1}", 13,
		    "descriptors are not as announced" },
		{ "\0\0\0\x12{\"a\":[[[[[[[[]]]]]]]]}", 0, "" },
	};
	size_t i;

	for (i = 0; t[i].n > 0; i++) {
		peer_frame("{}");
		assert_int_equal(write(peer_fd, t[i].bytes, t[i].n), t[i].n);
		run();
		assert_int_equal(us.frames, 1);
		assert_closed(t[i].why);
		assert_int_equal(close_pair(state), 0);
		assert_int_equal(open_pair(state), 0);
	}
}

static void
limits_can_be_set(void **state ATTR_UNUSED)
{
	chan_set_depth(us.ch, 1);
	chan_set_max(us.ch, 10);
	peer_frame("{\"a\":1234}");
	run();
	assert_int_equal(us.frames, 1);
	peer_frame("{\"a\":12345}");
	run();
	assert_closed("frame is empty or too long");
}

static void
descriptors_come_with_their_frame(void **state ATTR_UNUSED)
{
	peer_frame("{\"n\":1}");
	peer_frame_fds("{\"fds\":2}", 2);
	peer_frame("{\"n\":3}");
	peer_frame_fds("{\"fds\":1}", 1);
	peer_frame_fds("{\"fds\":8}", 8);
	run();
	assert_int_equal(us.closed, 0);
	assert_int_equal(us.frames, 5);
	assert_int_equal(us.nfds, 11);
	assert_true(fcntl(us.fds[0], F_GETFD) & FD_CLOEXEC);
}

static void
descriptor_nobody_announced(void **state ATTR_UNUSED)
{
	peer_frame_fds("{\"n\":1}", 1);
	run();
	assert_int_equal(us.frames, 0);
	assert_closed("descriptors are not as announced");
}

static void
descriptor_for_a_later_frame(void **state ATTR_UNUSED)
{
	/* Smuggled with one frame, announced by the next. */
	chan_pause(us.ch);
	peer_frame_fds("{\"n\":1}", 1);
	peer_frame("{\"fds\":1}");
	chan_resume(us.ch);
	run();
	assert_int_equal(us.frames, 0);
	assert_closed("descriptors are not as announced");
}

static void
descriptors_and_a_frame_in_pieces(void **state ATTR_UNUSED)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(fd_send(peer_fd, "\0\0\0\x9{\"f", 7, &fd, 1), 7);
	run();
	assert_int_equal(fd_send(peer_fd, "ds\":1}", 6, NULL, 0), 6);
	run();
	fd_close(&fd);
	assert_int_equal(us.frames, 1);
	assert_int_equal(us.nfds, 1);
	assert_int_equal(us.closed, 0);
}

static void
descriptors_never_pile_up(void **state ATTR_UNUSED)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int i;

	/* A frame that never ends, and a descriptor with each of its bytes. */
	assert_int_equal(fd_send(peer_fd, "\0\0\1\0{", 5, &fd, 1), 5);
	for (i = 0; i < 100 && us.closed == 0; i++) {
		(void)fd_send(peer_fd, " ", 1, &fd, 1); /* until it closes */
		run();
	}
	fd_close(&fd);
	assert_closed("too many descriptors");
	assert_true(i < 30);
}

static void
more_descriptors_than_one_message_may_hold(void **state ATTR_UNUSED)
{
	int fds[FDIO_MAX_FDS + 1];
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(fds))];
	} control;
	struct iovec iov = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.data,
		.msg_controllen = sizeof(control.data) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	memset(fds, 0, sizeof(fds)); /* nine times standard input */
	memset(&control, 0, sizeof(control));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	assert_int_equal(sendmsg(peer_fd, &msg, 0), 1);
	run();
	assert_closed("too many descriptors at once");
}

static void
descriptors_left_are_closed(void **state ATTR_UNUSED)
{
	int before;

	us.nfds = countof(us.fds); /* the callback takes none */
	before = open_fds();
	peer_frame_fds("{\"fds\":3}", 3);
	run();
	assert_int_equal(us.frames, 1);
	assert_int_equal(open_fds(), before);
	us.nfds = 0;
}

static void
raw_channels_parse_nothing(void **state ATTR_UNUSED)
{
	chan_set_raw(us.ch, 1);
	peer_frame("not json");
	run();
	assert_string_equal(us.log, "not json");
	peer_frame_fds("{\"fds\":1}", 1);
	run();
	assert_closed("descriptors are not as announced");
}

static void
a_callback_may_free_its_channel(void **state ATTR_UNUSED)
{
	us.free_at = 2;
	peer_frame("{\"n\":1}");
	peer_frame_fds("{\"fds\":1}", 1);
	peer_frame("{\"n\":3}");
	run();
	assert_int_equal(us.frames, 2);
	assert_int_equal(us.closed, 0);
	chan_free(NULL);
}

static void
a_closed_channel_is_harmless(void **state ATTR_UNUSED)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	us.keep_closed = true;
	fd_close(&peer_fd);
	run();
	assert_int_equal(us.closed, 1);
	jw_kint(chan_begin(us.ch), "n", 1);
	assert_int_equal(chan_end(us.ch, &fd, 1), -1);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken all the same */
	chan_pause(us.ch);
	chan_resume(us.ch);
	assert_int_equal(chan_queued(us.ch), 0);
	run();
	assert_int_equal(us.closed, 1);
}

static void
pause_and_resume(void **state ATTR_UNUSED)
{
	us.pause_at = 2;
	peer_frame("{\"n\":1}");
	peer_frame("{\"n\":2}");
	peer_frame("{\"n\":3}");
	peer_frame("{\"n\":4}");
	run();
	assert_int_equal(us.frames, 2);
	peer_frame("{\"n\":5}");
	fd_close(&peer_fd);
	run();
	assert_int_equal(us.frames, 2);
	assert_int_equal(us.closed, 0);
	chan_resume(us.ch);
	chan_resume(us.ch);
	run();
	assert_int_equal(us.frames, 5);
	assert_int_equal(us.last, 5);
	assert_closed("closed by peer");
}

static void
frames_left_by_a_pause_need_no_news(void **state ATTR_UNUSED)
{
	us.pause_at = 1;
	peer_frame("{\"n\":1}");
	peer_frame("{\"n\":2}");
	peer_frame("{\"n\":3}");
	run();
	assert_int_equal(us.frames, 1);
	us.pause_at = 2; /* nothing more comes from the socket */
	chan_resume(us.ch);
	run();
	assert_int_equal(us.frames, 2);
	chan_resume(us.ch);
	run();
	assert_int_equal(us.frames, 3);
	assert_int_equal(us.closed, 0);
}

/* --- sending ------------------------------------------------------------- */

static void
send_number(struct chan *ch, int64_t n, size_t pad, int want)
{
	struct jw *w = chan_begin(ch);
	size_t i;

	jw_kint(w, "n", n);
	jw_key(w, "pad");
	jw_str_begin(w);
	for (i = 0; i < pad; i += 100)
		jw_str_add(w,
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		    100);
	jw_str_end(w);
	assert_int_equal(chan_end(ch, NULL, 0), want);
}

static void
frames_are_sent_at_once(void **state ATTR_UNUSED)
{
	struct err e;
	char in[200];

	chan_reply_ok(us.ch, 7);
	err_set(&e, ERR_LIMIT, "at \"most\" 3");
	chan_reply_err(us.ch, 8, &e);
	/* Nothing but chan_end has run. */
	assert_int_equal(read(peer_fd, in, sizeof(in)), 4 + 16 + 4 + 58);
	assert_memory_equal(in,
	    "\0\0\0\x10{\"id\":7,\"ok\":{}}"
	    "\0\0\0\x3a{\"id\":8,\"error\":{\"code\":\"limit\",\"detail\":"
	    "\"at \\\"most\\\" 3\"}}",
	    4 + 16 + 4 + 58);
	assert_int_equal(chan_queued(us.ch), 0);
}

static void
errors_travel(void **state ATTR_UNUSED)
{
	static const char text[] =
	    "{\"id\":1,\"error\":{\"code\":\"limit\",\"detail\":\"why\"}}";
	struct json *j;
	struct err e;

	assert_int_equal(json_parse(text, sizeof(text) - 1, 8, &j, NULL), 0);
	assert_int_equal(chan_reply_to_err(j, &e), -1);
	assert_int_equal(e.code, ERR_LIMIT);
	assert_string_equal(e.text, "why");
	err_clear(&e);
	assert_int_equal(chan_reply_to_err(json_get(j, "error"), &e), -1);
	assert_string_equal(e.text, "why");
	json_free(j);
	assert_int_equal(chan_reply_to_err(NULL, &e), -1);
	assert_int_equal(e.code, ERR_INTERNAL);
}

static void
frames_nest(void **state ATTR_UNUSED)
{
	struct jw *w, *x;
	char in[200];

	w = chan_begin(us.ch);
	jw_kint(w, "outer", 1);
	x = chan_begin(us.ch); /* say, a log line on the same channel */
	jw_kint(x, "inner", 2);
	assert_int_equal(chan_end(us.ch, NULL, 0), 0);
	jw_kint(w, "more", 3);
	assert_int_equal(chan_end(us.ch, NULL, 0), 0);
	assert_int_equal(read(peer_fd, in, sizeof(in)), 4 + 11 + 4 + 20);
	assert_memory_equal(
	    in, "\0\0\0\xb{\"inner\":2}\0\0\0\x14{\"outer\":1,\"more\":3}", 39);
}

static void
too_long_a_frame_is_not_sent(void **state ATTR_UNUSED)
{
	char in[20];

	send_number(us.ch, 1, FRAME_MAX, -1);
	assert_int_equal(chan_queued(us.ch), 0);
	send_number(us.ch, 2, 0, 0);
	assert_int_equal(read(peer_fd, in, sizeof(in)), 20);
	assert_memory_equal(in, "\0\0\0\x10{\"n\":2,\"pad\":\"\"", 19);
}

static void
queue_is_bounded(void **state ATTR_UNUSED)
{
	struct side them = { 0 };
	int64_t n = 0;
	size_t queued;

	chan_set_queue(us.ch, 1 << 20);
	while (chan_queued(us.ch) == 0)
		send_number(us.ch, ++n, 10000, 0);
	while ((queued = chan_queued(us.ch)) + 10100 <= 1 << 20)
		send_number(us.ch, ++n, 10000, 0);
	send_number(us.ch, 0, 10000, -1);
	send_number(us.ch, 0, 10000, -1);
	assert_int_equal(chan_queued(us.ch), queued);
	/* All that was accepted comes out, and nothing else. */
	them.ch = chan_new(loop, fd_steal(&peer_fd), "them", on_chan, &them);
	run();
	assert_int_equal(them.frames, n);
	assert_int_equal(them.last, n);
	assert_int_equal(chan_queued(us.ch), 0);
	send_number(us.ch, ++n, 10000, 0);
	run();
	assert_int_equal(them.frames, n);
	chan_free(them.ch);
}

static void
an_empty_queue_takes_any_frame(void **state ATTR_UNUSED)
{
	chan_set_queue(us.ch, 10);
	send_number(us.ch, 1, 1000000, 0); /* more than the socket takes */
	assert_true(chan_queued(us.ch) > 10);
	send_number(us.ch, 2, 0, -1);
}

static void
on_drained(struct chan *ch, void *ctx)
{
	struct side *s = ctx;

	assert_ptr_equal(ch, s->ch);
	assert_int_equal(chan_queued(ch), 0);
	s->drained++;
	if (s->free_at == 999) {
		chan_free(ch);
		s->ch = NULL;
	}
}

static void
drain_is_told(void **state ATTR_UNUSED)
{
	static char in[1 << 20];
	int i;

	chan_on_drain(us.ch, on_drained);
	send_number(us.ch, 1, 0, 0);
	run();
	assert_int_equal(us.drained, 0); /* nothing had to wait */
	while (chan_queued(us.ch) == 0)
		send_number(us.ch, 1, 10000, 0);
	for (i = 0; i < 1000 && us.drained == 0; i++) {
		while (read(peer_fd, in, sizeof(in)) > 0)
			continue;
		run();
	}
	assert_int_equal(us.drained, 1);
	while (chan_queued(us.ch) == 0)
		send_number(us.ch, 1, 10000, 0);
	us.free_at = 999;
	for (i = 0; i < 1000 && us.drained == 1; i++) {
		while (read(peer_fd, in, sizeof(in)) > 0)
			continue;
		run();
	}
	assert_int_equal(us.drained, 2);
	assert_null(us.ch);
}

/* Descriptors that have to wait keep to their frames, however the frames
 * before, between and behind them are cut. Each descriptor is a file that
 * holds the number of its frame. */
static void
waiting_descriptors_keep_their_place(void **state ATTR_UNUSED)
{
	struct side them = { 0 };
	struct jw *w;
	struct err e;
	char text[16];
	int fds[2];
	int64_t n, k, with = 0;
	ssize_t len;
	size_t i;

	for (n = 0; n < 60; n++) {
		w = chan_begin(us.ch);
		jw_kint(w, "n", n);
		jw_key(w, "pad");
		jw_str_begin(w);
		for (k = 0; k < n % 7 * 2000; k++)
			jw_str_add(w, "0123456789", 10);
		jw_str_end(w);
		(void)snprintf(text, sizeof(text), "%d", (int)n);
		for (i = 0; i < (size_t)(n % 3); i++)
			assert_int_equal(
			    fd_sealed("t", text, strlen(text), &fds[i], &e), 0);
		with += n % 3;
		assert_int_equal(chan_end(us.ch, fds, (size_t)(n % 3)), 0);
	}
	assert_true(chan_queued(us.ch) > 1000000);
	them.ch = chan_new(loop, fd_steal(&peer_fd), "them", on_chan, &them);
	run();
	assert_string_equal(them.why, "");
	assert_int_equal(them.frames, 60);
	assert_int_equal(them.nfds, with);
	for (n = 0, i = 0; n < 60; n++) {
		for (k = 0; k < n % 3; k++, i++) {
			len = read(them.fds[i], text, sizeof(text) - 1);
			assert_true(len > 0);
			text[len] = '\0';
			assert_int_equal(atoi(text), n);
		}
	}
	fd_close_all(them.fds, them.nfds);
	chan_free(them.ch);
}

static void
too_many_descriptors_to_send(void **state ATTR_UNUSED)
{
	int fds[FDIO_MAX_FDS + 1];
	size_t i;

	for (i = 0; i < countof(fds); i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	jw_kint(chan_begin(us.ch), "n", 1);
	assert_int_equal(chan_end(us.ch, fds, countof(fds)), -1);
	for (i = 0; i < countof(fds); i++)
		assert_int_equal(fcntl(fds[i], F_GETFD), -1);
	send_number(us.ch, 1, 0, 0);
}

static void
last_words_are_heard(void **state ATTR_UNUSED)
{
	/* The peer says its last and goes; our sending fails before we have
	 * read it. */
	peer_frame("{\"n\":1}");
	peer_frame("{\"n\":2}");
	fd_close(&peer_fd);
	send_number(us.ch, 9, 0, -1);
	assert_int_equal(us.closed, 0); /* never inside chan_end */
	send_number(us.ch, 9, 0, -1);
	run();
	assert_int_equal(us.frames, 2);
	assert_closed("closed by peer");
}

static void
a_peer_that_stops_listening(void **state ATTR_UNUSED)
{
	assert_int_equal(shutdown(peer_fd, SHUT_RD), 0);
	send_number(us.ch, 9, 0, -1);
	run();
	assert_closed("closed by peer");
}

static void
queued_frames_die_with_the_peer(void **state ATTR_UNUSED)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	while (chan_queued(us.ch) == 0)
		send_number(us.ch, 1, 10000, 0);
	jw_kint(chan_begin(us.ch), "n", 1);
	assert_int_equal(chan_end(us.ch, &fd, 1), 0);
	fd_close(&peer_fd);
	run();
	assert_int_equal(us.closed, 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* A busy channel takes its turn: between two of its callbacks no more than
 * one read's worth of frames goes by without the other being served. */
static void
a_busy_channel_starves_nobody(void **state ATTR_UNUSED)
{
	struct side other = { 0 };
	struct err e;
	int fd, other_fd;
	unsigned turns;

	assert_int_equal(fd_socketpair(&fd, &other_fd, &e), 0);
	other.ch = chan_new(loop, fd, "other", on_chan, &other);
	while (fd_send(peer_fd, "\0\0\0\2{}\0\0\0\2{}\0\0\0\2{}", 18, NULL,
		   0) == 18)
		continue;
	assert_int_equal(fd_send(other_fd, "\0\0\0\2{}", 6, NULL, 0), 6);
	for (turns = 0; other.frames == 0 && turns < 3; turns++)
		ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(other.frames, 1);
	assert_in_range(us.frames, 1, 3 * 65536 / 6);
	chan_free(other.ch);
	fd_close(&other_fd);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)
	const struct CMUnitTest tests[] = {
		T(frames_arrive_in_order),
		T(byte_by_byte),
		T(closed_inside_a_frame),
		T(breaches_close_after_what_was_good),
		T(limits_can_be_set),
		T(descriptors_come_with_their_frame),
		T(descriptor_nobody_announced),
		T(descriptor_for_a_later_frame),
		T(descriptors_and_a_frame_in_pieces),
		T(descriptors_never_pile_up),
		T(more_descriptors_than_one_message_may_hold),
		T(descriptors_left_are_closed),
		T(raw_channels_parse_nothing),
		T(a_callback_may_free_its_channel),
		T(a_closed_channel_is_harmless),
		T(pause_and_resume),
		T(frames_left_by_a_pause_need_no_news),
		T(frames_are_sent_at_once),
		T(errors_travel),
		T(frames_nest),
		T(too_long_a_frame_is_not_sent),
		T(queue_is_bounded),
		T(an_empty_queue_takes_any_frame),
		T(drain_is_told),
		T(waiting_descriptors_keep_their_place),
		T(too_many_descriptors_to_send),
		T(last_words_are_heard),
		T(a_peer_that_stops_listening),
		T(queued_frames_die_with_the_peer),
		T(a_busy_channel_starves_nobody),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("chan", tests, NULL, NULL);
}
