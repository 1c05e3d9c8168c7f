# The privileged process.
noinst_LIBRARIES += libsupervisor.a
libsupervisor_a_SOURCES = \
	src/supervisor/agents.c \
	src/supervisor/agents.h \
	src/supervisor/client.h \
	src/supervisor/conf.c \
	src/supervisor/conf.h \
	src/supervisor/control.c \
	src/supervisor/control.h \
	src/supervisor/exec.c \
	src/supervisor/exec.h \
	src/supervisor/instance.c \
	src/supervisor/instance.h \
	src/supervisor/ops.c \
	src/supervisor/ops.h \
	src/supervisor/ops_sandbox.c \
	src/supervisor/ops_session.c \
	src/supervisor/peer.c \
	src/supervisor/peer.h \
	src/supervisor/proc.c \
	src/supervisor/proc.h \
	src/supervisor/proc_call.c \
	src/supervisor/proc_priv.h \
	src/supervisor/relay.c \
	src/supervisor/relay.h \
	src/supervisor/request.c \
	src/supervisor/sandbox_init.c \
	src/supervisor/sandbox_init.h \
	src/supervisor/sandbox_record.c \
	src/supervisor/sandboxes.c \
	src/supervisor/sandboxes.h \
	src/supervisor/session_end.c \
	src/supervisor/session_priv.h \
	src/supervisor/session_worker.c \
	src/supervisor/sessions.c \
	src/supervisor/sessions.h \
	src/supervisor/spawn.c \
	src/supervisor/spawn.h \
	src/supervisor/spec.c \
	src/supervisor/spec.h \
	src/supervisor/storec.c \
	src/supervisor/storec.h \
	src/supervisor/super.c \
	src/supervisor/super.h
libsupervisor_a_CFLAGS = $(AM_CFLAGS)
