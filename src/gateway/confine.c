/*
 * The calls a gateway may make: what moves bytes between descriptors that it
 * holds, what waits, memory that is never executed, and little else. Nothing
 * that names a file, an address or another process. Runs in sandboxd-gateway,
 * once, when everything that needs more is done.
 *
 * Whoever takes us over tries first to start a program or to look into another
 * process: that ends us. Other calls only fail, as a library may try one and
 * do without it. Written out rather than given to libseccomp: that library
 * costs more memory than all that we keep.
 */
#include "gateway/confine.h"

#include "lib/callfilter.h"

#include <errno.h>
#include <sys/syscall.h>

static const unsigned allowed[] = {
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_pwrite64,
	SYS_preadv,
	SYS_pwritev,
	SYS_lseek,
	SYS_close,
	SYS_close_range,
	SYS_recvfrom,
	SYS_recvmsg,
	SYS_sendto,
	SYS_sendmsg,
	SYS_accept4,
	SYS_shutdown,
	SYS_getsockopt,
	SYS_setsockopt,
	SYS_getsockname,
	SYS_getpeername,
	SYS_socketpair,
	SYS_pipe2,
	SYS_sendfile,
	SYS_splice,
	SYS_tee,
	SYS_epoll_create1,
	SYS_epoll_ctl,
	SYS_epoll_pwait,
	SYS_eventfd2,
	SYS_ppoll,
	SYS_pselect6,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_brk,
	SYS_fstat,
	SYS_fcntl,
	SYS_ioctl,
	SYS_dup,
	SYS_dup3,
	SYS_memfd_create,
	SYS_ftruncate,
	SYS_fadvise64,
	SYS_clock_gettime,
	SYS_clock_nanosleep,
	SYS_gettimeofday,
	SYS_nanosleep,
	SYS_getrandom,
	SYS_getpid,
	SYS_gettid,
	SYS_getuid,
	SYS_geteuid,
	SYS_getgid,
	SYS_getegid,
	SYS_getrusage,
	SYS_sysinfo,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_sigaltstack,
	SYS_futex,
	SYS_exit,
	SYS_exit_group,
	SYS_sched_yield,
	SYS_restart_syscall,
	SYS_getcpu,
	SYS_membarrier,
#ifdef SYS_rseq
	SYS_rseq,
#endif
	/* fstat() of some C libraries; a path needs a directory, and ours is
	 * empty. */
	SYS_newfstatat,
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
#endif
#ifdef SYS_poll
	SYS_poll,
	SYS_select,
#endif
#ifdef SYS_pipe
	SYS_pipe,
	SYS_dup2,
#endif
#ifdef SYS_time
	SYS_time,
#endif
};

void
confine_calls_or_die(void)
{
	static struct callfilter f;

	callfilter_begin(&f);
	callfilter_list(&f, allowed, countof(allowed), SECCOMP_RET_ALLOW);
	callfilter_no_new_code(&f);
	callfilter_never(&f);
	callfilter_verdict(&f, SECCOMP_RET_ERRNO | EPERM);
	callfilter_apply_or_die(&f);
}
