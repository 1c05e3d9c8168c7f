/* What the supervisor's unit tests share. */
#ifndef TEST_SUPERVISOR_H
#define TEST_SUPERVISOR_H

#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/log.h"

#endif
