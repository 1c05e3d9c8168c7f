/*
 * Configuration: one table gives name, kind, bounds, default and a sentence
 * of help to the parser, to -C, and to the test that compares
 * sandboxd.conf(5). The file is `key = value` under `[section]`; it has no
 * includes and no expansion, since root parses it.
 */
#ifndef SUPERVISOR_CONF_H
#define SUPERVISOR_CONF_H

#include "lib/defs.h"
#include "lib/err.h"
#include <stdbool.h>
#include <stdio.h>

struct conf {
	/* [daemon] */
	char *state_dir, *run_dir; /* owned, as all strings here */
	char *log_level, *log_format;
	char *log_file; /* "": standard error */
	int64_t log_max_bytes, log_files;
	char *libexec_dir;
	/* [control] */
	char *allow_users; /* names or uids, separated by blanks */
	char *allow_group;
	int64_t max_clients, max_per_user, control_rate;
	/* [store] */
	char *durability;
	int64_t map_bytes, compact_share;
	struct {
		int64_t age_ms, events, bytes;
		int64_t total_events, total_bytes;
		int64_t ended_ms;
		int64_t sandbox_events, sandbox_age_ms;
	} retain;
	/* [sandbox] */
	int64_t max_sandboxes, ids_base, default_pids, default_memory;
	int64_t default_disk, disk_reserve, tmp_bytes;
	int64_t stop_grace_ms, start_ms, adopt_ms;
	char *minimum;	    /* isolation without which none is made */
	char *images;	    /* NAME=host or NAME=PATH, separated by blanks */
	char *default_spec; /* arguments of sandbox.create; "": none */
	/* [session] */
	int64_t max_sessions, start_session_ms;
	int64_t replay_max_events, replay_max_chars;
	/* [agent] */
	char *agent_directory, *claude;
	char *installed_dir;  /* "": STATE/agents */
	char *agent_install;  /* use or never */
	char *agent_pass_env; /* names, separated by blanks */
	/* [courier] */
	char *courier_npm_registry, *courier_mirror, *courier_token_file;
	char *courier_proxy, *courier_no_proxy, *courier_ca_file;
	int64_t courier_max_bytes, courier_idle_ms;
	/* [egress] */
	char *egress_resolver; /* addresses, separated by blanks */
	int64_t egress_max_connections, egress_max_per_sandbox;
	int64_t egress_header_ms, egress_connect_ms, egress_idle_ms;
	/* [gateway] */
	char *listen; /* addresses, separated by blanks */
	char *unix_mode, *unix_group;
	char *token_file, *tls_cert, *tls_key;
	char *access_log; /* yes or no */
	int64_t processes, max_connections, max_per_address, max_header_bytes;
	int64_t idle_ms, header_ms, stream_bytes;
	int64_t proxy_ms, tunnel_ms;
	char *expose_addresses;
};

enum conf_kind {
	CONF_STR,
	CONF_INT,
	CONF_BYTES,
	CONF_MS,
	CONF_KIND_N
};

struct conf_option {
	const char *name; /* section.key */
	enum conf_kind kind;
	size_t offset; /* in struct conf */
	int64_t min, max;
	const char *def; /* as it would be written */
	const char *help;
};

extern const struct conf_option conf_table[];
extern const size_t conf_table_n;

/* Fill C with the defaults for root or for another user. */
void conf_defaults(struct conf *c, bool root);
/* In conf_place.c: of those the directories. */
void conf_place_defaults(struct conf *c, bool root);
/* Read PATH over C. A missing file is an error unless OPTIONAL. All mistakes
 * are collected, one line each with file and line number, into MISTAKES (at
 * most SIZE bytes); then -1. */
int conf_load(struct conf *c, const char *path, bool optional, char *mistakes,
    size_t size);
/* One option from text; also used for the command line. */
int
conf_set(struct conf *c, const char *name, const char *value, struct err *e);
/* What is in force, in the file's own form. */
void conf_print(const struct conf *c, FILE *f);
void conf_free(struct conf *c);
/* The default file for root or another user; static storage. */
const char *conf_default_path(bool root);

#endif
