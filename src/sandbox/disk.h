/*
 * A bound on what a sandbox writes to the disk: bytes and files of its upper
 * layers together. Two ways, the first one where the host has it:
 *
 *	projectquota  a project of its own on the file system of the state
 *	              directory
 *	image         a sparse file with an ext4 file system in it, mounted
 *	              detached: it is in no mount table but the sandbox's
 *
 * Runs in the supervisor. Nothing here waits, but for disk_image_start(), whose
 * work is done by a child of ours.
 */
#ifndef SANDBOX_DISK_H
#define SANDBOX_DISK_H

#include "lib/defs.h"
#include "lib/err.h"
#include <stdbool.h>
#include <sys/types.h>

#define DISK_MIN_BYTES (16ll << 20)
#define DISK_MAX_BYTES (16ll << 40)
#define DISK_MIN_INODES 64
#define DISK_MAX_INODES (1ll << 31)
/* Of a sandbox's directory: the file, next to upper/ and work/. */
#define DISK_IMAGE "disk"

enum disk_by {
	DISK_BY_NONE,
	DISK_BY_QUOTA,
	DISK_BY_IMAGE,
	DISK_BY_N
};
const char *disk_by_name(enum disk_by by);
/* DISK_BY_N for a name that is none. */
enum disk_by disk_by_find(const char *name);

/* What can be had for directories below DIR_FD. WHY says what is missing when
 * that is nothing. */
enum disk_by disk_probe(int dir_fd, bool root, char *why, size_t size);

/* Make DIR_FD, and what will be made in it, part of PROJECT (not 0), which may
 * have so much; INODES 0: any number. DIR_FD is open for reading. */
int disk_quota_set(
    int dir_fd, uint32_t project, int64_t bytes, int64_t inodes, struct err *e);
/* Nothing bounds PROJECT any more. */
void disk_quota_drop(int dir_fd, uint32_t project);

/* A child that attaches the image in DIR_FD, which it makes first if there is
 * none, and mounts it. */
struct disk_job {
	pid_t pid; /* ours to reap; needs no killing: it dies with us */
	int fd;	   /* readable when it is done */
};
/* It waits until a mount of the same image that is on its way out has gone. */
int disk_image_start(int dir_fd, int64_t bytes, int64_t inodes,
    struct disk_job *job_out, struct err *e);
/* What became of it: the root of a detached mount (O_PATH), or -1 with E set.
 * Never waits. */
int
disk_image_result(const struct disk_job *job, int *mount_fd_out, struct err *e);

struct disk_use {
	int64_t bytes, bytes_free, inodes, inodes_free;
};
/* Of the file system that the root of process PID lies on. */
int disk_use(pid_t pid, struct disk_use *use_out);

#endif
