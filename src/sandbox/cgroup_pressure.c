/*
 * Reads <group>/{cpu,memory,io}.pressure; see cgroup_pressure.h. Runs in the
 * supervisor; the kernel is who wrote them.
 */
#include "sandbox/cgroup_pressure.h"
#include "sandbox/cgroup_priv.h"

#include <stdio.h>
#include <string.h>

static const char *const names[PRESSURE_N] = {
	[PRESSURE_CPU] = "cpu",
	[PRESSURE_MEMORY] = "memory",
	[PRESSURE_IO] = "io",
};

const char *
cgroup_pressure_name(enum pressure p)
{
	return names[p];
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" */
static void
stall_read(const char *text, const char *word, struct cgroup_stall *st_out)
{
	const char *line = strstr(text, word);
	long long total;

	*st_out = (struct cgroup_stall){ .total_usec = -1 };
	if (line != NULL && sscanf(line + strlen(word),
				" avg10=%lf avg60=%lf avg300=%*f total=%lld",
				&st_out->avg10, &st_out->avg60, &total) == 3)
		st_out->total_usec = total;
}

void
cgroup_pressure(const struct cgroup *cg, struct cgroup_pressure *p)
{
	char path[SANDBOX_ID_MAX + 32], text[512];
	int i;

	for (i = 0; i < PRESSURE_N; i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s.pressure", cg->id, names[i]);
		if (!(cg->in & BIT(HIER_V2)) ||
		    cgroup_read(cg->host->dir_fds[HIER_V2], path, text,
			sizeof(text)) == -1)
			text[0] = '\0';
		stall_read(text, "some", &p->some[i]);
		stall_read(text, "full", &p->full[i]);
	}
}
