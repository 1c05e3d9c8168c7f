/*
 * See share.h: what the two programs are called, where they meet, and how a
 * worker starts them. Runs in the session worker; share_main() in the two.
 *
 * They meet at a socket in a directory of the user's own in the sandbox's /tmp.
 * Its name is made from what is shared and from which sandbox this is, and both
 * ends look who the other is: never are two sandboxes brought together, not
 * even where they see the same /tmp.
 */
#include "session/share.h"

#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/proctitle.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define WORD_KEEP "--share-keep"
#define WORD_JOIN "--share-join"
#define WORDS 4 /* ours: SHARE_SELF, what to do, socket, directory */
#define WORDS_MAX 512
#define IDENTITY_MAX (4u << 20)

extern char **environ;

/* --- what is shared, and where -------------------------------------------- */

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
share_identity(
    struct buf *b, const char *directory, char *const *argv, char *const *env)
{
	size_t n = strv_len(env), i;
	autofree char **sorted = xcalloc(n + 1, sizeof(*sorted));
	char space[64] = "";

	if (n > 0)
		memcpy(sorted, env, n * sizeof(*env));
	qsort(sorted, n, sizeof(*sorted), compare);
	/* Without it the two sandboxes have their users to differ by. */
	if (readlink("/proc/self/ns/pid", space, sizeof(space) - 1) == -1)
		space[0] = '\0';
	buf_init(b, IDENTITY_MAX);
	(void)buf_add(b, space, strlen(space) + 1);
	(void)buf_add(b, directory, strlen(directory) + 1);
	for (; *argv != NULL; argv++)
		(void)buf_add(b, *argv, strlen(*argv) + 1);
	(void)buf_addc(b, '\0');
	for (i = 0; i < n; i++)
		(void)buf_add(b, sorted[i], strlen(sorted[i]) + 1);
}

/* FNV-1a. Two things of one name are told apart by what they are. */
static uint64_t
hash(uint64_t h, const void *p, size_t n)
{
	const unsigned char *c = p;

	while (n-- > 0)
		h = (h ^ *c++) * 0x100000001b3u;
	return h;
}

int
share_place(char dst[SHARE_PATH_MAX], struct err *e)
{
	struct stat st;

	if (str_format(dst, SHARE_PATH_MAX, "/tmp/.sandboxd-share-%ld",
		(long)geteuid()) == -1)
		return err_set(e, ERR_INTERNAL, "a path is too long");
	if (mkdir(dst, 0700) == -1 && errno != EEXIST)
		return err_sys(e, "make %s", dst);
	if (lstat(dst, &st) == -1)
		return err_sys(e, "look at %s", dst);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 077) != 0)
		return err_set(
		    e, ERR_AGENT_FAILED, "%s is not a directory of ours", dst);
	return 0;
}

/* Of the workers of one sandbox init is the parent: its number tells sandboxes
 * apart that have no namespaces. */
static int
socket_name(
    const struct process_spec *spec, char dst[SHARE_PATH_MAX], struct err *e)
{
	char place[SHARE_PATH_MAX];
	pid_t init = getppid();
	struct buf b;
	uint64_t h;

	if (share_place(place, e) == -1)
		return -1;
	share_identity(&b, spec->directory, spec->argv, spec->env);
	h = hash(0xcbf29ce484222325u, &init, sizeof(init));
	h = hash(h, b.data, b.len);
	if (b.failed ||
	    str_format(dst, SHARE_PATH_MAX, "%s/%016" PRIx64, place, h) == -1) {
		buf_free(&b);
		return err_set(e, ERR_LIMIT, "the environment is too large");
	}
	buf_free(&b);
	return 0;
}

/* One whose number cannot be seen from here is of another sandbox. */
bool
share_peer_ok(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	       who.uid == geteuid() && who.pid != 0;
}

int
share_connect(const char *socket_path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 ||
	    str_copy(sun.sun_path, sizeof(sun.sun_path), socket_path) == -1 ||
	    connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    !share_peer_ok(fd))
		return -1;
	return fd_steal(&fd);
}

/* --- starting ------------------------------------------------------------- */

/*
 * PRIV: the sandbox's user before and after, without any capability. The keeper
 * is to outlive this session, whose leftovers are killed: it becomes a child of
 * our parent, the sandbox's init, and in a session of its own.
 */
static int
start_keeper(const struct process_spec *spec, char *const *argv, struct err *e)
{
	pid_t pid = (pid_t)syscall(
	    SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == -1)
		return err_sys(e, "fork");
	if (pid > 0)
		return 0;
	/* Only async-signal-safe calls from here on. */
	(void)setsid();
	(void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* they are already */
	if (chdir(spec->directory) == 0)
		(void)execve(SHARE_SELF, argv, spec->env);
	_exit(127); /* whoever wants to join tells it */
}

int
share_start(struct ev_loop *loop, const struct process_spec *spec,
    const struct process_ops *ops, void *ctx, struct process **p_out,
    struct err *e)
{
	char path[SHARE_PATH_MAX];
	const char *words[WORDS_MAX + 1] = { SHARE_SELF, WORD_KEEP, path,
		spec->directory };
	struct process_spec join = *spec;
	autofree char *program = NULL;
	size_t n = strv_len(spec->argv);

	if (n > WORDS_MAX - WORDS)
		return err_set(e, ERR_LIMIT, "the command is too long");
	if (process_find(spec->argv[0], spec->env, &program, e) == -1 ||
	    socket_name(spec, path, e) == -1)
		return -1;
	memcpy(words + WORDS, spec->argv, n * sizeof(*words));
	/* execve does not write to the strings; its type is older than const */
	join.argv = (char *const *)(uintptr_t)words;
	if (start_keeper(spec, join.argv, e) == -1)
		return -1;
	words[1] = WORD_JOIN;
	return process_start(loop, &join, ops, ctx, p_out, e);
}

/* --- being started -------------------------------------------------------- */

/* No session's name can be one of these and have words behind it. */
bool
share_wanted(int argc, char *const *argv)
{
	return argc > WORDS && strcmp(argv[0], SHARE_SELF) == 0 &&
	       (strcmp(argv[1], WORD_KEEP) == 0 ||
		   strcmp(argv[1], WORD_JOIN) == 0);
}

int
share_main(struct ev_loop *loop, char *const *argv)
{
	char **own = strv_dup(argv); /* the title goes where they are */
	bool keep = strcmp(own[1], WORD_KEEP) == 0;
	int rc;

	proctitle_set(
	    "sandboxd-share", "sandboxd-share %s", keep ? "keep" : "join");
	/* It has nothing to put away, and its stderr is the agent's: nothing
	 * that runs at an exit may add to it. */
	if (!keep)
		_exit(share_join(own[2], own[3], own + WORDS));
	rc = share_keep(loop, own[2], own[3], own + WORDS);
	strv_free(own);
	return rc;
}
