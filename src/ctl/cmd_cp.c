/*
 * cp: files and trees into a sandbox and out of it. Runs as the caller.
 *
 * Both ways a tar stream goes through a pipe between us and a child of the
 * sandbox's init. What comes out of a sandbox is hostile: it is unpacked below
 * the destination and nowhere else, through no link, under no name that was
 * not asked for, without set-id bits and devices (lib/untar.h). What goes in
 * is read here, by descriptor; links are never followed.
 */
#include "ctl/commands.h"
#include "ctl/spec.h"
#include "ctl/text.h"
#include "lib/strutil.h"
#include "lib/tar_pack.h"
#include "lib/untar.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define ENTRIES_MAX 10000000
#define SOURCES_MAX 256

struct copy {
	struct ctl *ctl;
	const struct args *a;
	char id[SANDBOX_ID_MAX + 1];
	char **src; /* borrowed; without the sandbox */
	size_t nsrc;
	const char *dst;
	struct client c;
	bool mapped; /* what is ours is SELF's inside */
	struct tar_owner self;
};

/* --- names --------------------------------------------------------------- */

/* "SANDBOX:/path": the path, or NULL for one of ours. A slash before the colon
 * makes it one of ours whatever follows. */
static const char *
inside(const char *word, char id[SANDBOX_ID_MAX + 1])
{
	size_t n = strcspn(word, ":/");

	if (word[n] != ':' ||
	    str_format(id, SANDBOX_ID_MAX + 1, "%.*s", (int)n, word) == -1 ||
	    !sandbox_id_valid(id))
		return NULL;
	return word + n + 1;
}

/* The last part of PATH, which may end in slashes; NULL for ".", ".." and "/",
 * whose contents are meant. */
static const char *
base_name(const char *path, char name[NAME_MAX + 1])
{
	size_t n = strlen(path), at;

	while (n > 1 && path[n - 1] == '/')
		n--;
	for (at = n; at > 0 && path[at - 1] != '/'; at--)
		;
	if (str_format(name, NAME_MAX + 1, "%.*s", (int)(n - at), path + at) ==
		-1 ||
	    name[0] == '\0' || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return NULL;
	return name;
}

static int
stat_text(struct copy *c, const struct json *ok, const char *what)
{
	char bytes[BYTES_TEXT_MAX];
	int64_t skipped = json_int(ok, "skipped", 0);

	if (c->ctl->json) {
		ctl_print_json(ok);
		return EXIT_OK;
	}
	text_bytes(bytes, json_int(ok, "bytes", 0));
	if (args_has(c->a, "verbose"))
		ctl_note(c->ctl, "%lld entries, %s %s",
		    (long long)json_int(ok, "entries", 0), bytes, what);
	if (skipped > 0)
		ctl_note(c->ctl,
		    "%lld devices, FIFOs, sockets or files of "
		    "the kernel were left out",
		    (long long)skipped);
	return EXIT_OK;
}

/* --- in ------------------------------------------------------------------ */

/* FD's bytes, to the end. */
static int
pour(int from_fd, int to_fd, struct err *e)
{
	autofree char *buf = xmalloc(1 << 18);
	ssize_t n;

	while ((n = read(from_fd, buf, 1 << 18)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_sys(e, "read");
		if (fd_write_all(to_fd, buf, (size_t)n) == -1)
			return err_sys(e, "write");
	}
	return 0;
}

static int
pack_one(struct tar_pack *p, const char *src, struct err *e)
{
	char name[NAME_MAX + 1], dir[PATH_MAX];
	const char *last = base_name(src, name);
	size_t n = strlen(src);
	autofd int fd = -1;

	while (n > 1 && src[n - 1] == '/')
		n--;
	if (last != NULL)
		n -= strlen(last);
	if (str_format(dir, sizeof(dir), "%.*s", (int)n, n == 0 ? "." : src) ==
		-1 ||
	    (dir[0] == '\0' && str_copy(dir, sizeof(dir), ".") == -1))
		return err_set(e, ERR_BAD_REQUEST, "%.60s: too long", src);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return err_sys(e, "%s", src);
	if (last == NULL)
		return tar_pack_add(p, fd, ".", ".", e);
	return tar_pack_add(p, fd, last, last, e);
}

static int
pack(struct copy *c, int fd, struct err *e)
{
	struct tar_pack *p = tar_pack_new(fd);
	struct tar_pack_counts n;
	size_t i;
	int r = 0;

	if (c->mapped)
		tar_pack_owner(
		    p, (struct tar_owner){ geteuid(), getegid() }, c->self);
	for (i = 0; i < c->nsrc && r == 0; i++)
		r = pack_one(p, c->src[i], e);
	if (r == 0)
		r = tar_pack_end(p, e);
	tar_pack_counts(p, &n);
	tar_pack_free(p);
	if (r == 0 && n.skipped > 0)
		ctl_note(c->ctl,
		    "%llu devices, FIFOs, sockets or files of "
		    "the kernel were left out",
		    (unsigned long long)n.skipped);
	return r;
}

static void
write_copy_in(struct copy *c)
{
	struct jw *w = client_begin(&c->c, "sandbox.copy.in");
	const struct args *a = c->a;
	bool stream = strcmp(c->src[0], "-") == 0;
	const char *owner = args_str(a, "owner", NULL);

	jw_kstr(w, "id", c->id);
	jw_kstr(w, "path", c->dst);
	if (stream || c->nsrc > 1)
		jw_kbool(w, "into", true);
	if (owner != NULL)
		jw_kstr(w, "owner", owner);
	else if (args_has(a, "no-owner"))
		jw_kstr(w, "owner", "0:0");
	if (args_has(a, "setid"))
		jw_kbool(w, "setid", true);
	jw_kint(w, "fds", 1);
}

/* An ordinary user's sandbox may have no such id as his; but then one of its
 * ids is he. */
static int
self_find(struct copy *c, struct err *e)
{
	const struct json *ids;
	struct answer a;

	if (geteuid() == 0 || args_has(c->a, "no-owner") ||
	    args_str(c->a, "owner", NULL) != NULL)
		return 0;
	if (client_ask(c->ctl, "sandbox.get", c->id, &a, e) == -1)
		return -1;
	ids = json_get(a.body, "ids");
	c->mapped = json_int(ids, "self_uid", -1) != -1;
	c->self.uid = (uid_t)json_int(ids, "self_uid", 0);
	c->self.gid = (gid_t)json_int(ids, "self_gid", 0);
	answer_free(&a);
	return 0;
}

static int
copy_in(struct copy *c)
{
	bool stream = strcmp(c->src[0], "-") == 0;
	int read_fd = -1, write_fd = -1;
	struct answer ans;
	struct err e, late;
	int r, code;

	if (stream && c->nsrc > 1) {
		(void)err_set(&e, ERR_BAD_REQUEST, "- comes alone");
		return ctl_fail(c->ctl, &e);
	}
	if (!stream && self_find(c, &e) == -1)
		return ctl_fail(c->ctl, &e);
	client_init(&c->c, c->ctl);
	write_copy_in(c);
	r = fd_pipe(&read_fd, &write_fd, &e);
	if (r == 0)
		r = client_send(&c->c, &read_fd, 1, &e);
	fd_close(&read_fd);
	if (r == -1) {
		fd_close(&write_fd);
		client_close(&c->c);
		return ctl_fail(c->ctl, &e);
	}
	err_clear(&e);
	r = stream ? pour(STDIN_FILENO, write_fd, &e) : pack(c, write_fd, &e);
	fd_close(&write_fd);
	/* Who reads no further has a better reason than our broken pipe; when
	 * it is we who have stopped, ours is the better one. */
	code = client_final(&c->c, &ans, &late);
	client_close(&c->c);
	if (r == -1 && (e.sys != EPIPE || code == 0)) {
		if (code == 0)
			answer_free(&ans);
		return ctl_fail(c->ctl, &e);
	}
	if (code == -1)
		return ctl_fail(c->ctl, &late);
	code = stat_text(c, ans.body, "copied");
	answer_free(&ans);
	return code;
}

/* --- out ----------------------------------------------------------------- */

struct target {
	struct untar_opts o;
	char name[NAME_MAX + 1];
	const char *tops[SOURCES_MAX];
	char names[SOURCES_MAX][NAME_MAX + 1];
};

/* As cp(1) has it: into a directory that is there, else under a new name. */
static int
target_open(struct copy *c, struct target *t, struct err *e)
{
	const char *slash;
	char dir[PATH_MAX];
	bool contents = false;
	size_t i;

	for (i = 0; i < c->nsrc; i++) {
		t->tops[i] = base_name(c->src[i], t->names[i]);
		contents = contents || t->tops[i] == NULL;
	}
	if (contents && c->nsrc > 1)
		return err_set(e, ERR_BAD_REQUEST,
		    "the contents of a directory are copied alone");
	t->o.base_fd = open(c->dst, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->o.base_fd == -1 && errno == ENOENT && contents &&
	    mkdir(c->dst, 0777) == 0)
		t->o.base_fd = open(c->dst, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!contents) {
		t->o.tops = t->tops;
		t->o.ntops = c->nsrc;
	}
	if (t->o.base_fd != -1)
		return 0;
	if (contents || c->nsrc > 1 || (errno != ENOENT && errno != ENOTDIR))
		return err_sys(e, "%s", c->dst);
	t->o.top = base_name(c->dst, t->name);
	if (t->o.top == NULL || c->dst[strlen(c->dst) - 1] == '/')
		return err_set(
		    e, ERR_BAD_REQUEST, "%s: no such directory", c->dst);
	slash = strrchr(c->dst, '/');
	if (str_format(dir, sizeof(dir), "%.*s",
		slash == NULL ? 1 : (int)(slash - c->dst) + 1,
		slash == NULL ? "." : c->dst) == -1)
		return err_set(e, ERR_BAD_REQUEST, "%.60s: too long", c->dst);
	t->o.base_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return t->o.base_fd == -1 ? err_sys(e, "%s", dir) : 0;
}

static int
unpack(struct copy *c, int fd, struct err *e)
{
	static struct target t;
	bool root = geteuid() == 0;
	struct untar *u;
	int r;

	t.o = (struct untar_opts){
		.base_fd = -1,
		.mode_bits = args_has(c->a, "setid") ? 07777 : 01777,
		.owner = root && !args_has(c->a, "no-owner") ? UNTAR_KEEP
							     : UNTAR_OWN,
		.xattrs = true,
		.holes = true,
		.no_links = true,
		.entries_max = ENTRIES_MAX,
	};
	if (target_open(c, &t, e) == -1)
		return -1;
	u = untar_new(&t.o);
	r = untar_read(u, fd, e);
	untar_free(u);
	fd_close(&t.o.base_fd);
	return r;
}

static void
write_copy_out(struct copy *c)
{
	struct jw *w = client_begin(&c->c, "sandbox.copy.out");
	size_t i;

	jw_kstr(w, "id", c->id);
	jw_key(w, "paths");
	jw_array(w);
	for (i = 0; i < c->nsrc; i++)
		jw_str(w, c->src[i]);
	jw_array_end(w);
	jw_kint(w, "fds", 1);
}

static int
copy_out(struct copy *c)
{
	bool stream = strcmp(c->dst, "-") == 0;
	int read_fd = -1, write_fd = -1;
	struct answer ans;
	struct err e, late;
	int r, code;

	if (stream && isatty(STDOUT_FILENO) == 1) {
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "a tar stream is nothing for a terminal");
		return ctl_fail(c->ctl, &e);
	}
	client_init(&c->c, c->ctl);
	write_copy_out(c);
	r = fd_pipe(&read_fd, &write_fd, &e);
	if (r == 0)
		r = client_send(&c->c, &write_fd, 1, &e);
	fd_close(&write_fd);
	if (r == 0) {
		err_clear(&e);
		r = stream ? pour(read_fd, STDOUT_FILENO, &e)
			   : unpack(c, read_fd, &e);
		fd_close(&read_fd);
		code = client_final(&c->c, &ans, &late);
		/* What was not sent whole could not be read whole: then the
		 * sender's reason is the better one, unless it is that we have
		 * stopped. */
		if (code == -1 && (r == 0 || e.sys == 0) &&
		    strstr(late.text, strerror(EPIPE)) == NULL) {
			e = late;
			r = -1;
		}
	} else {
		code = -1;
	}
	fd_close(&read_fd);
	client_close(&c->c);
	if (r == 0 && code == 0 && !stream)
		(void)stat_text(c, ans.body, "copied");
	if (code == 0)
		answer_free(&ans);
	if (r == -1 || code == -1)
		return ctl_fail(c->ctl, r == -1 ? &e : &late);
	return EXIT_OK;
}

/* --- the command --------------------------------------------------------- */

/* Which side each word is of: all sources of one, the destination of the
 * other. */
static int
sides(struct copy *c, bool *out_out, struct err *e)
{
	const struct args *a = c->a;
	char id[SANDBOX_ID_MAX + 1];
	const char *path;
	size_t i;

	c->nsrc = a->noperands - 1;
	if (c->nsrc > SOURCES_MAX)
		return err_set(
		    e, ERR_BAD_REQUEST, "at most %d sources", SOURCES_MAX);
	path = inside(a->operands[c->nsrc], c->id);
	c->dst = path != NULL ? path : a->operands[c->nsrc];
	*out_out = path == NULL;
	for (i = 0; i < c->nsrc; i++) {
		path = inside(a->operands[i], *out_out && i == 0 ? c->id : id);
		if ((path != NULL) != *out_out ||
		    (path != NULL && i > 0 && strcmp(id, c->id) != 0))
			return err_set(e, ERR_BAD_REQUEST,
			    "either all sources or the destination are "
			    "SANDBOX:PATH, of one sandbox");
		c->src[i] =
		    (char *)(uintptr_t)(path != NULL ? path : a->operands[i]);
	}
	return 0;
}

static int
run_cp(struct ctl *ctl, const struct args *a)
{
	struct copy c = { .ctl = ctl, .a = a };
	autofree char **src = xcalloc(a->noperands, sizeof(*src));
	struct err e;
	bool out = false;

	c.src = src;
	if (sides(&c, &out, &e) == -1)
		return ctl_misuse(ctl, &e);
	return out ? copy_out(&c) : copy_in(&c);
}

static const struct opt_def cp_opts[] = {
	{ "no-owner", '\0', NULL,
	    "Owners do not count: all is root's inside, ours outside." },
	{ "owner", '\0', "USER[:GROUP]", "Into a sandbox: all is his." },
	{ "setid", '\0', NULL,
	    "Keep set-user-id and set-group-id bits, dropped otherwise." },
	{ "verbose", '\0', NULL, "Say how much was copied." },
};

const struct command cmd_cp = {
	.name = "cp",
	.operands = "SOURCE... DESTINATION",
	.help = "Copy into or out of a sandbox: SANDBOX:/PATH is inside, - a "
		"tar stream.",
	COMMAND_OPTS(cp_opts),
	.min = 2,
	.max = -1,
	.run = run_cp,
};
