/*
 * What every child says to the supervisor, whatever its job: that it is there,
 * and its log lines.
 */
#ifndef LIB_PARENT_H
#define LIB_PARENT_H

#include "chan.h"
#include "log.h"
#include "proto.h"

/* The first message: who we are. As chan_end(). */
int parent_hello(struct chan *ch, enum role role);
/* Pass a line on, for a log_sink(). One that finds no room is lost: that is no
 * reason to stop. */
void
parent_log(struct chan *ch, enum log_level level, const char *line, size_t len);

#endif
