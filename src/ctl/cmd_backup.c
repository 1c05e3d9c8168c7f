/*
 * backup: a copy of the database in a file, made while everything goes on.
 * Runs as the caller, who opens the file; the store writes to the descriptor.
 * The name appears when all of it is on the disk.
 */
#include "ctl/client.h"
#include "ctl/commands.h"
#include "ctl/text.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOOK_MS 200 /* at how far it is */

/* The directory of PATH, open; *NAME_OUT is the rest. */
static int
open_directory(const char *path, const char **name_out, struct err *e)
{
	const char *slash = strrchr(path, '/');
	autofree char *dir = slash == NULL ? xstrdup(".")
			     : slash == path
				 ? xstrdup("/")
				 : xstrndup(path, (size_t)(slash - path));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*name_out = slash != NULL ? slash + 1 : path;
	if (fd == -1)
		return err_sys(e, "open %s", dir);
	return fd;
}

static void
tell_progress(int fd)
{
	char text[BYTES_TEXT_MAX];
	struct stat st;

	if (fstat(fd, &st) == -1)
		return;
	text_bytes(text, st.st_size);
	(void)fprintf(stderr, "\r%s written ", text);
}

/* The answer, with a look at the file now and then. */
static int
wait_written(struct ctl *ctl, struct client *c, int fd, struct answer *a_out,
    struct err *e)
{
	bool shown = isatty(STDERR_FILENO) && !ctl->json;
	enum client_got got = CLIENT_WAIT;
	int rc;

	while (got == CLIENT_WAIT) {
		if (client_line(c, LOOK_MS, &got, a_out, e) == -1)
			return -1;
		if (shown)
			tell_progress(fd);
	}
	if (shown)
		(void)fputs("\r\033[K", stderr);
	if (got == CLIENT_EOF)
		return err_set(e, ERR_STORE_UNAVAILABLE,
		    "the connection ended before the backup did");
	if (a_out->kind != ANSWER_ERROR)
		return 0;
	rc = answer_error(ctl, a_out, e);
	answer_free(a_out);
	return rc;
}

static int
ask(struct ctl *ctl, int fd, struct answer *a_out, struct err *e)
{
	struct client c;
	struct jw *w;
	int rc;

	client_init(&c, ctl);
	w = client_begin(&c, "backup");
	jw_kint(w, "fds", 1);
	rc = client_send(&c, &fd, 1, e);
	if (rc == 0)
		rc = wait_written(ctl, &c, fd, a_out, e);
	client_close(&c);
	return rc;
}

static int
finish(int dir_fd, int fd, const char *from, const char *to, struct err *e)
{
	if (fsync(fd) == -1)
		return err_sys(e, "flush %s", from);
	if (renameat(dir_fd, from, dir_fd, to) == -1)
		return err_sys(e, "rename %s to %s", from, to);
	return fsync(dir_fd) == -1 ? err_sys(e, "flush the directory") : 0;
}

static int
backup(struct ctl *ctl, const char *path, struct answer *a_out, struct err *e)
{
	const char *name;
	autofd int dir_fd = open_directory(path, &name, e);
	autofree char *part = NULL;
	char made[RANDOM_ID_MAX];
	autofd int fd = -1;

	if (dir_fd == -1)
		return -1;
	if (name[0] == '\0' || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return err_set(e, ERR_BAD_REQUEST, "%s: no file's name", path);
	random_id(made, "");
	part = xasprintf(".%s.%s", name, made);
	/* Tokens' hashes and all that agents said are in it. */
	fd = openat(dir_fd, part,
	    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return err_sys(e, "make %s", part);
	if (ask(ctl, fd, a_out, e) == -1) {
		(void)unlinkat(dir_fd, part, 0);
		return -1;
	}
	if (finish(dir_fd, fd, part, name, e) == 0)
		return 0;
	(void)unlinkat(dir_fd, part, 0);
	answer_free(a_out);
	return -1;
}

static int
run_backup(struct ctl *ctl, const struct args *a)
{
	char size[BYTES_TEXT_MAX];
	struct answer ans;
	struct err e;

	if (backup(ctl, a->operands[0], &ans, &e) == -1)
		return ctl_fail(ctl, &e);
	text_bytes(size, json_int(ans.body, "bytes", 0));
	if (ctl->json)
		ctl_print_json(ans.body);
	else
		ctl_note(ctl, "%s: %s", a->operands[0], size);
	answer_free(&ans);
	return EXIT_OK;
}

const struct command cmd_backup = {
	.name = "backup",
	.operands = "FILE",
	.help = "Copy the database to a file while everything goes on; "
		"`sandboxd --restore FILE` takes it back.",
	.min = 1,
	.max = 1,
	.run = run_backup,
};
