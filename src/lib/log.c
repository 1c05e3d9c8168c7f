/*
 * Log lines. Runs in every process of ours. Messages and keys are constants
 * of ours, values may come from anybody: each byte that is not printable ASCII
 * leaves here escaped, so no value can begin a line or move a cursor; and what
 * in a value looks like a key of somebody's is masked.
 *
 * Logging never allocates, never ends the process and never waits: when
 * standard error is gone or full the line is dropped and counted, and the
 * next one that gets through is preceded by the number lost.
 */
#include "log.h"
#include "err.h"
#include "secret.h"
#include "strutil.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define ROLE_TEXT_MAX 96

static const char *const level_names[LOG_L_N] = {
	[LOG_L_ERROR] = "error",
	[LOG_L_WARN] = "warn",
	[LOG_L_INFO] = "info",
	[LOG_L_DEBUG] = "debug",
};

static const char *const format_names[LOG_F_N] = {
	[LOG_F_TEXT] = "text",
	[LOG_F_JSON] = "json",
};

static struct {
	char role[ROLE_TEXT_MAX];
	enum log_level level;
	enum log_format format;
	void (*sink)(
	    void *ctx, enum log_level level, const char *line, size_t len);
	void *sink_ctx; /* borrowed from whoever set the sink */
	bool in_sink;	/* a sink that logs must not call itself */
	unsigned long long lost;
} state = { .role = "-", .level = LOG_L_INFO };

/* One line in the making. What does not fit is left out whole, except the
 * end of a value; two bytes stay free to close a JSON object and for the
 * newline. */
struct line {
	char data[LOG_LINE_MAX + 1];
	size_t len;
	bool full;
};

#define LINE_ROOM (LOG_LINE_MAX - 2)

void
log_init(const char *role, enum log_level level, enum log_format format)
{
	(void)snprintf(state.role, sizeof(state.role), "%s", role); /* cut */
	state.level = level;
	state.format = format;
}

void
log_sink(
    void (*fn)(void *ctx, enum log_level level, const char *line, size_t len),
    void *ctx)
{
	state.sink = fn;
	state.sink_ctx = ctx;
}

bool
log_enabled(enum log_level level)
{
	return level <= state.level;
}

int
log_level_parse(const char *word, enum log_level *level_out)
{
	unsigned i;

	for (i = 0; i < LOG_L_N; i++) {
		if (strcmp(word, level_names[i]) == 0) {
			*level_out = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

int
log_format_parse(const char *word, enum log_format *format_out)
{
	unsigned i;

	for (i = 0; i < LOG_F_N; i++) {
		if (strcmp(word, format_names[i]) == 0) {
			*format_out = (enum log_format)i;
			return 0;
		}
	}
	return -1;
}

const char *
log_level_name(enum log_level level)
{
	return (unsigned)level < LOG_L_N ? level_names[level] : "unknown";
}

/* Add a piece as a whole, or nothing. */
static void
line_add(struct line *l, const char *s, size_t n)
{
	if (l->full || n > LINE_ROOM - l->len) {
		l->full = true;
		return;
	}
	memcpy(l->data + l->len, s, n);
	l->len += n;
}

static void
line_adds(struct line *l, const char *s)
{
	line_add(l, s, strlen(s));
}

static void
line_add_int(struct line *l, long long v)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%lld", v); /* 20 digits at most */
	line_adds(l, text);
}

/* Text form of S: \n and the like, \xHH for what is not printable. ROOM is
 * kept free behind it. */
static void
line_escape_text(struct line *l, const char *s, bool quotes, size_t room)
{
	char piece[8];
	const char *p;
	size_t n;
	unsigned char c;

	for (p = s; *p != '\0' && !l->full; p++) {
		c = (unsigned char)*p;
		if (c == '\\' || (c == '"' && quotes))
			n = (size_t)snprintf(piece, sizeof(piece), "\\%c", c);
		else if (c == '\n')
			n = (size_t)snprintf(piece, sizeof(piece), "\\n");
		else if (c < 0x20 || c >= 0x7f)
			n = (size_t)snprintf(
			    piece, sizeof(piece), "\\x%02x", c);
		else {
			piece[0] = (char)c;
			n = 1;
		}
		if (n + room > LINE_ROOM - l->len)
			return;
		line_add(l, piece, n);
	}
}

/* The code point of the valid character of LEN bytes at S. */
static unsigned
code_point(const char *s, size_t len)
{
	static const unsigned char first[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	unsigned cp = (unsigned char)s[0] & first[len];
	size_t i;

	for (i = 1; i < len; i++)
		cp = cp << 6 | ((unsigned char)s[i] & 0x3fu);
	return cp;
}

/* JSON form of S in quotes, in nothing but ASCII. */
static void
line_escape_json(struct line *l, const char *s)
{
	size_t left = strlen(s);
	char piece[16];
	size_t used;
	unsigned cp;
	int n;

	line_add(l, "\"", 1);
	for (; left > 0 && !l->full; s += used, left -= used) {
		used = utf8_char_len(s, left);
		cp = used > 0 ? code_point(s, used) : 0xfffd;
		used = MAX(used, 1u);
		if (cp == '"' || cp == '\\')
			n = snprintf(piece, sizeof(piece), "\\%c", (char)cp);
		else if (cp >= 0x20 && cp < 0x7f)
			n = snprintf(piece, sizeof(piece), "%c", (char)cp);
		else if (cp < 0x10000)
			n = snprintf(piece, sizeof(piece), "\\u%04x", cp);
		else
			n = snprintf(piece, sizeof(piece), "\\u%04x\\u%04x",
			    0xd800 + ((cp - 0x10000) >> 10),
			    0xdc00 + ((cp - 0x10000) & 0x3ff));
		if ((size_t)n + 1 > LINE_ROOM - l->len)
			break;
		line_add(l, piece, (size_t)n);
	}
	line_add(l, "\"", 1);
}

/* May S stand after its key without quotes? */
static bool
is_bare(const char *s)
{
	const char *p;

	for (p = s; *p != '\0'; p++) {
		if (*p <= ' ' || *p >= 0x7f || *p == '"' || *p == '=' ||
		    *p == '\\')
			return false;
	}
	return p > s;
}

/* S without secrets, in ROOM; its end may be missing, where the line has no
 * room for it either. */
static const char *
value_shown(char room[LOG_LINE_MAX + 1], const char *s)
{
	size_t n = strnlen(s, LOG_LINE_MAX);

	memcpy(room, s, n);
	room[secret_scrub(room, n)] = '\0';
	return room;
}

static void
line_text(struct line *l, const char *now, enum log_level level,
    const char *sub, const char *msg, const struct log_field *f, size_t n)
{
	char room[LOG_LINE_MAX + 1];
	const char *str;
	size_t i, mark;

	line_adds(l, now);
	line_add(l, " ", 1);
	line_adds(l, log_level_name(level));
	line_add(l, " ", 1);
	line_escape_text(l, state.role, false, 0);
	line_add(l, " ", 1);
	line_escape_text(l, sub, false, 0);
	line_add(l, ": ", 2);
	line_escape_text(l, msg, false, 0);
	for (i = 0; i < n; i++) {
		mark = l->len;
		line_add(l, " ", 1);
		line_adds(l, f[i].key);
		line_add(l, "=", 1);
		str = f[i].str == NULL ? NULL : value_shown(room, f[i].str);
		if (str == NULL)
			line_add_int(l, f[i].num);
		else if (is_bare(str))
			line_escape_text(l, str, false, 0);
		else {
			line_add(l, "\"", 1);
			line_escape_text(l, str, true, 1);
			line_add(l, "\"", 1);
		}
		if (l->full) {
			l->len = mark;
			return;
		}
	}
}

static void
line_json_str(struct line *l, const char *key, const char *value)
{
	line_add(l, ",\"", 2);
	line_adds(l, key);
	line_add(l, "\":", 2);
	line_escape_json(l, value);
}

static void
line_json(struct line *l, const char *now, enum log_level level,
    const char *sub, const char *msg, const struct log_field *f, size_t n)
{
	char room[LOG_LINE_MAX + 1];
	size_t i, mark;

	line_adds(l, "{\"time\":\"");
	line_adds(l, now);
	line_add(l, "\"", 1);
	line_json_str(l, "level", log_level_name(level));
	line_json_str(l, "role", state.role);
	line_json_str(l, "subsystem", sub);
	line_json_str(l, "message", msg);
	for (i = 0; i < n && !l->full; i++) {
		mark = l->len;
		if (f[i].str != NULL) {
			line_json_str(l, f[i].key, value_shown(room, f[i].str));
		} else {
			line_add(l, ",\"", 2);
			line_adds(l, f[i].key);
			line_add(l, "\":", 2);
			line_add_int(l, f[i].num);
		}
		if (l->full)
			l->len = mark;
	}
	l->data[l->len++] = '}'; /* LINE_ROOM leaves this byte */
}

/* Write to standard error if that neither waits nor kills us. */
static bool
stderr_write(const char *p, size_t n)
{
	struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	ssize_t put;

	put = send(STDERR_FILENO, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (put != -1 || errno != ENOTSOCK)
		return put == (ssize_t)n;
	/* A pipe that polls writable takes PIPE_BUF bytes at once, and no line
	 * is longer than that. */
	_Static_assert(LOG_LINE_MAX < 4096, "one line fits in PIPE_BUF");
	if (poll(&pfd, 1, 0) != 1 || (pfd.revents & POLLOUT) == 0)
		return false;
	if (sigaction(SIGPIPE, &ignore, &old) == -1)
		return false;
	do {
		put = write(STDERR_FILENO, p, n);
	} while (put == -1 && errno == EINTR);
	(void)sigaction(SIGPIPE, &old, NULL); /* restores what we just read */
	return put == (ssize_t)n;
}

bool
log_stderr(const char *line, size_t len)
{
	char whole[LOG_LINE_MAX + 1];

	len = MIN(len, LOG_LINE_MAX);
	memcpy(whole, line, len);
	whole[len++] = '\n';
	return stderr_write(whole, len);
}

void
log_count_lost(void)
{
	state.lost++;
}

static void
line_emit(enum log_level level, struct line *l)
{
	if (state.sink != NULL) {
		if (state.in_sink)
			return;
		state.in_sink = true;
		l->data[l->len] = '\0';
		state.sink(state.sink_ctx, level, l->data, l->len);
		state.in_sink = false;
		return;
	}
	l->data[l->len++] = '\n';
	if (!stderr_write(l->data, l->len))
		state.lost++;
}

static void
line_make(enum log_level level, const char *sub, const char *msg,
    const struct log_field *fields, size_t n)
{
	struct line l;
	char now[TIME_TEXT_MAX];
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);	  /* cannot fail */
	(void)time_format(now, ts.tv_sec, ts.tv_nsec, 3); /* length unused */
	l.len = 0;
	l.full = false;
	if (state.format == LOG_F_JSON)
		line_json(&l, now, level, sub, msg, fields, n);
	else
		line_text(&l, now, level, sub, msg, fields, n);
	line_emit(level, &l);
}

void
log_write(enum log_level level, const char *sub, const char *msg,
    const struct log_field *fields, size_t n)
{
	int saved = errno; /* callers log between a failure and its report */
	unsigned long long lost = state.lost;
	const struct log_field count = LOG_INT("lines", lost);

	if (!log_enabled(level))
		return;
	if (lost > 0 && !state.in_sink) {
		state.lost = 0;
		line_make(LOG_L_WARN, "log", "lines lost", &count, 1);
		if (state.lost > 0)
			state.lost = lost; /* still nobody reads */
	}
	line_make(level, sub, msg, fields, n);
	errno = saved;
}

void
fatal(const char *sub, const char *fmt, ...)
{
	char msg[LOG_LINE_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap); /* cut */
	va_end(ap);
	log_write(LOG_L_ERROR, sub, msg, NULL, 0);
	exit(EXIT_SYS);
}
