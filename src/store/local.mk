# The only process that writes LMDB.
noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = \
	src/store/append.c \
	src/store/append.h \
	src/store/backup.c \
	src/store/backup.h \
	src/store/batch.c \
	src/store/batch.h \
	src/store/commit.c \
	src/store/commit_notes.c \
	src/store/commit_priv.h \
	src/store/commit_trim.c \
	src/store/compact.c \
	src/store/compact.h \
	src/store/confine.c \
	src/store/confine.h \
	src/store/feed.c \
	src/store/feed.h \
	src/store/names.c \
	src/store/names.h \
	src/store/noter.c \
	src/store/notes.c \
	src/store/notes.h \
	src/store/purge.c \
	src/store/purge.h \
	src/store/record.c \
	src/store/record.h \
	src/store/requests.c \
	src/store/requests.h \
	src/store/look.c \
	src/store/look.h \
	src/store/restore.c \
	src/store/restore.h \
	src/store/retain.c \
	src/store/retain.h \
	src/store/schema.c \
	src/store/schema.h \
	src/store/serve.c \
	src/store/serve.h \
	src/store/sessions.c \
	src/store/sessions.h \
	src/store/store.c \
	src/store/store.h \
	src/store/stored.h \
	src/store/stream.c \
	src/store/stream.h \
	src/store/tail.c \
	src/store/tail.h \
	src/store/upgrade.c \
	src/store/upgrade.h \
	src/store/worker.c \
	src/store/worker.h
libstore_a_CFLAGS = $(AM_CFLAGS)
