/*
 * Changes taken over into a directory: what was meant happens, and whatever a
 * sandbox writes into the stream, nothing outside of the directory moves.
 */
#include "test_ctl.h"

#include "lib/strutil.h"

#include <stdlib.h>

struct world {
	char dir[64];	  /* holds both */
	char in[80];	  /* the directory that changes go to */
	char outside[80]; /* must never change */
	int64_t left_out, applied;
	char told[8192]; /* what was reported */
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	make_tmp(w->dir);
	(void)snprintf(w->in, sizeof(w->in), "%s/in", w->dir);
	(void)snprintf(w->outside, sizeof(w->outside), "%s/outside", w->dir);
	put_dir(w->dir, "in");
	put_dir(w->dir, "outside");
	put_file(w->outside, "secret", "untouched");
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	assert_string_equal(get_file(w->outside, "secret"), "untouched");
	remove_tmp(w->dir);
	free(w);
	return 0;
}

/* Apply stream S (the end line is added for N entries). */
static int
apply(struct world *w, struct apply flags, const char *s, int n)
{
	struct review rv = { .ctl = &test_ctl_ctx,
		.created_ms = now_realtime_ms() + 1000,
		.root_fd = -1 };
	struct apply ap = flags;
	struct buf all, out;
	struct jw jw;
	struct err e;
	int r;

	if (flags.force)
		rv.created_ms = 0;
	ap.ctl = &test_ctl_ctx;
	ap.rv = &rv;
	buf_init(&all, 1u << 20);
	buf_init(&out, sizeof(w->told) - 1);
	jw_init(&jw, &out);
	jw_array(&jw);
	ap.json = &jw;
	(void)buf_addf(&all, "%s{\"end\":true,\"entries\":%d}\n", s, n);
	rv.root_fd = open(w->in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_not_equal(rv.root_fd, -1);
	changes_init(&rv.changes, stream_of(all.data, all.len), NULL);
	r = apply_all(&ap, &e);
	if (r == -1)
		print_message("# %s\n", e.text);
	jw_array_end(&jw);
	w->left_out = ap.left_out;
	w->applied = ap.applied;
	memcpy(w->told, out.data, out.len + 1);
	apply_free(&ap);
	changes_free(&rv.changes);
	(void)close(rv.root_fd);
	buf_free(&all);
	buf_free(&out);
	return r;
}

#define FILE_ENTRY(path, mode, data)                              \
	"{\"type\":\"file\",\"path\":\"" path "\",\"mode\":" mode \
	",\"size\":" data

static void
test_plain(void **state)
{
	struct world *w = *state;

	put_file(w->in, "old", "old");
	put_file(w->in, "gone", "x");
	put_file(w->in, "same", "same");
	put_dir(w->in, "d");
	put_file(w->in, "d/x", "x");
	assert_int_equal(
	    apply(w, (struct apply){ 0 },
		FILE_ENTRY("old", "493", "3}\nnew") FILE_ENTRY("same", "420",
		    "4}\nsame") "{\"type\":\"delete\",\"path\":\"gone\"}\n"
				"{\"type\":\"delete\",\"path\":\"never\"}\n"
				"{\"type\":\"delete\",\"path\":\"d\"}\n"
				"{\"type\":\"dir\",\"path\":\"n\",\"mode\":488}"
				"\n" FILE_ENTRY("n/f", "384",
				    "2}\nhi") "{\"type\":\"symlink\",\"path\":"
					      "\"l\","
					      "\"target\":\"old\"}\n",
		8),
	    0);
	assert_string_equal(get_file(w->in, "old"), "new");
	assert_int_equal(get_mode(w->in, "old"), S_IFREG | 0755);
	assert_null(get_file(w->in, "gone"));
	assert_int_equal(get_mode(w->in, "d"), 0);
	assert_int_equal(get_mode(w->in, "n"), S_IFDIR | 0750);
	assert_string_equal(get_file(w->in, "n/f"), "hi");
	assert_true(S_ISLNK(get_mode(w->in, "l")));
	assert_int_equal(w->left_out, 0);
	assert_int_equal(w->applied, 6);
}

static void
test_types_change(void **state)
{
	struct world *w = *state;

	put_file(w->in, "f", "file");
	put_dir(w->in, "d");
	put_file(w->in, "d/x", "x");
	put_link(w->in, "l", "../outside/secret");
	assert_int_equal(
	    apply(w, (struct apply){ 0 },
		"{\"type\":\"dir\",\"path\":\"f\",\"mode\":493}\n" FILE_ENTRY(
		    "f/x", "420", "1}\n1") FILE_ENTRY("d", "420", "1}\n2")
		    FILE_ENTRY("l", "420", "1}\n3"),
		4),
	    0);
	assert_string_equal(get_file(w->in, "f/x"), "1");
	assert_string_equal(get_file(w->in, "d"), "2");
	assert_string_equal(get_file(w->in, "l"), "3");
	assert_int_equal(w->left_out, 0);
}

static void
test_links_are_not_followed(void **state)
{
	struct world *w = *state;

	put_link(w->in, "esc", "../outside");
	put_link(w->in, "abs", w->outside);
	put_link(w->in, "file", "../outside/secret");
	assert_int_equal(
	    apply(w, (struct apply){ 0 },
		FILE_ENTRY("esc/secret", "420", "1}\nX") FILE_ENTRY(
		    "abs/secret", "420", "1}\nX") FILE_ENTRY("abs/new", "420",
		    "1}\nX") "{\"type\":\"delete\",\"path\":\"esc/secret\"}\n"
			     "{\"type\":\"dir\",\"path\":\"esc/n\","
			     "\"mode\":493}\n"
			     "{\"type\":\"replace_dir\",\"path\":\"abs/n\","
			     "\"mode\":493}\n"
			     "{\"type\":\"symlink\",\"path\":\"esc/l\","
			     "\"target\":\"x\"}\n",
		7),
	    0);
	assert_int_equal(get_mode(w->outside, "new"), 0);
	assert_int_equal(get_mode(w->outside, "n"), 0);
	assert_int_equal(get_mode(w->outside, "l"), 0);
	assert_true(w->left_out >= 5);
	assert_int_equal(w->applied, 0);
}

/* The stream makes the link itself, then writes through it. */
static void
test_own_link_is_not_followed(void **state)
{
	struct world *w = *state;

	assert_int_equal(
	    apply(w, (struct apply){ 0 },
		"{\"type\":\"symlink\",\"path\":\"l\","
		"\"target\":\"../outside\"}\n" FILE_ENTRY("l/secret", "420",
		    "1}\nX") "{\"type\":\"delete\",\"path\":\"l/secret\"}\n"
			     "{\"type\":\"replace_dir\",\"path\":\"l\","
			     "\"mode\":493}\n" FILE_ENTRY(
				 "l/in", "420", "1}\nX"),
		5),
	    0);
	/* the link was replaced, what it named was not */
	assert_true(S_ISDIR(get_mode(w->in, "l")));
	assert_string_equal(get_file(w->in, "l/in"), "X");
	assert_int_equal(get_mode(w->outside, "in"), 0);
}

/* Removing a tree that holds links removes the links. */
static void
test_removal_stays_inside(void **state)
{
	struct world *w = *state;

	put_dir(w->in, "d");
	put_link(w->in, "d/l", "../../outside");
	put_dir(w->in, "d/e");
	put_link(w->in, "d/e/m", w->outside);
	assert_int_equal(apply(w, (struct apply){ 0 },
			     "{\"type\":\"delete\",\"path\":\"d\"}\n", 1),
	    0);
	assert_int_equal(get_mode(w->in, "d"), 0);
}

static void
test_no_set_id(void **state)
{
	struct world *w = *state;

	assert_int_equal(apply(w, (struct apply){ 0 },
			     FILE_ENTRY("s", "3565", "1}\nX") /* 06755 */
			     "{\"type\":\"dir\",\"path\":\"t\","
			     "\"mode\":1023}\n", /* 01777 */
			     2),
	    0);
	assert_int_equal(get_mode(w->in, "s"), S_IFREG | 0755);
	assert_int_equal(get_mode(w->in, "t"), S_IFDIR | 0777);
}

static void
test_cut_stream_leaves_no_half(void **state)
{
	struct world *w = *state;
	struct review rv = { .ctl = &test_ctl_ctx, .created_ms = INT64_MAX };
	struct apply ap = { .ctl = &test_ctl_ctx, .rv = &rv };
	static const char s[] = FILE_ENTRY("f", "420", "1000}\nhalf");
	struct err e;
	char cmd[128];

	put_file(w->in, "f", "whole");
	rv.root_fd = open(w->in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	changes_init(&rv.changes, stream_of(s, sizeof(s) - 1), NULL);
	assert_int_equal(apply_all(&ap, &e), -1);
	changes_free(&rv.changes);
	(void)close(rv.root_fd);
	assert_string_equal(get_file(w->in, "f"), "whole");
	/* nothing is left beside it either */
	assert_int_equal(
	    remove((snprintf(cmd, sizeof(cmd), "%s/f", w->in), cmd)), 0);
	assert_int_equal(rmdir(w->in), 0);
	put_dir(w->dir, "in");
}

static void
test_git_config(void **state)
{
	static const struct {
		const char *path;
		bool is_dir, refused;
	} t[] = {
		{ ".git", true, false },
		{ ".git", false, true },
		{ ".GIT/Hooks/pre-commit", false, true },
		{ ".git/config", false, true },
		{ ".git/config.worktree", false, true },
		{ ".git/commondir", false, true },
		{ ".git/info/attributes", false, true },
		{ ".git/modules/x/config", false, true },
		{ ".git/worktrees/y/gitdir", false, true },
		{ "sub/.git/hooks", true, true },
		{ "sub/.git", false, true },
		{ ".git/index", false, false },
		{ ".git/objects/ab/cd", false, false },
		{ ".git/refs/heads/main", false, false },
		{ "config", false, false },
		{ "hooks/x", false, false },
		{ ".gitignore", false, false },
		{ ".github/config", false, false },
	};
	struct world *w = *state;
	size_t i;

	for (i = 0; i < countof(t); i++)
		if (apply_is_git_config(t[i].path, t[i].is_dir) != t[i].refused)
			fail_msg("%s", t[i].path);
	put_dir(w->in, ".git");
	put_dir(w->in, ".git/hooks");
	put_file(w->in, ".git/config", "mine");
	assert_int_equal(
	    apply(w, (struct apply){ 0 },
		FILE_ENTRY(".git/hooks/post-commit", "493", "4}\nevil")
		    FILE_ENTRY(".git/config", "420", "4}\nevil") FILE_ENTRY(
			".git/index", "420",
			"2}\nok") "{\"type\":\"replace_dir\",\"path\":\".git\","
				  "\"mode\":493}\n" FILE_ENTRY(
				      ".git/HEAD", "420", "2}\nno"),
		5),
	    0);
	assert_int_equal(get_mode(w->in, ".git/hooks/post-commit"), 0);
	assert_string_equal(get_file(w->in, ".git/config"), "mine");
	assert_string_equal(get_file(w->in, ".git/index"), "ok");
	assert_null(get_file(w->in, ".git/HEAD"));
	assert_int_equal(w->left_out, 4);
	assert_int_equal(
	    apply(w, (struct apply){ .with_git_config = true },
		FILE_ENTRY(".git/hooks/post-commit", "493", "4}\nmine"), 1),
	    0);
	assert_string_equal(get_file(w->in, ".git/hooks/post-commit"), "mine");
}

/* The original was worked on after the sandbox was made. */
static void
test_newer_here(void **state)
{
	struct world *w = *state;
	struct review rv = { .ctl = &test_ctl_ctx, .created_ms = 1000 };
	struct buf out;
	struct jw jw;
	struct apply ap = { .ctl = &test_ctl_ctx, .rv = &rv, .json = &jw };
	static const char s[] = FILE_ENTRY("mine", "420", "5}\nagent")
	    FILE_ENTRY("equal", "420", "5}\nequal") FILE_ENTRY(
		"new", "420", "1}\nn") "{\"type\":\"delete\",\"path\":\"d\"}\n"
				       "{\"end\":true,\"entries\":4}\n";
	struct err e;

	put_file(w->in, "mine", "person");
	put_file(w->in, "equal", "equal");
	put_dir(w->in, "d");
	put_file(w->in, "d/x", "x");
	buf_init(&out, 8192);
	jw_init(&jw, &out);
	jw_array(&jw);
	rv.root_fd = open(w->in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	changes_init(&rv.changes, stream_of(s, sizeof(s) - 1), NULL);
	assert_int_equal(apply_all(&ap, &e), 0);
	changes_free(&rv.changes);
	(void)close(rv.root_fd);
	buf_free(&out);
	assert_string_equal(get_file(w->in, "mine"), "person");
	assert_string_equal(get_file(w->in, "new"), "n");
	assert_string_equal(get_file(w->in, "d/x"), "x");
	assert_int_equal(ap.left_out, 2);
	assert_int_equal(apply(w, (struct apply){ .force = true },
			     FILE_ENTRY("mine", "420", "5}\nagent"), 1),
	    0);
	assert_string_equal(get_file(w->in, "mine"), "agent");
}

static void
test_dry_run(void **state)
{
	struct world *w = *state;

	put_file(w->in, "f", "old");
	assert_int_equal(
	    apply(w, (struct apply){ .dry_run = true },
		FILE_ENTRY("f", "420",
		    "3}\nnew") "{\"type\":\"dir\",\"path\":\"n\",\"mode\":493}"
			       "\n" FILE_ENTRY("n/f", "420",
				   "1}\n1") "{\"type\":\"delete\",\"path\":"
					    "\"f\"}\n",
		4),
	    0);
	assert_int_equal(w->applied, 4);
	assert_string_equal(get_file(w->in, "f"), "old");
	assert_int_equal(get_mode(w->in, "n"), 0);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_plain),
		T(test_types_change),
		T(test_links_are_not_followed),
		T(test_own_link_is_not_followed),
		T(test_removal_stays_inside),
		T(test_no_set_id),
		T(test_cut_stream_leaves_no_half),
		T(test_git_config),
		T(test_newer_here),
		T(test_dry_run),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
