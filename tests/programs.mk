# Programs that tests and benchmarks run and that are no tests themselves:
# `make test-programs`.
EXTRA_PROGRAMS = \
	tests/abuse/probe \
	tests/bench/bench_create \
	tests/bench/bench_store
CLEANFILES += $(EXTRA_PROGRAMS)

# Runs in any image, so static, and therefore never with sanitizers.
tests_abuse_probe_SOURCES = tests/abuse/probe.c
tests_abuse_probe_CFLAGS = -std=gnu17 -Wall -Wextra -Wpedantic -Wshadow \
	-Wstrict-prototypes -Wconversion
tests_abuse_probe_LDFLAGS = -static

tests_bench_bench_create_SOURCES = tests/bench/bench_create.c
tests_bench_bench_create_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)

tests_bench_bench_store_SOURCES = tests/bench/bench_store.c
tests_bench_bench_store_LDFLAGS = $(AM_LDFLAGS) $(SBX_PIE_LDFLAGS)
tests_bench_bench_store_LDADD = libstore.a libbase.a $(EV_LIBS) $(YAJL_LIBS) \
	$(LMDB_LIBS)

test-programs: $(EXTRA_PROGRAMS)
.PHONY: test-programs
