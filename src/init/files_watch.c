/*
 * The request to watch, and what both ways of watching share. What is here runs
 * in a child of the file server, but for files_watch().
 */
#include "init/files_watch.h"
#include "lib/fdio.h"
#include "lib/frame.h"
#include "lib/strutil.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

static int
line_write(struct watch_plan *p, struct buf *b)
{
	int r;

	(void)buf_addc(b, '\n');
	r = b->failed ? 0 : fd_write_all(p->out_fd, b->data, b->len);
	buf_free(b);
	p->said_ms = now_monotonic_ms();
	return r;
}

static void
line_begin(struct buf *b, struct jw *w, const char *what, const char *path)
{
	buf_init(b, FRAME_MAX);
	jw_init(w, b);
	jw_object(w);
	jw_kstr(w, "type", what);
	jw_key(w, "path");
	jw_strn(w, path, strlen(path));
}

int
watch_event(struct watch_plan *p, const char *what, const char *path,
    const char *type, const char *from)
{
	struct buf b;
	struct jw w;

	line_begin(&b, &w, what, path);
	if (type != NULL)
		jw_kstr(&w, "entryType", type);
	if (from != NULL) {
		jw_key(&w, "from");
		jw_strn(&w, from, strlen(from));
	}
	jw_object_end(&w);
	return line_write(p, &b);
}

int
watch_overflow(struct watch_plan *p, const char *path, const char *reason)
{
	struct buf b;
	struct jw w;

	line_begin(&b, &w, "overflow", path);
	jw_kstr(&w, "reason", reason);
	jw_object_end(&w);
	return line_write(p, &b);
}

int
watch_ready(struct watch_plan *p)
{
	struct buf b;
	struct jw w;

	line_begin(&b, &w, "ready", p->path);
	jw_kbool(&w, "recursive", p->recursive);
	jw_kstr(&w, "mode", p->poll_ms > 0 ? "poll" : "inotify");
	jw_object_end(&w);
	return line_write(p, &b);
}

int
watch_wait(struct watch_plan *p, int fd, int64_t ms)
{
	struct pollfd pfd[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = p->out_fd },
	};
	int64_t now = now_monotonic_ms(), end = ms < 0 ? INT64_MAX : now + ms;
	int64_t beat;
	int n;

	for (;;) {
		beat = p->said_ms + WATCH_HEARTBEAT_MS;
		if (now >= beat) {
			if (fd_write_all(p->out_fd, "\n", 1) == -1)
				return -1;
			p->said_ms = now;
			continue;
		}
		n = poll(pfd, 2, (int)(MIN(beat, MAX(end, now)) - now));
		if (n == -1 && errno != EINTR)
			return -1;
		if (n > 0 && (pfd[1].revents & (POLLERR | POLLNVAL)) != 0)
			return -1;
		if (n > 0 && pfd[0].revents != 0)
			return 1;
		now = now_monotonic_ms();
		if (now >= end)
			return 0;
	}
}

int
watch_join(char out[FILES_PATH_MAX], const char *dir, const char *name)
{
	size_t n = strlen(dir);

	return str_format(out, FILES_PATH_MAX, "%s%s%s", dir,
	    n > 0 && dir[n - 1] == '/' ? "" : "/", name);
}

static int
watch_job(struct job_child *c, struct err *e)
{
	struct watch_plan *p = c->ctx;

	p->out_fd = c->fds[0];
	p->said_ms = now_monotonic_ms();
	return p->poll_ms > 0 ? watch_poll(c, p, e) : watch_inotify(c, p, e);
}

void
files_watch(struct files *fs, int64_t id, const struct json *msg,
    const struct chan_frame *f)
{
	static struct watch_plan p;
	struct job_spec s = { .id = id,
		.watch = true,
		.fn = watch_job,
		.ctx = &p,
		.nfds = 1,
		.reply_fd = -1 };
	struct stat st;
	struct err e;
	size_t n;

	memset(&p, 0, sizeof(p));
	p.recursive = json_bool(msg, "recursive", false);
	p.poll_ms = (int)json_int(msg, "poll_ms", 0);
	if (f->nfds != 1) {
		(void)err_set(&e, ERR_BAD_REQUEST, "fds: one is needed");
	} else if (files_resolve(fs, json_str(msg, "path", ""), p.path, &e) ==
		   0) {
		for (n = strlen(p.path); n > 1 && p.path[n - 1] == '/';)
			p.path[--n] = '\0';
		if (stat(p.path, &st) == -1) {
			(void)files_patherr(&e, p.path);
		} else {
			p.dir = S_ISDIR(st.st_mode);
			s.fds[0] = f->fds[0];
			if (files_job(fs, &s, &e) == 0)
				return;
		}
	}
	(void)chan_reply_err(fs->ch, id, &e);
}
