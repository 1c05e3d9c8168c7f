/*
 * Two more things that a sandbox may be asked to have: file systems in memory,
 * and names of hosts of its own. Runs in the supervisor, on the words of
 * control clients that may use us, checked in full before anything is made.
 */
#include "supervisor/spec.h"

#include "lib/xalloc.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define TMPFS_MIN_BYTES 4096
#define HOST_NAME_MAX_BYTES 253

/* --- tmpfs --------------------------------------------------------------- */

/* Member NAME of T, a number or the text of one; 0 if it is not there. */
static int
number(const struct json *t, const char *name,
    int (*fn)(const char *s, int64_t *v_out), int64_t min, int64_t *v_out,
    struct err *e)
{
	const struct json *j = json_get(t, name);
	char text[32];

	*v_out = 0;
	if (j == NULL || j->type == JSON_NULL)
		return 0;
	if ((j->type != JSON_NUMBER && j->type != JSON_STRING) ||
	    j->len >= sizeof(text) ||
	    str_format(text, sizeof(text), "%.*s", (int)j->len, j->str) == -1 ||
	    fn(text, v_out) == -1 || (*v_out != 0 && *v_out < min))
		return err_set(e, ERR_BAD_REQUEST,
		    "tmpfs: %s: not a value between its bounds", name);
	return 0;
}

static int
whole(const char *s, int64_t *v_out)
{
	return str_to_int(s, 0, INT32_MAX, v_out);
}

/* Octal digits, as chmod has them; without set-id bits. */
static int
mode_parse(const char *s, mode_t *mode_out, struct err *e)
{
	mode_t mode = 0;
	size_t i;

	for (i = 0; s[i] >= '0' && s[i] <= '7' && i < 4; i++)
		mode = mode * 8 + (mode_t)(s[i] - '0');
	if (i < 3 || s[i] != '\0' || mode > 01777)
		return err_set(e, ERR_BAD_REQUEST,
		    "tmpfs: mode '%.16s' is not octal, from 000 to 1777", s);
	*mode_out = mode;
	return 0;
}

static int
parse_one(const struct json *t, struct plan_tmpfs *tf, struct err *e)
{
	static const struct json_field fields[] = {
		{ "target", JK_STR, true, 1, 4095 },
		{ "size", JK_ANY, false, 0, 0 },
		{ "inodes", JK_ANY, false, 0, 0 },
		{ "mode", JK_STR, false, 3, 4 },
		{ "exec", JK_BOOL, false, 0, 0 },
	};

	if (json_check(t, fields, countof(fields), e) == -1)
		return err_prefix(e, "tmpfs");
	if (number(t, "size", str_to_bytes, TMPFS_MIN_BYTES, &tf->size_bytes,
		e) == -1 ||
	    number(t, "inodes", whole, 2, &tf->inodes, e) == -1 ||
	    mode_parse(json_str(t, "mode", "1777"), &tf->mode, e) == -1)
		return -1;
	tf->no_exec = !json_bool(t, "exec", true);
	tf->target = spec_target(json_str(t, "target", ""), "tmpfs", e);
	return tf->target == NULL ? -1 : 0;
}

int
spec_parse_tmpfs(
    const struct json *list, struct sandbox_spec *sp, struct err *e)
{
	if (list == NULL || list->len == 0)
		return 0;
	sp->tmpfs = xcalloc(list->len, sizeof(*sp->tmpfs));
	json_foreach (t, list) {
		struct plan_tmpfs *tf = &sp->tmpfs[sp->ntmpfs];

		if (parse_one(t, tf, e) == -1)
			return -1;
		sp->ntmpfs++;
		for (size_t i = 0; i + 1 < sp->ntmpfs; i++) {
			if (strcmp(sp->tmpfs[i].target, tf->target) == 0)
				return err_set(e, ERR_MOUNT_REFUSED,
				    "tmpfs: target %s stands twice",
				    tf->target);
		}
	}
	return 0;
}

/* --- hosts --------------------------------------------------------------- */

/* A name that stands in a line of /etc/hosts as one word. */
static bool
host_name_valid(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > HOST_NAME_MAX_BYTES || s[0] == '-' || s[0] == '.')
		return false;
	for (; *s != '\0'; s++) {
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') &&
		    !(*s >= '0' && *s <= '9') && strchr("-._", *s) == NULL)
			return false;
	}
	return true;
}

int
spec_check_hosts(const struct json *hosts, struct err *e)
{
	unsigned char addr[sizeof(struct in6_addr)];

	json_foreach (it, hosts) {
		if (!host_name_valid(it->key))
			return err_set(e, ERR_BAD_REQUEST,
			    "hosts: '%.64s' is no name of a host: letters, "
			    "digits, '-', '.' and '_', at most %d",
			    it->key, HOST_NAME_MAX_BYTES);
		if (inet_pton(AF_INET, it->str, addr) != 1 &&
		    inet_pton(AF_INET6, it->str, addr) != 1)
			return err_set(e, ERR_BAD_REQUEST,
			    "hosts: %.64s: '%.64s' is no address", it->key,
			    it->str);
	}
	return 0;
}

char *
spec_hosts_text(const struct sandbox_spec *sp)
{
	struct buf b;

	/* Who shares the host's network is to find what the host finds. */
	if (sp->hosts == NULL && strcmp(sp->network, "host") == 0)
		return NULL;
	buf_init(&b, SIZE_MAX);
	buf_addf(&b, "127.0.0.1\tlocalhost\n"
		     "::1\tlocalhost ip6-localhost ip6-loopback\n");
	if (strcmp(sp->hostname, "localhost") != 0 &&
	    strmap_get(sp->hosts, sp->hostname) == NULL)
		buf_addf(&b, "127.0.1.1\t%s\n", sp->hostname);
	for (char **v = sp->hosts; v != NULL && *v != NULL; v++) {
		size_t n = strcspn(*v, "=");

		buf_addf(&b, "%s\t%.*s\n", *v + n + 1, (int)n, *v);
	}
	buf_add(&b, "", 1);
	return b.data;
}

/* --- both ---------------------------------------------------------------- */

void
spec_write_more(const struct sandbox_spec *sp, struct jw *w)
{
	char mode[16];

	jw_key(w, "tmpfs");
	jw_array(w);
	for (size_t i = 0; i < sp->ntmpfs; i++) {
		const struct plan_tmpfs *tf = &sp->tmpfs[i];

		jw_object(w);
		jw_kstr(w, "target", tf->target);
		if (tf->size_bytes != 0)
			jw_kint(w, "size", tf->size_bytes);
		if (tf->inodes != 0)
			jw_kint(w, "inodes", tf->inodes);
		(void)snprintf(mode, sizeof(mode), "%04o", tf->mode);
		jw_kstr(w, "mode", mode);
		jw_kbool(w, "exec", !tf->no_exec);
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_key(w, "hosts");
	strmap_write(w, sp->hosts);
}

void
spec_free_more(struct sandbox_spec *sp)
{
	for (size_t i = 0; i < sp->ntmpfs; i++)
		free((char *)(uintptr_t)sp->tmpfs[i].target);
	free(sp->tmpfs);
	strv_free(sp->hosts);
}
