/*
 * What doctor looks at in the kernel and in the system's settings. Runs in the
 * supervisor or in sandboxd --doctor, with whoever's rights those have. It
 * reads files of the kernel and of the system's administrator.
 */
#include "supervisor/doctor.h"

#include "lib/strutil.h"
#include "sandbox/cgroup.h"
#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#define NOFILE_WANTED 4096
#define PID_MAX_WANTED 32768

/* The number in a file; -1 when there is none. */
static int64_t
number_in(const char *path)
{
	FILE *f = fopen(path, "re");
	long long v = -1;

	if (f == NULL)
		return -1;
	if (fscanf(f, "%lld", &v) != 1)
		v = -1;
	(void)fclose(f); /* only read */
	return v;
}

static bool
has_word(const char *path, const char *word)
{
	FILE *f = fopen(path, "re");
	char line[1024], *rest, *w;
	bool found = false;

	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		rest = line;
		while ((w = strtok_r(rest, " ,\t\n", &rest)) != NULL)
			found = found || strcmp(w, word) == 0;
	}
	(void)fclose(f); /* only read */
	return found;
}

/* --- mechanisms ---------------------------------------------------------- */

static const char *
mend_user(void)
{
	if (number_in(
		"/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
		return "sysctl -w "
		       "kernel.apparmor_restrict_unprivileged_userns=0";
	if (number_in("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		return "sysctl -w kernel.unprivileged_userns_clone=1";
	if (number_in("/proc/sys/user/max_user_namespaces") == 0)
		return "sysctl -w user.max_user_namespaces=15000";
	return "docker run --security-opt seccomp=unconfined "
	       "--cap-add SYS_ADMIN ... (in a container); else a kernel with "
	       "CONFIG_USER_NS=y";
}

static const char *
mend_cgroup(const struct super *s)
{
	if (s->root)
		return "systemctl edit sandboxd (add: [Service] "
		       "Delegate=yes); without systemd: mount -t cgroup2 none "
		       "/sys/fs/cgroup";
	return "systemd-run --user --scope -p Delegate=yes sandboxd";
}

static const char *
mend_mechanism(const struct super *s, enum mechanism m)
{
	switch (m) {
	case MECH_USER:
		return mend_user();
	case MECH_PID:
		return "docker run --security-opt systempaths=unconfined ... "
		       "(a container covers parts of /proc)";
	case MECH_CGROUP:
		return mend_cgroup(s);
	case MECH_OVERLAY:
		return "modprobe overlay";
	case MECH_IDMAP:
		return geteuid() != 0 ? "sudo systemctl start sandboxd (only "
					"root maps mounts)"
				      : "docker run --cap-add SYS_ADMIN "
					"--cap-add SETUID --cap-add SETGID "
					"... (in a container); else Linux "
					"5.12 or later";
	case MECH_SECCOMP:
		return "a kernel with CONFIG_SECCOMP_FILTER=y";
	case MECH_LANDLOCK:
		return "add lsm=landlock,lockdown,yama,integrity,apparmor,bpf "
		       "to GRUB_CMDLINE_LINUX in /etc/default/grub and run "
		       "update-grub; needs Linux 6.2 or later";
	default:
		return mend_user();
	}
}

static void
check_mechanisms(struct doctor *d)
{
	const struct host *h = &d->s->host;

	for (int m = 0; m < MECH_N; m++) {
		const char *name = mechanism_name((enum mechanism)m);

		/* Its namespace may be there while its groups are not: those
		 * are told below. */
		if (h->have[m])
			doctor_say(d, name, DOCTOR_OK, NULL, "holds");
		else
			doctor_say(d, name, DOCTOR_MISSING,
			    mend_mechanism(d->s, (enum mechanism)m), "%s",
			    h->why_not[m]);
	}
	if (h->landlock_abi > 0 && h->landlock_abi < 6)
		doctor_say(d, "landlock abi", DOCTOR_NOTE,
		    "a kernel of 6.12 or later",
		    "version %d: abstract sockets are not bound in sandboxes "
		    "with network host (6)",
		    h->landlock_abi);
	else
		doctor_say(d, "landlock abi",
		    h->landlock_abi > 0 ? DOCTOR_OK : DOCTOR_NOTE, NULL,
		    "version %d", h->landlock_abi);
}

static void
check_kernel(struct doctor *d)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	(void)uname(&u); /* cannot fail */
	(void)sscanf(u.release, "%u.%u", &major, &minor);
	doctor_say(d, "kernel",
	    major * 1000 + minor >= 5012 ? DOCTOR_OK : DOCTOR_MISSING,
	    "apt-get install linux-image-amd64 (5.12 or later is needed)",
	    "Linux %s, %s", u.release, u.machine);
}

/* --- control groups ------------------------------------------------------ */

static void
check_controllers(struct doctor *d)
{
	static const struct {
		const char *name, *v1, *v2_file;
	} tab[] = {
		{ "group memory", "/sys/fs/cgroup/memory", "memory" },
		{ "group cpu", "/sys/fs/cgroup/cpu", "cpu" },
		{ "group pids", "/sys/fs/cgroup/pids", "pids" },
		{ "group io", "/sys/fs/cgroup/blkio", "io" },
	};
	static const char *const v2[] = { "/sys/fs/cgroup/cgroup.controllers",
		"/sys/fs/cgroup/unified/cgroup.controllers" };
	bool freeze = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ||
		      access("/sys/fs/cgroup/unified", F_OK) == 0 ||
		      access("/sys/fs/cgroup/freezer", F_OK) == 0;

	for (size_t i = 0; i < countof(tab); i++) {
		bool two = has_word(v2[0], tab[i].v2_file) ||
			   has_word(v2[1], tab[i].v2_file);
		bool one = access(tab[i].v1, F_OK) == 0;

		if (two || one)
			doctor_say(d, tab[i].name, DOCTOR_OK, NULL,
			    "version %s", two ? "2" : "1");
		else
			/* Only figures of it are shown without io. */
			doctor_say(d, tab[i].name,
			    i == 3 ? DOCTOR_NOTE : DOCTOR_MISSING,
			    mend_cgroup(d->s), "no such controller here");
	}
	doctor_say(d, "group freezer", freeze ? DOCTOR_OK : DOCTOR_MISSING,
	    mend_cgroup(d->s), "%s",
	    freeze ? "sandboxes can be paused" : "nothing to pause with");
	if (!d->running)
		return;
	if (d->s->cgroups == NULL)
		doctor_say(d, "groups", DOCTOR_MISSING, mend_cgroup(d->s),
		    "the daemon cannot make groups: %.300s",
		    d->s->cgroups_why.text);
	else
		doctor_say(d, "groups", DOCTOR_OK, NULL,
		    "made below the daemon's own, %s",
		    cgroup_host_kind(d->s->cgroups));
}

/* --- ids ----------------------------------------------------------------- */

/* The first range of /etc/subuid that lies in ours: whose. */
static bool
range_taken(int64_t base, int64_t count, char *dst, size_t size)
{
	FILE *f = fopen("/etc/subuid", "re");
	long long first, n;
	char line[256], user[128];
	bool found = false;

	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%127[^:]:%lld:%lld", user, &first, &n) != 3)
			continue;
		found = first < base + count && base < first + n;
		if (found)
			(void)snprintf(dst, size, "%s has %lld to %lld", user,
			    first, first + n - 1);
	}
	(void)fclose(f); /* only read */
	return found;
}

/* The command of root that writes down a range for the caller. */
static void
mend_ranges(const struct subids *si, char *dst, size_t size)
{
	bool uids = si->nuids == 0 || si->lack == SUBIDS_NO_UIDS;
	bool gids = si->ngids == 0 || si->lack == SUBIDS_NO_GIDS;
	uint32_t first = subids_free_range(), last = first + PLAN_IDS - 1;
	char u[64] = "", g[64] = "";

	if (uids)
		(void)snprintf(
		    u, sizeof(u), "--add-subuids %u-%u ", first, last);
	if (gids)
		(void)snprintf(
		    g, sizeof(g), "--add-subgids %u-%u ", first, last);
	(void)snprintf(dst, size, "sudo usermod %s%s%s (then restart sandboxd)",
	    u, g, si->name);
}

/* An ordinary user: what may he give away? */
static void
check_lent(struct doctor *d, const struct subids *si)
{
	struct subids_slice sl;
	char mend[300] = "sudo systemctl start sandboxd (root needs nobody to "
			 "lend it ids)";
	unsigned n;

	if (si->lack == SUBIDS_HAVE) {
		n = subids_count(si);
		sl = subids_slice(si, 0);
		doctor_say(d, "ids", DOCTOR_OK, NULL,
		    "%u of %s's from uid %u and gid %u on: %u sandbox%s with "
		    "%u of their own each, more would share",
		    n * sl.count, si->name, sl.uid, sl.gid, n,
		    n == 1 ? "" : "es", sl.count);
		return;
	}
	switch (si->lack) {
	case SUBIDS_NO_PROGRAM:
		(void)snprintf(mend, sizeof(mend),
		    "sudo apt-get install --reinstall uidmap (then "
		    "restart sandboxd)");
		break;
	case SUBIDS_NO_UIDS:
	case SUBIDS_NO_GIDS:
		mend_ranges(si, mend, sizeof(mend));
		break;
	case SUBIDS_BARRED:
		(void)snprintf(mend, sizeof(mend),
		    "start sandboxd without NoNewPrivileges=yes");
		break;
	default:
		break;
	}
	doctor_say(d, "ids", DOCTOR_NOTE, mend,
	    "one id is mapped, a sandbox has no other user than its root%s%s",
	    si->why[0] != '\0' ? ": " : "", si->why);
}

static void
check_ids(struct doctor *d)
{
	const struct conf *c = &d->s->conf;
	int64_t count = c->max_sandboxes * (int64_t)PLAN_IDS;
	char who[200];

	if (!d->s->root) {
		check_lent(d, &d->s->host.subids);
		return;
	}
	if (range_taken(c->ids_base, count, who, sizeof(who)))
		doctor_say(d, "ids", DOCTOR_NOTE,
		    "set ids_base in the section [sandbox] of sandboxd.conf to "
		    "a number that is free",
		    "from %lld on, which others may use: in /etc/subuid %s",
		    (long long)c->ids_base, who);
	else
		doctor_say(d, "ids", DOCTOR_OK, NULL,
		    "%lld to %lld, nobody else's in /etc/subuid",
		    (long long)c->ids_base,
		    (long long)(c->ids_base + count - 1));
}

/* --- limits -------------------------------------------------------------- */

static void
check_limits(struct doctor *d)
{
	int64_t namespaces = number_in("/proc/sys/user/max_user_namespaces");
	int64_t pids = number_in("/proc/sys/kernel/pid_max");
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0)
		doctor_say(d, "open files",
		    rl.rlim_max >= NOFILE_WANTED ? DOCTOR_OK : DOCTOR_NOTE,
		    "systemctl edit sandboxd (add: [Service] "
		    "LimitNOFILE=1048576); without systemd: ulimit -n 65536",
		    "at most %llu; a sandbox takes about ten",
		    (unsigned long long)rl.rlim_max);
	if (namespaces > 0)
		doctor_say(d, "user namespaces",
		    namespaces >= d->s->conf.max_sandboxes ? DOCTOR_OK
							   : DOCTOR_NOTE,
		    "sysctl -w user.max_user_namespaces=15000",
		    "at most %lld, and %lld sandboxes", (long long)namespaces,
		    (long long)d->s->conf.max_sandboxes);
	if (pids > 0)
		doctor_say(d, "processes",
		    pids >= PID_MAX_WANTED ? DOCTOR_OK : DOCTOR_NOTE,
		    "sysctl -w kernel.pid_max=4194304", "pid_max is %lld",
		    (long long)pids);
}

void
doctor_host(struct doctor *d)
{
	check_kernel(d);
	check_mechanisms(d);
	check_controllers(d);
	check_ids(d);
	check_limits(d);
}
