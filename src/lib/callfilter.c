/*
 * See callfilter.h. Linked into every program; what is built here comes from
 * constants alone.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif
#include "callfilter.h"

#include "log.h"

#include <errno.h>
#include <linux/audit.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#	define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#	define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#	define ARCH AUDIT_ARCH_RISCV64
#endif

static void
put(struct callfilter *f, struct sock_filter instruction)
{
	if (f->len == CALLFILTER_MAX)
		fatal("confine", "the list of calls is too long");
	f->code[f->len++] = instruction;
}

static void
load(struct callfilter *f, size_t offset)
{
	put(f, (struct sock_filter)BPF_STMT(
		   BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

void
callfilter_begin(struct callfilter *f)
{
	f->len = 0;
	load(f, offsetof(struct seccomp_data, arch));
	put(f, (struct sock_filter)BPF_JUMP(
		   BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
	callfilter_verdict(f, SECCOMP_RET_KILL_PROCESS);
	load(f, offsetof(struct seccomp_data, nr));
}

void
callfilter_load_argument(struct callfilter *f, unsigned n)
{
	load(f, offsetof(struct seccomp_data, args) + 8 * n +
		    (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0));
}

void
callfilter_mask(struct callfilter *f, unsigned mask)
{
	put(f, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
}

void
callfilter_when(struct callfilter *f, unsigned v, unsigned char n)
{
	put(f,
	    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, v, 0, n));
}

void
callfilter_when_any(struct callfilter *f, unsigned v, unsigned char n)
{
	put(f,
	    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, v, 0, n));
}

void
callfilter_verdict(struct callfilter *f, unsigned verdict)
{
	put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

void
callfilter_list(
    struct callfilter *f, const unsigned *values, size_t n, unsigned verdict)
{
	for (size_t i = 0; i < n; i++) {
		callfilter_when(f, values[i], 1);
		callfilter_verdict(f, verdict);
	}
}

static const unsigned never[] = {
	SYS_execve,
	SYS_execveat,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_setns,
	SYS_unshare,
	SYS_open_by_handle_at,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_init_module,
	SYS_finit_module,
	SYS_kexec_load,
	SYS_reboot,
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	SYS_setuid,
	SYS_setgid,
	SYS_setresuid,
	SYS_setresgid,
	SYS_setgroups,
	SYS_capset,
#ifdef SYS_fork
	SYS_fork,
	SYS_vfork,
#endif
};

void
callfilter_never(struct callfilter *f)
{
	callfilter_list(f, never, countof(never), SECCOMP_RET_KILL_PROCESS);
}

void
callfilter_no_new_code(struct callfilter *f)
{
	static const unsigned mapping[] = { SYS_mmap, SYS_mprotect };

	for (size_t i = 0; i < countof(mapping); i++) {
		callfilter_when(f, mapping[i], 4);
		callfilter_load_argument(f, 2);
		callfilter_when_any(f, PROT_EXEC, 1);
		callfilter_verdict(f, SECCOMP_RET_KILL_PROCESS);
		callfilter_verdict(f, SECCOMP_RET_ALLOW);
	}
}

void
callfilter_apply_or_die(const struct callfilter *f)
{
	struct sock_fprog prog = { .len = f->len };

#ifdef SANITIZED
	return;
#endif
	/* The kernel reads it; its type is older than const. */
	memcpy(&prog.filter, &(const struct sock_filter *){ f->code },
	    sizeof(prog.filter));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) == -1)
		fatal("confine", "seccomp: %s", strerror(errno));
}
