/*
 * Counting. Runs in sandboxd-gateway, in memory that all gateways share: each
 * writes its own slot only, and reads of the others numbers, which it trusts
 * as far as printing them.
 */
#include "gateway/metrics.h"
#include "gateway/route.h"
#include "lib/xalloc.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SLOTS_MAX 64
#define CLASSES 5 /* 1xx to 5xx */

/* Upper ends of the classes of durations, in seconds. */
static const double ends[] = { .0005, .001, .0025, .005, .01, .025, .05, .1,
	.25, 1, 5, 30 };
#define ENDS countof(ends)

struct per_route {
	_Atomic uint64_t requests[CLASSES];
	_Atomic uint64_t took[ENDS + 1];
	_Atomic uint64_t took_us;
};

struct slot {
	_Atomic uint64_t used;
	_Atomic uint64_t connections, accepted, streams;
	_Atomic uint64_t refused[REFUSED_N];
	_Atomic uint64_t in, out;
	_Atomic uint64_t memory;
	struct per_route routes[ROUTE_N + 1];
};

struct metrics {
	char *base;
	size_t size, slot_size;
	unsigned slots;
	struct slot *own;
};

/* Only we write our slot: no need for the bus. */
static inline void
add(_Atomic uint64_t *v, uint64_t n)
{
	atomic_store_explicit(v,
	    atomic_load_explicit(v, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

static inline void
set(_Atomic uint64_t *v, uint64_t n)
{
	atomic_store_explicit(v, n, memory_order_relaxed);
}

int
metrics_open(struct gateway *gw, int page_fd, unsigned slots, struct err *e)
{
	struct metrics *m = xcalloc(1, sizeof(*m));
	struct stat st;
	void *p;

	gw->metrics = m;
	if (fstat(page_fd, &st) == -1)
		return err_sys(e, "counters");
	m->slots = slots;
	m->size = (size_t)st.st_size;
	m->slot_size = slots > 0 ? m->size / slots / 4096 * 4096 : 0;
	if (slots > SLOTS_MAX || gw->index >= slots ||
	    m->slot_size < sizeof(struct slot))
		return err_set(e, ERR_BAD_REQUEST, "no room for counters");
	p = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, "map counters");
	m->base = p;
	m->own = (void *)(m->base + gw->index * m->slot_size);
	set(&m->own->used, 1);
	set(&m->own->connections, 0);
	set(&m->own->streams, 0);
	return 0;
}

void
metrics_request(struct gateway *gw, enum route_id route, unsigned status,
    double seconds, uint64_t in, uint64_t out)
{
	struct slot *s = gw->metrics->own;
	struct per_route *r = &s->routes[route];
	size_t i;

	if (status >= 100 && status < 600)
		add(&r->requests[status / 100 - 1], 1);
	for (i = 0; i < ENDS && seconds > ends[i]; i++)
		;
	add(&r->took[i], 1);
	if (seconds > 0)
		add(&r->took_us, (uint64_t)(seconds * 1e6));
	add(&s->in, in);
	add(&s->out, out);
}

void
metrics_connections(struct gateway *gw, size_t now, bool added)
{
	set(&gw->metrics->own->connections, now);
	if (added)
		add(&gw->metrics->own->accepted, 1);
}

void
metrics_streams(struct gateway *gw, int change)
{
	add(&gw->metrics->own->streams, (uint64_t)(int64_t)change);
}

void
metrics_refused(struct gateway *gw, enum metric_refused why)
{
	add(&gw->metrics->own->refused[why], 1);
}

/* How many gateways have a slot in use. */
static unsigned
metrics_alive(const struct gateway *gw)
{
	const struct metrics *m = gw->metrics;
	unsigned i, n = 0;

	for (i = 0; i < m->slots; i++) {
		const struct slot *s =
		    (const void *)(m->base + i * m->slot_size);

		n += s->used != 0;
	}
	return n;
}

/*
 * Telling
 */

/* The sum of what lies at this place of each slot. */
static uint64_t
sum(const struct metrics *m, const _Atomic uint64_t *own)
{
	size_t at = (size_t)((const char *)own - (const char *)m->own);
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < m->slots; i++) {
		const _Atomic uint64_t *v =
		    (const void *)(m->base + i * m->slot_size + at);

		n += atomic_load_explicit(v, memory_order_relaxed);
	}
	return n;
}

static void
head(struct buf *b, const char *name, const char *type, const char *help)
{
	(void)buf_addf(b, "# HELP sandboxd_%s %s\n# TYPE sandboxd_%s %s\n",
	    name, help, name, type);
}

static void
one(struct buf *b, const char *name, const char *type, const char *help,
    uint64_t v)
{
	head(b, name, type, help);
	(void)buf_addf(b, "sandboxd_%s %" PRIu64 "\n", name, v);
}

static const char *
route_label(size_t i)
{
	return i < ROUTE_N ? route_table[i].path : "none";
}

static const char *
scope_label(size_t i)
{
	if (i == ROUTE_N)
		return "";
	return route_table[i].scope == SCOPE_INST ? "/i/{sandbox}" : "";
}

static const char *
method_label(size_t i)
{
	return i < ROUTE_N ? method_text(route_table[i].method) : "ANY";
}

static void
write_requests(const struct metrics *m, struct buf *b)
{
	size_t i, c;
	uint64_t n;

	head(b, "http_requests_total", "counter",
	    "Requests answered, by route and class of status.");
	for (i = 0; i <= ROUTE_N; i++)
		for (c = 0; c < CLASSES; c++) {
			n = sum(m, &m->own->routes[i].requests[c]);
			if (n == 0)
				continue;
			(void)buf_addf(b,
			    "sandboxd_http_requests_total{route=\"%s%s\","
			    "method=\"%s\",status=\"%zuxx\"} %" PRIu64 "\n",
			    scope_label(i), route_label(i), method_label(i),
			    c + 1, n);
		}
}

static void
write_took(const struct metrics *m, struct buf *b, size_t i)
{
	const struct per_route *r = &m->own->routes[i];
	uint64_t n = 0;
	char end[16];
	size_t c;

	for (c = 0; c <= ENDS; c++)
		n += sum(m, &r->took[c]);
	if (n == 0)
		return;
	n = 0;
	for (c = 0; c <= ENDS; c++) {
		n += sum(m, &r->took[c]);
		(void)snprintf(end, sizeof(end), c < ENDS ? "%g" : "+Inf",
		    c < ENDS ? ends[c] : 0.); /* short */
		(void)buf_addf(b,
		    "sandboxd_http_request_seconds_bucket{route=\"%s%s\","
		    "method=\"%s\",le=\"%s\"} %" PRIu64 "\n",
		    scope_label(i), route_label(i), method_label(i), end, n);
	}
	(void)buf_addf(b,
	    "sandboxd_http_request_seconds_sum{route=\"%s%s\","
	    "method=\"%s\"} %.6f\n"
	    "sandboxd_http_request_seconds_count{route=\"%s%s\","
	    "method=\"%s\"} %" PRIu64 "\n",
	    scope_label(i), route_label(i), method_label(i),
	    (double)sum(m, &r->took_us) / 1e6, scope_label(i), route_label(i),
	    method_label(i), n);
}

void
metrics_write(struct gateway *gw, struct buf *b)
{
	const struct metrics *m = gw->metrics;
	const struct slot *s = m->own;
	struct rusage ru;
	size_t i;

	if (getrusage(RUSAGE_SELF, &ru) == 0)
		set(&m->own->memory, (uint64_t)ru.ru_maxrss * 1024);
	write_requests(m, b);
	head(b, "http_request_seconds", "histogram",
	    "From the request line to the last byte of the answer.");
	for (i = 0; i <= ROUTE_N; i++)
		write_took(m, b, i);
	one(b, "http_connections", "gauge", "Connections that are open.",
	    sum(m, &s->connections));
	one(b, "http_connections_total", "counter", "Connections accepted.",
	    sum(m, &s->accepted));
	one(b, "http_streams", "gauge", "Answers that are streams, open now.",
	    sum(m, &s->streams));
	one(b, "http_received_bytes_total", "counter", "Bytes of bodies.",
	    sum(m, &s->in));
	one(b, "http_sent_bytes_total", "counter", "Bytes of answers' bodies.",
	    sum(m, &s->out));
	one(b, "http_refused_total", "counter",
	    "Connections that were refused: too many.",
	    sum(m, &s->refused[REFUSED_CONNECTIONS]));
	one(b, "http_slow_total", "counter",
	    "Connections that were cut: nothing went on.",
	    sum(m, &s->refused[REFUSED_SLOW]));
	one(b, "gateway_peak_bytes", "gauge",
	    "Memory of the gateways that were asked, at most so far.",
	    sum(m, &s->memory));
	one(b, "gateways", "gauge", "Gateways that have counted.",
	    metrics_alive(gw));
}
