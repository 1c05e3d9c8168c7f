/*
 * Limits of a control group and the figures that it gives. Runs in the
 * supervisor; reads files of the kernel and writes numbers to them.
 */
#include "sandbox/cgroup_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CPU_PERIOD_USEC 100000

/* A file that holds one number, or the number after KEY in one of lines. */
static int64_t
file_int(int dir_fd, const char *path, const char *key)
{
	char buf[4096], *p, *end;
	long long v;

	if (cgroup_read(dir_fd, path, buf, sizeof(buf)) == -1)
		return -1;
	p = buf;
	while (key != NULL && p != NULL &&
	       (strncmp(p, key, strlen(key)) != 0 || p[strlen(key)] != ' ')) {
		p = strchr(p, '\n');
		if (p != NULL)
			p++;
	}
	if (p == NULL)
		return -1;
	errno = 0;
	v = strtoll(key ? p + strlen(key) : p, &end, 10);
	return errno == 0 && end != p && v >= 0 ? v : -1;
}

int64_t
cgroup_get(
    const struct cgroup *cg, enum hier k, const char *file, const char *key)
{
	char path[SANDBOX_ID_MAX + 64];

	if (!(cg->in & BIT(k)))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/%s", cg->id, file);
	return file_int(cg->host->dir_fds[k], path, key);
}

/* --- limits -------------------------------------------------------------- */

/* Memory with version 1: the two bounds must never cross on the way. */
static int
set_memory_v1(const struct cgroup *cg, int64_t bytes)
{
	/* memsw only where swap is accounted */
	(void)cgroup_set(cg, HIER_MEMORY, "memory.memsw.limit_in_bytes", bytes);
	if (cgroup_set(cg, HIER_MEMORY, "memory.limit_in_bytes", bytes) == -1)
		return -1;
	(void)cgroup_set(cg, HIER_MEMORY, "memory.memsw.limit_in_bytes", bytes);
	return 0;
}

static int
set_text(
    const struct cgroup *cg, enum hier k, const char *file, const char *text)
{
	char path[SANDBOX_ID_MAX + 64];

	(void)snprintf(path, sizeof(path), "%s/%s", cg->id, file);
	return cgroup_write(cg->host->dir_fds[k], path, text);
}

/* 0: no limit. */
static int
set_memory(const struct cgroup *cg, int64_t bytes)
{
	if (!cg->host->v2_limits)
		return set_memory_v1(cg, bytes > 0 ? bytes : -1);
	if (bytes <= 0) {
		(void)set_text(cg, HIER_V2, "memory.swap.max", "max");
		return set_text(cg, HIER_V2, "memory.max", "max");
	}
	/* else the limit would only start to swap; no swap, no file */
	(void)cgroup_set(cg, HIER_V2, "memory.swap.max", 0);
	return cgroup_set(cg, HIER_V2, "memory.max", bytes);
}

static int
set_pids(const struct cgroup *cg, int64_t n)
{
	enum hier k = cg->host->v2_limits ? HIER_V2 : HIER_PIDS;

	return n > 0 ? cgroup_set(cg, k, "pids.max", n)
		     : set_text(cg, k, "pids.max", "max");
}

static int
set_cpu(const struct cgroup *cg, int64_t millis)
{
	int64_t usec = millis * (CPU_PERIOD_USEC / 1000);
	char text[64];

	if (!cg->host->v2_limits)
		return cgroup_set(cg, HIER_CPU, "cpu.cfs_period_us",
			   CPU_PERIOD_USEC) == -1
			   ? -1
			   : cgroup_set(cg, HIER_CPU, "cpu.cfs_quota_us",
				 millis > 0 ? usec : -1);
	if (millis > 0)
		(void)snprintf(text, sizeof(text), "%lld %d", (long long)usec,
		    CPU_PERIOD_USEC);
	else
		(void)snprintf(text, sizeof(text), "max %d", CPU_PERIOD_USEC);
	return set_text(cg, HIER_V2, "cpu.max", text);
}

void
cgroup_hurry(const struct cgroup *cg)
{
	if (cg->in & BIT(cg->host->v2_limits ? HIER_V2 : HIER_CPU))
		(void)set_cpu(cg, 0); /* no less dead without */
}

/* 100 is what those have that say nothing; so are 1024 shares. */
static int
set_cpu_weight(const struct cgroup *cg, int64_t weight)
{
	if (weight <= 0)
		weight = 100;
	if (cg->host->v2_limits)
		return cgroup_set(cg, HIER_V2, "cpu.weight", weight);
	return cgroup_set(
	    cg, HIER_CPU, "cpu.shares", MAX(weight * 1024 / 100, 2));
}

bool
cgroup_host_weighs_cpu(const struct cgroup_host *h)
{
	return h->v2_limits || h->dir_fds[HIER_CPU] != -1;
}

/* By the disk's scheduler (bfq, 1 to 1000) or by cost. */
static const char *const io_files[] = { "io.weight", "io.bfq.weight" };

bool
cgroup_host_weighs_io(const struct cgroup_host *h)
{
	size_t i;

	for (i = 0; i < countof(io_files) && h->v2_limits; i++)
		if (faccessat(h->dir_fds[HIER_V2], io_files[i], W_OK, 0) == 0)
			return true;
	return false;
}

static int
set_io_weight(const struct cgroup *cg, int64_t weight)
{
	if (cgroup_set(cg, HIER_V2, io_files[0], weight) == 0)
		return 0;
	return cgroup_set(cg, HIER_V2, io_files[1], MIN(weight, 1000));
}

int
cgroup_limits_set(
    const struct cgroup *cg, const struct plan_limits *l, struct err *e)
{
	if (l->memory_bytes > 0 && set_memory(cg, l->memory_bytes) == -1)
		return err_sys(e, "limit memory");
	if (l->pids > 0 && set_pids(cg, l->pids) == -1)
		return err_sys(e, "limit pids");
	if (l->cpu_millis > 0 && set_cpu(cg, l->cpu_millis) == -1)
		return err_sys(e, "limit cpu");
	if (l->cpu_weight > 0 && set_cpu_weight(cg, l->cpu_weight) == -1)
		return err_sys(e, "weigh cpu");
	if (l->io_weight > 0 && set_io_weight(cg, l->io_weight) == -1)
		return err_sys(e, "weigh io");
	return 0;
}

/* One limit from OLD to NEW. */
static int
change(const struct cgroup *cg, enum hier k, int64_t old, int64_t new,
    int (*set)(const struct cgroup *, int64_t), struct err *e)
{
	if (old == new)
		return 0;
	if (!cg->host->v2_limits && !(cg->in & BIT(k)))
		return err_set(e, ERR_SANDBOX_STATE,
		    "limit %s: it had none when it was started; stop it first",
		    cgroup_names[k]);
	return set(cg, new) == -1 ? err_sys(e, "limit %s", cgroup_names[k]) : 0;
}

int
cgroup_limits_change(const struct cgroup *cg, const struct plan_limits *old,
    const struct plan_limits *new, struct err *e)
{
	if (change(cg, HIER_MEMORY, old->memory_bytes, new->memory_bytes,
		set_memory, e) == -1)
		return -1;
	if (change(cg, HIER_CPU, old->cpu_millis, new->cpu_millis, set_cpu,
		e) == -1)
		goto memory;
	if (change(cg, HIER_PIDS, old->pids, new->pids, set_pids, e) == -1)
		goto cpu;
	if (change(cg, HIER_CPU, old->cpu_weight, new->cpu_weight,
		set_cpu_weight, e) == -1)
		goto pids;
	return 0;
pids:
	(void)change(cg, HIER_PIDS, new->pids, old->pids, set_pids, NULL);
cpu:
	(void)change(
	    cg, HIER_CPU, new->cpu_millis, old->cpu_millis, set_cpu, NULL);
memory:
	(void)change(cg, HIER_MEMORY, new->memory_bytes, old->memory_bytes,
	    set_memory, NULL);
	return -1;
}

/* --- events -------------------------------------------------------------- */

int64_t
cgroup_oom_kills(const struct cgroup *cg)
{
	return cg->host->v2_limits
		   ? cgroup_get(cg, HIER_V2, "memory.events", "oom_kill")
		   : cgroup_get(
			 cg, HIER_MEMORY, "memory.oom_control", "oom_kill");
}

int64_t
cgroup_pids_refused(const struct cgroup *cg)
{
	return cgroup_get(cg, cg->host->v2_limits ? HIER_V2 : HIER_PIDS,
	    "pids.events", "max");
}

/* --- figures ------------------------------------------------------------- */

static int64_t
pids_count(const struct cgroup *cg)
{
	autofree char *buf = NULL;
	char path[SANDBOX_ID_MAX + 32], *p;
	int64_t n = 0;

	if (!(cg->in & BIT(HIER_V2)))
		return -1;
	buf = malloc(CGROUP_FILE_MAX);
	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", cg->id);
	if (buf == NULL || cgroup_read(cg->host->dir_fds[HIER_V2], path, buf,
			       CGROUP_FILE_MAX) == -1)
		return -1;
	for (p = buf; (p = strchr(p, '\n')) != NULL; p++)
		n++;
	return n;
}

/* Lines of `8:0 rbytes=1 wbytes=2 …`, one a device. */
static void
io_stats(const struct cgroup *cg, struct cgroup_stats *st)
{
	char path[SANDBOX_ID_MAX + 32], buf[4096];

	(void)snprintf(path, sizeof(path), "%s/io.stat", cg->id);
	if (cgroup_read(cg->host->dir_fds[HIER_V2], path, buf, sizeof(buf)) ==
	    -1)
		return;
	st->io_read_bytes = st->io_written_bytes = 0;
	for (const char *p = buf; (p = strstr(p, "rbytes=")) != NULL; p++)
		st->io_read_bytes += strtoll(p + 7, NULL, 10);
	for (const char *p = buf; (p = strstr(p, "wbytes=")) != NULL; p++)
		st->io_written_bytes += strtoll(p + 7, NULL, 10);
}

void
cgroup_stats(const struct cgroup *cg, struct cgroup_stats *st)
{
	*st = (struct cgroup_stats){ -1, -1, -1, -1, -1, -1, -1 };
	if (cg->host->v2_limits) {
		st->memory_bytes =
		    cgroup_get(cg, HIER_V2, "memory.current", NULL);
		st->memory_peak_bytes =
		    cgroup_get(cg, HIER_V2, "memory.peak", NULL);
		st->pids = cgroup_get(cg, HIER_V2, "pids.current", NULL);
		io_stats(cg, st);
	} else {
		st->memory_bytes =
		    cgroup_get(cg, HIER_MEMORY, "memory.usage_in_bytes", NULL);
		st->memory_peak_bytes = cgroup_get(
		    cg, HIER_MEMORY, "memory.max_usage_in_bytes", NULL);
		st->pids = cgroup_get(cg, HIER_PIDS, "pids.current", NULL);
		if (st->pids == -1)
			st->pids = pids_count(cg);
	}
	st->oom_kills = cgroup_oom_kills(cg);
	st->cpu_usec = cgroup_get(cg, HIER_V2, "cpu.stat", "usage_usec");
}
