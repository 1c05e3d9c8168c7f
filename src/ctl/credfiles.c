/*
 * The files in which agents keep their keys; see credentials.h. Runs as the
 * caller. In the caller's own home links are followed, since people keep such
 * files elsewhere and link them; in the home of another they are not, so that
 * nobody can have root read what he points at. Files are regular, bounded and
 * parsed strictly; one that is not is noted and passed over.
 */
#include "ctl/beneath.h"
#include "ctl/credentials.h"
#include "lib/fdio.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FILE_MAX_BYTES (16u << 20) /* Claude's holds its history as well */
#define FILE_DEPTH 128

/* --- reading ------------------------------------------------------------- */

static int
open_below(const char *home, const char *name)
{
	autofd int dir = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Neither a terminal nor a pipe shall make us wait. */
	const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct stat st;

	if (dir == -1 || fstat(dir, &st) == -1)
		return -1;
	if (st.st_uid == geteuid())
		return openat(dir, name, flags);
	return beneath_open(dir, name, flags);
}

static int
read_json(
    const char *home, const char *name, struct json **j_out, struct err *e)
{
	autofd int fd = open_below(home, name);
	struct stat st;
	char *text = NULL;
	size_t len = 0;
	int r;

	if (fd == -1 || fstat(fd, &st) == -1)
		return err_sys(e, "open");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_BAD_REQUEST, "not a regular file");
	if (fd_slurp(fd, FILE_MAX_BYTES, &text, &len, e) == -1)
		return -1;
	r = json_parse(text, len, FILE_DEPTH, j_out, e);
	explicit_bzero(text, len);
	free(text);
	return r;
}

/* The object in file NAME, to be freed; NULL when there is none. */
static struct json *
load(const struct credentials_from *f, const char *name)
{
	struct json *j = NULL;
	struct err e;

	if (read_json(f->home, name, &j, &e) == 0 && j->type != JSON_OBJECT) {
		json_free(j);
		j = NULL;
		(void)err_set(&e, ERR_BAD_REQUEST, "no JSON object");
	} else if (j != NULL) {
		return j;
	}
	/* That most of them are not there is as it should be. */
	if (f->note != NULL && e.sys != ENOENT && e.sys != ENOTDIR)
		f->note(f->ctx, name, &e);
	return NULL;
}

/* A string with something in it, or NULL. */
static const char *
text_at(const struct json *j, const char *path)
{
	const struct json *v = json_path(j, path);

	if (v == NULL || v->type != JSON_STRING || v->len == 0 ||
	    strlen(v->str) != v->len)
		return NULL;
	return v->str;
}

/* --- Anthropic ----------------------------------------------------------- */

static void
from_amp(struct credentials *out, const struct credentials_from *f)
{
	static const char *const keys[] = { "anthropicApiKey",
		"anthropic_api_key", "apiKey", "api_key", "accessToken",
		"access_token", "token", "auth.anthropicApiKey", "auth.apiKey",
		"auth.token", "anthropic.apiKey", "anthropic.token" };
	struct json *j = load(f, ".amp/config.json");

	for (size_t i = 0; j != NULL && i < countof(keys); i++) {
		const char *v = text_at(j, keys[i]);

		if (v == NULL)
			continue;
		credentials_add(out, "anthropic", "amp", false, v);
		break;
	}
	json_free(j);
}

static void
from_claude_key(
    struct credentials *out, const struct credentials_from *f, const char *name)
{
	static const char *const keys[] = { "primaryApiKey", "apiKey",
		"anthropicApiKey", "customApiKey" };
	struct json *j = load(f, name);

	for (size_t i = 0; j != NULL && i < countof(keys); i++) {
		const char *v = text_at(j, keys[i]);

		if (v == NULL || !str_starts(v, "sk-ant-"))
			continue;
		credentials_add(out, "anthropic", "claude-code", false, v);
		break;
	}
	json_free(j);
}

/* RFC 3339 as ms since 1970; -1 when it is none. */
static int64_t
time_of(const char *s)
{
	struct tm tm = { 0 };
	const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t ms;
	int hour = 0, minute = 0, sign = 1;

	if (rest == NULL)
		rest = strptime(s, "%Y-%m-%d %H:%M:%S", &tm);
	if (rest == NULL)
		return -1;
	ms = (int64_t)timegm(&tm) * 1000;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (*rest == '+' || *rest == '-') {
		sign = *rest == '-' ? -1 : 1;
		if (sscanf(rest + 1, "%2d:%2d", &hour, &minute) != 2)
			return -1;
	} else if (*rest != 'Z' && *rest != 'z') {
		return -1;
	}
	return ms - sign * (hour * 60 + minute) * INT64_C(60000);
}

/* Has what V tells passed? Numbers are ms since 1970, texts RFC 3339; what says
 * nothing never ends. */
static bool
has_ended(const struct json *v, int64_t now_ms)
{
	int64_t ms = -1;

	if (v == NULL)
		return false;
	if (v->type == JSON_NUMBER && json_number_int(v, &ms) == -1)
		return false;
	if (v->type == JSON_STRING && strlen(v->str) == v->len)
		ms = time_of(v->str);
	return ms >= 0 && ms < now_ms;
}

static void
from_claude_oauth(
    struct credentials *out, const struct credentials_from *f, const char *name)
{
	struct json *j = load(f, name);
	const char *v = text_at(j, "claudeAiOauth.accessToken");

	if (v != NULL &&
	    !has_ended(json_path(j, "claudeAiOauth.expiresAt"), f->now_ms))
		credentials_add(out, "anthropic", "claude-code", true, v);
	json_free(j);
}

/* One of OpenCode's: each provider has an object of its own. What was found
 * elsewhere stands above it. */
static void
add_opencode(struct credentials *out, const struct credentials_from *f,
    const struct json *entry)
{
	const char *type = json_str(entry, "type", "");
	const char *key = text_at(entry, "key");
	const char *access = text_at(entry, "access");

	if (strcmp(type, "api") == 0 && key != NULL)
		credentials_add(out, entry->key, "opencode", false, key);
	else if (strcmp(type, "oauth") == 0 && access != NULL && !f->no_oauth &&
		 !has_ended(json_get(entry, "expires"), f->now_ms))
		credentials_add(out, entry->key, "opencode", true, access);
}

void
credfiles_anthropic(struct credentials *out, const struct credentials_from *f)
{
	/* Amp's stands above Claude's own, as users of both rely on. */
	from_amp(out, f);
	from_claude_key(out, f, ".claude.json.api");
	from_claude_key(out, f, ".claude.json");
	if (!f->no_oauth) {
		from_claude_oauth(out, f, ".claude/.credentials.json");
		from_claude_oauth(out, f, ".claude-oauth-credentials.json");
	}
}

/* --- OpenAI and the others ----------------------------------------------- */

void
credfiles_openai(struct credentials *out, const struct credentials_from *f)
{
	struct json *j = load(f, ".codex/auth.json");
	const char *key = text_at(j, "OPENAI_API_KEY");
	const char *access = text_at(j, "tokens.access_token");

	if (key != NULL)
		credentials_add(out, "openai", "codex", false, key);
	else if (access != NULL && !f->no_oauth)
		credentials_add(out, "openai", "codex", true, access);
	json_free(j);
}

void
credfiles_others(struct credentials *out, const struct credentials_from *f)
{
	struct json *j = load(f, ".local/share/opencode/auth.json");

	json_foreach (entry, j)
		add_opencode(out, f, entry);
	json_free(j);
}
