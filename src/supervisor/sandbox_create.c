/*
 * Making a sandbox: its checks, its directory, its entry in the table. Runs in
 * the supervisor, on arguments of a client that may use us.
 */
#include "lib/ops.h"
#include "lib/xalloc.h"
#include "sandbox/remove.h"
#include "supervisor/instance.h"
#include "supervisor/powers.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/spec.h"

#include <string.h>

int
sandbox_create(struct super *s, const struct json *args,
    struct sandbox **sb_out, struct err *e)
{
	char made[RANDOM_ID_MAX];
	const char *id = json_str(args, "id", NULL);
	int64_t expires_at_ms;
	struct sandbox_spec sp;
	struct sandbox *sb;
	int fd = -1;

	if (id == NULL) {
		random_id(made, "sb-");
		id = made;
	}
	if (!sandbox_id_valid(id))
		return err_set(e, ERR_BAD_REQUEST,
		    "id: letters, digits, '-', '.' and '_', at most 63, "
		    "beginning with a letter or digit");
	if (sandbox_find(s, id) != NULL)
		return err_set(e, ERR_SANDBOX_EXISTS, "sandbox exists: %s", id);
	if (s->nsandboxes >= (size_t)s->conf.max_sandboxes)
		return err_set(e, ERR_LIMIT, "there are %zu sandboxes already",
		    s->nsandboxes);
	if (sandbox_timeout_parse(
		json_get(args, "timeout"), &expires_at_ms, e) == -1 ||
	    spec_parse(s, args, id, false, &sp, e) == -1)
		return -1;
	if (strcmp(powers_minimum(s), "full") == 0) {
		free(sp.isolation);
		sp.isolation = xstrdup("full");
	}
	if (spec_check_size(&sp, e) == -1 ||
	    sandbox_ids_check(s, &sp, e) == -1 ||
	    sandbox_disk_check(s, &sp, e) == -1 ||
	    sandbox_weights_check(s, &sp.limits, e) == -1 ||
	    (strcmp(sp.isolation, "full") == 0 &&
		sandbox_isolation_check(&sp, s->host.have, e) == -1)) {
		spec_free(&sp);
		return -1;
	}
	if (instance_make_dir(s, id, &fd, e) == -1) {
		spec_free(&sp);
		return err_prefix(e, "create sandbox %s", id);
	}
	fd_close(&fd);
	sb = sandbox_new(s, id, 1);
	sb->spec = sp;
	if (sp.limits.disk_bytes != 0)
		sandbox_disk_init(sb, s->disk_by);
	if (json_str(args, "owner", NULL) != NULL)
		sb->owner = xstrdup(json_str(args, "owner", NULL));
	sb->proc.once = true; /* a create that fails is not tried again */
	sandbox_event(sb, SH_CREATED, NULL);
	sandbox_expiry_set(sb, expires_at_ms);
	if (sandbox_launch_and_store(sb, e) == -1) {
		int64_t budget = INT64_MAX;

		(void)err_prefix(e, "create sandbox %s", id);
		(void)tree_remove(s->sandboxes_fd, id, &budget, NULL);
		sandbox_free(sb);
		return -1;
	}
	*sb_out = sb;
	return 0;
}

/* What the configuration says of it. */
static struct json *
default_args(const struct super *s, struct err *e)
{
	const char *spec = s->conf.default_spec;
	struct json *given = NULL;
	struct json *args = NULL;
	struct buf b;
	struct jw w;

	if (*spec != '\0' &&
	    json_parse(spec, strlen(spec), JSON_DEPTH_CONTROL, &given, e) == -1)
		return NULL; /* it was checked when it was read */
	buf_init(&b, CONTROL_LINE_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "id", "default");
	json_foreach (m, given)
		jw_kvalue(&w, m->key, m);
	jw_object_end(&w);
	json_free(given);
	if (json_parse(b.data, b.len, JSON_DEPTH_CONTROL, &args, e) == -1)
		args = NULL;
	buf_free(&b);
	return args;
}

int
sandbox_default(struct super *s, struct sandbox **sb_out, struct err *e)
{
	struct json *j;
	int rc;

	*sb_out = sandbox_find(s, "default");
	if (*sb_out != NULL && (*sb_out)->state != SB_DESTROYING)
		return 0;
	j = default_args(s, e);
	if (j == NULL)
		return -1;
	rc = sandbox_create(s, j, sb_out, e);
	json_free(j);
	return rc;
}
