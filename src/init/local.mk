# PID 1 of a sandbox.
noinst_LIBRARIES += libinit.a
libinit_a_SOURCES = \
	src/init/become.c \
	src/init/become.h \
	src/init/child.c \
	src/init/child.h \
	src/init/diff.c \
	src/init/diff.h \
	src/init/exec.c \
	src/init/exec.h \
	src/init/init.h \
	src/init/pty.c \
	src/init/pty.h \
	src/init/stop.c \
	src/init/stop.h \
	src/init/sweep.c \
	src/init/sweep.h \
	src/init/user.c \
	src/init/user.h
libinit_a_CFLAGS = $(AM_CFLAGS)
