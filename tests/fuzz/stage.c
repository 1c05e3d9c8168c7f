/*
 * See stage.h. It also stands for the parts of the system that the worker's
 * code would reach: its clock is the input's, and what would write to the disk
 * is refused while an input is played.
 */
#include "fuzz.h"
#include "stage.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/acp/door.h"
#include "session/children.h"
#include "session/conf.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RECORD_MAX 24
#define GO_MAX 2000 /* rounds in which something happens, after one line */
#define LINES_MAX 4000

static struct {
	bool on;
	int64_t now_ms;
	const char *kind, *protocol;
	struct session s;
	struct ev_loop *loop;
	char *key[RECORD_MAX], *value[RECORD_MAX]; /* owned: the record */
	unsigned nrecord;
} st;

/* --- the system ------------------------------------------------------------
 */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	if (!st.on || id != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = 100000 + st.now_ms / 1000;
	ts->tv_nsec = st.now_ms % 1000 * 1000000;
	return 0;
}

int
openat(int dir_fd, const char *path, int flags, ...)
{
	(void)dir_fd, (void)path, (void)flags;
	errno = EACCES; /* nothing but the mock writes, and by this */
	return -1;
}

int
mkdir(const char *path, mode_t mode)
{
	if (!st.on)
		return (int)syscall(SYS_mkdir, path, mode);
	errno = EACCES;
	return -1;
}

int
symlink(const char *target, const char *path)
{
	(void)target, (void)path;
	errno = EACCES;
	return -1;
}

int
rename(const char *from, const char *to)
{
	if (!st.on)
		return (int)syscall(SYS_rename, from, to);
	errno = EACCES;
	return -1;
}

int
renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned f)
{
	(void)from_fd, (void)from, (void)to_fd, (void)to, (void)f;
	errno = EACCES;
	return -1;
}

int
unlink(const char *path)
{
	if (!st.on)
		return (int)syscall(SYS_unlink, path);
	errno = EACCES;
	return -1;
}

/* Ids that are made up are the same each time. */
ssize_t
getrandom(void *p, size_t n, unsigned flags)
{
	static unsigned char v;

	if (!st.on)
		return syscall(SYS_getrandom, p, n, flags);
	memset(p, v++, n);
	return (ssize_t)n;
}

/* The mock's way to crash. */
int
raise(int signal_no)
{
	return st.on && signal_no == SIGKILL
		   ? 0
		   : (int)syscall(SYS_tgkill, getpid(), gettid(), signal_no);
}

/* --- the session -----------------------------------------------------------
 */

void
stage_trace(const char *what, const char *text, size_t len)
{
	static int on = -1;

	if (on == -1)
		on = getenv("STAGE_TRACE") != NULL;
	if (on)
		fprintf(stderr, "%s %.*s\n", what, (int)len, text);
}

void
stage_record(const char *key, const char *json, size_t len)
{
	unsigned i;

	for (i = 0; i < st.nrecord; i++)
		if (strcmp(st.key[i], key) == 0)
			break;
	CHECK(i < RECORD_MAX);
	stage_trace("record", json, len);
	if (i == st.nrecord)
		st.key[st.nrecord++] = xstrdup(key);
	else
		free(st.value[i]);
	st.value[i] = xstrndup(json, len);
}

static void
record_free(void)
{
	while (st.nrecord > 0) {
		free(st.key[--st.nrecord]);
		free(st.value[st.nrecord]);
	}
}

static struct json *
record(void)
{
	struct json *j = NULL;
	struct buf b;

	buf_init(&b, 4u << 20);
	for (unsigned i = 0; i < st.nrecord; i++)
		(void)buf_addf(&b, "%c\"%s\":%s", i > 0 ? ',' : '{', st.key[i],
		    st.value[i]);
	(void)buf_addf(&b, "%s", st.nrecord > 0 ? "}" : "{}");
	CHECK(!b.failed);
	CHECK(json_parse(b.data, b.len, JSON_DEPTH_AGENT + 8, &j, NULL) == 0);
	buf_free(&b);
	return j;
}

static void
configure(struct agent_conf *c)
{
	static const char text[] =
	    "{\"session\":\"ses_1\",\"agent\":\"a\",\"command\":[\"agent\"],"
	    "\"env\":{\"PATH\":\"/bin\",\"OPENAI_API_KEY\":\"k\","
	    "\"ANTHROPIC_API_KEY\":\"k\"},\"directory\":\"/nonexistent\","
	    "\"permission_mode\":\"default\",\"agent_mode\":\"build\","
	    "\"version_args\":[\"--version\"],\"options\":[{\"id\":\"model\","
	    "\"name\":\"Model\",\"category\":\"model\",\"type\":\"select\","
	    "\"currentValue\":\"m1\",\"options\":[{\"value\":\"m1\",\"name\":"
	    "\"M1\"},{\"value\":\"m2\",\"name\":\"M2\"}]}],"
	    "\"mcp\":{\"m\":{\"type\":\"local\",\"command\":[\"/bin/m\"]},"
	    "\"r\":{\"type\":\"remote\",\"url\":\"http://127.0.0.1/\"}}}";
	struct json *j = NULL;

	CHECK(json_parse(text, sizeof(text) - 1, 16, &j, NULL) == 0);
	conf_read(c, j);
	json_free(j);
	conf_set(&c->kind, st.kind);
	conf_set(&c->protocol, st.protocol);
}

static void
go(void)
{
	unsigned i;

	for (i = 0; i < GO_MAX; i++) {
		ev_run(st.loop, EVRUN_NOWAIT);
		if (!stage_programs_go() && ev_pending_count(st.loop) == 0)
			break;
	}
}

static bool
begin(bool fresh)
{
	struct session *s = &st.s;
	struct err e;

	session_init(s, st.loop);
	configure(&s->conf);
	s->start_id = 1;
	s->kind = strcmp(st.kind, "acp") == 0	  ? &kind_acp
		  : strcmp(st.kind, "probe") == 0 ? &kind_probe
						  : &kind_universal;
	if (!fresh)
		s->record = record();
	if (s->kind->open(s, fresh, &e) == -1) {
		CHECK(e.code != ERR_NONE && e.text[0] != '\0');
		return false;
	}
	s->stage = STAGE_READY;
	json_free(STEAL(s->record));
	session_state(s, "idle");
	if (s->kind->opened != NULL)
		s->kind->opened(s);
	go();
	return true;
}

static void
drop(void)
{
	session_free(&st.s);
	CHECK(stage_programs_none());
	/* A timer that was left behind would now use what is gone. */
	st.now_ms += 86400000;
	ev_run(st.loop, EVRUN_NOWAIT);
}

static bool
again(const char *checkpoint, size_t len)
{
	struct json *j = NULL;
	int i;

	if (checkpoint != NULL) {
		if (json_parse(checkpoint, len, JSON_DEPTH_AGENT, &j, NULL) ==
		    -1)
			return true; /* the store would not have it */
		json_free(j);
	}
	/* What is said when something was stored (the tail was waited for) has
	 * to be stored as well, or the log would know more than the record. */
	for (i = 0; i < 16 && (i == 0 || st.s.out.attached); i++)
		stage_store(&st.s.out, true);
	drop();
	if (checkpoint != NULL) {
		stage_record("checkpoint", checkpoint, len);
		stage_log_other();
	}
	return begin(false);
}

/* Everything has to end when it is told to, whatever came before. */
static void
end(void)
{
	struct session *s = &st.s;
	int i;

	stage_programs.clog = false;
	session_end(s, 0);
	for (i = 0; i < 60 && strcmp(s->state, "ended") != 0; i++) {
		go();
		stage_store(&s->out, true);
		st.now_ms += 500;
		stage_programs_time();
	}
	CHECK(strcmp(s->state, "ended") == 0);
	stage_store(&s->out, true);
	stage_log_check(true);
}

/* --- what the input says ---------------------------------------------------
 */

/* Up to the next blank, which is skipped; the caller's. */
static char *
word(const char **at, size_t *len)
{
	const char *blank = memchr(*at, ' ', *len);
	size_t n = blank != NULL ? (size_t)(blank - *at) : *len;
	char *w = xstrndup(*at, n);

	n += blank != NULL;
	*at += n;
	*len -= n;
	return w;
}

static const struct asker nobody = { 0, 0 };

static void
prompt(const char *text, size_t len, bool more)
{
	static const char parts[] =
	    "[{\"type\":\"image\",\"data\":\"aGk=\",\"mimeType\":\"image/"
	    "png\"},{\"type\":\"resource_link\",\"uri\":\"file:///x/y\","
	    "\"name\":\"y\"},{\"type\":\"resource\",\"resource\":{\"uri\":"
	    "\"file:///z\",\"text\":\"of z\"}}]";

	if (utf8_valid_prefix(text, len) != len)
		return;
	session_prompt(&st.s, nobody, xstrndup(text, len), strnlen(text, len),
	    more ? xstrdup(parts) : NULL, NULL);
}

static void
permission(const char *at, size_t len)
{
	autofree char *how = word(&at, &len);
	autofree char *id = xstrndup(at, len);

	session_permission(&st.s, nobody, id,
	    strcmp(how, "once") == 0	 ? REPLY_ONCE
	    : strcmp(how, "always") == 0 ? REPLY_ALWAYS
					 : REPLY_REJECT,
	    strcmp(how, "why") == 0 ? "because" : NULL);
}

static void
question(const char *at, size_t len)
{
	autofree char *id = word(&at, &len);
	struct json *j = NULL;

	if (json_parse(at, len, 4, &j, NULL) == -1)
		return;
	/* proto.def lets a list of lists through, of anything. */
	if (j->type == JSON_ARRAY)
		session_question(&st.s, nobody, id, j);
	else
		session_question(&st.s, nobody, id, NULL);
	json_free(j);
}

static void
setting(const char *at, size_t len)
{
	autofree char *name = word(&at, &len);
	autofree char *value = xstrndup(at, len);
	struct agent_conf *c = &st.s.conf;
	struct agent_settings set = { 0 };
	const struct {
		const char *name;
		const char **value;
		char **member;
	} all[] = {
		{ "model", &set.model, &c->model },
		{ "permission_mode", &set.permission_mode,
		    &c->permission_mode },
		{ "agent_mode", &set.agent_mode, &c->agent_mode },
		{ "thought_level", &set.thought_level, &c->thought_level },
	};
	struct err e;

	for (size_t i = 0; i < countof(all); i++) {
		if (strcmp(all[i].name, name) != 0)
			continue;
		*all[i].value = value;
		if (st.s.agent->ops->configure(st.s.agent, &set, &e) == 0)
			conf_set(all[i].member, value);
	}
}

/* With the ids that were heard last in place of @S@ and @R@; the caller's. */
static char *
with_ids(const char *text, size_t *len)
{
	struct buf b;

	buf_init(&b, 16u << 20);
	for (size_t i = 0; i < *len; i++) {
		bool mark =
		    *len - i >= 3 && text[i] == '@' && text[i + 2] == '@';

		if (mark && text[i + 1] == 'S')
			(void)buf_addf(&b, "%s", stage_heard.session);
		else if (mark && text[i + 1] == 'R')
			(void)buf_addf(&b, "%s", stage_heard.request);
		else
			mark = false;
		if (mark)
			i += 2;
		else
			(void)buf_addc(&b, text[i]);
	}
	*len = b.len;
	return buf_steal(&b);
}

static void
envelope(const char *at, size_t len)
{
	autofree char *text = with_ids(at, &len);
	struct json *m = NULL;
	struct chan_frame f = { 0 };
	struct buf b;
	struct jw w;

	if (utf8_valid_prefix(text, len) != len)
		return;
	buf_init(&b, 16u << 20);
	jw_init(&w, &b);
	jw_object(&w);
	jw_key(&w, "text");
	jw_strn(&w, text, len);
	jw_object_end(&w);
	CHECK(json_parse(b.data, b.len, 8, &m, NULL) == 0);
	acp_door_take(&st.s, nobody, m, &f);
	json_free(m);
	buf_free(&b);
}

static void
long_line(const char *at, size_t len)
{
	autofree char *number = word(&at, &len);

	(void)stage_says(at, len, strtoul(number, NULL, 10));
}

static void
time_goes_by(const char *at, size_t len)
{
	autofree char *number = word(&at, &len);
	unsigned long n = strtoul(number, NULL, 10);

	st.now_ms += (int64_t)MIN(n, 100000ul) * 100;
	stage_programs_time();
}

/* What users of a universal session do. */
static void
user(char kind, const char *at, size_t len)
{
	if (kind == 'p' || kind == 'i')
		prompt(at, len, kind == 'i');
	else if (kind == 'c')
		session_cancel(&st.s, nobody);
	else if (kind == 'a')
		permission(at, len);
	else if (kind == 'q')
		question(at, len);
	else if (kind == 's')
		setting(at, len);
}

/* False: the session could not be begun again. */
static bool
act(char kind, const char *at, size_t len)
{
	if (kind == '>')
		(void)stage_says(at, len, len);
	else if (kind == '|')
		long_line(at, len);
	else if (kind == '2')
		(void)stage_complains(at, len);
	else if (kind == 'x')
		(void)stage_exits(
		    len > 0 ? at[0] == '-' ? 127 : at[0] - '0' : 0);
	else if (kind == 'w')
		time_goes_by(at, len);
	else if (kind == 't' || kind == 'T')
		stage_store(&st.s.out, kind == 't');
	else if (kind == 'n')
		stage_programs.refuse = !stage_programs.refuse;
	else if (kind == 'k')
		stage_programs.clog = !stage_programs.clog;
	else if (kind == 'd')
		stage_programs.deaf = !stage_programs.deaf;
	else if (kind == 'r')
		return again(NULL, 0);
	else if (kind == '=')
		return again(at, len);
	else if (kind == '<' && st.s.kind == &kind_acp)
		envelope(at, len);
	else if (st.s.kind == &kind_universal)
		user(kind, at, len);
	go();
	return true;
}

static bool
lines(const char *at, size_t left)
{
	for (unsigned i = 0; left > 0 && i < LINES_MAX; i++) {
		const char *nl = memchr(at, '\n', left);
		size_t len = nl != NULL ? (size_t)(nl - at) : left;
		size_t skip = len > 1 ? 2 : len;

		if (len > 0)
			stage_trace("input ", at, len);
		if (len > 0 && !act(at[0], at + skip, len - skip))
			return false;
		len += nl != NULL;
		at += len;
		left -= len;
	}
	return true;
}

static void
quiet(void *ctx, enum log_level level, const char *line, size_t len)
{
	(void)ctx, (void)level, (void)line, (void)len;
}

void
stage_play(
    const char *kind, const char *protocol, const uint8_t *data, size_t size)
{
	log_sink(quiet, NULL);
	st.kind = kind;
	st.protocol = protocol;
	st.now_ms = 0;
	st.on = true;
	stage_programs_init();
	stage_log_init(kind);
	st.loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_POLL);
	CHECK(st.loop != NULL);
	if (begin(true) && lines((const char *)data, size))
		end();
	drop();
	ev_loop_destroy(st.loop);
	record_free();
	st.on = false;
}
