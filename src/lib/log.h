/*
 * One event per line. Fixed fields first (time, level, role, subsystem,
 * message), then key=value pairs. Every byte that is not printable ASCII is
 * escaped, so a hostile string cannot forge a line. errno is preserved.
 *
 *	log_warn("proc", "worker lost", LOG_STR("session", s->id),
 *	    LOG_INT("pid", p->pid));
 *
 * Never log tokens, prompts, or values of environment variables.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "defs.h"
#include <stdbool.h>

enum log_level {
	LOG_L_ERROR,
	LOG_L_WARN,
	LOG_L_INFO,
	LOG_L_DEBUG,
	LOG_L_N
};
enum log_format {
	LOG_F_TEXT,
	LOG_F_JSON,
	LOG_F_N
};

/* Longest line, so that one fits in a `log` message; longer ones are cut
 * between fields, or in the middle of the last value. */
#define LOG_LINE_MAX 1024

struct log_field {
	const char *key;
	const char *str; /* NULL: use num */
	long long num;
};

#define LOG_STR(k, v)       \
	(struct log_field)  \
	{                   \
		(k), (v), 0 \
	}
#define LOG_INT(k, v)                     \
	(struct log_field)                \
	{                                 \
		(k), NULL, (long long)(v) \
	}

/* ROLE names the process in each line ("sandboxd", "store", "init:box1"); the
 * string is copied. Until this is called lines go to stderr as text. */
void log_init(const char *role, enum log_level level, enum log_format format);
/* Send lines to FN instead of stderr (children report through their channel;
 * tests collect). LINE ends without a newline. NULL restores stderr. */
void log_sink(
    void (*fn)(void *ctx, enum log_level level, const char *line, size_t len),
    void *ctx);
/* For a sink that cannot take a line: to stderr with it, as without a sink.
 * False: nobody took it there either; log_count_lost() lets that be told. */
bool log_stderr(const char *line, size_t len);
void log_count_lost(void);
bool log_enabled(enum log_level level);
/* -1 when the word is none of the names. */
int log_level_parse(const char *word, enum log_level *level_out);
int log_format_parse(const char *word, enum log_format *format_out);
const char *log_level_name(enum log_level level);

void log_write(enum log_level level, const char *sub, const char *msg,
    const struct log_field *fields, size_t n);

/* The last field ends the list, so that there is never none (ISO C wants an
 * argument for the dots). Used through the four below. */
#define LOG_AT(lv, sub, msg, ...)                                           \
	do {                                                                \
		const struct log_field log_f_[] = { __VA_ARGS__ };          \
		log_write((lv), (sub), (msg), log_f_, countof(log_f_) - 1); \
	} while (0)
#define LOG_END LOG_INT(NULL, 0)
#define log_error(sub, ...) LOG_AT(LOG_L_ERROR, sub, __VA_ARGS__, LOG_END)
#define log_warn(sub, ...) LOG_AT(LOG_L_WARN, sub, __VA_ARGS__, LOG_END)
#define log_info(sub, ...) LOG_AT(LOG_L_INFO, sub, __VA_ARGS__, LOG_END)
#define log_debug(sub, ...) LOG_AT(LOG_L_DEBUG, sub, __VA_ARGS__, LOG_END)

/* Log at error level and exit with EXIT_SYS. Only for *_or_die() functions
 * and for helpers that lost their parent; never in the supervisor's loop. */
void
fatal(const char *sub, const char *fmt, ...) ATTR_NORETURN ATTR_PRINTF(2, 3);

#endif
