/*
 * The calls a courier may make: sockets, files, threads that look up names,
 * memory. Nothing that starts a program, looks into another process, or gets
 * back what was given up: whoever takes us over and tries that ends us. Other
 * calls only fail. Written out rather than given to libseccomp, as the
 * gateway's list is.
 */
#include "courier/confine.h"

#include "lib/callfilter.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static const unsigned allowed[] = {
	/* what is open */
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_pwrite64,
	SYS_lseek,
	SYS_close,
	SYS_close_range,
	SYS_fstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_fcntl,
	SYS_ioctl,
	SYS_dup,
	SYS_dup3,
	SYS_ftruncate,
	SYS_fsync,
	SYS_fdatasync,
	SYS_syncfs,
	SYS_fadvise64,
	SYS_fallocate,
	SYS_flock,
	SYS_getdents64,
	SYS_fchmod,
	SYS_fstatfs,
	/* what has a name */
	SYS_openat,
	SYS_openat2,
	SYS_mkdirat,
	SYS_unlinkat,
	SYS_symlinkat,
	SYS_linkat,
	SYS_renameat2,
	SYS_readlinkat,
	SYS_faccessat,
	SYS_faccessat2,
	SYS_fchmodat,
	SYS_statfs,
	SYS_getcwd,
	/* the network */
	SYS_socketpair,
	SYS_connect,
	SYS_bind,
	SYS_shutdown,
	SYS_getsockopt,
	SYS_setsockopt,
	SYS_getsockname,
	SYS_getpeername,
	SYS_recvfrom,
	SYS_recvmsg,
	SYS_recvmmsg,
	SYS_sendto,
	SYS_sendmsg,
	SYS_sendmmsg,
	SYS_pipe2,
	SYS_eventfd2,
	SYS_epoll_create1,
	SYS_epoll_ctl,
	SYS_epoll_pwait,
	SYS_ppoll,
	SYS_pselect6,
	/* memory and threads */
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_brk,
	SYS_futex,
	SYS_set_robust_list,
	SYS_set_tid_address,
	SYS_sched_yield,
	SYS_sched_getaffinity,
	SYS_getcpu,
	SYS_membarrier,
	SYS_exit,
	SYS_exit_group,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_sigaltstack,
	SYS_restart_syscall,
	/* who and when */
	SYS_clock_gettime,
	SYS_clock_getres,
	SYS_clock_nanosleep,
	SYS_nanosleep,
	SYS_gettimeofday,
	SYS_getrandom,
	SYS_getpid,
	SYS_gettid,
	SYS_getuid,
	SYS_geteuid,
	SYS_getgid,
	SYS_getegid,
	SYS_getrusage,
	SYS_prlimit64,
	SYS_sysinfo,
	SYS_uname,
#ifdef SYS_rseq
	SYS_rseq,
#endif
#ifdef SYS_renameat
	SYS_renameat,
#endif
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
#endif
#ifdef SYS_poll
	SYS_poll,
	SYS_select,
	SYS_open,
	SYS_stat,
	SYS_lstat,
	SYS_access,
	SYS_readlink,
	SYS_pipe,
	SYS_dup2,
	SYS_time,
	SYS_unlink,
	SYS_mkdir,
	SYS_arch_prctl,
#endif
};

/* Memory that can be written is never executed; libraries are, which looking up
 * names may load. */
static void
mapping(struct callfilter *f, unsigned call)
{
	callfilter_when(f, call, 5);
	callfilter_load_argument(f, 2);
	callfilter_mask(f, PROT_EXEC | PROT_WRITE);
	callfilter_when(f, PROT_EXEC | PROT_WRITE, 1);
	callfilter_verdict(f, SECCOMP_RET_KILL_PROCESS);
	callfilter_verdict(f, SECCOMP_RET_ALLOW);
}

/* Threads, and no process. */
static void
threads(struct callfilter *f)
{
	callfilter_when(f, SYS_clone, 4);
	callfilter_load_argument(f, 0);
	callfilter_when_any(f, CLONE_THREAD, 1);
	callfilter_verdict(f, SECCOMP_RET_ALLOW);
	callfilter_verdict(f, SECCOMP_RET_ERRNO | EPERM);
	/* Its flags lie in memory, where nobody can look: the C library then
	 * takes the other one. */
	callfilter_when(f, SYS_clone3, 1);
	callfilter_verdict(f, SECCOMP_RET_ERRNO | ENOSYS);
}

/* What downloads and looking up names need; nothing of the rest of what the
 * kernel speaks. */
static void
sockets(struct callfilter *f)
{
	static const unsigned domains[] = { AF_UNIX, AF_INET, AF_INET6,
		AF_NETLINK };

	callfilter_when(f, SYS_socket, 2 + 2 * countof(domains));
	callfilter_load_argument(f, 0);
	callfilter_list(f, domains, countof(domains), SECCOMP_RET_ALLOW);
	callfilter_verdict(f, SECCOMP_RET_ERRNO | EAFNOSUPPORT);
}

void
confine_calls_or_die(void)
{
	static struct callfilter f;

	callfilter_begin(&f);
	callfilter_list(&f, allowed, countof(allowed), SECCOMP_RET_ALLOW);
	callfilter_never(&f);
	/* Each of these has its verdict behind it. */
	mapping(&f, SYS_mmap);
	mapping(&f, SYS_mprotect);
	threads(&f);
	sockets(&f);
	callfilter_verdict(&f, SECCOMP_RET_ERRNO | EPERM);
	callfilter_apply_or_die(&f);
}
