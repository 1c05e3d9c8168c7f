/*
 * Bringing skills from elsewhere into the sandbox: one git repository or one
 * archive, kept in the user's cache directory.
 */
#ifndef SESSION_SKILLS_FETCH_H
#define SESSION_SKILLS_FETCH_H

#include "session/agent.h"

struct fetch;

/* DIR is where it lies; NULL: E tells why not. The callee may free the fetch.
 */
typedef void fetch_done(const char *dir, const struct err *e, void *ctx);

/* SOURCE is an entry of a configuration's `sources`. 1: it is there already,
 * in *DIR_OUT, the caller's. 0: DONE follows, never before this returns, and
 * *F_OUT is the caller's. -1: it cannot be had. */
int fetch_start(struct agent *a, const struct json *source, fetch_done *done,
    void *ctx, struct fetch **f_out, char **dir_out, struct err *e);
/* Stops it and removes what is half done; accepts NULL. No callback. */
void fetch_free(struct fetch *f);

#endif
