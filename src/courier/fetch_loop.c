/*
 * libcurl's multi interface on libev: libcurl says which sockets and times it
 * waits for, and is called when they come. Runs in the courier.
 */
#include "courier/fetch_priv.h"

#include "lib/defs.h"
#include "lib/log.h"
#include "lib/xalloc.h"

#include <string.h>
#include <strings.h>

#define CONNECTIONS 8L

struct watch {
	struct fetches *fs;
	ev_io io;
};

/* Downloads that have ended; each end may free its own and begin others. */
static void
collect(struct fetches *fs)
{
	const CURLMsg *m;
	struct fetch *f;
	CURLcode code;
	int left;

	while ((m = curl_multi_info_read(fs->multi, &left)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		f = NULL;
		code = m->data.result;
		(void)curl_easy_getinfo(
		    m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
		if (f != NULL)
			fetch_ended(f, code);
	}
}

static void
act(struct fetches *fs, curl_socket_t s, int events)
{
	int running;

	(void)curl_multi_socket_action(fs->multi, s, events, &running);
	collect(fs);
}

static void
on_socket(struct ev_loop *loop ATTR_UNUSED, ev_io *io, int revents)
{
	const struct watch *w = io->data;

	act(w->fs, io->fd,
	    ((revents & EV_READ) ? CURL_CSELECT_IN : 0) |
		((revents & EV_WRITE) ? CURL_CSELECT_OUT : 0));
}

static void
on_timer(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	act(t->data, CURL_SOCKET_TIMEOUT, 0);
}

static int
want_socket(
    CURL *easy ATTR_UNUSED, curl_socket_t s, int what, void *ctx, void *sockp)
{
	struct fetches *fs = ctx;
	struct watch *w = sockp;
	int events = 0;

	if (what == CURL_POLL_REMOVE) {
		if (w != NULL) {
			ev_io_stop(fs->loop, &w->io);
			free(w);
		}
		(void)curl_multi_assign(fs->multi, s, NULL);
		return 0;
	}
	if (w == NULL) {
		w = xcalloc(1, sizeof(*w));
		w->fs = fs;
		ev_io_init(&w->io, on_socket, s, 0);
		w->io.data = w;
		(void)curl_multi_assign(fs->multi, s, w);
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= EV_READ;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= EV_WRITE;
	ev_io_stop(fs->loop, &w->io);
	ev_io_set(&w->io, s, events);
	ev_io_start(fs->loop, &w->io);
	return 0;
}

static int
want_time(CURLM *multi ATTR_UNUSED, long ms, void *ctx)
{
	struct fetches *fs = ctx;

	ev_timer_stop(fs->loop, &fs->timer);
	if (ms >= 0) {
		ev_timer_set(&fs->timer, (double)ms / 1000., 0.);
		ev_timer_start(fs->loop, &fs->timer);
	}
	return 0;
}

void
fetches_kick(struct fetches *fs)
{
	/* From the loop, so that nobody is called back before he returns. */
	(void)want_time(fs->multi, 0, fs);
}

/* --- addresses ----------------------------------------------------------- */

/* SCHEME://HOST:PORT of URL, in lower case; freed with curl_free. */
static char *
part(CURLU *u, CURLUPart what)
{
	char *text = NULL;

	if (curl_url_get(u, what, &text, CURLU_DEFAULT_PORT) != CURLUE_OK)
		return NULL;
	return text;
}

bool
url_same_host(const char *a, const char *b)
{
	static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST,
		CURLUPART_PORT };
	CURLU *ua = curl_url(), *ub = curl_url();
	bool same = ua != NULL && ub != NULL && b != NULL &&
		    curl_url_set(ua, CURLUPART_URL, a, 0) == CURLUE_OK &&
		    curl_url_set(ub, CURLUPART_URL, b, 0) == CURLUE_OK;

	for (size_t i = 0; i < countof(parts) && same; i++) {
		char *ta = part(ua, parts[i]), *tb = part(ub, parts[i]);

		same = ta != NULL && tb != NULL && strcasecmp(ta, tb) == 0;
		curl_free(ta);
		curl_free(tb);
	}
	curl_url_cleanup(ua);
	curl_url_cleanup(ub);
	return same;
}

/* --- interface ----------------------------------------------------------- */

int
fetches_open(struct ev_loop *loop, const struct fetch_settings *s,
    struct fetches **fs_out, struct err *e)
{
	struct fetches *fs = xcalloc(1, sizeof(*fs));

	fs->loop = loop;
	fs->set = *s;
	LIST_INIT(&fs->all);
	ev_timer_init(&fs->timer, on_timer, 0., 0.);
	fs->timer.data = fs;
	fs->multi = curl_multi_init();
	if (fs->multi == NULL) {
		free(fs);
		return err_set(e, ERR_LIMIT, "no memory for downloads");
	}
	curl_multi_setopt(fs->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(fs->multi, CURLMOPT_SOCKETDATA, fs);
	curl_multi_setopt(fs->multi, CURLMOPT_TIMERFUNCTION, want_time);
	curl_multi_setopt(fs->multi, CURLMOPT_TIMERDATA, fs);
	curl_multi_setopt(
	    fs->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, CONNECTIONS);
	curl_multi_setopt(fs->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS);
	*fs_out = fs;
	return 0;
}

void
fetches_free(struct fetches *fs)
{
	struct fetch *f;

	if (fs == NULL)
		return;
	while ((f = LIST_FIRST(&fs->all)) != NULL)
		fetch_free(f);
	(void)curl_multi_cleanup(fs->multi);
	ev_timer_stop(fs->loop, &fs->timer);
	free(fs);
}
