/*
 * Fetching a repository or an archive; see skills_fetch.h. Runs in the session
 * worker, with programs of the sandbox (git, curl, tar, unzip), started by
 * their arguments and never through a shell, as the sandbox's user and in its
 * network. What they bring is anybody's: it is bounded in time, bytes and
 * names, it is only ever linked to, and nothing of it is executed here.
 *
 * It lies in CACHE/sandboxd/skills/KEY/NAME, KEY standing for source and ref,
 * NAME being what a reader would call it. It is made beside and put in place
 * as a whole, so that a reader sees all or nothing.
 */
#include "session/skills_fetch.h"

#include "lib/buf.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agent_process.h"
#include "session/skills_source.h"
#include "session/tools.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FETCH_S 120.0	  /* all programs of one source */
#define LOOK_S 1.0	  /* between looks at how much there is */
#define FRESH_S (60 * 60) /* a branch is not asked for again before */
#define SAID_MAX 512	  /* of what a program prints */
#define ARGS_MAX 24

enum step {
	STEP_GIT_INIT,
	STEP_GIT_FETCH,
	STEP_GIT_CHECKOUT,
	STEP_DOWNLOAD,
	STEP_UNPACK,
	STEP_DONE
};

struct fetch {
	struct agent *a;
	fetch_done *done;
	void *ctx;
	enum step step;
	char *from;  /* owned: what git or curl is given, or a path */
	char *shown; /* owned: the same for readers */
	char *ref;   /* owned, or NULL */
	char *name;  /* owned: of its directory */
	char *place; /* owned: CACHE/KEY */
	char *work;  /* owned: CACHE/.work-… */
	char *dir;   /* owned: work/NAME */
	char *file;  /* owned: the archive */
	char **env;  /* owned */
	struct process *proc;
	ev_timer limit, look;
	char said[SAID_MAX + 1];
	size_t nsaid;
	const char *too; /* why it was killed, or NULL */
};

/* Where it lies, once it is in place. */
static char *
content_dir(const struct fetch *f)
{
	autofree char *dir = xasprintf("%s/%s", f->place, f->name);

	return f->file != NULL ? source_inner_dir(dir) : xstrdup(dir);
}

/* Something of the sandbox, not of the network. */
static bool
is_near(const struct fetch *f)
{
	return f->from[0] == '/' || str_starts(f->from, "file://");
}

/* ANY_AGE: also one that may be out of date. A repository nearby always may,
 * but it costs nothing to look; an archive nearby has its age in its key. */
static bool
in_place(const struct fetch *f, bool any_age)
{
	struct stat st;
	time_t now = time(NULL);

	if (stat(f->place, &st) == -1 || !S_ISDIR(st.st_mode))
		return false;
	if (any_age || source_is_commit(f->ref))
		return true;
	if (is_near(f))
		return f->file != NULL;
	return st.st_mtime <= now && now - st.st_mtime < FRESH_S;
}

static int
put_in_place(const struct fetch *f, struct err *e)
{
	if (rename(f->work, f->place) == 0)
		return 0;
	/* An older one is there, or another worker was faster: ours takes its
	 * place, and theirs goes with the rest of the work. */
	if (renameat2(AT_FDCWD, f->work, AT_FDCWD, f->place, RENAME_EXCHANGE) ==
	    -1) {
		/* Not every file system can do that. */
		tree_remove(f->place);
		return rename(f->work, f->place) == 0
			   ? 0
			   : err_sys(e, "put it into %s", f->place);
	}
	tree_remove(f->work);
	return 0;
}

/* --- programs ------------------------------------------------------------- */

static void run_step(struct fetch *f);

/* The end, well (E is NULL) or not. An older copy is better than none. */
static void
finish(struct fetch *f, const struct err *e)
{
	autofree char *dir = NULL, *say = NULL;

	ev_timer_stop(f->a->loop, &f->limit);
	ev_timer_stop(f->a->loop, &f->look);
	if (e == NULL || in_place(f, true))
		dir = content_dir(f);
	if (e != NULL && dir != NULL) {
		say = xasprintf(
		    "%s: an older copy is used: %.300s", f->shown, e->text);
		uni_status(f->a->out, "skills.stale", say);
	}
	f->done(dir, e, f->ctx); /* may free F */
}

static void
on_line(
    struct process *p, const char *line, size_t len, size_t total, void *ctx)
{
	struct fetch *f = ctx;
	size_t n = MIN(len, SAID_MAX - f->nsaid);

	(void)p;
	(void)total;
	if (n == 0)
		return;
	if (f->nsaid > 0 && n > 1) {
		f->said[f->nsaid++] = ' ';
		n = MIN(n, SAID_MAX - f->nsaid);
	}
	memcpy(f->said + f->nsaid, line, n);
	f->nsaid += n;
}

static int
explain(struct fetch *f, const struct err *failed, struct err *e)
{
	const char *program = f->step == STEP_DOWNLOAD ? "curl"
			      : f->step == STEP_UNPACK ? "unpacking it"
						       : "git";
	char *at;

	if (f->too != NULL)
		return err_set(e, ERR_LIMIT, "%s", f->too);
	if (failed != NULL) {
		*e = *failed;
		return -1;
	}
	f->said[f->nsaid] = '\0';
	/* Programs like to repeat what they were given. */
	while (strcmp(f->from, f->shown) != 0 &&
	       (at = strstr(f->said, f->from)) != NULL)
		memset(at, '*', strlen(f->from));
	return err_set(e, ERR_EXEC_FAILED, "%s failed (%d)%s%s", program,
	    process_exit_code(f->proc), f->nsaid > 0 ? ": " : "", f->said);
}

static void
on_exited(struct process *p, const struct err *failed, void *ctx)
{
	struct fetch *f = ctx;
	struct err e;

	if (f->too == NULL && failed == NULL && process_exit_code(p) == 0) {
		process_free(STEAL(f->proc));
		if (tree_too_large(f->work)) {
			(void)err_set(&e, ERR_LIMIT, "it is too large");
			finish(f, &e);
			return;
		}
		f->step++;
		run_step(f);
		return;
	}
	(void)explain(f, failed, &e);
	process_free(STEAL(f->proc));
	finish(f, &e);
}

static void
on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct fetch *f = w->data;

	(void)loop, (void)revents;
	f->too = "it takes too long";
	if (f->proc != NULL)
		process_signal(f->proc, SIGKILL, true);
}

static void
on_look(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct fetch *f = w->data;

	(void)loop, (void)revents;
	if (f->proc == NULL || !tree_too_large(f->work))
		return;
	f->too = "it is too large";
	process_signal(f->proc, SIGKILL, true);
}

static int
start(struct fetch *f, const char *const *argv, struct err *e)
{
	static const struct process_ops ops = { .line = on_line,
		.exited = on_exited };
	const struct process_spec spec = {
		/* execve does not write to the strings */
		.argv = (char *const *)(uintptr_t)argv,
		.env = f->env,
		.directory = f->work,
		.merge = true,
		.quiet = true
	};

	f->nsaid = 0;
	if (process_start(f->a->loop, &spec, &ops, f, &f->proc, e) == 0)
		return 0;
	f->proc = NULL;
	return -1;
}

/* By what it begins with: names lie, and addresses have none. */
static bool
is_zip(const char *path)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char magic[4] = "";

	return fd != -1 && read(fd, magic, 4) == 4 &&
	       memcmp(magic, "PK\003\004", 4) == 0;
}

static int
start_step(struct fetch *f, struct err *e)
{
	const char *const init[] = { "git", "init", "-q", f->dir, NULL };
	const char *const fetch[] = { "git", "-C", f->dir, "-c",
		"core.hooksPath=/dev/null", "-c", "submodule.recurse=false",
		"fetch", "-q", "--depth", "1", "--no-tags", "--", f->from,
		f->ref != NULL ? f->ref : "HEAD", NULL };
	const char *const checkout[] = { "git", "-C", f->dir, "-c",
		"core.hooksPath=/dev/null", "-c", "advice.detachedHead=false",
		"checkout", "-q", "FETCH_HEAD", NULL };
	const char *const download[] = { "curl", "-fsSL", "--proto",
		"=https,http", "--connect-timeout", "20", "--max-filesize",
		"268435456", "-o", f->file, "--url", f->from, NULL };
	const char *const untar[] = { "tar", "-xf", f->file, "-C", f->dir,
		NULL };
	const char *const unzip[] = { "unzip", "-q", "-o", f->file, "-d",
		f->dir, NULL };

	switch (f->step) {
	case STEP_GIT_INIT:
		return start(f, init, e);
	case STEP_GIT_FETCH:
		return start(f, fetch, e);
	case STEP_GIT_CHECKOUT:
		return start(f, checkout, e);
	case STEP_DOWNLOAD:
		return start(f, download, e);
	case STEP_UNPACK:
		return start(f, is_zip(f->file) ? unzip : untar, e);
	case STEP_DONE:
		break;
	}
	return err_set(e, ERR_INTERNAL, "no such step");
}

static void
run_step(struct fetch *f)
{
	struct err e;

	if (f->step == STEP_DOWNLOAD && f->file == NULL)
		f->step = STEP_DONE; /* git has nothing to unpack */
	if (f->step == STEP_DONE) {
		if (f->file != NULL && source_is_url(f->from))
			(void)unlink(f->file); /* only room is lost */
		finish(f, put_in_place(f, &e) == 0 ? NULL : &e);
		return;
	}
	if (start_step(f, &e) == -1)
		finish(f, &e);
}

/* --- life ----------------------------------------------------------------- */

/* The agent's environment, and that git must not ask anybody. */
static char **
environment(const struct agent *a)
{
	static const char *const more[] = { "GIT_TERMINAL_PROMPT=0",
		"GIT_ALLOW_PROTOCOL=https:http:ssh:file",
		"GIT_LFS_SKIP_SMUDGE=1",
		"GIT_SSH_COMMAND=ssh -oBatchMode=yes -oConnectTimeout=20" };
	size_t n = strv_len(a->conf->env), used = 0, i;
	char **env = xcalloc(n + countof(more) + 1, sizeof(*env));

	for (i = 0; i < n; i++)
		if (!str_starts(a->conf->env[i], "GIT_TERMINAL_PROMPT=") &&
		    !str_starts(a->conf->env[i], "GIT_ALLOW_PROTOCOL=") &&
		    !str_starts(a->conf->env[i], "GIT_LFS_SKIP_SMUDGE="))
			env[used++] = xstrdup(a->conf->env[i]);
	n = countof(more);
	if (tools_env(a, "GIT_SSH_COMMAND") != NULL ||
	    tools_env(a, "GIT_SSH") != NULL)
		n--; /* theirs */
	for (i = 0; i < n; i++)
		env[used++] = xstrdup(more[i]);
	return env;
}

/* An archive of the sandbox: the file, and a word that changes with it. */
static char *
local_archive(
    const struct agent *a, const char *from, char **stamp_out, struct err *e)
{
	autofree char *path = source_path(
	    a, str_starts(from, "file://") ? from + strlen("file://") : from);
	struct stat st;

	if (stat(path, &st) == -1) {
		(void)err_sys(e, "%s", path);
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		(void)err_set(e, ERR_BAD_REQUEST, "%s is no file", path);
		return NULL;
	}
	*stamp_out = xasprintf("%lld:%lld.%09ld", (long long)st.st_size,
	    (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	return STEAL(path);
}

static struct fetch *
fetch_new(struct agent *a, const struct json *source, struct err *e)
{
	const char *type = json_str(source, "type", "");
	const char *from = json_str(source, "source", "");
	autofree char *cache = cache_dir(a), *key = NULL, *stamp = NULL;
	struct fetch *f = xcalloc(1, sizeof(*f));
	char work[RANDOM_ID_MAX];
	bool archive = strcmp(type, "archive") == 0;

	f->a = a;
	f->shown = source_shown(source);
	f->name = source_name(from);
	if (json_str(source, "ref", NULL) != NULL)
		f->ref = xstrdup(json_str(source, "ref", NULL));
	ev_timer_init(&f->limit, on_limit, FETCH_S, 0.);
	ev_timer_init(&f->look, on_look, LOOK_S, LOOK_S);
	f->limit.data = f->look.data = f;
	if (archive && (!source_is_url(from) || str_starts(from, "file://"))) {
		f->file = local_archive(a, from, &stamp, e);
		if (f->file == NULL)
			goto bad;
		f->from = xstrdup(f->file);
	} else {
		f->from =
		    archive ? xstrdup(from) : source_git_address(a, type, from);
	}
	if (cache == NULL) {
		(void)err_set(e, ERR_BAD_REQUEST,
		    "the session's environment has no HOME to keep it in");
		goto bad;
	}
	key = source_key(archive ? "archive" : "git", f->from, f->ref, stamp);
	random_id(work, CACHE_WORK);
	f->place = xasprintf("%s/%s", cache, key);
	f->work = xasprintf("%s/%s", cache, work);
	f->dir = xasprintf("%s/%s", f->work, f->name);
	if (archive && f->file == NULL)
		f->file = xasprintf("%s/.download", f->work);
	f->step = !archive		   ? STEP_GIT_INIT
		  : source_is_url(f->from) ? STEP_DOWNLOAD
					   : STEP_UNPACK;
	return f;
bad:
	fetch_free(f);
	return NULL;
}

static int
begin(struct fetch *f, struct err *e)
{
	autofree char *cache =
	    xstrndup(f->place, (size_t)(strrchr(f->place, '/') - f->place));

	if (cache_make(cache, e) == -1)
		return -1;
	cache_sweep(cache);
	if (cache_make(f->dir, e) == -1)
		return -1;
	f->env = environment(f->a);
	return start_step(f, e);
}

int
fetch_start(struct agent *a, const struct json *source, fetch_done *done,
    void *ctx, struct fetch **f_out, char **dir_out, struct err *e)
{
	struct fetch *f;
	int rc = 0;

	if (source_check(source, e) == -1)
		return -1;
	f = fetch_new(a, source, e);
	if (f == NULL)
		return -1;
	f->done = done;
	f->ctx = ctx;
	if (in_place(f, false))
		rc = 1;
	else if (begin(f, e) == -1)
		rc = in_place(f, true) ? 1 : -1;
	if (rc == 1)
		*dir_out = content_dir(f);
	if (rc != 0) {
		fetch_free(f);
		return rc;
	}
	ev_timer_start(a->loop, &f->limit);
	ev_timer_start(a->loop, &f->look);
	*f_out = f;
	return 0;
}

void
fetch_free(struct fetch *f)
{
	if (f == NULL)
		return;
	ev_timer_stop(f->a->loop, &f->limit);
	ev_timer_stop(f->a->loop, &f->look);
	process_free(f->proc);
	if (f->work != NULL)
		tree_remove(f->work); /* gone already when all went well */
	strv_free(f->env);
	free(f->from);
	free(f->shown);
	free(f->ref);
	free(f->name);
	free(f->place);
	free(f->work);
	free(f->dir);
	free(f->file);
	free(f);
}
