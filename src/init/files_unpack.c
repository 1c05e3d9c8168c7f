/*
 * Unpacking a tar archive that an HTTP client sends. Runs in a child of the
 * file server with the rights of the sandbox's user.
 *
 * What an archive may do is lib/untar.h's to say: nothing leaves the
 * destination. Devices and FIFOs are refused, owners and set-id bits ignored.
 */
#include "init/files_priv.h"
#include "lib/fdio.h"
#include "lib/tar.h"
#include "lib/untar.h"

#include <fcntl.h>
#include <string.h>

#define PATHS_MAX 1024 /* told in the answer */
#define ENTRIES_MAX 1000000
#define MODE_BITS 0777

struct unpack {
	char base[FILES_PATH_MAX];
	size_t npaths;
	struct buf out; /* the answer */
	struct jw w;
	bool truncated;
};

/* The full path into the answer, if there is still room. */
static int
answer_add(void *ctx, const char *path, struct err *e)
{
	struct unpack *u = ctx;
	size_t n = strlen(u->base);

	if (u->npaths == PATHS_MAX) {
		u->truncated = true;
		return 0;
	}
	u->npaths++;
	jw_str_begin(&u->w);
	jw_str_add(&u->w, u->base, n);
	if (n > 0 && u->base[n - 1] != '/')
		jw_str_add(&u->w, "/", 1);
	jw_str_add(&u->w, path, strlen(path));
	jw_str_end(&u->w);
	if (u->out.failed)
		return err_set(e, ERR_INTERNAL, "the answer is too long");
	return 0;
}

static int
unpack_job(struct job_child *c, struct err *e)
{
	struct unpack *u = c->ctx;
	struct untar_opts o = {
		.base_fd = open(u->base, O_PATH | O_DIRECTORY | O_CLOEXEC),
		.mode_bits = MODE_BITS,
		.entries_max = ENTRIES_MAX,
		.oserr = files_oserr,
		.done = answer_add,
		.ctx = u,
	};
	struct untar *t;
	bool refused;
	int r;

	if (o.base_fd == -1)
		return files_patherr(e, u->base);
	buf_init(&u->out, PATHS_MAX * 6 * (FILES_PATH_MAX + TAR_NAME_MAX));
	jw_init(&u->w, &u->out);
	jw_object(&u->w);
	jw_key(&u->w, "paths");
	jw_array(&u->w);
	t = untar_new(&o);
	r = untar_read(t, c->fds[0], e);
	refused = untar_refused(t);
	untar_free(t);
	if (r == -1) {
		/* The archive is at fault, not the request. */
		if (!refused && e->code == ERR_BAD_REQUEST)
			e->code = ERR_SYSTEM;
		return -1;
	}
	jw_array_end(&u->w);
	jw_kbool(&u->w, "truncated", u->truncated);
	jw_object_end(&u->w);
	if (u->out.failed)
		return err_set(e, ERR_INTERNAL, "the answer is too long");
	job_tell(c);
	(void)fd_write_all(c->fds[1], u->out.data, u->out.len);
	return 0;
}

void
files_unpack(struct files *fs, int64_t id, const struct json *msg,
    const struct chan_frame *f)
{
	static struct unpack u;
	struct job_spec s = {
		.id = id, .fn = unpack_job, .ctx = &u, .nfds = 2, .reply_fd = -1
	};
	struct err e;

	memset(&u, 0, sizeof(u));
	if (f->nfds != 2) {
		(void)err_set(&e, ERR_BAD_REQUEST, "fds: two are needed");
	} else if (files_resolve(fs, json_str(msg, "path", ""), u.base, &e) ==
		       0 &&
		   files_mkdirs(u.base, &e) == 0) {
		s.fds[0] = f->fds[0];
		s.fds[1] = f->fds[1];
		if (files_job(fs, &s, &e) == 0)
			return;
	}
	(void)chan_reply_err(fs->ch, id, &e);
}
