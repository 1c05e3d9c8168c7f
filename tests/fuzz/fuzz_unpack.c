/*
 * Archives from the network, unpacked: nothing appears beside the destination,
 * no link leads out of it, nothing is set-uid, and there is no more than there
 * was room for.
 *
 * Input: a byte for how much of the names is dropped, then the archive.
 *
 * Also: src/courier/beneath.c
 * Also: src/courier/unpack.c
 * Needs: -larchive
 */
#include "fuzz.h"

#include "courier/unpack.h"
#include "lib/fdio.h"
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX (64u << 10)
#define ROOM_BYTES (1 << 20)
#define ROOM_ENTRIES 50

static char outside[64]; /* holds the destination, "in", and nothing else */
static size_t entries;
static int64_t bytes;

static int
look(const char *path, const struct stat *sb, int what, struct FTW *where)
{
	char to[PATH_MAX], dir[64];
	size_t n;

	(void)what, (void)where;
	if (where->level == 0)
		return 0;
	entries++;
	CHECK((sb->st_mode & 07022) == 0 || S_ISLNK(sb->st_mode));
	CHECK(S_ISREG(sb->st_mode) || S_ISDIR(sb->st_mode) ||
	      S_ISLNK(sb->st_mode));
	if (S_ISREG(sb->st_mode))
		bytes += sb->st_size;
	if (!S_ISLNK(sb->st_mode) || realpath(path, to) == NULL)
		return 0;
	(void)snprintf(dir, sizeof(dir), "%s/in", outside);
	n = strlen(dir);
	CHECK(strncmp(to, dir, n) == 0 && (to[n] == '/' || to[n] == '\0'));
	return 0;
}

static int
drop(const char *path, const struct stat *sb, int what, struct FTW *where)
{
	(void)sb, (void)what;
	return where->level == 0 ? 0 : remove(path);
}

static void
end(void)
{
	(void)nftw(outside, drop, 8, FTW_DEPTH | FTW_PHYS);
	(void)rmdir(outside);
}

static void
check_outside(void)
{
	DIR *d = opendir(outside);
	struct dirent *it;

	CHECK(d != NULL);
	while ((it = readdir(d)) != NULL)
		CHECK(it->d_name[0] == '.' || strcmp(it->d_name, "in") == 0);
	(void)closedir(d); /* opened just now */
}

static int
memory(const uint8_t *data, size_t size)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	CHECK(fd != -1 && write(fd, data, size) == (ssize_t)size);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static void
play(const uint8_t *data, size_t size, unsigned strip)
{
	struct unpack_room room = { ROOM_BYTES, ROOM_ENTRIES, ROOM_BYTES };
	char dir[80];
	struct unpack *u;
	struct err e;
	int dest, r = 0;

	err_clear(&e);
	(void)snprintf(dir, sizeof(dir), "%s/in", outside);
	CHECK(mkdir(dir, 0755) == 0);
	dest = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dest != -1);
	if (unpack_open(memory(data, size), dest, strip, &room, &u, &e) == 0) {
		for (int i = 0; i < 10000 && r == 0; i++)
			r = unpack_step(u, 100, &e);
		CHECK(r != 0);
		unpack_free(u);
	} else {
		r = -1;
	}
	CHECK(r == 1 || (e.code != ERR_NONE && e.text[0] != '\0'));
	(void)close(dest);
	entries = 0;
	bytes = 0;
	CHECK(nftw(dir, look, 8, FTW_PHYS) == 0);
	/* Directories that were implied are made, and not counted. */
	CHECK(bytes <= ROOM_BYTES && entries <= ROOM_ENTRIES * 600);
	check_outside();
	CHECK(nftw(outside, drop, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = NULL;
	struct err e;
	size_t len;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	if (outside[0] == '\0') {
		(void)snprintf(outside, sizeof(outside), "/tmp/fuzz-XXXXXX");
		CHECK(mkdtemp(outside) != NULL);
		(void)atexit(end);
	}
	play(data + 1, size - 1, data[0] % 3);
	if (unpack_peek(memory(data + 1, size - 1), data[0] % 3, "package.json",
		1000, &text, &len, &e) == 0)
		CHECK(len <= 1000 && text[len] == '\0');
	free(text);
	return 0;
}
