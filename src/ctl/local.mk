# The client.
noinst_LIBRARIES += libctl.a
libctl_a_SOURCES = \
	src/ctl/agents.c \
	src/ctl/agents.h \
	src/ctl/apply.c \
	src/ctl/apply.h \
	src/ctl/ask.c \
	src/ctl/backend.h \
	src/ctl/beneath.c \
	src/ctl/beneath.h \
	src/ctl/changes.c \
	src/ctl/changes.h \
	src/ctl/client.c \
	src/ctl/client.h \
	src/ctl/cmd_apply.c \
	src/ctl/cmd_diff.c \
	src/ctl/cmd_exec.c \
	src/ctl/cmd_lifecycle.c \
	src/ctl/cmd_run.c \
	src/ctl/cmd_sandbox.c \
	src/ctl/cmd_session.c \
	src/ctl/cmd_talk.c \
	src/ctl/cmd_token.c \
	src/ctl/command.c \
	src/ctl/commands.h \
	src/ctl/ctl.c \
	src/ctl/ctl.h \
	src/ctl/follow.c \
	src/ctl/follow.h \
	src/ctl/opt.c \
	src/ctl/opt.h \
	src/ctl/patch.c \
	src/ctl/patch.h \
	src/ctl/pump.c \
	src/ctl/pump.h \
	src/ctl/render.c \
	src/ctl/render.h \
	src/ctl/review.c \
	src/ctl/review.h \
	src/ctl/show.c \
	src/ctl/show.h \
	src/ctl/signals.c \
	src/ctl/signals.h \
	src/ctl/spec.c \
	src/ctl/spec.h \
	src/ctl/table.c \
	src/ctl/table.h \
	src/ctl/term.c \
	src/ctl/term.h \
	src/ctl/text.c \
	src/ctl/text.h \
	src/ctl/turn.c \
	src/ctl/turn.h \
	src/ctl/udiff.c \
	src/ctl/udiff.h
libctl_a_CFLAGS = $(AM_CFLAGS)
