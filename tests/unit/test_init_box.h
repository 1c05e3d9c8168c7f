/*
 * A small box for sandboxd-init: namespaces of its own, /proc, /dev/pts, and
 * files bound over /etc, made by a fork of the test. Included by test_init*.c.
 */
#ifndef TEST_INIT_BOX_H
#define TEST_INIT_BOX_H

#include "test_init_peer.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

struct box_plan {
	const char *passwd, *group; /* contents; NULL: the host's files */
	const char *upper;	    /* directory for the mount /workspace */
	int stray_fds;		    /* left open and inheritable */
	rlim_t open_files;	    /* 0: as it is */
	int pid_max;		    /* 0: as it is */
	bool fifo_passwd;
};

static inline int
put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r;

	if (fd == -1)
		return -1;
	r = fd_write_all(fd, text, strlen(text));
	(void)close(fd);
	return r;
}

static inline int
box_cover(const char *path, const char *text)
{
	if (text == NULL)
		return 0;
	return put_file("/tmp/cover", text) == -1 ||
		       mount("/tmp/cover", path, NULL, MS_BIND, NULL) == -1 ||
		       unlink("/tmp/cover") == -1
		   ? -1
		   : 0;
}

#define BOX_HELPER "/tmp/helper" /* the test program itself, inside */

static inline int
box_copy_helper(int self_fd)
{
	autofd int fd = open(BOX_HELPER, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	struct stat st;

	return fd == -1 || fstat(self_fd, &st) == -1 ||
		       sendfile(fd, self_fd, NULL, (size_t)st.st_size) !=
			   st.st_size
		   ? -1
		   : 0;
}

/* In the child, process 1 of its namespaces. Returns what failed. */
static inline const char *
box_build(const struct box_plan *b)
{
	autofd int self_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct rlimit rl;
	char text[16];
	int i;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		return "make mounts private";
	if (mount("proc", "/proc", "proc", 0, NULL) == -1)
		return "mount /proc";
	if (mount("devpts", "/dev/pts", "devpts", 0,
		"newinstance,ptmxmode=0666,mode=0620") == -1)
		return "mount /dev/pts";
	if (mount("tmpfs", "/tmp", "tmpfs", 0, NULL) == -1)
		return "mount /tmp";
	if (box_copy_helper(self_fd) == -1)
		return "copy the helper";
	if (box_cover("/etc/passwd", b->passwd) == -1 ||
	    box_cover("/etc/group", b->group) == -1)
		return "cover /etc";
	if (b->fifo_passwd &&
	    (mkfifo("/tmp/fifo", 0644) == -1 ||
		mount("/tmp/fifo", "/etc/passwd", NULL, MS_BIND, NULL) == -1))
		return "cover /etc/passwd";
	(void)snprintf(text, sizeof(text), "%d", b->pid_max);
	if (b->pid_max > 0 && put_file("/proc/sys/kernel/pid_max", text) == -1)
		return "set pid_max";
	for (i = 0; i < b->stray_fds; i++)
		(void)!dup(0);
	rl = (struct rlimit){ b->open_files, b->open_files };
	if (b->open_files > 0 && setrlimit(RLIMIT_NOFILE, &rl) == -1)
		return "set the limit of open files";
	return NULL;
}

static inline void
box_child(
    const struct box_plan *b, int chan_fd, int upper_fd, const char *program)
{
	char arg[32] = "";
	char *argv[] = { (char *)"sandboxd-init", (char *)"testbox", NULL,
		NULL };
	const char *failed;
	int exe;

	exe = open(program, O_RDONLY | O_CLOEXEC);
	/* The tests' own socket has some number; init wants it at 3. */
	chan_fd = fcntl(chan_fd, F_DUPFD, 20);
	exe = fcntl(exe, F_DUPFD_CLOEXEC, 20);
	if (upper_fd != -1)
		upper_fd = fcntl(upper_fd, F_DUPFD, 20);
	(void)dup2(chan_fd, 3);
	(void)close(chan_fd);
	if (upper_fd != -1) {
		(void)snprintf(arg, sizeof(arg), "%d=/workspace", upper_fd);
		argv[2] = arg;
	}
	failed = box_build(b);
	if (failed != NULL) {
		(void)fprintf(stderr, "box: %s: %s\n", failed, strerror(errno));
		_exit(99);
	}
	(void)execveat(exe, "", argv, (char *[]){ NULL }, AT_EMPTY_PATH);
	_exit(98);
}

/* Start init in a box and take its hello. */
static inline struct peer *
box_start(const struct box_plan *b)
{
	const char *program = program_path("sandboxd-init");
	struct peer *p = calloc(1, sizeof(*p));
	int ours, theirs, upper_fd = -1;
	struct json *j;
	struct err e;
	pid_t pid;

	assert_non_null(p);
	assert_non_null(program);
	assert_int_equal(fd_socketpair(&ours, &theirs, &e), 0);
	if (b->upper != NULL)
		upper_fd = open(b->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)fflush(NULL);
	pid = (pid_t)syscall(SYS_clone,
	    SIGCHLD | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC, NULL, NULL,
	    NULL, 0);
	if (pid == 0)
		box_child(b, theirs, upper_fd, program);
	assert_true(pid > 0);
	(void)close(theirs);
	if (upper_fd != -1)
		(void)close(upper_fd);
	peer_init(p, ours, pid);
	p->nseen = 0;
	j = peer_try(p, "op", 0, "hello", WAIT_MS);
	if (j == NULL)
		fail_msg("no hello");
	assert_string_equal(json_str(j, "role", ""), "init");
	json_free(j);
	return p;
}

/* Close the channel: init must end, and so must everything in the box. */
static inline void
box_end(struct peer *p)
{
	int status;

	fd_close(&p->fd);
	status = wait_end(p->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	peer_free(p);
	free(p);
}

/* Processes of the box other than init that /proc shows in STATE (0: any):
 * those whose pid namespace is that of init. */
static inline int
box_count(const struct peer *p, char state)
{
	char path[64], want[64], ns[64], text[512], *s;
	struct dirent *d;
	ssize_t n;
	DIR *dir;
	int fd, pid, count = 0;

	(void)snprintf(
	    path, sizeof(path), "/proc/%d/ns/pid_for_children", (int)p->pid);
	n = readlink(path, want, sizeof(want) - 1);
	assert_true(n > 0);
	want[n] = '\0';
	dir = opendir("/proc");
	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL) {
		if (d->d_name[0] < '0' || d->d_name[0] > '9' ||
		    atoi(d->d_name) == p->pid)
			continue;
		pid = atoi(d->d_name);
		(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd == -1 ? 0 : read(fd, text, sizeof(text) - 1);
		if (fd != -1)
			(void)close(fd);
		if (n <= 0)
			continue;
		text[n] = '\0';
		s = strrchr(text, ')');
		if (s == NULL || (state != 0 && s[2] != state))
			continue;
		/* A zombie has no namespaces left; its parent is init then. */
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
		n = readlink(path, ns, sizeof(ns) - 1);
		if (n > 0) {
			ns[n] = '\0';
			count += strcmp(ns, want) == 0;
		} else {
			count += atoi(s + 4) == p->pid;
		}
	}
	(void)closedir(dir);
	return count;
}

/* Wait until the box holds exactly N such processes; what it holds at last. */
static inline int
box_wait_count(const struct peer *p, char state, int n)
{
	int64_t end = now_monotonic_ms() + WAIT_MS;
	int count;

	while ((count = box_count(p, state)) != n && now_monotonic_ms() < end)
		(void)poll(NULL, 0, 5);
	return count;
}

/*
 * Commands
 */

struct run {
	int64_t id;
	int out_fd; /* stdout and stderr of the command */
	int in_fd;  /* its stdin */
};

/* Send an exec of kind command. ARGS: the message's members after kind, as
 * JSON text, beginning with argv. */
static inline struct run
run_start(struct peer *p, const char *args)
{
	struct run r = { .id = p->next_id++ };
	int out[2], in[2], fds[3];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	fds[0] = in[0];
	fds[1] = fds[2] = out[1];
	peer_sendf(p, fds, 3,
	    "{\"id\":%lld,\"op\":\"exec\",\"kind\":\"command\",%s%s,"
	    "\"fds\":3}",
	    (long long)r.id, args,
	    strstr(args, "\"env\"") != NULL ? "" : ",\"env\":{}");
	(void)close(in[0]);
	(void)close(out[1]);
	r.in_fd = in[1];
	r.out_fd = out[0];
	return r;
}

static inline void
run_close(struct run *r)
{
	fd_close(&r->in_fd);
	fd_close(&r->out_fd);
}

/* The pid inside; fails when it did not start. */
static inline int64_t
run_started(struct peer *p, const struct run *r)
{
	struct json *j = peer_reply(p, r->id);
	const struct json *e = json_get(j, "error");
	int64_t pid = json_int(json_get(j, "ok"), "pid", -1);

	if (e != NULL)
		fail_msg("exec: %s", json_str(e, "detail", ""));
	assert_true(pid > 1);
	json_free(j);
	return pid;
}

struct ended {
	int64_t code, signal;
	bool timed_out;
};

static inline struct ended
run_ended(struct peer *p, int64_t id)
{
	struct json *j = peer_try(p, "exec", id, NULL, WAIT_MS);
	struct ended d;

	if (j == NULL)
		fail_msg("no exited for %lld", (long long)id);
	d.code = json_int(j, "code", -1);
	d.signal = json_int(j, "signal", -1);
	d.timed_out = json_bool(j, "timed_out", false);
	assert_string_equal(json_str(j, "op", ""), "exited");
	json_free(j);
	return d;
}

/* Run to the end; its output, which the caller frees. */
static inline char *
run_output(struct peer *p, const char *args, struct ended *d_out)
{
	struct run r = run_start(p, args);
	struct ended d;
	char *text;

	fd_close(&r.in_fd);
	(void)run_started(p, &r);
	text = read_all(r.out_fd, NULL);
	d = run_ended(p, r.id);
	run_close(&r);
	if (d_out != NULL)
		*d_out = d;
	return text;
}

static inline void
run_expect(struct peer *p, const char *args, const char *want)
{
	char *text = run_output(p, args, NULL);

	assert_string_equal(text, want);
	free(text);
}

static inline void
run_refused(
    struct peer *p, const char *args, const char *code, const char *detail)
{
	struct run r = run_start(p, args);
	struct json *j = peer_reply(p, r.id);
	const struct json *e = json_get(j, "error");

	assert_non_null(e);
	assert_string_equal(json_str(e, "code", ""), code);
	if (strstr(json_str(e, "detail", ""), detail) == NULL)
		fail_msg("detail '%s' lacks '%s'", json_str(e, "detail", ""),
		    detail);
	json_free(j);
	run_close(&r);
}

static inline void
box_stop(struct peer *p, int grace_ms)
{
	peer_sendf(p, NULL, 0, "{\"id\":%lld,\"op\":\"stop\",\"grace_ms\":%d}",
	    (long long)p->next_id++, grace_ms);
}

/* Why boxes cannot be made here, or NULL. */
static inline const char *
box_impossible(void)
{
	int status;
	pid_t pid;

	if (program_path("sandboxd-init") == NULL)
		return "sandboxd-init is not built";
	(void)fflush(NULL);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_NEWPID | CLONE_NEWNS,
	    NULL, NULL, NULL, 0);
	if (pid == 0)
		_exit(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1);
	if (pid == -1 || waitpid(pid, &status, 0) == -1 || status != 0)
		return "no right to make namespaces";
	return NULL;
}

#endif
