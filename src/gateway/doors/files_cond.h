/*
 * Parts of RFC 9110 that reading files needs: dates, entity tags, ranges. Pure.
 */
#ifndef GATEWAY_DOORS_FILES_COND_H
#define GATEWAY_DOORS_FILES_COND_H

#include "lib/defs.h"
#include <stdbool.h>

#define HTTP_DATE_MAX 40
/* "Sun, 06 Nov 1994 08:49:37 GMT" */
void http_date(char dst[HTTP_DATE_MAX], int64_t sec);
/* The same and the two older forms. -1: none of them. */
int http_date_parse(const char *s, int64_t *sec_out);

/* A strong tag that may stand in a header. */
bool etag_valid(const char *etag);
/* Is ETAG (NULL: there is none) in the list, or the list "*"? WEAK: tags that
 * only differ in strength are equal. */
bool etag_listed(const char *list, const char *etag, bool weak);

/* One range of bytes. 1: *FROM_OUT and *LEN_OUT; 0: to be ignored, since it is
 * malformed, of another unit, or more than one; -1: it lies outside of SIZE. */
int range_parse(
    const char *s, uint64_t size, uint64_t *from_out, uint64_t *len_out);

#endif
