# What every program uses: no privilege, no policy.
noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	src/lib/base64.c \
	src/lib/base64.h \
	src/lib/buf.c \
	src/lib/buf.h \
	src/lib/callfilter.c \
	src/lib/callfilter.h \
	src/lib/chan.c \
	src/lib/chan.h \
	src/lib/chan_priv.h \
	src/lib/chan_send.c \
	src/lib/confine.c \
	src/lib/confine.h \
	src/lib/defs.h \
	src/lib/err.c \
	src/lib/err.h \
	src/lib/errors.def \
	src/lib/fdio.c \
	src/lib/fdio.h \
	src/lib/frame.c \
	src/lib/frame.h \
	src/lib/json.c \
	src/lib/json.h \
	src/lib/json_check.c \
	src/lib/json_mend.c \
	src/lib/json_parse.c \
	src/lib/json_write.c \
	src/lib/log.c \
	src/lib/log.h \
	src/lib/ops.c \
	src/lib/ops.def \
	src/lib/ops.h \
	src/lib/ops_parse.c \
	src/lib/parent.c \
	src/lib/parent.h \
	src/lib/proclog.c \
	src/lib/proclog.h \
	src/lib/proctitle.c \
	src/lib/proctitle.h \
	src/lib/proctree.c \
	src/lib/proctree.h \
	src/lib/proto.c \
	src/lib/proto.def \
	src/lib/proto.h \
	src/lib/secret.c \
	src/lib/secret.h \
	src/lib/strutil.c \
	src/lib/strutil.h \
	src/lib/tar.c \
	src/lib/tar.h \
	src/lib/toolconf.c \
	src/lib/toolconf.h \
	src/lib/xalloc.c \
	src/lib/xalloc.h
libbase_a_CFLAGS = $(AM_CFLAGS)
