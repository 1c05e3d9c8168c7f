/*
 * The supervisor's one object: everything that lives as long as it does. Each
 * module keeps its part here and is handed the whole.
 */
#ifndef SUPERVISOR_SUPER_H
#define SUPERVISOR_SUPER_H

#include "lib/defs.h"
#include "lib/err.h"
#include "sandbox/disk.h"
#include "sandbox/launch.h"
#include "supervisor/conf.h"
#include "supervisor/proc.h"
#include "supervisor/settings.h"
#include <ev.h>
#include <sys/queue.h>

struct agents;
struct command;
struct command_options;
struct sandbox;
struct session;
struct cgroup_host;
struct hide;
struct storec;
struct relay;
struct listeners;
struct logfile;
struct compaction;
struct gateways;
struct tokens;
struct courier;
struct egress;
struct notify;
struct upgrade;
struct request;
struct json;

#define SUPER_SET_MAX 16

struct super {
	struct conf conf;
	/* Options of the command line: over the file's, now and after a HUP. */
	struct {
		const char *name;
		char *value; /* owned */
	} set[SUPER_SET_MAX];
	size_t nset;
	struct http_settings http;
	struct agents *agents;	 /* owned */
	char *conf_path;	 /* owned; read again on HUP */
	struct logfile *logfile; /* owned; takes the log of all of us */
	struct ev_loop *loop;
	int64_t started_ms; /* monotonic */
	char *agents_dir;   /* owned; what is installed: a path without links */

	/* upgrade.c, carry.c */
	char **argv;   /* owned: as we were started, less --carry, --ready-fd */
	char *program; /* owned: the path of our own image */
	struct upgrade *upgrade;
	struct request *upgrade_request; /* waits for it; or NULL */
	struct json *carried;		 /* owned: what a former image left */
	int64_t upgrades, held_ms;

	/* What isolation can be had. */
	struct host host;
	struct cgroup_host *cgroups; /* NULL: none, cgroups_why tells */
	struct hide *hide;	     /* NULL when not root */
	int64_t hide_used_ms;	     /* when a start last took it */

	struct storec *store;
	struct compaction *compaction; /* under way, or NULL */
	struct relay *relay;
	struct control *control;
	struct listeners *listeners; /* listen.c */
	struct gateways *gateways;
	struct tokens *tokens;
	struct courier *courier;
	struct egress *egress;
	struct notify *notify;	 /* the service manager */
	struct command *command; /* NULL: we were given none */

	LIST_HEAD(, peer_use) peers; /* peer.c: of the control socket */
	LIST_HEAD(, sandbox) sandboxes;
	size_t nsandboxes;
	LIST_HEAD(, session) sessions;
	size_t nsessions; /* those that have not ended */

	ev_signal sig_term, sig_int, sig_hup;
	ev_timer stop_timer;
	ev_idle prepare; /* of what later starts take */
	ev_timer furnish_timer, hide_timer;
	ev_timer watch_timer;  /* sandbox_watch.c */
	ev_timer retain_timer; /* retain.c */
	ev_timer sweep_timer;  /* groups an earlier life has left */

	/* instance.c */
	int state_fd;	  /* STATE */
	int sandboxes_fd; /* STATE/sandboxes */
	int lock_fd;
	int init_fd, session_fd; /* programs as sealed memory files */
	int ready_fd;		 /* gets a newline when ready; -1 after */
	int exit_code;
	enum disk_by disk_by; /* how limits.disk is held to */
	char disk_why[160];   /* why it is not */
	struct err cgroups_why;

	bool root;
	bool conf_optional;
	bool furnished;	   /* what sandboxes need is there */
	bool loaded;	   /* so are the records */
	bool ready;	   /* both: requests are served */
	bool stopping;	   /* an orderly stop is under way */
	bool http_changed; /* by the last HUP */
};

/* Open everything short of the loop; exits with a message on failure. */
void super_open_or_die(
    struct super *s, int ready_fd, const struct command_options *co);
/* Run until told to stop; the exit code. */
int super_run(struct super *s);
/* The store has given all records. */
void super_loaded(struct super *s);
/* A gateway serves: those who only look are not kept waiting any more. */
void super_http_up(struct super *s);
/* Begin to serve, tell --ready-fd. */
void super_ready(struct super *s);
void super_hide_init(struct super *s);
/* What of the host is not for sandboxes is known from here on. */
int super_hide(struct super *s, struct err *e);
/* A start has taken it: keep it up to date for a while. */
void super_hide_used(struct super *s);
/* End the groups that no sandbox of ours has. */
void cgroups_sweep(struct super *s);
/* Begin the orderly stop: gateways, sandboxes with their sessions, relay,
 * store, in this order. */
void super_stop(struct super *s, int exit_code);
/* No more grace for whatever is being stopped. */
void super_hasten(struct super *s);
/* Read the configuration again; all or nothing. */
void super_reload(struct super *s);
/* Something has ended: goes on with the orderly stop if one is under way. */
void super_stop_step(struct super *s);

/* Host ids of our unprivileged helpers (0: they keep ours). */
#define SUPER_STORE_ID(s) ((s)->root ? (uid_t)(s)->conf.ids_base + 1 : (uid_t)0)
#define SUPER_RELAY_ID(s) ((s)->root ? (uid_t)(s)->conf.ids_base + 2 : (uid_t)0)
#define SUPER_COURIER_ID(s) \
	((s)->root ? (uid_t)(s)->conf.ids_base + 4 : (uid_t)0)
#define SUPER_EGRESS_ID(s) \
	((s)->root ? (uid_t)(s)->conf.ids_base + 5 : (uid_t)0)
#define SUPER_GATEWAY_ID(s) \
	((s)->root ? (uid_t)(s)->conf.ids_base + 3 : (uid_t)0)

#endif
