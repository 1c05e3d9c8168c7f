/*
 * For A50, outside: a listener that decides about names, and one that changes
 * the name once it has been looked at. Says what came of it:
 *
 *	notify HOW ALLOWED DENIED
 *
 * HOW is what the listener does when it has read the name ALLOWED: `continue`
 * lets the kernel make the call, which reads the name again; `addfd` opens what
 * the listener has read. Any other name is refused. The three are threads of
 *one process, of which only the caller is filtered, and take turns, so that the
 * race is lost each time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *how, *allowed, *denied;
static char name[4096]; /* that the caller opens */
static long listener;
static sem_t made, looked, changed;

static void
answer(uint64_t id, const char *copy)
{
	struct seccomp_notif_resp resp = { .id = id };
	struct seccomp_notif_addfd add = { .id = id };

	if (strcmp(copy, allowed) != 0) {
		resp.error = -EPERM;
	} else if (strcmp(how, "continue") == 0) {
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	} else {
		add.flags = SECCOMP_ADDFD_FLAG_SEND;
		add.srcfd = (uint32_t)open(copy, O_RDONLY);
		if (ioctl((int)listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) == -1)
			perror("notify: add descriptor");
		return;
	}
	if (ioctl((int)listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) == -1)
		perror("notify: answer");
}

static void *
listen_thread(void *arg)
{
	(void)sem_wait(&made);
	for (;;) {
		struct seccomp_notif req = { 0 };
		char copy[sizeof(name)];

		if (ioctl((int)listener, SECCOMP_IOCTL_NOTIF_RECV, &req) == -1)
			return arg;
		(void)snprintf(copy, sizeof(copy), "%s",
		    (const char *)(uintptr_t)req.data.args[1]);
		(void)sem_post(&looked);
		(void)sem_wait(&changed);
		answer(req.id, copy);
	}
}

static void *
change_thread(void *arg)
{
	for (;;) {
		(void)sem_wait(&looked);
		(void)snprintf(name, sizeof(name), "%s", denied);
		(void)sem_post(&changed);
	}
	return arg;
}

static long
filter(void)
{
	struct sock_filter code[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0,
		    offsetof(struct seccomp_data, nr) },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_openat },
		{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF },
		{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW },
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(*code), code };

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	    SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
}

/* What opening FIRST gives: the first line of a file, or an error's name. */
static void
try(const char *word, const char *first)
{
	char text[64] = "";
	long fd;

	(void)snprintf(name, sizeof(name), "%s", first);
	fd = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY);
	if (fd == -1 || read((int)fd, text, sizeof(text) - 1) == -1)
		(void)snprintf(
		    text, sizeof(text), "%s", strerrorname_np(errno));
	text[strcspn(text, "\n")] = '\0';
	printf("%s %s\n", word, text);
}

int
main(int argc, char *argv[])
{
	pthread_t threads[2];

	if (argc != 4)
		return 2;
	how = argv[1];
	allowed = argv[2];
	denied = argv[3];
	(void)sem_init(&made, 0, 0);
	(void)sem_init(&looked, 0, 0);
	(void)sem_init(&changed, 0, 0);
	if (pthread_create(&threads[0], NULL, listen_thread, NULL) != 0 ||
	    pthread_create(&threads[1], NULL, change_thread, NULL) != 0)
		return 1;
	listener = filter();
	if (listener == -1) {
		printf("listener %s\n", strerrorname_np(errno));
		return 1;
	}
	(void)sem_post(&made);
	try("asked", denied);
	try("raced", allowed);
	(void)fflush(stdout);
	_exit(0);
}
