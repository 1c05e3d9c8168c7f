/*
 * Flags to arguments; see spec.h. Runs as the caller, who is trusted to mean
 * what he writes but not to write it right.
 */
#include "ctl/spec.h"
#include "lib/strutil.h"
#include <errno.h>
#include <limits.h>
#include <string.h>

int
spec_mount_parse(const char *text, struct spec_mount *m_out, struct err *e)
{
	static const char *const modes[] = { "ro", "rw", "cow" };
	const char *colon = strchr(text, ':');
	const char *mode;
	char source[PATH_MAX];
	size_t i;

	*m_out = (struct spec_mount){ .mode = "ro" };
	if (colon == NULL || colon == text)
		return err_set(e, ERR_BAD_REQUEST,
		    "mount '%s': write SOURCE:TARGET[:ro|rw|cow]", text);
	m_out->target = colon + 1;
	mode = strchr(colon + 1, ':');
	m_out->target_len =
	    mode == NULL ? strlen(colon + 1) : (size_t)(mode - colon - 1);
	if (mode != NULL) {
		for (i = 0; i < countof(modes); i++)
			if (strcmp(mode + 1, modes[i]) == 0)
				break;
		if (i == countof(modes))
			return err_set(e, ERR_BAD_REQUEST,
			    "mount '%s': the mode is ro, rw or cow", text);
		m_out->mode = modes[i];
	}
	if (*m_out->target != '/' || m_out->target_len >= PATH_MAX)
		return err_set(e, ERR_BAD_REQUEST,
		    "mount '%s': the target is an absolute path inside", text);
	if (str_format(source, sizeof(source), "%.*s", (int)(colon - text),
		text) == -1)
		return err_set(e, ERR_BAD_REQUEST, "mount: path too long");
	/* The supervisor stands elsewhere, so relative paths end here. */
	if (realpath(source, m_out->source) == NULL)
		return err_set(e, ERR_BAD_REQUEST, "mount '%s': %s: %s", text,
		    source, strerror(errno));
	return 0;
}

void
spec_mount_write(struct jw *w, const struct spec_mount *m)
{
	jw_object(w);
	jw_kstr(w, "source", m->source);
	jw_key(w, "target");
	jw_strn(w, m->target, m->target_len);
	jw_kstr(w, "mode", m->mode);
	jw_object_end(w);
}

static int
write_pair(struct jw *w, const char *name, size_t len, const char *value,
    struct err *e)
{
	char key[256];

	if (len == 0 || str_format(key, sizeof(key), "%.*s",
			    (int)MIN(len, 300u), name) == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "'%.64s': a name has 1 to %zu bytes", name,
		    sizeof(key) - 1);
	jw_kstr(w, key, value);
	return 0;
}

int
spec_pair(struct jw *w, const char *text, struct err *e)
{
	const char *eq = strchr(text, '=');

	if (eq == NULL)
		return err_set(
		    e, ERR_BAD_REQUEST, "'%s': write NAME=VALUE", text);
	return write_pair(w, text, (size_t)(eq - text), eq + 1, e);
}

int
spec_env(struct jw *w, const char *text, struct err *e)
{
	const char *value;

	if (strchr(text, '=') != NULL)
		return spec_pair(w, text, e);
	value = getenv(text);
	if (value == NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "%s is not set in this environment", text);
	return write_pair(w, text, strlen(text), value, e);
}

bool
spec_has_name(const struct args *a, const char *flag, size_t pos,
    const char *name, size_t len)
{
	const char *v;

	while ((v = args_next(a, flag, &pos)) != NULL)
		if (strcspn(v, "=") == len && memcmp(v, name, len) == 0)
			return true;
	return false;
}

int
spec_map(struct jw *w, const struct args *a, const char *flag, const char *key,
    int (*fn)(struct jw *, const char *, struct err *), struct err *e)
{
	size_t pos = 0;
	const char *v;

	if (!args_has(a, flag))
		return 0;
	jw_key(w, key);
	jw_object(w);
	while ((v = args_next(a, flag, &pos)) != NULL)
		if (!spec_has_name(a, flag, pos, v, strcspn(v, "=")) &&
		    fn(w, v, e) == -1)
			return err_prefix(e, "--%s", flag);
	jw_object_end(w);
	return 0;
}

int
spec_ms(const char *text, int64_t *ms_out, struct err *e)
{
	int64_t seconds;

	/* A bare number of people is seconds. */
	if (str_to_int(text, 1, INT64_MAX / 1000, &seconds) == 0) {
		*ms_out = seconds * 1000;
		return 0;
	}
	if (str_to_ms(text, ms_out) == -1 || *ms_out <= 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "'%s' is no time; write 10s, 5m or 2h", text);
	return 0;
}

static int
limit_int(struct jw *w, const struct args *a, const char *flag, const char *key,
    struct err *e)
{
	const char *v = args_str(a, flag, NULL);
	int64_t n;

	if (v == NULL)
		return 0;
	if (str_to_int(v, 1, INT32_MAX, &n) == -1)
		return err_set(
		    e, ERR_BAD_REQUEST, "--%s: '%s' is no number", flag, v);
	jw_kint(w, key, n);
	return 0;
}

static int
limit_cpu(struct jw *w, const struct args *a, struct err *e)
{
	const char *v = args_str(a, "cpu", NULL);
	double cores;
	char *end;

	if (v == NULL)
		return 0;
	cores = strtod(v, &end);
	if (end == v || *end != '\0' || !(cores > 0 && cores <= 100000))
		return err_set(e, ERR_BAD_REQUEST,
		    "--cpu: '%s' is no number of cores, like 1.5", v);
	jw_key(w, "cpu");
	jw_double(w, cores);
	return 0;
}

static int
limit_bytes(struct jw *w, const struct args *a, const char *flag, struct err *e)
{
	const char *v = args_str(a, flag, NULL);
	int64_t n;

	if (v == NULL)
		return 0;
	if (str_to_bytes(v, &n) == -1 || n <= 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "--%s: '%s' is no size, like 512M", flag, v);
	jw_kint(w, flag, n);
	return 0;
}

static int
limit_time(struct jw *w, const struct args *a, const char *flag, struct err *e)
{
	const char *v = args_str(a, flag, NULL);
	int64_t n;

	if (v == NULL)
		return 0;
	if (spec_ms(v, &n, e) == -1)
		return err_prefix(e, "--%s", flag);
	jw_kint(w, flag, (n + 999) / 1000);
	return 0;
}

int
spec_limits(struct jw *w, const struct args *a, struct err *e)
{
	static const struct opt_def flags[] = { SPEC_LIMIT_OPTS };
	bool any = false;

	for (size_t i = 0; i < countof(flags); i++)
		any = any || args_has(a, flags[i].name);
	if (!any)
		return 0;
	jw_key(w, "limits");
	jw_object(w);
	if (limit_bytes(w, a, "memory", e) == -1 || limit_cpu(w, a, e) == -1 ||
	    limit_int(w, a, "pids", "pids", e) == -1 ||
	    limit_int(w, a, "open-files", "open_files", e) == -1 ||
	    limit_bytes(w, a, "disk", e) == -1 ||
	    limit_int(w, a, "inodes", "inodes", e) == -1 ||
	    limit_int(w, a, "cpu-weight", "cpu_weight", e) == -1 ||
	    limit_int(w, a, "io-weight", "io_weight", e) == -1 ||
	    limit_time(w, a, "idle", e) == -1 ||
	    limit_time(w, a, "time", e) == -1)
		return -1;
	jw_object_end(w);
	return 0;
}

int
spec_more(struct jw *w, const struct args *a, struct err *e)
{
	size_t pos = 0;
	const char *v;

	if (spec_map(w, a, "host", "hosts", spec_pair, e) == -1)
		return -1;
	if (!args_has(a, "tmpfs"))
		return 0;
	jw_key(w, "tmpfs");
	jw_array(w);
	while ((v = args_next(a, "tmpfs", &pos)) != NULL) {
		const char *colon = strrchr(v, ':');

		jw_object(w);
		jw_key(w, "target");
		jw_strn(w, v, colon != NULL ? (size_t)(colon - v) : strlen(v));
		if (colon != NULL)
			jw_kstr(w, "size", colon + 1);
		jw_object_end(w);
	}
	jw_array_end(w);
	return 0;
}

void
spec_copy(struct jw *w, const struct args *a, const char *flag, const char *key)
{
	const char *v = args_str(a, flag, NULL);

	if (v != NULL)
		jw_kstr(w, key, v);
}

int
spec_install(struct jw *w, const struct args *a, struct err *e)
{
	bool yes = args_has(a, "install");

	if (yes && args_has(a, "no-install"))
		return err_set(e, ERR_BAD_REQUEST,
		    "--install and --no-install: one of them");
	if (yes || args_has(a, "no-install"))
		jw_kbool(w, "install", yes);
	return 0;
}

static void
write_rules(struct jw *w, const struct args *a, const char *flag)
{
	size_t pos = 0;
	const char *v;

	if (!args_has(a, flag))
		return;
	jw_key(w, flag);
	jw_array(w);
	while ((v = args_next(a, flag, &pos)) != NULL)
		jw_str(w, v);
	jw_array_end(w);
}

bool
spec_has_egress(const struct args *a)
{
	return args_has(a, "allow") || args_has(a, "deny") ||
	       args_has(a, "egress-default");
}

void
spec_egress(struct jw *w, const struct args *a)
{
	if (!spec_has_egress(a))
		return;
	jw_key(w, "egress");
	jw_object(w);
	write_rules(w, a, "allow");
	write_rules(w, a, "deny");
	spec_copy(w, a, "egress-default", "default");
	jw_object_end(w);
}
