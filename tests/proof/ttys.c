/*
 * Inside a sandbox, for A04: `self` says what standard input is, `look PATH`
 * what a path is, `swap` puts links in the place of /dev/ptmx, /dev/console,
 * /dev/tty and /dev/pts and takes them away again, until it is told to end.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t over;

static void
on_term(int sig)
{
	(void)sig;
	over = 1;
}

static int
self(void)
{
	struct stat st;
	struct termios t;

	if (fstat(0, &st) == -1 || !S_ISCHR(st.st_mode) ||
	    major(st.st_rdev) < 136 || major(st.st_rdev) > 143 ||
	    tcgetattr(0, &t) == -1)
		return 1;
	(void)puts("terminal");
	return 0;
}

static int
look(const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1)
		(void)puts("none");
	else if (S_ISCHR(st.st_mode))
		(void)printf("%u:%u\n", major(st.st_rdev), minor(st.st_rdev));
	else
		(void)printf("%s %lld\n",
		    S_ISREG(st.st_mode) ? "regular" : "other",
		    (long long)st.st_size);
	return 0;
}

static int
swap(void)
{
	static const char *const names[] = { "ptmx", "console", "tty", "pts" };
	unsigned long done = 0, tried = 0;
	char path[32], saved[32];
	size_t i;

	(void)signal(SIGTERM, on_term);
	while (!over) {
		for (i = 0; i < 4; i++) {
			(void)snprintf(path, sizeof(path), "/dev/%s", names[i]);
			(void)snprintf(
			    saved, sizeof(saved), "/dev/%s.saved", names[i]);
			tried++;
			if (rename(path, saved) == -1 && i != 1)
				continue;
			if (symlink(i == 3 ? "/tmp/target" : "/tmp/victim",
				path) == 0)
				done++;
			(void)usleep(200);
			(void)unlink(path);
			(void)rename(saved, path);
		}
	}
	(void)printf("%lu swaps of %lu\n", done, tried);
	return 0;
}

int
main(int argc, char *argv[])
{
	if (argc == 2 && strcmp(argv[1], "self") == 0)
		return self();
	if (argc == 3 && strcmp(argv[1], "look") == 0)
		return look(argv[2]);
	if (argc == 2 && strcmp(argv[1], "swap") == 0)
		return swap();
	return 2;
}
