/*
 * The operations of ops.def as tables, the check of their arguments, and the
 * two ways to write a request: a JSON object, or words.
 *
 *	{"id":1,"op":"sandbox.get","args":{"id":"box1"}}
 *	sandbox.get id=box1
 *	sandbox.create id=box1 limits.memory=512M env.CI=1 labels.team="a b"
 *	sandbox.exec {"id":"box1","command":["true"]}
 *
 * Words: NAME=VALUE, the value bare up to the next blank, or in double quotes
 * with the escapes of JSON; a value that starts with { or [ is JSON; a dotted
 * name sets a member of an object. Values become what the field's kind wants.
 * Requests without an id are numbered from 1 on each connection.
 */
#ifndef LIB_OPS_H
#define LIB_OPS_H

#include "buf.h"
#include "defs.h"
#include "err.h"
#include "json.h"

enum op_who {
	OP_ANYONE,
	OP_OPERATOR
};

enum op_type {
#define OP(sym, name, who, streaming, help) OP_##sym,
#include "ops.def"
	OP_N
};

struct op_arg {
	struct json_field field;
	const char *help;
};

struct op {
	const char *name;
	enum op_who who;
	bool streaming;
	const char *help;
	const struct op_arg *args;
	size_t nargs;
};

extern const struct op op_table[OP_N];

#define CONTROL_LINE_MAX (1u << 20) /* bytes in one request line */

struct op_request {
	enum op_type op;
	char id[64]; /* the request's id as JSON text (number or string) */
	struct json *args; /* owned, an object, checked against the table */
	struct json
	    *root; /* owned, what args belongs to; see op_request_free */
};

/* OP_N when there is no such operation. */
enum op_type op_find(const char *name);
/* Parse one line (without its newline). On failure E says why and R->id is
 * still set when one could be read, else to NUMBER, which also serves requests
 * that bring no id. */
int op_parse_line(const char *line, size_t len, uint64_t number,
    struct op_request *r, struct err *e) ATTR_WARN_UNUSED;
void op_request_free(struct op_request *r);
/* Check ARGS of OP; also done by op_parse_line. */
int op_check(
    enum op_type op, const struct json *args, struct err *e) ATTR_WARN_UNUSED;
/* How an operation is asked for from elsewhere, as it is: by a gateway for an
 * HTTP client, and so by sandboxctl over HTTP. */
enum op_reach {
	OP_HERE,  /* not at all: it ends with this machine, is a stream, or
		   * says who may come in */
	OP_FAR,	  /* with its arguments alone */
	OP_READS, /* with a pipe, as `fds`: 1, that it reads from */
	OP_WRITES /* or writes to */
};
enum op_reach op_reach(enum op_type op);
/* The answer of `help`: every operation with its fields, or one. */
void op_help(struct jw *w, enum op_type only); /* OP_N: all */

#endif
