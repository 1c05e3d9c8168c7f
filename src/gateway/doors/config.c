/*
 * /v1/config/mcp and /v1/config/skills: entries by directory and name, kept in
 * a file of the sandbox below that directory. Runs in the gateway, which gets
 * the file from the sandbox's file server and gives a new one back.
 *
 * Changes to one file wait for each other. One that somebody else has changed
 * in between (another gateway, a program of the sandbox) is read again: the
 * file server replaces only what is still as it was read.
 */
#include "gateway/db.h"
#include "gateway/doors/files.h"
#include "gateway/link.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/toolconf.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#define FILE_MS 30000
/* Somebody was quicker each time: two gateways do meet, but each other try
 * comes later, by a little chance, so that neither starves. */
#define TRIES_MAX 64
#define AGAIN_STEP_S 0.002
#define ETAG_MAX 256

struct change {
	TAILQ_ENTRY(change) link; /* of all that are under way, in order */
	struct req *r;		  /* held */
	enum toolconf kind;
	bool writes, runs;
	char *path;	     /* owned: of the file */
	char *name;	     /* owned: of the entry */
	char *entry;	     /* owned: its normal form; NULL: it is to go */
	char etag[ETAG_MAX]; /* of the file as it was read; "": none */
	bool there;	     /* the file was */
	unsigned tries;
	ev_timer again; /* another try */
	char *text;	/* owned: the new file */
	size_t len;
	int64_t upload;
};

static TAILQ_HEAD(, change) changes = TAILQ_HEAD_INITIALIZER(changes);

static void change_read(struct change *c);

static void
on_again(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	change_read(t->data);
}

static void
change_again(struct change *c)
{
	/* The clock's last digits are chance enough. */
	double share = (double)((uint64_t)(ev_time() * 1e6) % 1000) / 1000.0;

	free(STEAL(c->text));
	ev_timer_init(&c->again, on_again,
	    AGAIN_STEP_S * (double)MIN(c->tries, 20U) * share, 0.);
	c->again.data = c;
	ev_timer_start(c->r->gw->loop, &c->again);
}

/* --- one after the other -------------------------------------------------- */

static bool
same_file(const struct change *a, const struct change *b)
{
	return a->kind == b->kind && strcmp(a->path, b->path) == 0 &&
	       strcmp(a->r->sandbox, b->r->sandbox) == 0;
}

static void
change_end(struct change *c)
{
	struct change *next;

	TAILQ_REMOVE(&changes, c, link);
	TAILQ_FOREACH (next, &changes, link) {
		if (c->writes && next->writes && same_file(c, next)) {
			next->runs = true;
			change_read(next);
			break;
		}
	}
	req_release(c->r);
	free(c->path);
	free(c->name);
	free(c->entry);
	free(c->text);
	free(c);
}

static void
change_begin(struct change *c)
{
	struct change *other;

	c->runs = true;
	TAILQ_FOREACH (other, &changes, link) {
		if (c->writes && other->writes && same_file(c, other))
			c->runs = false; /* its turn comes */
	}
	TAILQ_INSERT_TAIL(&changes, c, link);
	if (c->runs)
		change_read(c);
}

static void
change_fail(struct change *c, const struct err *e)
{
	files_fail(c->r, e);
	change_end(c);
}

/* --- writing -------------------------------------------------------------- */

static void
on_committed(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct change *c = ctx;
	struct err why;

	(void)fds;
	(void)nfds;
	if (ok != NULL) {
		req_reply_empty(c->r, 204);
		change_end(c);
	} else if (e->code == ERR_PRECONDITION && ++c->tries < TRIES_MAX) {
		change_again(c);
	} else {
		/* It could be read, so the path is a path. */
		why = *e;
		if (why.code == ERR_BAD_REQUEST)
			why.code = ERR_SYSTEM;
		change_fail(c, &why);
	}
}

static void
upload_call(struct change *c, enum msg_type type, link_done *done)
{
	struct buf b;

	buf_init(&b, 128);
	(void)buf_addf(&b, "{\"upload\":%lld}", (long long)c->upload);
	if (done != NULL)
		(void)link_call(c->r->gw, LINK_FILES, c->r->sandbox, type, &b,
		    NULL, 0, FILE_MS, done, c);
	else
		link_notice(c->r->gw, LINK_FILES, c->r->sandbox, type, &b);
	buf_free(&b);
}

static void
on_created(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct change *c = ctx;
	struct stat st;
	struct err why;
	bool there;

	if (ok == NULL) {
		on_committed(c, NULL, NULL, 0, e);
		return;
	}
	c->upload = json_int(ok, "upload", 0);
	/* Writing to anything else could wait, and all our clients with it. */
	there = nfds == 1 && fstat(fds[0], &st) == 0 && S_ISREG(st.st_mode);
	errno = EIO;
	if (there && fd_write_all(fds[0], c->text, c->len) == 0) {
		fd_close(&fds[0]);
		upload_call(c, MSG_FS_COMMIT, on_committed);
		return;
	}
	(void)err_set(&why,
	    errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_SYSTEM,
	    "%s (os error %d)", strerror(errno), errno);
	upload_call(c, MSG_FS_ABORT, NULL);
	change_fail(c, &why);
}

static void
change_write(struct change *c)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 65536);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "path", c->path);
	jw_kint(&w, "size", (int64_t)c->len);
	if (!c->there)
		jw_kstr(&w, "if_none_match", "*");
	else if (c->etag[0] != '\0')
		jw_kstr(&w, "if_match", c->etag);
	jw_object_end(&w);
	(void)link_call(c->r->gw, LINK_FILES, c->r->sandbox, MSG_FS_CREATE, &b,
	    NULL, 0, FILE_MS, on_created, c);
	buf_free(&b);
}

/* --- entries -------------------------------------------------------------- */

struct named {
	const char *name;
	const struct json *entry; /* NULL: C's own */
};

static int
by_name(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* The file as it is to be: all entries in their normal form, in order. */
static int
new_text(struct change *c, const struct json *file, struct err *e)
{
	struct named *v = xcalloc(file->len + 1, sizeof(*v));
	struct json *all = NULL;
	struct buf b;
	struct jw w;
	size_t n = 0, i;
	int rc = 0;

	json_foreach (it, file)
		if (strcmp(it->key, c->name) != 0)
			v[n++] = (struct named){ it->key, it };
	if (c->entry != NULL)
		v[n++] = (struct named){ c->name, NULL };
	qsort(v, n, sizeof(*v), by_name);
	buf_init(&b, TOOLCONF_FILE_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	for (i = 0; i < n && rc == 0; i++) {
		jw_key(&w, v[i].name);
		if (v[i].entry == NULL)
			jw_raw(&w, c->entry, strlen(c->entry));
		else
			rc = toolconf_normal(c->kind, v[i].entry, &w, e);
	}
	free(v);
	if (rc == 0) {
		jw_object_end(&w);
		rc = b.failed
			 ? err_set(e, ERR_TOO_LARGE,
			       "the file would be longer than %u bytes",
			       TOOLCONF_FILE_MAX)
			 : json_parse(b.data, b.len, JSON_DEPTH_AGENT, &all, e);
	}
	buf_free(&b);
	if (rc == -1)
		return -1;
	buf_init(&b, 2 * TOOLCONF_FILE_MAX);
	toolconf_pretty(&b, all);
	json_free(all);
	/* What could not be read again must not be written. */
	if (b.failed || b.len > TOOLCONF_FILE_MAX) {
		buf_free(&b);
		return err_set(e, ERR_TOO_LARGE,
		    "the file would be longer than %u bytes",
		    TOOLCONF_FILE_MAX);
	}
	c->len = b.len;
	c->text = buf_steal(&b);
	return 0;
}

static void
answer_entry(struct change *c, const struct json *file)
{
	const struct json *entry = json_get(file, c->name);
	char *id = xasprintf("%s:%s", toolconf_name(c->kind), c->name);
	struct err e;
	struct buf b;
	struct jw w;

	buf_init(&b, TOOLCONF_FILE_MAX);
	jw_init(&w, &b);
	if (entry != NULL) {
		if (toolconf_normal(c->kind, entry, &w, &e) == 0)
			req_reply_json(c->r, 200, &b);
		else
			req_problem(
			    c->r, PROBLEM_INVALID_REQUEST, "%s", e.text);
	} else {
		(void)buf_adds(&b, "\"sessionId\":");
		jw_strn(&w, id, strlen(id));
		req_problem_ext(c->r, PROBLEM_SESSION_NOT_FOUND,
		    b.failed ? NULL : b.data, "%s", id);
	}
	buf_free(&b);
	free(id);
}

static void
on_file(struct change *c, const char *text, size_t len)
{
	struct json *file;
	struct err e;

	if (toolconf_parse(c->kind, text, len, &file, &e) == -1) {
		req_problem(c->r, PROBLEM_INVALID_REQUEST,
		    "invalid config file %s: %s", c->path, e.text);
		change_end(c);
		return;
	}
	if (!c->writes) {
		answer_entry(c, file);
		json_free(file);
		change_end(c);
		return;
	}
	if (new_text(c, file, &e) == -1)
		change_fail(c, &e);
	else
		change_write(c);
	json_free(file);
}

/* --- reading -------------------------------------------------------------- */

static void
on_open(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	const char *etag = json_str(json_get(ok, "entry"), "etag", "");
	struct change *c = ctx;
	autofree char *text = NULL;
	struct stat st;
	struct err why;
	size_t len = 0;

	c->there = ok != NULL;
	c->etag[0] = '\0';
	if (ok == NULL && e->code == ERR_BAD_REQUEST &&
	    str_starts(e->text, "path not found")) {
		on_file(c, "", 0);
		return;
	}
	if (ok == NULL) {
		change_fail(c, e);
		return;
	}
	(void)!str_copy(c->etag, sizeof(c->etag), etag);
	/* A pipe or a device could make us wait. */
	if (nfds != 1 || fstat(fds[0], &st) == -1 || !S_ISREG(st.st_mode)) {
		err_set(&why, ERR_BAD_REQUEST,
		    "invalid config file %s: not a regular file", c->path);
		change_fail(c, &why);
		return;
	}
	if (fd_slurp(fds[0], TOOLCONF_FILE_MAX, &text, &len, &why) == -1) {
		(void)err_prefix(&why, "config file %s", c->path);
		change_fail(c, &why);
		return;
	}
	on_file(c, text, len);
}

static void
change_read(struct change *c)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 65536);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "path", c->path);
	jw_object_end(&w);
	(void)link_call(c->r->gw, LINK_FILES, c->r->sandbox, MSG_FS_OPEN, &b,
	    NULL, 0, FILE_MS, on_open, c);
	buf_free(&b);
}

/* --- requests ------------------------------------------------------------- */

/* Relative directories are below the sandbox's own, if it has one; else below
 * the home of its user, which the file server knows. */
static char *
file_path(const struct req *r, enum toolconf kind, const char *directory)
{
	autofree char *base = NULL;
	const char *text;
	struct json *rec = NULL;
	size_t len;

	if (directory[0] != '/' && db_begin(r->gw->db, NULL) == 0) {
		if (db_record(
			r->gw->db, "sandboxes", r->sandbox, &text, &len) &&
		    json_parse(text, len, JSON_DEPTH_AGENT, &rec, NULL) == 0 &&
		    json_str(rec, "directory", NULL) != NULL)
			base = xstrdup(json_str(rec, "directory", ""));
		json_free(rec);
		db_end(r->gw->db);
	}
	return xasprintf("%s%s%s/%s/%s.json", base != NULL ? base : "",
	    base != NULL ? "/" : "", directory, TOOLCONF_DIR,
	    toolconf_name(kind));
}

static bool
is_blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

/* NULL: it was answered. */
static struct change *
change_new(struct req *r, enum toolconf kind, bool writes)
{
	const char *key = kind == TOOLCONF_MCP ? "mcpName" : "skillName";
	const char *directory = req_query(r, "directory", "");
	const char *name = req_query(r, key, "");
	struct change *c;

	if (is_blank(directory) || is_blank(name)) {
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "missing required '%s' query parameter",
		    is_blank(directory) ? "directory" : key);
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	c->kind = kind;
	c->writes = writes;
	c->name = xstrdup(name);
	c->path = file_path(r, kind, directory);
	c->r = r;
	req_hold(r);
	return c;
}

static void
config_get(struct req *r, enum toolconf kind)
{
	struct change *c = change_new(r, kind, false);

	if (c != NULL)
		change_begin(c);
}

static void
config_put(struct req *r, enum toolconf kind)
{
	struct change *c;
	struct err e;
	struct buf b;
	struct jw w;

	buf_init(&b, TOOLCONF_FILE_MAX);
	jw_init(&w, &b);
	if (toolconf_normal(kind, r->json, &w, &e) == -1) {
		req_problem(r, PROBLEM_BAD_BODY, "%s", e.text);
	} else if (b.failed) {
		req_problem(r, PROBLEM_TOO_LARGE,
		    "an entry of more than %u bytes", TOOLCONF_FILE_MAX);
	} else if ((c = change_new(r, kind, true)) != NULL) {
		c->entry = buf_steal(&b);
		change_begin(c);
	}
	buf_free(&b);
}

static void
config_delete(struct req *r, enum toolconf kind)
{
	struct change *c = change_new(r, kind, true);

	if (c != NULL)
		change_begin(c);
}

void
route_mcp_get(struct req *r)
{
	config_get(r, TOOLCONF_MCP);
}

void
route_mcp_put(struct req *r)
{
	config_put(r, TOOLCONF_MCP);
}

void
route_mcp_delete(struct req *r)
{
	config_delete(r, TOOLCONF_MCP);
}

void
route_skills_get(struct req *r)
{
	config_get(r, TOOLCONF_SKILLS);
}

void
route_skills_put(struct req *r)
{
	config_put(r, TOOLCONF_SKILLS);
}

void
route_skills_delete(struct req *r)
{
	config_delete(r, TOOLCONF_SKILLS);
}
