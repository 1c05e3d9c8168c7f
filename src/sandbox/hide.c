/*
 * The layer that hides the host's private places; see hide.h. Runs in the
 * supervisor as root. It reads names, types and modes of the host's files and
 * the content of none; it writes nothing but
 * its layers.
 *
 * A sandbox's root stands for root of the lower layer, so for it a mode of
 * 0600 hides nothing: whatever the rest of the world may not read must be
 * hidden here. A place too large or too deep to be looked through is hidden as
 * a whole.
 *
 * The look goes through a private clone of the root's mount, which is exactly
 * what sandboxes see: not what happens to be mounted on top. Its result is a
 * list of steps (make this directory, put a whiteout here), which
 * hide_perform() does without deciding anything.
 */
#include "sandbox/hide.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "sandbox/hide_look.h"
#include "sandbox/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define CHECK_AGAIN_MS 5000
#define LOOK_AGAIN_MS 60000
#define LIST_NAME "list"

const char *const hide_names[HIDE_LAYERS_N] = { "hide", "gone" };

struct hide {
	int tree_fd;	   /* the tmpfs with the present layers */
	struct list steps; /* what they were made from */
	struct seen_list seen;
	int64_t looked_ms, checked_ms;
	char **extra; /* owned; relative to the root */
	size_t nextra;
};

/* PRIV: the host's root, making directories and whiteouts in a file system that
 * nobody else sees. */
static int
layers_make(const struct list *steps)
{
	autofd int fd =
	    mounts_new("tmpfs", NULL, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	autofd int list_fd = -1;
	size_t i;

	if (fd == -1)
		return -1;
	list_fd = openat(
	    fd, LIST_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (list_fd == -1 ||
	    fd_write_all(list_fd, steps->data, steps->len) == -1)
		return -1;
	for (i = 0; i < HIDE_LAYERS_N; i++)
		if (mkdirat(fd, hide_names[i], 0755) == -1 ||
		    fchmodat(fd, hide_names[i], 0755, 0) == -1)
			return -1;
	if (hide_perform(fd, fd) == -1)
		return -1;
	return fd_steal(&fd);
}

/* What was found becomes the present ones. */
static int
look_adopt(
    struct hide *h, struct list *steps, struct seen_list *seen, struct err *e)
{
	int fd;

	if (h->tree_fd == -1 || h->steps.len != steps->len ||
	    memcmp(h->steps.data, steps->data, steps->len) != 0) {
		fd = layers_make(steps);
		if (fd == -1)
			return err_sys(e, "make the layers that hide the host");
		/* Sandboxes that use the old one keep it. */
		fd_close(&h->tree_fd);
		h->tree_fd = fd;
		free(h->steps.data);
		h->steps = *steps;
		memset(steps, 0, sizeof(*steps));
	}
	seen_free(&h->seen);
	h->seen = *seen;
	memset(seen, 0, sizeof(*seen));
	h->looked_ms = h->checked_ms = now_monotonic_ms();
	return 0;
}

static int
hide_look(struct hide *h, int root_fd, struct err *e)
{
	struct list steps = { NULL, 0, 0 };
	struct seen_list seen = { NULL, 0, 0 };
	int r;

	r = hide_search(root_fd, h->extra, h->nextra, &steps, &seen);
	if (r == -1)
		(void)err_sys(e, "look at what the host's root must hide");
	else
		r = look_adopt(h, &steps, &seen, e);
	free(steps.data);
	seen_free(&seen);
	return r;
}

/* PATH without links, relative to the root. A path that does not exist yet
 * hides nothing. */
static int
extra_add(struct hide *h, const char *path, struct err *e)
{
	autofree char *real = realpath(path, NULL);
	char **more, *copy;

	if (real == NULL && errno == ENOENT)
		return 0;
	if (real == NULL)
		return err_sys(e, "hide %s", path);
	if (strcmp(real, "/") == 0)
		return err_set(e, ERR_BAD_REQUEST, "cannot hide /");
	more = reallocarray(h->extra, h->nextra + 1, sizeof(*more));
	if (more == NULL)
		return err_sys(e, "hide %s", path);
	h->extra = more;
	copy = strdup(real + 1);
	if (copy == NULL)
		return err_sys(e, "hide %s", path);
	h->extra[h->nextra++] = copy;
	return 0;
}

/* What sandboxes see of "/": not what happens to be mounted on top. */
static int
root_open(struct err *e)
{
	int fd = mounts_clone(AT_FDCWD, "/", false);

	return fd == -1 ? err_sys(e, "look at the host's root") : fd;
}

int
hide_open(const char *const *extra, struct hide **h_out, struct err *e)
{
	struct hide *h = calloc(1, sizeof(*h));
	int root_fd = -1;
	size_t i;

	if (h == NULL)
		return err_sys(e, "hide the host's files");
	h->tree_fd = -1;
	for (i = 0; extra != NULL && extra[i] != NULL; i++)
		if (extra_add(h, extra[i], e) == -1)
			goto fail;
	root_fd = root_open(e);
	if (root_fd == -1 || hide_look(h, root_fd, e) == -1)
		goto fail;
	(void)close(root_fd);
	*h_out = h;
	return 0;
fail:
	fd_close(&root_fd);
	hide_close(h);
	return -1;
}

/* Look again if the last look is older than LOOK_AFTER_MS or a directory has
 * changed since. When it fails, the next call tries again. */
static int
hide_check(struct hide *h, int64_t look_after_ms, struct err *e)
{
	int64_t now = now_monotonic_ms();
	autofd int root_fd = root_open(e);

	h->checked_ms = INT64_MIN / 2;
	if (root_fd == -1)
		return -1;
	if ((now - h->looked_ms >= look_after_ms ||
		seen_changed(&h->seen, root_fd)) &&
	    hide_look(h, root_fd, e) == -1)
		return -1;
	h->checked_ms = now;
	return 0;
}

int
hide_layer(struct hide *h, struct err *e)
{
	if (now_monotonic_ms() - h->checked_ms >= CHECK_AGAIN_MS &&
	    hide_check(h, LOOK_AGAIN_MS, e) == -1)
		return -1;
	return h->tree_fd;
}

int
hide_refresh(struct hide *h, struct err *e)
{
	return hide_check(h, LOOK_AGAIN_MS - CHECK_AGAIN_MS, e);
}

void
hide_close(struct hide *h)
{
	size_t i;

	if (h == NULL)
		return;
	fd_close(&h->tree_fd);
	free(h->steps.data);
	seen_free(&h->seen);
	for (i = 0; i < h->nextra; i++)
		free(h->extra[i]);
	free(h->extra);
	free(h);
}

static int
step_perform(const struct step *s, int dir_fd)
{
	const char *path = step_path(s);

	if (s->mode == 0)
		return linkat(dir_fd, WHITEOUT, dir_fd, path, 0);
	if (mkdirat(dir_fd, path, s->mode & 07777) == -1)
		return -1;
	/* An id outside of the sandbox's range: it stays its root's. */
	if ((s->uid != 0 || s->gid != 0) &&
	    fchownat(dir_fd, path, s->uid, s->gid, AT_SYMLINK_NOFOLLOW) == -1 &&
	    errno != EINVAL)
		return -1;
	/* chown takes these away */
	if (s->mode & (S_ISUID | S_ISGID))
		return fchmodat(dir_fd, path, s->mode & 07777, 0);
	return 0;
}

int
hide_perform(int layer_fd, int dir_fd)
{
	autofd int fd = openat(layer_fd, LIST_NAME, O_RDONLY | O_CLOEXEC);
	struct list steps = { NULL, 0, 0 };
	const struct step *s;
	struct stat st;
	mode_t mask;
	int r = 0;

	if (fd == -1 || fstat(fd, &st) == -1)
		return -1;
	steps.len = (size_t)st.st_size;
	steps.data = mmap(NULL, steps.len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (steps.data == MAP_FAILED)
		return -1;
	mask = umask(0);
	/* All whiteouts are one inode with many names. Making one needs no
	 * capability. */
	if (mknodat(dir_fd, WHITEOUT, S_IFCHR, makedev(0, 0)) == -1)
		r = -1;
	list_foreach(s, at, &steps)
	{
		if (r == -1 || (r = step_perform(s, dir_fd)) == -1)
			break;
	}
	(void)umask(mask);
	(void)munmap(steps.data, steps.len); /* errno stays */
	return r;
}
