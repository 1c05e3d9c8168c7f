/*
 * Room: the map grows under the events, and a full disk refuses new ones,
 * loses none, and is got over when there is space again. The full disk is a
 * small tmpfs in a mount namespace of this process; that needs root.
 */
#include "test_store_fixture.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int64_t
figure(struct fx *f, const char *name)
{
	struct json *j = fx_call(f, "stats", "");
	int64_t v = json_int(json_get(j, "ok"), name, -1);

	json_free(j);
	return v;
}

static void
the_map_grows(void **state ATTR_UNUSED)
{
	struct client c;
	int64_t next, i;
	struct fx f;
	int w;

	fx_init(&f);
	f.map_bytes = 64 << 10;
	fx_start(&f);
	assert_true(figure(&f, "map_bytes") < 1 << 20);
	fx_session(&f, "s1");
	w = fx_attach(&f, "s1", &next);
	for (i = 0; i < 100; i++)
		fx_append(w, i + 1, i * 300 + 1, 300);
	assert_true(figure(&f, "map_bytes") > 4 << 20);
	assert_int_equal(figure(&f, "events"), 30000);
	assert_int_equal(figure(&f, "appended"), 30000);
	/* A restart with a map smaller than the file takes what is needed. */
	(void)close(w);
	fx_kill(&f);
	fx_start(&f);
	w = fx_attach(&f, "s1", &next);
	assert_int_equal(next, 30001);
	fx_append(w, 1, 30001, 300);
	fx_serve(&f, &c, ",\"kind\":\"events\",\"session\":\"s1\"");
	client_items(&c, 1, 30300);
	client_final(&f, &c, 30300, 30300, false);
	(void)close(w);
	fx_remove(&f);
}

/* Fill what is left of the file system, but for about KEEP bytes. */
static void
fill_disk(const struct fx *f, const char *name, size_t keep)
{
	static const char page[4096];
	char path[300];
	struct stat before;
	off_t size;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, page, sizeof(page)) == (ssize_t)sizeof(page))
		;
	assert_int_equal(fstat(fd, &before), 0);
	size = before.st_size > (off_t)keep ? before.st_size - (off_t)keep : 0;
	assert_int_equal(ftruncate(fd, size), 0);
	(void)close(fd);
}

static void
empty_disk(const struct fx *f, const char *name)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	assert_int_equal(unlink(path), 0);
}

/* Append until it is refused; the last sequence that was stored. */
static int64_t
append_until_full(int w, int64_t last)
{
	const struct json *ok;
	struct json *j;
	struct buf b;
	int i;

	buf_init(&b, FRAME_MAX);
	for (i = 0; i < 1000; i++) {
		buf_clear(&b);
		fx_deltas(&b, i + 1, last + 1, 100);
		j = fx_append_text(w, b.data);
		assert_non_null(j);
		ok = json_get(j, "ok");
		if (ok == NULL) {
			fx_error(j, "disk_full");
			break;
		}
		last = json_int(ok, "last", -1);
		json_free(j);
	}
	assert_true(i < 1000);
	buf_free(&b);
	return last;
}

static void
history_is(struct fx *f, int64_t last)
{
	struct client c;

	fx_serve(f, &c, ",\"kind\":\"events\",\"session\":\"s1\"");
	client_items(&c, 1, last);
	client_final(f, &c, last, last, false);
}

static void
a_full_disk_is_got_over(void **state ATTR_UNUSED)
{
	const struct json *error;
	struct json *j;
	int64_t next, last;
	struct buf b;
	struct fx f;
	int w, i, refused = 0;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) == -1)
		skip();
	assert_int_equal(
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	fx_init(&f);
	f.durability = DURABILITY_FULL;
	assert_int_equal(
	    mount("none", f.dir, "tmpfs", MS_NOSUID | MS_NODEV, "size=8m"), 0);
	fx_start(&f);
	fx_session(&f, "s1");
	w = fx_attach(&f, "s1", &next);
	fx_append(w, 1, 1, 100);
	fill_disk(&f, "ballast", 1 << 20);
	last = append_until_full(w, 100);
	/* Nothing was lost, and reading works. */
	history_is(&f, last);
	/* What was under way behind the refused one is refused, no breach. */
	buf_init(&b, FRAME_MAX);
	for (i = 0; i < 3; i++) {
		buf_clear(&b);
		fx_deltas(&b, 900 + i, last + 1 + i * 100, 100);
		fx_send(w, b.data, NULL, 0);
	}
	for (i = 0; i < 3; i++) {
		j = fx_recv(w);
		assert_non_null(j);
		error = json_get(j, "error");
		refused += error != NULL;
		json_free(j);
	}
	assert_int_equal(refused, 3);
	/* Killed and started again on the full disk it still knows all. */
	(void)close(w);
	fx_kill(&f);
	fx_start(&f);
	history_is(&f, last);
	w = fx_attach(&f, "s1", &next);
	assert_int_equal(next, last + 1);
	(void)append_until_full(w, last);
	/* Space returns, the same words are accepted. */
	empty_disk(&f, "ballast");
	fx_append(w, 2000, last + 1, 100);
	fx_put(&f, "sandboxes", "b", "{\"id\":\"b\"}");
	history_is(&f, last + 100);
	(void)close(w);
	assert_int_equal(fx_stop(&f), EXIT_OK);
	buf_free(&b);
	assert_int_equal(umount2(f.dir, MNT_DETACH), 0);
	fx_remove(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_map_grows),
		cmocka_unit_test(a_full_disk_is_got_over),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
