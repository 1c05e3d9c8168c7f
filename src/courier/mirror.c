/*
 * See mirror.h. Runs in the courier. Who fills the directory is trusted to give
 * the right packages (it has no digests), but not to give well-formed ones.
 */
#include "courier/mirror.h"

#include "courier/unpack.h"
#include "lib/defs.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MANIFEST_BYTES (1u << 20)
#define DEPTH 32u

/* Does FILE's name say that it is a version of NAME? */
static bool
is_named(const char *file, const char *name)
{
	char flat[PACKAGE_NAME_MAX + 1], version[SEMVER_TEXT_MAX];
	struct semver v;
	size_t n, len = strlen(file);

	if (str_copy(flat, sizeof(flat), name + (name[0] == '@')) == -1)
		return false;
	for (char *c = flat; *c != '\0'; c++)
		*c = *c == '/' ? '-' : *c;
	n = strlen(flat);
	return len > n + 5 && strncmp(file, flat, n) == 0 && file[n] == '-' &&
	       strcmp(file + len - 4, ".tgz") == 0 &&
	       str_format(version, sizeof(version), "%.*s", (int)(len - n - 5),
		   file + n + 1) == 0 &&
	       semver_parse(version, &v) == 0;
}

static int
add_file(int dir_fd, const char *file, const char *name, struct packument *p,
    struct err *e)
{
	autofree char *text = NULL;
	struct json *m = NULL;
	size_t len;
	int fd, r;

	fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd == -1)
		return err_sys(e, "open");
	if (unpack_peek(
		fd, 1, "package.json", MANIFEST_BYTES, &text, &len, e) == -1 ||
	    json_parse(text, len, DEPTH, &m, e) == -1)
		return -1;
	r = 0;
	if (strcmp(json_str(m, "name", ""), name) == 0)
		r = packument_add(p, m, file, e);
	json_free(m);
	return r;
}

int
mirror_packument(
    int dir_fd, const char *name, struct packument **p_out, struct err *e)
{
	struct packument *p = packument_new(name);
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (d == NULL) {
		(void)err_sys(e, "read the mirror's directory");
		fd_close(&fd);
		packument_free(p);
		return -1;
	}
	while ((de = readdir(d)) != NULL) {
		if (!is_named(de->d_name, name) ||
		    add_file(dir_fd, de->d_name, name, p, e) == 0)
			continue;
		/* One that is broken must not stand for all versions. */
		log_warn("mirror", "unusable", LOG_STR("file", de->d_name),
		    LOG_STR("detail", e->text));
	}
	(void)closedir(d); /* only read */
	*p_out = p;
	return 0;
}
