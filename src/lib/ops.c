/*
 * The operations of ops.def as tables, their check, and the answer of `help`.
 * Runs in the supervisor, which trusts control clients with nothing, and in
 * sandboxctl. How a request is written is ops_parse.c's business; who may ask
 * for it is the supervisor's.
 */
#include "ops.h"
#include <string.h>

#define OP_ARGS_MAX 32

/* One array for each operation: its OP row closes the array of the one before
 * and opens its own. C has no empty arrays, so each begins with a row that
 * nobody sees. */
#define NO_ARG { { "", JK_ANY, false, 0, 0 }, "" },
static const struct op_arg args_[] ATTR_UNUSED = { NO_ARG
#define OP(sym, name, who, streaming, help) \
	}                                   \
	;                                   \
	static const struct op_arg args_##sym[] = { NO_ARG
#define ARG(op, name, kind, required, min, max, help) \
	{ { name, kind, required, min, max }, help },
#include "ops.def"
};

const struct op op_table[OP_N] = {
#define OP(sym, name_, who_, streaming_, help_) \
	[OP_##sym] = { .name = (name_),         \
		.who = OP_##who_,               \
		.streaming = (streaming_),      \
		.help = (help_),                \
		.args = args_##sym + 1,         \
		.nargs = countof(args_##sym) - 1 },
#include "ops.def"
};

#define OP(sym, name, who, streaming, help) \
	_Static_assert(countof(args_##sym) - 1 <= OP_ARGS_MAX, "op_check");
#include "ops.def"

enum op_type
op_find(const char *name)
{
	unsigned i;

	for (i = 0; i < OP_N; i++) {
		if (strcmp(op_table[i].name, name) == 0)
			break;
	}
	return (enum op_type)i;
}

enum op_reach
op_reach(enum op_type op)
{
	switch (op) {
	case OP_SANDBOX_COPY_IN:
		return OP_READS;
	case OP_SANDBOX_COPY_OUT:
	case OP_SANDBOX_PROCESSES:
	case OP_PROCESS_LOGS:
		return OP_WRITES;
	case OP_SANDBOX_CHANGES: /* against files of this machine */
	case OP_BACKUP:
	case OP_UPGRADE:
	case OP_STORE_COMPACT:
	case OP_TOKEN_CREATE: /* who takes a gateway over is not to leave */
	case OP_TOKEN_LIST:   /* with a token that outlives it */
	case OP_TOKEN_REVOKE:
		return OP_HERE;
	case OP_AGENT_INSTALL: /* its end, without the progress */
		return OP_FAR;
	default:
		return op_table[op].streaming ? OP_HERE : OP_FAR;
	}
}

int
op_check(enum op_type op, const struct json *args, struct err *e)
{
	const struct op *o = &op_table[op];
	struct json_field fields[OP_ARGS_MAX];
	size_t i;

	for (i = 0; i < o->nargs; i++)
		fields[i] = o->args[i].field;
	if (json_check(args, fields, o->nargs, e) == -1)
		return err_prefix(e, "%s", o->name);
	return 0;
}

static void
help_field(struct jw *w, const struct op_arg *a)
{
	static const char *const kinds[JK_N] = {
		[JK_STR] = "string",
		[JK_INT] = "integer",
		[JK_BOOL] = "boolean",
		[JK_STRV] = "strings",
		[JK_STRMAP] = "string map",
		[JK_OBJECT] = "object",
		[JK_ARRAY] = "array",
		[JK_ANY] = "any",
	};

	jw_object(w);
	jw_kstr(w, "name", a->field.name);
	jw_kstr(w, "kind", kinds[a->field.kind]);
	jw_kbool(w, "required", a->field.required);
	if (a->field.max > 0) {
		jw_kint(w, "min", a->field.min);
		jw_kint(w, "max", a->field.max);
	}
	jw_kstr(w, "help", a->help);
	jw_object_end(w);
}

static void
help_op(struct jw *w, const struct op *o)
{
	size_t i;

	jw_object(w);
	jw_kstr(w, "name", o->name);
	jw_kstr(w, "who", o->who == OP_ANYONE ? "anyone" : "operator");
	jw_kbool(w, "streaming", o->streaming);
	jw_kstr(w, "help", o->help);
	jw_key(w, "fields");
	jw_array(w);
	for (i = 0; i < o->nargs; i++)
		help_field(w, &o->args[i]);
	jw_array_end(w);
	jw_object_end(w);
}

void
op_help(struct jw *w, enum op_type only)
{
	unsigned i;

	jw_object(w);
	jw_key(w, "operations");
	jw_array(w);
	for (i = 0; i < OP_N; i++) {
		if (only == OP_N || only == (enum op_type)i)
			help_op(w, &op_table[i]);
	}
	jw_array_end(w);
	jw_object_end(w);
}
