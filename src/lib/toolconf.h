/*
 * What users configure for agents, by name: MCP servers, and sources of
 * skills. Their normal form, which the gateway writes into files of the
 * sandbox and session workers read there.
 */
#ifndef LIB_TOOLCONF_H
#define LIB_TOOLCONF_H

#include "json.h"

enum toolconf {
	TOOLCONF_MCP,
	TOOLCONF_SKILLS,
	TOOLCONF_N
};

/* The file, below the directory that it is for. */
#define TOOLCONF_DIR ".sandbox-agent/config"
#define TOOLCONF_FILE_MAX (1u << 20)
const char *toolconf_name(enum toolconf kind); /* "mcp", "skills" */

/* Write ENTRY in its normal form: canonical names, in their order, maps
 * sorted, unknown members left out. -1: E says what is wrong with it, and what
 * was written is of no use. */
int toolconf_normal(enum toolconf kind, const struct json *entry, struct jw *w,
    struct err *e) ATTR_WARN_UNUSED;

/* A file's text: an object of entries, all of them checked; blank text counts
 * as {}. The tree belongs to *J_OUT. */
int toolconf_parse(enum toolconf kind, const char *text, size_t len,
    struct json **j_out, struct err *e) ATTR_WARN_UNUSED;

/* V over several lines, two blanks a level, no end of line at the end. */
void toolconf_pretty(struct buf *b, const struct json *v);

#endif
