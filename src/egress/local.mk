# The proxy of sandboxes with filtered network: the courier's second job, in a
# process of its own. The only folder that sees c-ares.
noinst_LIBRARIES += libegress.a
libegress_a_SOURCES = \
	src/egress/addr.c \
	src/egress/addr.h \
	src/egress/box.c \
	src/egress/confine.c \
	src/egress/confine.h \
	src/egress/conn.c \
	src/egress/conn_begin.c \
	src/egress/conn_talk.c \
	src/egress/dial.c \
	src/egress/dial.h \
	src/egress/egress.c \
	src/egress/egress.h \
	src/egress/http.c \
	src/egress/http.h \
	src/egress/note.c \
	src/egress/policy.c \
	src/egress/policy.h \
	src/egress/proxy.h \
	src/egress/resolve.c \
	src/egress/resolve.h \
	src/egress/sniff.c \
	src/egress/sniff.h \
	src/egress/socks.c \
	src/egress/socks.h \
	src/egress/target.c \
	src/egress/target.h
libegress_a_CFLAGS = $(AM_CFLAGS)
