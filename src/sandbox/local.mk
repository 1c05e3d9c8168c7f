# Runs between clone and exec; linked by sandboxd, and by init to read changes.
noinst_LIBRARIES += libsandbox.a
libsandbox_a_SOURCES = \
	src/sandbox/cgroup.c \
	src/sandbox/cgroup.h \
	src/sandbox/cgroup_find.c \
	src/sandbox/cgroup_find.h \
	src/sandbox/cgroup_limits.c \
	src/sandbox/cgroup_own.c \
	src/sandbox/cgroup_pressure.c \
	src/sandbox/cgroup_pressure.h \
	src/sandbox/cgroup_priv.h \
	src/sandbox/changes.c \
	src/sandbox/changes.h \
	src/sandbox/creds.c \
	src/sandbox/creds.h \
	src/sandbox/devices.c \
	src/sandbox/devices.h \
	src/sandbox/disk.c \
	src/sandbox/disk.h \
	src/sandbox/disk_image.c \
	src/sandbox/disk_priv.h \
	src/sandbox/enter.c \
	src/sandbox/hide.c \
	src/sandbox/hide.h \
	src/sandbox/hide_look.c \
	src/sandbox/hide_look.h \
	src/sandbox/host.c \
	src/sandbox/landlock.c \
	src/sandbox/landlock.h \
	src/sandbox/launch.c \
	src/sandbox/launch.h \
	src/sandbox/mask.def \
	src/sandbox/mounts.c \
	src/sandbox/mounts.h \
	src/sandbox/netpool.c \
	src/sandbox/netpool.h \
	src/sandbox/ns.c \
	src/sandbox/ns.h \
	src/sandbox/plan.c \
	src/sandbox/plan.h \
	src/sandbox/reduced.c \
	src/sandbox/remove.c \
	src/sandbox/remove.h \
	src/sandbox/rootfs.c \
	src/sandbox/rootfs.h \
	src/sandbox/rootfs_more.c \
	src/sandbox/seccomp.c \
	src/sandbox/seccomp.def \
	src/sandbox/seccomp.h \
	src/sandbox/seccomp_args.c \
	src/sandbox/seccomp_list.c \
	src/sandbox/seccomp_list.h \
	src/sandbox/setup.h \
	src/sandbox/trees.c \
	src/sandbox/trees.h
libsandbox_a_CFLAGS = $(AM_CFLAGS)
