/*
 * What a sandbox was asked to be. Runs in the supervisor; the words come from
 * control clients that may use us, and are checked in full before anything is
 * made.
 */
#include "sandbox/cgroup.h"
#include "supervisor/service.h"
#include "supervisor/spec.h"

#include "lib/xalloc.h"
#include "sandbox/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RENEW_MAX_MS (366ll * 86400 * 1000)
/* A gateway tells of use every second at most. */
#define IDLE_MIN_MS 2000

void
spec_free(struct sandbox_spec *sp)
{
	free(sp->image);
	free(sp->image_name);
	free(sp->network);
	free(sp->user);
	free(sp->directory);
	free(sp->hostname);
	free(sp->isolation);
	free(sp->home);
	netpolicy_free(&sp->egress);
	strv_free(sp->env);
	strv_free(sp->labels);
	strv_free(sp->entrypoint);
	free(sp->service);
	free(sp->idempotency_key);
	free(sp->request_hash);
	for (size_t i = 0; i < sp->nmounts; i++) {
		free((char *)(uintptr_t)sp->mounts[i].source);
		free((char *)(uintptr_t)sp->mounts[i].target);
	}
	free(sp->mounts);
	spec_free_more(sp);
	memset(sp, 0, sizeof(*sp));
}

/* --- checks -------------------------------------------------------------- */

static int
check_env(const struct json *env, struct err *e)
{
	json_foreach (it, env) {
		if (!env_name_valid(it->key) || strlen(it->key) > 200)
			return err_set(e, ERR_BAD_REQUEST,
			    "env: '%.64s' is no name of a variable", it->key);
	}
	return 0;
}

int
spec_check_labels(const struct json *labels, struct err *e)
{
	json_foreach (it, labels) {
		if (it->key[0] == '\0' || strlen(it->key) > 200 ||
		    strchr(it->key, '=') != NULL ||
		    (it->type == JSON_STRING && it->len > 1024))
			return err_set(e, ERR_BAD_REQUEST,
			    "labels: '%.64s': a name has 1 to 200 bytes and no "
			    "'=', a value at most 1024 bytes",
			    it->key);
	}
	return 0;
}

/* Absolute, no empty, "." or ".." part, no control character. */
static bool
clean_path(const char *p)
{
	if (p[0] != '/' || strlen(p) >= PATH_MAX)
		return false;
	for (const char *at = p; *at != '\0';) {
		size_t n = strcspn(++at, "/");

		if ((n == 0 && *at != '\0') || (n == 1 && at[0] == '.') ||
		    (n == 2 && at[0] == '.' && at[1] == '.'))
			return false;
		at += n;
	}
	for (; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	}
	return true;
}

static char *
drop_slash(const char *p)
{
	size_t n = strlen(p);

	while (n > 1 && p[n - 1] == '/')
		n--;
	return xstrndup(p, n);
}

char *
spec_target(const char *path, const char *what, struct err *e)
{
	static const char *const reserved[] = { "/proc", "/sys", "/dev" };
	autofree char *clean = drop_slash(path);

	if (!clean_path(clean) || strcmp(clean, "/") == 0) {
		err_set(e, ERR_MOUNT_REFUSED,
		    "%s: target '%s' is not an absolute path below /", what,
		    path);
		return NULL;
	}
	for (size_t i = 0; i < countof(reserved); i++) {
		size_t n = strlen(reserved[i]);

		if (strncmp(clean, reserved[i], n) != 0 ||
		    (clean[n] != '/' && clean[n] != '\0'))
			continue;
		err_set(e, ERR_MOUNT_REFUSED, "%s: target %s lies in %s", what,
		    clean, reserved[i]);
		return NULL;
	}
	return STEAL(clean);
}

static int
parse_mount(
    const struct json *m, bool stored, struct plan_mount *pm, struct err *e)
{
	static const struct json_field fields[] = {
		{ "source", JK_STR, true, 1, 4095 },
		{ "target", JK_STR, false, 1, 4095 },
		{ "mode", JK_STR, false, 1, 8 },
	};
	const char *mode;
	autofree char *given = NULL;
	autofree char *source = NULL;

	if (json_check(m, fields, countof(fields), e) == -1)
		return err_prefix(e, "mounts");
	mode = json_str(m, "mode", "ro");
	for (pm->mode = MOUNT_RO; strcmp(spec_mode_names[pm->mode], mode) != 0;
	     pm->mode++) {
		if (pm->mode == MOUNT_COW)
			return err_set(e, ERR_BAD_REQUEST,
			    "mounts: mode '%s' is none of ro, rw, cow", mode);
	}
	given = drop_slash(json_str(m, "source", ""));
	if (given[0] != '/')
		return err_set(e, ERR_MOUNT_REFUSED,
		    "mounts: source '%s' is not an absolute path", given);
	/* The caller may name a link of its own; what it leads to is what is
	 * recorded and mounted. */
	source = stored ? xstrdup(given) : realpath(given, NULL);
	if (source == NULL)
		return err_set(e, ERR_MOUNT_REFUSED, "mounts: source %s: %s",
		    given, strerror(errno));
	pm->target = spec_target(json_str(m, "target", given), "mounts", e);
	if (pm->target == NULL)
		return -1;
	pm->source = STEAL(source);
	return 0;
}

static int
parse_mounts(const struct json *mounts, bool stored, struct sandbox_spec *sp,
    struct err *e)
{
	if (mounts == NULL || mounts->len == 0)
		return 0;
	sp->mounts = xcalloc(mounts->len, sizeof(*sp->mounts));
	json_foreach (m, mounts) {
		struct plan_mount *pm = &sp->mounts[sp->nmounts];

		if (parse_mount(m, stored, pm, e) == -1)
			return -1;
		sp->nmounts++;
		for (size_t i = 0; i + 1 < sp->nmounts; i++) {
			if (strcmp(sp->mounts[i].target, pm->target) == 0)
				return err_set(e, ERR_MOUNT_REFUSED,
				    "mounts: target %s stands twice",
				    pm->target);
		}
	}
	return 0;
}

/* --- limits -------------------------------------------------------------- */

typedef int to_number(const char *s, int64_t *v_out);

static int
plain_number(const char *s, int64_t *v_out)
{
	return str_to_int(s, 0, INT64_MAX, v_out);
}

/* Cores with up to three decimals, as thousandths. */
static int
cores(const char *s, int64_t *v_out)
{
	char digits[4] = "000", whole[16];
	size_t n = strcspn(s, ".");
	int64_t w, d = 0;

	if (n == 0 || n >= sizeof(whole))
		return -1;
	memcpy(whole, s, n);
	whole[n] = '\0';
	if (s[n] == '.') {
		size_t m = strlen(s + n + 1);

		if (m == 0 || m > 3)
			return -1;
		memcpy(digits, s + n + 1, m);
		if (str_to_int(digits, 0, 999, &d) == -1)
			return -1;
	}
	if (str_to_int(whole, 0, 100000, &w) == -1)
		return -1;
	*v_out = w * 1000 + d;
	return 0;
}

/* Seconds, or a time with its unit. */
static int
seconds_as_ms(const char *s, int64_t *v_out)
{
	int64_t v;

	if (str_to_int(s, 0, INT64_MAX / 1000, &v) == 0) {
		*v_out = v * 1000;
		return 0;
	}
	return str_to_ms(s, v_out);
}

static int
parse_limit(const struct json *limits, const char *name, to_number *fn,
    int64_t min, int64_t max, int64_t *v_out, struct err *e)
{
	const struct json *j = json_get(limits, name);
	char text[64];

	if (j == NULL || j->type == JSON_NULL)
		return 0;
	if ((j->type != JSON_NUMBER && j->type != JSON_STRING) ||
	    str_format(text, sizeof(text), "%.*s", (int)MIN(j->len, 63),
		j->str) == -1 ||
	    j->len > 63 || fn(text, v_out) == -1 ||
	    (*v_out != 0 && (*v_out < min || *v_out > max)))
		return err_set(e, ERR_BAD_REQUEST,
		    "limits.%s: not a value between its bounds", name);
	return 0;
}

int
spec_time(const struct json *j, const char *name, int64_t min_ms,
    int64_t max_ms, int64_t *ms_out, struct err *e)
{
	char text[64];
	int64_t v = 0;

	*ms_out = 0;
	if (j == NULL || j->type == JSON_NULL)
		return 0;
	if ((j->type != JSON_NUMBER && j->type != JSON_STRING) ||
	    j->len >= sizeof(text) ||
	    str_format(text, sizeof(text), "%.*s", (int)j->len, j->str) == -1 ||
	    seconds_as_ms(text, &v) == -1 ||
	    (v != 0 && (v < min_ms || v > max_ms)))
		return err_set(e, ERR_BAD_REQUEST,
		    "%s: must be seconds, or a time such as 10m, from %lld ms "
		    "to %lld ms",
		    name, (long long)min_ms, (long long)max_ms);
	*ms_out = v;
	return 0;
}

int
spec_parse_limits(
    const struct json *limits, struct sandbox_spec *sp, struct err *e)
{
	static const struct json_field fields[] = {
		{ "memory", JK_ANY, false, 0, 0 },
		{ "cpu", JK_ANY, false, 0, 0 },
		{ "pids", JK_ANY, false, 0, 0 },
		{ "open_files", JK_ANY, false, 0, 0 },
		{ "time", JK_ANY, false, 0, 0 },
		{ "idle", JK_ANY, false, 0, 0 },
		{ "disk", JK_ANY, false, 0, 0 },
		{ "inodes", JK_ANY, false, 0, 0 },
		{ "cpu_weight", JK_ANY, false, 0, 0 },
		{ "io_weight", JK_ANY, false, 0, 0 },
	};
	struct plan_limits *l = &sp->limits;

	if (limits == NULL)
		return 0;
	if (json_check(limits, fields, countof(fields), e) == -1)
		return err_prefix(e, "limits");
	/* Below these a sandbox could not even start its init. */
	if (parse_limit(limits, "memory", str_to_bytes, 4 << 20, INT64_MAX / 2,
		&l->memory_bytes, e) == -1 ||
	    parse_limit(
		limits, "cpu", cores, 10, 100000000, &l->cpu_millis, e) == -1 ||
	    parse_limit(
		limits, "pids", plain_number, 4, 4194304, &l->pids, e) == -1 ||
	    parse_limit(limits, "open_files", plain_number, 16, 1048576,
		&l->open_files, e) == -1 ||
	    parse_limit(limits, "time", seconds_as_ms, 100, INT64_MAX / 4,
		&sp->time_ms, e) == -1 ||
	    parse_limit(limits, "idle", seconds_as_ms, IDLE_MIN_MS,
		INT64_MAX / 4, &sp->idle_ms, e) == -1 ||
	    parse_limit(limits, "disk", str_to_bytes, DISK_MIN_BYTES,
		DISK_MAX_BYTES, &l->disk_bytes, e) == -1 ||
	    parse_limit(limits, "inodes", plain_number, DISK_MIN_INODES,
		DISK_MAX_INODES, &l->inodes, e) == -1 ||
	    parse_limit(limits, "cpu_weight", plain_number, 1, 10000,
		&l->cpu_weight, e) == -1 ||
	    parse_limit(limits, "io_weight", plain_number, 1, 10000,
		&l->io_weight, e) == -1)
		return -1;
	/* Files are counted where their bytes are. */
	if (l->inodes != 0 && l->disk_bytes == 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "limits.inodes needs limits.disk beside it");
	return 0;
}

/* --- user ---------------------------------------------------------------- */

/* USER as numbers, since mounts must belong to somebody before the sandbox
 * exists. Names are looked up in the host's own passwd file, and only when
 * that is what the sandbox will show. */
static int
parse_user(struct sandbox_spec *sp, bool stored, struct err *e)
{
	char text[160];
	char *colon;
	int64_t uid, gid;
	struct passwd *pw;
	FILE *f;

	if (str_copy(text, sizeof(text), sp->user) == -1)
		return err_set(e, ERR_BAD_REQUEST, "user: too long");
	colon = strchr(text, ':');
	if (colon != NULL)
		*colon++ = '\0';
	if (strcmp(text, "root") == 0)
		(void)!str_copy(text, sizeof(text), "0");
	if (str_to_int(text, 0, PLAN_IDS - 2, &uid) == 0) {
		gid = uid;
		if (colon != NULL && strcmp(colon, "root") == 0)
			gid = 0;
		else if (colon != NULL &&
			 str_to_int(colon, 0, PLAN_IDS - 2, &gid) == -1)
			return err_set(e, ERR_BAD_REQUEST,
			    "user: with a numeric uid the group is a gid");
		sp->uid = (uid_t)uid;
		sp->gid = (gid_t)gid;
		/* Directories as images need not even have a /root. */
		sp->home = xstrdup(
		    uid == 0 && strcmp(sp->image, "host") == 0 ? "/root" : "/");
		return 0;
	}
	if (strcmp(sp->image, "host") != 0)
		return err_set(e, ERR_USER_NOT_FOUND,
		    "user: with an image that is a directory give numbers, "
		    "uid or uid:gid");
	f = fopen("/etc/passwd", "re");
	while (f != NULL && (pw = fgetpwent(f)) != NULL) {
		if (strcmp(pw->pw_name, text) != 0)
			continue;
		sp->uid = pw->pw_uid;
		sp->gid = pw->pw_gid;
		sp->home = xstrdup(pw->pw_dir[0] == '/' ? pw->pw_dir : "/");
		(void)fclose(f); /* only read */
		if (sp->uid >= PLAN_IDS || sp->gid >= PLAN_IDS)
			return err_set(e, ERR_USER_NOT_FOUND,
			    "user: %s has an id of %u or more", text, PLAN_IDS);
		return 0;
	}
	if (f != NULL)
		(void)fclose(f); /* only read */
	if (stored) {
		sp->home = xstrdup("/");
		return 0; /* gone since; init will say so */
	}
	return err_set(e, ERR_USER_NOT_FOUND, "user: no such user %s", text);
}

/* What sandbox.images, NAME=host or NAME=PATH each, calls NAME; or NULL. */
static char *
image_named(const char *images, const char *name)
{
	size_t n = strlen(name), len;

	while (images != NULL && *images != '\0') {
		images += strspn(images, " \t");
		len = strcspn(images, " \t");
		if (len > n + 1 && strncmp(images, name, n) == 0 &&
		    images[n] == '=')
			return xstrndup(images + n + 1, len - n - 1);
		images += len;
	}
	return NULL;
}

static int
check_image(
    struct super *s, struct sandbox_spec *sp, bool stored, struct err *e)
{
	struct stat st;
	char *real;

	if (strcmp(sp->image, "host") == 0 || stored)
		return 0;
	if (sp->image[0] != '/') {
		real = image_named(s->conf.images, sp->image);
		if (real == NULL)
			return err_set(e, ERR_IMAGE_NOT_FOUND,
			    "image '%.100s' is neither host, nor an absolute "
			    "path, nor a name in sandbox.images",
			    sp->image);
		sp->image_name = sp->image;
		sp->image = real;
		if (strcmp(sp->image, "host") == 0)
			return 0;
	}
	real = realpath(sp->image, NULL);
	if (real == NULL)
		return err_set(e, ERR_IMAGE_NOT_FOUND, "image %s: %s",
		    sp->image, strerror(errno));
	free(sp->image);
	sp->image = real;
	if (stat(real, &st) == -1 || !S_ISDIR(st.st_mode))
		return err_set(e, ERR_IMAGE_NOT_FOUND,
		    "image %s is not a directory", real);
	if (strcmp(real, "/") == 0)
		return err_set(
		    e, ERR_IMAGE_NOT_FOUND, "image / is called host");
	return 0;
}

static int
check_words(const struct sandbox_spec *sp, struct err *e)
{
	if (strcmp(sp->network, "none") != 0 &&
	    strcmp(sp->network, "filtered") != 0 &&
	    strcmp(sp->network, "host") != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "network: '%s' is none of none, filtered, host",
		    sp->network);
	if (strcmp(sp->isolation, "full") != 0 &&
	    strcmp(sp->isolation, "available") != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "isolation: '%s' is neither full nor available",
		    sp->isolation);
	if (sp->directory != NULL && !clean_path(sp->directory) &&
	    strcmp(sp->directory, "/") != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "directory: '%s' is not an absolute path", sp->directory);
	if (!sandbox_id_valid(sp->hostname))
		return err_set(e, ERR_BAD_REQUEST,
		    "hostname: letters, digits, '-', '.' and '_', at most 63");
	return 0;
}

int
spec_parse_egress(
    const struct json *egress, struct sandbox_spec *sp, struct err *e)
{
	struct netpolicy policy;

	if (egress == NULL)
		return 0;
	if (strcmp(sp->network, "filtered") != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "egress: only with network filtered, not %s", sp->network);
	if (netpolicy_parse(egress, &policy, e) == -1)
		return err_prefix(e, "egress");
	netpolicy_free(&sp->egress);
	sp->egress = policy;
	return 0;
}

static char *
opt_str(const struct json *args, const char *key)
{
	const char *v = json_str(args, key, NULL);

	return v == NULL ? NULL : xstrdup(v);
}

int
spec_parse(struct super *s, const struct json *args, const char *id,
    bool stored, struct sandbox_spec *sp, struct err *e)
{
	memset(sp, 0, sizeof(*sp));
	sp->image = xstrdup(json_str(args, "image", "host"));
	sp->network = xstrdup(json_str(args, "network", "none"));
	sp->user = xstrdup(json_str(args, "user", "root"));
	/* In a record the name `isolation` says what holds. */
	sp->isolation = xstrdup(json_str(
	    args, stored ? "isolation_wanted" : "isolation", "available"));
	sp->hostname = xstrdup(json_str(args, "hostname", id));
	sp->directory = opt_str(args, "directory");
	sp->image_name = stored ? opt_str(args, "image_name") : NULL;
	sp->idempotency_key = opt_str(args, "idempotency_key");
	sp->request_hash = opt_str(args, "request_hash");
	sp->ephemeral = json_bool(args, "ephemeral", false);
	if (json_get(args, "entrypoint") != NULL &&
	    json_get(args, "entrypoint")->len > 0)
		sp->entrypoint = json_strv(json_get(args, "entrypoint"));
	if (!stored) {
		/* What nobody asked for is no reason to refuse. */
		if (s->cgroups == NULL || cgroup_host_limits(s->cgroups))
			sp->limits.pids = s->conf.default_pids;
		sp->limits.memory_bytes = s->conf.default_memory;
		sp->limits.disk_bytes = s->conf.default_disk;
	}
	if (service_take(args, sp->entrypoint != NULL, &sp->service, e) == -1 ||
	    spec_time(json_get(args, "renew_on_access"), "renew_on_access",
		1000, RENEW_MAX_MS, &sp->renew_ms, e) == -1 ||
	    check_env(json_get(args, "env"), e) == -1 ||
	    spec_check_hosts(json_get(args, "hosts"), e) == -1 ||
	    spec_check_labels(json_get(args, "labels"), e) == -1 ||
	    check_words(sp, e) == -1 ||
	    spec_parse_egress(json_get(args, "egress"), sp, e) == -1 ||
	    check_image(s, sp, stored, e) == -1 ||
	    parse_user(sp, stored, e) == -1 ||
	    spec_parse_limits(json_get(args, "limits"), sp, e) == -1 ||
	    spec_parse_tmpfs(json_get(args, "tmpfs"), sp, e) == -1 ||
	    parse_mounts(json_get(args, "mounts"), stored, sp, e) == -1) {
		spec_free(sp);
		return -1;
	}
	sp->env = strmap_parse(json_get(args, "env"));
	sp->labels = strmap_parse(json_get(args, "labels"));
	sp->hosts = strmap_parse(json_get(args, "hosts"));
	return 0;
}
