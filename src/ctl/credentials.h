/*
 * Keys of model providers that this user already has: from the environment,
 * and from the files in which agents keep theirs. First hit wins.
 */
#ifndef CTL_CREDENTIALS_H
#define CTL_CREDENTIALS_H

#include "lib/defs.h"
#include "lib/err.h"
#include "lib/json.h"
#include <stdbool.h>

#define CREDENTIALS_MAX 64 /* more in a file are not looked at */

struct credential {
	char *provider;	    /* owned: "anthropic", "openai", others' own */
	const char *source; /* environment, amp, claude-code, codex, opencode */
	bool oauth;	    /* else an API key */
	char *secret;	    /* owned; printable ASCII, "" when a variable is set
			     * to nothing */
};

struct credentials {
	struct credential v[CREDENTIALS_MAX]; /* by provider's name */
	size_t n;
};

/* Where to look. */
struct credentials_from {
	const char *home; /* NULL: no files */
	bool no_oauth;
	int64_t now_ms; /* what has ended before is no credential */
	const char *(*env)(const char *name); /* getenv, but for tests */
	/* A file that is there but is no use, for a person to know; may be
	 * NULL. FILE is below the home, E says why. */
	void (*note)(void *ctx, const char *file, const struct err *e);
	void *ctx;
};

/* Never fails: what cannot be read is noted. */
void
credentials_find(struct credentials *out, const struct credentials_from *from);
/* The one for PROVIDER, or NULL. */
const struct credential *
credentials_get(const struct credentials *c, const char *provider);
/* Wipes them too. */
void credentials_free(struct credentials *c);

/* For an agent of the four that have rules: its provider's credential, or, for
 * opencode, PROVIDER's if it is not NULL. ERR_BAD_REQUEST: the two do not go
 * together; ERR_DENIED: there is none, or one cannot be chosen. */
int credentials_for_agent(const struct credentials *c, const char *agent,
    const char *provider, const struct credential **out, struct err *e);

/* The names of variables that hold C's secret for programs, up to NULL; a name
 * made from the provider's lies in ROOM. None: no name can be made. */
#define CREDENTIAL_NAME_MAX 80
void credential_names(const struct credential *c,
    char room[CREDENTIAL_NAME_MAX], const char *names_out[3]);

/* Files, for credentials_find(): credfiles.c. Adds what is not there yet. */
void
credfiles_anthropic(struct credentials *out, const struct credentials_from *f);
void
credfiles_openai(struct credentials *out, const struct credentials_from *f);
void
credfiles_others(struct credentials *out, const struct credentials_from *f);
/* SECRET is copied; one that no program could use is left out, as is one for a
 * provider that has one. */
void credentials_add(struct credentials *c, const char *provider,
    const char *source, bool oauth, const char *secret);

#endif
