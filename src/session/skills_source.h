/*
 * Sources of skills that are fetched: their addresses, their names, and their
 * places in the user's cache directory. What is returned as char * is the
 * caller's.
 */
#ifndef SESSION_SKILLS_SOURCE_H
#define SESSION_SKILLS_SOURCE_H

#include "session/agent.h"

/* Is this a type of source that is fetched? */
bool source_is_fetched(const char *type);
/* May programs be given the words of SOURCE? */
int source_check(const struct json *source, struct err *e);
/* For readers: without what may be a password. */
char *source_shown(const struct json *source);
bool source_is_url(const char *s);
/* PATH, below the agent's directory unless it is absolute. */
char *source_path(const struct agent *a, const char *path);
/* What git is asked for: an address, HOST:PATH, or a path. */
char *
source_git_address(const struct agent *a, const char *type, const char *from);
/* What a reader would call it: the last part, without its suffixes. */
char *source_name(const char *from);
/* A full commit id: what it names never changes. */
bool source_is_commit(const char *ref);
/* A file name for what is fetched from there; STAMP: or NULL. */
char *source_key(
    const char *type, const char *from, const char *ref, const char *stamp);
/* DIR, or the one directory in it that holds all. */
char *source_inner_dir(const char *dir);

#define CACHE_WORK ".work-" /* begins the names of what is being made */
/* The cache's directory; NULL when the user has no home. */
char *cache_dir(const struct agent *a);
/* Make PATH with all that is above it. */
int cache_make(const char *path, struct err *e);
/* Remove what others left half done in CACHE. */
void cache_sweep(const char *cache);
/* More than a source may bring, in bytes or in names. */
bool tree_too_large(const char *dir);
void tree_remove(const char *dir);

#endif
