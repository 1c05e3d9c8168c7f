/*
 * The calls the proxy may make: sockets of the Internet, memory, time. No file
 * can be opened: it has none to open, in its empty root; what it is to know of
 * resolv.conf comes as a descriptor. Whoever takes it over and tries to start
 * a program, or to get back what was given up, ends it. Written out rather than
 * given to libseccomp, as the gateway's list is.
 */
#include "egress/confine.h"

#include "lib/callfilter.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static const unsigned allowed[] = {
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_close,
	SYS_fstat,
	SYS_newfstatat, /* of descriptors */
	SYS_lseek,
	SYS_fcntl,
	SYS_ioctl,
	SYS_accept4,
	SYS_connect,
	SYS_bind,
	SYS_shutdown,
	SYS_getsockopt,
	SYS_setsockopt,
	SYS_getsockname,
	SYS_getpeername,
	SYS_recvfrom,
	SYS_recvmsg,
	SYS_sendto,
	SYS_sendmsg,
	SYS_epoll_ctl,
	SYS_epoll_pwait,
	SYS_ppoll,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_brk,
	SYS_futex,
	SYS_exit,
	SYS_exit_group,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_restart_syscall,
	SYS_clock_gettime,
	SYS_clock_nanosleep,
	SYS_gettimeofday,
	SYS_getrandom,
	SYS_getpid,
	SYS_gettid,
	SYS_timerfd_settime,
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
#endif
#ifdef SYS_poll
	SYS_poll,
#endif
};

static void
sockets(struct callfilter *f)
{
	static const unsigned domains[] = { AF_INET, AF_INET6 };

	callfilter_when(f, SYS_socket, 2 + 2 * countof(domains));
	callfilter_load_argument(f, 0);
	callfilter_list(f, domains, countof(domains), SECCOMP_RET_ALLOW);
	callfilter_verdict(f, SECCOMP_RET_ERRNO | EAFNOSUPPORT);
}

void
egress_confine_calls_or_die(void)
{
	static struct callfilter f;

	callfilter_begin(&f);
	callfilter_list(&f, allowed, countof(allowed), SECCOMP_RET_ALLOW);
	callfilter_never(&f);
	callfilter_list(
	    &f, &(const unsigned){ SYS_clone3 }, 1, SECCOMP_RET_KILL_PROCESS);
	callfilter_no_new_code(&f);
	sockets(&f);
	callfilter_verdict(&f, SECCOMP_RET_ERRNO | EPERM);
	callfilter_apply_or_die(&f);
}
