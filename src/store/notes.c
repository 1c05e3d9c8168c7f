/*
 * Entries of the logs of sandboxes. Runs in the store. Those of the supervisor
 * are trusted in what they say; those of the courier hold words of programs in
 * a sandbox (names of hosts), so all are checked alike: flat, short, UTF-8.
 */
#include "store/notes.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "store/stored.h"

#include <ctype.h>
#include <string.h>

static bool
is_name(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!islower((unsigned char)s[i]) &&
		    (i == 0 || (!isdigit((unsigned char)s[i]) && s[i] != '_' &&
				   s[i] != '.')))
			return false;
	}
	return len > 0 && len <= NOTE_NAME_MAX;
}

static int
member_check(const struct json *it, struct err *e)
{
	int64_t n;

	if (!is_name(it->key, strlen(it->key)))
		return err_set(e, ERR_BAD_REQUEST, "note: a member's name");
	switch (it->type) {
	case JSON_BOOL:
		return 0;
	case JSON_NUMBER:
		if (json_number_int(it, &n) == 0)
			return 0;
		break;
	case JSON_STRING:
		if (it->len <= NOTE_STRING_MAX && strlen(it->str) == it->len)
			return 0;
		break;
	case JSON_NULL:
	case JSON_ARRAY:
	case JSON_OBJECT:
	case JSON_TYPE_N:
		break;
	}
	return err_set(e, ERR_BAD_REQUEST,
	    "note: %s: no short text, whole number or boolean", it->key);
}

int
note_build(
    const struct json *note, int64_t at_ms, struct buf *out, struct err *e)
{
	const char *event = json_str(note, "event", "");
	unsigned n = 0;
	struct jw w;

	if (!is_name(event, strlen(event)))
		return err_set(e, ERR_BAD_REQUEST, "note: no event");
	buf_clear(out);
	jw_init(&w, out);
	jw_object(&w);
	jw_kint(&w, "at", at_ms);
	jw_kstr(&w, "event", event);
	json_foreach (it, note) {
		if (strcmp(it->key, "seq") == 0 || strcmp(it->key, "at") == 0 ||
		    strcmp(it->key, "event") == 0)
			continue;
		if (member_check(it, e) == -1)
			return -1;
		if (++n > NOTE_MEMBERS_MAX)
			return err_set(
			    e, ERR_BAD_REQUEST, "note: too many members");
		jw_kvalue(&w, it->key, it);
	}
	jw_object_end(&w);
	if (out->failed)
		return err_set(e, ERR_TOO_LARGE, "note: longer than %d bytes",
		    NOTE_BYTES_MAX);
	buf_consume(out, 1); /* the brace: a number comes before */
	return 0;
}

/* --- those in use -------------------------------------------------------- */

int
notes_open(struct store *st, const char *sandbox, struct session **s_out,
    struct err *e)
{
	return log_open(st, LOG_OF_SANDBOX, sandbox, s_out, e);
}

void
notes_grew(struct store *st, const char *sandbox, uint64_t log, uint64_t last)
{
	struct session *s = log_find(st, LOG_OF_SANDBOX, sandbox);

	if (s == NULL || s->log != log)
		return;
	s->last = MAX(s->last, last);
	s->staged = s->last;
	session_wake(st, s);
}

void
notes_closed(struct store *st, const char *sandbox, uint64_t log)
{
	struct session *s = log_find(st, LOG_OF_SANDBOX, sandbox);

	if (s == NULL || s->log != log)
		return;
	s->closed = true;
	session_wake(st, s);
	(void)session_hold(s);
	noters_drop(st, s);
	session_release(s);
}

void
notes_removed(struct store *st, const char *sandbox, uint64_t log)
{
	struct session *s = log_find(st, LOG_OF_SANDBOX, sandbox);

	if (s == NULL || s->log != log)
		return;
	(void)session_hold(s);
	noters_drop(st, s);
	session_removed(st, s);
	session_release(s);
}
