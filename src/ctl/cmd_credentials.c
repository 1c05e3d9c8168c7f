/*
 * credentials extract|extract-env: the keys of model providers that this user
 * has. Runs as the caller; asks no supervisor. A secret is shown in full only
 * where that is what was asked for.
 */
#include "ctl/cmd_credentials.h"
#include "ctl/commands.h"
#include "ctl/credentials.h"
#include "ctl/home.h"
#include "ctl/spread.h"
#include "lib/secret.h"
#include "lib/strutil.h"
#include <string.h>

/* --- looking ------------------------------------------------------------- */

static const char *
from_environment(const char *name)
{
	return getenv(name);
}

static void
note_file(void *ctx, const char *file, const struct err *e)
{
	ctl_note(ctx, "~/%s is passed over: %s", file, e->text);
}

static int
look(
    struct ctl *ctl, const struct args *a, struct credentials *c, struct err *e)
{
	struct credentials_from from = { .env = from_environment,
		.now_ms = now_realtime_ms(),
		.no_oauth = args_has(a, "no-oauth"),
		.note = note_file,
		.ctx = ctl };
	char home[PATH_MAX];

	from.home = args_str(a, "home-dir", NULL);
	if (from.home == NULL) {
		if (home_find(home, sizeof(home), e) == -1)
			return -1;
		from.home = home;
	}
	credentials_find(c, &from);
	return 0;
}

/* --- credentials extract ------------------------------------------------- */

static void
write_one(struct jw *w, const struct credential *c, bool reveal)
{
	char masked[SECRET_MASK_MAX];

	if (c == NULL) {
		jw_null(w);
		return;
	}
	secret_mask(masked, c->secret);
	jw_object(w);
	jw_kstr(w, "provider", c->provider);
	jw_kstr(w, "source", c->source);
	jw_kstr(w, "auth_type", c->oauth ? "oauth" : "api_key");
	jw_kstr(w, "api_key", reveal ? c->secret : masked);
	jw_kbool(w, "redacted", !reveal);
	jw_object_end(w);
}

static bool
is_other(const struct credential *c)
{
	return strcmp(c->provider, "anthropic") != 0 &&
	       strcmp(c->provider, "openai") != 0;
}

static void
write_all(struct jw *w, const struct credentials *c, bool reveal)
{
	jw_object(w);
	jw_key(w, "anthropic");
	write_one(w, credentials_get(c, "anthropic"), reveal);
	jw_key(w, "openai");
	write_one(w, credentials_get(c, "openai"), reveal);
	jw_key(w, "other");
	jw_object(w);
	for (size_t i = 0; i < c->n; i++) {
		if (!is_other(&c->v[i]))
			continue;
		jw_key(w, c->v[i].provider);
		write_one(w, &c->v[i], reveal);
	}
	jw_object_end(w);
	jw_object_end(w);
}

static void
print_all(const struct ctl *ctl, const struct credentials *c, bool reveal)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 4u << 20);
	jw_init(&w, &b);
	write_all(&w, c, reveal);
	if (ctl->json)
		ctl_print_json_buf(&b);
	else if (!b.failed)
		(void)spread_text(stdout, b.data, b.len, false);
	if (b.data != NULL)
		explicit_bzero(b.data, b.len);
	buf_free(&b);
}

/* The one that AGENT or PROVIDER means. */
static int
choose(const struct credentials *c, const char *agent, const char *provider,
    const struct credential **out, struct err *e)
{
	if (agent != NULL)
		return credentials_for_agent(c, agent, provider, out, e);
	*out = credentials_get(c, provider);
	if (*out != NULL)
		return 0;
	return err_set(
	    e, ERR_DENIED, "no credentials found for provider %.64s", provider);
}

static bool
is_agent(const char *name)
{
	static const char *const all[] = { "claude", "codex", "opencode",
		"amp" };

	for (size_t i = 0; i < countof(all); i++) {
		if (strcmp(name, all[i]) == 0)
			return true;
	}
	return false;
}

static int
run_extract(struct ctl *ctl, const struct args *a)
{
	const char *agent = args_str(a, "agent", NULL);
	const char *provider = args_str(a, "provider", NULL);
	const struct credential *one = NULL;
	struct credentials c;
	struct err e;
	int code = EXIT_OK;

	if (agent != NULL && !is_agent(agent)) {
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "--agent is claude, codex, opencode or amp, not '%.64s'",
		    agent);
		return ctl_misuse(ctl, &e);
	}
	if (look(ctl, a, &c, &e) == -1)
		return ctl_fail(ctl, &e);
	if (agent == NULL && provider == NULL)
		print_all(ctl, &c, args_has(a, "reveal"));
	else if (choose(&c, agent, provider, &one, &e) == 0)
		(void)puts(one->secret); /* alone: KEY=$(… extract -a claude) */
	else
		code = ctl_fail(ctl, &e);
	credentials_free(&c);
	return code;
}

const struct opt_def credentials_extract_opts[CREDENTIALS_EXTRACT_NOPTS] = {
	{ "agent", 'a', "AGENT",
	    "Only the key for claude, codex, opencode or amp." },
	{ "provider", 'p', "NAME", "Only the key of this provider." },
	{ "home-dir", 'd', "DIR", "Look below this home directory." },
	{ "no-oauth", '\0', NULL, "Leave out OAuth tokens." },
	{ "reveal", 'r', NULL, "Show keys in full." },
};

const struct command cmd_credentials_extract = {
	.name = "credentials extract",
	.operands = "",
	.help = "List the keys of model providers that are found here.",
	COMMAND_OPTS(credentials_extract_opts),
	.run = run_extract,
};

/* --- credentials extract-env --------------------------------------------- */

/* Keys of all providers are plain words; whatever is not must not become a
 * command where a shell reads this. */
static void
print_value(const char *v)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~+/=:@%,";

	if (v[strspn(v, plain)] == '\0') {
		(void)puts(v);
		return;
	}
	(void)putchar('\'');
	for (; *v != '\0'; v++) {
		if (*v == '\'')
			(void)fputs("'\\''", stdout);
		else
			(void)putchar(*v);
	}
	(void)puts("'");
}

static void
print_names(const struct credential *c, const char *before)
{
	char room[CREDENTIAL_NAME_MAX];
	const char *names[3];

	if (c == NULL)
		return;
	credential_names(c, room, names);
	for (size_t i = 0; names[i] != NULL; i++) {
		(void)printf("%s%s=", before, names[i]);
		print_value(c->secret);
	}
}

static int
run_extract_env(struct ctl *ctl, const struct args *a)
{
	const char *before = args_has(a, "export") ? "export " : "";
	struct credentials c;
	struct err e;

	if (look(ctl, a, &c, &e) == -1)
		return ctl_fail(ctl, &e);
	print_names(credentials_get(&c, "anthropic"), before);
	print_names(credentials_get(&c, "openai"), before);
	for (size_t i = 0; i < c.n; i++) {
		if (is_other(&c.v[i]))
			print_names(&c.v[i], before);
	}
	credentials_free(&c);
	return EXIT_OK;
}

const struct opt_def credentials_env_opts[CREDENTIALS_ENV_NOPTS] = {
	{ "export", 'e', NULL, "Write `export ` in front of each line." },
	{ "home-dir", 'd', "DIR", "Look below this home directory." },
	{ "no-oauth", '\0', NULL, "Leave out OAuth tokens." },
};

const struct command cmd_credentials_env = {
	.name = "credentials extract-env",
	.operands = "",
	.help = "The same as assignments of variables, for a shell.",
	COMMAND_OPTS(credentials_env_opts),
	.run = run_extract_env,
};
