# Unit tests: one program a module, TAP on standard output. `make check` needs
# no root; what does skips and says so.

AM_TESTS_ENVIRONMENT = SANDBOXD_BUILD_DIR='$(abs_builddir)'; \
	SESSION_WORKER='$(abs_builddir)/sandboxd-session'; \
	SANDBOX_PROBE='$(abs_builddir)/tests/unit/probe_init'; \
	export SANDBOX_PROBE SANDBOXD_BUILD_DIR SESSION_WORKER;

if CMOCKA
unit_tests = \
	tests/unit/test_base64 \
	tests/unit/test_buf \
	tests/unit/test_carry \
	tests/unit/test_cgroup \
	tests/unit/test_chan \
	tests/unit/test_changes \
	tests/unit/test_claude \
	tests/unit/test_pi \
	tests/unit/test_amp \
	tests/unit/test_codex \
	tests/unit/test_codex_route \
	tests/unit/test_conf \
	tests/unit/test_logfile \
	tests/unit/test_credentials \
	tests/unit/test_courier_confine \
	tests/unit/test_courier_tree \
	tests/unit/test_courier_words \
	tests/unit/test_egress \
	tests/unit/test_ctl_apply \
	tests/unit/test_ctl_changes \
	tests/unit/test_ctl_client \
	tests/unit/test_ctl_cp \
	tests/unit/test_ctl_http \
	tests/unit/test_ctl_render \
	tests/unit/test_ctl_text \
	tests/unit/test_ctl_udiff \
	tests/unit/test_err \
	tests/unit/test_fdio \
	tests/unit/test_files \
	tests/unit/test_frame \
	tests/unit/test_hide \
	tests/unit/test_init \
	tests/unit/test_init_stop \
	tests/unit/test_init_tree \
	tests/unit/test_json \
	tests/unit/test_link \
	tests/unit/test_launch \
	tests/unit/test_log \
	tests/unit/test_mock \
	tests/unit/test_ops \
	tests/unit/test_osb \
	tests/unit/test_proc \
	tests/unit/test_proclog \
	tests/unit/test_proto \
	tests/unit/test_proxy \
	tests/unit/test_relay \
	tests/unit/test_replay \
	tests/unit/test_secrets \
	tests/unit/test_relay_load \
	tests/unit/test_remove \
	tests/unit/test_route \
	tests/unit/test_scan \
	tests/unit/test_secret \
	tests/unit/test_session \
	tests/unit/test_acp_agent \
	tests/unit/test_acp_encode \
	tests/unit/test_acp_pass \
	tests/unit/test_acp_serve \
	tests/unit/test_session_gateway \
	tests/unit/test_gateway_db \
	tests/unit/test_agents \
	tests/unit/test_spec \
	tests/unit/test_store_append \
	tests/unit/test_store_compact \
	tests/unit/test_store_confine \
	tests/unit/test_store_crash \
	tests/unit/test_store_disk \
	tests/unit/test_store_hostile \
	tests/unit/test_store_records \
	tests/unit/test_store_notes \
	tests/unit/test_store_power \
	tests/unit/test_store_tail \
	tests/unit/test_store_serve \
	tests/unit/test_strutil \
	tests/unit/test_subids \
	tests/unit/test_tar \
	tests/unit/test_universal

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
# What waits for other processes is given a second chance, and says so.
LOG_COMPILER = $(srcdir)/tests/tap
AM_LOG_FLAGS = -r 1 -t 300
endif
# Benchmarks, run by tests/bench/run.
check_PROGRAMS += tests/bench/bench_create tests/bench/bench_exec \
	tests/bench/bench_http tests/bench/bench_store
tests_bench_bench_create_SOURCES = tests/bench/bench_create.c \
	tests/bench/client.c tests/bench/client.h
tests_bench_bench_create_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_bench_bench_exec_SOURCES = tests/bench/bench_exec.c \
	tests/bench/client.c tests/bench/client.h
tests_bench_bench_exec_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_bench_bench_http_SOURCES = tests/bench/bench_http.c
tests_bench_bench_http_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_bench_bench_store_SOURCES = tests/bench/bench_store.c
tests_bench_bench_store_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_bench_bench_store_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) \
	$(LMDB_LIBS)

# What escape tests run inside, and what a launched sandbox runs instead of
# init, to look around. Static, since a sandbox need not have our libraries.
check_PROGRAMS += tests/abuse/probe
tests_abuse_probe_SOURCES = tests/abuse/probe.c
tests_abuse_probe_CFLAGS = -std=gnu17 -O1
tests_abuse_probe_LDFLAGS = -static
check_PROGRAMS += tests/abuse/liar
tests_abuse_liar_SOURCES = tests/abuse/liar.c
tests_abuse_liar_CFLAGS = -std=gnu17 -O1
tests_abuse_liar_LDFLAGS = -static
# The supervisor and the init of a sandbox with guards that can be off: proof
# tests show with them that an attack they forbid would succeed. Never installed;
# the first says so in its --version. Only what has a guard is compiled again:
# as an object of the program's own it is there before the library is asked.
check_PROGRAMS += tests/proof/unguarded tests/proof/unguarded-init
tests_proof_unguarded_SOURCES = $(sandboxd_SOURCES) src/sandbox/guard.c \
	src/lib/fdio.c src/supervisor/spawn.c \
	src/sandbox/devices.c src/sandbox/enter.c src/sandbox/mounts.c \
	src/sandbox/rootfs.c src/sandbox/trees.c
tests_proof_unguarded_CFLAGS = $(AM_CFLAGS) -DSANDBOXD_UNGUARDED
tests_proof_unguarded_LDFLAGS = $(sandboxd_LDFLAGS)
tests_proof_unguarded_LDADD = $(sandboxd_LDADD)
tests_proof_unguarded_init_SOURCES = $(sandboxd_init_SOURCES) \
	src/sandbox/guard.c src/init/become.c src/init/child.c \
	src/init/pty.c src/init/sweep.c
tests_proof_unguarded_init_CFLAGS = $(AM_CFLAGS) -DSANDBOXD_UNGUARDED
tests_proof_unguarded_init_LDFLAGS = $(sandboxd_init_LDFLAGS)
tests_proof_unguarded_init_LDADD = $(sandboxd_init_LDADD)
check_PROGRAMS += tests/unit/probe_init
tests_unit_probe_init_SOURCES = tests/unit/probe_init.c
tests_unit_probe_init_CFLAGS = $(SBX_CFLAGS) -fno-sanitize=all
tests_unit_probe_init_LDFLAGS = -static -fno-sanitize=all

EXTRA_DIST += contrib tests/abuse/10-hostile-agent.t tests/abuse/20-leaks.t \
	tests/abuse/30-create-faults.t tests/abuse/40-hostile-init.t \
	tests/abuse/50-stopped.t tests/vm \
	tests/bench/bench_memory.pl \
	tests/bench/bench_acp.pl tests/bench/bench_http.pl \
	tests/bench/bench_sandbox.pl \
	tests/bench/run tests/e2e tests/fuzz tests/proof tests/t tests/tap tests/unit/fixtures
# A folder is taken from the build as well: what was made there is not to go along.
dist-hook:
	rm -f $(distdir)/tests/proof/.dirstamp $(distdir)/tests/proof/unguarded \
		$(distdir)/tests/proof/unguarded-init

noinst_HEADERS = \
	tests/unit/codex_stand_in.h \
	tests/unit/open_fds.h \
	tests/unit/sandbox_box.h \
	tests/unit/session_play.h \
	tests/unit/stand_in.h \
	tests/unit/test_courier.h \
	tests/unit/test_ctl.h \
	tests/unit/test_init_box.h \
	tests/unit/test_init_help.h \
	tests/unit/test_init_peer.h \
	tests/unit/test_relay_peer.h \
	tests/unit/test_store_fixture.h \
	tests/unit/test_supervisor.h

tests_unit_test_base64_SOURCES = tests/unit/test_base64.c
tests_unit_test_base64_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_base64_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_base64_LDADD = libgateway.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_buf_SOURCES = tests/unit/test_buf.c
tests_unit_test_buf_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_buf_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_buf_LDADD = libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_cgroup_SOURCES = tests/unit/test_cgroup.c
tests_unit_test_cgroup_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_cgroup_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_cgroup_LDADD = libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(SECCOMP_LIBS) -lcmocka
tests_unit_test_carry_SOURCES = tests/unit/test_carry.c
tests_unit_test_carry_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_carry_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_carry_LDADD = libsupervisor.a libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(SECCOMP_LIBS) $(MD_LIBS) -lcmocka
tests_unit_test_chan_SOURCES = tests/unit/test_chan.c
tests_unit_test_chan_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_chan_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_chan_LDADD = libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_changes_SOURCES = tests/unit/test_changes.c
tests_unit_test_changes_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_changes_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_changes_LDADD = libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(SECCOMP_LIBS) -lcmocka
tests_unit_test_claude_SOURCES = tests/unit/test_claude.c tests/unit/session_play.c tests/unit/stand_in.c
tests_unit_test_claude_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_claude_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_claude_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_pi_SOURCES = tests/unit/test_pi.c tests/unit/session_play.c tests/unit/stand_in.c
tests_unit_test_pi_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_pi_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_pi_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_amp_SOURCES = tests/unit/test_amp.c tests/unit/session_play.c tests/unit/stand_in.c
tests_unit_test_amp_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_amp_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_amp_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_codex_SOURCES = tests/unit/test_codex.c tests/unit/codex_stand_in.c tests/unit/session_play.c
tests_unit_test_codex_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_codex_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_codex_route_SOURCES = tests/unit/test_codex_route.c
tests_unit_test_codex_route_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_codex_route_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_codex_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_conf_SOURCES = tests/unit/test_conf.c
tests_unit_test_conf_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_conf_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_conf_LDADD = libsupervisor.a libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(SECCOMP_LIBS) -lcmocka
tests_unit_test_courier_confine_SOURCES = tests/unit/test_courier_confine.c
tests_unit_test_courier_confine_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_courier_confine_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_courier_confine_LDADD = libcourier.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka -lpthread
tests_unit_test_courier_tree_SOURCES = tests/unit/test_courier_tree.c
tests_unit_test_courier_tree_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_courier_tree_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_courier_tree_LDADD = libcourier.a libbase.a $(MD_LIBS) $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_egress_SOURCES = tests/unit/test_egress.c
tests_unit_test_egress_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_egress_LDADD = libegress.a libbase.a $(CARES_LIBS) $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_courier_words_SOURCES = tests/unit/test_courier_words.c
tests_unit_test_courier_words_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_courier_words_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_courier_words_LDADD = libcourier.a libbase.a $(MD_LIBS) $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_ctl_apply_SOURCES = tests/unit/test_ctl_apply.c
tests_unit_test_ctl_apply_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_ctl_apply_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_ctl_apply_LDADD = libctl.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_ctl_changes_SOURCES = tests/unit/test_ctl_changes.c
tests_unit_test_ctl_changes_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_ctl_changes_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_ctl_changes_LDADD = libctl.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_ctl_cp_SOURCES = tests/unit/test_ctl_cp.c
tests_unit_test_ctl_cp_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_ctl_cp_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_ctl_cp_LDADD = libctl.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_ctl_client_SOURCES = tests/unit/test_ctl_client.c
tests_unit_test_ctl_client_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_ctl_client_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_ctl_client_LDADD = libctl.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_ctl_render_SOURCES = tests/unit/test_ctl_render.c
tests_unit_test_ctl_render_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_ctl_render_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_ctl_render_LDADD = libctl.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_ctl_http_SOURCES = tests/unit/test_ctl_http.c
tests_unit_test_ctl_http_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_ctl_http_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_ctl_http_LDADD = libctlhttp.a libctl.a libbase.a $(CURL_LIBS) $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_credentials_SOURCES = tests/unit/test_credentials.c
tests_unit_test_credentials_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_credentials_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_credentials_LDADD = libctl.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_secret_SOURCES = tests/unit/test_secret.c
tests_unit_test_secret_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_secret_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_secret_LDADD = libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_ctl_text_SOURCES = tests/unit/test_ctl_text.c
tests_unit_test_ctl_text_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_ctl_text_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_ctl_text_LDADD = libctl.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_ctl_udiff_SOURCES = tests/unit/test_ctl_udiff.c
tests_unit_test_ctl_udiff_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_ctl_udiff_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_ctl_udiff_LDADD = libctl.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_err_SOURCES = tests/unit/test_err.c
tests_unit_test_err_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_err_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_err_LDADD = libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_fdio_SOURCES = tests/unit/test_fdio.c
tests_unit_test_fdio_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_fdio_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_fdio_LDADD = libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_frame_SOURCES = tests/unit/test_frame.c
tests_unit_test_frame_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_frame_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_frame_LDADD = libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_hide_SOURCES = tests/unit/test_hide.c
tests_unit_test_hide_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_hide_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_hide_LDADD = libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(SECCOMP_LIBS) -lcmocka
tests_unit_test_init_SOURCES = tests/unit/test_init.c
tests_unit_test_init_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_init_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_init_LDADD = libinit.a libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_init_stop_SOURCES = tests/unit/test_init_stop.c
tests_unit_test_init_stop_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_init_stop_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_init_stop_LDADD = libinit.a libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_init_tree_SOURCES = tests/unit/test_init_tree.c
tests_unit_test_init_tree_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_init_tree_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_init_tree_LDADD = libinit.a libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_json_SOURCES = tests/unit/test_json.c
tests_unit_test_json_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_json_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_json_LDADD = libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_launch_SOURCES = tests/unit/test_launch.c
tests_unit_test_launch_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_launch_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_launch_LDADD = libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(SECCOMP_LIBS) -lcmocka
tests_unit_test_link_SOURCES = tests/unit/test_link.c
tests_unit_test_link_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_link_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_link_LDADD = libgateway.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_logfile_SOURCES = tests/unit/test_logfile.c
tests_unit_test_logfile_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_logfile_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_logfile_LDADD = libsupervisor.a libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(SECCOMP_LIBS) -lcmocka
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_log_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_log_LDADD = libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_secrets_SOURCES = tests/unit/test_secrets.c
tests_unit_test_secrets_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_secrets_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_secrets_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_replay_SOURCES = tests/unit/test_replay.c
tests_unit_test_replay_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_replay_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_replay_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_mock_SOURCES = tests/unit/test_mock.c tests/unit/session_play.c
tests_unit_test_mock_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_mock_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_mock_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_ops_SOURCES = tests/unit/test_ops.c
tests_unit_test_ops_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_ops_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_ops_LDADD = libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_proc_SOURCES = tests/unit/test_proc.c
tests_unit_test_proc_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_proc_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_proc_LDADD = libsupervisor.a libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(SECCOMP_LIBS) -lcmocka
tests_unit_test_proclog_SOURCES = tests/unit/test_proclog.c
tests_unit_test_proclog_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_proclog_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_proclog_LDADD = libinit.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_proto_SOURCES = tests/unit/test_proto.c
tests_unit_test_proto_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_proto_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_proto_LDADD = libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_relay_SOURCES = tests/unit/test_relay.c
tests_unit_test_relay_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_relay_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_relay_LDADD = librelay.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_relay_load_SOURCES = tests/unit/test_relay_load.c
tests_unit_test_relay_load_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_relay_load_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_relay_load_LDADD = librelay.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_remove_SOURCES = tests/unit/test_remove.c
tests_unit_test_remove_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_remove_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_remove_LDADD = libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(SECCOMP_LIBS) -lcmocka
tests_unit_test_route_SOURCES = tests/unit/test_route.c
tests_unit_test_route_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_route_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_route_LDADD = libgateway.a libbase.a $(MICROHTTPD_LIBS) $(GNUTLS_LIBS) $(WSLAY_LIBS) $(LMDB_LIBS) $(MD_LIBS) $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_scan_SOURCES = tests/unit/test_scan.c
tests_unit_test_scan_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_scan_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_scan_LDADD = libgateway.a libbase.a -lcmocka
tests_unit_test_session_SOURCES = tests/unit/test_session.c tests/unit/session_play.c
tests_unit_test_session_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_session_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_session_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_acp_agent_SOURCES = tests/unit/test_acp_agent.c tests/unit/session_play.c tests/unit/stand_in.c
tests_unit_test_acp_agent_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_acp_agent_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_acp_agent_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_acp_pass_SOURCES = tests/unit/test_acp_pass.c tests/unit/session_play.c tests/unit/stand_in.c
tests_unit_test_acp_pass_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_acp_pass_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_acp_pass_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_acp_encode_SOURCES = tests/unit/test_acp_encode.c
tests_unit_test_acp_encode_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_acp_encode_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_acp_serve_SOURCES = tests/unit/test_acp_serve.c tests/unit/session_play.c
tests_unit_test_acp_serve_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_acp_serve_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_acp_serve_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_session_gateway_SOURCES = tests/unit/test_session_gateway.c tests/unit/session_play.c
tests_unit_test_session_gateway_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_session_gateway_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_session_gateway_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_gateway_db_SOURCES = tests/unit/test_gateway_db.c
tests_unit_test_gateway_db_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_gateway_db_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_gateway_db_LDADD = libgateway.a libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(LMDB_LIBS) -lcmocka
tests_unit_test_osb_SOURCES = tests/unit/test_osb.c
tests_unit_test_osb_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_osb_LDADD = libgateway.a libbase.a $(YAJL_LIBS) -lcmocka
tests_unit_test_agents_SOURCES = tests/unit/test_agents.c
tests_unit_test_agents_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_agents_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_agents_LDADD = libsupervisor.a libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(SECCOMP_LIBS) -lcmocka
tests_unit_test_spec_SOURCES = tests/unit/test_spec.c
tests_unit_test_spec_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_spec_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_spec_LDADD = libsupervisor.a libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(SECCOMP_LIBS) $(MD_LIBS) -lcmocka
tests_unit_test_store_compact_SOURCES = tests/unit/test_store_compact.c
tests_unit_test_store_compact_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_store_compact_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_store_compact_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(LMDB_LIBS) -lcmocka
tests_unit_test_store_power_SOURCES = tests/unit/test_store_power.c
tests_unit_test_store_power_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_store_power_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_store_power_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(LMDB_LIBS) -lcmocka
tests_unit_test_store_notes_SOURCES = tests/unit/test_store_notes.c
tests_unit_test_store_notes_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_store_notes_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_store_notes_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(LMDB_LIBS) -lcmocka
tests_unit_test_store_tail_SOURCES = tests/unit/test_store_tail.c
tests_unit_test_store_tail_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_store_tail_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_store_tail_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(LMDB_LIBS) -lcmocka
tests_unit_test_store_append_SOURCES = tests/unit/test_store_append.c
tests_unit_test_store_append_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_store_append_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_store_append_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(LMDB_LIBS) -lcmocka
tests_unit_test_store_confine_SOURCES = tests/unit/test_store_confine.c
tests_unit_test_store_confine_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_store_confine_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_store_confine_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(LMDB_LIBS) -lcmocka
tests_unit_test_store_crash_SOURCES = tests/unit/test_store_crash.c
tests_unit_test_store_crash_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_store_crash_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_store_crash_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(LMDB_LIBS) -lcmocka
tests_unit_test_store_disk_SOURCES = tests/unit/test_store_disk.c
tests_unit_test_store_disk_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_store_disk_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_store_disk_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(LMDB_LIBS) -lcmocka
tests_unit_test_store_hostile_SOURCES = tests/unit/test_store_hostile.c
tests_unit_test_store_hostile_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_store_hostile_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_store_hostile_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(LMDB_LIBS) -lcmocka
tests_unit_test_store_records_SOURCES = tests/unit/test_store_records.c
tests_unit_test_store_records_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_store_records_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_store_records_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(LMDB_LIBS) -lcmocka
tests_unit_test_store_serve_SOURCES = tests/unit/test_store_serve.c
tests_unit_test_store_serve_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_store_serve_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_store_serve_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(LMDB_LIBS) -lcmocka
tests_unit_test_strutil_SOURCES = tests/unit/test_strutil.c
tests_unit_test_strutil_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_strutil_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_strutil_LDADD = libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_subids_SOURCES = tests/unit/test_subids.c
tests_unit_test_subids_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_subids_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_subids_LDADD = libsandbox.a libbase.a $(EV_LIBS) $(YAJL_LIBS) $(SECCOMP_LIBS) -lcmocka
tests_unit_test_universal_SOURCES = tests/unit/test_universal.c
tests_unit_test_universal_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_universal_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_universal_LDADD = libsession.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_proxy_SOURCES = tests/unit/test_proxy.c
tests_unit_test_proxy_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_proxy_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_proxy_LDADD = libgateway.a libinit.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_files_SOURCES = tests/unit/test_files.c
tests_unit_test_files_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_files_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_files_LDADD = libgateway.a libinit.a libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
tests_unit_test_tar_SOURCES = tests/unit/test_tar.c
tests_unit_test_tar_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_test_tar_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_unit_test_tar_LDADD = libbase.a $(EV_LIBS) $(YAJL_LIBS) -lcmocka
