/*
 * What is left to a store that was started as root, seen from outside.
 */
#include "test_store_fixture.h"

#include <sys/stat.h>

#define UID 524289

static void
status_is(pid_t pid, const char *key, const char *want)
{
	char path[64], line[256], *v;
	bool found = false;
	FILE *fp;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fp = fopen(path, "re");
	assert_non_null(fp);
	while (!found && fgets(line, sizeof(line), fp) != NULL) {
		if (!str_starts(line, key) || line[strlen(key)] != ':')
			continue;
		found = true;
		v = line + strlen(key) + 1;
		v += strspn(v, " \t");
		v[strcspn(v, "\n")] = '\0';
		while (v[0] != '\0' && v[strlen(v) - 1] == ' ')
			v[strlen(v) - 1] = '\0';
		assert_string_equal(v, want);
	}
	(void)fclose(fp);
	assert_true(found);
}

/* Target of a link of /proc/PID. */
static void
proc_link(pid_t pid, const char *name, char *dst, size_t size)
{
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	n = readlink(path, dst, size - 1);
	assert_true(n > 0);
	dst[n] = '\0';
}

static void
root_gives_up_everything(void **state ATTR_UNUSED)
{
	static const char *const caps[] = { "CapInh", "CapPrm", "CapEff",
		"CapBnd", "CapAmb" };
	char ours[200], theirs[200], ids[64];
	struct stat sb;
	int64_t next;
	struct fx f;
	size_t i;
	int w;

	if (geteuid() != 0)
		skip();
	fx_init(&f);
	f.uid = UID;
	assert_int_equal(chown(f.dir, UID, UID), 0);
	fx_start(&f);
	(void)snprintf(ids, sizeof(ids), "%d\t%d\t%d\t%d", UID, UID, UID, UID);
	status_is(f.pid, "Uid", ids);
	status_is(f.pid, "Gid", ids);
	status_is(f.pid, "Groups", "");
	status_is(f.pid, "NoNewPrivs", "1");
	for (i = 0; i < countof(caps); i++)
		status_is(f.pid, caps[i], "0000000000000000");
	for (i = 0; i < 2; i++) {
		proc_link(f.pid, i == 0 ? "ns/net" : "ns/ipc", theirs,
		    sizeof(theirs));
		proc_link(
		    getpid(), i == 0 ? "ns/net" : "ns/ipc", ours, sizeof(ours));
		assert_string_not_equal(ours, theirs);
	}
	proc_link(f.pid, "root", theirs, sizeof(theirs));
	assert_string_equal(theirs, f.dir);
	proc_link(f.pid, "cwd", theirs, sizeof(theirs));
	assert_string_equal(theirs, f.dir);
	/* And it works, from a start with nothing to one with all. */
	fx_session(&f, "s1");
	w = fx_attach(&f, "s1", &next);
	fx_append(w, 1, 1, 10);
	(void)close(w);
	fx_kill(&f);
	(void)snprintf(ours, sizeof(ours), "%s/lock.mdb", f.dir);
	assert_int_equal(stat(ours, &sb), 0);
	assert_int_equal(sb.st_uid, UID);
	assert_int_equal(sb.st_mode & 07777, 0660);
	(void)snprintf(ours, sizeof(ours), "%s/data.mdb", f.dir);
	assert_int_equal(stat(ours, &sb), 0);
	assert_int_equal(sb.st_mode & 0007, 0);
	fx_start(&f);
	w = fx_attach(&f, "s1", &next);
	assert_int_equal(next, 11);
	(void)close(w);
	assert_int_equal(fx_stop(&f), EXIT_OK);
	fx_remove(&f);
}

/* The supervisor is killed: nothing is left over, and what came in counts. */
static void
ends_with_its_parent(void **state ATTR_UNUSED)
{
	int64_t next;
	struct buf b;
	struct fx f;
	int w;

	fx_init(&f);
	fx_start(&f);
	fx_session(&f, "s1");
	w = fx_attach(&f, "s1", &next);
	buf_init(&b, FRAME_MAX);
	fx_deltas(&b, 1, 1, 10);
	fx_send(w, b.data, NULL, 0);
	buf_free(&b);
	json_free(fx_recv(w));
	assert_int_equal(fx_stop(&f), EXIT_OK);
	fx_start(&f);
	assert_int_equal(kill(f.pid, SIGINT), 0);
	assert_int_equal(kill(f.pid, SIGHUP), 0);
	(void)close(w);
	w = fx_attach(&f, "s1", &next);
	assert_int_equal(next, 11);
	assert_int_equal(kill(f.pid, SIGTERM), 0);
	assert_int_equal(fx_wait(&f), EXIT_OK);
	(void)close(w);
	fx_remove(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_gives_up_everything),
		cmocka_unit_test(ends_with_its_parent),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
