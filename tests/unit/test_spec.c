/*
 * What a sandbox may be asked to be: every bound and refusal of the arguments,
 * and that a record says again what was asked.
 */
#include "test_supervisor.h"

#include "supervisor/spec.h"

#include <string.h>
#include <sys/stat.h>

static struct super S;

static int
try(const char *json, struct sandbox_spec *sp, struct err *e)
{
	struct json *j;
	int rc;

	if (json_parse(json, strlen(json), JSON_DEPTH_CONTROL, &j, e) == -1)
		fail_msg("%s: %s", json, e->text);
	rc = spec_parse(&S, j, "box", false, sp, e);
	json_free(j);
	return rc;
}

static void
test_defaults(void **state)
{
	struct sandbox_spec sp;
	struct err e;

	(void)state;
	S.conf.default_pids = 99;
	assert_int_equal(try("{}", &sp, &e), 0);
	assert_string_equal(sp.image, "host");
	assert_string_equal(sp.network, "none");
	assert_string_equal(sp.user, "root");
	assert_string_equal(sp.hostname, "box");
	assert_string_equal(sp.home, "/root");
	assert_int_equal(sp.limits.pids, 99);
	assert_int_equal(sp.uid, 0);
	spec_free(&sp);
}

static void
test_limits(void **state)
{
	static const struct {
		const char *json;
		int64_t memory, cpu, pids, time_ms;
	} good[] = {
		{ "{\"limits\":{\"memory\":\"512M\"}}", 512 << 20, 0, 99, 0 },
		{ "{\"limits\":{\"memory\":8388608}}", 8 << 20, 0, 99, 0 },
		{ "{\"limits\":{\"cpu\":0.5,\"pids\":16}}", 0, 500, 16, 0 },
		{ "{\"limits\":{\"cpu\":\"1.25\"}}", 0, 1250, 99, 0 },
		{ "{\"limits\":{\"cpu\":2}}", 0, 2000, 99, 0 },
		{ "{\"limits\":{\"time\":3}}", 0, 0, 99, 3000 },
		{ "{\"limits\":{\"time\":\"10m\"}}", 0, 0, 99, 600000 },
		{ "{\"limits\":{\"pids\":0}}", 0, 0, 0, 0 },
	};
	struct sandbox_spec sp;
	struct err e;

	(void)state;
	for (size_t i = 0; i < countof(good); i++) {
		if (try(good[i].json, &sp, &e) == -1)
			fail_msg("%s: %s", good[i].json, e.text);
		assert_true(sp.limits.memory_bytes == good[i].memory);
		assert_true(sp.limits.cpu_millis == good[i].cpu);
		assert_true(sp.limits.pids == good[i].pids);
		assert_true(sp.time_ms == good[i].time_ms);
		spec_free(&sp);
	}
}

static void
test_refused(void **state)
{
	static const struct {
		const char *json;
		enum err_code code;
	} bad[] = {
		{ "{\"limits\":{\"memory\":\"lots\"}}", ERR_BAD_REQUEST },
		{ "{\"limits\":{\"memory\":1}}", ERR_BAD_REQUEST },
		{ "{\"limits\":{\"memory\":-1}}", ERR_BAD_REQUEST },
		{ "{\"limits\":{\"memory\":99999999999999999999}}",
		    ERR_BAD_REQUEST },
		{ "{\"limits\":{\"cpu\":1.2345}}", ERR_BAD_REQUEST },
		{ "{\"limits\":{\"cpu\":1e3}}", ERR_BAD_REQUEST },
		{ "{\"limits\":{\"cpu\":true}}", ERR_BAD_REQUEST },
		{ "{\"limits\":{\"pids\":1}}", ERR_BAD_REQUEST },
		{ "{\"limits\":{\"disk\":1}}", ERR_BAD_REQUEST },
		{ "{\"network\":\"bridge\"}", ERR_BAD_REQUEST },
		{ "{\"isolation\":\"some\"}", ERR_BAD_REQUEST },
		{ "{\"image\":\"debian\"}", ERR_IMAGE_NOT_FOUND },
		{ "{\"image\":\"/nonexistent\"}", ERR_IMAGE_NOT_FOUND },
		{ "{\"image\":\"/etc/passwd\"}", ERR_IMAGE_NOT_FOUND },
		{ "{\"image\":\"/\"}", ERR_IMAGE_NOT_FOUND },
		{ "{\"image\":\"/usr/..\"}", ERR_IMAGE_NOT_FOUND },
		{ "{\"user\":\"no-such-user-here\"}", ERR_USER_NOT_FOUND },
		{ "{\"user\":\"65535\"}", ERR_USER_NOT_FOUND },
		{ "{\"user\":\"1:x\"}", ERR_BAD_REQUEST },
		{ "{\"image\":\"/usr\",\"user\":\"daemon\"}",
		    ERR_USER_NOT_FOUND },
		{ "{\"env\":{\"A-B\":\"1\"}}", ERR_BAD_REQUEST },
		{ "{\"env\":{\"1A\":\"1\"}}", ERR_BAD_REQUEST },
		{ "{\"labels\":{\"a=b\":\"1\"}}", ERR_BAD_REQUEST },
		{ "{\"hostname\":\"-x\"}", ERR_BAD_REQUEST },
		{ "{\"directory\":\"work\"}", ERR_BAD_REQUEST },
		{ "{\"directory\":\"/a/../b\"}", ERR_BAD_REQUEST },
		{ "{\"mounts\":[{}]}", ERR_BAD_REQUEST },
		{ "{\"mounts\":[{\"source\":\"usr\"}]}", ERR_MOUNT_REFUSED },
		{ "{\"mounts\":[{\"source\":\"/nonexistent\"}]}",
		    ERR_MOUNT_REFUSED },
		{ "{\"mounts\":[{\"source\":\"/usr\",\"mode\":\"x\"}]}",
		    ERR_BAD_REQUEST },
		{ "{\"mounts\":[{\"source\":\"/usr\",\"target\":\"/\"}]}",
		    ERR_MOUNT_REFUSED },
		{ "{\"mounts\":[{\"source\":\"/usr\",\"target\":\"/proc/x\"}]}",
		    ERR_MOUNT_REFUSED },
		{ "{\"mounts\":[{\"source\":\"/usr\",\"target\":\"/sys\"}]}",
		    ERR_MOUNT_REFUSED },
		{ "{\"mounts\":[{\"source\":\"/usr\",\"target\":\"/a/../b\"}]}",
		    ERR_MOUNT_REFUSED },
		{ "{\"mounts\":[{\"source\":\"/usr\",\"target\":\"/a//b\"}]}",
		    ERR_MOUNT_REFUSED },
		{ "{\"mounts\":[{\"source\":\"/usr\",\"target\":\"/a\"},"
		  "{\"source\":\"/etc\",\"target\":\"/a/\"}]}",
		    ERR_MOUNT_REFUSED },
	};
	struct sandbox_spec sp;
	struct err e;

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		if (try(bad[i].json, &sp, &e) == 0)
			fail_msg("accepted: %s", bad[i].json);
		if (e.code != bad[i].code)
			fail_msg("%s: %s: %s", bad[i].json, err_wire(e.code),
			    e.text);
		/* Nothing is left behind. */
		assert_null(sp.image);
		assert_null(sp.mounts);
	}
}

/* As its record is read after a restart. */
static void
test_record_is_read_back(void **state)
{
	static const char json[] =
	    "{\"image\":\"host\",\"network\":\"host\",\"user\":\"1000:50\","
	    "\"hostname\":\"h\",\"directory\":\"/w\",\"isolation\":\"full\","
	    "\"env\":{\"A\":\"b=c\",\"E\":\"\"},\"labels\":{\"l\":\"x y\"},"
	    "\"limits\":{\"memory\":\"1G\",\"cpu\":1.5,\"time\":1.5},"
	    "\"mounts\":[{\"source\":\"/usr\",\"target\":\"/"
	    "m\",\"mode\":\"cow\"}]}";
	struct sandbox_spec a, b;
	struct json *j;
	struct buf text;
	struct jw w;
	struct err e;

	(void)state;
	/* A fraction of a second needs its unit. */
	assert_int_equal(try(json, &a, &e), -1);
	assert_int_equal(try("{\"limits\":{\"time\":\"1500ms\"}}", &a, &e), 0);
	spec_free(&a);
	{
		char good[sizeof(json)];
		char *at;

		memcpy(good, json, sizeof(json));
		at = strstr(good, "\"time\":1.5");
		assert_non_null(at);
		memcpy(at, "\"time\":155", 10);
		if (try(good, &a, &e) == -1)
			fail_msg("%s", e.text);
	}
	buf_init(&text, 1 << 20);
	jw_init(&w, &text);
	jw_object(&w);
	spec_write(&a, &w);
	jw_object_end(&w);
	assert_int_equal(json_parse(text.data, text.len, 8, &j, &e), 0);
	if (spec_parse(&S, j, "box", true, &b, &e) == -1)
		fail_msg("%s", e.text);
	assert_string_equal(b.network, "host");
	assert_string_equal(b.isolation, "full");
	assert_int_equal(b.uid, 1000);
	assert_int_equal(b.gid, 50);
	assert_string_equal(strmap_get(b.env, "A"), "b=c");
	assert_string_equal(strmap_get(b.env, "E"), "");
	assert_string_equal(strmap_get(b.labels, "l"), "x y");
	assert_true(b.limits.cpu_millis == 1500);
	assert_true(b.time_ms == 155000);
	assert_int_equal(b.nmounts, 1);
	assert_string_equal(b.mounts[0].target, "/m");
	assert_int_equal(b.mounts[0].mode, MOUNT_COW);
	json_free(j);
	buf_free(&text);
	spec_free(&a);
	spec_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_record_is_read_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
