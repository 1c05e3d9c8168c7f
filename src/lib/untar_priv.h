/*
 * What untar.c (entries) and untar_place.c (names) share.
 */
#ifndef LIB_UNTAR_PRIV_H
#define LIB_UNTAR_PRIV_H

#include "buf.h"
#include "fdio.h"
#include "tar.h"
#include "untar.h"
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

#define OPEN_TRIES 32

struct untar {
	struct untar_opts o;
	char path[TAR_NAME_MAX + 1]; /* of the entry, clean */
	char name[NAME_MAX + 1];     /* its last part */
	int dir_fd;		     /* that holds it, or -1 */
	char dir[TAR_NAME_MAX + 1];  /* the path of dir_fd */
	bool skip;		     /* the destination itself */
	int fd;			     /* the file that is being written */
	uint64_t at;		     /* bytes of it */
	struct timespec mtime;
	mode_t mode;
	int64_t uid, gid; /* of the entry; -1: as they come */
	struct buf later;
	struct untar_counts n;
	bool refused; /* by us, not by the reader of archives */
};

/* The system said no, as errno has it. -1. */
int untar_fail(struct untar *u, struct err *e);
/* We do: WHAT is wrong with PATH. -1. */
int untar_refuse(
    struct untar *u, struct err *e, const char *what, const char *path);
/* PATH without "." and doubled slashes. Empty for the destination itself. */
int untar_clean(struct untar *u, const char *path, char out[TAR_NAME_MAX + 1],
    struct err *e);
/* The same, checked against the tops and with the first part replaced. */
int untar_named(struct untar *u, const char *path, char out[TAR_NAME_MAX + 1],
    struct err *e);
/* A clean path below the destination, with no way out of it; -1 and errno. */
int untar_open(const struct untar *u, const char *path, int flags);
/* The directory of clean PATH, made if missing, and PATH's last part. */
int untar_parent(
    struct untar *u, const char *path, const char **name_out, struct err *e);
/* dir_fd and name of the entry. */
int untar_place(struct untar *u, struct err *e);

#endif
