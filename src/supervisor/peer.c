/*
 * Who a client of the control socket is, and whether it may use us. Runs in the
 * supervisor.
 */
#include "supervisor/peer.h"

#include "lib/strutil.h"
#include "supervisor/powers.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>

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
peer_allowed(const struct super *s, int fd, const struct ucred *cr)
{
	/* Where users are shared with sandboxes, an id alone says nothing. */
	if (powers_in_sandbox(s, cr->pid))
		return false;
	return cr->uid == 0 || cr->uid == geteuid() ||
	       is_allowed_user(&s->conf, cr->uid) ||
	       in_allowed_group(&s->conf, fd, cr->gid);
}
