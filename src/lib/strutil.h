/*
 * Bounded copies, strict integers, identifiers, UTF-8, times.
 */
#ifndef LIB_STRUTIL_H
#define LIB_STRUTIL_H

#include "defs.h"
#include <stdbool.h>

/* Copy S into DST[SIZE] with a terminator. Returns 0, or -1 (and DST is the
 * empty string) when it does not fit. */
int str_copy(char *dst, size_t size, const char *s) ATTR_WARN_UNUSED;
/* snprintf whose truncation is an error: 0, or -1 with DST empty. */
int str_format(char *dst, size_t size, const char *fmt, ...)
    ATTR_PRINTF(3, 4) ATTR_WARN_UNUSED;
bool str_starts(const char *s, const char *prefix);

/* Show foreign text S[0..n) in a sentence: what is not printable ASCII becomes
 * a question mark, what does not fit an ellipsis. SIZE is at least 4. */
void str_show(char *dst, size_t size, const char *s, size_t n);

/* V in decimal, where printf would take too long; the length, no terminator. */
#define DECIMAL_MAX 20
size_t str_decimal(char dst[DECIMAL_MAX], uint64_t v);

/* A whole decimal integer in [min, max], no blanks, no sign but '-'. */
int str_to_int(
    const char *s, int64_t min, int64_t max, int64_t *v_out) ATTR_WARN_UNUSED;
/* Sizes: digits with an optional K, M, G, T suffix (powers of 1024). */
int str_to_bytes(const char *s, int64_t *v_out) ATTR_WARN_UNUSED;
/* Durations in ms: digits with ms (default), s, m, h, d. */
int str_to_ms(const char *s, int64_t *v_out) ATTR_WARN_UNUSED;

/* Length of the longest prefix of S[0..n) that is valid UTF-8 (no
 * surrogates, no overlong forms, at most U+10FFFF). n when all is valid. */
size_t utf8_valid_prefix(const char *s, size_t n);
/* Bytes at the end of S[0..n) which may be the start of a character that is
 * cut off: 0 to 3. Only meaningful when the rest is valid. */
size_t utf8_incomplete_tail(const char *s, size_t n);
/* Length of the valid character that S[0..n) begins with; 0 for none. */
size_t utf8_char_len(const char *s, size_t n);

/* Sandbox ids become directory and cgroup names: [A-Za-z0-9][A-Za-z0-9._-]*,
 * at most 63 bytes. */
#define SANDBOX_ID_MAX 63
bool sandbox_id_valid(const char *s);
/* Session ids are keys only: 1 to 128 bytes of UTF-8 with no control
 * character. */
#define SESSION_ID_MAX 128
bool session_id_valid(const char *s);
/* Names of environment variables: [A-Za-z_][A-Za-z0-9_]*. */
bool env_name_valid(const char *s);

/* 16 lower-case base32 digits of randomness after PREFIX. */
#define RANDOM_ID_MAX 48
void random_id(char dst[RANDOM_ID_MAX], const char *prefix);

/* Now, as RFC 3339 UTC with nanoseconds and a Z. */
#define TIME_TEXT_MAX 40
void time_text(char dst[TIME_TEXT_MAX]);
/* The same of any second since 1970, with 0 to 9 DECIMALS of NSEC. Returns
 * the length. */
size_t
time_format(char dst[TIME_TEXT_MAX], int64_t sec, long nsec, int decimals);
int64_t now_realtime_ms(void);
int64_t now_monotonic_ms(void);

#endif
