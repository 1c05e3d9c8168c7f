/*
 * Which schema a database has, told without touching it.
 */
#ifndef STORE_LOOK_H
#define STORE_LOOK_H

/* Write "HAS KNOWN\n" to FD: the schema of the database in this directory, and
 * the newest that this program can open. The exit code: EXIT_OK, EXIT_NEWER, or
 * EXIT_SYS when it cannot be read. */
int look_here(int fd);

#endif
