/*
 * Who a client of the control socket is, and whether it may use us. Runs in the
 * supervisor.
 */
#include "supervisor/peer.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/powers.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

static bool
in_allowed_group(const struct conf *cf, int fd, gid_t gid)
{
	gid_t groups[256];
	socklen_t len = sizeof(groups);
	struct group *gr;

	if (cf->allow_group[0] == '\0' ||
	    (gr = getgrnam(cf->allow_group)) == NULL)
		return false;
	if (gid == gr->gr_gid)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1)
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++) {
		if (groups[i] == gr->gr_gid)
			return true;
	}
	return false;
}

static bool
is_allowed_user(const struct conf *cf, uid_t uid)
{
	const char *at = cf->allow_users;
	char word[64];
	struct passwd *pw;
	int64_t number;

	for (;;) {
		size_t n;

		at += strspn(at, " ,\t");
		n = strcspn(at, " ,\t");
		if (n == 0)
			return false;
		if (n < sizeof(word)) {
			memcpy(word, at, n);
			word[n] = '\0';
			if (str_to_int(word, 0, UINT32_MAX, &number) == 0) {
				if ((uid_t)number == uid)
					return true;
			} else if ((pw = getpwnam(word)) != NULL &&
				   pw->pw_uid == uid) {
				return true;
			}
		}
		at += n;
	}
}

bool
peer_barred(const struct conf *cf, char *dst, size_t size)
{
	struct group *gr = NULL;
	struct stat st;
	char *slash;
	bool group;

	if (cf->allow_group[0] != '\0')
		gr = getgrnam(cf->allow_group);
	if ((gr == NULL && cf->allow_users[0] == '\0') ||
	    str_copy(dst, size, cf->run_dir) == -1)
		return false;
	while (dst[0] != '\0') {
		group = gr != NULL && cf->allow_users[0] == '\0';
		if (stat(dst, &st) == 0) {
			group = group && st.st_gid == gr->gr_gid;
			if ((st.st_mode & (group ? S_IXGRP : S_IXOTH)) == 0)
				return true;
		}
		slash = strrchr(dst, '/');
		if (slash == NULL)
			break;
		*slash = '\0';
	}
	return false;
}

void
peers_check(const struct super *s)
{
	char at[128]; /* run_dir is shorter */

	if (peer_barred(&s->conf, at, sizeof(at)))
		log_warn("control",
		    "allow_users and allow_group are of no use: nobody else "
		    "gets to the socket",
		    LOG_STR("directory", at));
}

/* --- how much of us one user takes ---------------------------------------- */

/* Nobody else's limits are for those who could change them. */
static bool
unlimited(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

/* A second's requests may come at once. */
static void
refill(struct peer_use *u, int64_t rate)
{
	int64_t now = now_monotonic_ms();

	u->tokens += (double)(now - u->at_ms) * (double)rate / 1000.0;
	u->tokens = MIN(u->tokens, (double)rate);
	u->at_ms = now;
}

/* Those who have left are remembered for as long as their haste counts. */
static void
forget_idle(struct super *s)
{
	struct peer_use *u = LIST_FIRST(&s->peers), *next;

	for (; u != NULL; u = next) {
		next = LIST_NEXT(u, link);
		if (u->clients > 0 || now_monotonic_ms() - u->at_ms < 1000)
			continue;
		LIST_REMOVE(u, link);
		free(u);
	}
}

struct peer_use *
peer_enter(struct super *s, uid_t uid)
{
	struct peer_use *u;

	if (unlimited(uid))
		return NULL;
	forget_idle(s);
	LIST_FOREACH (u, &s->peers, link) {
		if (u->uid == uid)
			break;
	}
	if (u == NULL) {
		u = xcalloc(1, sizeof(*u));
		u->uid = uid;
		u->tokens = (double)s->conf.control_rate;
		u->at_ms = now_monotonic_ms();
		LIST_INSERT_HEAD(&s->peers, u, link);
	}
	u->clients++;
	return u;
}

void
peer_leave(struct peer_use *u)
{
	if (u != NULL)
		u->clients--;
}

bool
peer_too_many(const struct super *s, const struct peer_use *u)
{
	return u != NULL && s->conf.max_per_user > 0 &&
	       u->clients > (size_t)s->conf.max_per_user;
}

int64_t
peer_wait_ms(const struct super *s, struct peer_use *u)
{
	int64_t rate = s->conf.control_rate;

	if (u == NULL || rate == 0)
		return 0;
	refill(u, rate);
	if (u->tokens < 1.0)
		return 1 + (int64_t)((1.0 - u->tokens) * 1000.0 / (double)rate);
	u->tokens -= 1.0;
	return 0;
}

void
peers_free(struct super *s)
{
	struct peer_use *u;

	while ((u = LIST_FIRST(&s->peers)) != NULL) {
		LIST_REMOVE(u, link);
		free(u);
	}
}

bool
peer_allowed(const struct super *s, int fd, const struct ucred *cr)
{
	/* Where users are shared with sandboxes, an id alone says nothing. */
	if (powers_in_sandbox(s, cr->pid))
		return false;
	return cr->uid == 0 || cr->uid == geteuid() ||
	       is_allowed_user(&s->conf, cr->uid) ||
	       in_allowed_group(&s->conf, fd, cr->gid);
}
