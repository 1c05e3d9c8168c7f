/*
 * The processes of the sandbox, from its own /proc: a line of JSON for each,
 * lowest number first. An errand; see errand.h.
 *
 * Names and arguments are whatever the processes say of themselves: bounded
 * here, written as data, and read by nobody but the caller.
 */
#include "init/errand.h"
#include "lib/fdio.h"
#include "lib/proctree.h"
#include "lib/strutil.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ARGV_BYTES 4096
#define ARGV_WORDS 64
#define LINE_BYTES (64u << 10)

struct ps {
	struct errand_child *c;
	int64_t boot_ms; /* when the machine started, since 1970 */
	int64_t ticks;	 /* per second */
	int64_t page;	 /* bytes */
	struct buf line;
};

/* Text of a file below /proc, NUL-terminated; its length, or -1. */
static ssize_t
text_read(const struct ps *p, int pid, const char *file, char *dst, size_t size)
{
	char path[64];
	autofd int fd = -1;
	ssize_t n;

	(void)!str_format(path, sizeof(path), "%d/%s", pid, file);
	fd = openat(p->c->extra_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	n = fd == -1 ? -1 : read(fd, dst, size - 1);
	if (n >= 0)
		dst[n] = '\0';
	return n;
}

/* The words of a command line, as many as fit; a kernel thread, and one who
 * has wiped his own, has none. */
static void
argv_write(const struct ps *p, struct jw *w, int pid)
{
	char text[ARGV_BYTES + 1];
	ssize_t n = text_read(p, pid, "cmdline", text, sizeof(text));
	size_t at = 0, len, words = 0;

	jw_key(w, "argv");
	jw_array(w);
	while (n > 0 && at < (size_t)n && words++ < ARGV_WORDS) {
		len = strnlen(text + at, (size_t)n - at);
		jw_strn(w, text + at, len);
		at += len + 1;
	}
	jw_array_end(w);
	if (n == ARGV_BYTES || (n > 0 && at < (size_t)n))
		jw_kbool(w, "argv_cut", true);
}

static void
name_write(struct jw *w, const char *open, const char *close)
{
	jw_key(w, "name");
	jw_strn(w, open + 1, (size_t)(close - open - 1));
}

/* One process; false when it has gone, or is not to be understood. */
static bool
process_write(struct ps *p, int pid)
{
	unsigned long long utime, stime, start;
	char stat[1024], path[16];
	char *open, *close;
	int ppid, sid, tty;
	long threads, rss;
	struct stat st;
	struct jw w;
	char state;

	(void)!str_format(path, sizeof(path), "%d", pid);
	if (fstatat(p->c->extra_fd, path, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    text_read(p, pid, "stat", stat, sizeof(stat)) <= 0)
		return false;
	/* A name may hold brackets itself. */
	open = strchr(stat, '(');
	close = strrchr(stat, ')');
	if (open == NULL || close == NULL ||
	    sscanf(close + 1,
		" %c %d %*d %d %d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d "
		"%*d %*d %ld %*d %llu %*u %ld",
		&state, &ppid, &sid, &tty, &utime, &stime, &threads, &start,
		&rss) != 9)
		return false;
	buf_clear(&p->line);
	jw_init(&w, &p->line);
	jw_object(&w);
	jw_kint(&w, "pid", pid);
	jw_kint(&w, "ppid", ppid);
	jw_kint(&w, "session", sid);
	jw_kint(&w, "uid", st.st_uid);
	jw_key(&w, "state");
	jw_strn(&w, &state, 1);
	jw_kbool(&w, "tty", tty != 0);
	jw_kint(&w, "threads", threads);
	jw_kint(&w, "started_at",
	    p->boot_ms +
		(int64_t)(start * 1000 / (unsigned long long)p->ticks));
	jw_kint(&w, "cpu_ms",
	    (int64_t)((utime + stime) * 1000 / (unsigned long long)p->ticks));
	jw_kint(&w, "rss", rss * p->page);
	name_write(&w, open, close);
	argv_write(p, &w, pid);
	jw_object_end(&w);
	(void)buf_addc(&p->line, '\n');
	return !p->line.failed;
}

int
errand_processes(struct errand_child *c, struct err *e)
{
	struct ps p = {
		.c = c,
		.ticks = sysconf(_SC_CLK_TCK),
		.page = sysconf(_SC_PAGESIZE),
	};
	struct proctree all = { 0 };
	const pid_t init = getppid();
	struct timespec up;
	size_t i;
	int r = 0;

	if (clock_gettime(CLOCK_BOOTTIME, &up) == -1)
		return err_sys(e, "clock");
	p.boot_ms = now_realtime_ms() - (int64_t)up.tv_sec * 1000 -
		    up.tv_nsec / 1000000;
	buf_init(&p.line, LINE_BYTES);
	if (!proctree_read(&all, c->extra_fd))
		return err_sys(e, "/proc");
	for (i = 0; i < all.n && r == 0; i++) {
		/* Without a pid namespace /proc shows others as well. */
		if (all.v[i].pid == getpid() ||
		    (all.v[i].pid != init &&
			proctree_below(&all, &all.v[i], init) == 0) ||
		    !process_write(&p, all.v[i].pid))
			continue;
		c->n.entries++;
		if (fd_write_all(c->fd, p.line.data, p.line.len) == -1)
			r = err_sys(e, "write");
	}
	proctree_free(&all);
	buf_free(&p.line);
	return r;
}
