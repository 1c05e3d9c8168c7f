/*
 * Downloading and unpacking what an installation consists of: several downloads
 * at a time, one archive unpacked between them whenever there is time. Runs in
 * the courier. An archive is unpacked when its digest was right, never before.
 */
#include "courier/courier.h"

#include "lib/defs.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DOWNLOADS 6
#define SLICE_MS 20

static void next_downloads(struct job *j);
static void next_unpack(struct job *j);

/* --- the list ------------------------------------------------------------ */

/* One that was asked for already, for another place. */
static struct piece *
same_piece(struct job *j, const char *url, const char *file)
{
	struct piece *p;

	TAILQ_FOREACH (p, &j->pieces, link) {
		if (file != NULL ? p->file != NULL && strcmp(p->file, file) == 0
				 : p->url != NULL && strcmp(p->url, url) == 0)
			return p;
	}
	return NULL;
}

struct piece *
piece_add(struct job *j, const char *what, const char *url, const char *file,
    const struct digest *digest, unsigned strip, const char *dir)
{
	struct piece *p = same_piece(j, url, file);
	char hex[65];

	if (p == NULL) {
		p = xcalloc(1, sizeof(*p));
		p->j = j;
		p->what = xstrdup(what);
		p->url = url != NULL ? xstrdup(url) : NULL;
		p->file = file != NULL ? xstrdup(file) : NULL;
		p->digest = *digest;
		p->strip = strip;
		digest_text(digest, hex, sizeof(hex));
		/* No agent's name has an equals sign. */
		p->partial = xasprintf("%s=%s", j->agent, hex);
		TAILQ_INSERT_TAIL(&j->pieces, p, link);
	}
	p->dirs = xreallocarray(p->dirs, p->ndirs + 1, sizeof(*p->dirs));
	p->dirs[p->ndirs++] = xstrdup(dir);
	return p;
}

void
pieces_free(struct job *j)
{
	struct piece *p;

	ev_idle_stop(j->c->loop, &j->idle);
	unpack_free(STEAL(j->unpack));
	while ((p = TAILQ_FIRST(&j->pieces)) != NULL) {
		TAILQ_REMOVE(&j->pieces, p, link);
		fetch_free(p->fetch);
		while (p->ndirs > 0)
			free(p->dirs[--p->ndirs]);
		free(p->dirs);
		free(p->what);
		free(p->url);
		free(p->file);
		free(p->partial);
		free(p);
	}
}

void
pieces_progress(const struct job *j, int64_t *done_out, int64_t *total_out,
    const char **what_out)
{
	const struct piece *p;
	int64_t done = 0, total = 0;

	TAILQ_FOREACH (p, &j->pieces, link) {
		int64_t d = p->bytes, t = p->bytes;

		if (p->fetch != NULL)
			fetch_progress(p->fetch, &d, &t);
		/* While all come, what has come counts; then, what is
		 * unpacked. */
		if (j->stage != JOB_DOWNLOADING && p->state == PIECE_THERE)
			d = p == j->unpacking && j->unpack != NULL
				? unpack_done(j->unpack)
				: 0;
		done += d;
		total += MAX(t, d);
		if (p == j->unpacking ||
		    (**what_out == '\0' && p->state == PIECE_COMES))
			*what_out = p->what;
	}
	*done_out = done;
	*total_out = total;
}

/* --- downloading --------------------------------------------------------- */

static void
piece_fail(struct piece *p, struct err *e)
{
	(void)err_prefix(e, "%s", p->what);
	job_fail(p->j, e);
}

static void
on_fetched(void *ctx, struct fetch *f, const struct err *e)
{
	struct piece *p = ctx;
	struct job *j = p->j;
	struct err failure;
	int64_t total;

	j->bytes += fetch_received(f);
	fetch_progress(f, &p->bytes, &total);
	if (e != NULL) {
		failure = *e; /* it goes with the download */
		piece_fail(p, &failure);
		return;
	}
	fetch_free(STEAL(p->fetch));
	p->state = PIECE_THERE;
	next_downloads(j);
	next_unpack(j);
}

static void
download(struct piece *p)
{
	const struct fetch_want w = { .url = p->url,
		.max_bytes = p->j->c->max_bytes,
		.dir_fd = p->j->c->partial_fd,
		.name = p->partial,
		.digest = p->digest };

	p->state = PIECE_COMES;
	p->fetch = fetch_start(p->j->c->fetches, &w, on_fetched, p);
}

static void
next_downloads(struct job *j)
{
	struct piece *p;
	unsigned n = 0;
	bool waits = false;

	TAILQ_FOREACH (p, &j->pieces, link) {
		struct stat st;

		if (p->state == PIECE_WAITS && p->file != NULL) {
			p->state = PIECE_THERE;
			if (fstatat(j->c->mirror_fd, p->file, &st, 0) == 0)
				p->bytes = st.st_size;
		} else if (p->state == PIECE_COMES) {
			n++;
		}
	}
	TAILQ_FOREACH (p, &j->pieces, link) {
		if (p->state != PIECE_WAITS)
			continue;
		if (n++ < DOWNLOADS)
			download(p);
		else
			waits = true;
	}
	if (n == 0 && !waits)
		j->stage = JOB_UNPACKING;
}

/* --- unpacking ----------------------------------------------------------- */

/* What the mirror holds is what it should be, if anybody says what that is. */
static int
check_file(const struct piece *p, int fd, struct err *e)
{
	autofree char *block = xmalloc(1 << 16);
	struct hasher h;
	struct digest got;
	off_t at = 0;
	ssize_t n;

	if (p->digest.kind == DIGEST_NONE)
		return 0;
	hasher_init(&h, p->digest.kind);
	for (; (n = pread(fd, block, 1 << 16, at)) > 0; at += n)
		hasher_add(&h, block, (size_t)n);
	if (n == -1)
		return err_sys(e, "read %s of the mirror", p->file);
	hasher_end(&h, &got);
	if (digest_compare(&p->digest, &got, e) == -1)
		return err_prefix(e, "%s of the mirror", p->file);
	return 0;
}

static int
open_archive(struct piece *p, int *fd_out, struct err *e)
{
	struct courier *c = p->j->c;
	struct stat st;
	autofd int fd =
	    p->file != NULL
		? openat(c->mirror_fd, p->file, O_RDONLY | O_CLOEXEC | O_NOCTTY)
		: openat(c->partial_fd, p->partial,
		      O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd == -1)
		return p->file != NULL
			   ? err_sys(e, "open %s of the mirror", p->file)
			   : err_sys(e, "open what was downloaded");
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_INSTALL_FAILED, "%s is not a file",
		    p->file != NULL ? p->file : p->partial);
	p->bytes = st.st_size;
	if (p->file != NULL && check_file(p, fd, e) == -1)
		return -1;
	*fd_out = fd_steal(&fd);
	return 0;
}

static int
unpack_begin(struct piece *p, struct err *e)
{
	struct job *j = p->j;
	autofd int dir_fd = -1;
	int fd = -1;

	if (beneath_dir(j->tmp_fd, p->dirs[p->next_dir], true, &dir_fd, e) ==
		-1 ||
	    open_archive(p, &fd, e) == -1)
		return -1;
	return unpack_open(fd, dir_fd, p->strip, &j->room, &j->unpack, e);
}

/* One place is done; the next, or the next archive. */
static void
unpack_ended(struct piece *p)
{
	struct job *j = p->j;

	unpack_free(STEAL(j->unpack));
	if (++p->next_dir < p->ndirs)
		return;
	p->state = PIECE_DONE;
	j->unpacking = NULL;
	if (p->file == NULL)
		(void)unlinkat(j->c->partial_fd, p->partial, 0);
}

static void
on_idle(
    struct ev_loop *loop ATTR_UNUSED, ev_idle *idle, int revents ATTR_UNUSED)
{
	struct job *j = idle->data;
	struct piece *p = j->unpacking;
	struct err e;
	int r = 0;

	err_clear(&e);
	if (j->unpack == NULL)
		r = unpack_begin(p, &e);
	if (r == 0)
		r = unpack_step(j->unpack, SLICE_MS, &e);
	if (r == -1) {
		piece_fail(p, &e);
		return;
	}
	if (r == 1)
		unpack_ended(p);
	if (j->unpacking == NULL)
		next_unpack(j);
}

/* The next archive that is there; when all are unpacked, on with it. */
static void
next_unpack(struct job *j)
{
	struct piece *p;
	bool all = true;

	if (j->unpacking != NULL)
		return;
	TAILQ_FOREACH (p, &j->pieces, link) {
		if (p->state == PIECE_THERE) {
			j->unpacking = p;
			ev_idle_start(j->c->loop, &j->idle);
			return;
		}
		all = all && p->state == PIECE_DONE;
	}
	ev_idle_stop(j->c->loop, &j->idle);
	if (all)
		job_finish(j);
}

void
pieces_begin(struct job *j)
{
	ev_idle_init(&j->idle, on_idle);
	j->idle.data = j;
	j->stage = JOB_DOWNLOADING;
	next_downloads(j);
	next_unpack(j);
}
