/*
 * gateway/route, gateway/query, gateway/body: what a request is for.
 */
#include "gateway/body.h"
#include "gateway/query.h"
#include "gateway/route.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static char arena[4096];

static const char *
found(const char *path, enum method method, struct route_match *m)
{
	enum route_found f = route_match(path, arena, m);

	if (f != ROUTE_FOUND)
		return f == ROUTE_BAD ? "bad" : "none";
	if (m->by_method[method] == NULL)
		return "method";
	return m->by_method[method]->name;
}

static void
paths_lead_to_routes(void **state ATTR_UNUSED)
{
	static const struct {
		const char *path, *name, *sandbox, *param;
	} rows[] = {
		{ "/", "root", "default", NULL },
		{ "/v1/health", "health", "default", NULL },
		{ "/i/box/v1/health", "health", "box", NULL },
		{ "/i/b%6Fx/v1/health", "health", "box", NULL },
		{ "/v1/sessions/a", "session_get", "default", "a" },
		{ "/v1/sessions/a%2Fb", "session_get", "default", "a/b" },
		{ "/i/x/v1/sessions/%C3%A9", "session_get", "x", "\xc3\xa9" },
		{ "/v1/sessions/sessions", "session_get", "default",
		    "sessions" },
		{ "/v1/health/", "none", NULL, NULL },
		{ "/v1//health", "none", NULL, NULL },
		{ "//v1/health", "none", NULL, NULL },
		{ "/V1/health", "none", NULL, NULL },
		{ "/v1/healt", "none", NULL, NULL },
		{ "/v1/healthy", "none", NULL, NULL },
		{ "/v1", "none", NULL, NULL },
		{ "/i", "none", NULL, NULL },
		{ "/i/x", "none", NULL, NULL },
		{ "/i//v1/health", "none", NULL, NULL },
		{ "/i/x/", "none", NULL, NULL },
		{ "/i/x/i/y/v1/health", "none", NULL, NULL },
		{ "/i/x/openapi.json", "none", NULL, NULL },
		{ "", "none", NULL, NULL },
		{ "*", "none", NULL, NULL },
		{ "v1/health", "none", NULL, NULL },
		{ "/v1/sessions/", "none", NULL, NULL },
		{ "/v1/sessions/%00", "bad", NULL, NULL },
		{ "/v1/sessions/a%", "bad", NULL, NULL },
		{ "/v1/sessions/%f", "bad", NULL, NULL },
		{ "/v1/sessions/%gg", "bad", NULL, NULL },
		{ "/v1/sessions/\xff", "bad", NULL, NULL },
		{ "/i/%ff/v1/health", "bad", NULL, NULL },
	};
	struct route_match m;
	size_t i;

	routes_open();
	for (i = 0; i < countof(rows); i++) {
		assert_string_equal(
		    found(rows[i].path, M_GET, &m), rows[i].name);
		if (rows[i].sandbox == NULL)
			continue;
		assert_string_equal(m.sandbox, rows[i].sandbox);
		assert_int_equal(m.nparams, rows[i].param != NULL);
		if (rows[i].param != NULL)
			assert_string_equal(m.params[0], rows[i].param);
	}
	routes_close();
}

static void
what_is_left_stays_as_it_came(void **state ATTR_UNUSED)
{
	struct route_match m;

	routes_open();
	assert_string_equal(
	    found("/i/x/port/80/a%2Fb//c%", M_ANY, &m), "port_proxy");
	assert_string_equal(m.sandbox, "x");
	assert_int_equal(m.nparams, 2);
	assert_string_equal(m.params[0], "80");
	assert_string_equal(m.params[1], "a%2Fb//c%");
	assert_string_equal(found("/i/x/port/80/", M_ANY, &m), "port_proxy");
	assert_string_equal(m.params[1], "");
	routes_close();
}

static void
methods_are_listed(void **state ATTR_UNUSED)
{
	struct route_match m;
	struct buf b;

	routes_open();
	buf_init(&b, 256);
	assert_int_equal(route_match("/v1/sessions", arena, &m), ROUTE_FOUND);
	route_allow(&m, &b);
	assert_string_equal(b.data, "GET,HEAD,POST");
	buf_free(&b);
	routes_close();
}

/* Two routes of one path and method would hide each other; a parameter that is
 * not the last would be lost behind a rest. */
static void
the_table_is_sound(void **state ATTR_UNUSED)
{
	size_t i, k;

	routes_open();
	for (i = 0; i < ROUTE_N; i++) {
		const struct route *a = &route_table[i];
		const char *star = strstr(a->path, "{*");

		assert_int_equal(a->id, i);
		assert_int_equal(a->path[0], '/');
		assert_true(a->nquery <= 24);
		assert_true(a->nfields <= 64);
		if (star != NULL)
			assert_null(strchr(star, '/'));
		if (a->body == BODY_NONE)
			assert_int_equal(a->nfields, 0);
		for (k = 0; k < i; k++) {
			const struct route *b = &route_table[k];

			assert_false(strcmp(a->path, b->path) == 0 &&
				     a->method == b->method &&
				     (a->scope == SCOPE_INST) ==
					 (b->scope == SCOPE_INST));
		}
	}
	routes_close();
}

static void
queries_are_taken_apart(void **state ATTR_UNUSED)
{
	const char *at = "&a=1&&b&=c&d=e=f&";
	static const char *const want[][2] = { { "a", "1" }, { "b", "" },
		{ "", "c" }, { "d", "e=f" } };
	struct query_pair p;
	size_t i;

	for (i = 0; i < countof(want); i++) {
		assert_true(query_next(&at, &p));
		assert_int_equal(p.name_len, strlen(want[i][0]));
		assert_memory_equal(p.name, want[i][0], p.name_len);
		assert_int_equal(p.value_len, strlen(want[i][1]));
		assert_memory_equal(p.value, want[i][1], p.value_len);
	}
	assert_false(query_next(&at, &p));
	at = "";
	assert_false(query_next(&at, &p));
}

static void
values_are_decoded(void **state ATTR_UNUSED)
{
	static const char *const rows[][2] = {
		{ "", "" },
		{ "abc", "abc" },
		{ "a+b%20c", "a b c" },
		{ "%2B%26", "+&" },
		{ "%", "%" },
		{ "%2", "%2" },
		{ "%zz%4", "%zz%4" },
		{ "100%", "100%" },
		{ "%c3%A9", "\xc3\xa9" },
		{ "%ff", "\xef\xbf\xbd" },
		{ "a%ffb%c3", "a\xef\xbf\xbd"
			      "b\xef\xbf\xbd" },
		{ "\xff", "\xef\xbf\xbd" },
	};
	struct buf b;
	size_t i;

	for (i = 0; i < countof(rows); i++) {
		buf_init(&b, 64);
		assert_int_equal(
		    query_decode(&b, rows[i][0], strlen(rows[i][0])), 0);
		assert_string_equal(b.len > 0 ? b.data : "", rows[i][1]);
		buf_free(&b);
	}
	buf_init(&b, 64);
	assert_int_equal(query_decode(&b, "a%00b", 5), -1);
	buf_free(&b);
	buf_init(&b, 4);
	assert_int_equal(query_decode(&b, "abcde", 5), -1);
	buf_free(&b);
	assert_true(query_is("access%5ftoken", 14, "access_token"));
	assert_false(query_is("access_toke", 11, "access_token"));
	assert_false(query_is("access_token2", 13, "access_token"));
	assert_false(query_is("", 0, "a"));
	assert_true(query_is("", 0, ""));
}

static void
types_of_bodies(void **state ATTR_UNUSED)
{
	static const char *const json[] = { "application/json",
		"APPLICATION/Json;charset=utf-8", "application/json ; x",
		"application/a+json", "application/vnd.x.y+JSON; v=1" };
	static const char *const other[] = { "", "json", "text/json",
		"application/jsonl", "application/json-x", "application/+json",
		"application/a+jsonx", "a/application/json",
		"application/x; +json", " application/json" };
	size_t i;

	for (i = 0; i < countof(json); i++)
		assert_true(body_type_is_json(json[i]));
	for (i = 0; i < countof(other); i++)
		assert_false(body_type_is_json(other[i]));
	assert_false(body_type_is_json(NULL));
}

static int
body(const struct json_field *f, size_t n, const char *text)
{
	struct route rt = { .fields = f, .nfields = n };
	struct json *j;
	struct err e;
	int rc;

	assert_int_equal(
	    json_parse(text, strlen(text), JSON_DEPTH_AGENT, &j, &e), 0);
	rc = body_check(&rt, j, &e);
	json_free(j);
	return rc;
}

static void
shapes_of_bodies(void **state ATTR_UNUSED)
{
	static const struct json_field f[] = {
		{ "word", JK_STR, true, 1, 5 },
		{ "n", JK_INT, false, 0, 10 },
		{ "list", JK_STRV, false, 0, 3 },
		{ "map", JK_STRMAP, false, 0, 3 },
		{ "obj", JK_OBJECT, false, 0, 0 },
	};
	static const char *const good[] = { "{\"word\":\"a\"}",
		"{\"word\":\"a\",\"other\":[null]}",
		"{\"n\":null,\"word\":\"a\",\"obj\":null}",
		"{\"list\":[\"x\"],\"map\":{\"a\":\"b\"},\"word\":\"abcde\"}",
		"{\"x\":1,\"n\":10,\"y\":2,\"word\":\"a\",\"z\":3}" };
	static const char *const wrong[] = { "{}", "[]", "null", "\"word\"",
		"{\"word\":null}", "{\"word\":\"\"}", "{\"word\":\"abcdef\"}",
		"{\"word\":\"a\",\"n\":11}", "{\"word\":\"a\",\"n\":\"1\"}",
		"{\"word\":\"a\",\"list\":null}",
		"{\"word\":\"a\",\"map\":null}",
		"{\"word\":\"a\",\"list\":[1]}",
		"{\"word\":\"a\",\"map\":{\"a\":1}}", "{\"Word\":\"a\"}" };
	size_t i;

	for (i = 0; i < countof(good); i++)
		assert_int_equal(body(f, countof(f), good[i]), 0);
	for (i = 0; i < countof(wrong); i++)
		assert_int_equal(body(f, countof(f), wrong[i]), -1);
	assert_int_equal(body(NULL, 0, "{\"anything\":1}"), 0);
	assert_int_equal(body(NULL, 0, "[]"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_lead_to_routes),
		cmocka_unit_test(what_is_left_stays_as_it_came),
		cmocka_unit_test(methods_are_listed),
		cmocka_unit_test(the_table_is_sound),
		cmocka_unit_test(queries_are_taken_apart),
		cmocka_unit_test(values_are_decoded),
		cmocka_unit_test(types_of_bodies),
		cmocka_unit_test(shapes_of_bodies),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
