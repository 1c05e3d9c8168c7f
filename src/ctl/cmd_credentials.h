/*
 * The flags of `credentials …`, which two command lines have: sandboxctl's, and
 * that of sandbox-agent.
 */
#ifndef CTL_CMD_CREDENTIALS_H
#define CTL_CMD_CREDENTIALS_H

#include "ctl/opt.h"

#define CREDENTIALS_EXTRACT_NOPTS 5
#define CREDENTIALS_ENV_NOPTS 3

extern const struct opt_def credentials_extract_opts[CREDENTIALS_EXTRACT_NOPTS];
extern const struct opt_def credentials_env_opts[CREDENTIALS_ENV_NOPTS];

#endif
