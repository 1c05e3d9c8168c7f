/*
 * Records for people: members under each other, nested ones indented, times,
 * sizes and sets of yes and no in words. Knows no particular record.
 */
#ifndef CTL_SHOW_H
#define CTL_SHOW_H

#include "ctl/ctl.h"

void show_record(const struct json *record);
/* The list in an answer: itself, or its first member that is an array. */
const struct json *show_list(const struct json *ok);
/* "a=b c=d" for labels; NULL when there are none. Caller frees. */
char *show_pairs(const struct json *obj);
/* Milliseconds since the time in member KEY, or -1. */
int64_t show_since(const struct json *record, const char *key);

#endif
