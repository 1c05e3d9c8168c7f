/*
 * What we may do; see powers.h. Runs in the supervisor at start, and when a
 * client connects. Reads /proc, of our own process and of peers.
 */
#include "supervisor/powers.h"

#include "lib/log.h"
#include "lib/proctree.h"
#include "supervisor/sandboxes.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define CAP_BIT(c) (1ull << (c))
#define HELPER_IDS 5u /* from ids_base on; the rest of the range is spare */

/* To give files to our helpers, to make them somebody else in an empty root,
 * and still to manage both. */
#define NEEDED                                                              \
	(CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_DAC_OVERRIDE) |                   \
	    CAP_BIT(CAP_FOWNER) | CAP_BIT(CAP_KILL) | CAP_BIT(CAP_SETGID) | \
	    CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SYS_CHROOT))

static bool
caps_suffice(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct d[2];

	memset(d, 0, sizeof(d));
	if (syscall(SYS_capget, &head, d) == -1)
		return false;
	return (d[0].effective & NEEDED) == NEEDED;
}

/* Of an id that the user namespace does not map nobody can be. */
static bool
mapped(const char *path, int64_t id)
{
	FILE *f = fopen(path, "re");
	unsigned long first, outside, n;
	bool found = false;

	if (f == NULL)
		return true; /* without user namespaces all are */
	while (!found && fscanf(f, "%lu %lu %lu", &first, &outside, &n) == 3)
		found = (unsigned long)id >= first &&
			(unsigned long)id + HELPER_IDS <= first + n;
	(void)fclose(f); /* only read */
	return found;
}

bool
powers_of_root(const struct conf *c)
{
	return geteuid() == 0 && caps_suffice() &&
	       mapped("/proc/self/uid_map", c->ids_base) &&
	       mapped("/proc/self/gid_map", c->ids_base);
}

const char *
powers_minimum(const struct super *s)
{
	if (strcmp(s->conf.minimum, "auto") != 0)
		return s->conf.minimum;
	return s->command != NULL || getpid() == 1 ? "reduced" : "namespaces";
}

void
powers_accept(struct super *s)
{
	s->host.accept_reduced = strcmp(powers_minimum(s), "reduced") == 0;
	if (!s->host.reduced)
		return;
	if (!s->host.accept_reduced) {
		log_warn("super",
		    "no sandbox can be made here: namespaces are missing",
		    LOG_STR("minimum", powers_minimum(s)));
		return;
	}
	log_warn("super",
	    "REDUCED ISOLATION: sandboxes are process trees of this container "
	    "and see its files, processes and network");
	for (int m = 0; m < MECH_N; m++)
		if (!s->host.have[m])
			log_warn("super", "missing",
			    LOG_STR(
				"mechanism", mechanism_name((enum mechanism)m)),
			    LOG_STR("why", s->host.why_not[m]));
}

bool
powers_in_sandbox(const struct super *s, pid_t pid)
{
	struct proctree t = { NULL, 0, 0 };
	const struct proctree_node *n = NULL;
	const struct sandbox *sb;
	bool in = false;

	if (!s->host.reduced || LIST_EMPTY(&s->sandboxes))
		return false;
	autofd int proc_fd = proctree_open();
	if (proc_fd == -1 || !proctree_read(&t, proc_fd))
		return true; /* it cannot be told: then it is not let in */
	for (size_t i = 0; i < t.n; i++)
		if (t.v[i].pid == pid)
			n = &t.v[i];
	if (n == NULL)
		in = true; /* gone, or hidden */
	LIST_FOREACH (sb, &s->sandboxes, link)
		if (!in && sb->proc.pid > 0)
			in = proctree_below(&t, n, sb->proc.pid) != 0;
	proctree_free(&t);
	return in;
}
