/*
 * Stands in for sandboxd-init in test_launch.c: PID 1 of a sandbox that was
 * really built. Static, without anything of ours. Reads lines from its
 * channel (fd 3), each a command; runs it with sh, its output going to the
 *channel; then says "exit <status>" after a record separator (036), and reads
 *the next one, until the channel ends. Commands that begin with '!' are done
 * here, because init differs from what a shell can see:
 *
 *	!raw NR A B C D E	a system call; "ret <result> <errno>"
 *	!int80 NR		the same through the 32-bit table
 *	!fds			open descriptors
 *	!args			our own argument vector
 *	!ls FD			what is in the directory FD
 *	!mkdir FD NAME		make a directory in the directory FD
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHAN_FD 3

static char **args;

static size_t
line_read(char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	/* blocking, so that the loop is a plain one */
	(void)fcntl(CHAN_FD, F_SETFL, 0);
	while (len + 1 < size) {
		n = read(CHAN_FD, buf + len, 1);
		if (n == -1 && errno == EINTR)
			continue;
		if (n != 1 || buf[len] == '\n')
			break;
		len++;
	}
	buf[len] = '\0';
	return len;
}

static void
raw(const char *text)
{
	long a[7] = { 0 }, r;
	char *end;
	int i;

	for (i = 0; i < 7 && *text != '\0'; i++) {
		a[i] = (long)strtoull(text, &end, 0);
		text = end;
	}
	errno = 0;
	r = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	dprintf(CHAN_FD, "ret %ld %d\n", r, errno);
}

static void
int80(long nr)
{
#if defined(__x86_64__)
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(nr)
			 : "memory", "r8", "r9", "r10", "r11");
	dprintf(CHAN_FD, "ret %ld\n", r);
#else
	(void)nr;
	dprintf(CHAN_FD, "ret -38\n");
#endif
}

static void
fds(void)
{
	int fd;

	for (fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			dprintf(CHAN_FD, "%d\n", fd);
}

static void
ls(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *ent;

	if (d == NULL) {
		dprintf(CHAN_FD, "error %d\n", errno);
		return;
	}
	while ((ent = readdir(d)) != NULL)
		if (ent->d_name[0] != '.')
			dprintf(CHAN_FD, "%s\n", ent->d_name);
	closedir(d);
}

static int
shell(const char *line)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)dup2(CHAN_FD, 1);
		(void)dup2(CHAN_FD, 2);
		(void)close(CHAN_FD);
		(void)setenv("PATH",
		    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:"
		    "/bin",
		    1);
		(void)setenv("HOME", "/root", 1);
		(void)execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	return status;
}

static void
perform(const char *line)
{
	char *end;
	int i, fd;

	if (strncmp(line, "raw ", 4) == 0)
		raw(line + 4);
	else if (strncmp(line, "int80 ", 6) == 0)
		int80(strtol(line + 6, NULL, 0));
	else if (strcmp(line, "fds") == 0)
		fds();
	else if (strncmp(line, "ls ", 3) == 0)
		ls(atoi(line + 3));
	else if (strncmp(line, "mkdir ", 6) == 0) {
		fd = (int)strtol(line + 6, &end, 10);
		i = mkdirat(fd, end + 1, 0755);
		dprintf(CHAN_FD, "ret %d %d\n", i, errno);
	} else if (strcmp(line, "args") == 0)
		for (i = 0; args[i] != NULL; i++)
			dprintf(CHAN_FD, "%s\n", args[i]);
}

int
main(int argc, char *argv[])
{
	static char line[65536];
	int status;

	(void)argc;
	args = argv;
	while (line_read(line, sizeof(line)) > 0) {
		status = 0;
		if (line[0] == '!')
			perform(line + 1);
		else
			status = shell(line);
		dprintf(CHAN_FD, "\036exit %d\n",
		    WIFEXITED(status) ? WEXITSTATUS(status)
				      : 128 + WTERMSIG(status));
	}
	return 0;
}
