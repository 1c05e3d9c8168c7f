/*
 * Reader of a hostile stream of changes; see changes.h. Runs as the caller,
 * trusts nothing that it reads, keeps at most one line and one chunk of it.
 */
#include "ctl/changes.h"
#include "ctl/signals.h"
#include "lib/strutil.h"
#include "sandbox/changes.h"
#include <errno.h>
#include <poll.h>
#include <string.h>

#define CHUNK 65536
#define LINE_MAX_BYTES (64u * 1024)
#define FILE_MAX_BYTES (INT64_C(1) << 42)

const char *
change_type_name(enum change_type t)
{
	static const char *const names[CHANGE_TYPE_N] = { "file", "dir",
		"replace_dir", "symlink", "delete", "error" };

	return names[t];
}

void
changes_init(struct changes *ch, int fd, struct client *reply)
{
	*ch = (struct changes){ .fd = fd, .reply = reply };
	buf_init(&ch->in, LINE_MAX_BYTES + 2 * CHUNK);
}

void
changes_free(struct changes *ch)
{
	fd_close(&ch->fd);
	buf_free(&ch->in);
}

bool
change_path_ok(const char *path)
{
	const char *p = path;

	if (strlen(path) >= PATH_MAX)
		return false;
	for (;;) {
		size_t n = strcspn(p, "/");

		if (n == 0 || n > NAME_MAX || (n == 1 && p[0] == '.') ||
		    (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (p[n] == '\0')
			return true;
		p += n + 1;
	}
}

/* --- bytes --------------------------------------------------------------- */

/* The supervisor has answered, or hung up: an error ends the reading, "ok"
 * only says that no more will be written. */
static int
take_answer(struct changes *ch, int timeout_ms, struct err *e)
{
	struct answer a;
	enum client_got got;

	if (ch->reply == NULL || ch->answered)
		return 0;
	if (client_line(ch->reply, timeout_ms, &got, &a, e) == -1)
		return -1;
	if (got == CLIENT_WAIT)
		return 0;
	if (got == CLIENT_EOF)
		return err_set(
		    e, ERR_SYSTEM, "the supervisor hung up without an answer");
	ch->answered = true;
	if (a.kind == ANSWER_ERROR) {
		(void)answer_error(ch->reply->ctl, &a, e);
		answer_free(&a);
		return -1;
	}
	answer_free(&a);
	return 0;
}

static int
cut_off(struct changes *ch, struct err *e)
{
	/* The supervisor knows best why. */
	if (take_answer(ch, -1, e) == -1)
		return -1;
	return err_set(e, ERR_SANDBOX_FAILED,
	    "the sandbox's list of changes ends too early");
}

static int
more(struct changes *ch, struct err *e)
{
	enum {
		STREAM,
		REPLY,
		SIGNALS,
		N
	};
	struct pollfd pfd[N] = {
		{ .fd = ch->fd, .events = POLLIN },
		{ .fd = ch->reply == NULL || ch->answered ? -1 : ch->reply->fd,
		    .events = POLLIN },
		{ .fd = signals_fd(), .events = POLLIN },
	};
	struct signals s;
	char *room;
	ssize_t n;

	if (poll(pfd, N, -1) == -1 && errno != EINTR)
		return err_sys(e, "poll");
	signals_take(&s);
	if (s.stops > 0)
		return err_set(e, ERR_SYSTEM, "interrupted");
	if (pfd[REPLY].revents != 0 && take_answer(ch, 0, e) == -1)
		return -1;
	if (pfd[STREAM].revents == 0)
		return 0;
	room = buf_reserve(&ch->in, CHUNK);
	if (room == NULL)
		return err_set(e, ERR_SYSTEM, "no memory");
	n = read(ch->fd, room, CHUNK);
	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n == -1)
		return err_sys(e, "read the list of changes");
	if (n == 0)
		return cut_off(ch, e);
	ch->in.len += (size_t)n;
	return 0;
}

ssize_t
changes_data(struct changes *ch, void *p, size_t n, struct err *e)
{
	size_t take;

	if (ch->left == 0)
		return 0;
	while (ch->in.len == 0)
		if (more(ch, e) == -1)
			return -1;
	take = MIN(n, ch->in.len);
	if ((int64_t)take > ch->left)
		take = (size_t)ch->left;
	memcpy(p, ch->in.data, take);
	buf_consume(&ch->in, take);
	ch->left -= (int64_t)take;
	return (ssize_t)take;
}

static int
skip_data(struct changes *ch, struct err *e)
{
	while (ch->left > 0) {
		size_t take = ch->in.len;

		if ((int64_t)take > ch->left)
			take = (size_t)ch->left;
		buf_consume(&ch->in, take);
		ch->left -= (int64_t)take;
		if (ch->left > 0 && more(ch, e) == -1)
			return -1;
	}
	return 0;
}

/* --- entries ------------------------------------------------------------- */

#define F_TYPE                              \
	{                                   \
		"type", JK_STR, true, 1, 16 \
	}
#define F_PATH                                        \
	{                                             \
		"path", JK_STR, true, 1, PATH_MAX - 1 \
	}
#define F_MODE                                 \
	{                                      \
		"mode", JK_INT, true, 0, 07777 \
	}

static const struct json_field file_fields[] = { F_TYPE, F_PATH, F_MODE,
	{ "size", JK_INT, true, 0, FILE_MAX_BYTES } };
static const struct json_field dir_fields[] = { F_TYPE, F_PATH, F_MODE };
static const struct json_field symlink_fields[] = { F_TYPE, F_PATH,
	{ "target", JK_STR, true, 1, PATH_MAX - 1 } };
static const struct json_field delete_fields[] = { F_TYPE, F_PATH };
static const struct json_field error_fields[] = { F_TYPE, F_PATH,
	{ "detail", JK_STR, true, 0, PATH_MAX - 1 } };
static const struct json_field end_fields[] = {
	{ "end", JK_BOOL, true, 0, 0 },
	{ "entries", JK_INT, true, 0, CHANGES_MAX_ENTRIES },
};

static const struct {
	const struct json_field *fields;
	size_t n;
} shapes[CHANGE_TYPE_N] = {
	[CHANGE_FILE] = { file_fields, countof(file_fields) },
	[CHANGE_DIR] = { dir_fields, countof(dir_fields) },
	[CHANGE_REPLACE_DIR] = { dir_fields, countof(dir_fields) },
	[CHANGE_SYMLINK] = { symlink_fields, countof(symlink_fields) },
	[CHANGE_DELETE] = { delete_fields, countof(delete_fields) },
	[CHANGE_ERROR] = { error_fields, countof(error_fields) },
};

static int
parse_entry(const struct json *j, struct change *c, struct err *e)
{
	const char *type = json_str(j, "type", "");
	int t;

	for (t = 0; t < CHANGE_TYPE_N; t++)
		if (strcmp(change_type_name((enum change_type)t), type) == 0)
			break;
	if (t == CHANGE_TYPE_N)
		return err_set(
		    e, ERR_SANDBOX_FAILED, "unknown type '%.16s'", type);
	if (json_check(j, shapes[t].fields, shapes[t].n, e) == -1)
		return -1;
	c->type = (enum change_type)t;
	c->size = json_int(j, "size", 0);
	/* Set-id and sticky bits never leave a sandbox. */
	c->mode = (mode_t)json_int(j, "mode", 0) & 0777;
	if (str_copy(c->path, sizeof(c->path), json_str(j, "path", "")) == -1 ||
	    str_copy(c->text, sizeof(c->text),
		json_str(j, "target", json_str(j, "detail", ""))) == -1)
		return err_set(e, ERR_SANDBOX_FAILED, "a name is too long");
	/* What could not be named is told with whatever name it has. */
	if (c->type != CHANGE_ERROR && !change_path_ok(c->path))
		return err_set(e, ERR_SANDBOX_FAILED,
		    "'%.100s' is no path that stays inside", c->path);
	return 0;
}

static int
parse_end(struct changes *ch, const struct json *j, struct err *e)
{
	if (json_check(j, end_fields, countof(end_fields), e) == -1)
		return -1;
	if (!json_bool(j, "end", false) ||
	    json_int(j, "entries", -1) != ch->entries)
		return err_set(e, ERR_SANDBOX_FAILED,
		    "the end does not fit what came before");
	if (ch->in.len > 0)
		return err_set(e, ERR_SANDBOX_FAILED, "bytes after the end");
	ch->ended = true;
	return 0;
}

static int
read_line(struct changes *ch, size_t *len_out, struct err *e)
{
	size_t looked = 0;

	for (;;) {
		char *nl = ch->in.len == looked
			       ? NULL
			       : memchr(ch->in.data + looked, '\n',
				     ch->in.len - looked);

		if (nl != NULL) {
			*len_out = (size_t)(nl - ch->in.data);
			if (*len_out <= LINE_MAX_BYTES)
				return 0;
		}
		looked = ch->in.len;
		if (looked > LINE_MAX_BYTES)
			return err_set(
			    e, ERR_SANDBOX_FAILED, "a line is too long");
		if (more(ch, e) == -1)
			return -1;
	}
}

static int
next_entry(struct changes *ch, struct change *c_out, struct err *e)
{
	struct json *j = NULL;
	size_t len = 0;
	int r;

	if (skip_data(ch, e) == -1 || read_line(ch, &len, e) == -1)
		return -1;
	r = json_parse(ch->in.data, len, 2, &j, e);
	buf_consume(&ch->in, len + 1);
	if (r == -1)
		return -1;
	if (json_get(j, "end") != NULL) {
		r = parse_end(ch, j, e);
	} else if (++ch->entries > CHANGES_MAX_ENTRIES) {
		r = err_set(e, ERR_SANDBOX_FAILED, "too many entries");
	} else {
		r = parse_entry(j, c_out, e);
		ch->left = r == -1 ? 0 : c_out->size;
	}
	json_free(j);
	return r;
}

int
changes_next(struct changes *ch, struct change *c_out, struct err *e)
{
	*c_out = (struct change){ 0 };
	if (ch->ended)
		return 0;
	if (next_entry(ch, c_out, e) == -1) {
		/* A request was not wrong, a sandbox was. */
		if (e->code == ERR_BAD_REQUEST)
			e->code = ERR_SANDBOX_FAILED;
		return err_prefix(e, "changes");
	}
	if (!ch->ended)
		return 1;
	return take_answer(ch, -1, e);
}
