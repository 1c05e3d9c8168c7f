/*
 * What `run` knows of agents: which need the network, which of the caller's
 * environment they may have, where their program is on this host.
 */
#ifndef CTL_AGENTS_H
#define CTL_AGENTS_H

#include "ctl/ctl.h"
#include <limits.h>

struct agent_info {
	const char *name;
	/* On PATH; NULL: built in, or the supervisor has it. */
	const char *program;
	bool needs_network;
	const char *const *env;	 /* names, or prefixes ending in '*' */
	const char *const *keys; /* one of these should be set */
};

/* NULL for one that we know nothing of; the supervisor may. */
const struct agent_info *agent_info_find(const char *name);
/* The same from the supervisor, which is asked: NULL when it knows nothing of
 * it either, or cannot be asked. Good until the next call. */
const struct agent_info *agent_info_ask(struct ctl *ctl, const char *name);
/* May the agent have variable NAME (up to LEN) of our environment? */
bool agent_info_env(const struct agent_info *ai, const char *name, size_t len);

#define AGENT_MOUNTS 2

/* How to start the agent inside. */
struct agent_program {
	char command[2][PATH_MAX]; /* interpreter if need be, program */
	size_t ncommand;
	char mounts[AGENT_MOUNTS][PATH_MAX]; /* to show at the same path */
	size_t nmounts;
};

/* HOST_IMAGE: the sandbox shows the host's own /usr and the like. -1 with E
 * when there is no such program on PATH. */
int agent_program_find(const struct agent_info *ai, bool host_image,
    struct agent_program *p_out, struct err *e);

/* Does the host image show PATH, absolute and without links, to everybody? */
bool agent_path_is_shown(const char *path);
/* What to mount for a program: up to the outermost node_modules, else the
 * directory it is in, or it alone where that would show too much. */
int agent_program_dir(const char *path, char dst[PATH_MAX]);

#endif
