/*
 * Sends descriptors to whoever does not want them.
 *
 *	passer FD N TEXT    N of them with TEXT on descriptor FD, whole and in a
 *	                    control message that is cut off
 *	(otherwise)         in a session worker's place: on descriptor 3, with
 *	                    frames, as many as the kernel lets pass, for a while
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 253

static void
pass(int to, int n, const void *text, size_t len)
{
	static union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * MOST)];
	} control;
	struct iovec iov = { (void *)(uintptr_t)text, len };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fds[MOST], pair[2];

	/* The last is a socket that holds others. */
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1)
		return;
	for (int i = 0; i < n; i++)
		fds[i] = i % 2 ? pair[0] : 0;
	memset(&control, 0, sizeof(control));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)n);
	(void)sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static size_t
frame(char *out, const char *text)
{
	size_t n = strlen(text);

	out[0] = out[1] = 0;
	out[2] = (char)(n >> 8);
	out[3] = (char)n;
	memcpy(out + 4, text, n);
	return n + 4;
}

int
main(int argc, char *argv[])
{
	struct timespec nap = { 0, 50000000 };
	char buf[400];
	int n;

	if (argc == 4 && (n = atoi(argv[2])) >= 1 && n <= MOST) {
		pass(atoi(argv[1]), n, argv[3], strlen(argv[3]));
		return 0;
	}
	(void)open("/dev/null", O_RDWR);
	for (int i = 0; i < 20; i++) {
		pass(3, MOST, buf, frame(buf, "{\"op\":\"hello\",\"fds\":1}"));
		pass(3, 2, buf, 3); /* of which the frame is cut off */
		pass(3, 7, buf, frame(buf, "{\"op\":\"log\",\"fds\":7}"));
		(void)nanosleep(&nap, NULL);
	}
	return 0;
}
