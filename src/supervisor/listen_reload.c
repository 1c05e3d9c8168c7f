/*
 * Listening sockets that change while we run. Runs in the supervisor, at
 * SIGHUP. What is new is bound first, so that an address that cannot be had
 * refuses the whole configuration; what stays is not touched; what goes is
 * closed last, without losing who has come to it.
 */
#include "supervisor/listen.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/gateway.h"
#include "supervisor/listen_given.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>

struct listener *
listen_former(struct listeners *ls, const char *asked)
{
	struct listeners *before = ls->before;
	size_t i, k;

	for (i = 0; before != NULL && i < before->n; i++) {
		struct listener *l = &before->v[i];

		if (strcmp(l->asked, asked) != 0 && strcmp(l->name, asked) != 0)
			continue;
		for (k = 0; k < ls->n && ls->v[k].fd != l->fd; k++)
			;
		if (k == ls->n)
			return l; /* nobody else's */
	}
	return NULL;
}

static void
share_ports(const struct listeners *before, int fd, int on)
{
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	for (size_t i = 0; i < before->n; i++)
		(void)setsockopt(before->v[i].fd, SOL_SOCKET, SO_REUSEPORT, &on,
		    sizeof(on)); /* or the bind fails, and says so */
}

/* From 127.0.0.1:80 to 0.0.0.0:80: both for a moment. Between sockets of ours
 * only, so that another's address is still in use. */
int
listen_beside(const struct listeners *before, int fd, const struct address *a,
    int backlog)
{
	int err, rc = bind(fd, &a->sa, a->len);

	if (rc == 0)
		return listen(fd, backlog);
	if (errno != EADDRINUSE || before == NULL)
		return rc;
	share_ports(before, fd, 1);
	rc = bind(fd, &a->sa, a->len);
	if (rc == 0)
		rc = listen(fd, backlog); /* which looks again */
	err = errno;
	share_ports(before, fd, 0);
	errno = err;
	return rc;
}

int
listen_reload(struct super *s, const struct conf *c, struct listeners **ls_out,
    struct err *e)
{
	struct listeners *before = s->listeners, *ls;
	int rc;

	*ls_out = NULL;
	/* The command line's and systemd's do not change. */
	if (s->http.off || s->http.listen.n > 0 || before->given)
		return 0;
	ls = xcalloc(1, sizeof(*ls));
	ls->control_fd = before->control_fd;
	ls->conf = c;
	ls->before = before;
	s->listeners = ls;
	rc = listen_open_all(s, e);
	s->listeners = before;
	if (rc == 0)
		*ls_out = ls;
	else
		listen_discard(s, ls);
	return rc;
}

/* A new one that TCP or the service manager knows is forgotten there too. */
void
listen_discard(struct super *s, struct listeners *ls)
{
	for (size_t i = 0; ls != NULL && i < ls->n; i++) {
		if (ls->v[i].former)
			continue;
		listen_keep_no_more(s, ls->v[i].name);
		listen_drop(s, &ls->v[i]);
	}
	free(ls);
}

/* Nobody new gets in line: who asks for a connection is not answered, and asks
 * again when the socket is gone. Who is in line already will be taken. */
static void
close_door(const struct listener *l)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), /* flags of TCP */
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x02, 0, 1), /* SYN */
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog prog = { countof(code), code };

	if (l->path == NULL && setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_FILTER,
				   &prog, sizeof(prog)) == -1)
		log_warn("super", "who comes now may be refused",
		    LOG_STR("socket", l->name));
}

static bool
stays(const struct listeners *ls, const struct listener *l)
{
	for (size_t i = 0; i < ls->n; i++) {
		if (ls->v[i].former && ls->v[i].fd == l->fd)
			return true;
	}
	return false;
}

static void
let_go(struct super *s, struct listener *l)
{
	struct stat st;

	/* Of a path, nobody finds the way any more. */
	if (l->path != NULL && lstat(l->path, &st) == 0 &&
	    st.st_dev == l->dev && st.st_ino == l->ino)
		(void)unlink(l->path);
	close_door(l);
	log_info("super", "no more HTTP", LOG_STR("socket", l->name));
	gateways_close_socket(s->gateways, l->name);
	listen_keep_no_more(s, l->name);
	listen_drop(s, l);
}

void
listen_commit(struct super *s, struct listeners *ls)
{
	struct listeners *before = s->listeners;

	if (ls == NULL)
		return;
	ls->before = NULL;
	ls->conf = NULL;
	s->listeners = ls;
	for (size_t i = 0; i < ls->n; i++) {
		struct listener *l = &ls->v[i];

		if (l->former)
			continue;
		if (l->path == NULL)
			l->tls = s->http.tls_cert != NULL;
		log_info("super", "HTTP", LOG_STR("socket", l->name));
		/* Those with old settings may know no TLS; they are replaced,
		 * and the next ones get all there are. */
		if (!s->http_changed)
			gateways_lend_socket(
			    s->gateways, l->name, l->fd, l->tls);
	}
	for (size_t i = 0; i < before->n; i++) {
		if (!stays(ls, &before->v[i]))
			let_go(s, &before->v[i]);
	}
	for (size_t i = 0; i < ls->n; i++)
		ls->v[i].former = false;
	free(before);
	gateways_grow(s->gateways);
}
