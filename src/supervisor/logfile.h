/*
 * The daemon's own log as a file (daemon.log_file): bounded, rotated by
 * renames, in place of standard error. Lines of all our processes come through
 * here.
 *
 * A log is never worth the service: what the file does not take goes to
 * standard error, which is said once, and the file is tried again by and by.
 */
#ifndef SUPERVISOR_LOGFILE_H
#define SUPERVISOR_LOGFILE_H

#include "supervisor/conf.h"
#include <ev.h>

struct logfile;

/* From here on lines go where C says. Until logfile_settle() they also go to
 * standard error, where whoever starts us looks first. */
struct logfile *logfile_new(const struct conf *c);
/* There is a loop: what has failed is tried again. */
void logfile_watch(struct logfile *lf, struct ev_loop *loop);
/* We serve: the file alone is enough. */
void logfile_settle(struct logfile *lf);
/* Open the file anew, as C says: somebody may have renamed it. */
void logfile_reopen(struct logfile *lf, const struct conf *c);
/* Lines go to standard error again. */
void logfile_free(struct logfile *lf);

#endif
