/*
 * What people write in flags, checked and turned into arguments of requests:
 * mounts, environment, labels, limits, durations.
 */
#ifndef CTL_SPEC_H
#define CTL_SPEC_H

#include "ctl/opt.h"

struct spec_mount {
	char source[4096]; /* absolute, without links */
	const char *target;
	size_t target_len;
	const char *mode;
};
/* SOURCE:TARGET[:ro|rw|cow]; parts borrow from TEXT. */
int spec_mount_parse(const char *text, struct spec_mount *m_out, struct err *e);
void spec_mount_write(struct jw *w, const struct spec_mount *m);

/* "NAME=VALUE", or "NAME" for the value in our own environment, as a member of
 * the object that W is writing. */
int spec_env(struct jw *w, const char *text, struct err *e);
/* "NAME=VALUE" alone. */
int spec_pair(struct jw *w, const char *text, struct err *e);
/* Does a value of flag FLAG from position POS on set NAME[0..len)? The last
 * one wins, and an object may not hold a name twice. */
bool spec_has_name(const struct args *a, const char *flag, size_t pos,
    const char *name, size_t len);
/* Every value of flag FLAG through FN, as the object KEY; nothing without. */
int
spec_map(struct jw *w, const struct args *a, const char *flag, const char *key,
    int (*fn)(struct jw *, const char *, struct err *), struct err *e);

/* "10" (seconds), "10s", "5m", "500ms". */
int spec_ms(const char *text, int64_t *ms_out, struct err *e);
/* The flags of limits, as the object "limits"; nothing without any. */
int spec_limits(struct jw *w, const struct args *a, struct err *e);
/* KEY with the flag's value when it is given. */
void spec_copy(
    struct jw *w, const struct args *a, const char *flag, const char *key);

/* --install or --no-install, as "install"; nothing without either. */
int spec_install(struct jw *w, const struct args *a, struct err *e);

/* --allow, --deny and --egress-default, as the object "egress"; nothing
 * without any. */
void spec_egress(struct jw *w, const struct args *a);
bool spec_has_egress(const struct args *a);

#define SPEC_EGRESS_OPTS                                                     \
	{ "allow", '\0', "RULE",                                             \
		"With network filtered: let it reach HOST, *.HOST, ADDRESS " \
		"or "                                                        \
		"NETWORK, with :PORTS if need be. May be repeated." },       \
	    { "deny", '\0', "RULE", "Never that. May be repeated." },        \
	{                                                                    \
		"egress-default", '\0', "WORD",                              \
		    "What becomes of the rest: deny (the default) or allow." \
	}

#define SPEC_INSTALL_OPTS                                                 \
	{ "install", '\0', NULL, "Install the agent if it is missing." }, \
	{                                                                 \
		"no-install", '\0', NULL, "Do not."                       \
	}

#define SPEC_LIMIT_OPTS                                                        \
	{ "memory", 'm', "SIZE", "Memory at most, like 512M or 2G." },         \
	    { "cpu", '\0', "CORES", "Processor time at most, like 1.5." },     \
	    { "pids", '\0', "N", "Processes and threads at most." },           \
	    { "open-files", '\0', "N",                                         \
		    "Open files of each process at most." },                   \
	    { "disk", '\0', "SIZE", "What it writes at most, like 1G." },      \
	    { "inodes", '\0', "N",                                             \
		    "Files that it makes at most; with --disk." },             \
	    { "cpu-weight", '\0', "N",                                         \
		    "Its share when processors are scarce; 100 is usual." },   \
	    { "io-weight", '\0', "N",                                          \
		    "Its share when the disk is busy; 100 is usual." },        \
	    { "idle", '\0', "TIME", "Stop it when unused for this time." },    \
	{                                                                      \
		"time", '\0', "TIME", "Life of the sandbox at most, like 10m." \
	}

#define SPEC_MORE_OPTS                                               \
	{ "tmpfs", '\0', "DIR[:SIZE]",                               \
		"A file system in memory there. May be repeated." }, \
	{                                                            \
		"host", '\0', "NAME=ADDRESS",                        \
		    "A line of its /etc/hosts. May be repeated."     \
	}

/* The flags of SPEC_MORE_OPTS, as "tmpfs" and "hosts". */
int spec_more(struct jw *w, const struct args *a, struct err *e);

#define SPEC_SERVICE_OPTS                                                    \
	{ "restart", '\0', "WHEN",                                           \
		"Start COMMAND again: never, always, on-failure or "         \
		"on-abnormal." },                                            \
	    { "backoff", '\0', "TIME",                                       \
		    "How long after its end; longer each time." },           \
	    { "start-limit", '\0', "N",                                      \
		    "So many starts in ten seconds are enough." },           \
	    { "ready", '\0', "HOW",                                          \
		    "When it is ready: notify, tcp:PORT, http:PORT/PATH or " \
		    "exec:COMMAND." },                                       \
	    { "ready-timeout", '\0', "TIME",                                 \
		    "It must be ready within that." },                       \
	    { "watchdog", '\0', "TIME[:ACTION]",                             \
		    "Silent for so long it is hung: restart, stop or "       \
		    "nothing." },                                            \
	{                                                                    \
		"finish", '\0', "COMMAND",                                   \
		    "Run after each end, with its code and signal."          \
	}

/* The flags of SPEC_SERVICE_OPTS, as the object "service"; nothing without any.
 * (spec_service.c) */
int spec_service(struct jw *w, const struct args *a, struct err *e);

#endif
