/*
 * Searching by name and by content, in a child of the file server. Results go
 * to the gateway's pipe as they are found.
 *
 * Links are reported but never followed; files of /proc and its like are left
 * out; depth, time, length of lines and number of results are bounded, and the
 * answer says when a bound was met. A pattern that needs too much memory or
 * time costs the child.
 */
#include "init/files_glob.h"
#include "init/files_priv.h"
#include "lib/fdio.h"
#include "lib/strutil.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <regex.h>
#include <string.h>
#include <sys/vfs.h>

#define DEPTH_MAX 128 /* each level holds a descriptor */
#define LIMIT_DEFAULT 1000
#define SEARCH_MS 30000 /* then what was found must do */
#define SEARCH_S 60.0	/* then it is killed */
#define FLUSH_BYTES 16384u
#define OUT_CAP (1u << 20)
#define READ_BYTES 65536u /* also the longest line that is looked at */
#define BINARY_LOOK 8192u /* a NUL in the first bytes makes it binary */
#define LINE_SHOWN 2000u  /* bytes of a line in a result */
#define ALIVE_EVERY 256	  /* files, then it looks if anybody listens */

struct search {
	char base[FILES_PATH_MAX];
	char rel[FILES_PATH_MAX]; /* of the present entry */
	struct glob_list globs;
	const char *content; /* NULL: any */
	size_t content_len;
	bool regex, ignore_case;
	regex_t re;
	int64_t left; /* results that may still be told */
	int64_t end_ms;
	bool truncated, stop;
	unsigned seen;
	int out_fd;
	struct buf b;
	struct jw w;
};

static void
flush(struct search *s, size_t min)
{
	if (s->b.len < min || s->stop)
		return;
	if (fd_write_all(s->out_fd, s->b.data, s->b.len) == -1)
		s->stop = true; /* nobody reads any more */
	buf_clear(&s->b);
}

/* Is there still somebody to search for, and time? */
static void
look_around(struct search *s)
{
	struct pollfd p = { .fd = s->out_fd };

	if (now_monotonic_ms() > s->end_ms)
		s->truncated = s->stop = true;
	if (poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP)) != 0)
		s->stop = true;
	flush(s, 1);
}

/* False when there are enough already. */
static bool
result_begin(struct search *s, const struct stat *st)
{
	char path[2 * FILES_PATH_MAX];
	size_t n = strlen(s->base);

	if (s->left == 0) {
		s->truncated = s->stop = true;
		return false;
	}
	s->left--;
	/* It fits: each is shorter than half. */
	(void)!str_format(path, sizeof(path), "%s%s%s", s->base,
	    n > 0 && s->base[n - 1] == '/' ? "" : "/", s->rel);
	jw_object(&s->w);
	files_entry(&s->w, path, st);
	return true;
}

static void
result_end(struct search *s)
{
	jw_object_end(&s->w);
	flush(s, FLUSH_BYTES);
}

/*
 * Content
 */

static const char *
find_fixed(const struct search *s, const char *p, size_t n)
{
	size_t i, k = s->content_len;

	if (!s->ignore_case)
		return memmem(p, n, s->content, k);
	for (i = 0; i + k <= n; i++)
		if (strncasecmp(p + i, s->content, k) == 0)
			return p + i;
	return NULL;
}

/* Where in the line P[0..n), which ends in a NUL; NULL for nowhere. */
static const char *
line_find(const struct search *s, const char *p, size_t n)
{
	regmatch_t m;

	if (!s->regex)
		return find_fixed(s, p, n);
	/* A line with a NUL in it ends there for the pattern. */
	return regexec(&s->re, p, 1, &m, 0) == 0 ? p + m.rm_so : NULL;
}

static int64_t
chars(const char *p, const char *end)
{
	int64_t n = 0;

	for (; p < end; p++)
		if (((unsigned char)*p & 0xc0) != 0x80)
			n++;
	return n;
}

static void
line_look(
    struct search *s, const struct stat *st, char *p, size_t n, int64_t number)
{
	const char *at;

	if (n > 0 && p[n - 1] == '\r')
		n--;
	p[n] = '\0';
	at = line_find(s, p, n);
	if (at == NULL || !result_begin(s, st))
		return;
	jw_key(&s->w, "line");
	jw_strn(&s->w, p,
	    n <= LINE_SHOWN ? n
			    : LINE_SHOWN - utf8_incomplete_tail(p, LINE_SHOWN));
	jw_kint(&s->w, "lineNumber", number);
	jw_kint(&s->w, "column", chars(p, at) + 1);
	result_end(s);
}

/* Line by line through a buffer; of a line that is longer only the beginning
 * is looked at. */
static void
content_look(struct search *s, int fd, const struct stat *st)
{
	static char buf[READ_BYTES + 1];
	size_t have = 0, from;
	int64_t number = 1;
	bool first = true, skip = false;
	char *nl;
	ssize_t n;

	for (;;) {
		n = read(fd, buf + have, READ_BYTES - have);
		if (n <= 0)
			break;
		have += (size_t)n;
		if (first && memchr(buf, 0, MIN(have, BINARY_LOOK)) != NULL)
			return;
		first = false;
		for (from = 0; !s->stop && (nl = memchr(buf + from, '\n',
						have - from)) != NULL;
		     from = (size_t)(nl - buf) + 1, number++) {
			if (!skip)
				line_look(s, st, buf + from,
				    (size_t)(nl - buf) - from, number);
			skip = false;
		}
		if (s->stop)
			return;
		if (from == 0 && have == READ_BYTES) {
			if (!skip)
				line_look(s, st, buf, have, number);
			skip = true;
			from = have;
		}
		have -= from;
		memmove(buf, buf + from, have);
		if (++s->seen % 64 == 0)
			look_around(s);
	}
	if (have > 0 && !skip && !s->stop)
		line_look(s, st, buf, have, number);
}

static void
file_look(struct search *s, int dir_fd, const char *name)
{
	autofd int fd = openat(dir_fd, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		content_look(s, fd, &st);
}

/*
 * The walk
 */

static bool
is_pseudo(int fd)
{
	struct statfs f;

	return fstatfs(fd, &f) == 0 &&
	       (f.f_type == PROC_SUPER_MAGIC || f.f_type == SYSFS_MAGIC ||
		   f.f_type == CGROUP2_SUPER_MAGIC ||
		   f.f_type == CGROUP_SUPER_MAGIC);
}

static void walk(struct search *s, int fd, dev_t dev, unsigned depth);

static void
entry_look(
    struct search *s, int dir_fd, const char *name, dev_t dev, unsigned depth)
{
	struct stat st;
	int fd;

	if (++s->seen % ALIVE_EVERY == 0)
		look_around(s);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return;
	if (files_globs_fit(&s->globs, s->rel)) {
		if (s->content == NULL) {
			if (result_begin(s, &st))
				result_end(s);
		} else if (S_ISREG(st.st_mode) && st.st_size > 0) {
			file_look(s, dir_fd, name);
		}
	}
	if (!S_ISDIR(st.st_mode) || s->stop)
		return;
	if (depth >= DEPTH_MAX) {
		s->truncated = true;
		return;
	}
	fd = openat(
	    dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return;
	if (st.st_dev != dev && is_pseudo(fd))
		(void)close(fd);
	else
		walk(s, fd, st.st_dev, depth + 1);
}

/* Takes FD. */
static void
walk(struct search *s, int fd, dev_t dev, unsigned depth)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *d;
	size_t n = strlen(s->rel);

	if (dir == NULL) {
		(void)close(fd);
		return;
	}
	while (!s->stop && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (str_format(s->rel + n, sizeof(s->rel) - n, "%s%s",
			n > 0 ? "/" : "", d->d_name) == -1)
			s->truncated = true;
		else
			entry_look(s, dirfd(dir), d->d_name, dev, depth);
		s->rel[n] = '\0';
	}
	(void)closedir(dir);
}

static int
search_job(struct job_child *c, struct err *e)
{
	struct search *s = c->ctx;
	struct stat st;
	char why[200];
	int r;

	if (s->regex) {
		r = regcomp(&s->re, s->content,
		    REG_EXTENDED | REG_NEWLINE |
			(s->ignore_case ? REG_ICASE : 0));
		if (r != 0) {
			(void)regerror(r, &s->re, why, sizeof(why));
			return err_set(e, ERR_BAD_REQUEST, "content: %s", why);
		}
	}
	if (fstat(c->fds[1], &st) == -1)
		return files_oserr(e);
	job_tell(c);
	s->out_fd = c->fds[0];
	s->end_ms = now_monotonic_ms() + SEARCH_MS;
	buf_init(&s->b, OUT_CAP);
	jw_init(&s->w, &s->b);
	jw_object(&s->w);
	jw_key(&s->w, "results");
	jw_array(&s->w);
	walk(s, c->fds[1], st.st_dev, 0);
	s->stop = false;
	jw_array_end(&s->w);
	jw_kbool(&s->w, "truncated", s->truncated);
	jw_object_end(&s->w);
	if (!s->b.failed)
		flush(s, 1);
	return 0;
}

static int
search_begin(struct files *fs, struct search *s, const struct json *msg,
    int *dir_out, struct err *e)
{
	const char *glob = json_str(msg, "glob", NULL);
	struct stat st;

	s->content = json_str(msg, "content", NULL);
	s->content_len = s->content != NULL ? strlen(s->content) : 0;
	s->regex = s->content != NULL && json_bool(msg, "regex", false);
	s->ignore_case = json_bool(msg, "ignore_case", false);
	s->left = json_int(msg, "limit", LIMIT_DEFAULT);
	if (files_resolve(fs, json_str(msg, "path", ""), s->base, e) == -1 ||
	    (glob != NULL && files_globs(&s->globs, glob, e) == -1))
		return -1;
	if (stat(s->base, &st) == -1)
		return files_patherr(e, s->base);
	if (!S_ISDIR(st.st_mode))
		return err_set(
		    e, ERR_BAD_REQUEST, "path is not a directory: %s", s->base);
	*dir_out = open(s->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *dir_out == -1 ? files_patherr(e, s->base) : 0;
}

void
files_search(struct files *fs, int64_t id, const struct json *msg,
    const struct chan_frame *f)
{
	static struct search s;
	struct job_spec spec = { .id = id,
		.limit_s = SEARCH_S,
		.fn = search_job,
		.ctx = &s,
		.nfds = 2,
		.reply_fd = -1 };
	autofd int dir_fd = -1;
	struct err e;
	int r = -1;

	memset(&s, 0, sizeof(s));
	if (f->nfds != 1) {
		(void)err_set(&e, ERR_BAD_REQUEST, "fds: one is needed");
	} else if (search_begin(fs, &s, msg, &dir_fd, &e) == 0) {
		spec.fds[0] = f->fds[0];
		spec.fds[1] = dir_fd;
		r = files_job(fs, &spec, &e);
	}
	files_globs_free(&s.globs);
	if (r == -1)
		(void)chan_reply_err(fs->ch, id, &e);
}
