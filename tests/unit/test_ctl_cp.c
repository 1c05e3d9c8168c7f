/*
 * `sandboxctl cp` out of a sandbox whose init lies: the whole command against a
 * server that answers with streams of its own making. Whatever they say,
 * nothing comes to be outside of the destination, under a name that was not
 * asked for, as a device, with set-id bits, or by a link to what is outside;
 * and nothing outside is written.
 */
#include "test_ctl.h"

#include "ctl/commands.h"
#include "ctl/opt.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 512

/* TMP/s the socket, TMP/in the destination, TMP/out what must stay. */
static char tmp[64];

/* --- streams ------------------------------------------------------------- */

struct head {
	const char *name, *link, *size; /* SIZE: 12 bytes, as they stand */
	unsigned mode, uid;
};

static void
head_add(struct buf *b, char type, const struct head *t, size_t n)
{
	char h[BLOCK] = { 0 };
	unsigned sum = 0;

	(void)snprintf(h, 100, "%s", t->name);
	(void)snprintf(h + 100, 8, "%07o", t->mode);
	(void)snprintf(h + 108, 8, "%07o", t->uid);
	(void)snprintf(h + 116, 8, "%07o", t->uid);
	(void)snprintf(h + 124, 12, "%011o", (unsigned)n % (1u << 30));
	if (t->size != NULL)
		memcpy(h + 124, t->size, 12);
	(void)snprintf(h + 136, 12, "%011o", 1000000000u);
	memset(h + 148, ' ', 8);
	h[156] = type;
	if (t->link != NULL)
		(void)snprintf(h + 157, 100, "%s", t->link);
	memcpy(h + 257, "ustar\00000", 8);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	(void)snprintf(h + 148, 8, "%06o", sum);
	(void)buf_add(b, h, sizeof(h));
}

static void
body_add(struct buf *b, const char *data, size_t n)
{
	(void)buf_add(b, data, n);
	for (; n % BLOCK != 0; n++)
		(void)buf_addc(b, '\0');
}

static void
file(struct buf *b, const char *name, const char *data)
{
	head_add(
	    b, '0', &(struct head){ .name = name, .mode = 0644 }, strlen(data));
	body_add(b, data, strlen(data));
}

static void
node(struct buf *b, char type, const char *name, const char *link)
{
	head_add(b, type,
	    &(struct head){ .name = name, .link = link, .mode = 0755 }, 0);
}

/* A header of pax before the next entry: "KEY=VALUE". */
static void
pax(struct buf *b, const char *key, const char *value)
{
	struct buf full;
	size_t n = strlen(key) + strlen(value) + 3; /* space, =, newline */
	size_t digits = n + 1 < 10 ? 1 : n + 2 < 100 ? 2 : n + 3 < 1000 ? 3 : 4;

	buf_init(&full, 6000);
	(void)buf_addf(&full, "%zu %s=%s\n", n + digits, key, value);
	head_add(
	    b, 'x', &(struct head){ .name = "pax", .mode = 0644 }, full.len);
	body_add(b, full.data, full.len);
	buf_free(&full);
}

/* GNU's long name (L) or long link (K) before the next entry. */
static void
gnu(struct buf *b, char type, const char *text)
{
	head_add(b, type, &(struct head){ .name = "././@LongLink" },
	    strlen(text) + 1);
	body_add(b, text, strlen(text) + 1);
}

/* --- the liar ------------------------------------------------------------ */

static void ATTR_NORETURN
serve(int listen_fd, const struct buf *stream, const char *answer)
{
	int fds[FDIO_MAX_FDS], fd = accept(listen_fd, NULL, NULL);
	char line[8192];
	size_t nfds;

	(void)signal(SIGPIPE, SIG_IGN);
	if (fd == -1 || fd_recv(fd, line, sizeof(line), fds, &nfds) <= 0 ||
	    nfds != 1)
		_exit(1);
	(void)fd_write_all(fds[0], stream->data, stream->len); /* or not */
	fd_close_all(fds, nfds);
	(void)fd_write_all(fd, answer, strlen(answer));
	(void)close(fd);
	_exit(0);
}

static const char good[] = "{\"id\":1,\"ok\":{\"entries\":1,\"bytes\":1,"
			   "\"skipped\":0}}\n";

/* sandboxctl cp SOURCE DESTINATION; its exit code. */
static int
copy(const struct buf *stream, const char *answer, const char *source,
    const char *destination)
{
	char *argv[] = { (char *)(uintptr_t)source,
		(char *)(uintptr_t)destination, NULL };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct ctl ctl = { .json = false };
	int listen_fd, err_fd, null_fd, code, status;
	struct args a;
	struct err e;
	pid_t pid;

	(void)snprintf(ctl.socket, sizeof(ctl.socket), "%s/s", tmp);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/s", tmp);
	(void)unlink(sa.sun_path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	    bind(listen_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(listen_fd, 1), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0)
		serve(listen_fd, stream, answer);
	(void)close(listen_fd);
	err_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	(void)dup2(null_fd, STDERR_FILENO);
	assert_int_equal(args_parse(&a, &cmd_cp, 2, argv, &e), 0);
	code = cmd_cp.run(&ctl, &a);
	args_free(&a);
	(void)dup2(err_fd, STDERR_FILENO);
	(void)close(err_fd);
	(void)close(null_fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return code;
}

/* --- what has come of it ------------------------------------------------- */

static const char *
path_of(const char *name)
{
	static char paths[4][256];
	static unsigned n;
	char *p = paths[n++ % 4];

	(void)snprintf(p, sizeof(paths[0]), "%s/%s", tmp, name);
	return p;
}

static const char *asked; /* the only name that may be in TMP/in */
static struct stat out_was;

static int
look(const char *path, const struct stat *st, int type, struct FTW *f)
{
	char names[4096];
	ssize_t n;

	if (type == FTW_D && f->level == 0)
		return 0;
	if (f->level == 1 && asked != NULL &&
	    strcmp(path + f->base, asked) != 0)
		fail_msg("%s was not asked for", path);
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) &&
	    !S_ISLNK(st->st_mode))
		fail_msg("%s is a device or the like", path);
	if ((st->st_mode & (S_ISUID | S_ISGID)) != 0 && !S_ISLNK(st->st_mode))
		fail_msg("%s has set-id bits", path);
	if (st->st_size > (1 << 20) || st->st_blocks > 2048)
		fail_msg("%s is large", path);
	n = llistxattr(path, names, sizeof(names));
	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1)
		if (strncmp(p, "user.", 5) != 0 &&
		    strcmp(p, "security.selinux") != 0)
			fail_msg("%s has %s", path, p);
	return 0;
}

static int top_entries;

static int
count(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)path;
	(void)st;
	(void)type;
	top_entries += f->level > 0;
	return 0;
}

static void
all_is_well(const char *what)
{
	struct stat st;

	top_entries = 0;
	(void)nftw(path_of("out"), count, 8, FTW_PHYS);
	if (top_entries != 1)
		fail_msg("%s: something came to be outside", what);
	assert_int_equal(lstat(path_of("out/victim"), &st), 0);
	if (st.st_nlink != 1 || st.st_mode != out_was.st_mode ||
	    st.st_uid != out_was.st_uid || st.st_ino != out_was.st_ino ||
	    strcmp(get_file(tmp, "out/victim"), "victim") != 0)
		fail_msg("%s: the file outside was touched", what);
	assert_int_equal(lstat(path_of("out"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	if (lstat(path_of("evil"), &st) == 0 || lstat("/evil-cp", &st) == 0)
		fail_msg("%s: a file above", what);
	(void)nftw(path_of("in"), look, 8, FTW_PHYS);
}

static void
anew(void)
{
	remove_tmp(path_of("in"));
	remove_tmp(path_of("out"));
	put_dir(tmp, "in");
	put_dir(tmp, "out");
	put_file(tmp, "out/victim", "victim");
	assert_int_equal(chmod(path_of("out"), 0750), 0);
	assert_int_equal(lstat(path_of("out/victim"), &out_was), 0);
}

static int
setup(void **state)
{
	(void)state;
	make_tmp(tmp);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	remove_tmp(tmp);
	return 0;
}

/* --- the lies ------------------------------------------------------------ */

struct lie {
	const char *what;
	void (*tell)(struct buf *b);
	bool refused; /* else it comes to something harmless */
};

static void
absolute(struct buf *b)
{
	file(b, "/evil-cp", "e");
}

static void
absolute_there(struct buf *b)
{
	file(b, path_of("out/evil"), "e");
}

static void
upwards(struct buf *b)
{
	file(b, "../out/evil", "e");
}

static void
upwards_within(struct buf *b)
{
	file(b, "t/../../out/evil", "e");
}

static void
upwards_pax(struct buf *b)
{
	pax(b, "path", "t/../../out/evil");
	file(b, "t/fine", "e");
}

static void
upwards_gnu(struct buf *b)
{
	gnu(b, 'L', "t/../../out/evil");
	file(b, "t/fine", "e");
}

static void
another_name(struct buf *b)
{
	file(b, "u", "e");
}

static void
through_link(struct buf *b)
{
	node(b, '5', "t", NULL);
	node(b, '2', "t/l", "../../out");
	file(b, "t/l/evil", "e");
}

static void
through_link_absolute(struct buf *b)
{
	node(b, '5', "t", NULL);
	node(b, '2', "t/l", path_of("out"));
	file(b, "t/l/victim", "e");
}

static void
through_top(struct buf *b)
{
	node(b, '2', "t", "../out");
	file(b, "t/victim", "e");
}

static void
through_two(struct buf *b)
{
	node(b, '5', "t", NULL);
	node(b, '2', "t/a", "..");
	node(b, '2', "t/b", "a/../out");
	file(b, "t/b/evil", "e");
}

static void
directory_through(struct buf *b)
{
	node(b, '2', "t", "../out");
	node(b, '5', "t/evil", NULL);
}

/* The mode of what is outside, by a directory that is there as a link. */
static void
mode_through(struct buf *b)
{
	node(b, '2', "t", "../out");
	head_add(b, '5', &(struct head){ .name = "t", .mode = 0777 }, 0);
}

static void
link_through(struct buf *b)
{
	node(b, '2', "t", "../out");
	node(b, '2', "t/evil", "x");
}

static void
link_pax(struct buf *b)
{
	pax(b, "linkpath", "../out");
	node(b, '2', "t", "harmless");
	file(b, "t/evil", "e");
}

/* The directory that is kept open is not the one that the name means now. */
static void
swapped(struct buf *b)
{
	file(b, "t/d/one", "1");
	node(b, '2', "t/d", "../../out");
	file(b, "t/d/evil", "e");
}

static void
hard_upwards(struct buf *b)
{
	node(b, '1', "t", "../out/victim");
}

static void
hard_absolute(struct buf *b)
{
	node(b, '1', "t", path_of("out/victim"));
}

static void
hard_through(struct buf *b)
{
	node(b, '5', "t", NULL);
	node(b, '2', "t/l", "../../out");
	node(b, '1', "t/h", "t/l/victim");
}

static void
hard_gnu(struct buf *b)
{
	gnu(b, 'K', "t/../../out/victim");
	node(b, '1', "t/h", "t/x");
}

static void
hard_pax(struct buf *b)
{
	pax(b, "linkpath", "../out/victim");
	node(b, '1', "t", "t/x");
}

static void
hard_not_asked(struct buf *b)
{
	node(b, '5', "t", NULL);
	node(b, '1', "t/h", "u");
}

/* A hard link to a link, and then a file of that name. */
static void
hard_to_link(struct buf *b)
{
	node(b, '5', "t", NULL);
	node(b, '2', "t/l", path_of("out/victim"));
	node(b, '1', "t/h", "t/l");
	file(b, "t/h", "e");
}

static void
link_then_file(struct buf *b)
{
	node(b, '5', "t", NULL);
	node(b, '2', "t/f", path_of("out/victim"));
	file(b, "t/f", "e");
	node(b, '2', "t/f", path_of("out/victim"));
	file(b, "t/f", "new");
}

static void
character(struct buf *b)
{
	node(b, '3', "t", NULL);
}

static void
block(struct buf *b)
{
	node(b, '4', "t", NULL);
}

static void
fifo(struct buf *b)
{
	node(b, '6', "t", NULL);
}

static void
no_type(struct buf *b)
{
	node(b, 'Z', "t", NULL);
}

static void
set_id(struct buf *b)
{
	head_add(b, '5', &(struct head){ .name = "t", .mode = 07777 }, 0);
	head_add(b, '0', &(struct head){ .name = "t/f", .mode = 07755 }, 1);
	body_add(b, "x", 1);
}

static void
capability(struct buf *b)
{
	pax(b, "SCHILY.xattr.security.capability", "\x01\x02");
	pax(b, "SCHILY.xattr.trusted.overlay.opaque", "y");
	pax(b, "SCHILY.xattr.system.posix_acl_access", "y");
	file(b, "t", "x");
}

static void
huge(struct buf *b)
{
	head_add(b, '0',
	    &(struct head){ .name = "t",
		.mode = 0644,
		.size = "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff" },
	    0);
	body_add(b, "x", 1);
}

static void
huge_octal(struct buf *b)
{
	head_add(b, '0',
	    &(struct head){ .name = "t", .mode = 0644, .size = "77777777777" },
	    0);
	body_add(b, "x", 1);
}

static void
huge_pax(struct buf *b)
{
	pax(b, "size", "9223372036854775807");
	file(b, "t", "x");
}

static void
sparse(struct buf *b)
{
	pax(b, "GNU.sparse.major", "1");
	pax(b, "GNU.sparse.minor", "0");
	pax(b, "GNU.sparse.name", "../out/evil");
	pax(b, "GNU.sparse.realsize", "1099511627776");
	file(b, "t", "1\n0\n1099511627776\n");
}

static void
negative(struct buf *b)
{
	head_add(b, '0',
	    &(struct head){ .name = "t",
		.mode = 0644,
		.size = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" },
	    0);
}

static void
deep(struct buf *b)
{
	char name[2000] = "t";

	for (int i = 0; i < 400; i++)
		(void)strcat(name, "/d");
	gnu(b, 'L', name);
	file(b, "t", "x");
}

static void
long_name(struct buf *b)
{
	char name[5001];

	memset(name, 'n', sizeof(name) - 1);
	memcpy(name, "t/", 2);
	name[sizeof(name) - 1] = '\0';
	gnu(b, 'L', name);
	file(b, "t", "x");
}

static void
many_times(struct buf *b)
{
	for (int i = 0; i < 2000; i++) {
		node(b, '2', "t", "../out/victim");
		file(b, "t", "e");
	}
}

static void
garbage(struct buf *b)
{
	for (int i = 0; i < 20000; i++)
		(void)buf_addc(b, (char)(i * 7919 >> 3));
}

static const struct lie lies[] = {
	{ "an absolute name", absolute, true },
	{ "an absolute name of what is there", absolute_there, true },
	{ "a name upwards", upwards, true },
	{ "a name upwards from within", upwards_within, true },
	{ "a name upwards in a header of pax", upwards_pax, true },
	{ "a name upwards in GNU's way", upwards_gnu, true },
	{ "another name", another_name, true },
	{ "a file through a link", through_link, true },
	{ "a file through an absolute link", through_link_absolute, true },
	{ "a file through the top as a link", through_top, true },
	{ "a file through two links", through_two, true },
	{ "a directory through a link", directory_through, true },
	{ "a directory's mode through a link", mode_through, true },
	{ "a link through a link", link_through, true },
	{ "a file through a link of pax", link_pax, true },
	{ "a directory that becomes a link", swapped, true },
	{ "a hard link upwards", hard_upwards, true },
	{ "an absolute hard link", hard_absolute, true },
	{ "a hard link through a link", hard_through, true },
	{ "a hard link upwards in GNU's way", hard_gnu, true },
	{ "a hard link upwards in a header of pax", hard_pax, true },
	{ "a hard link to what was not asked for", hard_not_asked, true },
	{ "a file over a hard link to a link", hard_to_link, false },
	{ "a file over a link", link_then_file, false },
	{ "a character device", character, true },
	{ "a block device", block, true },
	{ "a FIFO", fifo, true },
	{ "an entry of no type", no_type, true },
	{ "set-id bits", set_id, false },
	{ "capabilities", capability, false },
	{ "a size of 2^63", huge, true },
	{ "a size of 8 GiB", huge_octal, true },
	{ "a size of 2^63 in a header of pax", huge_pax, true },
	{ "a sparse file", sparse, false },
	{ "a size below zero", negative, true },
	{ "a deep tree", deep, true },
	{ "a name of 5,000 bytes", long_name, true },
	{ "a link and a file by turns", many_times, false },
	{ "garbage", garbage, true },
};

static void
stream_begin(struct buf *b, const struct lie *lie)
{
	buf_init(b, 64u << 20);
	lie->tell(b);
	assert_false(b->failed);
}

static void
stream_end(struct buf *b)
{
	for (int i = 0; i < 2 * BLOCK; i++)
		(void)buf_addc(b, '\0');
}

/* To a directory that is there, under a new name, and as the contents of the
 * source: three ways to check names. */
static void
test_lies(void **state)
{
	static const struct {
		const char *source, *destination, *asked;
	} ways[] = {
		{ "x:/tmp/t", "in", "t" },
		{ "x:/tmp/t", "in/new", "new" },
		{ "x:/tmp/t/.", "in", NULL },
	};
	struct timespec from, to;
	struct buf b;
	int code;

	(void)state;
	for (size_t i = 0; i < countof(lies); i++) {
		for (size_t k = 0; k < countof(ways); k++) {
			anew();
			asked = ways[k].asked;
			stream_begin(&b, &lies[i]);
			stream_end(&b);
			(void)clock_gettime(CLOCK_MONOTONIC, &from);
			code = copy(&b, good, ways[k].source,
			    path_of(ways[k].destination));
			(void)clock_gettime(CLOCK_MONOTONIC, &to);
			buf_free(&b);
			all_is_well(lies[i].what);
			if (lies[i].refused && k < 2 && code == 0)
				fail_msg("%s: not refused", lies[i].what);
			assert_true(to.tv_sec - from.tv_sec < 30);
		}
	}
}

/* The same over links of ours that are there already. */
static void
test_onto_links(void **state)
{
	struct buf b;

	(void)state;
	asked = "t";
	for (size_t i = 0; i < countof(lies); i++) {
		anew();
		put_link(tmp, "in/t", "../out");
		stream_begin(&b, &lies[i]);
		stream_end(&b);
		(void)copy(&b, good, "x:/tmp/t", path_of("in"));
		buf_free(&b);
		all_is_well(lies[i].what);
	}
}

static char content[2001];

static void
honest(struct buf *b)
{
	memset(content, 'c', sizeof(content) - 1);
	node(b, '5', "t", NULL);
	file(b, "t/f", content);
	node(b, '1', "t/h", "t/f");
	node(b, '2', "t/l", "f");
}

/* Cut anywhere, said to be good or not: never half a file, never a success. */
static void
test_cut(void **state)
{
	static const struct lie told = { "", honest, false };
	static const char bad[] = "{\"id\":1,\"error\":{\"code\":\"system\","
				  "\"detail\":\"no\"}}\n";
	struct buf b;

	(void)state;
	asked = "t";
	stream_begin(&b, &told);
	for (size_t cut = 100; cut < b.len; cut += 300) {
		struct buf part;

		anew();
		buf_init(&part, b.len);
		(void)buf_add(&part, b.data, cut);
		assert_int_not_equal(
		    copy(&part, good, "x:/tmp/t", path_of("in")), 0);
		if (get_file(tmp, "in/t/f") != NULL)
			assert_string_equal(get_file(tmp, "in/t/f"), content);
		all_is_well("cut");
		buf_free(&part);
	}
	stream_end(&b);
	anew();
	assert_int_not_equal(copy(&b, bad, "x:/tmp/t", path_of("in")), 0);
	anew();
	assert_int_not_equal(copy(&b, "", "x:/tmp/t", path_of("in")), 0);
	anew();
	assert_int_equal(copy(&b, good, "x:/tmp/t", path_of("in")), 0);
	assert_string_equal(get_file(tmp, "in/t/h"), content);
	all_is_well("what is honest");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lies, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_onto_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
