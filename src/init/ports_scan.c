/*
 * Reading /proc for listening sockets; see ports_scan.h. Runs in init.
 *
 * The tables come from the kernel, but how long they are is in the hands of
 * the sandbox's processes: everything here is bounded. The kernel lists
 * listening sockets first, so that a table of any length is read only as far
 * as those go.
 */
#include "init/ports_scan.h"

#include "lib/strutil.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#define READ_BYTES 32768
#define STATE_LISTEN 10
#define PROCESSES_MAX 16384
#define IDS 65536 /* of a sandbox that has a range to itself */

/* HEX digits of one 32-bit word, as the kernel prints it: the bytes in network
 * order, read as a number of this machine. */
static int
hex_word(const char **p, size_t digits, uint32_t *v_out)
{
	uint32_t v = 0;
	size_t i;
	char c;

	for (i = 0; i < digits; i++) {
		c = (*p)[i];
		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (c >= 'A' && c <= 'F')
			v = v << 4 | (uint32_t)(c - 'A' + 10);
		else
			return -1;
	}
	*p += digits;
	*v_out = v;
	return 0;
}

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, " ");
}

/* A number that a blank or the end of the line follows. */
static int
decimal(const char **p, uint64_t *v_out)
{
	char *end;

	*p = skip_blanks(*p);
	if (**p < '0' || **p > '9')
		return -1;
	errno = 0;
	*v_out = strtoull(*p, &end, 10);
	if (errno != 0 || (*end != ' ' && *end != '\0'))
		return -1;
	*p = end;
	return 0;
}

/* "0100007F:1F90" */
static int
parse_address(const char **p, bool six, uint8_t addr[16], uint16_t *port_out)
{
	uint32_t word;
	size_t i;

	for (i = 0; i < (six ? 4 : 1); i++) {
		if (hex_word(p, 8, &word) == -1)
			return -1;
		memcpy(addr + 4 * i, &word, 4);
	}
	if (**p != ':')
		return -1;
	(*p)++;
	if (hex_word(p, 4, &word) == -1)
		return -1;
	*port_out = (uint16_t)word;
	return 0;
}

int
listener_parse(const char *line, bool six, struct listener *l_out)
{
	uint8_t remote[16];
	uint16_t remote_port;
	const char *p = skip_blanks(line);
	uint32_t state;
	uint64_t n;
	int skip;

	memset(l_out, 0, sizeof(*l_out));
	l_out->six = six;
	p += strspn(p, "0123456789");
	if (*p != ':')
		return -1;
	p = skip_blanks(p + 1);
	if (parse_address(&p, six, l_out->addr, &l_out->port) == -1)
		return -1;
	p = skip_blanks(p);
	if (parse_address(&p, six, remote, &remote_port) == -1)
		return -1;
	p = skip_blanks(p);
	if (hex_word(&p, 2, &state) == -1)
		return -1;
	if (state != STATE_LISTEN)
		return 0;
	for (skip = 0; skip < 3; skip++) { /* queues, timer, retransmits */
		p = skip_blanks(p);
		p += strcspn(p, " ");
	}
	if (decimal(&p, &n) == -1 || n > UINT32_MAX)
		return -1;
	l_out->uid = (uid_t)n;
	if (decimal(&p, &n) == -1) /* timeout */
		return -1;
	return decimal(&p, &l_out->inode) == -1 ? -1 : 1;
}

/* The lines in TEXT that are whole. False when there is no need to read on;
 * *USED_OUT bytes are done with. */
static bool
take_lines(char *text, size_t len, bool six, size_t *used_out,
    struct listener *v, size_t *n)
{
	struct listener l;
	char *line = text, *nl;
	int r;

	*used_out = 0;
	while ((nl = memchr(line, '\n', len - *used_out)) != NULL) {
		*nl = '\0';
		r = listener_parse(line, six, &l);
		*used_out += (size_t)(nl - line) + 1;
		line = nl + 1;
		if (r == 0 || *n == LISTENERS_MAX)
			return false; /* the listening ones come first */
		if (r == 1)
			v[(*n)++] = l; /* the heading is none */
	}
	return true;
}

static int
scan_table(
    int proc_fd, const char *name, bool six, struct listener *v, size_t *n)
{
	autofd int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
	char text[READ_BYTES];
	size_t len = 0, used;
	ssize_t got;

	if (fd == -1)
		return errno == ENOENT && six ? 0 : -1;
	while (len < sizeof(text) &&
	       (got = read(fd, text + len, sizeof(text) - len)) > 0) {
		len += (size_t)got;
		if (!take_lines(text, len, six, &used, v, n))
			return 0;
		memmove(text, text + used, len - used);
		len -= used;
	}
	return 0;
}

ssize_t
listeners_scan(int proc_fd, struct listener v[LISTENERS_MAX])
{
	size_t n = 0;

	if (proc_fd == -1 ||
	    scan_table(proc_fd, "self/net/tcp", false, v, &n) == -1 ||
	    scan_table(proc_fd, "self/net/tcp6", true, v, &n) == -1)
		return -1;
	return (ssize_t)n;
}

bool
listener_takes(const struct listener *l, bool six)
{
	static const uint8_t any[16], one[16] = { [15] = 1 };
	static const uint8_t home[4] = { 127, 0, 0, 1 };
	static const uint8_t mapped[16] = {
		[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1
	};

	if (!l->six)
		return !six && (memcmp(l->addr, any, 4) == 0 ||
				   memcmp(l->addr, home, 4) == 0);
	if (memcmp(l->addr, any, 16) == 0)
		return true; /* of both families, for all we know */
	return memcmp(l->addr, six ? one : mapped, 16) == 0;
}

/* --- who holds them ------------------------------------------------------- */

static void
found(struct listener *v, size_t n, uint64_t inode, pid_t pid)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i].inode == inode && v[i].pid == 0)
			v[i].pid = pid;
}

/* "socket:[12345]" */
static bool
socket_inode(const char *link, uint64_t *inode_out)
{
	char *end;

	if (!str_starts(link, "socket:[") || link[8] < '0' || link[8] > '9')
		return false;
	errno = 0;
	*inode_out = strtoull(link + 8, &end, 10);
	return errno == 0 && strcmp(end, "]") == 0;
}

/* The descriptors of one process, as many as *BUDGET allows. */
static void
look_at(int fd_dir, struct listener *v, size_t n, pid_t pid, size_t *budget)
{
	int own = fcntl(fd_dir, F_DUPFD_CLOEXEC, 0);
	DIR *d = own != -1 ? fdopendir(own) : NULL;
	struct dirent *de;
	uint64_t inode;
	char link[64];
	ssize_t got;

	if (d == NULL) {
		fd_close(&own);
		return;
	}
	while (*budget > 0 && (de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		(*budget)--;
		got = readlinkat(fd_dir, de->d_name, link, sizeof(link) - 1);
		if (got <= 0)
			continue;
		link[got] = '\0';
		if (socket_inode(link, &inode))
			found(v, n, inode, pid);
	}
	(void)closedir(d); /* only read */
}

static void
look_at_process(
    int proc_fd, const char *name, struct listener *v, size_t n, size_t *budget)
{
	autofd int dir = openat(
	    proc_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autofd int fds = -1;

	if (dir == -1)
		return;
	/* Those of another user than root, and those that do not want to be
	 * looked at, are not open to us. */
	fds = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fds != -1)
		look_at(fds, v, n, (pid_t)atoi(name), budget);
}

static bool
all_found(const struct listener *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i].pid == 0)
			return false;
	return true;
}

int
listeners_owners(int proc_fd, struct listener *v, size_t n)
{
	size_t budget = OWNERS_BUDGET, processes = 0;
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd != -1 ? fdopendir(fd) : NULL;
	struct dirent *de;

	if (d == NULL) {
		fd_close(&fd);
		return -1;
	}
	while (budget > 0 && processes < PROCESSES_MAX && !all_found(v, n) &&
	       (de = readdir(d)) != NULL) {
		if (de->d_name[0] < '1' || de->d_name[0] > '9')
			continue;
		processes++;
		look_at_process(proc_fd, de->d_name, v, n, &budget);
	}
	(void)closedir(d); /* only read */
	return budget > 0 && processes < PROCESSES_MAX ? 0 : -1;
}

bool
ids_are_our_own(int proc_fd)
{
	autofd int fd = openat(proc_fd, "self/uid_map", O_RDONLY | O_CLOEXEC);
	unsigned inside, outside, count;
	char text[256];
	ssize_t n;

	if (fd == -1 || (n = read(fd, text, sizeof(text) - 1)) <= 0)
		return false;
	text[n] = '\0';
	return sscanf(text, "%u %u %u", &inside, &outside, &count) == 3 &&
	       inside == 0 && outside >= IDS && count == IDS;
}
