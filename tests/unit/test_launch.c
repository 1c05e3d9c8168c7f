/*
 * Sandboxes that are really built, looked at from inside by the probe. Needs
 * root; without it only the rootless part runs. What is asserted here is what
 * sandboxd-security promises of a sandbox, not how it is made.
 *
 * usage: test_launch [path of probe_init]
 */
#include "sandbox_box.h"
#include "sandbox/creds.h"

#include <setjmp.h>
#include <cmocka.h>
#include <grp.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/un.h>

#ifndef PROBE_INIT
#	define PROBE_INIT "tests/unit/probe_init"
#endif

static struct box box;

static int
each_setup(void **state)
{
	(void)state;
	box_new(&box);
	return 0;
}

static int
each_teardown(void **state)
{
	(void)state;
	box_free(&box);
	return 0;
}

static void
start(void)
{
	if (box_start(&box) == -1)
		fail_msg("start: %s", box.e.text);
}

#define assert_does(status, ...)                                           \
	do {                                                               \
		int got_ = box_do(&box, __VA_ARGS__);                      \
		if (got_ != (status))                                      \
			fail_msg(                                          \
			    "exit %d, not %d: %s", got_, status, box.out); \
	} while (0)

static void
starts_and_ends(void **state)
{
	(void)state;
	start();
	assert_does(0, "id -u; id -g; hostname");
	assert_string_equal(box.out, "0\n0\nboxhost\n");
	assert_does(3, "exit 3");
	assert_int_equal(shutdown(box.run.chan_fd, SHUT_WR), 0);
	assert_int_equal(box_wait(&box), 0);
}

static void
tells_what_holds(void **state)
{
	unsigned m;

	(void)state;
	start();
	for (m = 0; m < MECH_N; m++)
		if (m != MECH_CGROUP && m != MECH_LANDLOCK)
			assert_true(box.run.have[m]);
	/* it was given no group */
	assert_false(box.run.have[MECH_CGROUP]);
}

static void
has_its_own_ids(void **state)
{
	(void)state;
	start();
	assert_does(
	    0, "tr -s ' ' < /proc/self/uid_map; cat /proc/self/setgroups");
	assert_string_equal(box.out, " 0 1000000 65536\nallow\n");
	assert_does(0, "stat -c %%u:%%g / /etc /usr/bin/env");
	assert_string_equal(box.out, "0:0\n0:0\n0:0\n");
	/* files it makes are root's on its own disk */
	assert_does(0, "touch /made && chown 1000:1001 /made");
	assert_does(0, "stat -c %%u:%%g /made");
	assert_string_equal(box.out, "1000:1001\n");
}

static void
has_few_capabilities(void **state)
{
	char want[256];

	(void)state;
	start();
	(void)snprintf(want, sizeof(want),
	    "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\n"
	    "CapBnd:\t%016llx\nCapAmb:\t%016llx\nNoNewPrivs:\t1\n"
	    "Seccomp:\t2\n",
	    0ull, (unsigned long long)CREDS_CAPS_INIT,
	    (unsigned long long)CREDS_CAPS_INIT,
	    (unsigned long long)CREDS_CAPS_INIT, 0ull);
	assert_does(
	    0, "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
	assert_string_equal(box.out, want);
}

static void
hides_the_host(void **state)
{
	(void)state;
	box_file(&box, "secret", "x");
	start();
	assert_does(
	    0, "ls -A /root /home /tmp /run /var/log /var/tmp | grep -v :");
	assert_string_equal(box.out, "\n\n\n\n\n");
	assert_does(1, "test -e /etc/shadow -o -e /etc/gshadow");
	assert_does(1, "test -e %s", box.dir);
	/* what nobody but root may read is not there to be read */
	assert_does(
	    0, "find /etc /var /opt -xdev -type f ! -perm -004 2>/dev/null");
	assert_string_equal(box.out, "");
	assert_does(0, "stat -c %%i / /..");
	assert_int_equal(strchr(box.out, '\n') - box.out,
	    (long)strcspn(strchr(box.out, '\n') + 1, "\n"));
	/* no file system of the host's but device nodes */
	assert_does(1, "cut -d' ' -f5- /proc/self/mountinfo | grep -v "
		       "'^/dev/\\|^/proc/' | "
		       "grep -E ' - (ext4|xfs|btrfs|devtmpfs|cgroup2?) '");
	assert_does(0, "ps ax | wc -l");
	assert_true(atoi(box.out) <= 6);
}

static void
keeps_init_closed(void **state)
{
	(void)state;
	start();
	assert_does(2, "ls /proc/1/fd 2>/dev/null");
	assert_does(1, "cat /proc/1/environ 2>/dev/null");
	assert_does(1, "cat /proc/1/exe 2>/dev/null");
	assert_does(1, "cat /proc/1/maps 2>/dev/null");
	assert_does(1, "ls /proc/1/cwd/ 2>/dev/null || exit 1");
}

static void
has_few_devices(void **state)
{
	(void)state;
	start();
	assert_does(0, "cd /dev && LC_ALL=C ls | tr '\\n' ' '");
	assert_string_equal(box.out,
	    "fd full mqueue null ptmx pts random shm stderr stdin stdout tty "
	    "urandom zero ");
	assert_does(0, "echo x > /dev/null; head -c 3 /dev/zero | wc -c");
	assert_string_equal(box.out, "3\n");
	assert_does(1, "mknod /tmp/x c 1 3 2>/dev/null");
	assert_does(1, "mknod /tmp/x b 254 0 2>/dev/null");
	assert_does(1, "mknod /x c 0 0 2>/dev/null");
	assert_does(0, "mkfifo /tmp/fifo");
	assert_does(1, "touch /dev/x 2>/dev/null");
	assert_does(0, "test -c /dev/ptmx && echo x > /dev/shm/x");
}

static void
masks_the_kernel(void **state)
{
	(void)state;
	start();
	assert_does(
	    0, "cat /proc/kcore /proc/kmsg /proc/keys 2>/dev/null | wc -c");
	assert_string_equal(box.out, "0\n");
	assert_does(
	    0, "ls /sys/firmware /proc/acpi 2>/dev/null | grep -v :; :");
	assert_does(0, "find /proc/sys -type f -perm /222 | head -400 | while "
		       "read f; do if (echo 0 > $f) 2>/dev/null; then echo $f; "
		       "fi; done");
	assert_string_equal(box.out, "");
	assert_does(2, "echo b > /proc/sysrq-trigger");
	assert_does(1, "touch /sys/x 2>/dev/null");
	assert_does(0, "ls /sys/fs/cgroup | wc -l");
	assert_string_equal(box.out, "0\n");
}

static long
raw_call(const char *args, int *err_out)
{
	long r = 0;

	assert_does(0, "!raw %s", args);
	assert_int_equal(sscanf(box.out, "ret %ld %d", &r, err_out), 2);
	return r;
}

static void
refuses_calls(void **state)
{
	static const struct {
		int err;
		long nr, a[5];
	} calls[] = {
		{ EPERM, SYS_mount, { 0 } },
		{ EPERM, SYS_umount2, { 0 } },
		{ EPERM, SYS_pivot_root, { 0 } },
		{ EPERM, SYS_chroot, { 0 } },
		{ EPERM, SYS_fsopen, { 0 } },
		{ EPERM, SYS_open_tree, { 0 } },
		{ EPERM, SYS_move_mount, { 0 } },
		{ EPERM, SYS_mount_setattr, { 0 } },
		{ EPERM, SYS_setns, { 0 } },
		{ EPERM, SYS_unshare, { CLONE_NEWUSER } },
		{ EPERM, SYS_unshare, { 0 } },
		{ EPERM, SYS_clone, { CLONE_NEWUSER | 17 } },
		{ EPERM, SYS_clone, { CLONE_NEWNS | 17 } },
		{ EPERM, SYS_clone, { CLONE_NEWPID | 17 } },
		{ EPERM, SYS_clone, { CLONE_NEWNET | 17 } },
		{ EPERM, SYS_clone, { CLONE_NEWCGROUP | 17 } },
		{ ENOSYS, SYS_clone3, { 0 } },
		{ ENOSYS, SYS_io_uring_setup, { 1 } },
		{ EPERM, SYS_ptrace, { 0 } },
		{ EPERM, SYS_process_vm_readv, { 1 } },
		{ EPERM, SYS_process_vm_writev, { 1 } },
		{ EPERM, SYS_pidfd_getfd, { 0 } },
		{ EPERM, SYS_kcmp, { 1, 1 } },
		{ EPERM, SYS_keyctl, { 0 } },
		{ EPERM, SYS_add_key, { 0 } },
		{ EPERM, SYS_request_key, { 0 } },
		{ EPERM, SYS_bpf, { 0 } },
		{ EPERM, SYS_perf_event_open, { 0 } },
		{ EPERM, SYS_userfaultfd, { 0 } },
		{ EPERM, SYS_open_by_handle_at, { 0 } },
		{ EPERM, SYS_quotactl, { 0 } },
		{ EPERM, SYS_swapon, { 0 } },
		{ EPERM, SYS_reboot, { 0 } },
		{ EPERM, SYS_kexec_load, { 0 } },
		{ EPERM, SYS_init_module, { 0 } },
		{ EPERM, SYS_finit_module, { -1 } },
		{ EPERM, SYS_settimeofday, { 0 } },
		{ EPERM, SYS_clock_settime, { 0 } },
		{ EPERM, SYS_syslog, { 3 } },
		{ EPERM, SYS_personality, { 8 } },
		{ EPERM, SYS_personality, { 0x0400000 } },
		{ 0, SYS_personality, { 0xffffffff } },
		{ EPERM, SYS_ioctl, { 0, TIOCSTI } },
		{ EPERM, SYS_ioctl, { 0, 0x7fffffff00000000 | TIOCSTI } },
		{ EPERM, SYS_ioctl, { 0, TIOCLINUX } },
		{ ENOTTY, SYS_ioctl, { 0, TCGETS } },
		{ EAFNOSUPPORT, SYS_socket, { 17, 3, 0 } }, /* packet */
		{ EAFNOSUPPORT, SYS_socket, { 40, 1, 0 } }, /* vsock */
		{ EAFNOSUPPORT, SYS_socket, { 38, 5, 0 } }, /* alg */
		{ EAFNOSUPPORT, SYS_socket, { 0, 1, 0 } },
		{ EPROTONOSUPPORT, SYS_socket, { 16, 3, NETLINK_AUDIT } },
		{ EPERM, SYS_socket, { 2, 3, 1 } }, /* raw */
		{ ENOSYS, 0x40000000 + 39, { 0 } }, /* x32 getpid */
		{ ENOSYS, 1000, { 0 } },
		{ ENOSYS, 380, { 0 } },
	};
	char text[256];
	int err;
	size_t i;

	(void)state;
	start();
	for (i = 0; i < countof(calls); i++) {
		(void)snprintf(text, sizeof(text), "%ld %ld %ld %ld %ld %ld",
		    calls[i].nr, calls[i].a[0], calls[i].a[1], calls[i].a[2],
		    calls[i].a[3], calls[i].a[4]);
		(void)raw_call(text, &err);
		if (err != calls[i].err)
			fail_msg("call %s: errno %d, not %d", text, err,
			    calls[i].err);
	}
	/* 32-bit getpid */
	assert_does(0, "!int80 20");
	assert_string_equal(box.out, "ret -38\n");
}

static void
lets_programs_work(void **state)
{
	(void)state;
	start();
	assert_does(0,
	    "perl -e 'use Socket; socket(my $s, AF_INET, SOCK_STREAM, "
	    "0) or die; socketpair(my $a, my $b, AF_UNIX, "
	    "SOCK_STREAM, 0) or die; print 42'");
	assert_string_equal(box.out, "42");
	assert_does(
	    0, "chmod u+s /tmp && cd / && mkdir d && mv d e && ln -s e f");
	assert_does(
	    0, "setpriv --reuid 1000 --regid 1000 --clear-groups id -u");
	assert_string_equal(box.out, "1000\n");
	assert_does(0, "chown 5:5 /e && stat -c %%u /e");
	assert_string_equal(box.out, "5\n");
	assert_does(1, "command -v python3 >/dev/null || exit 1; python3 -c "
		       "'import subprocess,threading,socket; "
		       "subprocess.check_call([\"true\"])' && exit 1");
}

static void
leaks_no_descriptor(void **state)
{
	int stray[40];
	size_t i;

	(void)state;
	for (i = 0; i < countof(stray); i++) {
		stray[i] = open("/", O_RDONLY | O_DIRECTORY);
		assert_int_not_equal(stray[i], -1);
	}
	box_file(&box, "f", "x");
	assert_int_equal(mkdir(box_path(&box, "src"), 0755), 0);
	box_mount(&box, MOUNT_COW, box_path(&box, "src"), "/data");
	start();
	for (i = 0; i < countof(stray); i++)
		(void)close(stray[i]);
	assert_does(0, "!fds");
	assert_string_equal(box.out, "0\n1\n2\n3\n5\n");
	assert_does(0, "!args");
	assert_string_equal(box.out, "sandboxd-init\nbox\n5=/data\n");
	assert_does(0, "tr -d '\\n' < /proc/1/environ 2>/dev/null; :");
}

static void
copies_on_write(void **state)
{
	char src[PATH_MAX], refused[32];
	struct stat st;

	(void)state;
	(void)snprintf(src, sizeof(src), "%s", box_path(&box, "src"));
	assert_int_equal(mkdir(src, 0755), 0);
	box_file(&box, "src/a", "host\n");
	box_file(&box, "src/b", "host\n");
	assert_int_equal(chown(src, 12345, 12345), 0);
	assert_int_equal(chown(box_path(&box, "src/a"), 12345, 12345), 0);
	assert_int_equal(chown(box_path(&box, "src/b"), 12345, 12345), 0);
	box.plan.uid = box.plan.gid = 1000;
	box_mount(&box, MOUNT_COW, src, "/data");
	start();
	/* the lender's files are the sandbox's user's */
	assert_does(0, "stat -c %%u:%%g /data /data/a");
	assert_string_equal(box.out, "1000:1000\n1000:1000\n");
	assert_does(0, "setpriv --reuid 1000 --regid 1000 --clear-groups sh -c "
		       "'echo mine >> /data/a; echo n > /data/n; rm /data/b'");
	assert_does(0, "cat /data/a; ls /data");
	assert_string_equal(box.out, "host\nmine\na\nn\n");
	/* init sees the layer, and cannot change it */
	assert_does(0, "!ls 5");
	assert_non_null(strstr(box.out, "b\n"));
	assert_does(0, "!mkdir 5 x");
	(void)snprintf(refused, sizeof(refused), "ret -1 %d\n", EROFS);
	assert_string_equal(box.out, refused);
	/* nor leave it: above is the layer's own root */
	assert_does(0, "!mkdir 5 ../x");
	assert_string_equal(box.out, refused);
	box_stop(&box);
	assert_int_equal(stat(box_path(&box, "src/a"), &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(stat(box_path(&box, "src/b"), &st), 0);
	assert_int_equal(stat(box_path(&box, "src/n"), &st), -1);
	/* and it is all there after a restart, with other ids */
	box.plan.id_base += PLAN_IDS;
	start();
	assert_does(0, "cat /data/a; ls /data; stat -c %%u /data/n");
	assert_string_equal(box.out, "host\nmine\na\nn\n1000\n");
}

static void
lends_directories(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(mkdir(box_path(&box, "rw"), 0755), 0);
	assert_int_equal(mkdir(box_path(&box, "ro"), 0755), 0);
	box_file(&box, "rw/theirs", "x");
	box_file(&box, "ro/file", "ro\n");
	assert_int_equal(chown(box_path(&box, "rw"), 12345, 12346), 0);
	box_mount(&box, MOUNT_RW, box_path(&box, "rw"), "/rw");
	box_mount(&box, MOUNT_RO, box_path(&box, "ro"), "/mnt/deep/ro");
	box_mount(&box, MOUNT_RO, box_path(&box, "ro/file"), "/etc/one-file");
	start();
	assert_does(0, "cat /etc/one-file /mnt/deep/ro/file");
	assert_string_equal(box.out, "ro\nro\n");
	assert_does(1, "touch /mnt/deep/ro/x 2>/dev/null");
	assert_does(2, "echo x > /etc/one-file");
	assert_does(0, "echo mine > /rw/new && mkdir /rw/dir");
	/* not the lender's, so not ours */
	assert_does(0, "stat -c %%u /rw/theirs");
	assert_string_equal(box.out, "65534\n");
	assert_does(1, "chmod 4755 /rw/new 2>/dev/null");
	assert_does(1, "chmod 2755 /rw/new 2>/dev/null");
	assert_does(1, "perl -e 'use Fcntl; sysopen(my $f, \"/rw/s\", "
		       "O_CREAT|O_WRONLY, 04755) or exit 1'");
	assert_does(0, "perl -e 'use Fcntl; sysopen(my $f, \"/rw/new\", "
		       "O_WRONLY, 06777) or exit 1'");
	assert_int_equal(stat(box_path(&box, "rw/new"), &st), 0);
	assert_int_equal(st.st_uid, 12345);
	assert_int_equal(st.st_gid, 12346);
	assert_int_equal(stat(box_path(&box, "rw/dir"), &st), 0);
	assert_int_equal(st.st_uid, 12345);
	assert_int_equal(stat(box_path(&box, "rw/s"), &st), -1);
}

/* Descriptors that we have open, mounts that we see, children that we have. */
static void
count_all(size_t counts[2])
{
	char line[4096];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	int fd;

	counts[0] = counts[1] = 0;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		counts[0]++;
	(void)fclose(f);
	for (fd = 0; fd < 1024; fd++)
		counts[1] += fcntl(fd, F_GETFD) != -1;
}

static void
assert_fails(const char *text)
{
	size_t before[2], after[2];

	count_all(before);
	assert_int_equal(box_start(&box), -1);
	if (strstr(box.e.text, text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, box.e.text);
	(void)box_wait(&box);
	box_forget(&box);
	count_all(after);
	assert_int_equal(before[0], after[0]);
	assert_int_equal(before[1], after[1]);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void
make_image(void)
{
	static const char *const dirs[] = { "image", "image/bin", "image/etc",
		"image/usr", "image/sub" };
	size_t i;

	for (i = 0; i < countof(dirs); i++)
		assert_int_equal(mkdir(box_path(&box, dirs[i]), 0755), 0);
	box.plan.image = strdup(box_path(&box, "image"));
	box.plan.hide_fd = -1;
}

static void
free_image(void)
{
	free((char *)(uintptr_t)box.plan.image);
	box.plan.image = NULL;
}

static void
survives_hostile_images(void **state)
{
	static const char *const ours[] = { "proc", "sys", "dev", "tmp",
		"run" };
	static const char *const links[] = { "/", "..", "../../../..", "etc",
		"/nowhere", "/proc/self/root" };
	char path[64];
	size_t i, k;

	(void)state;
	make_image();
	for (i = 0; i < countof(ours); i++) {
		(void)snprintf(path, sizeof(path), "image/%s", ours[i]);
		for (k = 0; k < countof(links); k++) {
			assert_int_equal(
			    symlink(links[k], box_path(&box, path)), 0);
			assert_fails("mount");
			assert_int_equal(unlink(box_path(&box, path)), 0);
		}
		box_file(&box, path, "a file");
		assert_fails("mount");
		assert_int_equal(unlink(box_path(&box, path)), 0);
	}
	/* and without them it starts; the probe is static */
	start();
	assert_does(0, "!fds");
	free_image();
}

static void
keeps_targets_inside(void **state)
{
	struct stat st;

	(void)state;
	make_image();
	assert_int_equal(mkdir(box_path(&box, "src"), 0755), 0);
	assert_int_equal(mkdir(box_path(&box, "outside"), 0755), 0);
	assert_int_equal(
	    symlink(box_path(&box, "outside"), box_path(&box, "image/abs")), 0);
	assert_int_equal(symlink("../../../../../../../../../tmp",
			     box_path(&box, "image/up")),
	    0);
	assert_int_equal(symlink("/proc", box_path(&box, "image/toproc")), 0);
	box_mount(&box, MOUNT_RW, box_path(&box, "src"), "/abs/target");
	box_mount(&box, MOUNT_RO, box_path(&box, "src"), "/up/sandbox-target");
	box_mount(&box, MOUNT_RO, box_path(&box, "src"), "/toproc/x");
	start();
	assert_int_equal(stat(box_path(&box, "outside/target"), &st), -1);
	assert_int_equal(stat("/tmp/sandbox-target", &st), -1);
	/* procfs lies over the third */
	assert_does(0, "!ls 0");
	box_stop(&box);

	box.plan.nmounts = 0;
	assert_int_equal(symlink("/", box_path(&box, "image/root")), 0);
	box_mount(&box, MOUNT_RO, box_path(&box, "src"), "/root");
	assert_fails("Invalid argument");
	box.plan.nmounts = 0;
	assert_int_equal(symlink("/dev", box_path(&box, "image/todev")), 0);
	box_mount(&box, MOUNT_RO, box_path(&box, "src"), "/todev");
	assert_fails("mount /dev");
	box.plan.nmounts = 0;
	assert_int_equal(symlink("loop", box_path(&box, "image/loop")), 0);
	box_mount(&box, MOUNT_RO, box_path(&box, "src"), "/loop/x");
	assert_fails("symbolic links");
	free_image();
}

static void
refuses_bad_mounts(void **state)
{
	static const char *const targets[] = { "", "/", "relative", "/a/../b",
		"/a/./b", "//", "/a//b", "/proc", "/proc/sys", "/sys/x", "/dev",
		"/dev/shm/x", "/a/" };
	size_t i;

	(void)state;
	for (i = 0; i < countof(targets); i++) {
		box.plan.nmounts = 0;
		box_mount(&box, MOUNT_RO, "/usr", targets[i]);
		assert_fails("cannot be a mount's target");
	}
	box.plan.nmounts = 0;
	box_mount(&box, MOUNT_RO, box_path(&box, "missing"), "/x");
	assert_fails("No such file");
	/* a link where a canonical path was */
	assert_int_equal(symlink("/etc", box_path(&box, "link")), 0);
	box.plan.nmounts = 0;
	box_mount(&box, MOUNT_RO, box_path(&box, "link"), "/x");
	assert_fails("symbolic links");
	box.plan.nmounts = 0;
	box_file(&box, "file", "x");
	box_mount(&box, MOUNT_COW, box_path(&box, "file"), "/x");
	assert_fails("Not a directory");
	box.plan.nmounts = 0;
	box.plan.image = box_path(&box, "missing");
	assert_fails("no image");
}

static void
has_a_network_of_its_own(void **state)
{
	(void)state;
	start();
	assert_does(0, "grep -c : /proc/net/dev");
	assert_string_equal(box.out, "1\n");
	assert_does(0, "cat /sys/class/net/lo/flags");
	assert_string_equal(box.out, "0x9\n"); /* up, loopback */
}

/* In the host's network abstract sockets are in reach: Landlock's matter. */
static void
keeps_abstract_sockets_away(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char name[64];

	(void)state;
	if (box_host.landlock_abi < 6)
		skip();
	(void)snprintf(name, sizeof(name), "box-%d", (int)getpid());
	memcpy(sun.sun_path + 1, name, strlen(name));
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&sun,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			    strlen(name))),
	    0);
	assert_int_equal(listen(fd, 1), 0);
	box.plan.host_network = true;
	start();
	assert_false(box.run.have[MECH_NET]);
	assert_does(1,
	    "perl -e 'use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0); "
	    "connect($s, sockaddr_un(\"\\0%s\")) or exit 1'",
	    name);
	assert_does(0, "ls /sys | wc -l");
	assert_string_equal(box.out, "0\n");
}

static void
ends_with_its_supervisor(void **state)
{
	struct pollfd pfd;
	int pair[2], fd = -1;
	size_t nfds;
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		if (box_start(&box) == 0)
			(void)fd_send(pair[1], "x", 1, &box.run.pidfd, 1);
		/* The probe waits for a command that never comes, and the
		 * channel stays open in our parent's hands: */
		(void)fd_send(pair[1], "x", 1, &box.run.chan_fd, 1);
		(void)kill(getpid(), SIGKILL);
	}
	(void)close(pair[1]);
	assert_int_equal(fd_recv(pair[0], &c, 1, &fd, &nfds), 1);
	assert_int_equal(nfds, 1);
	pfd = (struct pollfd){ fd, POLLIN, 0 };
	assert_int_equal(poll(&pfd, 1, BOX_MS), 1);
	(void)close(fd);
	(void)close(pair[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Killed at any point of its start, a sandbox leaves nothing. */
static void
leaves_nothing_when_killed(void **state)
{
	size_t before[2], after[2];
	unsigned i;

	(void)state;
	assert_int_equal(mkdir(box_path(&box, "src"), 0755), 0);
	box_mount(&box, MOUNT_COW, box_path(&box, "src"), "/data");
	count_all(before);
	for (i = 0; i < 60; i++) {
		if (sandbox_launch(&box_host, &box.plan, &box.run, &box.e) ==
		    -1)
			fail_msg("%s", box.e.text);
		(void)usleep(i * 50); /* the points of the start, one by one */
		box_stop(&box);
	}
	count_all(after);
	assert_int_equal(before[0], after[0]);
	assert_int_equal(before[1], after[1]);
	start();
	assert_does(0, "ls /data");
}

/* A lent directory changes while targets in it are looked up: from a directory
 * to a link that leads out of the sandbox, and back. */
static void
survives_racing_targets(void **state)
{
	char a[PATH_MAX], b[PATH_MAX], out[PATH_MAX];
	struct stat st;
	unsigned i;
	pid_t pid;

	(void)state;
	assert_int_equal(mkdir(box_path(&box, "rw"), 0755), 0);
	assert_int_equal(mkdir(box_path(&box, "rw/x"), 0755), 0);
	assert_int_equal(mkdir(box_path(&box, "out"), 0755), 0);
	(void)snprintf(a, sizeof(a), "%s", box_path(&box, "rw/x"));
	(void)snprintf(b, sizeof(b), "%s", box_path(&box, "rw/y"));
	(void)snprintf(out, sizeof(out), "%s", box_path(&box, "out"));
	assert_int_equal(symlink(out, b), 0);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)renameat2(
			    AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
	}
	box_mount(&box, MOUNT_RW, box_path(&box, "rw"), "/rw");
	box_mount(&box, MOUNT_RO, out, "/rw/x/deep/target");
	for (i = 0; i < 40; i++) {
		if (box_start(&box) == 0)
			assert_does(0, "true");
		box_stop(&box);
	}
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)strcat(out, "/deep");
	assert_int_equal(stat(out, &st), -1);
}

static void
limits_open_files(void **state)
{
	(void)state;
	box.plan.limits.open_files = 100;
	start();
	assert_does(0, "ulimit -n; ulimit -Hn; ulimit -c");
	assert_string_equal(box.out, "100\n100\n0\n");
}

/* A host whose file systems cannot map ids: less can be written, nothing more
 * can be seen. */
static void
works_without_idmap(void **state)
{
	(void)state;
	box_host.have[MECH_IDMAP] = false;
	assert_int_equal(mkdir(box_path(&box, "src"), 0755), 0);
	box_file(&box, "src/a", "a\n");
	box_mount(&box, MOUNT_COW, box_path(&box, "src"), "/data");
	if (box_start(&box) == -1) {
		box_host.have[MECH_IDMAP] = true;
		fail_msg("%s", box.e.text);
	}
	box_host.have[MECH_IDMAP] = true;
	assert_false(box.run.have[MECH_IDMAP]);
	assert_does(0, "echo x > /root/x && echo x > /tmp/x && mkdir /new && "
		       "cat /data/a && echo y > /data/y");
	assert_string_equal(box.out, "a\n");
	assert_does(1, "test -e /etc/shadow");
}

/* The whole of it once more as an ordinary user. */
static void
rootless_child(void)
{
	static struct box b;
	int ok;

	if (setgroups(0, NULL) == -1 || setresgid(12345, 12345, 12345) == -1 ||
	    setresuid(12345, 12345, 12345) == -1)
		_exit(10);
	/* what an ordinary start would have */
	if (prctl(PR_SET_DUMPABLE, 1) == -1)
		_exit(10);
	host_probe(&box_host);
	hide_close(box_hide);
	box_hide = NULL;
	box_new(&b);
	if (mkdir(box_path(&b, "src"), 0755) == -1)
		_exit(11);
	box_file(&b, "src/a", "a\n");
	box_mount(&b, MOUNT_COW, box_path(&b, "src"), "/data");
	box_mount(&b, MOUNT_RW, box_path(&b, "src"), "/rw");
	if (box_start(&b) == -1) {
		fprintf(stderr, "# rootless: %s\n", b.e.text);
		box_free(&b);
		_exit(12);
	}
	ok = box_do(&b, "id -u; cat /data/a; echo b > /data/b; echo c > /rw/c; "
			"touch /usr/x /home/mine 2>/dev/null; ls /home") == 0 &&
	     strcmp(b.out, "0\na\nmine\n") == 0;
	if (!ok)
		fprintf(stderr, "# rootless: %s\n", b.out);
	ok = ok && access(box_path(&b, "src/b"), F_OK) == -1 &&
	     access(box_path(&b, "src/c"), F_OK) == 0 &&
	     box_do(&b, "!raw %d 0 0 0 0 0", SYS_mount) == 0 &&
	     strcmp(b.out, "ret -1 1\n") == 0 &&
	     box_do(&b, "!mkdir 5 x") == 0 && strcmp(b.out, "ret -1 30\n") == 0;
	if (!ok)
		fprintf(stderr, "# rootless: %s\n", b.out);
	ok = ok && !b.run.have[MECH_IDMAP] && b.run.have[MECH_SECCOMP];
	box_free(&b);
	_exit(ok ? 0 : 13);
}

static void
works_rootless(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		rootless_child();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int
main(int argc, char *argv[])
{
#define T(f) cmocka_unit_test_setup_teardown(f, each_setup, each_teardown)
	const struct CMUnitTest tests[] = {
		T(starts_and_ends),
		T(tells_what_holds),
		T(has_its_own_ids),
		T(has_few_capabilities),
		T(hides_the_host),
		T(keeps_init_closed),
		T(has_few_devices),
		T(masks_the_kernel),
		T(refuses_calls),
		T(lets_programs_work),
		T(leaks_no_descriptor),
		T(copies_on_write),
		T(lends_directories),
		T(survives_hostile_images),
		T(keeps_targets_inside),
		T(refuses_bad_mounts),
		T(has_a_network_of_its_own),
		T(keeps_abstract_sockets_away),
		T(ends_with_its_supervisor),
		T(leaves_nothing_when_killed),
		T(survives_racing_targets),
		T(limits_open_files),
		T(works_without_idmap),
		T(works_rootless),
	};
	const char *probe = getenv("SANDBOX_PROBE");
	int r;

	if (argc > 1)
		probe = argv[1];
	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	if (box_setup(probe ? probe : PROBE_INIT) == -1) {
		printf("Bail out! cannot read the probe\n");
		return 99;
	}
	if (!box_host.root || !box_host.have[MECH_OVERLAY]) {
		printf("1..0 # SKIP this host gives no sandboxes: %s\n",
		    box_host.why_not[MECH_OVERLAY]);
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	box_teardown();
	return r;
}
