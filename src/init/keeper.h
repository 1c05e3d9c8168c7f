/*
 * sandboxd-init --keep ID PID: above the init of a sandbox that has no pid
 * namespace (keeper.c).
 */
#ifndef INIT_KEEPER_H
#define INIT_KEEPER_H

#include "lib/defs.h"
#include <stdbool.h>

bool keeper_asked(int argc, char *const argv[]);
void keeper_run(int argc, char *argv[]) ATTR_NORETURN;

#endif
