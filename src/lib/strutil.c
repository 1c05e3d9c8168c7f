/*
 * Bounded copies, strict integers, identifiers, UTF-8, times. Runs in every
 * process of ours. What is checked here comes from configuration, control
 * clients and agents; none of it is believed before it has passed.
 *
 * Nothing depends on the locale or on the time zone, and nothing reads a file
 * (gmtime would read /etc/localtime, which in a sandbox is somebody else's).
 */
#include "strutil.h"
#include "log.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

int
str_copy(char *dst, size_t size, const char *s)
{
	size_t len = strlen(s);

	if (size == 0)
		return -1;
	if (len >= size) {
		dst[0] = '\0';
		return -1;
	}
	memcpy(dst, s, len + 1);
	return 0;
}

int
str_format(char *dst, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (size == 0)
		return -1;
	va_start(ap, fmt);
	n = vsnprintf(dst, size, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= size) {
		dst[0] = '\0';
		return -1;
	}
	return 0;
}

bool
str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

void
str_show(char *dst, size_t size, const char *s, size_t n)
{
	size_t room = n < size ? n : size - 4;
	size_t i;

	for (i = 0; i < room; i++)
		dst[i] = s[i] >= 0x20 && s[i] < 0x7f ? s[i] : '?';
	memcpy(dst + i, "...", 3 * (size_t)(room < n));
	dst[i + 3 * (size_t)(room < n)] = '\0';
}

/* The digits at *S, which moves behind them. */
static int
digits_read(const char **s, uint64_t *v_out)
{
	const char *p = *s;
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (unsigned)(*p - '0'), &v))
			return -1;
	}
	*s = p;
	*v_out = v;
	return 0;
}

size_t
str_decimal(char dst[DECIMAL_MAX], uint64_t v)
{
	char tmp[DECIMAL_MAX];
	size_t n = sizeof(tmp);

	do {
		tmp[--n] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	memcpy(dst, tmp + n, sizeof(tmp) - n);
	return sizeof(tmp) - n;
}

int
str_to_int(const char *s, int64_t min, int64_t max, int64_t *v_out)
{
	bool negative = *s == '-';
	uint64_t u;
	int64_t v;

	if (negative)
		s++;
	if (digits_read(&s, &u) == -1 || *s != '\0')
		return -1;
	if (negative) {
		if (u > (uint64_t)INT64_MAX + 1)
			return -1;
		v = (int64_t)(0 - u);
	} else {
		if (u > INT64_MAX)
			return -1;
		v = (int64_t)u;
	}
	if (v < min || v > max)
		return -1;
	*v_out = v;
	return 0;
}

struct unit {
	const char *suffix;
	int64_t factor;
};

/* Digits, then exactly one of the suffixes: "1.5G" and "1 M" are refused, not
 * read as something near. */
static int
number_with_unit(
    const char *s, const struct unit *units, size_t n, int64_t *v_out)
{
	uint64_t u;
	int64_t v;
	size_t i;

	if (digits_read(&s, &u) == -1 || u > INT64_MAX)
		return -1;
	for (i = 0; i < n; i++) {
		if (strcmp(s, units[i].suffix) != 0)
			continue;
		if (__builtin_mul_overflow((int64_t)u, units[i].factor, &v))
			return -1;
		*v_out = v;
		return 0;
	}
	return -1;
}

int
str_to_bytes(const char *s, int64_t *v_out)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "K", INT64_C(1) << 10 },
		{ "M", INT64_C(1) << 20 },
		{ "G", INT64_C(1) << 30 },
		{ "T", INT64_C(1) << 40 },
	};

	return number_with_unit(s, units, countof(units), v_out);
}

int
str_to_ms(const char *s, int64_t *v_out)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "ms", 1 },
		{ "s", 1000 },
		{ "m", INT64_C(60) * 1000 },
		{ "h", INT64_C(3600) * 1000 },
		{ "d", INT64_C(86400) * 1000 },
	};

	return number_with_unit(s, units, countof(units), v_out);
}

/* Bytes of ASCII at the front, in steps of 32 and then 8: most of what we
 * ever look at is nothing else. */
static size_t
ascii_prefix(const char *s, size_t n)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	uint64_t w[4];
	size_t i = 0;

	for (; n - i >= sizeof(w); i += sizeof(w)) {
		memcpy(w, s + i, sizeof(w));
		if (((w[0] | w[1] | w[2] | w[3]) & high) != 0)
			break;
	}
	for (; n - i >= sizeof(w[0]); i += sizeof(w[0])) {
		memcpy(w, s + i, sizeof(w[0]));
		if ((w[0] & high) != 0)
			break;
	}
	while (i < n && (s[i] & 0x80) == 0)
		i++;
	return i;
}

/* The table of well-formed sequences: only the second byte has bounds that
 * depend on the first. */
size_t
utf8_char_len(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned char low = 0x80, high = 0xbf;
	size_t len, i;

	if (n == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] >= 0xc2 && u[0] <= 0xdf) {
		len = 2;
	} else if (u[0] >= 0xe0 && u[0] <= 0xef) {
		len = 3;
		if (u[0] == 0xe0)
			low = 0xa0; /* shorter forms exist */
		else if (u[0] == 0xed)
			high = 0x9f; /* surrogates */
	} else if (u[0] >= 0xf0 && u[0] <= 0xf4) {
		len = 4;
		if (u[0] == 0xf0)
			low = 0x90;
		else if (u[0] == 0xf4)
			high = 0x8f; /* beyond U+10FFFF */
	} else {
		return 0;
	}
	if (n < len || u[1] < low || u[1] > high)
		return 0;
	for (i = 2; i < len; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

size_t
utf8_valid_prefix(const char *s, size_t n)
{
	size_t i = 0, len;

	for (;;) {
		i += ascii_prefix(s + i, n - i);
		if (i == n)
			return n;
		/* Text that is not ASCII tends to go on not being ASCII. */
		while (i < n && (s[i] & 0x80) != 0) {
			len = utf8_char_len(s + i, n - i);
			if (len == 0)
				return i;
			i += len;
		}
	}
}

size_t
utf8_incomplete_tail(const char *s, size_t n)
{
	size_t back, len;
	unsigned char c;

	/* Back over continuation bytes to the one that says how many. */
	for (back = 1; back <= 3 && back <= n; back++) {
		c = (unsigned char)s[n - back];
		if ((c & 0xc0) == 0x80)
			continue;
		if (c >= 0xf0)
			len = 4;
		else if (c >= 0xe0)
			len = 3;
		else if (c >= 0xc0)
			len = 2;
		else
			len = 1;
		return len > back ? back : 0;
	}
	return 0;
}

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
sandbox_id_valid(const char *s)
{
	size_t i;

	if (!is_alpha(s[0]) && !is_digit(s[0]))
		return false;
	for (i = 1; s[i] != '\0'; i++) {
		if (i >= SANDBOX_ID_MAX)
			return false;
		if (!is_alpha(s[i]) && !is_digit(s[i]) && s[i] != '.' &&
		    s[i] != '_' && s[i] != '-')
			return false;
	}
	return true;
}

bool
session_id_valid(const char *s)
{
	size_t len = strnlen(s, SESSION_ID_MAX + 1);
	size_t i;
	unsigned char c;

	if (len == 0 || len > SESSION_ID_MAX)
		return false;
	if (utf8_valid_prefix(s, len) != len)
		return false;
	for (i = 0; i < len; i++) {
		c = (unsigned char)s[i];
		if (c < 0x20 || c == 0x7f)
			return false;
		/* U+0080 to U+009F are controls as well. */
		if (c == 0xc2 && (unsigned char)s[i + 1] < 0xa0)
			return false;
	}
	return true;
}

bool
env_name_valid(const char *s)
{
	size_t i;

	if (!is_alpha(s[0]) && s[0] != '_')
		return false;
	for (i = 1; s[i] != '\0'; i++) {
		if (!is_alpha(s[i]) && !is_digit(s[i]) && s[i] != '_')
			return false;
	}
	return true;
}

void
random_id(char dst[RANDOM_ID_MAX], const char *prefix)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char r[16];
	size_t at = strlen(prefix);
	size_t i;
	ssize_t n;

	if (at + sizeof(r) >= RANDOM_ID_MAX)
		abort(); /* prefixes are constants of ours */
	do {
		n = getrandom(r, sizeof(r), 0);
	} while (n == -1 && errno == EINTR);
	if (n != (ssize_t)sizeof(r))
		fatal("random", "getrandom: %s", strerror(errno));
	memcpy(dst, prefix, at);
	for (i = 0; i < sizeof(r); i++)
		dst[at + i] = digits[r[i] % 32];
	dst[at + sizeof(r)] = '\0';
}

static void
digits_write(char *dst, size_t width, uint64_t v)
{
	while (width > 0) {
		dst[--width] = (char)('0' + v % 10);
		v /= 10;
	}
}

size_t
time_format(char dst[TIME_TEXT_MAX], int64_t sec, long nsec, int decimals)
{
	int64_t days = sec / 86400, rest = sec % 86400;
	int64_t era, doe, yoe, doy, month, year, day;
	size_t at = 19;

	if (rest < 0) {
		rest += 86400;
		days--;
	}
	/* Days since 1970 to a date, counted in eras of 400 years that begin
	 * on 1 March, so that the leap day comes last. */
	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = days - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	month = (5 * doy + 2) / 153;
	day = doy - (153 * month + 2) / 5 + 1;
	month = month < 10 ? month + 3 : month - 9;
	year = yoe + era * 400 + (month <= 2 ? 1 : 0);

	memcpy(dst, "0000-00-00T00:00:00", at);
	digits_write(dst, 4, (uint64_t)year);
	digits_write(dst + 5, 2, (uint64_t)month);
	digits_write(dst + 8, 2, (uint64_t)day);
	digits_write(dst + 11, 2, (uint64_t)(rest / 3600));
	digits_write(dst + 14, 2, (uint64_t)(rest / 60 % 60));
	digits_write(dst + 17, 2, (uint64_t)(rest % 60));
	if (decimals > 0) {
		dst[at++] = '.';
		digits_write(dst + at, 9, (uint64_t)nsec);
		at += (size_t)decimals;
	}
	dst[at++] = 'Z';
	dst[at] = '\0';
	return at;
}

void
time_text(char dst[TIME_TEXT_MAX])
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);	  /* cannot fail */
	(void)time_format(dst, ts.tv_sec, ts.tv_nsec, 9); /* length unused */
}

int64_t
now_realtime_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail */
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
now_monotonic_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
