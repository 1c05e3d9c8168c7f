/*
 * Records for people: members under each other, nested ones indented, times,
 * sizes and sets of yes and no in words. Knows no particular record.
 */
#ifndef CTL_SHOW_H
#define CTL_SHOW_H

#include "ctl/ctl.h"
#include "ctl/text.h"

void show_record(const struct json *record);
/* The list in an answer: itself, or its first member that is an array. */
const struct json *show_list(const struct json *ok);
/* "a=b c=d" for labels; NULL when there are none. Caller frees. */
char *show_pairs(const struct json *obj);
/* The `id` of each, a line. */
void show_ids(const struct json *list);
/* How long the time in member KEY is past; "-" when there is none. Is DST. */
const char *
show_age(char dst[AGE_TEXT_MAX], const struct json *record, const char *key);

#endif
