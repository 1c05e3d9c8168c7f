/*
 * Dates, entity tags and ranges; see files_cond.h. Runs in sandboxd-gateway, on
 * headers that anybody sends.
 */
#include "gateway/doors/files_cond.h"
#include "lib/strutil.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* What http_date() writes; the C locale's, whatever ours is. */
void
http_date(char dst[HTTP_DATE_MAX], int64_t sec)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)sec;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1899 ||
	    tm.tm_year > 8099) {
		t = 0;
		(void)gmtime_r(&t, &tm); /* cannot fail */
	}
	(void)snprintf(dst, HTTP_DATE_MAX,
	    "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
	    days + (size_t)tm.tm_wday * 3, tm.tm_mday,
	    months + (size_t)tm.tm_mon * 3, (tm.tm_year + 1900) % 10000,
	    tm.tm_hour, tm.tm_min, tm.tm_sec);
}

int
http_date_parse(const char *s, int64_t *sec_out)
{
	static const char *const forms[] = { "%a, %d %b %Y %H:%M:%S GMT",
		"%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y" };
	const char *end;
	struct tm tm;
	size_t i;

	for (i = 0; i < countof(forms); i++) {
		memset(&tm, 0, sizeof(tm));
		end = strptime(s, forms[i], &tm);
		if (end == NULL || *end != '\0')
			continue;
		*sec_out = (int64_t)timegm(&tm);
		return 0;
	}
	return -1;
}

bool
etag_valid(const char *etag)
{
	size_t n = strlen(etag), i;

	if (n < 3 || n > 80 || etag[0] != '"' || etag[n - 1] != '"')
		return false;
	for (i = 1; i < n - 1; i++)
		if (etag[i] <= ' ' || etag[i] == '"' || etag[i] > '~')
			return false;
	return true;
}

bool
etag_listed(const char *list, const char *etag, bool weak)
{
	const char *p = list, *end;
	bool is_weak;
	size_t n;

	if (etag == NULL)
		return false;
	p += strspn(p, " \t");
	if (p[0] == '*' && p[1 + strspn(p + 1, " \t")] == '\0')
		return true;
	n = strlen(etag);
	while (*(p += strspn(p, ", \t")) != '\0') {
		is_weak = p[0] == 'W' && p[1] == '/';
		if (is_weak)
			p += 2;
		end = *p == '"' ? strchr(p + 1, '"') : NULL;
		if (end == NULL)
			return false;
		end++;
		if ((weak || !is_weak) && (size_t)(end - p) == n &&
		    memcmp(p, etag, n) == 0)
			return true;
		p = end;
	}
	return false;
}

/* Digits, at least one, that fit; else -1. */
static int
digits(const char **p, uint64_t *v_out)
{
	const char *s = *p;
	uint64_t v = 0;

	if (*s < '0' || *s > '9')
		return -1;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (v > (UINT64_MAX - 9) / 10)
			return -1;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*p = s;
	*v_out = v;
	return 0;
}

int
range_parse(const char *s, uint64_t size, uint64_t *from_out, uint64_t *len_out)
{
	uint64_t from = 0, last = UINT64_MAX;
	bool suffix;

	if (strncasecmp(s, "bytes=", 6) != 0)
		return 0;
	s += 6;
	s += strspn(s, " \t");
	suffix = *s == '-';
	if (!suffix && digits(&s, &from) == -1)
		return 0;
	if (*s++ != '-')
		return 0;
	if ((suffix || *s != '\0') && digits(&s, &last) == -1)
		return 0;
	s += strspn(s, " \t");
	if (*s != '\0' || (!suffix && last < from))
		return 0;
	if (suffix) {
		if (last == 0 || size == 0)
			return -1;
		*len_out = MIN(last, size);
		*from_out = size - *len_out;
		return 1;
	}
	if (from >= size)
		return -1;
	*from_out = from;
	*len_out = MIN(last, size - 1) - from + 1;
	return 1;
}
