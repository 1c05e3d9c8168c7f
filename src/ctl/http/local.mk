# sandboxctl over HTTP: the commands of libctl behind another connection.
noinst_LIBRARIES += libctlhttp.a
libctlhttp_a_SOURCES = \
	src/ctl/http/api.c \
	src/ctl/http/api.h \
	src/ctl/http/api_acp.c \
	src/ctl/http/api_actions.c \
	src/ctl/http/api_body.c \
	src/ctl/http/api_sessions.c \
	src/ctl/http/backend.c \
	src/ctl/http/bridge.c \
	src/ctl/http/bridge.h \
	src/ctl/http/bridge_attach.c \
	src/ctl/http/bridge_exec.c \
	src/ctl/http/bridge_op.c \
	src/ctl/http/bridge_sandbox.c \
	src/ctl/http/bridge_session.c \
	src/ctl/http/http.c \
	src/ctl/http/http.h \
	src/ctl/http/problem.c \
	src/ctl/http/sse.c \
	src/ctl/http/sse.h \
	src/ctl/http/target.c \
	src/ctl/http/target.h \
	src/ctl/http/terminal.c \
	src/ctl/http/ws.c \
	src/ctl/http/ws.h
libctlhttp_a_CFLAGS = $(AM_CFLAGS)
