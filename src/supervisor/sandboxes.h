/*
 * Sandboxes: their records, their life, and what waits for them.
 *
 *	creating -> running -> stopped -> running …
 *	                    -> error (init keeps dying; the backoff is on, or
 *	                              it has given up)
 *	running -> paused -> running …
 *	any -> destroyed (gone from the table)
 *
 * A record is stored when its sandbox first runs: a create that fails leaves
 * nothing, not even that.
 */
#ifndef SUPERVISOR_SANDBOXES_H
#define SUPERVISOR_SANDBOXES_H

#include "lib/netrule.h"
#include "lib/strutil.h"
#include "sandbox/cgroup.h"
#include "supervisor/super.h"

enum sandbox_state {
	SB_CREATING,
	SB_RUNNING,
	SB_PAUSED, /* frozen, or about to be */
	SB_STOPPING,
	SB_STOPPED,
	SB_ERROR,
	SB_DESTROYING,
	SB_N
};
const char *sandbox_state_name(enum sandbox_state st);

/* What was asked for; all strings owned. */
struct sandbox_spec {
	char *image;	  /* "host" or an absolute path */
	char *image_name; /* what IMAGE was called, if sandbox.images did */
	char *network, *user, *directory, *hostname, *isolation;
	struct netpolicy egress; /* of network filtered */
	char **env, **labels;	 /* "K=V", NULL-terminated; may be NULL */
	struct plan_mount *mounts;
	size_t nmounts;
	struct plan_tmpfs *tmpfs;
	size_t ntmpfs;
	char **hosts; /* "NAME=ADDRESS", NULL-terminated; may be NULL */
	struct plan_limits limits;
	int64_t time_ms, idle_ms;
	uid_t uid; /* USER as numbers, for the ownership of mounts */
	gid_t gid;
	char *home;	   /* USER's, as far as it is known */
	char **entrypoint; /* run at each start; NULL: nothing */
	char *service;	   /* how it is kept, as JSON; NULL: not at all */
	bool ephemeral;	   /* destroyed when it stops */
	int64_t renew_ms;  /* its end is moved so far by each access; 0: not */
	/* By which a repeated create is known; NULL without. */
	char *idempotency_key, *request_hash;
};

/* Called once with E NULL when it happened, or with the reason why not. */
typedef void sandbox_done(void *ctx, const struct err *e);

struct sandbox_waiter {
	TAILQ_ENTRY(sandbox_waiter) link;
	sandbox_done *done;
	void *ctx;
};
TAILQ_HEAD(sandbox_waiters, sandbox_waiter);
/* In sandbox_wait.c; sessions have such queues too. DONE may be NULL. */
void sandbox_wait_for(struct sandbox_waiters *q, sandbox_done *done, void *ctx);
void sandbox_wake(struct sandbox_waiters *q, const struct err *e);

struct exec;
LIST_HEAD(exec_list, exec);

/* What can become of it: see sandbox_event(). */
enum sandbox_happening {
	SH_CREATED,
	SH_STARTED,
	SH_STOPPED,
	SH_PAUSED,
	SH_RESUMED,
	SH_EXPIRED,
	SH_DESTROYED,
	SH_ERROR,
	SH_OOM,
	SH_LIMIT,	    /* by sandbox_limit_met() */
	SH_SERVICE_STARTED, /* these by service_told() */
	SH_SERVICE_RESTARTED,
	SH_SERVICE_READY,
	SH_SERVICE_EXITED,
	SH_SERVICE_HUNG,
	SH_SERVICE_ALIVE,
	SH_SERVICE_FAILED,
	SH_ADOPTED,
	SH_N
};
STAILQ_HEAD(sandbox_events, sandbox_event);

/* What its init has told of its service (service.c). */
struct service_now {
	const char *state;  /* static; NULL: there is none, or it is down */
	const char *before; /* it hung */
	int64_t restarts;
	double tokens; /* entries of the log that it may still make */
	int64_t filled_ms;
	int64_t left_out; /* for want of them */
};

/* What was told already of its limits, since it was started. */
struct sandbox_seen {
	int64_t oom_kills, pids_refused;
	bool disk_full, inodes_full;
};

struct sandbox_disk;

struct sandbox {
	LIST_ENTRY(sandbox) link;
	struct super *s;
	char id[SANDBOX_ID_MAX + 1];
	enum sandbox_state state;
	char *owner;	 /* owned: the session it was made for, or NULL */
	bool listed;	 /* in the table */
	bool born;	 /* was up and stored once: a create that succeeded */
	bool put;	 /* its record may be in the store */
	unsigned puts;	 /* of its record, under way for a start */
	bool want;	 /* should run */
	bool quiet;	 /* its proc's end is no news */
	bool frozen;	 /* its group is, or is about to be */
	bool was_paused; /* and lost what ran: resume starts it */
	/* What its record says of it at our start: it ran; it was frozen. */
	bool lost, lost_paused;
	bool adopting; /* its init has not yet said hello to us */
	bool destroy_begun;
	unsigned destroy_waits;
	char reason[256]; /* why it is stopped or in error */
	struct sandbox_spec spec;
	unsigned slot;			      /* of the id ranges; 0: none */
	struct subids_slice lent;	      /* not root: the same */
	int64_t created_at_ms, started_at_ms; /* epoch */
	struct proc proc;		      /* its init */
	int64_t grace_ms;		      /* of the stop under way */
	struct cgroup *cgroup;		      /* owned */
	bool have[MECH_N];
	int report_fd; /* owned; -1 when empty */
	/* egress.c: the socket that its proxy listens on, and where it comes
	 * from while it is being built. Owned, -1 when empty. */
	int proxy_fd, proxy_sock;
	ev_io report_io;
	struct start_report report;
	struct plan_mount *plan_mounts; /* owned; spec's and agents' */
	size_t nplan_mounts;
	char *hosts_text;	   /* owned; what plan.hosts points to */
	struct sandbox_disk *disk; /* owned; NULL without a limit */
	struct sandbox_seen seen;
	int64_t ooms;	 /* processes killed for want of memory, ever */
	int64_t used_ms; /* when last (monotonic) */
	ev_timer idle_timer;
	ev_timer time_limit;
	struct sandbox_waiters start_waiters, stop_waiters, pause_waiters;
	int64_t freezing_ms;   /* since when (monotonic) */
	ev_timer freeze_timer; /* looks whether it is frozen */
	int64_t expires_at_ms; /* epoch; 0: never */
	ev_periodic expiry;
	struct sandbox_events history; /* entries that wait for the record */
	int64_t changed_at_ms;	       /* epoch: of its last event */
	struct err why;	 /* what start_waiters are told at its end */
	struct err left; /* what stop_waiters are told: it did not all go */
	struct service_now service;
	struct exec_list execs;
	LIST_HEAD(, exposed) exposed; /* ports; owned */
};

struct sandbox *sandbox_find(struct super *s, const char *id);

/* From ops: the whole of sandbox.create; *SB_OUT is in the table and starting.
 * ARGS were checked against ops.def; a member `owner` may have been added, the
 * session that the sandbox is made for and goes with. */
int sandbox_create(struct super *s, const struct json *args,
    struct sandbox **sb_out, struct err *e);
/* The sandbox that sessions get which name none: found or created. */
int sandbox_default(struct super *s, struct sandbox **sb_out, struct err *e);
/* Is a sandbox of this id being destroyed? Then DONE is called when the id is
 * free: to everybody else it has been since the destroy began. */
bool sandbox_when_gone(
    struct super *s, const char *id, sandbox_done *done, void *ctx);
/* DONE when it runs: at once if it does already; starts it if it is stopped.
 * Never calls DONE before it returns, unless it runs already. */
void sandbox_ensure(struct sandbox *sb, sandbox_done *done, void *ctx);
void sandbox_stop(struct sandbox *sb, int64_t grace_ms, const char *reason,
    sandbox_done *done, void *ctx);
void sandbox_destroy(struct sandbox *sb, sandbox_done *done, void *ctx);
void sandbox_forget(struct sandbox *sb, void *ctx);

/* Freeze it; DONE when it is frozen and that is stored. */
void sandbox_pause(struct sandbox *sb, sandbox_done *done, void *ctx);
/* Go on; or start one that was paused when we ended. */
void sandbox_resume(struct sandbox *sb, sandbox_done *done, void *ctx);

/* Somebody uses it: its idle time begins anew. */
void sandbox_used(struct sandbox *sb);
void sandbox_watch_stop(struct super *s);

/* In sandbox_ids.c: the first id of its range, if we are root. */
uid_t sandbox_first_id(const struct sandbox *sb);
/* How many ids a sandbox that is made now has. */
uint32_t sandbox_ids_size(const struct super *s);

/* The public record. BRIEF: without what a list of many need not have. */
void sandbox_write(struct sandbox *sb, struct jw *w, bool with_usage);
void sandbox_write_brief(struct sandbox *sb, struct jw *w);
/* The member "usage". */
void sandbox_write_usage(struct sandbox *sb, struct jw *w);

/* At start. */
void sandboxes_loaded(struct super *s, const struct json *record);
void sandboxes_all_loaded(struct super *s);
/* At the end: false while something still runs. */
bool sandboxes_stop_all(struct super *s);
/* No more grace: KILL. */
void sandboxes_kill_all(struct super *s);
void sandboxes_free(struct super *s);

#endif
