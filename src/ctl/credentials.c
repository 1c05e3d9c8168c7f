/*
 * Credentials of this user; see credentials.h. Runs as the caller, with the
 * caller's own environment and files, which may hold anything: what is taken
 * from them is bounded, printable, and shown in full only where that was asked
 * for. It must never log a secret, and never write one to a file.
 */
#include "ctl/credentials.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <stdio.h>
#include <string.h>

#define SECRET_LEN_MAX 16384
#define PROVIDER_MAX 64

/* --- the set ------------------------------------------------------------- */

const struct credential *
credentials_get(const struct credentials *c, const char *provider)
{
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->v[i].provider, provider) == 0)
			return &c->v[i];
	}
	return NULL;
}

/* A line break or a blank in a key would be something else where the key is
 * written: a header, a line of a shell's. */
static bool
is_usable(const char *secret)
{
	size_t n = strlen(secret);

	if (n > SECRET_LEN_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (secret[i] <= ' ' || secret[i] > '~')
			return false;
	}
	return true;
}

static bool
is_provider(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

	return n > 0 && n <= PROVIDER_MAX && name[n] == '\0';
}

void
credentials_add(struct credentials *c, const char *provider, const char *source,
    bool oauth, const char *secret)
{
	size_t at = 0;

	if (!is_provider(provider) || !is_usable(secret) ||
	    c->n == CREDENTIALS_MAX || credentials_get(c, provider) != NULL)
		return;
	while (at < c->n && strcmp(c->v[at].provider, provider) < 0)
		at++;
	memmove(&c->v[at + 1], &c->v[at], (c->n - at) * sizeof(c->v[0]));
	c->v[at] = (struct credential){ .provider = xstrdup(provider),
		.source = source,
		.oauth = oauth,
		.secret = xstrdup(secret) };
	c->n++;
}

void
credentials_free(struct credentials *c)
{
	for (size_t i = 0; i < c->n; i++) {
		explicit_bzero(c->v[i].secret, strlen(c->v[i].secret));
		free(c->v[i].secret);
		free(c->v[i].provider);
	}
	c->n = 0;
}

/* --- finding ------------------------------------------------------------- */

static void
add_env(struct credentials *out, const struct credentials_from *from,
    const char *provider, bool oauth, const char *name)
{
	const char *v = from->env(name);

	/* Set to nothing: whoever does that wants no other source either. */
	if (v != NULL && !(oauth && from->no_oauth))
		credentials_add(out, provider, "environment", oauth, v);
}

void
credentials_find(struct credentials *out, const struct credentials_from *from)
{
	out->n = 0;
	add_env(out, from, "anthropic", false, "ANTHROPIC_API_KEY");
	add_env(out, from, "anthropic", false, "CLAUDE_API_KEY");
	add_env(out, from, "anthropic", true, "CLAUDE_CODE_OAUTH_TOKEN");
	add_env(out, from, "anthropic", true, "ANTHROPIC_AUTH_TOKEN");
	add_env(out, from, "openai", false, "OPENAI_API_KEY");
	add_env(out, from, "openai", false, "CODEX_API_KEY");
	if (from->home == NULL)
		return;
	credfiles_anthropic(out, from);
	credfiles_openai(out, from);
	credfiles_others(out, from);
}

/* --- choosing ------------------------------------------------------------ */

static int
choose_other(
    const struct credentials *c, const struct credential **out, struct err *e)
{
	char names[256] = "";
	size_t used = 0;

	*out = credentials_get(c, "openai");
	if (*out == NULL)
		*out = credentials_get(c, "anthropic");
	if (*out == NULL && c->n == 1)
		*out = &c->v[0];
	if (*out != NULL)
		return 0;
	for (size_t i = 0; i < c->n && used + PROVIDER_MAX < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used,
		    "%s%s", i == 0 ? "" : ", ", c->v[i].provider);
	if (c->n == 0)
		return err_set(
		    e, ERR_DENIED, "no credentials found for agent opencode");
	return err_set(e, ERR_DENIED,
	    "multiple providers available for opencode: %s", names);
}

int
credentials_for_agent(const struct credentials *c, const char *agent,
    const char *provider, const struct credential **out, struct err *e)
{
	const char *own = strcmp(agent, "codex") == 0 ? "openai" : "anthropic";

	if (strcmp(agent, "opencode") == 0) {
		if (provider == NULL)
			return choose_other(c, out, e);
		own = provider;
	} else if (provider != NULL && strcmp(provider, own) != 0) {
		return err_set(e, ERR_BAD_REQUEST,
		    "agent %s only supports provider %s", agent, own);
	}
	*out = credentials_get(c, own);
	if (*out == NULL)
		return err_set(
		    e, ERR_DENIED, "no credentials found for provider %s", own);
	return 0;
}

/* --- names --------------------------------------------------------------- */

void
credential_names(const struct credential *c, char room[CREDENTIAL_NAME_MAX],
    const char *names_out[3])
{
	size_t n = strlen(c->provider);

	names_out[0] = names_out[1] = names_out[2] = NULL;
	if (strcmp(c->provider, "anthropic") == 0) {
		names_out[0] = "ANTHROPIC_API_KEY";
		names_out[1] = "CLAUDE_API_KEY";
		return;
	}
	if (strcmp(c->provider, "openai") == 0) {
		names_out[0] = "OPENAI_API_KEY";
		names_out[1] = "CODEX_API_KEY";
		return;
	}
	if (str_format(room, CREDENTIAL_NAME_MAX, "%s_API_KEY", c->provider) ==
	    -1)
		return;
	for (size_t i = 0; i < n; i++) {
		if (room[i] >= 'a' && room[i] <= 'z')
			room[i] = (char)(room[i] - 'a' + 'A');
		else if (room[i] == '-' || room[i] == '.')
			room[i] = '_';
	}
	if (env_name_valid(room))
		names_out[0] = room;
}
