# One worker per session.
noinst_LIBRARIES += libsession.a
libsession_a_SOURCES = \
	src/session/agent.c \
	src/session/agent.h \
	src/session/agent_find.c \
	src/session/agent_process.c \
	src/session/agent_process.h \
	src/session/agents/claude.c \
	src/session/agents/claude.h \
	src/session/agents/claude_ask.c \
	src/session/agents/claude_read.c \
	src/session/agents/claude_tools.c \
	src/session/agents/mock.c \
	src/session/agents/mock.h \
	src/session/agents/mock_script.c \
	src/session/agents/mock_work.c \
	src/session/asks.c \
	src/session/callers.c \
	src/session/callers.h \
	src/session/checkpoint.c \
	src/session/children.c \
	src/session/children.h \
	src/session/commands.c \
	src/session/content.c \
	src/session/content.h \
	src/session/keys.c \
	src/session/keys.h \
	src/session/outbox.c \
	src/session/outbox.h \
	src/session/pending.c \
	src/session/pending.h \
	src/session/session.c \
	src/session/session.h \
	src/session/tools.c \
	src/session/tools.h \
	src/session/turns.c \
	src/session/universal.c \
	src/session/universal.h
libsession_a_CFLAGS = $(AM_CFLAGS)
