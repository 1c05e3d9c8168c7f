/*
 * Request lines of control clients. A line that is taken must come out the
 * same when its meaning is written as JSON and read again; one that is
 * refused must be refused in a clean sentence, with an id to answer to.
 *
 * Input: the line.
 */
#include "fuzz.h"
#include "lib/ops.h"
#include "lib/strutil.h"
#include <string.h>

static void
check_id(const char *id)
{
	struct json *j;

	CHECK(strlen(id) < 64);
	CHECK(json_parse(id, strlen(id), 0, &j, NULL) == 0);
	CHECK(j->type == JSON_NUMBER || j->type == JSON_STRING);
	json_free(j);
}

/* The request as JSON text. */
static void
write_request(struct buf *b, const struct op_request *r)
{
	struct jw w;

	buf_init(b, 16 * CONTROL_LINE_MAX);
	jw_init(&w, b);
	jw_object(&w);
	jw_key(&w, "id");
	jw_raw(&w, r->id, strlen(r->id));
	jw_kstr(&w, "op", op_table[r->op].name);
	jw_kvalue(&w, "args", r->args);
	jw_object_end(&w);
	CHECK(!b->failed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct op_request r, again;
	struct buf b, c;
	struct err e;

	if (size > CONTROL_LINE_MAX + 10)
		return 0;
	if (op_parse_line((const char *)data, size, 42, &r, &e) == -1) {
		CHECK(e.code != ERR_NONE && e.text[0] != '\0');
		CHECK(utf8_valid_prefix(e.text, strlen(e.text)) ==
		      strlen(e.text));
		CHECK(strchr(e.text, '\n') == NULL);
		CHECK(r.root == NULL && r.args == NULL);
		check_id(r.id);
		return 0;
	}
	check_id(r.id);
	CHECK(r.op < OP_N && r.args->type == JSON_OBJECT);
	CHECK(op_check(r.op, r.args, NULL) == 0);
	write_request(&b, &r);
	/* Escapes may have made it longer than a line may be. */
	if (b.len <= CONTROL_LINE_MAX) {
		CHECK(op_parse_line(b.data, b.len, 43, &again, &e) == 0);
		CHECK(again.op == r.op && strcmp(again.id, r.id) == 0);
		write_request(&c, &again);
		CHECK(b.len == c.len && memcmp(b.data, c.data, b.len) == 0);
		buf_free(&c);
		op_request_free(&again);
	}
	buf_free(&b);
	op_request_free(&r);
	return 0;
}
