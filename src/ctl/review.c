/*
 * A sandbox's changes beside their original; see review.h. Runs as the caller.
 */
#include "ctl/review.h"
#include "ctl/beneath.h"
#include "lib/strutil.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CHUNK 65536

const char *
change_kind_name(enum change_kind k)
{
	static const char *const names[KIND_N] = { "same", "added", "modified",
		"mode", "deleted", "replaced", "error" };

	return names[k];
}

/* --- opening ------------------------------------------------------------- */

static int
pick_mount(struct review *rv, const struct json *record, const char *target,
    struct err *e)
{
	json_foreach (m, json_get(record, "mounts")) {
		const char *at = json_str(m, "target", "");

		if (strcmp(json_str(m, "mode", ""), "cow") != 0 ||
		    (target != NULL && strcmp(target, at) != 0))
			continue;
		if (str_copy(rv->target, sizeof(rv->target), at) == -1 ||
		    str_copy(rv->source, sizeof(rv->source),
			json_str(m, "source", "")) == -1)
			return err_set(e, ERR_TOO_LARGE, "a path is too long");
		return 0;
	}
	if (target != NULL)
		return err_set(e, ERR_SANDBOX_STATE,
		    "sandbox '%s' has no copy-on-write mount at %s", rv->id,
		    target);
	return err_set(e, ERR_SANDBOX_STATE,
	    "sandbox '%s' has no copy-on-write mount: what it changed, it "
	    "changed in place",
	    rv->id);
}

static int
look_up(struct review *rv, const char *target, bool *start_out, struct err *e)
{
	struct answer a;
	int r;

	if (client_ask(rv->ctl, "sandbox.get", rv->id, &a, e) == -1)
		return -1;
	rv->created_ms = json_int(a.body, "created_at", INT64_MAX);
	*start_out = strcmp(json_str(a.body, "state", ""), "stopped") == 0;
	r = pick_mount(rv, a.body, target, e);
	answer_free(&a);
	return r;
}

/* Only the sandbox's own init may read what a sandbox wrote, so it must run. */
static int
start(struct review *rv, struct err *e)
{
	struct answer a;

	if (client_ask(rv->ctl, "sandbox.start", rv->id, &a, e) == -1)
		return -1;
	answer_free(&a);
	rv->was_stopped = true;
	return 0;
}

static int
ask_changes(struct review *rv, struct err *e)
{
	struct jw *w = client_begin(&rv->client, "sandbox.changes");
	autofd int read_fd = -1;
	autofd int write_fd = -1;

	jw_kstr(w, "id", rv->id);
	jw_kstr(w, "target", rv->target);
	jw_kint(w, "fds", 1);
	if (fd_pipe(&read_fd, &write_fd, e) == -1 ||
	    client_send(&rv->client, &write_fd, 1, e) == -1)
		return -1;
	changes_init(&rv->changes, fd_steal(&read_fd), &rv->client);
	return 0;
}

int
review_open(struct review *rv, struct ctl *ctl, const char *id,
    const char *target, struct err *e)
{
	bool stopped;

	memset(rv, 0, sizeof(*rv));
	rv->ctl = ctl;
	rv->root_fd = -1;
	rv->changes.fd = -1;
	client_init(&rv->client, ctl);
	if (str_copy(rv->id, sizeof(rv->id), id) == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "a sandbox's id has at most %zu bytes", sizeof(rv->id) - 1);
	if (look_up(rv, target, &stopped, e) == -1)
		return -1;
	rv->root_fd = open(rv->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rv->root_fd == -1)
		return err_sys(e, "open the original, %s", rv->source);
	if (stopped && start(rv, e) == -1)
		return -1;
	return ask_changes(rv, e);
}

void
review_close(struct review *rv)
{
	struct answer a;
	struct err e;

	changes_free(&rv->changes);
	client_close(&rv->client);
	fd_close(&rv->root_fd);
	if (!rv->was_stopped)
		return;
	if (client_ask(rv->ctl, "sandbox.stop", rv->id, &a, &e) == -1)
		ctl_note(rv->ctl, "stop %s: %s", rv->id, e.text);
	else
		answer_free(&a);
}

/* Is PATH one of those asked for, or below one? */
static bool
matters(const struct review *rv, const char *path)
{
	size_t i;

	for (i = 0; i < rv->nonly; i++) {
		size_t n = strlen(rv->only[i]);

		while (n > 0 && rv->only[i][n - 1] == '/')
			n--;
		if (strncmp(path, rv->only[i], n) == 0 &&
		    (path[n] == '\0' || path[n] == '/'))
			return true;
		/* Directories on the way are needed too. */
		if (strncmp(rv->only[i], path, strlen(path)) == 0 &&
		    rv->only[i][strlen(path)] == '/')
			return true;
	}
	return rv->nonly == 0;
}

int
review_next(struct review *rv, struct change *c_out, struct err *e)
{
	int r;

	do
		r = changes_next(&rv->changes, c_out, e);
	while (r == 1 && !matters(rv, c_out->path));
	return r;
}

/* --- comparing ----------------------------------------------------------- */

static enum change_kind
kind_of_dir(const struct change *c, const struct stat *st)
{
	if (st->st_mode == 0)
		return KIND_ADDED;
	if (!S_ISDIR(st->st_mode) || c->type == CHANGE_REPLACE_DIR)
		return KIND_REPLACED;
	return (st->st_mode & 0777) == c->mode ? KIND_SAME : KIND_MODE;
}

static enum change_kind
kind_of_link(
    const struct review *rv, const struct change *c, const struct stat *st)
{
	char old[PATH_MAX];

	if (st->st_mode == 0)
		return KIND_ADDED;
	if (!S_ISLNK(st->st_mode))
		return KIND_REPLACED;
	if (beneath_readlink(rv->root_fd, c->path, old, sizeof(old)) == 0 &&
	    strcmp(old, c->text) == 0)
		return KIND_SAME;
	return KIND_MODIFIED;
}

int
review_kind(struct review *rv, const struct change *c,
    enum change_kind *kind_out, struct stat *st_out, struct err *e)
{
	memset(st_out, 0, sizeof(*st_out));
	*kind_out = KIND_ERROR;
	if (c->type == CHANGE_ERROR)
		return 0;
	if (beneath_stat(rv->root_fd, c->path, st_out) == -1)
		return err_sys(e, "look at %s", c->path);
	switch (c->type) {
	case CHANGE_DIR:
	case CHANGE_REPLACE_DIR:
		*kind_out = kind_of_dir(c, st_out);
		break;
	case CHANGE_SYMLINK:
		*kind_out = kind_of_link(rv, c, st_out);
		break;
	case CHANGE_DELETE:
		*kind_out = st_out->st_mode == 0 ? KIND_SAME : KIND_DELETED;
		break;
	default:
		if (st_out->st_mode == 0)
			*kind_out = KIND_ADDED;
		else if (S_ISREG(st_out->st_mode))
			*kind_out = KIND_MODIFIED;
		else
			*kind_out = KIND_REPLACED;
	}
	return 0;
}

int
review_open_old(const struct review *rv, const struct change *c)
{
	/* Not blocking: what was a file may be a FIFO by now. */
	int fd = beneath_open(rv->root_fd, c->path, O_RDONLY | O_NONBLOCK);
	struct stat st;

	if (fd != -1 && (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)))
		fd_close(&fd);
	return fd;
}

/* N bytes from FD, fewer only at the end of the file. */
static ssize_t
read_full(int fd, char *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = read(fd, p + done, n - done);

		if (r == -1 && errno == EINTR)
			continue;
		if (r == -1)
			return -1;
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

int
review_same_data(struct review *rv, int old_fd, struct err *e)
{
	static char theirs[CHUNK];
	static char ours[CHUNK];
	bool same = true;
	ssize_t n;

	while ((n = changes_data(&rv->changes, theirs, sizeof(theirs), e)) > 0)
		same = same && read_full(old_fd, ours, (size_t)n) == n &&
		       memcmp(ours, theirs, (size_t)n) == 0;
	if (n == -1)
		return -1;
	return same && read_full(old_fd, ours, 1) == 0;
}

int
review_count(
    struct review *rv, int64_t *n_out, int64_t *files_out, struct err *e)
{
	struct change c;
	struct stat st;
	enum change_kind kind;
	int r;

	*n_out = *files_out = 0;
	while ((r = review_next(rv, &c, e)) == 1) {
		if (review_kind(rv, &c, &kind, &st, e) == -1)
			return -1;
		if (c.type == CHANGE_FILE && kind == KIND_MODIFIED) {
			autofd int old_fd = review_open_old(rv, &c);
			int same = 0;

			if (old_fd != -1)
				same = review_same_data(rv, old_fd, e);
			if (same == -1)
				return -1;
			if (same == 1 && (st.st_mode & 0777) == c.mode)
				kind = KIND_SAME;
		}
		if (kind == KIND_SAME || kind == KIND_ERROR)
			continue;
		++*n_out;
		*files_out +=
		    c.type != CHANGE_DIR && c.type != CHANGE_REPLACE_DIR;
	}
	return r;
}
