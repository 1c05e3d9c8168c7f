# Output of commands to plain control clients.
noinst_LIBRARIES += librelay.a
librelay_a_SOURCES = \
	src/relay/carry.c \
	src/relay/carry.h \
	src/relay/lines.c \
	src/relay/lines.h
librelay_a_CFLAGS = $(AM_CFLAGS)
