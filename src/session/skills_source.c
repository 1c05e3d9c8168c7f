/*
 * Sources of skills: what is asked for, what it is called, where it is kept;
 * see skills_source.h. Runs in the session worker, on words of users and on
 * directories that anybody of the sandbox may have written to.
 */
#include "session/skills_source.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/tools.h"
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TREE_BYTES_MAX (256u << 20)
#define TREE_NAMES_MAX 50000
#define WORK_STALE_S (60 * 60) /* then nobody is at it any more */

/* --- trees ---------------------------------------------------------------- */

static struct {
	uint64_t bytes, names;
} tree; /* of the walk that runs: nftw takes no context */

static int
count_one(const char *path, const struct stat *st, int what, struct FTW *where)
{
	(void)path, (void)what, (void)where;
	tree.bytes += (uint64_t)st->st_blocks * 512;
	tree.names++;
	return tree.bytes > TREE_BYTES_MAX || tree.names > TREE_NAMES_MAX;
}

bool
tree_too_large(const char *dir)
{
	tree.bytes = tree.names = 0;
	return nftw(dir, count_one, 16, FTW_PHYS) == 1;
}

static int
remove_one(const char *path, const struct stat *st, int what, struct FTW *where)
{
	(void)st, (void)what, (void)where;
	(void)remove(path); /* the next one goes on; what is left is harmless */
	return 0;
}

void
tree_remove(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- sources -------------------------------------------------------------- */

bool
source_is_fetched(const char *type)
{
	return strcmp(type, "git") == 0 || strcmp(type, "github") == 0 ||
	       strcmp(type, "archive") == 0;
}

/* TEXT[0..n) without user and password of an address. */
static char *
without_password(const char *text)
{
	const char *host = strstr(text, "://"), *at;

	if (host == NULL)
		return xstrdup(text);
	host += 3;
	at = memrchr(host, '@', strcspn(host, "/?#"));
	if (at == NULL)
		return xstrdup(text);
	return xasprintf("%.*s***%s", (int)(host - text), text, at);
}

char *
source_shown(const struct json *source)
{
	const char *ref = json_str(source, "ref", NULL);
	autofree char *from = without_password(json_str(source, "source", ""));

	return ref != NULL ? xasprintf("%s at %s", from, ref) : xstrdup(from);
}

bool
source_is_url(const char *s)
{
	return strstr(s, "://") != NULL;
}

char *
source_path(const struct agent *a, const char *path)
{
	return path[0] == '/' ? xstrdup(path)
			      : xasprintf("%s/%s", a->conf->directory, path);
}

/* What git is asked for: an address, HOST:PATH, or a path. */
char *
source_git_address(const struct agent *a, const char *type, const char *from)
{
	const char *slash = strchr(from, '/');
	size_t plain = strspn(from,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "._-/");

	if (strcmp(type, "github") == 0 && from[plain] == '\0' &&
	    slash != NULL && slash != from && slash[1] != '\0' &&
	    strchr(slash + 1, '/') == NULL)
		return xasprintf("https://github.com/%s%s", from,
		    strlen(from) > 4 &&
			    strcmp(from + strlen(from) - 4, ".git") == 0
			? ""
			: ".git");
	if (source_is_url(from) || strcspn(from, ":") < strcspn(from, "/"))
		return xstrdup(from);
	return source_path(a, from);
}

/* What a reader would call it: the last part, without its suffixes. */
char *
source_name(const char *from)
{
	static const char *const suffixes[] = { ".git", ".tgz", ".zip", ".gz",
		".xz", ".bz2", ".zst", ".tar" };
	size_t end = source_is_url(from) ? strcspn(from, "?#") : strlen(from);
	size_t begin, i, n;

	while (end > 0 && from[end - 1] == '/')
		end--;
	for (i = 0; i < countof(suffixes); i++) {
		n = strlen(suffixes[i]);
		if (end > n && memcmp(from + end - n, suffixes[i], n) == 0)
			end -= n;
	}
	for (begin = end; begin > 0 && strchr("/:", from[begin - 1]) == NULL;)
		begin--;
	if (begin == end || from[begin] == '.' || end - begin > 128)
		return xstrdup("skills");
	return xstrndup(from + begin, end - begin);
}

static bool
subpath_ok(const char *s)
{
	for (; s != NULL; s = strchr(s, '/'), s = s != NULL ? s + 1 : NULL)
		if (*s == '/' ||
		    (str_starts(s, "..") && (s[2] == '/' || s[2] == '\0')))
			return false;
	return true;
}

int
source_check(const struct json *source, struct err *e)
{
	const char *from = json_str(source, "source", "");
	const char *ref = json_str(source, "ref", NULL);

	if (!agent_word_ok(from))
		return err_set(e, ERR_BAD_REQUEST, "its address is none");
	if (ref != NULL && (!agent_word_ok(ref) || strpbrk(ref, ": ") != NULL))
		return err_set(e, ERR_BAD_REQUEST,
		    "%.64s is no branch, tag or commit", ref);
	if (!subpath_ok(json_str(source, "subpath", NULL)))
		return err_set(
		    e, ERR_BAD_REQUEST, "its subpath leads out of it");
	return 0;
}

/* --- the cache ------------------------------------------------------------ */

char *
cache_dir(const struct agent *a)
{
	const char *xdg = tools_env(a, "XDG_CACHE_HOME");
	const char *home = tools_env(a, "HOME");

	if (xdg != NULL && xdg[0] == '/')
		return xasprintf("%s/sandboxd/skills", xdg);
	return home != NULL && home[0] == '/'
		   ? xasprintf("%s/.cache/sandboxd/skills", home)
		   : NULL;
}

static uint64_t
mix(uint64_t h, const char *s)
{
	for (; s != NULL && *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return (h ^ 0xff) * 0x100000001b3u;
}

/* Two sums, so that it takes malice to have two sources in one place; who has
 * that may write to the place anyway. */
char *
source_key(
    const char *type, const char *from, const char *ref, const char *stamp)
{
	uint64_t a = 0xcbf29ce484222325u, b = 0x84222325cbf29ce4u;

	a = mix(mix(mix(mix(a, type), from), ref), stamp);
	b = mix(mix(mix(mix(b, stamp), ref), from), type);
	return xasprintf("%016" PRIx64 "%016" PRIx64, a, b);
}

bool
source_is_commit(const char *ref)
{
	return ref != NULL && strlen(ref) >= 40 &&
	       strspn(ref, "0123456789abcdef") == strlen(ref);
}

int
cache_make(const char *path, struct err *e)
{
	autofree char *copy = xstrdup(path);
	char *p = copy;

	while ((p = strchr(p + 1, '/')) != NULL) {
		*p = '\0';
		if (mkdir(copy, 0755) == -1 && errno != EEXIST)
			return err_sys(e, "make %s", copy);
		*p = '/';
	}
	if (mkdir(copy, 0755) == -1 && errno != EEXIST)
		return err_sys(e, "make %s", copy);
	return 0;
}

/* Archives of code hosts hold one directory that holds all. */
char *
source_inner_dir(const char *dir)
{
	autofree char *skill = xasprintf("%s/SKILL.md", dir);
	char *only = NULL;
	struct dirent *de;
	struct stat st;
	size_t n = 0;
	DIR *d;

	if (access(skill, F_OK) == 0 || (d = opendir(dir)) == NULL)
		return xstrdup(dir);
	while (n < 2 && (de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		n++;
		free(only);
		only = xasprintf("%s/%s", dir, de->d_name);
	}
	(void)closedir(d); /* only read */
	if (n == 1 && strcmp(strrchr(only, '/'), "/skills") != 0 &&
	    stat(only, &st) == 0 && S_ISDIR(st.st_mode))
		return only;
	free(only);
	return xstrdup(dir);
}

void
cache_sweep(const char *cache)
{
	DIR *d = opendir(cache);
	struct dirent *de;
	struct stat st;

	if (d == NULL)
		return;
	while ((de = readdir(d)) != NULL) {
		autofree char *path = NULL;

		if (!str_starts(de->d_name, CACHE_WORK))
			continue;
		path = xasprintf("%s/%s", cache, de->d_name);
		if (lstat(path, &st) == 0 &&
		    st.st_mtime + WORK_STALE_S < time(NULL))
			tree_remove(path);
	}
	(void)closedir(d); /* only read */
}
