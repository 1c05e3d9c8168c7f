/*
 * What the courier may still do once it knows its settings: talk to the
 * network, read what names and certificates need, and write below one
 * directory.
 */
#ifndef COURIER_CONFINE_H
#define COURIER_CONFINE_H

#include <stdint.h>

/* First of all: another user, no capability, few descriptors, no core. With UID
 * -1 stay who we are. */
void confine_begin_or_die(int64_t uid, int64_t gid);
/* AGENTS_FD: all may be done below. MIRROR_FD (or -1) and CA_FILE (or NULL) may
 * be read. What the kernel does not have is reported and done without. */
void confine_files_or_die(int agents_fd, int mirror_fd, const char *ca_file);
/* Only the calls that downloads need. */
void confine_calls_or_die(void);

#endif
