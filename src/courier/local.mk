# Downloads and installs agents. The only folder that sees libarchive.
noinst_LIBRARIES += libcourier.a
libcourier_a_SOURCES = \
	src/courier/beneath.c \
	src/courier/beneath.h \
	src/courier/confine.c \
	src/courier/confine.h \
	src/courier/confine_calls.c \
	src/courier/courier.h \
	src/courier/digest.c \
	src/courier/digest.h \
	src/courier/fetch.c \
	src/courier/fetch.h \
	src/courier/fetch_loop.c \
	src/courier/fetch_priv.h \
	src/courier/job.c \
	src/courier/job_archive.c \
	src/courier/job_finish.c \
	src/courier/job_npm.c \
	src/courier/job_pieces.c \
	src/courier/mirror.c \
	src/courier/mirror.h \
	src/courier/packument.c \
	src/courier/packument.h \
	src/courier/platform.c \
	src/courier/platform.h \
	src/courier/recipe.c \
	src/courier/recipe.h \
	src/courier/semver.c \
	src/courier/semver.h \
	src/courier/shelf.c \
	src/courier/shelf.h \
	src/courier/tree.c \
	src/courier/tree.h \
	src/courier/unpack.c \
	src/courier/unpack.h
libcourier_a_CFLAGS = $(AM_CFLAGS)
