/*
 * The system call filter: an allow-list; see seccomp.h. filter_compile() runs
 * in the supervisor at start, filter_enter() in the child, last before exec.
 *
 * A call that is on no list gives ENOSYS, as on a kernel that does not have
 * it, so that programs fall back instead of failing. Calls that are known and
 * refused give EPERM, as they would give to a user without privilege. Nothing
 * is killed: a program that tries something odd goes on. Foreign system call
 * tables (i386 and x32 on x86_64) give ENOSYS throughout.
 */
#include "sandbox/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* Calls newer than the library's tables. From 403 on the numbers are the same
 * on every architecture. */
#define NR_futex_waitv 449
#define NR_set_mempolicy_home_node 450
#define NR_cachestat 451
#define NR_fchmodat2 452
#define NR_map_shadow_stack 453
#define NR_futex_wake 454
#define NR_futex_wait 455
#define NR_futex_requeue 456
#define NR_mseal 462
#define NR_setxattrat 463
#define NR_getxattrat 464
#define NR_listxattrat 465
#define NR_removexattrat 466
#define NR_open_tree_attr 467

#define S(name) SCMP_SYS(name)

/* Allowed; of some, seccomp_args.c refuses certain arguments before. */
/* clone3 takes its flags by pointer, where no filter sees them, and io_uring
 * makes calls that none sees at all: both are on no list, and ENOSYS makes
 * libc and libuv do without. */
static const int allowed[] = {
	/* files by descriptor */
	S(read),
	S(write),
	S(readv),
	S(writev),
	S(pread64),
	S(pwrite64),
	S(preadv),
	S(pwritev),
	S(preadv2),
	S(pwritev2),
	S(lseek),
	S(_llseek),
	S(close),
	S(close_range),
	S(dup),
	S(dup2),
	S(dup3),
	S(fcntl),
	S(fcntl64),
	S(ioctl),
	S(flock),
	S(fsync),
	S(fdatasync),
	S(sync),
	S(syncfs),
	S(sync_file_range),
	S(ftruncate),
	S(ftruncate64),
	S(fallocate),
	S(fadvise64),
	S(fadvise64_64),
	S(readahead),
	S(copy_file_range),
	S(sendfile),
	S(sendfile64),
	S(splice),
	S(tee),
	S(vmsplice),
	S(pipe),
	S(pipe2),
	S(fstat),
	S(fstat64),
	S(fstatfs),
	S(fstatfs64),
	S(fchown),
	S(fchown32),
	S(fchdir),
	S(getdents),
	S(getdents64),
	S(fgetxattr),
	S(fsetxattr),
	S(flistxattr),
	S(fremovexattr),
	NR_cachestat,
	/* files by name */
	S(stat),
	S(stat64),
	S(lstat),
	S(lstat64),
	S(newfstatat),
	S(fstatat64),
	S(statx),
	S(statfs),
	S(statfs64),
	S(access),
	S(faccessat),
	S(faccessat2),
	S(readlink),
	S(readlinkat),
	S(truncate),
	S(truncate64),
	S(open),
	S(openat),
	S(openat2),
	S(creat),
	S(mknod),
	S(mknodat),
	S(chmod),
	S(fchmod),
	S(fchmodat),
	NR_fchmodat2,
	S(mkdir),
	S(mkdirat),
	S(rmdir),
	S(unlink),
	S(unlinkat),
	S(rename),
	S(renameat),
	S(renameat2),
	S(link),
	S(linkat),
	S(symlink),
	S(symlinkat),
	S(chown),
	S(chown32),
	S(lchown),
	S(lchown32),
	S(fchownat),
	S(utime),
	S(utimes),
	S(utimensat),
	S(utimensat_time64),
	S(futimesat),
	S(getcwd),
	S(chdir),
	S(umask),
	S(name_to_handle_at),
	S(getxattr),
	S(lgetxattr),
	S(setxattr),
	S(lsetxattr),
	S(listxattr),
	S(llistxattr),
	S(removexattr),
	S(lremovexattr),
	NR_setxattrat,
	NR_getxattrat,
	NR_listxattrat,
	NR_removexattrat,
	S(inotify_init),
	S(inotify_init1),
	S(inotify_add_watch),
	S(inotify_rm_watch),
	/* waiting */
	S(poll),
	S(ppoll),
	S(ppoll_time64),
	S(select),
	S(_newselect),
	S(pselect6),
	S(pselect6_time64),
	S(epoll_create),
	S(epoll_create1),
	S(epoll_ctl),
	S(epoll_ctl_old),
	S(epoll_wait),
	S(epoll_wait_old),
	S(epoll_pwait),
	S(epoll_pwait2),
	S(eventfd),
	S(eventfd2),
	S(signalfd),
	S(signalfd4),
	S(timerfd_create),
	S(timerfd_settime),
	S(timerfd_gettime),
	S(timerfd_settime64),
	S(timerfd_gettime64),
	S(io_setup),
	S(io_destroy),
	S(io_submit),
	S(io_cancel),
	S(io_getevents),
	S(io_pgetevents),
	/* memory */
	S(brk),
	S(mmap),
	S(mmap2),
	S(munmap),
	S(mremap),
	S(mprotect),
	S(madvise),
	S(msync),
	S(mincore),
	S(mlock),
	S(mlock2),
	S(mlockall),
	S(munlock),
	S(munlockall),
	S(memfd_create),
	S(memfd_secret),
	S(remap_file_pages),
	S(pkey_alloc),
	S(pkey_free),
	S(pkey_mprotect),
	S(membarrier),
	S(get_mempolicy),
	S(set_mempolicy),
	S(mbind),
	NR_set_mempolicy_home_node,
	NR_map_shadow_stack,
	NR_mseal,
	/* System V and POSIX IPC, inside our own namespace */
	S(shmget),
	S(shmat),
	S(shmdt),
	S(shmctl),
	S(semget),
	S(semop),
	S(semtimedop),
	S(semtimedop_time64),
	S(semctl),
	S(msgget),
	S(msgsnd),
	S(msgrcv),
	S(msgctl),
	S(ipc),
	S(mq_open),
	S(mq_unlink),
	S(mq_timedsend),
	S(mq_timedreceive),
	S(mq_notify),
	S(mq_getsetattr),
	/* processes and threads */
	S(fork),
	S(vfork),
	S(clone),
	S(personality),
	S(execve),
	S(execveat),
	S(exit),
	S(exit_group),
	S(wait4),
	S(waitid),
	S(waitpid),
	S(getpid),
	S(getppid),
	S(gettid),
	S(getpgid),
	S(getpgrp),
	S(setpgid),
	S(getsid),
	S(setsid),
	S(set_tid_address),
	S(set_robust_list),
	S(get_robust_list),
	S(rseq),
	S(futex),
	S(futex_time64),
	NR_futex_waitv,
	NR_futex_wake,
	NR_futex_wait,
	NR_futex_requeue,
	S(arch_prctl),
	S(prctl),
	S(set_thread_area),
	S(get_thread_area),
	S(pidfd_open),
	S(pidfd_send_signal),
	S(pause),
	S(restart_syscall),
	S(getcpu),
	S(sched_yield),
	S(sched_getaffinity),
	S(sched_setaffinity),
	S(sched_getparam),
	S(sched_setparam),
	S(sched_getscheduler),
	S(sched_setscheduler),
	S(sched_getattr),
	S(sched_setattr),
	S(sched_get_priority_max),
	S(sched_get_priority_min),
	S(sched_rr_get_interval),
	S(sched_rr_get_interval_time64),
	S(getpriority),
	S(setpriority),
	S(ioprio_get),
	S(ioprio_set),
	S(getrlimit),
	S(ugetrlimit),
	S(setrlimit),
	S(prlimit64),
	S(getrusage),
	S(times),
	S(landlock_create_ruleset),
	S(landlock_add_rule),
	S(landlock_restrict_self),
	S(seccomp),
	/* signals */
	S(kill),
	S(tkill),
	S(tgkill),
	S(rt_sigaction),
	S(rt_sigprocmask),
	S(rt_sigpending),
	S(rt_sigsuspend),
	S(rt_sigtimedwait),
	S(rt_sigtimedwait_time64),
	S(rt_sigqueueinfo),
	S(rt_tgsigqueueinfo),
	S(rt_sigreturn),
	S(sigreturn),
	S(sigaltstack),
	S(alarm),
	/* time */
	S(time),
	S(gettimeofday),
	S(clock_gettime),
	S(clock_gettime64),
	S(clock_getres),
	S(clock_getres_time64),
	S(clock_nanosleep),
	S(clock_nanosleep_time64),
	S(nanosleep),
	S(getitimer),
	S(setitimer),
	S(timer_create),
	S(timer_settime),
	S(timer_settime64),
	S(timer_gettime),
	S(timer_gettime64),
	S(timer_getoverrun),
	S(timer_delete),
	/* who we are */
	S(getuid),
	S(getuid32),
	S(geteuid),
	S(geteuid32),
	S(getgid),
	S(getgid32),
	S(getegid),
	S(getegid32),
	S(getresuid),
	S(getresuid32),
	S(getresgid),
	S(getresgid32),
	S(getgroups),
	S(getgroups32),
	S(setuid),
	S(setuid32),
	S(setgid),
	S(setgid32),
	S(setreuid),
	S(setreuid32),
	S(setregid),
	S(setregid32),
	S(setresuid),
	S(setresuid32),
	S(setresgid),
	S(setresgid32),
	S(setfsuid),
	S(setfsuid32),
	S(setfsgid),
	S(setfsgid32),
	S(setgroups),
	S(setgroups32),
	S(capget),
	S(capset),
	S(uname),
	S(sysinfo),
	S(getrandom),
	/* sockets */
	S(socket),
	S(socketpair),
	S(bind),
	S(connect),
	S(listen),
	S(accept),
	S(accept4),
	S(getsockname),
	S(getpeername),
	S(getsockopt),
	S(setsockopt),
	S(send),
	S(sendto),
	S(sendmsg),
	S(sendmmsg),
	S(recv),
	S(recvfrom),
	S(recvmsg),
	S(recvmmsg),
	S(recvmmsg_time64),
	S(shutdown),
};

/* Refused as to anybody without privilege, whatever the arguments. */
static const int refused[] = {
	/* mounts and roots */
	S(mount),
	S(umount),
	S(umount2),
	S(pivot_root),
	S(chroot),
	S(open_tree),
	NR_open_tree_attr,
	S(move_mount),
	S(fsopen),
	S(fsconfig),
	S(fsmount),
	S(fspick),
	S(mount_setattr),
	S(swapon),
	S(swapoff),
	S(quotactl),
	S(quotactl_fd),
	S(open_by_handle_at),
	S(fanotify_init),
	S(fanotify_mark),
	/* namespaces and other processes */
	S(setns),
	S(unshare),
	S(ptrace),
	S(process_vm_readv),
	S(process_vm_writev),
	S(process_madvise),
	S(process_mrelease),
	S(pidfd_getfd),
	S(kcmp),
	S(move_pages),
	S(migrate_pages),
	/* keys, programs in the kernel, watching it */
	S(add_key),
	S(request_key),
	S(keyctl),
	S(bpf),
	S(perf_event_open),
	S(userfaultfd),
	S(syslog),
	S(acct),
	S(lookup_dcookie),
	/* the machine */
	S(reboot),
	S(kexec_load),
	S(kexec_file_load),
	S(init_module),
	S(finit_module),
	S(delete_module),
	S(create_module),
	S(query_module),
	S(get_kernel_syms),
	S(iopl),
	S(ioperm),
	S(modify_ldt),
	S(vhangup),
	S(settimeofday),
	S(stime),
	S(clock_settime),
	S(clock_settime64),
	S(clock_adjtime),
	S(clock_adjtime64),
	S(adjtimex),
	S(sethostname),
	S(setdomainname),
	S(nfsservctl),
	S(uselib),
	S(_sysctl),
	S(vm86),
	S(vm86old),
	S(sysfs),
	S(ustat),
};

/* Append CALLS to OUT[0..*N). The library's numbers of calls that this
 * architecture lacks are negative; these need no entry. */
static void
list_add(const int *calls, size_t ncalls, uint32_t action,
    struct filter_call *out, size_t *n)
{
	size_t i;

	for (i = 0; i < ncalls; i++) {
		if (calls[i] < 0)
			continue;
		out[*n].nr = (uint32_t)calls[i];
		out[(*n)++].action = action;
	}
}

int
filter_compile(bool strict, struct filter *f_out, struct err *e)
{
	autofree struct sock_filter *prog = NULL;
	struct filter_call calls[countof(allowed) + countof(refused)];
	size_t len, n = 0;

	memset(f_out, 0, sizeof(*f_out));
	prog = calloc(BPF_MAXINSNS, sizeof(*prog));
	if (prog == NULL)
		return err_sys(e, "memory for the system call filter");
	list_add(allowed, countof(allowed), SECCOMP_RET_ALLOW, calls, &n);
	list_add(refused, countof(refused), FILTER_ERRNO(EPERM), calls, &n);
	len = filter_write(strict, calls, n, prog, BPF_MAXINSNS);
	if (len == 0)
		return err_sys(e, "write the system call filter");
	f_out->prog = reallocarray(prog, len, sizeof(*prog));
	if (f_out->prog == NULL)
		return err_sys(e, "memory for the system call filter");
	(void)STEAL(prog);
	f_out->len = len;
	return 0;
}

void
filter_release(struct filter *f)
{
	free(f->prog);
	f->prog = NULL;
	f->len = 0;
}

int
filter_enter(const void *prog, size_t len)
{
	struct sock_fprog fprog = { .len = (unsigned short)len,
		.filter = (struct sock_filter *)(uintptr_t)prog };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u, &fprog);
}
