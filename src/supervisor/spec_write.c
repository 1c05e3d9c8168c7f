/*
 * What a sandbox was asked to be, written as JSON. Runs in the supervisor.
 */
#include "lib/xalloc.h"
#include "supervisor/spec.h"

#include <stdio.h>
#include <string.h>

/* A record has more in it than what was asked for, and must fit in a frame. */
#define RECORD_MAX (FRAME_MAX - 128 * 1024)

const char *const spec_mode_names[] = {
	[MOUNT_RO] = "ro",
	[MOUNT_RW] = "rw",
	[MOUNT_COW] = "cow",
};

char **
strmap_parse(const struct json *obj)
{
	char **v;
	size_t n = 0;

	if (obj == NULL || obj->type != JSON_OBJECT || obj->len == 0)
		return NULL;
	v = xcalloc(obj->len + 1, sizeof(*v));
	json_foreach (it, obj) {
		v[n++] = xasprintf("%s=%s", it->key, it->str);
	}
	return v;
}

void
strmap_write(struct jw *w, char *const *v)
{
	char name[256];

	jw_object(w);
	for (; v != NULL && *v != NULL; v++) {
		size_t n = strcspn(*v, "=");

		if (n >= sizeof(name))
			continue; /* never stored: see check_env */
		memcpy(name, *v, n);
		name[n] = '\0';
		jw_kstr(w, name, *v + n + 1);
	}
	jw_object_end(w);
}

const char *
strmap_get(char *const *v, const char *name)
{
	size_t n = strlen(name);

	for (; v != NULL && *v != NULL; v++) {
		if (strncmp(*v, name, n) == 0 && (*v)[n] == '=')
			return *v + n + 1;
	}
	return NULL;
}

/* Whole seconds as a number; the rest with its unit. */
static void
time_write(const char *name, int64_t ms, struct jw *w)
{
	char text[32];

	if (ms == 0)
		return;
	(void)snprintf(text, sizeof(text), "%lldms", (long long)ms);
	if (ms % 1000 == 0)
		jw_kint(w, name, ms / 1000);
	else
		jw_kstr(w, name, text);
}

static void
limits_write(const struct sandbox_spec *sp, struct jw *w)
{
	jw_key(w, "limits");
	jw_object(w);
	if (sp->limits.memory_bytes != 0)
		jw_kint(w, "memory", sp->limits.memory_bytes);
	if (sp->limits.cpu_millis != 0) {
		jw_key(w, "cpu");
		jw_double(w, (double)sp->limits.cpu_millis / 1000.0);
	}
	if (sp->limits.pids != 0)
		jw_kint(w, "pids", sp->limits.pids);
	if (sp->limits.open_files != 0)
		jw_kint(w, "open_files", sp->limits.open_files);
	if (sp->limits.disk_bytes != 0)
		jw_kint(w, "disk", sp->limits.disk_bytes);
	if (sp->limits.inodes != 0)
		jw_kint(w, "inodes", sp->limits.inodes);
	if (sp->limits.cpu_weight != 0)
		jw_kint(w, "cpu_weight", sp->limits.cpu_weight);
	if (sp->limits.io_weight != 0)
		jw_kint(w, "io_weight", sp->limits.io_weight);
	time_write("time", sp->time_ms, w);
	time_write("idle", sp->idle_ms, w);
	jw_object_end(w);
}

void
spec_write_key(const struct sandbox_spec *sp, struct jw *w)
{
	if (sp->idempotency_key == NULL)
		return;
	jw_kstr(w, "idempotency_key", sp->idempotency_key);
	if (sp->request_hash != NULL)
		jw_kstr(w, "request_hash", sp->request_hash);
}

void
spec_write_brief(const struct sandbox_spec *sp, struct jw *w)
{
	jw_kstr(w, "image", sp->image);
	if (sp->image_name != NULL)
		jw_kstr(w, "image_name", sp->image_name);
	jw_kbool(w, "ephemeral", sp->ephemeral);
	if (sp->renew_ms > 0) {
		char text[32];

		(void)snprintf(
		    text, sizeof(text), "%lldms", (long long)sp->renew_ms);
		jw_kstr(w, "renew_on_access", text);
	}
	if (sp->entrypoint != NULL) {
		jw_key(w, "entrypoint");
		jw_array(w);
		for (char **v = sp->entrypoint; *v != NULL; v++)
			jw_str(w, *v);
		jw_array_end(w);
	}
	if (sp->service != NULL) {
		jw_key(w, "service");
		jw_raw(w, sp->service, strlen(sp->service));
	}
	jw_key(w, "labels");
	strmap_write(w, sp->labels);
}

void
spec_write(const struct sandbox_spec *sp, struct jw *w)
{
	spec_write_brief(sp, w);
	jw_kstr(w, "network", sp->network);
	if (strcmp(sp->network, "filtered") == 0) {
		jw_key(w, "egress");
		netpolicy_write(&sp->egress, w);
	}
	jw_kstr(w, "user", sp->user);
	jw_kstr(w, "hostname", sp->hostname);
	if (sp->directory != NULL)
		jw_kstr(w, "directory", sp->directory);
	jw_kstr(w, "isolation_wanted", sp->isolation);
	jw_key(w, "env");
	strmap_write(w, sp->env);
	limits_write(sp, w);
	jw_key(w, "mounts");
	jw_array(w);
	for (size_t i = 0; i < sp->nmounts; i++) {
		jw_object(w);
		jw_kstr(w, "source", sp->mounts[i].source);
		jw_kstr(w, "target", sp->mounts[i].target);
		jw_kstr(w, "mode", spec_mode_names[sp->mounts[i].mode]);
		jw_object_end(w);
	}
	jw_array_end(w);
	spec_write_more(sp, w);
}

int
spec_check_size(const struct sandbox_spec *sp, struct err *e)
{
	struct buf b;
	struct jw w;
	bool fits;

	buf_init(&b, RECORD_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	spec_write(sp, &w);
	spec_write_key(sp, &w);
	jw_object_end(&w);
	fits = !b.failed;
	buf_free(&b);
	return fits ? 0
		    : err_set(e, ERR_TOO_LARGE,
			  "what is said of a sandbox must fit in %u bytes",
			  RECORD_MAX);
}
