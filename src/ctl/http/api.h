/*
 * `sandboxctl api`: the HTTP interface for scripts, one action a request. JSON
 * comes out as the server wrote it, only spread over lines; streams line by
 * line as they come.
 *
 * Codes to end with are those that scripts of other clients of this interface
 * expect: 0, 1 when the server refused or did not answer, 2 for wrong use.
 */
#ifndef CTL_HTTP_API_H
#define CTL_HTTP_API_H

#include "ctl/http/http.h"

#define API_EXIT_USAGE 2

struct api;

/* A flag that becomes a parameter of the query; a switch becomes "true". */
struct api_query {
	const char *flag, *name;
};

enum api_out {
	API_JSON,  /* kept, then printed spread over lines */
	API_STREAM /* copied as it comes */
};

struct api_action {
	const char *group, *name;
	const char *method;
	/* Each {} takes the next operand, {flag} the value of that flag, which
	 * must be given. */
	const char *path;
	const char *operands;
	const char *help;
	int min, max;
	const struct opt_def *opts; /* NULL: only those that all have */
	size_t nopts;
	const struct api_query *query; /* up to a NULL flag; NULL: none */
	/* Writes the body's members; NULL: no body. */
	int (*body)(struct api *a, struct jw *w, struct err *e);
	/* The body is the file that the last operand names, or standard input;
	 * this is its type. NULL: no. */
	const char *upload;
	enum api_out out;
	bool in_sandbox; /* --sandbox puts /i/ID in front */
	/* In place of all that: the whole of it, with the server there. */
	int (*run)(struct api *a);
};

struct api {
	struct ctl *ctl; /* borrowed */
	const struct api_action *action;
	struct args args;
	const char *sandbox; /* borrowed; NULL: `default` */
	struct target target;
	struct http http;
};

extern const struct api_action api_sessions[];
extern const size_t api_nsessions;
extern const struct api_action api_acp[];
extern const size_t api_nacp;
extern const struct api_action api_others[];
extern const size_t api_nothers;

/* What every action takes; first, since a letter means what its first row
 * says. */
#define API_OPTS                                                            \
	{ "endpoint", 'e', "URL",                                           \
		"The server; http://127.0.0.1:2468 without." },             \
	    { "token", 't', "TOKEN", "What lets us in." },                  \
	    { "token-file", '\0', "FILE", "A file with it." },              \
	    { "no-token", 'n', NULL,                                        \
		    "Send none, whatever the environment says." },          \
	{                                                                   \
		"sandbox", 's', "ID", "Of this sandbox; else of `default`." \
	}

/* Wrong use of the command line, which E tells; the code to end with. */
int api_misuse(struct api *a, const struct err *e);
/* The action's path and query, escaped; the caller's. NULL: a flag that it
 * needs is missing, and E says which. */
char *api_path(struct api *a, struct err *e);
/* Send C and show what comes; the code to end with. http_end() is still the
 * caller's. */
int api_perform(struct api *a, struct http_call *c);
/* The same without showing a good answer. */
int api_fetch(struct api *a, struct http_call *c);
/* Any text of this size at most from FILE, - is standard input. Fails as the
 * system says it. The caller's. */
#define API_BODY_MAX (128u << 20)
int
api_slurp(const char *file, char **text_out, size_t *len_out, struct err *e);

/* `agents report`: api_acp.c. */
int api_report(struct api *a);
/* `request`: api.c. */
int api_request(struct api *a);

/* --- for bodies ---------------------------------------------------------- */

/* Operand N as a string; the flag's value as a string, a whole number or true,
 * nothing when it is missing. */
void api_kstr(struct api *a, struct jw *w, const char *flag, const char *key);
int api_kint(struct api *a, struct jw *w, const char *flag, const char *key,
    struct err *e);
void api_kbool(struct api *a, struct jw *w, const char *flag, const char *key);
/* The JSON in a file as the value of KEY. */
int api_kfile(struct api *a, struct jw *w, const char *flag, const char *key,
    struct err *e);
/* The object in TEXT, or else in the file (- is standard input). */
int api_parse(
    const char *text, const char *file, struct json **j_out, struct err *e);
/* JSON text that was typed as the value of KEY. */
int api_ktext(struct jw *w, const char *text, const char *key, struct err *e);

#endif
