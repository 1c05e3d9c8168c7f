/*
 * The document of a live upgrade: what is written is what is read again, and
 * what is cut, long, of wrong types, or names descriptors that are not there
 * (or are ours, or twice there) is refused, with no crash and none lost.
 */
#include "test_supervisor.h"

#include "lib/chan.h"
#include "lib/fdio.h"
#include "lib/frame.h"
#include "lib/strutil.h"
#include "supervisor/carry.h"
#include "supervisor/carry_parts.h"
#include "supervisor/client.h"
#include "supervisor/listen.h"
#include "supervisor/proc_priv.h"
#include "supervisor/storec.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "open_fds.h"

#define DEPTH 32

static struct ev_loop *loop;

/* As after an exec: open, and not close-on-exec. */
static int
inherited(int fd)
{
	assert_int_not_equal(fd, -1);
	assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
	return fd;
}

static int
spare(void)
{
	return inherited(open("/dev/null", O_RDWR));
}

static struct json *
parsed(const char *text)
{
	struct json *j = NULL;
	struct err e;

	if (json_parse(text, strlen(text), DEPTH, &j, &e) == -1)
		fail_msg("%s: %s", text, e.text);
	return j;
}

/* --- the document -------------------------------------------------------- */

static const char good_doc[] =
    "{\"format\":1,\"version\":\"x\",\"instance\":{},\"listen\":{},"
    "\"control\":{},\"command\":{},\"store\":{},\"relay\":{},\"courier\":{},"
    "\"egress\":{},\"gateways\":{},\"tokens\":{},\"clients\":{},"
    "\"sandboxes\":{},\"sessions\":{}}";

static int
read_doc(const char *text, size_t n)
{
	int fd = memfd_create("carry", MFD_CLOEXEC), rc;
	struct json *j = NULL;
	struct err e;

	assert_int_not_equal(fd, -1);
	assert_int_equal(fd_write_all(fd, text, n), 0);
	err_clear(&e);
	rc = carry_read(fd, &j, &e); /* closes FD */
	assert_true((rc == 0) == (j != NULL));
	if (rc == -1)
		assert_true(e.text[0] != '\0');
	json_free(j);
	return rc;
}

static void
test_document(void **state)
{
	static const char *const bad[] = { "", "null", "[]", "7", "{}",
		"{\"format\":1}", "\xff\xfe", "{\"format\":1,\"format\":1}" };
	int before = open_fds();
	char text[sizeof(good_doc) + 40];
	size_t n = sizeof(good_doc) - 1;

	(void)state;
	assert_int_equal(read_doc(good_doc, n), 0);
	for (size_t i = 0; i < countof(bad); i++)
		assert_int_equal(read_doc(bad[i], strlen(bad[i])), -1);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(read_doc(good_doc, i), -1); /* cut */
	memcpy(text, good_doc, n + 1);
	text[10] = '2'; /* the format */
	assert_int_equal(read_doc(text, n), -1);
	/* Each part is to be an object. */
	for (const char *p = good_doc; (p = strstr(p, "{}")) != NULL; p += 2) {
		memcpy(text, good_doc, n + 1);
		memcpy(text + (p - good_doc), "[]", 2);
		assert_int_equal(read_doc(text, n), -1);
		memcpy(text + (p - good_doc), "77", 2);
		assert_int_equal(read_doc(text, n), -1);
	}
	assert_int_equal(open_fds(), before);
}

static void
test_document_too_long(void **state)
{
	int fd = memfd_create("carry", MFD_CLOEXEC);
	struct json *j = NULL;
	char deep[200];
	struct err e;

	(void)state;
	assert_int_equal(ftruncate(fd, 1ll << 40), 0); /* holes cost nothing */
	assert_int_equal(carry_read(fd, &j, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	memset(deep, '[', sizeof(deep));
	assert_int_equal(read_doc(deep, sizeof(deep)), -1);
	/* Neither is what is no file at all. */
	assert_int_equal(carry_read(-1, &j, &e), -1);
}

/* --- channels ------------------------------------------------------------ */

struct heard {
	int frames, fds, ends;
};

static void
on_chan(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct heard *h = ctx;

	(void)ch;
	(void)why;
	if (what == CHAN_CLOSED) {
		h->ends++;
		return;
	}
	h->frames++;
	h->fds += (int)f->nfds;
}

static void
settle(struct ev_loop *l)
{
	for (int i = 0; i < 20; i++)
		ev_run(l, EVRUN_NOWAIT);
}

/* The next image of ours: it has what it is left, and the document. It says by
 * its exit code what it did not find. */
static int
next_image(const struct buf *text, const struct buf *keep)
{
	struct ev_loop *l = ev_loop_new(EVFLAG_AUTO);
	const int *fds = (const int *)(const void *)keep->data;
	struct heard h = { 0 };
	struct json *j = NULL;
	struct chan *ch;
	struct err e;

	for (size_t i = 0; i < keep->len / sizeof(*fds); i++)
		if (fd_set_cloexec(fds[i], 0) == -1)
			return 10;
	if (json_parse(text->data, text->len, DEPTH, &j, &e) == -1)
		return 11;
	ch = chan_take(l, j, "again", on_chan, &h);
	if (ch == NULL)
		return 12;
	if (chan_take(l, j, "twice", on_chan, &h) != NULL)
		return 13;
	json_free(j);
	for (int i = 0; i < 2000 && h.ends == 0; i++) {
		ev_run(l, EVRUN_NOWAIT);
		(void)usleep(5000);
	}
	chan_free(ch);
	return h.ends != 1 ? 14 : h.frames != 2 ? 15 : h.fds != 1 ? 16 : 0;
}

/* What waits on both sides of a channel, descriptors too, comes through. */
static void
test_channel_round_trip(void **state)
{
	char big[3000], frame[100];
	int ours, theirs, sent = 0, got = 0, status, null_fd;
	struct heard mine = { 0 }, peer = { 0 };
	struct buf text, keep, half;
	struct chan *ch, *other;
	struct jw w, *out;
	struct err e;
	pid_t pid;

	(void)state;
	assert_int_equal(fd_socketpair(&ours, &theirs, &e), 0);
	ch = chan_new(loop, ours, "carried", on_chan, &mine);
	memset(big, 'x', sizeof(big));
	while (chan_queued(ch) < 3 * sizeof(big)) {
		null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		out = chan_begin(ch);
		jw_kint(out, "n", sent++);
		jw_key(out, "text");
		jw_str_begin(out);
		jw_str_add(out, big, sizeof(big));
		jw_str_end(out);
		assert_int_equal(chan_end(ch, &null_fd, 1), 0);
	}
	/* A frame that has not come whole, with its descriptor. */
	buf_init(&half, sizeof(frame));
	(void)frame_begin(&half);
	(void)buf_adds(&half, "{\"a\":1,\"fds\":1}");
	assert_int_equal(frame_end(&half, 0), 0);
	assert_int_equal(fd_send(theirs, half.data, 9, &(int){ 0 }, 1), 9);
	settle(loop);
	assert_int_equal(mine.frames, 0);

	buf_init(&text, 1 << 20);
	buf_init(&keep, 1 << 16);
	jw_init(&w, &text);
	chan_put(ch, &w, &keep);
	assert_false(text.failed || keep.failed);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		fd_close(&theirs);
		_exit(next_image(&text, &keep));
	}
	chan_free(ch);
	/* The rest of that frame, and one more. */
	assert_int_equal(fd_write_all(theirs, half.data + 9, half.len - 9), 0);
	(void)!str_format(frame, sizeof(frame), "{\"b\":2}");
	buf_clear(&half);
	(void)frame_begin(&half);
	(void)buf_adds(&half, frame);
	assert_int_equal(frame_end(&half, 0), 0);
	assert_int_equal(fd_write_all(theirs, half.data, half.len), 0);
	other = chan_new(loop, theirs, "peer", on_chan, &peer);
	for (int i = 0; i < 2000 && got < sent; i++) {
		ev_run(loop, EVRUN_NOWAIT);
		got = peer.frames;
		(void)usleep(1000);
	}
	assert_int_equal(peer.ends, 0);
	assert_int_equal(got, sent);
	assert_int_equal(peer.fds, sent);
	chan_free(other);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	buf_free(&half);
	buf_free(&text);
	buf_free(&keep);
}

/* In these texts: @ the channel's descriptor, $ and % others that are open, ! a
 * number that is none. */
static const char *const bad_channels[] = {
	"{}",
	"[]",
	"{\"fd\":!}",
	"{\"fd\":-1}",
	"{\"fd\":1}",
	"{\"fd\":2147483648}",
	"{\"fd\":99999999999999999999}",
	"{\"fd\":\"@\"}",
	"{\"fd\":@}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"\",\"rx_fds\":[]}",
	"{\"fd\":@,\"rx\":5,\"tx\":\"\",\"rx_fds\":[],\"tx_fds\":[]}",
	"{\"fd\":@,\"rx\":\"0\",\"tx\":\"\",\"rx_fds\":[],\"tx_fds\":[]}",
	"{\"fd\":@,\"rx\":\"0G\",\"tx\":\"\",\"rx_fds\":[],\"tx_fds\":[]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"FF\",\"rx_fds\":[],\"tx_fds\":[]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"\",\"rx_fds\":{},\"tx_fds\":[]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"\",\"rx_fds\":[$],\"rx_until\":[],"
	"\"tx_fds\":[]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"\",\"rx_fds\":[$],\"rx_until\":[-1],"
	"\"tx_fds\":[]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"\",\"rx_fds\":[$,!],"
	"\"rx_until\":[1,1],\"tx_fds\":[]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"\",\"rx_fds\":[@],\"rx_until\":[1],"
	"\"tx_fds\":[]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"\",\"rx_fds\":[$,$],"
	"\"rx_until\":[1,1],\"tx_fds\":[]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"00\",\"rx_fds\":[],"
	"\"tx_fds\":[{\"at\":1,\"fds\":[$]}]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"00\",\"rx_fds\":[],"
	"\"tx_fds\":[{\"at\":-1,\"fds\":[$]}]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"00\",\"rx_fds\":[],"
	"\"tx_fds\":[{\"at\":0,\"fds\":[]}]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"00\",\"rx_fds\":[],"
	"\"tx_fds\":[{\"at\":0,\"fds\":[$,!]}]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"0000\",\"rx_fds\":[],"
	"\"tx_fds\":[{\"at\":1,\"fds\":[$]},{\"at\":0,\"fds\":[%]}]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"0000\",\"rx_fds\":[],"
	"\"tx_fds\":[{\"at\":0,\"fds\":[$]},{\"at\":1,\"fds\":[$]}]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"00\",\"rx_fds\":[],\"tx_fds\":[7]}",
	"{\"fd\":@,\"rx\":\"\",\"tx\":\"00\",\"rx_fds\":[],\"tx_fds\":{}}",
};

/* Texts with those signs, filled in. */
struct props {
	int at, dollar, percent;
};

static struct json *
filled(const char *text, struct props *f)
{
	struct json *j;
	struct buf b;

	*f = (struct props){ spare(), spare(), spare() };
	buf_init(&b, 1 << 16);
	for (; *text != '\0'; text++) {
		if (*text == '@' || *text == '$' || *text == '%')
			(void)buf_addf(&b, "%d",
			    *text == '@'   ? f->at
			    : *text == '$' ? f->dollar
					   : f->percent);
		else if (*text == '!')
			(void)buf_adds(&b, "987");
		else
			(void)buf_addc(&b, *text);
	}
	j = parsed(b.data);
	buf_free(&b);
	return j;
}

/* Whoever did not take them leaves them to us. */
static void
tidy(struct props *f)
{
	(void)close(f->at);
	(void)close(f->dollar);
	(void)close(f->percent);
}

static void
test_channel_refused(void **state)
{
	int before = open_fds();
	struct heard h = { 0 };
	struct props f;
	struct json *j;

	(void)state;
	for (size_t i = 0; i < countof(bad_channels); i++) {
		j = filled(bad_channels[i], &f);
		if (chan_take(loop, j, "bad", on_chan, &h) != NULL)
			fail_msg("taken: %s", bad_channels[i]);
		settle(loop);
		json_free(j);
		tidy(&f);
		assert_int_equal(open_fds(), before);
	}
	assert_int_equal(h.frames + h.ends, 0);
}

/* --- children ------------------------------------------------------------ */

static int
never(struct proc *p, struct err *e)
{
	(void)p;
	return err_set(e, ERR_SYSTEM, "not in this test");
}

static const struct proc_kind kind = { .role = ROLE_INIT,
	.start = never,
	.start_ms = 60000,
	.stop_ms = 60000,
	.restart = true };

#define CHAN                                               \
	"\"chan\":{\"fd\":@,\"mute\":false,\"rx\":\"\","   \
	"\"rx_fds\":[],\"rx_until\":[],\"tx\":\"\",\"tx_f" \
	"ds\":[]}"

static const char good_proc[] =
    "{\"state\":\"running\",\"generation\":7,\"pid\":-1,\"pidfd\":$,"
    "\"foster\":true,\"alive\":true,\"stop_wanted\":false,\"once\":true,"
    "\"up_since_ms\":11,\"exit_status\":256,\"has_exited\":true,\"killed\":"
    "false,"
    "\"why\":\"exited with 1\",\"backoff\":3,\"delay_ms\":40,"
    "\"lived_ms\":1000,\"ncrashes\":2,\"crashes_ms\":[1,2,0,0,0],"
    "\"has_failed\":true,\"next_start_ms\":-1,\"restarts\":4,"
    "\"next_id\":9,\"cause\":\"killed\"," CHAN "}";

static int
fake_kill(int pidfd, int sig)
{
	(void)pidfd;
	(void)sig;
	return 0;
}

static void
test_child_round_trip(void **state)
{
	struct carry c = { 0 };
	struct json *j, *again;
	struct props f;
	struct proc p;
	struct err e;
	struct buf b;
	struct jw w;

	(void)state;
	sysops.pidfd_kill = fake_kill;
	proc_init(&p, &kind, NULL, loop, "carried");
	j = filled(good_proc, &f);
	assert_int_equal(proc_take(&p, j, &e), 0);
	assert_true(proc_up(&p));
	assert_int_equal(p.pidfd, f.dollar);
	buf_init(&c.text, 1 << 16);
	buf_init(&c.fds, 1 << 10);
	jw_init(&c.w, &c.text);
	jw_object(&c.w);
	proc_put(&p, &c, "proc");
	jw_object_end(&c.w);
	assert_int_equal(c.fds.len, 2 * sizeof(int));
	again = parsed(c.text.data);
	/* Written once more it is the same. */
	buf_init(&b, 1 << 16);
	jw_init(&w, &b);
	jw_value(&w, j);
	buf_clear(&c.text);
	jw_init(&c.w, &c.text);
	jw_value(&c.w, json_get(again, "proc"));
	assert_string_equal(c.text.data, b.data);
	buf_free(&b);
	carry_free(&c);
	json_free(again);
	json_free(j);
	proc_free(&p);
	tidy(&f);
}

static void
test_child_refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"7",
		"{\"state\":7}",
		"{\"state\":\"walking\"}",
		"{\"state\":\"running\"}", /* without a channel */
		"{\"state\":\"starting\"," CHAN "}",
		"{\"state\":\"stopping\"," CHAN "}",
		"{\"state\":\"down\"," CHAN "}",
		"{\"state\":\"running\",\"chan\":{\"fd\":!}}",
		"{\"state\":\"running\",\"chan\":7}",
		"{\"state\":\"running\",\"pidfd\":@," CHAN "}",
		"{\"state\":\"running\",\"pid\":0," CHAN "}",
		"{\"state\":\"running\",\"pid\":1," CHAN "}",
		"{\"state\":\"running\",\"pid\":-2," CHAN "}",
		"{\"state\":\"running\",\"pid\":4294967300," CHAN "}",
	};
	int before = open_fds();
	struct props f;
	struct proc p;
	struct json *j;
	struct err e;

	(void)state;
	sysops.pidfd_kill = fake_kill;
	for (size_t i = 0; i < countof(bad); i++) {
		proc_init(&p, &kind, NULL, loop, "carried");
		j = filled(bad[i], &f);
		if (proc_take(&p, j, &e) == 0)
			fail_msg("taken: %s", bad[i]);
		proc_free(&p);
		settle(loop);
		json_free(j);
		tidy(&f);
		assert_int_equal(open_fds(), before);
	}
}

/* --- clients and sockets ------------------------------------------------- */

static struct super *
super_made(void)
{
	static struct super s;

	memset(&s, 0, sizeof(s));
	s.loop = loop;
	s.state_fd = s.sandboxes_fd = s.lock_fd = -1;
	LIST_INIT(&s.peers);
	LIST_INIT(&s.sandboxes);
	LIST_INIT(&s.sessions);
	control_new(&s, -1, true);
	s.store = storec_new(&s);
	return &s;
}

static void
super_dropped(struct super *s)
{
	struct client *c;

	/* The requests have nobody else here. */
	while ((c = clients_first(s)) != NULL) {
		if (c->req != NULL) {
			proc_forget(storec_proc(s->store), c->req);
			fd_close_all(c->req->fds, c->req->nfds);
			op_request_free(&c->req->op);
			free(c->req);
			c->req = NULL;
		}
		client_free(c);
	}
	control_close(s);
	storec_free(s->store);
}

#define CLIENT(members)                                                      \
	"{\"fd\":@,\"uid\":0,\"allowed\":true,\"eof\":false,\"handed\":t"    \
	"rue,\"closing\":false,\"scripted\":true,\"accepted_ms\":5,\"lin"    \
	"es\":3,\"in\":\"7b\",\"out\":\"0a0b\",\"fds\":[{\"fd\":$}]" members \
	"}"

static void
test_clients_round_trip(void **state)
{
	static const char doc[] = "{\"list\":[" CLIENT(
	    ",\"request\":{\"op\":\"session.events\",\"id\":\"7\",\"args\":"
	    "{\"id\":\"s\",\"after\":3},\"fds\":[{\"fd\":%}],\"serve\":12,"
	    "\"upgrade\":false}") "]}";
	struct super *s = super_made();
	struct carry c = { 0 };
	struct client *cl;
	struct props f;
	struct json *j;
	struct err e;
	struct buf b;
	struct jw w;

	(void)state;
	j = filled(doc, &f);
	assert_int_equal(clients_take(s, j, &e), 0);
	cl = clients_first(s);
	assert_non_null(cl);
	assert_int_equal(cl->fd, f.at);
	assert_int_equal(cl->nfds, 1);
	assert_int_equal(cl->out.len, 2);
	assert_ptr_equal(client_request(s, 0), cl->req);
	assert_int_equal(cl->req->fds[0], f.percent);
	buf_init(&c.text, 1 << 16);
	buf_init(&c.fds, 1 << 10);
	jw_init(&c.w, &c.text);
	jw_object(&c.w);
	clients_put(s, &c);
	jw_object_end(&c.w);
	buf_init(&b, 1 << 16);
	jw_init(&w, &b);
	jw_value(&w, j);
	assert_string_equal(c.text.data, b.data);
	assert_int_equal(c.fds.len, 3 * sizeof(int));
	carry_free(&c);
	buf_free(&b);
	json_free(j);
	super_dropped(s);
	tidy(&f);
}

static void
test_clients_refused(void **state)
{
	static const char *const bad[] = {
		"{\"list\":[7]}",
		"{\"list\":[{}]}",
		"{\"list\":[{\"fd\":!}]}",
		"{\"list\":[{\"fd\":2}]}",
		"{\"list\":[{\"fd\":@}]}", /* no bytes */
		"{\"list\":[{\"fd\":@,\"in\":\"x\",\"out\":\"\"}]}",
		"{\"list\":[" CLIENT("") "," CLIENT("") "]}", /* one twice */
		"{\"list\":[" CLIENT(",\"request\":7") "]}",
		"{\"list\":[" CLIENT(",\"request\":{}") "]}",
		"{\"list\":[" CLIENT(",\"request\":{\"op\":\"nothing\","
				     "\"args\":{}}") "]}",
		"{\"list\":[" CLIENT(",\"request\":{\"op\":\"status\"}") "]}",
		"{\"list\":[" CLIENT(",\"request\":{\"op\":\"status\","
				     "\"args\":[]}") "]}",
	};
	int before = open_fds();
	struct super *s;
	struct props f;
	struct json *j;
	struct err e;

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		s = super_made();
		j = filled(bad[i], &f);
		if (clients_take(s, j, &e) == 0)
			fail_msg("taken: %s", bad[i]);
		super_dropped(s);
		json_free(j);
		tidy(&f);
		assert_int_equal(open_fds(), before);
	}
}

/* More of a line than a client may send. */
static void
test_client_too_long(void **state)
{
	struct super *s = super_made();
	size_t n = (size_t)8 << 20;
	struct json *j;
	struct err e;
	struct buf b;
	int fd = spare();

	(void)state;
	buf_init(&b, n + 1000);
	(void)buf_addf(&b, "{\"list\":[{\"fd\":%d,\"out\":\"\",\"in\":\"", fd);
	for (size_t i = 0; i < n; i++)
		(void)buf_addc(&b, '0');
	(void)buf_adds(&b, "\"}]}");
	j = parsed(b.data);
	assert_int_equal(clients_take(s, j, &e), -1);
	json_free(j);
	buf_free(&b);
	super_dropped(s);
}

static void
test_parts_refused(void **state)
{
	static const struct {
		carry_take_fn *take;
		const char *text;
	} bad[] = {
		{ instance_take, "{}" },
		{ instance_take, "{\"lock\":!}" },
		{ control_take, "{}" },
		{ control_take, "{\"fd\":\"@\"}" },
		{ listen_take, "{\"sockets\":[{}]}" },
		{ listen_take, "{\"sockets\":[{\"fd\":!}]}" },
		{ sandboxes_take, "{\"list\":[7]}" },
		{ sandboxes_take, "{\"list\":[{}]}" },
		{ sandboxes_take,
		    "{\"list\":[{\"record\":{\"id\":\"../x\"}}]}" },
		{ sessions_take, "{\"list\":[null]}" },
		{ sessions_take, "{\"list\":[{\"record\":{\"id\":\"\"}}]}" },
	};
	struct super *s;
	struct props f;
	struct json *j;
	struct err e;

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		s = super_made();
		j = filled(bad[i].text, &f);
		err_clear(&e);
		if (bad[i].take(s, j, &e) == 0)
			fail_msg("taken: %s", bad[i].text);
		assert_int_equal(e.code, ERR_BAD_REQUEST);
		free(s->listeners);
		super_dropped(s);
		json_free(j);
		tidy(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_document),
		cmocka_unit_test(test_document_too_long),
		cmocka_unit_test(test_channel_round_trip),
		cmocka_unit_test(test_channel_refused),
		cmocka_unit_test(test_child_round_trip),
		cmocka_unit_test(test_child_refused),
		cmocka_unit_test(test_clients_round_trip),
		cmocka_unit_test(test_clients_refused),
		cmocka_unit_test(test_client_too_long),
		cmocka_unit_test(test_parts_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	log_init("test", LOG_L_ERROR, LOG_F_TEXT);
	loop = ev_default_loop(0);
	settle(loop); /* opens what the loop wants for itself */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
