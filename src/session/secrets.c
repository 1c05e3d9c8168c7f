/*
 * Keeping an agent's keys out of its log; see secrets.h. Runs in the session
 * worker. An agent that wants to tell its key can always do so in pieces or in
 * another form: this is for the usual case, a command that prints its
 * environment, a request that is shown with its headers.
 */
#include "session/secrets.h"

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/secret.h"
#include "lib/xalloc.h"
#include <string.h>

#define SECRET_MIN 8 /* bytes; shorter ones are ordinary words as well */
#define SECRET_BYTES_MAX 4096
#define SECRETS_MAX 64
#define SHOWN 4		/* bytes at its beginning that say which it is … */
#define SHOWN_OF_MIN 16 /* … of a secret of so many */

struct secrets {
	size_t n;
	struct {
		char *text; /* owned: as it stands in JSON */
		size_t len;
	} v[SECRETS_MAX];
};

/* VALUE as it stands between the quotes of a JSON string; the caller's. */
static char *
as_json(const char *value)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 16u * SECRET_BYTES_MAX);
	jw_init(&w, &b);
	jw_str(&w, value);
	if (b.failed || b.len < 2) {
		buf_free(&b);
		return NULL;
	}
	memmove(b.data, b.data + 1, b.len - 2);
	b.data[b.len - 2] = '\0';
	return buf_steal(&b);
}

struct secrets *
secrets_of(char *const *env)
{
	struct secrets *sc = NULL;

	for (; env != NULL && *env != NULL; env++) {
		const char *eq = strchr(*env, '=');
		size_t len = eq != NULL ? strlen(eq + 1) : 0;
		char *text;

		if (len < SECRET_MIN || len > SECRET_BYTES_MAX ||
		    !secret_name(*env, (size_t)(eq - *env)) ||
		    (sc != NULL && sc->n == SECRETS_MAX) ||
		    (text = as_json(eq + 1)) == NULL)
			continue;
		if (sc == NULL)
			sc = xcalloc(1, sizeof(*sc));
		sc->v[sc->n].text = text;
		sc->v[sc->n++].len = strlen(text);
	}
	return sc;
}

void
secrets_free(struct secrets *sc)
{
	for (size_t i = 0; sc != NULL && i < sc->n; i++)
		free(sc->v[i].text);
	free(sc);
}

void
secrets_hide(const struct secrets *sc, char *json, size_t len)
{
	for (size_t i = 0; sc != NULL && i < sc->n; i++) {
		const char *text = sc->v[i].text;
		size_t n = sc->v[i].len;
		size_t shown = n >= SHOWN_OF_MIN ? SHOWN : 0;
		char *at = json;

		/* No escape is cut: what is hidden is whole, and a beginning
		 * that is shown is shown only if it has none. */
		if (memchr(text, '\\', MIN(n, (size_t)SHOWN + 1)) != NULL)
			shown = 0;
		while ((at = memmem(at, len - (size_t)(at - json), text, n)) !=
		       NULL) {
			memset(at + shown, '*', n - shown);
			at += n;
		}
	}
}
