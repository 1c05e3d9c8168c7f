/*
 * The secrets that an agent was given (keys and tokens in its environment), to
 * be kept out of the log: whatever it prints, they are shown as stars.
 */
#ifndef SESSION_SECRETS_H
#define SESSION_SECRETS_H

#include <stddef.h>

struct secrets;

/* Those of ENV (NAME=value, NULL-terminated) whose name tells that they are
 * secret and that are long enough not to be ordinary words. NULL: none. */
struct secrets *secrets_of(char *const *env);
void secrets_free(struct secrets *sc); /* accepts NULL */
/* In JSON text, in place: the length stays as it is. */
void secrets_hide(const struct secrets *sc, char *json, size_t len);

#endif
