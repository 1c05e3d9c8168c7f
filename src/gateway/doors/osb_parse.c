/*
 * The words of OpenSandbox's lifecycle API. Runs in sandboxd-gateway on what
 * any client has sent; takes what the form allows and nothing more.
 */
#include "gateway/doors/osb_parse.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define RESERVED_PREFIX "opensandbox.io/"
#define LABEL_MAX 63   /* a name's last part, or a value */
#define PREFIX_MAX 253 /* before the slash */

/* --- quantities ---------------------------------------------------------- */

/* What one of the unit is, in thousandths; 0: there is no such unit. */
static int64_t
unit_millis(const char *s)
{
	static const struct {
		const char *name;
		int64_t millis;
	} units[] = {
		{ "", 1000 },
		{ "m", 1 },
		{ "k", 1000000ll },
		{ "M", 1000000000ll },
		{ "G", 1000000000000ll },
		{ "T", 1000000000000000ll },
		{ "Ki", 1000ll << 10 },
		{ "Mi", 1000ll << 20 },
		{ "Gi", 1000ll << 30 },
		{ "Ti", 1000ll << 40 },
	};

	for (size_t i = 0; i < countof(units); i++) {
		if (strcmp(units[i].name, s) == 0)
			return units[i].millis;
	}
	if ((s[0] == 'e' || s[0] == 'E') && s[1] >= '0' && s[1] <= '9' &&
	    s[2] == '\0') {
		int64_t v = 1000;

		for (char n = s[1]; n > '0'; n--)
			v *= 10;
		return v;
	}
	return 0;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int
osb_quantity(const char *s, int64_t *millis_out)
{
	int64_t whole = 0, part = 0, scale = 1, unit, v;
	size_t digits = 0;

	for (; is_digit(*s); s++, digits++) {
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, *s - '0', &whole))
			return -1;
	}
	if (*s == '.') {
		for (s++; is_digit(*s); s++, digits++) {
			if (scale >= 1000000)
				continue; /* finer than anything we count */
			part = part * 10 + (*s - '0');
			scale *= 10;
		}
	}
	unit = unit_millis(s);
	if (digits == 0 || unit == 0)
		return -1;
	if (__builtin_mul_overflow(whole, unit, &v))
		return -1;
	/* PART is below SCALE, so this is below one unit, and nearly exact. */
	if (__builtin_add_overflow(v,
		(int64_t)((double)unit * ((double)part / (double)scale)), &v))
		return -1;
	*millis_out = v;
	return 0;
}

/* --- times --------------------------------------------------------------- */

/* N digits at *S as a number in [MIN, MAX]. */
static bool
digits(const char **s, int n, int min, int max, int *v_out)
{
	int v = 0;

	for (; n > 0; n--, ++*s) {
		if (!is_digit(**s))
			return false;
		v = v * 10 + (**s - '0');
	}
	*v_out = v;
	return v >= min && v <= max;
}

static bool
letter(const char **s, const char *any)
{
	if (**s == '\0' || strchr(any, **s) == NULL)
		return false;
	++*s;
	return true;
}

/* "Z", "+01:00": seconds to take away. */
static bool
offset_take(const char **s, int *sec_out)
{
	int h, m, sign = **s == '-' ? -1 : 1;

	*sec_out = 0;
	if (letter(s, "Zz"))
		return true;
	if (!letter(s, "+-") || !digits(s, 2, 0, 23, &h) || !letter(s, ":") ||
	    !digits(s, 2, 0, 59, &m))
		return false;
	*sec_out = sign * (h * 3600 + m * 60);
	return true;
}

int
osb_time_parse(const char *s, int64_t *ms_out)
{
	struct tm tm = { 0 }, back;
	int ms = 0, offset, unit = 100;
	time_t t;

	if (!digits(&s, 4, 1970, 9999, &tm.tm_year) || !letter(&s, "-") ||
	    !digits(&s, 2, 1, 12, &tm.tm_mon) || !letter(&s, "-") ||
	    !digits(&s, 2, 1, 31, &tm.tm_mday) || !letter(&s, "Tt ") ||
	    !digits(&s, 2, 0, 23, &tm.tm_hour) || !letter(&s, ":") ||
	    !digits(&s, 2, 0, 59, &tm.tm_min) || !letter(&s, ":") ||
	    !digits(&s, 2, 0, 59, &tm.tm_sec))
		return -1;
	if (letter(&s, ".")) {
		if (!is_digit(*s))
			return -1;
		for (; is_digit(*s); s++, unit /= 10)
			ms += (*s - '0') * unit;
	}
	if (!offset_take(&s, &offset) || *s != '\0')
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	back = tm;
	t = timegm(&back);
	/* timegm() makes the 3rd of March of the 31st of February. */
	if (t == (time_t)-1 || back.tm_mday != tm.tm_mday)
		return -1;
	*ms_out = ((int64_t)t - offset) * 1000 + ms;
	return 0;
}

void
osb_time_write(char dst[TIME_TEXT_MAX], int64_t ms)
{
	(void)time_format(dst, ms / 1000, (long)(ms % 1000) * 1000000, 3);
}

/* --- labels -------------------------------------------------------------- */

static bool
is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Letters, digits and MORE, with a letter or digit at both ends. */
static bool
label_text(const char *s, size_t n, size_t max, const char *more)
{
	if (n == 0 || n > max || !is_alnum(s[0]) || !is_alnum(s[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(s[i]) &&
		    (s[i] == '\0' || strchr(more, s[i]) == NULL))
			return false;
	}
	return true;
}

static bool
label_name(const char *s)
{
	const char *slash = strchr(s, '/');

	if (slash != NULL) {
		if (!label_text(s, (size_t)(slash - s), PREFIX_MAX, "-."))
			return false;
		s = slash + 1;
	}
	return label_text(s, strlen(s), LABEL_MAX, "-_.");
}

static bool
label_value(const struct json *v, bool patch)
{
	if (v->type == JSON_NULL)
		return patch;
	return v->type == JSON_STRING &&
	       (v->len == 0 || label_text(v->str, v->len, LABEL_MAX, "-_."));
}

int
osb_labels_check(const struct json *metadata, bool patch, struct err *e)
{
	char shown[68];

	json_foreach (it, metadata) {
		str_show(shown, sizeof(shown), it->key, strlen(it->key));
		if (str_starts(it->key, RESERVED_PREFIX))
			return err_set(e, ERR_BAD_REQUEST,
			    "metadata key '%s': the prefix " RESERVED_PREFIX
			    " is reserved",
			    shown);
		if (!label_name(it->key))
			return err_set(e, ERR_BAD_REQUEST,
			    "metadata key '%s' is no label: at most 63 "
			    "letters, digits, '-', '_', '.', beginning and "
			    "ending with a letter or digit",
			    shown);
		if (!label_value(it, patch))
			return err_set(e, ERR_BAD_REQUEST,
			    "metadata value of '%s' is no label: empty, or at "
			    "most 63 letters, digits, '-', '_', '.', beginning "
			    "and ending with a letter or digit",
			    shown);
	}
	return 0;
}

/* --- states -------------------------------------------------------------- */

static const struct {
	const char *ours, *theirs, *reason;
} states[OSB_STATES] = {
	{ "creating", "Pending", "CONTAINER_STARTING" },
	{ "running", "Running", "CONTAINER_RUNNING" },
	{ "paused", "Paused", "CONTAINER_PAUSED" },
	{ "stopped", "Terminated", "CONTAINER_EXITED" },
	{ "error", "Failed", "CONTAINER_EXITED_ERROR" },
	{ "destroyed", "Terminated", "CONTAINER_EXITED" },
};

const char *
osb_state(const char *state)
{
	for (size_t i = 0; i < countof(states); i++) {
		if (strcmp(states[i].ours, state) == 0)
			return states[i].theirs;
	}
	return "Failed";
}

const char *
osb_reason(const char *state)
{
	for (size_t i = 0; i < countof(states); i++) {
		if (strcmp(states[i].ours, state) == 0)
			return states[i].reason;
	}
	return "CONTAINER_EXITED_ERROR";
}

const char *
osb_state_ours(const char *state)
{
	for (size_t i = 0; i < countof(states); i++) {
		if (strcasecmp(states[i].theirs, state) == 0)
			return states[i].ours;
	}
	return NULL;
}

/* --- paths --------------------------------------------------------------- */

int
osb_path_join(const char *base, const char *sub, char *dst, size_t size)
{
	size_t n = strlen(base);

	while (n > 0 && base[n - 1] == '/')
		n--;
	if (sub == NULL || sub[0] == '\0')
		return str_copy(dst, size, base);
	for (const char *at = sub; *at != '\0';) {
		size_t len = strcspn(at, "/");

		if (len == 0 || (len == 1 && at[0] == '.') ||
		    (len == 2 && at[0] == '.' && at[1] == '.'))
			return -1;
		at += len;
		if (*at == '/')
			at++;
	}
	return str_format(dst, size, "%.*s/%s", (int)n, base, sub);
}
