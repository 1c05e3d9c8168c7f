/* What the courier's unit tests share. */
#ifndef TEST_COURIER_H
#define TEST_COURIER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/defs.h"
#include "lib/json.h"

/* JSON as it is easy to write in C: ' for ". The caller's. */
static inline struct json *
json_of(const char *text)
{
	char copy[8192];
	struct json *j = NULL;
	struct err e;
	size_t n = strlen(text);

	assert_true(n < sizeof(copy));
	memcpy(copy, text, n + 1);
	for (char *c = copy; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	if (json_parse(copy, n, 32, &j, &e) == -1)
		fail_msg("%s: %s", text, e.text);
	return j;
}

#endif
