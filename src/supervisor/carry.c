/*
 * The document of a live upgrade; see carry.h. Runs in the supervisor. It is
 * written by one image of ours and read by the next, through a sealed memory
 * file that nobody else ever holds: what is wrong in it is a defect, and the
 * new image is asked to read it before the old one goes.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include "supervisor/carry.h"
#include "supervisor/carry_parts.h"

#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX (512u << 20)
#define FDS_MAX (1u << 22)
#define DEPTH_MAX 32

struct part {
	const char *name;
	void (*put)(struct super *s, struct carry *c);
	int (*take)(struct super *s, const struct json *j, struct err *e);
	const char *(*busy)(struct super *s);
	bool early; /* taken before anything is opened */
};

/* In the order in which they are taken. */
static const struct part parts[] = {
	{ "instance", instance_put, instance_take, NULL, true },
	{ "listen", listen_put, listen_take, NULL, true },
	{ "control", control_put, control_take, NULL, true },
	{ "command", command_put, command_take, command_busy, true },
	{ "store", storec_carry_put, storec_carry_take, storec_carry_busy,
	    false },
	{ "relay", relay_carry_put, relay_carry_take, relay_carry_busy, false },
	{ "courier", courier_carry_put, courier_carry_take, courier_carry_busy,
	    false },
	{ "egress", egress_put, egress_take, egress_busy, false },
	{ "gateways", gateways_put, gateways_take, gateways_busy, false },
	{ "tokens", tokens_put, tokens_take, tokens_busy, false },
	/* Before those that are connected with them. */
	{ "clients", clients_put, clients_take, clients_busy, false },
	{ "sandboxes", sandboxes_put, sandboxes_take, sandboxes_busy, false },
	{ "sessions", sessions_put, sessions_take, sessions_carry_busy, false },
};

const char *
carry_busy(struct super *s)
{
	const char *why;

	for (size_t i = 0; i < countof(parts); i++) {
		why = parts[i].busy != NULL ? parts[i].busy(s) : NULL;
		if (why != NULL)
			return why;
	}
	return NULL;
}

int
carry_put(struct super *s, struct carry *c, struct err *e)
{
	buf_init(&c->text, TEXT_MAX);
	buf_init(&c->fds, FDS_MAX);
	jw_init(&c->w, &c->text);
	jw_object(&c->w);
	jw_kint(&c->w, "format", CARRY_FORMAT);
	jw_kstr(&c->w, "version", PACKAGE_VERSION);
	for (size_t i = 0; i < countof(parts); i++) {
		jw_key(&c->w, parts[i].name);
		jw_object(&c->w);
		parts[i].put(s, c);
		jw_object_end(&c->w);
	}
	jw_object_end(&c->w);
	if (!c->text.failed && !c->fds.failed)
		return 0;
	carry_free(c);
	return err_set(e, ERR_LIMIT, "there is too much to carry");
}

void
carry_free(struct carry *c)
{
	if (c->text.data != NULL)
		explicit_bzero(c->text.data, c->text.len); /* environments */
	buf_free(&c->text);
	buf_free(&c->fds);
}

static int
check(const struct json *doc, struct err *e)
{
	int64_t format = json_int(doc, "format", 0);

	if (format != CARRY_FORMAT)
		return err_set(e, ERR_BAD_REQUEST,
		    "it carries format %lld, this is %d", (long long)format,
		    CARRY_FORMAT);
	for (size_t i = 0; i < countof(parts); i++) {
		const struct json *j = json_get(doc, parts[i].name);

		if (j == NULL || j->type != JSON_OBJECT)
			return err_set(e, ERR_BAD_REQUEST, "it carries no %s",
			    parts[i].name);
	}
	return 0;
}

int
carry_read(int fd, struct json **doc_out, struct err *e)
{
	autofd int in = fd;
	autofree char *text = NULL;
	struct stat st;
	size_t len = 0;

	/* Before any memory is spent on it. */
	if (fstat(in, &st) == 0 && st.st_size > (off_t)TEXT_MAX)
		return err_set(e, ERR_TOO_LARGE, "what is carried is too long");
	if (lseek(in, 0, SEEK_SET) == -1)
		return err_sys(e, "read what is carried");
	if (fd_slurp(in, TEXT_MAX, &text, &len, e) == -1 ||
	    json_parse(text, len, DEPTH_MAX, doc_out, e) == -1)
		return err_prefix(e, "read what is carried");
	explicit_bzero(text, len);
	if (check(*doc_out, e) == 0)
		return 0;
	json_free(STEAL(*doc_out));
	return -1;
}

static int
take(struct super *s, bool early, struct err *e)
{
	for (size_t i = 0; i < countof(parts); i++) {
		if (parts[i].early != early)
			continue;
		if (parts[i].take(s, json_get(s->carried, parts[i].name), e) ==
		    -1)
			return err_prefix(e, "take %s", parts[i].name);
	}
	return 0;
}

int
carry_take_early(struct super *s, struct err *e)
{
	return take(s, true, e);
}

int
carry_take(struct super *s, struct err *e)
{
	return take(s, false, e);
}
