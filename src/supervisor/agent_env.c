/*
 * Which variables of our own environment reach which agents. Runs in the
 * supervisor. Nothing goes there but what is listed: by the agent's definition,
 * or by the configuration for all agents. Values are credentials more often
 * than not: they are handed to a session's worker, and never logged, stored or
 * shown.
 */
#include "supervisor/agents.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>

#define NAME_MAX_BYTES 200
#define PREFIX_MIN 3
/* Longer ones are no credentials, and would crowd out the rest of a frame. */
#define VALUE_MAX_BYTES (32u << 10)
#define PASSED_MAX 200

extern char **environ;

static const struct {
	const char *name, *variables;
} providers[] = {
#define PROVIDER(name, variables) { name, variables },
#include "supervisor/agent_members.def"
};

bool
agent_env_pattern_ok(const char *pattern)
{
	size_t n = strlen(pattern);
	bool open = n > 0 && pattern[n - 1] == '*';
	autofree char *name = xstrndup(pattern, open ? n - 1 : n);

	return env_name_valid(name) && n <= NAME_MAX_BYTES &&
	       (!open || n > PREFIX_MIN) && strcmp(pattern, "PATH") != 0 &&
	       strcmp(pattern, "HOME") != 0;
}

static bool
matches(const char *pattern, size_t n, const char *name, size_t len)
{
	if (n > 0 && pattern[n - 1] == '*')
		return len >= n - 1 && memcmp(pattern, name, n - 1) == 0;
	return len == n && memcmp(pattern, name, n) == 0;
}

int
agent_env_list_check(const char *list, struct err *e)
{
	while (*(list += strspn(list, " \t")) != '\0') {
		size_t n = strcspn(list, " \t");
		autofree char *word = xstrndup(list, n);

		if (!agent_env_pattern_ok(word))
			return err_set(e, ERR_BAD_REQUEST,
			    "'%.64s' is no name of a variable that may be "
			    "passed",
			    word);
		list += n;
	}
	return 0;
}

static bool
in_list(const char *list, const char *name, size_t len)
{
	while (*(list += strspn(list, " \t")) != '\0') {
		size_t n = strcspn(list, " \t");

		if (matches(list, n, name, len))
			return true;
		list += n;
	}
	return false;
}

static bool
passes(const struct super *s, const struct agent_def *a, const char *name,
    size_t len)
{
	/* A prefix could cover them. */
	if ((len == 4 && memcmp(name, "PATH", 4) == 0) ||
	    (len == 4 && memcmp(name, "HOME", 4) == 0))
		return false;
	for (char *const *v = a->pass_env; v != NULL && *v != NULL; v++) {
		if (matches(*v, strlen(*v), name, len))
			return true;
	}
	return in_list(s->conf.agent_pass_env, name, len);
}

char **
agent_env_passed(const struct super *s, const struct agent_def *a)
{
	char **out = NULL;
	size_t n = 0;

	for (char **v = environ; v != NULL && *v != NULL && n < PASSED_MAX;
	     v++) {
		size_t len = strcspn(*v, "=");

		if (len == 0 || len > NAME_MAX_BYTES ||
		    strlen(*v) - len > VALUE_MAX_BYTES ||
		    utf8_valid_prefix(*v, strlen(*v)) != strlen(*v) ||
		    !passes(s, a, *v, len))
			continue;
		out = xreallocarray(out, n + 2, sizeof(*out));
		out[n++] = xstrdup(*v);
		out[n] = NULL;
	}
	return out;
}

/* Is one of these variables set, and let through? */
static bool
one_passes(const struct super *s, const struct agent_def *a, const char *list)
{
	while (*(list += strspn(list, " ")) != '\0') {
		size_t n = strcspn(list, " ");
		autofree char *name = xstrndup(list, n);
		const char *value = getenv(name);

		if (value != NULL && value[0] != '\0' && passes(s, a, name, n))
			return true;
		list += n;
	}
	return false;
}

/* The variables of a provider; of one that we have not heard of, its name and
 * _API_KEY. */
static char *
variables_of(const char *provider)
{
	char *name;

	for (size_t i = 0; i < countof(providers); i++) {
		if (strcmp(providers[i].name, provider) == 0)
			return xstrdup(providers[i].variables);
	}
	name = xasprintf("%s_API_KEY", provider);
	for (char *p = name; *p != '\0'; p++) {
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p & ~0x20);
		else if (*p == '-' || *p == '.')
			*p = '_';
	}
	return name;
}

void
agent_credential_names_write(const struct agent_def *a, struct jw *w)
{
	for (char *const *v = a->credentials; v != NULL && *v != NULL; v++) {
		autofree char *all = variables_of(*v);
		const char *at = all;

		while (*(at += strspn(at, " ")) != '\0') {
			size_t n = strcspn(at, " ");

			jw_strn(w, at, n);
			at += n;
		}
	}
}

bool
agent_has_credentials(const struct super *s, const struct agent_def *a)
{
	if (a->credentials == NULL)
		return true;
	for (char *const *v = a->credentials; *v != NULL; v++) {
		autofree char *list = variables_of(*v);

		if (one_passes(s, a, list))
			return true;
	}
	return false;
}
