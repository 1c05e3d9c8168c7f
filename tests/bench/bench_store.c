/*
 * Durable events per second through the store, against a bare LMDB loop that
 * inserts values of the same size into one table, at the same batch sizes, on
 * the same disk, in the same run, in turns.
 *
 *	bench_store [DIRECTORY]	default: $TMPDIR or /tmp
 *	bench_store --log EVENTS [DIRECTORY]
 *
 * The second form: one session's log of so many events; how long the first
 * event from a random place takes, how fast a piece of it comes, and how much
 * memory of its own the store then has.
 *
 * One JSON line for each figure. `workers` is the number of channels that
 * append at the same time, `window` how many appends of a channel are under
 * way before it waits for an answer: 1 is the strictest, a commit for each
 * append of a lone worker; real workers do not wait before they go on.
 */
#include "lib/fdio.h"
#include "lib/frame.h"
#include "lib/json.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define EVENT_BYTES 400 /* as stored */
#define ROUNDS 5
#define ROUND_S .4
#define WORKERS_MAX 8
#define MAP_BYTES ((size_t)8 << 30)

static char root_dir[4000];
static pid_t owner;

static void die(const char *what) ATTR_NORETURN;

static void
die(const char *what)
{
	(void)fprintf(stderr, "bench_store: %s: %s\n", what, strerror(errno));
	exit(EXIT_SYS);
}

static double
now_s(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

static void
directory(char *dst, size_t size, const char *name)
{
	if (str_format(dst, size, "%s/%s", root_dir, name) == -1 ||
	    mkdir(dst, 0700) == -1)
		die(name);
}

static void
directory_remove(const char *name)
{
	static const char *const files[] = { "/data.mdb", "/lock.mdb", "" };
	char path[4096];
	size_t i;

	for (i = 0; i < countof(files); i++) {
		if (str_format(path, sizeof(path), "%s/%s%s", root_dir, name,
			files[i]) == 0)
			(void)remove(path); /* what is there */
	}
}

static void
clean_up(void)
{
	if (getpid() != owner)
		return;
	directory_remove("bare");
	directory_remove("store");
	directory_remove("");
}

/* --- the bare loop ------------------------------------------------------- */

struct bare {
	MDB_env *env;
	MDB_dbi dbi;
	uint64_t next;
};

static void
bare_must(int rc)
{
	if (rc != 0) {
		(void)fprintf(
		    stderr, "bench_store: bare loop: %s\n", mdb_strerror(rc));
		exit(EXIT_SYS);
	}
}

static void
bare_open(struct bare *b)
{
	char dir[4096];
	MDB_txn *txn;

	directory(dir, sizeof(dir), "bare");
	bare_must(mdb_env_create(&b->env));
	bare_must(mdb_env_set_mapsize(b->env, MAP_BYTES));
	bare_must(mdb_env_open(b->env, dir, MDB_NOTLS, 0600));
	bare_must(mdb_txn_begin(b->env, NULL, 0, &txn));
	bare_must(mdb_dbi_open(txn, NULL, 0, &b->dbi));
	bare_must(mdb_txn_commit(txn));
	b->next = 1;
}

/* Events per second. */
static double
bare_round(struct bare *b, int batch)
{
	static char value[EVENT_BYTES];
	double start = now_s(), end;
	MDB_cursor *cur;
	MDB_txn *txn;
	MDB_val k, v;
	uint64_t key[2], n = 0;
	int i;

	memset(value, 'x', sizeof(value));
	do {
		bare_must(mdb_txn_begin(b->env, NULL, 0, &txn));
		bare_must(mdb_cursor_open(txn, b->dbi, &cur));
		for (i = 0; i < batch; i++, n++) {
			key[0] = htobe64(1);
			key[1] = htobe64(b->next++);
			k = val(key, sizeof(key));
			v = val(value, sizeof(value));
			bare_must(mdb_cursor_put(cur, &k, &v, MDB_APPEND));
		}
		bare_must(mdb_txn_commit(txn));
		end = now_s();
	} while (end - start < ROUND_S);
	return (double)n / (end - start);
}

/* --- the store ----------------------------------------------------------- */

struct worker_end {
	int fd;
	int64_t id, next;
	int under_way;
};

struct bench {
	pid_t pid;
	int super_fd;
	int64_t id;
	struct worker_end w[WORKERS_MAX];
	struct buf events; /* of one append, as text */
};

static struct json *
receive(int fd)
{
	unsigned char h[FRAME_HEADER];
	struct json *j;
	struct err e;
	size_t len, at;
	char *text;
	ssize_t n;

	for (at = 0; at < sizeof(h); at += (size_t)n) {
		n = read(fd, h + at, sizeof(h) - at);
		if (n <= 0)
			die("the store hung up");
	}
	len =
	    (size_t)h[0] << 24 | (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3];
	text = xmalloc(len);
	for (at = 0; at < len; at += (size_t)n) {
		n = read(fd, text + at, len - at);
		if (n <= 0)
			die("the store hung up");
	}
	if (json_parse(text, len, 80, &j, &e) == -1)
		die(e.text);
	free(text);
	return j;
}

static void
request(struct bench *b, const char *op, const char *rest, int fd)
{
	struct json *j;
	struct buf f;
	size_t pos;

	buf_init(&f, FRAME_MAX);
	pos = frame_begin(&f);
	(void)buf_addf(&f, "{\"op\":\"%s\",\"id\":%lld%s%s}", op,
	    (long long)++b->id, rest, fd != -1 ? ",\"fds\":1" : "");
	if (frame_end(&f, pos) == -1 || fd_send(b->super_fd, f.data, f.len, &fd,
					    fd != -1) != (ssize_t)f.len)
		die(op);
	buf_free(&f);
	do {
		j = receive(b->super_fd);
		if (json_get(j, "error") != NULL) {
			errno = 0;
			die(json_str(json_get(j, "error"), "detail", op));
		}
		pos = json_int(j, "id", 0) == b->id;
		json_free(j);
	} while (!pos);
}

static void
worker_attach(struct bench *b, int n)
{
	char rest[100];
	struct err e;
	int theirs;

	(void)snprintf(rest, sizeof(rest),
	    ",\"db\":\"sessions\",\"key\":\"s%d\",\"record\":{\"id\":\"s%d\"}",
	    n, n);
	request(b, "put", rest, -1);
	if (fd_socketpair(&b->w[n].fd, &theirs, &e) == -1)
		die(e.text);
	(void)fd_set_nonblock(b->w[n].fd, 0);
	(void)snprintf(rest, sizeof(rest), ",\"session\":\"s%d\"", n);
	request(b, "attach", rest, theirs);
	(void)close(theirs);
	json_free(receive(b->w[n].fd));
	b->w[n].next = 1;
}

static void
bench_start(struct bench *b)
{
	struct store_options opt = { .db = { .path = ".",
					 .durability = DURABILITY_FULL,
					 .map_bytes = MAP_BYTES } };
	char dir[4096];
	struct err e;
	int theirs, i;

	memset(b, 0, sizeof(*b));
	directory(dir, sizeof(dir), "store");
	if (fd_socketpair(&b->super_fd, &theirs, &e) == -1)
		die(e.text);
	b->pid = fork();
	if (b->pid == -1)
		die("fork");
	if (b->pid == 0) {
		(void)close(b->super_fd);
		if (chdir(dir) == -1)
			die(dir);
		opt.super_fd = theirs;
		_exit(store_run(&opt));
	}
	(void)close(theirs);
	(void)fd_set_nonblock(b->super_fd, 0);
	json_free(receive(b->super_fd)); /* hello */
	for (i = 0; i < WORKERS_MAX; i++)
		worker_attach(b, i);
	buf_init(&b->events, FRAME_MAX);
}

static void
bench_stop(struct bench *b)
{
	int i;

	for (i = 0; i < WORKERS_MAX; i++)
		fd_close(&b->w[i].fd);
	fd_close(&b->super_fd);
	(void)waitpid(b->pid, NULL, 0);
	buf_free(&b->events);
}

/* A delta as an agent's stream gives it, long enough to be stored in
 * EVENT_BYTES once it has its number and its session. */
static void
events_make(struct bench *b, int batch)
{
	static const char form[] =
	    "{\"time\":\"2026-11-21T02:56:07.100787888Z\","
	    "\"native_session_id\":\"0b6e1c9e-72d5-4c3b-9d8f-2f1f6a3c5e77\","
	    "\"synthetic\":false,\"source\":\"agent\",\"type\":\"item.delta\","
	    "\"data\":{\"item_id\":\"itm_1\",\"native_item_id\":\"msg_01\","
	    "\"delta\":\"%.*s\"},\"raw\":{\"type\":\"delta\",\"index\":0}}";
	static const char text[] =
	    "The quick brown fox \\\"jumps\\\" over the lazy dog, \\n and "
	    "does it once more for good measure. 0123456789 abcdefghij";
	const int added = 76; /* members that the store puts in */
	int fill = EVENT_BYTES - added -
		   (int)(sizeof(form) - 1 - (sizeof("%.*s") - 1));
	int i;

	buf_clear(&b->events);
	for (i = 0; i < batch; i++) {
		if (i > 0)
			(void)buf_addc(&b->events, ',');
		(void)buf_addf(
		    &b->events, form, MIN(fill, (int)sizeof(text) - 1), text);
	}
}

static void
append_send(struct bench *b, struct worker_end *w, int batch)
{
	static struct buf f;
	size_t pos;

	if (f.cap == 0)
		buf_init(&f, (size_t)2 * FRAME_MAX);
	buf_clear(&f);
	pos = frame_begin(&f);
	(void)buf_addf(&f,
	    "{\"op\":\"append\",\"id\":%lld,\"first\":%lld,\"events\":[",
	    (long long)++w->id, (long long)w->next);
	(void)buf_add(&f, b->events.data, b->events.len);
	(void)buf_adds(&f, "]}");
	if (frame_end(&f, pos) == -1 ||
	    fd_write_all(w->fd, f.data, f.len) == -1)
		die("append");
	w->next += batch;
	w->under_way++;
}

static void
answer_receive(struct worker_end *w)
{
	struct json *j = receive(w->fd);

	if (json_get(j, "ok") == NULL)
		die("an append was refused");
	json_free(j);
	w->under_way--;
}

/* Events per second of WORKERS channels with WINDOW appends under way. */
static double
store_round(struct bench *b, int workers, int window, int batch)
{
	struct pollfd p[WORKERS_MAX];
	double start = now_s(), end;
	uint64_t n = 0;
	bool stop = false;
	int i, busy;

	for (i = 0; i < workers; i++)
		p[i] = (struct pollfd){ b->w[i].fd, POLLIN, 0 };
	do {
		busy = 0;
		for (i = 0; i < workers; i++) {
			while (!stop && b->w[i].under_way < window)
				append_send(b, &b->w[i], batch);
			busy += b->w[i].under_way;
		}
		if (busy == 0)
			break;
		if (poll(p, (nfds_t)workers, 20000) <= 0)
			die("no answer");
		for (i = 0; i < workers; i++) {
			if (p[i].revents == 0)
				continue;
			answer_receive(&b->w[i]);
			n += (uint64_t)batch;
		}
		end = now_s();
		stop = end - start >= ROUND_S;
	} while (true);
	return (double)n / (now_s() - start);
}

static void
compare(struct bench *b, struct bare *bare, int workers, int window, int batch)
{
	double ours[ROUNDS], peer[ROUNDS], ratio[ROUNDS];
	int i;

	events_make(b, batch);
	for (i = 0; i < ROUNDS; i++) {
		peer[i] = bare_round(bare, batch);
		ours[i] = store_round(b, workers, window, batch);
		ratio[i] = ours[i] / peer[i];
	}
	(void)printf("{\"bench\":\"store_events_per_second\",\"batch\":%d,"
		     "\"workers\":%d,\"window\":%d,\"value\":%.0f,"
		     "\"peer\":\"bare_lmdb\",\"peer_value\":%.0f,"
		     "\"ratio\":%.2f}\n",
	    batch, workers, window, median(ours, ROUNDS), median(peer, ROUNDS),
	    median(ratio, ROUNDS));
	(void)fflush(stdout);
}

/* --- one long log -------------------------------------------------------- */

#define PROBES 2000
#define REPLAY_EVENTS 1000000

static void
log_fill(struct bench *b, int64_t events)
{
	struct worker_end *w = &b->w[0];
	int batch = 256;
	double start = now_s();

	events_make(b, batch);
	while (w->next <= events || w->under_way > 0) {
		while (w->next <= events && w->under_way < 8)
			append_send(b, w, batch);
		answer_receive(w);
	}
	(void)printf("{\"bench\":\"store_log_filled\",\"events\":%lld,"
		     "\"value\":%.0f,\"unit\":\"1/s\"}\n",
	    (long long)w->next - 1, (double)(w->next - 1) / (now_s() - start));
	(void)fflush(stdout);
}

/* What the store has for itself, in KiB: without the pages of the file. */
static long
memory_kib(pid_t pid)
{
	char path[64], line[200];
	long kib = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		(void)sscanf(line, "RssAnon: %ld", &kib);
	if (f != NULL)
		(void)fclose(f);
	return kib;
}

/* Ask for LIMIT events after AFTER; the seconds until the first is there. The
 * rest is read and thrown away. */
static double
replay(struct bench *b, int64_t after, int64_t limit, double *all_s_out)
{
	static char piece[1 << 18];
	char rest[200];
	struct err e;
	struct buf f;
	int ours, theirs;
	double start, first = 0;
	size_t pos;
	ssize_t n;
	int64_t lines = 0;

	if (fd_socketpair(&ours, &theirs, &e) == -1)
		die(e.text);
	(void)fd_set_nonblock(ours, 0);
	(void)snprintf(rest, sizeof(rest),
	    ",\"kind\":\"events\",\"request\":\"1\",\"session\":\"s0\","
	    "\"after\":%lld,\"limit\":%lld",
	    (long long)after, (long long)limit);
	buf_init(&f, FRAME_MAX);
	pos = frame_begin(&f);
	(void)buf_addf(&f, "{\"op\":\"serve\",\"id\":%lld%s,\"fds\":1}",
	    (long long)++b->id, rest);
	start = now_s();
	if (frame_end(&f, pos) == -1 ||
	    fd_send(b->super_fd, f.data, f.len, &theirs, 1) != (ssize_t)f.len)
		die("serve");
	(void)close(theirs);
	buf_free(&f);
	/* The store lets go of its end when the last line is written. */
	while ((n = read(ours, piece, sizeof(piece))) > 0) {
		if (first == 0)
			first = now_s() - start;
		for (char *p = piece;
		     (p = memchr(p, '\n', (size_t)(piece + n - p))) != NULL;
		     p++)
			lines++;
	}
	*all_s_out = now_s() - start;
	if (lines != limit + 1) /* and the final line */
		die("not as many events as were asked for");
	(void)close(ours);
	json_free(receive(b->super_fd));
	return first;
}

static void
log_bench(int64_t events)
{
	static double first[PROBES];
	struct bench b;
	double all_s;
	long before, after;
	int64_t n = MIN(events, (int64_t)REPLAY_EVENTS);

	bench_start(&b);
	before = memory_kib(b.pid);
	log_fill(&b, events);
	srandom(1); /* the same places each time */
	for (int i = 0; i < PROBES; i++)
		first[i] = replay(&b, random() % events, 1, &all_s);
	qsort(first, PROBES, sizeof(first[0]), by_value);
	(void)printf("{\"bench\":\"store_first_event\",\"events\":%lld,"
		     "\"median_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,"
		     "\"goal\":\"p99 2 ms\"}\n",
	    (long long)events, first[PROBES / 2] * 1e3,
	    first[PROBES * 99 / 100] * 1e3, first[PROBES - 1] * 1e3);
	(void)replay(&b, events - n, n, &all_s);
	after = memory_kib(b.pid);
	(void)printf("{\"bench\":\"store_replay\",\"events\":%lld,"
		     "\"value\":%.0f,\"unit\":\"1/s\"}\n",
	    (long long)n, (double)n / all_s);
	(void)printf("{\"bench\":\"store_memory\",\"events\":%lld,"
		     "\"before_kib\":%ld,\"after_kib\":%ld}\n",
	    (long long)events, before, after);
	(void)fflush(stdout);
	bench_stop(&b);
}

int
main(int argc, char *argv[])
{
	static const int batches[] = { 1, 16, 256 };
	bool log = argc > 2 && strcmp(argv[1], "--log") == 0;
	const char *base =
	    argc > (log ? 3 : 1) ? argv[log ? 3 : 1] : getenv("TMPDIR");
	int64_t events = 0;
	struct bench b;
	struct bare bare;
	size_t i;

	if (str_format(root_dir, sizeof(root_dir), "%s/bench_store.XXXXXX",
		base != NULL ? base : "/tmp") == -1 ||
	    mkdtemp(root_dir) == NULL)
		die("temporary directory");
	owner = getpid();
	(void)atexit(clean_up);
	if (log) {
		if (str_to_int(argv[2], 1000, INT64_C(1) << 40, &events) == -1)
			die("how many events?");
		log_bench(events);
		return EXIT_OK;
	}
	bench_start(&b);
	bare_open(&bare);
	for (i = 0; i < countof(batches); i++)
		compare(&b, &bare, 1, 1, batches[i]);
	for (i = 0; i < countof(batches); i++)
		compare(&b, &bare, 1, 4, batches[i]);
	for (i = 0; i < countof(batches); i++)
		compare(&b, &bare, WORKERS_MAX, 1, batches[i]);
	mdb_env_close(bare.env);
	bench_stop(&b);
	return EXIT_OK;
}
