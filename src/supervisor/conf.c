/*
 * The option table and the parser of sandboxd.conf. Runs in the supervisor
 * before anything else, as whoever started it; trusts the file as far as its
 * owner is trusted, but still bounds every line and value.
 */
#include "supervisor/conf.h"

#include "lib/netrule.h"
#include "lib/ops.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "sandbox/disk.h"
#include "supervisor/agents.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#ifndef LIBEXECDIR
#	define LIBEXECDIR "/usr/local/libexec/sandboxd"
#endif
#ifndef SYSCONFDIR
#	define SYSCONFDIR "/etc"
#endif

#define LINE_MAX_BYTES 4096

#define OPTION(name, kind, field, min, max, def, help)                        \
	{                                                                     \
		name, kind, offsetof(struct conf, field), min, max, def, help \
	}

const struct conf_option conf_table[] = {
	OPTION("daemon.state_dir", CONF_STR, state_dir, 0, 4000, NULL,
	    "Where records, events and sandboxes' files are kept."),
	OPTION("daemon.run_dir", CONF_STR, run_dir, 0, 80, NULL,
	    "Where the control socket is made."),
	OPTION("daemon.log_level", CONF_STR, log_level, 0, 8, "info",
	    "error, warn, info or debug."),
	OPTION("daemon.log_format", CONF_STR, log_format, 0, 8, "text",
	    "text, or json for one object a line."),
	OPTION("daemon.log_file", CONF_STR, log_file, 0, 4000, "",
	    "The log's file, in a directory that only root and we can change. "
	    "Empty: standard error."),
	OPTION("daemon.log_max_bytes", CONF_BYTES, log_max_bytes, 4096,
	    1LL << 40, "16M",
	    "A log file that would grow beyond this gets a number and a new "
	    "one is begun."),
	OPTION("daemon.log_files", CONF_INT, log_files, 2, 100, "5",
	    "Log files that are kept, with the one that is written."),
	OPTION("daemon.libexec_dir", CONF_STR, libexec_dir, 0, 4000, LIBEXECDIR,
	    "Where the helper programs are."),
	OPTION("control.allow_users", CONF_STR, allow_users, 0, 4000, "",
	    "Users besides root and our own who may use the control socket, by "
	    "name or number, separated by blanks."),
	OPTION("control.allow_group", CONF_STR, allow_group, 0, 64, "",
	    "A group whose members may use the control socket."),
	OPTION("control.max_clients", CONF_INT, max_clients, 1, 100000, "256",
	    "Connections at one time; more wait in the socket's queue."),
	OPTION("control.max_per_user", CONF_INT, max_per_user, 0, 100000, "64",
	    "Connections of one user at a time, root and our own excepted; 0: "
	    "as many as there may be."),
	OPTION("control.rate", CONF_INT, control_rate, 0, 1000000, "1000",
	    "Requests of one user in a second, the same excepted; more wait. "
	    "0: "
	    "any number."),
	OPTION("store.durability", CONF_STR, durability, 0, 8, "full",
	    "full: on the disk before it is shown. relaxed: the last commit "
	    "may "
	    "be lost with the machine's power. none: several may be."),
	OPTION("store.map_bytes", CONF_BYTES, map_bytes, 1 << 20, INT64_MAX,
	    "64M", "First size of the database's map; it grows by itself."),
	OPTION("store.compact_share", CONF_INT, compact_share, 0, 99, "50",
	    "When so many per cent of the database's file are free at a start "
	    "of the daemon, it is written anew; 0: never."),
	OPTION("store.retain_age", CONF_MS, retain.age_ms, 0, INT64_MAX, "0",
	    "Events of sessions are removed when they are so old; 0: never."),
	OPTION("store.retain_events", CONF_INT, retain.events, 0, INT64_MAX,
	    "0", "Events that a session keeps, the newest; 0: all."),
	OPTION("store.retain_bytes", CONF_BYTES, retain.bytes, 0, INT64_MAX,
	    "0", "Bytes of events that a session keeps; 0: all."),
	OPTION("store.retain_total_events", CONF_INT, retain.total_events, 0,
	    INT64_MAX, "0", "Events that all sessions keep; 0: all."),
	OPTION("store.retain_total_bytes", CONF_BYTES, retain.total_bytes, 0,
	    INT64_MAX, "0", "Bytes of events that all sessions keep; 0: all."),
	OPTION("store.retain_ended", CONF_MS, retain.ended_ms, 0, INT64_MAX,
	    "0", "Ended sessions are deleted after this time; 0: never."),
	OPTION("store.retain_sandbox_events", CONF_INT, retain.sandbox_events,
	    10, 1000000, "10000", "Entries that a sandbox's own log keeps."),
	OPTION("store.retain_sandbox_age", CONF_MS, retain.sandbox_age_ms, 0,
	    INT64_MAX, "7d",
	    "The log of a destroyed sandbox is removed after this time; 0: "
	    "never."),
	OPTION("sandbox.max", CONF_INT, max_sandboxes, 1, 30000, "1000",
	    "Sandboxes at one time, running or not."),
	OPTION("sandbox.ids_base", CONF_INT, ids_base, 65536, 2147483648,
	    "1342177280",
	    "First user and group id of the ranges given to sandboxes, 65536 "
	    "each. The first range is for our own helpers."),
	OPTION("sandbox.default_pids", CONF_INT, default_pids, 0, 4194304,
	    "1024", "Processes in a sandbox that names no limit; 0: no limit."),
	OPTION("sandbox.default_memory", CONF_BYTES, default_memory, 0,
	    INT64_MAX, "0",
	    "Memory of a sandbox that names no limit; 0: no limit."),
	OPTION("sandbox.default_disk", CONF_BYTES, default_disk, 0,
	    DISK_MAX_BYTES, "0",
	    "Disk of a sandbox that names no limit; 0: no limit."),
	OPTION("sandbox.disk_reserve", CONF_BYTES, disk_reserve, 0, INT64_MAX,
	    "256M",
	    "With less free on the disk of daemon.state_dir, no sandbox is "
	    "made."),
	OPTION("sandbox.tmp_bytes", CONF_BYTES, tmp_bytes, 0, INT64_MAX, "0",
	    "What /tmp, /run and /dev/shm of a sandbox hold together, in "
	    "memory; 0: its memory limit, or half of the machine's memory."),
	OPTION("sandbox.minimum", CONF_STR, minimum, 1, 16, "auto",
	    "Isolation without which no sandbox is made. full: every "
	    "mechanism. namespaces: users, processes and files of its own. "
	    "reduced: a tree of processes. auto: reduced as the init of a "
	    "command or as process 1, else namespaces."),
	OPTION("sandbox.stop_grace", CONF_MS, stop_grace_ms, 0, 600000, "2s",
	    "Time between TERM and KILL when a sandbox is stopped."),
	OPTION("sandbox.start_time", CONF_MS, start_ms, 100, 600000, "15s",
	    "Time a sandbox has to start."),
	OPTION("sandbox.adopt", CONF_MS, adopt_ms, 0, 86400000, "5m",
	    "Time sandboxes go on without us when we are killed, for the next "
	    "sandboxd to adopt. 0: they end with us."),
	OPTION("sandbox.images", CONF_STR, images, 0, 4000, "",
	    "Names of root images: NAME=host or NAME=DIRECTORY, separated by "
	    "blanks. Clients that ask for NAME get that."),
	OPTION("sandbox.default_spec", CONF_STR, default_spec, 0, 4000, "",
	    "Arguments of sandbox.create for the sandbox `default`, when it is "
	    "made at first use: a JSON object."),
	OPTION("session.max", CONF_INT, max_sessions, 1, 1000000, "10000",
	    "Sessions that have not ended, at one time."),
	OPTION("session.start_time", CONF_MS, start_session_ms, 100, 600000,
	    "15s", "Time a session's worker has to start."),
	OPTION("session.replay_max_events", CONF_INT, replay_max_events, 0,
	    100000, "50",
	    "Events that an agent which cannot go on with a conversation is "
	    "told of before the next message; 0: none."),
	OPTION("session.replay_max_chars", CONF_INT, replay_max_chars, 0,
	    400000, "12000", "Bytes of text that these have in all."),
	OPTION("agent.directory", CONF_STR, agent_directory, 0, 4000,
	    SYSCONFDIR "/sandboxd/agents.d",
	    "Where the definitions of agents are, a file NAME.json for each."),
	OPTION("agent.installed_dir", CONF_STR, installed_dir, 0, 4000, "",
	    "Where agents are installed. Several of us may share it. Empty: "
	    "agents in daemon.state_dir."),
	OPTION("agent.install", CONF_STR, agent_install, 0, 8, "use",
	    "use: an agent that is missing is installed when a session first "
	    "names it. never: only on request."),
	OPTION("agent.pass_env", CONF_STR, agent_pass_env, 0, 4000, "",
	    "Variables of our own environment that may reach sessions of every "
	    "agent, separated by blanks; a * at the end stands for any."),
	OPTION("agent.claude", CONF_STR, claude, 0, 4000, "",
	    "Path of the claude program. Empty: looked for in PATH."),
	OPTION("courier.npm_registry", CONF_STR, courier_npm_registry, 0, 2000,
	    "",
	    "Address of the npm registry that agents come from. Empty: the "
	    "variable npm_config_registry, else what was built in."),
	OPTION("courier.mirror", CONF_STR, courier_mirror, 0, 2000, "",
	    "Stands for the registry: a directory of tarballs (then nothing is "
	    "downloaded), or an address."),
	OPTION("courier.npm_token_file", CONF_STR, courier_token_file, 0, 4000,
	    "", "File whose first line the registry gets as a bearer token."),
	OPTION("courier.proxy", CONF_STR, courier_proxy, 0, 2000, "",
	    "Proxy for downloads. Empty: the variables http_proxy, "
	    "https_proxy and all_proxy."),
	OPTION("courier.no_proxy", CONF_STR, courier_no_proxy, 0, 2000, "",
	    "Hosts that are reached without it, separated by commas. Empty: "
	    "the variable no_proxy."),
	OPTION("courier.ca_file", CONF_STR, courier_ca_file, 0, 4000, "",
	    "Certificates (PEM) that downloads trust. Empty: the system's."),
	OPTION("courier.max_bytes", CONF_BYTES, courier_max_bytes, 1 << 16,
	    INT64_MAX, "4G", "What one installation may take on the disk."),
	OPTION("courier.idle_time", CONF_MS, courier_idle_ms, 0, 86400000, "3m",
	    "The courier ends after this time without an installation."),
	OPTION("egress.resolver", CONF_STR, egress_resolver, 0, 1000, "",
	    "Name servers for sandboxes with filtered network: ADDRESS or "
	    "ADDRESS:PORT, separated by blanks. Empty: those of "
	    "/etc/resolv.conf."),
	OPTION("egress.max_connections", CONF_INT, egress_max_connections, 1,
	    1000000, "4096",
	    "Connections of all these sandboxes at one time; more wait."),
	OPTION("egress.max_per_sandbox", CONF_INT, egress_max_per_sandbox, 1,
	    1000000, "256", "Of those, from one sandbox."),
	OPTION("egress.header_time", CONF_MS, egress_header_ms, 100, 3600000,
	    "15s", "Time that a client inside has to say what it wants."),
	OPTION("egress.connect_time", CONF_MS, egress_connect_ms, 100, 3600000,
	    "30s", "Time to look up a name and to connect."),
	OPTION("egress.idle_time", CONF_MS, egress_idle_ms, 100, 2592000000,
	    "1h", "A connection ends after this time without a byte."),
	OPTION("gateway.listen", CONF_STR, listen, 0, 4000, "127.0.0.1:2468",
	    "Where HTTP is served: ADDRESS:PORT or unix:PATH, separated by "
	    "blanks. Empty: nowhere."),
	OPTION("gateway.processes", CONF_INT, processes, 0, 16, NULL,
	    "Processes that serve HTTP; one per processor, at most 4. 0: no "
	    "HTTP."),
	OPTION("gateway.unix_mode", CONF_STR, unix_mode, 1, 4, "0660",
	    "Permissions of unix sockets, in octal."),
	OPTION("gateway.unix_group", CONF_STR, unix_group, 0, 64, "",
	    "Group of unix sockets."),
	OPTION("gateway.token_file", CONF_STR, token_file, 0, 4000, "",
	    "A file of ours whose first line is the token that clients need."),
	OPTION("gateway.tls_cert", CONF_STR, tls_cert, 0, 4000, "",
	    "Certificates (PEM): TCP sockets speak TLS then."),
	OPTION("gateway.tls_key", CONF_STR, tls_key, 0, 4000, "",
	    "The certificate's key (PEM), which only its owner may read."),
	OPTION("gateway.max_connections", CONF_INT, max_connections, 8, 1000000,
	    "8192", "Connections at one time in each process."),
	OPTION("gateway.max_per_address", CONF_INT, max_per_address, 0, 1000000,
	    "4096", "Of those, from one address; 0: no limit."),
	OPTION("gateway.max_header_bytes", CONF_BYTES, max_header_bytes, 2048,
	    1 << 20, "32K", "Length of a request's line and headers."),
	OPTION("gateway.idle_time", CONF_MS, idle_ms, 100, 86400000, "60s",
	    "A connection without a request, or without any progress, ends."),
	OPTION("gateway.header_time", CONF_MS, header_ms, 100, 3600000, "10s",
	    "Time that a client has to send its headers."),
	OPTION("gateway.stream_bytes", CONF_BYTES, stream_bytes, 4096, 1 << 30,
	    "1M", "What may wait for one slow client."),
	OPTION("gateway.proxy_time", CONF_MS, proxy_ms, 100, 86400000, "120s",
	    "Time that the server behind a port of a sandbox has to answer."),
	OPTION("gateway.tunnel_time", CONF_MS, tunnel_ms, 0, 2592000000, "1h",
	    "A WebSocket, or a connection to an exposed port, ends after this "
	    "time without a byte; 0: never."),
	OPTION("gateway.expose_addresses", CONF_STR, expose_addresses, 0, 1000,
	    "",
	    "Addresses of ours besides loopback that ports of sandboxes "
	    "may be exposed on, separated by blanks; 0.0.0.0 and :: stand "
	    "for all of their kind."),
	OPTION("gateway.access_log", CONF_STR, access_log, 0, 3, "no",
	    "yes: a line for each request."),
};
const size_t conf_table_n = countof(conf_table);

static char **
str_field(struct conf *c, const struct conf_option *o)
{
	return (char **)(void *)((char *)c + o->offset);
}

static int64_t *
int_field(struct conf *c, const struct conf_option *o)
{
	return (int64_t *)(void *)((char *)c + o->offset);
}

static int
set_option(struct conf *c, const struct conf_option *o, const char *value,
    struct err *e)
{
	int64_t v = 0;
	int bad = 0;

	if (o->kind == CONF_STR) {
		if (strlen(value) > (size_t)o->max)
			return err_set(e, ERR_BAD_REQUEST,
			    "%s: longer than %lld bytes", o->name,
			    (long long)o->max);
		free(*str_field(c, o));
		*str_field(c, o) = xstrdup(value);
		return 0;
	}
	if (o->kind == CONF_INT)
		bad = str_to_int(value, INT64_MIN, INT64_MAX, &v);
	else if (o->kind == CONF_BYTES)
		bad = str_to_bytes(value, &v);
	else
		bad = str_to_ms(value, &v);
	if (bad)
		return err_set(e, ERR_BAD_REQUEST, "%s: '%s' is not %s",
		    o->name, value,
		    o->kind == CONF_INT	    ? "a whole number"
		    : o->kind == CONF_BYTES ? "a size such as 64M"
					    : "a time such as 2s");
	if (v < o->min || v > o->max)
		return err_set(e, ERR_BAD_REQUEST,
		    "%s: %s is not between %lld and %lld", o->name, value,
		    (long long)o->min, (long long)o->max);
	*int_field(c, o) = v;
	return 0;
}

/* The arguments of a request, but for the id, which is known. */
static int
default_spec_check(const char *value, struct err *e)
{
	struct json *j;
	int r;

	if (*value == '\0')
		return 0;
	if (json_parse(value, strlen(value), JSON_DEPTH_CONTROL, &j, e) == -1)
		return err_prefix(e, "sandbox.default_spec");
	if (json_get(j, "id") != NULL)
		r = err_set(e, ERR_BAD_REQUEST, "its id is `default`");
	else
		r = op_check(OP_SANDBOX_CREATE, j, e);
	json_free(j);
	return r == -1 ? err_prefix(e, "sandbox.default_spec") : 0;
}

/* NAME=host or NAME=/PATH each. */
static int
images_check(const char *value, struct err *e)
{
	while (*(value += strspn(value, " \t")) != '\0') {
		size_t n = strcspn(value, " \t"), name = strcspn(value, "=");

		if (name == 0 || name >= n || *value == '/' ||
		    (value[name + 1] != '/' &&
			!(n - name == 5 &&
			    strncmp(value + name + 1, "host", 4) == 0)))
			return err_set(e, ERR_BAD_REQUEST,
			    "sandbox.images: '%.*s' is neither NAME=host nor "
			    "NAME=DIRECTORY",
			    (int)MIN(n, 200), value);
		value += n;
	}
	return 0;
}

/* ADDRESS or ADDRESS:PORT each. */
static int
resolvers_check(const char *value, struct err *e)
{
	struct netrule r;
	char word[64];

	while (*(value += strspn(value, " \t")) != '\0') {
		size_t n = strcspn(value, " \t");
		bool good = n < sizeof(word);

		if (good) {
			memcpy(word, value, n);
			word[n] = '\0';
			good = netrule_parse(word, &r, e) == 0;
		}
		if (good) {
			good = r.kind == NETRULE_NET && r.prefix == 128 &&
			       r.nports <= 1 && strchr(word, '/') == NULL;
			netrule_free(&r);
		}
		if (!good)
			return err_set(e, ERR_BAD_REQUEST,
			    "egress.resolver: '%.*s' is neither ADDRESS nor "
			    "ADDRESS:PORT",
			    (int)MIN(n, 200), value);
		value += n;
	}
	return 0;
}

/* Values that have a meaning beyond their kind. */
static int
check_word(const char *name, const char *value, struct err *e)
{
	static const struct {
		const char *name, *words;
	} tab[] = { { "daemon.log_level", "error warn info debug" },
		{ "daemon.log_format", "text json" },
		{ "store.durability", "full relaxed none" },
		{ "sandbox.minimum", "auto full namespaces reduced" },
		{ "agent.install", "use never" },
		{ "gateway.access_log", "yes no" } };
	size_t n = strlen(value);

	for (size_t i = 0; i < countof(tab); i++) {
		const char *at = tab[i].words;

		if (strcmp(tab[i].name, name) != 0)
			continue;
		while (at != NULL) {
			if (n > 0 && strncmp(at, value, n) == 0 &&
			    (at[n] == ' ' || at[n] == '\0'))
				return 0;
			at = strchr(at, ' ');
			at = at == NULL ? NULL : at + 1;
		}
		return err_set(e, ERR_BAD_REQUEST, "%s: '%s' is none of: %s",
		    name, value, tab[i].words);
	}
	if (strcmp(name, "sandbox.images") == 0)
		return images_check(value, e);
	if (strcmp(name, "egress.resolver") == 0)
		return resolvers_check(value, e);
	if (strcmp(name, "sandbox.default_spec") == 0)
		return default_spec_check(value, e);
	if (strcmp(name, "agent.pass_env") == 0)
		return agent_env_list_check(value, e) == -1
			   ? err_prefix(e, "%s", name)
			   : 0;
	if ((strcmp(name, "daemon.state_dir") == 0 ||
		strcmp(name, "daemon.run_dir") == 0 ||
		strcmp(name, "daemon.libexec_dir") == 0 ||
		strcmp(name, "agent.directory") == 0 ||
		((strcmp(name, "agent.installed_dir") == 0 ||
		     strcmp(name, "daemon.log_file") == 0) &&
		    value[0] != '\0')) &&
	    value[0] != '/')
		return err_set(e, ERR_BAD_REQUEST,
		    "%s: '%s' is not an absolute path", name, value);
	if (strcmp(name, "daemon.log_file") == 0 && n > 0 &&
	    (value[n - 1] == '/' || strlen(strrchr(value, '/')) > NAME_MAX))
		return err_set(e, ERR_BAD_REQUEST,
		    "%s: '%.200s' ends in no file's name", name, value);
	return 0;
}

int
conf_set(struct conf *c, const char *name, const char *value, struct err *e)
{
	for (size_t i = 0; i < conf_table_n; i++) {
		if (strcmp(conf_table[i].name, name) != 0)
			continue;
		if (check_word(name, value, e) == -1)
			return -1;
		return set_option(c, &conf_table[i], value, e);
	}
	return err_set(e, ERR_BAD_REQUEST, "%s: no such option", name);
}

void
conf_defaults(struct conf *c, bool root)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct err e;

	memset(c, 0, sizeof(*c));
	c->processes = cores < 1 ? 1 : MIN(cores, 4);
	for (size_t i = 0; i < conf_table_n; i++) {
		/* The table's own defaults are right by the unit test. */
		if (conf_table[i].def != NULL)
			(void)set_option(
			    c, &conf_table[i], conf_table[i].def, &e);
	}
	conf_place_defaults(c, root);
}

static char *
trim(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	n = strlen(s);
	while (n > 0 && strchr(" \t\r\n", s[n - 1]) != NULL)
		s[--n] = '\0';
	return s;
}

/* One line. SECTION is kept between calls. */
static int
parse_line(
    struct conf *c, char *line, char *section, size_t size, struct err *e)
{
	char name[192];
	char *s = trim(line);
	char *eq;
	size_t n;

	if (*s == '\0' || *s == '#' || *s == ';')
		return 0;
	if (*s == '[') {
		n = strlen(s);
		if (s[n - 1] != ']')
			return err_set(e, ERR_BAD_REQUEST,
			    "section without a closing bracket");
		s[n - 1] = '\0';
		if (str_copy(section, size, trim(s + 1)) == -1)
			return err_set(
			    e, ERR_BAD_REQUEST, "section name too long");
		return 0;
	}
	eq = strchr(s, '=');
	if (eq == NULL)
		return err_set(e, ERR_BAD_REQUEST, "no '=' in '%s'", s);
	*eq = '\0';
	if (section[0] == '\0')
		return err_set(e, ERR_BAD_REQUEST,
		    "'%s' stands before the first [section]", trim(s));
	if (str_format(name, sizeof(name), "%s.%s", section, trim(s)) == -1)
		return err_set(e, ERR_BAD_REQUEST, "option name too long");
	return conf_set(c, name, trim(eq + 1), e);
}

int
conf_load(struct conf *c, const char *path, bool optional, char *mistakes,
    size_t size)
{
	char line[LINE_MAX_BYTES], section[64] = "";
	unsigned number = 0;
	size_t used = 0;
	struct err e;
	FILE *f = fopen(path, "re");
	int bad = 0;

	mistakes[0] = '\0';
	if (f == NULL) {
		if (optional && errno == ENOENT)
			return 0;
		(void)snprintf(
		    mistakes, size, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		number++;
		if (strchr(line, '\n') == NULL && !feof(f)) {
			err_set(&e, ERR_BAD_REQUEST, "line too long");
			while (strchr(line, '\n') == NULL &&
			       fgets(line, sizeof(line), f) != NULL)
				;
		} else if (parse_line(c, line, section, sizeof(section), &e) ==
			   0) {
			continue;
		}
		bad = -1;
		if (used < size) {
			int n = snprintf(mistakes + used, size - used,
			    "%s:%u: %s\n", path, number, e.text);
			used += n > 0 ? (size_t)n : 0;
		}
	}
	(void)fclose(f); /* only read */
	return bad;
}

void
conf_print(const struct conf *c, FILE *f)
{
	char section[64] = "";

	for (size_t i = 0; i < conf_table_n; i++) {
		const struct conf_option *o = &conf_table[i];
		const char *dot = strchr(o->name, '.');
		size_t n = (size_t)(dot - o->name);

		if (strlen(section) != n || memcmp(section, o->name, n) != 0) {
			(void)fprintf(f, "%s[%.*s]\n", i == 0 ? "" : "\n",
			    (int)n, o->name);
			memcpy(section, o->name, n);
			section[n] = '\0';
		}
		(void)fprintf(f, "# %s\n", o->help);
		if (o->kind == CONF_STR) {
			char *const *v =
			    (char *const *)(const void *)((const char *)c +
							  o->offset);
			(void)fprintf(f, "%s = %s\n", dot + 1, *v);
		} else {
			const int64_t *v =
			    (const int64_t *)(const void *)((const char *)c +
							    o->offset);
			(void)fprintf(f, "%s = %lld\n", dot + 1, (long long)*v);
		}
	}
}

void
conf_free(struct conf *c)
{
	for (size_t i = 0; i < conf_table_n; i++) {
		if (conf_table[i].kind == CONF_STR)
			free(*str_field(c, &conf_table[i]));
	}
	memset(c, 0, sizeof(*c));
}
