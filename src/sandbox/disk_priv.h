/*
 * Between disk.c and disk_image.c.
 */
#ifndef SANDBOX_DISK_PRIV_H
#define SANDBOX_DISK_PRIV_H

/* The path of the program that makes ext4 file systems, or NULL. */
const char *disk_mke2fs(void);

#endif
