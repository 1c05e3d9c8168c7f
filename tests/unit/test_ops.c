/*
 * lib/ops: the table against its own rules, and requests in both forms.
 */
#include "lib/ops.h"
#include "lib/strutil.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const struct {
	enum op_type op;
	const char *name;
} arg_rows[] = {
#define ARG(op, name, kind, required, min, max, help) { OP_##op, name },
#include "lib/ops.def"
};

static void
rows_stand_under_the_operation_they_name(void **state ATTR_UNUSED)
{
	size_t at = 0, i;
	unsigned o;

	for (o = 0; o < OP_N; o++) {
		for (i = 0; i < op_table[o].nargs; i++, at++) {
			assert_int_equal(arg_rows[at].op, o);
			assert_string_equal(
			    op_table[o].args[i].field.name, arg_rows[at].name);
		}
	}
	assert_int_equal(at, countof(arg_rows));
}

static void
table_is_sane(void **state ATTR_UNUSED)
{
	const struct op_arg *a;
	const struct op *o;
	const char *p;
	unsigned i, j;
	size_t k, l;

	for (i = 0; i < OP_N; i++) {
		o = &op_table[i];
		assert_in_range(strlen(o->name), 1, 40);
		for (p = o->name; *p != '\0'; p++)
			assert_true(islower(*p) || *p == '.');
		assert_true(strlen(o->help) > 5);
		assert_int_equal(o->help[strlen(o->help) - 1], '.');
		assert_true(o->who == OP_ANYONE || o->who == OP_OPERATOR);
		for (j = 0; j < i; j++)
			assert_string_not_equal(o->name, op_table[j].name);
		for (k = 0; k < o->nargs; k++) {
			a = &o->args[k];
			assert_in_range(strlen(a->field.name), 1, 32);
			assert_in_range(a->field.kind, 0, JK_N - 1);
			assert_true(a->field.min <= a->field.max);
			assert_true(strlen(a->help) > 5);
			assert_int_equal(a->help[strlen(a->help) - 1], '.');
			/* A dot in a name means a member. */
			assert_null(strchr(a->field.name, '.'));
			assert_null(strchr(a->field.name, '='));
			for (l = 0; l < k; l++)
				assert_string_not_equal(
				    a->field.name, o->args[l].field.name);
		}
		assert_int_equal(op_find(o->name), i);
	}
	assert_int_equal(op_find("nosuch"), OP_N);
	assert_int_equal(op_find(""), OP_N);
}

/* A good line: what it means, as `id op args`. */
static void
assert_means(const char *line, const char *want)
{
	struct op_request r;
	struct buf b;
	struct jw w;
	struct err e;

	if (op_parse_line(line, strlen(line), 77, &r, &e) == -1)
		fail_msg("%s: %s", line, e.text);
	buf_init(&b, 1 << 20);
	buf_addf(&b, "%s %s ", r.id, op_table[r.op].name);
	jw_init(&w, &b);
	jw_value(&w, r.args);
	assert_string_equal(b.data, want);
	buf_free(&b);
	op_request_free(&r);
	assert_null(r.args);
}

/* A bad line: the answer's id, code and text. */
static void
assert_refused(
    const char *line, const char *id, enum err_code code, const char *text)
{
	struct op_request r;
	struct err e;

	if (op_parse_line(line, strlen(line), 77, &r, &e) == 0)
		fail_msg("taken: %s", line);
	assert_string_equal(e.text, text);
	assert_int_equal(e.code, code);
	assert_string_equal(r.id, id);
	assert_null(r.args);
	assert_null(r.root);
}

static void
json_form(void **state ATTR_UNUSED)
{
	assert_means("{\"id\":1,\"op\":\"sandbox.get\",\"args\":"
		     "{\"id\":\"box1\"}}",
	    "1 sandbox.get {\"id\":\"box1\"}");
	assert_means("{\"op\":\"status\"}", "77 status {}");
	assert_means(" {\"args\":{},\"op\":\"status\",\"id\":\"a\\\"b\"} \r",
	    "\"a\\\"b\" status {}");
	assert_means("{\"op\":\"status\",\"id\":-9007199254740992}",
	    "-9007199254740992 status {}");
	assert_means("{\"op\":\"status\",\"id\":\"\"}", "\"\" status {}");
}

static void
json_form_refused(void **state ATTR_UNUSED)
{
	assert_refused("{\"id\":5,\"op\":\"nosuch\"}", "5",
	    ERR_UNKNOWN_OPERATION, "no operation nosuch; help lists them");
	assert_refused("{\"id\":5}", "5", ERR_BAD_REQUEST, "field op: missing");
	assert_refused("{\"op\":\"status\",\"id\":5,\"x\":1}", "5",
	    ERR_BAD_REQUEST, "field x: unknown; known: id, op, args");
	assert_refused("{\"op\":\"status\",\"id\":5,\"args\":[]}", "5",
	    ERR_BAD_REQUEST, "field args: must be an object");
	assert_refused("{\"op\":\"status\",\"id\":9223372036854775808}", "77",
	    ERR_BAD_REQUEST,
	    "id: must be a whole number of 64 bits or text of at most 48 "
	    "bytes");
	assert_refused("{\"op\":\"status\",\"id\":null}", "77", ERR_BAD_REQUEST,
	    "id: must be a whole number of 64 bits or text of at most 48 "
	    "bytes");
	assert_refused("{\"op\":\"status\",\"id\":1.5}", "77", ERR_BAD_REQUEST,
	    "id: must be a whole number of 64 bits or text of at most 48 "
	    "bytes");
	assert_refused("{\"op\":\"status\",\"id\":\"\\u0001\\u0001\\u0001"
		       "\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001"
		       "\\u0001\\u0001\"}",
	    "77", ERR_BAD_REQUEST,
	    "id: too many characters that need an escape");
	assert_refused("{\"op\":\"sandbox.get\",\"id\":5,\"args\":{}}", "5",
	    ERR_BAD_REQUEST, "sandbox.get: field id: missing");
	assert_refused("{\"op\":\"status\",\"op\":\"help\"}", "77",
	    ERR_BAD_REQUEST,
	    "not valid JSON: byte 27: a key stands twice in one object");
	assert_refused("{\"op\":\"a\\u0000b\"}", "77", ERR_BAD_REQUEST,
	    "field op: must be text of 0 to 1048576 bytes");
	assert_refused("{\"op\":\"\"}", "77", ERR_UNKNOWN_OPERATION,
	    "no operation ; help lists them");
}

static void
word_form(void **state ATTR_UNUSED)
{
	assert_means("status", "77 status {}");
	assert_means(" \tstatus \r", "77 status {}");
	assert_means("sandbox.get id=box1", "77 sandbox.get {\"id\":\"box1\"}");
	assert_means("sandbox.get {\"id\":\"box1\"}",
	    "77 sandbox.get {\"id\":\"box1\"}");
	assert_means("sandbox.get id=\"a \\\"b\\\" \\u00e9\" ",
	    "77 sandbox.get {\"id\":\"a \\\"b\\\" \xc3\xa9\"}");
	assert_means("session.prompt id=demo text=\"Fix the test\"",
	    "77 session.prompt {\"id\":\"demo\",\"text\":\"Fix the test\"}");
	assert_means("session.prompt id=s text=", "77 session.prompt "
						  "{\"id\":\"s\",\"text\":"
						  "\"\"}");
	/* For a text brackets and equals signs are letters. */
	assert_means("session.prompt id=s text=[WIP]=x",
	    "77 session.prompt {\"id\":\"s\",\"text\":\"[WIP]=x\"}");
	assert_means("session.prompt id=s text=it's",
	    "77 session.prompt {\"id\":\"s\",\"text\":\"it's\"}");
}

static void
words_become_what_the_field_wants(void **state ATTR_UNUSED)
{
	assert_means("session.events id=s after=12 follow=yes raw=0",
	    "77 session.events {\"id\":\"s\",\"after\":12,\"follow\":true,"
	    "\"raw\":false}");
	assert_means("session.events id=s follow=true raw=no",
	    "77 session.events {\"id\":\"s\",\"follow\":true,\"raw\":false}");
	assert_means("session.events id=s follow=1 raw=false",
	    "77 session.events {\"id\":\"s\",\"follow\":true,\"raw\":false}");
	assert_means("session.create agent=mock command=[\"a\", \"b c\"]",
	    "77 session.create {\"agent\":\"mock\",\"command\":"
	    "[\"a\",\"b c\"]}");
	assert_means("session.create agent=mock command=/bin/x",
	    "77 session.create {\"agent\":\"mock\",\"command\":[\"/bin/x\"]}");
	assert_means("sandbox.exec id=b command=\"ls -l\"",
	    "77 sandbox.exec {\"id\":\"b\",\"command\":\"ls -l\"}");
	assert_means("sandbox.exec id=b command=[\"ls\",\"-l\"] timeout_ms=5",
	    "77 sandbox.exec {\"id\":\"b\",\"command\":[\"ls\",\"-l\"],"
	    "\"timeout_ms\":5}");
	assert_means("sandbox.create env=A=1,B=x=y,C=",
	    "77 sandbox.create {\"env\":{\"A\":\"1\",\"B\":\"x=y\","
	    "\"C\":\"\"}}");
	assert_means("sandbox.create env={\"A\":\"1\"} labels=",
	    "77 sandbox.create {\"env\":{\"A\":\"1\"},\"labels\":{}}");
	assert_means("sandbox.create mounts=[{\"source\":\"/a b\"}]",
	    "77 sandbox.create {\"mounts\":[{\"source\":\"/a b\"}]}");
}

static void
dotted_names_set_members(void **state ATTR_UNUSED)
{
	assert_means("sandbox.create limits.memory=512M env.CI=1 id=box1 "
		     "limits.pids=64 limits.cpu=1.5 env.A.B=\"x y\" "
		     "limits.time=\"10\" limits.x=true",
	    "77 sandbox.create {\"id\":\"box1\",\"env\":{\"CI\":\"1\","
	    "\"A.B\":\"x y\"},\"limits\":{\"memory\":\"512M\",\"pids\":64,"
	    "\"cpu\":1.5,\"time\":\"10\",\"x\":true}}");
	assert_means("sandbox.create env.J={x",
	    "77 sandbox.create {\"env\":{\"J\":\"{x\"}}");
}

static void
word_form_refused(void **state ATTR_UNUSED)
{
	assert_refused("", "77", ERR_BAD_REQUEST, "an empty request");
	assert_refused(" \r", "77", ERR_BAD_REQUEST, "an empty request");
	assert_refused("sandbox.lst", "77", ERR_UNKNOWN_OPERATION,
	    "no operation sandbox.lst; did you mean sandbox.list? help lists "
	    "them");
	assert_refused("stauts", "77", ERR_UNKNOWN_OPERATION,
	    "no operation stauts; did you mean status? help lists them");
	assert_refused("xyz", "77", ERR_UNKNOWN_OPERATION,
	    "no operation xyz; help lists them");
	assert_refused("GET / HTTP/1.1", "77", ERR_UNKNOWN_OPERATION,
	    "no operation GET; help lists them");
	assert_refused("sandbox.get box1", "77", ERR_BAD_REQUEST,
	    "sandbox.get: box1: must be NAME=VALUE");
	assert_refused("sandbox.get =box1", "77", ERR_BAD_REQUEST,
	    "sandbox.get: =box1: must be NAME=VALUE");
	assert_refused("sandbox.get name=box1", "77", ERR_BAD_REQUEST,
	    "sandbox.get: field name: unknown; known: id");
	assert_refused("sandbox.get id.x=box1", "77", ERR_BAD_REQUEST,
	    "sandbox.get: field id.x: unknown; known: id");
	assert_refused("sandbox.get id=a id=b", "77", ERR_BAD_REQUEST,
	    "sandbox.get: field id: given twice");
	assert_refused("sandbox.create env.A=1 env=B=2", "77", ERR_BAD_REQUEST,
	    "sandbox.create: field env: given twice");
	assert_refused("sandbox.create env=B=2 env.A=1", "77", ERR_BAD_REQUEST,
	    "sandbox.create: field env: given twice");
	assert_refused("sandbox.create env.A=1 env.A=1", "77", ERR_BAD_REQUEST,
	    "sandbox.create: the same member twice, or too many of them");
	assert_refused("session.get id.=1", "77", ERR_BAD_REQUEST,
	    "session.get: field id.: unknown; known: id");
	assert_refused("sandbox.create env=A", "77", ERR_BAD_REQUEST,
	    "sandbox.create: field env: must be an object of at most 512 "
	    "members, each a text");
	assert_refused("session.events id=s after=x", "77", ERR_BAD_REQUEST,
	    "session.events: field after: must be a whole number, at least 0");
	assert_refused("session.events id=s after=-1", "77", ERR_BAD_REQUEST,
	    "session.events: field after: must be a whole number, at least 0");
	assert_refused("session.events id=s raw=maybe", "77", ERR_BAD_REQUEST,
	    "session.events: field raw: must be true or false");
	assert_refused("sandbox.get id=", "77", ERR_BAD_REQUEST,
	    "sandbox.get: field id: must be text of 1 to 63 bytes");
	assert_refused("sandbox.get id=\"a", "77", ERR_BAD_REQUEST,
	    "sandbox.get: field id: not valid JSON: byte 2: parse error: "
	    "premature EOF");
	assert_refused("sandbox.get id=\"a\"b", "77", ERR_BAD_REQUEST,
	    "sandbox.get: field id: a blank must follow the value");
	assert_refused("sandbox.exec id=b command=[\"a\"]x", "77",
	    ERR_BAD_REQUEST,
	    "sandbox.exec: field command: a blank must follow the value");
	assert_refused("sandbox.get {\"id\":\"a\"} x", "77", ERR_BAD_REQUEST,
	    "sandbox.get: not valid JSON: byte 12: parse error: trailing "
	    "garbage");
	assert_refused("sandbox.get id=a\rb", "77", ERR_BAD_REQUEST,
	    "byte 16 is a control character");
	assert_refused(
	    "sandbox.get id=\xff", "77", ERR_BAD_REQUEST, "not UTF-8");
}

static void
quotes_cannot_break_out(void **state ATTR_UNUSED)
{
	/* What would come of it were values pasted into JSON unlooked at. */
	assert_means("sandbox.get id=a\",\"id\":\"b",
	    "77 sandbox.get {\"id\":\"a\\\",\\\"id\\\":\\\"b\"}");
	assert_refused("sandbox.create mounts=[],\"id\":\"x\"", "77",
	    ERR_BAD_REQUEST,
	    "sandbox.create: field mounts: a blank must follow the value");
	assert_refused("sandbox.create mounts=[}", "77", ERR_BAD_REQUEST,
	    "sandbox.create: field mounts: not valid JSON: byte 2: parse "
	    "error: unallowed token at this point in JSON text");
	assert_means("sandbox.create env.a\",\"id=1",
	    "77 sandbox.create {\"env\":{\"a\\\",\\\"id\":\"1\"}}");
}

static void
depth_is_the_same_in_both_forms(void **state ATTR_UNUSED)
{
	struct op_request r;
	struct err e;
	char line[200];
	int n, form;
	size_t len;

	for (n = 1; n < 12; n++) {
		for (form = 0; form < 3; form++) {
			len = (size_t)snprintf(line, sizeof(line),
			    form == 0	? "sandbox.create mounts="
			    : form == 1 ? "sandbox.create {\"mounts\":"
					: "{\"op\":\"sandbox.create\",\"args\":"
					  "{\"mounts\":");
			memset(line + len, '[', (size_t)n);
			memset(line + len + n, ']', (size_t)n);
			len += 2 * (size_t)n;
			memset(line + len, '}', (size_t)form);
			len += (size_t)form;
			assert_int_equal(op_parse_line(line, len, 1, &r, &e),
			    n <= JSON_DEPTH_CONTROL - 2 ? 0 : -1);
			op_request_free(&r);
		}
	}
}

static void
long_lines(void **state ATTR_UNUSED)
{
	static char line[CONTROL_LINE_MAX + 2];
	struct op_request r;
	struct err e;
	size_t n;

	n = (size_t)snprintf(line, sizeof(line), "session.prompt id=s text=\"");
	memset(line + n, 'x', 1000000);
	n += 1000000;
	line[n++] = '"';
	assert_int_equal(op_parse_line(line, n, 1, &r, &e), 0);
	assert_int_equal(strlen(json_str(r.args, "text", "")), 1000000);
	op_request_free(&r);
	line[n - 1] = 'x';
	line[n++] = '"';
	assert_int_equal(op_parse_line(line, n, 1, &r, &e), -1);
	memset(line, ' ', sizeof(line));
	assert_int_equal(
	    op_parse_line(line, CONTROL_LINE_MAX + 1, 1, &r, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	/* Many words, none of which may cost more for those before it. */
	for (n = 0; n + 4 < CONTROL_LINE_MAX; n += 4)
		memcpy(line + n, " a=b", 4);
	memcpy(line, "status", 6);
	alarm(10);
	assert_int_equal(op_parse_line(line, n, 1, &r, &e), -1);
	n = (size_t)snprintf(line, sizeof(line), "sandbox.create ");
	while (n + 20 < CONTROL_LINE_MAX)
		n += (size_t)snprintf(line + n, 20, " env.V%zu=1", n);
	assert_int_equal(op_parse_line(line, n, 1, &r, &e), -1);
	memset(line, '[', CONTROL_LINE_MAX);
	memcpy(line, "sandbox.create mounts=", 22);
	assert_int_equal(op_parse_line(line, CONTROL_LINE_MAX, 1, &r, &e), -1);
	alarm(0);
}

static void
help_lists_everything(void **state ATTR_UNUSED)
{
	const struct json *op, *f;
	struct json *j;
	struct buf b;
	struct jw w;
	unsigned i;
	size_t k;

	buf_init(&b, 1 << 20);
	jw_init(&w, &b);
	op_help(&w, OP_N);
	assert_int_equal(json_parse(b.data, b.len, 8, &j, NULL), 0);
	op = json_get(j, "operations")->child;
	for (i = 0; i < OP_N; i++, op = op->next) {
		assert_string_equal(json_str(op, "name", ""), op_table[i].name);
		f = json_get(op, "fields")->child;
		for (k = 0; k < op_table[i].nargs; k++, f = f->next)
			assert_string_equal(json_str(f, "name", ""),
			    op_table[i].args[k].field.name);
		assert_null(f);
	}
	assert_null(op);
	json_free(j);

	buf_clear(&b);
	jw_init(&w, &b);
	op_help(&w, OP_SANDBOX_GET);
	assert_string_equal(b.data,
	    "{\"operations\":[{\"name\":\"sandbox.get\",\"who\":\"operator\","
	    "\"streaming\":false,\"help\":\"One sandbox: record, state, which "
	    "isolation holds, use of its limits.\",\"fields\":[{\"name\":"
	    "\"id\",\"kind\":\"string\",\"required\":true,\"min\":1,\"max\":63,"
	    "\"help\":\"The sandbox.\"}]}]}");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_stand_under_the_operation_they_name),
		cmocka_unit_test(table_is_sane),
		cmocka_unit_test(json_form),
		cmocka_unit_test(json_form_refused),
		cmocka_unit_test(word_form),
		cmocka_unit_test(words_become_what_the_field_wants),
		cmocka_unit_test(dotted_names_set_members),
		cmocka_unit_test(word_form_refused),
		cmocka_unit_test(quotes_cannot_break_out),
		cmocka_unit_test(depth_is_the_same_in_both_forms),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(help_lists_everything),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
