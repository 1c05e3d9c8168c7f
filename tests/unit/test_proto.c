/*
 * lib/proto: the table against its own rules, and the check against frames
 * that break each of them.
 */
#include "lib/proto.h"
#include "lib/fdio.h"
#include "lib/frame.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* The list once more, flat: each row with the message that it names. */
static const struct {
	enum msg_type msg;
	const char *name;
} field_rows[] = {
#define FIELD(msg, name, kind, required, min, max) { MSG_##msg, name },
#include "lib/proto.def"
};
static const struct {
	enum msg_type msg;
	const char *name;
} reply_rows[] = {
#define REPLY(msg, name, kind, required, min, max) { MSG_##msg, name },
#include "lib/proto.def"
};

static void
rows_stand_under_the_message_they_name(void **state ATTR_UNUSED)
{
	size_t at = 0, i;
	unsigned m;

	for (m = 0; m < MSG_N; m++) {
		for (i = 0; i < proto_table[m].nfields; i++, at++) {
			assert_int_equal(field_rows[at].msg, m);
			assert_string_equal(
			    proto_table[m].fields[i].name, field_rows[at].name);
		}
	}
	assert_int_equal(at, countof(field_rows));
	for (m = 0, at = 0; m < MSG_N; m++) {
		for (i = 0; i < proto_table[m].nreply; i++, at++) {
			assert_int_equal(reply_rows[at].msg, m);
			assert_string_equal(
			    proto_table[m].reply[i].name, reply_rows[at].name);
		}
	}
	assert_int_equal(at, countof(reply_rows));
}

static void
assert_fields_sane(const struct json_field *f, size_t n)
{
	size_t i, j;

	assert_in_range(n, 0, 32);
	for (i = 0; i < n; i++) {
		assert_in_range(strlen(f[i].name), 1, 32);
		assert_in_range(f[i].kind, 0, JK_N - 1);
		assert_true(f[i].min <= f[i].max);
		if (f[i].kind == JK_STR) {
			assert_true(f[i].min >= 0 && f[i].max > 0);
			assert_true(f[i].max < FRAME_MAX);
		}
		if (f[i].kind == JK_STRV || f[i].kind == JK_STRMAP)
			assert_true(f[i].max > 0);
		assert_string_not_equal(f[i].name, "op");
		assert_string_not_equal(f[i].name, "id");
		assert_string_not_equal(f[i].name, "fds");
		for (j = 0; j < i; j++)
			assert_string_not_equal(f[i].name, f[j].name);
	}
}

static void
table_is_sane(void **state ATTR_UNUSED)
{
	const struct proto_msg *m;
	const char *p;
	unsigned i, j;

	for (i = 0; i < MSG_N; i++) {
		m = &proto_table[i];
		assert_in_range(strlen(m->name), 1, 32);
		for (p = m->name; *p != '\0'; p++)
			assert_true(islower(*p) || *p == '_' || *p == '.');
		assert_true(strlen(m->help) > 10);
		assert_int_equal(m->help[strlen(m->help) - 1], '.');
		assert_true(m->senders != 0 && m->senders < BIT(ROLE_N));
		assert_true(m->receivers != 0 && m->receivers < BIT(ROLE_N));
		assert_int_equal(m->senders & m->receivers, 0);
		assert_true(m->states != 0 && m->states < BIT(PS_N));
		assert_in_range(m->max_bytes, 16, FRAME_MAX);
		assert_in_range(m->max_fds, 0, FDIO_MAX_FDS);
		assert_fields_sane(m->fields, m->nfields);
		assert_fields_sane(m->reply, m->nreply);
		if (!m->request)
			assert_int_equal(m->nreply, 0);
		/* A name tells the message, whoever sends it. */
		for (j = 0; j < i; j++)
			assert_string_not_equal(m->name, proto_table[j].name);
	}
	for (i = 0; i < ROLE_N; i++) {
		assert_string_not_equal(role_name((enum role)i), "unknown");
		for (j = 0; j < i; j++)
			assert_string_not_equal(
			    role_name((enum role)i), role_name((enum role)j));
	}
	assert_string_equal(role_name(ROLE_N), "unknown");
}

static struct proto_in in;
static struct err e;
static struct json *tree;

static int
check(enum role sender, enum proc_state st, enum role receiver,
    const char *text, size_t nfds)
{
	json_free(tree);
	tree = NULL;
	assert_int_equal(json_parse(text, strlen(text), 8, &tree, &e), 0);
	err_clear(&e);
	return proto_check(
	    sender, st, receiver, tree, strlen(text), nfds, &in, &e);
}

static int
done(void **state ATTR_UNUSED)
{
	json_free(tree);
	tree = NULL;
	return 0;
}

#define HELLO "{\"op\":\"hello\",\"role\":\"store\",\"version\":\"1\"}"
#define APPEND "{\"op\":\"append\",\"id\":7,\"first\":1,\"events\":[{}]}"

static void
good_messages_pass(void **state ATTR_UNUSED)
{
	assert_int_equal(
	    check(ROLE_STORE, PS_STARTING, ROLE_SUPER, HELLO, 0), 0);
	assert_int_equal(in.kind, PROTO_MESSAGE);
	assert_int_equal(in.type, MSG_HELLO);
	assert_int_equal(in.id, 0);
	assert_string_equal(json_str(in.body, "role", ""), "store");
	assert_int_equal(
	    check(ROLE_SESSION, PS_RUNNING, ROLE_STORE, APPEND, 0), 0);
	assert_int_equal(in.type, MSG_APPEND);
	assert_int_equal(in.id, 7);
	/* Every child may say hello. */
	assert_int_equal(
	    check(ROLE_INIT, PS_STARTING, ROLE_SUPER, HELLO, 0), 0);
	assert_int_equal(
	    check(ROLE_SESSION, PS_STARTING, ROLE_SUPER, HELLO, 0), 0);
	assert_int_equal(
	    check(ROLE_RELAY, PS_STARTING, ROLE_SUPER, HELLO, 0), 0);
	/* The supervisor has no state that could forbid it anything. */
	assert_int_equal(
	    check(ROLE_SUPER, PS_FAILED, ROLE_STORE,
		"{\"op\":\"attach\",\"id\":1,\"session\":\"s\",\"fds\":1}", 1),
	    0);
}

static void
breaches_are_seen(void **state ATTR_UNUSED)
{
	static const struct {
		enum role from;
		enum proc_state st;
		enum role to;
		const char *text;
		size_t nfds;
		const char *fault;
	} t[] = {
		/* who and when */
		{ ROLE_SUPER, PS_STARTING, ROLE_STORE, HELLO, 0,
		    "hello: not a message of sandboxd" },
		{ ROLE_SESSION, PS_STARTING, ROLE_STORE, HELLO, 0,
		    "hello: not a message for store" },
		{ ROLE_STORE, PS_RUNNING, ROLE_SUPER, HELLO, 0,
		    "hello: not allowed now" },
		{ ROLE_INIT, PS_RUNNING, ROLE_STORE, APPEND, 0,
		    "append: not a message of init" },
		/* shape */
		{ ROLE_STORE, PS_STARTING, ROLE_SUPER, "{\"op\":\"nosuch\"}", 0,
		    "no message has this name" },
		{ ROLE_STORE, PS_STARTING, ROLE_SUPER, "{\"op\":1}", 0,
		    "no message has this name" },
		{ ROLE_STORE, PS_STARTING, ROLE_SUPER, "[]", 0,
		    "reply: not an object" },
		{ ROLE_STORE, PS_STARTING, ROLE_SUPER,
		    "{\"op\":\"hello\",\"role\":\"store\"}", 0,
		    "hello: field version: missing" },
		{ ROLE_STORE, PS_STARTING, ROLE_SUPER,
		    "{\"op\":\"hello\",\"role\":\"store\",\"version\":1}", 0,
		    "hello: field version: must be text of 1 to 32 bytes" },
		{ ROLE_STORE, PS_STARTING, ROLE_SUPER,
		    "{\"op\":\"hello\",\"role\":\"store\",\"version\":\"1\","
		    "\"x\":1}",
		    0,
		    "hello: field x: unknown; known: op, id, fds, role, "
		    "version" },
		/* ids */
		{ ROLE_STORE, PS_STARTING, ROLE_SUPER,
		    "{\"op\":\"hello\",\"id\":1,\"role\":\"a\",\"version\":"
		    "\"1\"}",
		    0, "hello: with an id" },
		{ ROLE_SESSION, PS_RUNNING, ROLE_STORE,
		    "{\"op\":\"append\",\"first\":1,\"events\":[]}", 0,
		    "append: without an id" },
		{ ROLE_SESSION, PS_RUNNING, ROLE_STORE,
		    "{\"op\":\"append\",\"id\":0,\"first\":1,\"events\":[]}", 0,
		    "append: field id: must be a whole number, at least 1" },
		/* descriptors */
		{ ROLE_STORE, PS_STARTING, ROLE_SUPER, HELLO, 1,
		    "hello: 1 descriptors, at most 0 allowed" },
		{ ROLE_INIT, PS_RUNNING, ROLE_SUPER,
		    "{\"id\":1,\"ok\":{},\"fds\":1}", 4,
		    "reply: 4 descriptors" },
		{ ROLE_INIT, PS_RUNNING, ROLE_SUPER,
		    "{\"id\":1,\"error\":{\"code\":\"x\",\"detail\":\"\"}}", 1,
		    "reply: an error with descriptors" },
		/* replies */
		{ ROLE_INIT, PS_RUNNING, ROLE_SUPER, "{\"id\":1}", 0,
		    "reply: field error: missing" },
		{ ROLE_INIT, PS_RUNNING, ROLE_SUPER, "{\"ok\":{}}", 0,
		    "reply: field id: missing" },
		{ ROLE_INIT, PS_RUNNING, ROLE_SUPER, "{\"id\":1,\"ok\":true}",
		    0, "reply: field ok: must be an object" },
		{ ROLE_INIT, PS_RUNNING, ROLE_SUPER,
		    "{\"id\":1,\"ok\":{},\"error\":{}}", 0,
		    "reply: field error: unknown; known: id, ok, fds" },
		{ ROLE_INIT, PS_RUNNING, ROLE_SUPER,
		    "{\"id\":1,\"error\":{\"code\":\"x\"}}", 0,
		    "reply: error: field detail: missing" },
	};
	size_t i;

	for (i = 0; i < countof(t); i++) {
		assert_int_equal(
		    check(t[i].from, t[i].st, t[i].to, t[i].text, t[i].nfds),
		    -1);
		assert_string_equal(e.text, t[i].fault);
	}
}

static void
too_long_is_a_breach(void **state ATTR_UNUSED)
{
	assert_int_equal(
	    check(ROLE_STORE, PS_STARTING, ROLE_SUPER, HELLO, 0), 0);
	assert_int_equal(proto_check(ROLE_STORE, PS_STARTING, ROLE_SUPER, tree,
			     512, 0, &in, &e),
	    0);
	assert_int_equal(proto_check(ROLE_STORE, PS_STARTING, ROLE_SUPER, tree,
			     513, 0, &in, &e),
	    -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
}

static void
replies_are_told_apart(void **state ATTR_UNUSED)
{
	assert_int_equal(check(ROLE_STORE, PS_RUNNING, ROLE_SESSION,
			     "{\"id\":3,\"ok\":{\"last\":9}}", 0),
	    0);
	assert_int_equal(in.kind, PROTO_OK);
	assert_int_equal(in.id, 3);
	assert_int_equal(proto_check_reply(MSG_APPEND, in.body, &e), 0);
	assert_int_equal(proto_check_reply(MSG_INIT_EXEC, in.body, &e), -1);
	assert_string_equal(
	    e.text, "reply to exec: field last: unknown; known: pid");
	assert_int_equal(proto_check_reply(MSG_APPEND, NULL, &e), -1);

	assert_int_equal(
	    check(ROLE_STORE, PS_RUNNING, ROLE_SESSION,
		"{\"id\":3,\"error\":{\"code\":\"limit\",\"detail\":\"d\"}}",
		0),
	    0);
	assert_int_equal(in.kind, PROTO_ERROR);
	assert_string_equal(json_str(in.body, "code", ""), "limit");
}

/* Every message, with every field at its least, is taken from every sender
 * that may send it and from nobody else. */
static void
every_message_as_its_table_says(void **state ATTR_UNUSED)
{
	const struct proto_msg *m;
	const struct json_field *f;
	unsigned i, from, to, st;
	bool may;
	struct buf b;
	struct jw w;
	size_t k;

	for (i = 0; i < MSG_N; i++) {
		m = &proto_table[i];
		buf_init(&b, 65536);
		jw_init(&w, &b);
		jw_object(&w);
		proto_begin(&w, (enum msg_type)i, m->request ? 5 : 0);
		for (k = 0; k < m->nfields; k++) {
			f = &m->fields[k];
			jw_key(&w, f->name);
			if (f->kind == JK_STR) {
				jw_strn(&w, "xxxxxxxx", (size_t)MIN(f->min, 8));
			} else if (f->kind == JK_INT) {
				jw_int(&w, f->min);
			} else if (f->kind == JK_BOOL) {
				jw_bool(&w, true);
			} else if (f->kind == JK_STRV) {
				jw_array(&w);
				if (f->min > 0)
					jw_str(&w, "x");
				jw_array_end(&w);
			} else if (f->kind == JK_ARRAY) {
				jw_raw(&w, "[]", 2);
			} else {
				jw_raw(&w, "{}", 2);
			}
		}
		jw_object_end(&w);
		for (from = 0; from < ROLE_N; from++) {
			for (to = 0; to < ROLE_N; to++) {
				for (st = 0; st < PS_N; st++) {
					may = (m->senders & BIT(from)) != 0 &&
					      (m->receivers & BIT(to)) != 0 &&
					      (from == ROLE_SUPER ||
						  (m->states & BIT(st)) != 0);
					assert_int_equal(
					    check((enum role)from,
						(enum proc_state)st,
						(enum role)to, b.data, 0),
					    may ? 0 : -1);
				}
			}
		}
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_stand_under_the_message_they_name),
		cmocka_unit_test(table_is_sane),
		cmocka_unit_test_teardown(good_messages_pass, done),
		cmocka_unit_test_teardown(breaches_are_seen, done),
		cmocka_unit_test_teardown(too_long_is_a_breach, done),
		cmocka_unit_test_teardown(replies_are_told_apart, done),
		cmocka_unit_test_teardown(
		    every_message_as_its_table_says, done),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("proto", tests, NULL, NULL);
}
