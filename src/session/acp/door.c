/*
 * The ACP door; see door.h. Runs in the session worker. Envelopes of clients
 * came through a gateway and are hostile, those of the agent's program no less:
 * what is logged is valid JSON on one line and fits an event, whatever it says;
 * requests that wait are bounded in number; an id is no more than its text.
 *
 * Who waits for a response is answered when the response is in the store, never
 * before: the answer names its sequence.
 */
#include "session/acp/door.h"

#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/acp/waits.h"
#include "session/secrets.h"
#include "session/session.h"
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Less than what the agent's may have: the mock repeats what it was told. */
#define INPUT_DEPTH (JSON_DEPTH_AGENT - 4)
#define EVENT_ROOM 512	       /* of an event, besides its envelope */
#define ID_BYTES_MAX 4096      /* of a request, as JSON text */
#define HEAD_BYTES 1024	       /* shown of a line that is no JSON */
#define KEEP_BYTES (16u << 10) /* of a buffer, between events */
#define IDLE_S 0.5
#define NOTE_S 0.02 /* a request that takes longer is noted in the record */
#define OUTBOX_BYTES_MAX (16u << 20) /* unstored, and clients have to wait */
#define STATE_BYTES_MAX (15u << 10)

struct acp_door {
	struct session *s;	     /* borrowed */
	struct acp_backend *backend; /* owned */
	struct acp_waits waits;	     /* requests without a response */
	struct buf body;	     /* the event being written */
	bool broken;		     /* the program has ended */
	bool touched;		     /* the checkpoint is to be written */
	ev_timer idle, note;
};

/* --- the log -------------------------------------------------------------- */

/* TEXT becomes the next event, as it is. A carriage return can only stand
 * between tokens; in the event stream it would end a line. Half a surrogate
 * pair is no text that anybody could keep. */
static void
log_envelope(struct acp_door *d, enum origin from, const char *text, size_t len)
{
	struct buf *b = &d->body;
	char now[TIME_TEXT_MAX];
	char *cr;
	size_t at;

	time_text(now);
	buf_clear(b);
	(void)buf_addf(b,
	    "{\"time\":\"%s\",\"native_session_id\":null,\"synthetic\":%s,"
	    "\"source\":\"%s\",\"type\":\"acp\",\"data\":{},\"raw\":",
	    now, from == FROM_DAEMON ? "true" : "false",
	    from == FROM_DAEMON ? "daemon" : "agent");
	at = b->len;
	(void)buf_add(b, text, len);
	(void)buf_addc(b, '}');
	if (b->failed) {
		log_warn("acp", "an envelope is lost");
		return;
	}
	while ((cr = memchr(b->data + at, '\r', len)) != NULL)
		*cr = ' ';
	json_mend(b->data + at, len);
	secrets_hide(d->s->secrets, b->data + at, len);
	(void)outbox_add(&d->s->out, b->data, b->len);
}

/* A notification of our own about the agent's program. */
static void
adapter_notice(struct acp_door *d, const char *method, const char *params)
{
	autofree char *text =
	    xasprintf("{\"jsonrpc\":\"2.0\",\"method\":\"_adapter/%s\","
		      "\"params\":%s}",
		method, params);

	log_envelope(d, FROM_DAEMON, text, strlen(text));
}

/* An answer of our own to a request that gets none from the agent. */
static void
error_envelope(struct acp_door *d, const char *id, const char *why)
{
	autofree char *text =
	    xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":"
		      "-32603,\"message\":\"%s\"}}",
		id, why);

	log_envelope(d, FROM_DAEMON, text, strlen(text));
}

static void
invalid(struct acp_door *d, const char *why, const char *line, size_t len)
{
	size_t budget = 2 * HEAD_BYTES;
	struct buf b;
	struct jw w;

	buf_init(&b, 8 * HEAD_BYTES);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "error", why);
	jw_key(&w, "raw");
	content_text(&w, line, len, &budget);
	jw_object_end(&w);
	if (!b.failed)
		adapter_notice(d, "invalid_stdout", b.data);
	buf_free(&b);
}

/* --- what the agent says -------------------------------------------------- */

/* The response to ID is logged: answer whoever waits for it. */
static void
responded(struct acp_door *d, const char *id)
{
	if (!acp_waits_answer(&d->waits, d->s, id, outbox_last(&d->s->out)))
		return;
	d->touched = true;
}

void
acp_notify(struct acp_door *d, const char *text, size_t len)
{
	if (len <= ACP_ENVELOPE_MAX)
		log_envelope(d, FROM_AGENT, text, len);
	else
		invalid(d, "an envelope longer than its limit", text, len);
}

void
acp_respond(struct acp_door *d, const char *id, const char *text, size_t len)
{
	if (len <= ACP_ENVELOPE_MAX)
		log_envelope(d, FROM_AGENT, text, len);
	else if (strlen(id) <= ID_BYTES_MAX)
		error_envelope(d, id, "the response is longer than its limit");
	else /* nobody has asked that */
		invalid(d, "an envelope longer than its limit", text, len);
	responded(d, id);
}

void
acp_say(struct acp_door *d, const char *text, size_t len)
{
	const char *blank = " \t\r";
	autofree char *id = NULL;
	struct json *env = NULL;
	struct err e;

	while (len > 0 && strchr(blank, text[len - 1]) != NULL)
		len--;
	while (len > 0 && strchr(blank, *text) != NULL) {
		text++;
		len--;
	}
	if (len == 0)
		return;
	if (json_parse(text, len, JSON_DEPTH_AGENT, &env, &e) == -1) {
		invalid(d, e.text, text, len);
		return;
	}
	if (json_get(env, "method") == NULL && json_get(env, "id") != NULL)
		id = acp_id_text(json_get(env, "id"));
	json_free(env);
	if (id != NULL)
		acp_respond(d, id, text, len);
	else
		acp_notify(d, text, len);
}

void
acp_say_invalid(struct acp_door *d, const char *line, size_t len, size_t total)
{
	invalid(d,
	    total > len ? "a line longer than its limit" : "not valid JSON",
	    line, len);
}

void
acp_exited(struct acp_door *d, int code, const char *stderr_tail)
{
	autofree char *params = NULL;

	if (d->broken)
		return;
	d->broken = true;
	/* The sandbox is stopped: the server goes on in the next worker, and
	 * its clients are not to think that it has ended. */
	if (d->s->stage == STAGE_LEAVING)
		return;
	if (code == -1)
		params = xstrdup("{\"code\":null,\"success\":false}");
	else
		params = xasprintf("{\"code\":%d,\"success\":%s}", code,
		    code == 0 ? "true" : "false");
	adapter_notice(d, "agent_exited", params);
	acp_waits_exited(&d->waits, d->s, code, stderr_tail);
	acp_touch(d);
}

void
acp_touch(struct acp_door *d)
{
	d->touched = true;
	outbox_touch(&d->s->out);
}

int64_t
acp_last(const struct acp_door *d)
{
	return outbox_last(&d->s->out);
}

bool
acp_settled(const struct acp_door *d)
{
	return outbox_settled(&d->s->out);
}

/* What no agent will answer any more. */
static void
fail_waits(struct acp_door *d, const char *why)
{
	struct acp_wait *w;

	while ((w = acp_waits_first(&d->waits)) != NULL) {
		autofree char *id = xstrdup(w->id);

		error_envelope(d, id, why);
		responded(d, id);
	}
}

void
acp_stopped(struct acp_door *d)
{
	if (d->s->stage == STAGE_ENDING)
		acp_exited(d, 0, NULL);
	fail_waits(d, "the server was stopped");
	acp_touch(d);
	session_over(d->s);
}

/* --- what clients say ----------------------------------------------------- */

/* The text of a request: its member, or the memory file that came with it. The
 * caller's. */
static char *
input_text(const struct json *m, const struct chan_frame *f, size_t *len_out,
    struct err *e)
{
	const struct json *text = json_get(m, "text");
	struct stat st;
	char *data;
	size_t i;

	if (text != NULL) {
		data = xmalloc(text->len + 1);
		memcpy(data, text->str, text->len);
		data[text->len] = '\0';
		*len_out = text->len;
	} else if (f->nfds != 1 || fstat(f->fds[0], &st) == -1 ||
		   !S_ISREG(st.st_mode) ||
		   lseek(f->fds[0], 0, SEEK_SET) == -1) {
		(void)err_set(e, ERR_BAD_REQUEST, "no envelope");
		return NULL;
	} else if (fd_slurp(f->fds[0], ACP_INPUT_MAX, &data, len_out, e) ==
		   -1) {
		return NULL;
	}
	/* Control characters are blanks between tokens, or no JSON at all,
	 * which the parser has to tell: only the blanks are changed. */
	for (i = 0; i < *len_out; i++)
		if (data[i] == '\n' || data[i] == '\r' || data[i] == '\t')
			data[i] = ' ';
	return data;
}

static struct json *
input_parse(const char *text, size_t len, struct err *e)
{
	struct json *env = NULL;

	if (json_parse(text, len, INPUT_DEPTH, &env, e) == -1)
		return NULL;
	if (env->type != JSON_OBJECT) {
		json_free(env);
		(void)err_set(e, ERR_BAD_REQUEST,
		    "request body must be a JSON-RPC object");
		return NULL;
	}
	return env;
}

void
acp_door_take(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f)
{
	struct acp_door *d = s->door;
	autofree char *text = NULL, *id = NULL;
	struct json *env = NULL;
	size_t len = 0;
	struct err e;

	text = input_text(m, f, &len, &e);
	if (text != NULL)
		env = input_parse(text, len, &e);
	if (env == NULL) {
		session_reply_failed(s, who, &e);
		return;
	}
	if (json_get(env, "method") != NULL && json_get(env, "id") != NULL)
		id = acp_id_text(json_get(env, "id"));
	if (d->broken) {
		acp_reply_broken(s, who);
	} else if (s->out.refused) {
		session_reply_err(s, who, ERR_DISK_FULL,
		    "the store accepts no events at present");
	} else if (s->out.bytes > OUTBOX_BYTES_MAX) {
		session_reply_err(
		    s, who, ERR_LIMIT, "the store does not keep up");
	} else if (id != NULL && strlen(id) > ID_BYTES_MAX) {
		session_reply_err(
		    s, who, ERR_BAD_REQUEST, "the id is too long");
	} else if (id != NULL && d->waits.n >= ACP_PENDING_MAX) {
		session_reply_err(s, who, ERR_LIMIT,
		    "too many requests wait for their response");
	} else if (id == NULL) {
		d->backend->ops->envelope(d->backend, env, text, len);
		session_reply_ok(s, who);
	} else {
		ev_timer_stop(s->loop, &d->idle);
		acp_waits_add(&d->waits, id, who);
		d->touched = true;
		d->backend->ops->envelope(d->backend, env, text, len);
		/* One that takes time is to be known of after a crash; most
		 * are answered before that costs them a commit of its own. */
		if (acp_waits_first(&d->waits) != NULL &&
		    !ev_is_active(&d->note)) {
			ev_timer_set(&d->note, NOTE_S, 0.);
			ev_timer_start(s->loop, &d->note);
		}
	}
	json_free(env);
}

/* --- the session ---------------------------------------------------------- */

static void
on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct acp_door *d = w->data;

	(void)loop, (void)revents;
	buf_clear(&d->body);
	buf_trim(&d->body, 0);
	(void)malloc_trim(0);
}

static void
on_note(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct acp_door *d = w->data;

	(void)loop, (void)revents;
	if (acp_waits_first(&d->waits) != NULL)
		acp_touch(d);
}

/* The former worker's requests have nobody to answer them, unless their
 * clients read the log. */
static void
adopt_checkpoint(struct acp_door *d, const struct json *c)
{
	const struct acp_backend_ops *ops = d->backend->ops;

	if (strcmp(json_str(c, "backend", ""), ops->name) == 0)
		ops->checkpoint_read(d->backend, json_get(c, "state"));
	json_foreach (it, json_get(c, "open")) {
		autofree char *id = acp_id_text(it);

		error_envelope(d, id,
		    "the server's worker was restarted while the request "
		    "ran");
	}
	d->touched = true;
}

static int
acp_kind_open(struct session *s, bool fresh, struct err *e)
{
	struct acp_door *d = xcalloc(1, sizeof(*d));
	char **program = acp_program(&s->conf);
	const struct acp_backend_ops *ops =
	    program != NULL || strcmp(s->conf.protocol, "acp") == 0
		? &acp_pass
		: &acp_serve;

	strv_free(program);
	/* What passes through stays as it is, to the byte. */
	if (ops == &acp_serve)
		s->secrets = secrets_of(s->conf.env);
	s->door = d;
	d->s = s;
	acp_waits_init(&d->waits);
	buf_init(&d->body, ACP_ENVELOPE_MAX + EVENT_ROOM);
	ev_timer_init(&d->idle, on_idle, IDLE_S, 0.);
	d->idle.data = d;
	ev_timer_init(&d->note, on_note, NOTE_S, 0.);
	d->note.data = d;
	d->backend = xcalloc(1, ops->size);
	d->backend->ops = ops;
	d->backend->door = d;
	d->backend->conf = &s->conf;
	d->backend->session = s;
	d->backend->loop = s->loop;
	if (!fresh)
		adopt_checkpoint(d, json_get(s->record, "checkpoint"));
	return ops->open(d->backend, fresh, e);
}

static void
acp_kind_set(struct session *s, struct jw *w)
{
	struct acp_door *d = s->door;
	const char *state;
	struct buf b;
	struct jw c;

	if (d == NULL || !d->touched)
		return;
	d->touched = false;
	state = acp_waits_first(&d->waits) != NULL ? "turn" : "idle";
	if (s->stage == STAGE_READY && strcmp(s->state, state) != 0) {
		session_tell_busy(s, state);
		s->state = state;
		s->dirty |= SET_STATE;
	}
	buf_init(&b, STATE_BYTES_MAX);
	jw_init(&c, &b);
	jw_object(&c);
	jw_kstr(&c, "backend", d->backend->ops->name);
	jw_key(&c, "open");
	acp_waits_write(&d->waits, &c);
	jw_key(&c, "state");
	jw_object(&c);
	d->backend->ops->checkpoint_write(d->backend, &c);
	jw_object_end(&c);
	jw_object_end(&c);
	if (b.failed) {
		log_warn("acp", "the checkpoint does not fit");
	} else if (s->checkpoint == NULL ||
		   strcmp(s->checkpoint, b.data) != 0) {
		jw_key(w, "checkpoint");
		jw_raw(w, b.data, b.len);
		free(s->checkpoint);
		s->checkpoint = buf_steal(&b);
	}
	buf_free(&b);
}

static void
acp_kind_pause(struct session *s, bool on)
{
	s->door->backend->ops->pause(s->door->backend, on);
}

static void
acp_kind_settled(struct session *s)
{
	struct acp_door *d = s->door;

	buf_clear(&d->body);
	buf_trim(&d->body, KEEP_BYTES);
	if (acp_waits_first(&d->waits) == NULL && !ev_is_active(&d->idle))
		ev_timer_start(s->loop, &d->idle);
}

static void
acp_kind_stop(struct session *s)
{
	s->door->backend->ops->stop(s->door->backend);
}

static void
acp_kind_close(struct session *s)
{
	struct acp_door *d = STEAL(s->door);

	if (d == NULL)
		return;
	d->backend->ops->close(d->backend);
	free(d->backend);
	ev_timer_stop(s->loop, &d->idle);
	ev_timer_stop(s->loop, &d->note);
	acp_waits_free(&d->waits);
	buf_free(&d->body);
	free(d);
}

const struct session_kind kind_acp = {
	.name = "acp",
	.open = acp_kind_open,
	.set = acp_kind_set,
	.pause = acp_kind_pause,
	.settled = acp_kind_settled,
	.stop = acp_kind_stop,
	.close = acp_kind_close,
};
