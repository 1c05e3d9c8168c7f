/*
 * A channel that outlives its process's program: what it holds is written as
 * JSON before an exec and read back after it. Used by the supervisor, which
 * reads only what it has written itself.
 */
#include "chan_priv.h"
#include "xalloc.h"
#include <errno.h>
#include <string.h>

static void
bytes_put(struct jw *w, const char *key, const char *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	char two[2];

	jw_key(w, key);
	jw_str_begin(w);
	for (size_t i = 0; i < n; i++) {
		two[0] = digits[(unsigned char)p[i] >> 4];
		two[1] = digits[(unsigned char)p[i] & 15];
		jw_str_add(w, two, 2);
	}
	jw_str_end(w);
}

static int
digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
				      : -1;
}

int
chan_bytes_take(const struct json *v, struct buf *b)
{
	if (v == NULL || v->type != JSON_STRING || v->len % 2 != 0)
		return -1;
	for (size_t i = 0; i < v->len; i += 2) {
		int hi = digit(v->str[i]), lo = digit(v->str[i + 1]);

		if (hi == -1 || lo == -1 || buf_addc(b, (char)(hi << 4 | lo)))
			return -1;
	}
	return 0;
}

void
chan_bytes_put(struct jw *w, const char *key, const struct buf *b)
{
	bytes_put(w, key, b->data, b->len);
}

static void
fds_put(
    struct jw *w, const char *key, const int *fds, size_t n, struct buf *keep)
{
	jw_key(w, key);
	jw_array(w);
	for (size_t i = 0; i < n; i++)
		jw_int(w, fds[i]);
	jw_array_end(w);
	(void)buf_add(keep, fds, n * sizeof(*fds)); /* see failed */
}

void
chan_put(const struct chan *ch, struct jw *w, struct buf *keep)
{
	jw_object(w);
	jw_kint(w, "fd", ch->fd);
	(void)buf_add(keep, &ch->fd, sizeof(ch->fd)); /* see failed */
	jw_kbool(w, "mute", ch->mute);
	bytes_put(w, "rx", ch->rx.data, ch->rx.len);
	fds_put(w, "rx_fds", ch->rx_fds, ch->nrx_fds, keep);
	jw_key(w, "rx_until");
	jw_array(w);
	for (size_t i = 0; i < ch->nrx_fds; i++)
		jw_int(w, (int64_t)(ch->rx_until[i] - ch->rx_pos));
	jw_array_end(w);
	bytes_put(w, "tx", ch->tx.data != NULL ? ch->tx.data + ch->tx_at : NULL,
	    chan_queued(ch));
	jw_key(w, "tx_fds");
	jw_array(w);
	for (size_t i = 0; i < ch->ntx_fds; i++) {
		jw_object(w);
		jw_kint(w, "at", (int64_t)(ch->tx_fds[i].pos - ch->tx_pos));
		fds_put(w, "fds", ch->tx_fds[i].fds, ch->tx_fds[i].n, keep);
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_object_end(w);
}

/* At most MAX descriptors. *N counts them as they come, so that those taken
 * before a failure have an owner. */
static int
fds_take(const struct json *list, int *fds, size_t *n, size_t max)
{
	int64_t number;

	if (list == NULL || list->type != JSON_ARRAY)
		return -1;
	json_foreach (it, list) {
		if (*n == max || json_number_int(it, &number) == -1 ||
		    (fds[*n] = fd_inherit(number)) == -1)
			return -1;
		(*n)++;
	}
	return 0;
}

static int
rx_take(struct chan *ch, const struct json *j)
{
	const struct json *until;
	int64_t v;

	if (chan_bytes_take(json_get(j, "rx"), &ch->rx) == -1)
		return -1;
	ch->rx_total = ch->rx.len;
	if (fds_take(json_get(j, "rx_fds"), ch->rx_fds, &ch->nrx_fds,
		RX_FDS_MAX) == -1)
		return -1;
	until = json_get(j, "rx_until");
	for (size_t i = 0; i < ch->nrx_fds; i++) {
		const struct json *it = until != NULL ? until->child : NULL;

		for (size_t k = 0; k < i && it != NULL; k++)
			it = it->next;
		if (json_number_int(it, &v) == -1 || v < 0)
			return -1;
		ch->rx_until[i] = (uint64_t)v;
	}
	return 0;
}

static int
tx_take(struct chan *ch, const struct json *j)
{
	const struct json *list = json_get(j, "tx_fds");
	int64_t at, next = 0;

	if (chan_bytes_take(json_get(j, "tx"), &ch->tx) == -1 || list == NULL ||
	    list->type != JSON_ARRAY || list->len > TX_FDS_MAX)
		return -1;
	json_foreach (it, list) {
		struct tx_fds *t;

		/* With a byte that waits, each behind the one before. */
		at = json_int(it, "at", -1);
		if (at < next || (uint64_t)at >= ch->tx.len)
			return -1;
		next = at + 1;
		ch->tx_fds =
		    xreallocarray(ch->tx_fds, ch->ntx_fds + 1, sizeof(*t));
		t = &ch->tx_fds[ch->ntx_fds++];
		t->pos = (uint64_t)at;
		t->n = 0;
		if (fds_take(json_get(it, "fds"), t->fds, &t->n,
			FDIO_MAX_FDS) == -1 ||
		    t->n == 0)
			return -1;
	}
	return 0;
}

struct chan *
chan_take(struct ev_loop *loop, const struct json *j, const char *name,
    chan_cb *cb, void *ctx)
{
	int fd = fd_inherit(json_int(j, "fd", -1));
	struct chan *ch;

	if (fd == -1)
		return NULL;
	ch = chan_new(loop, fd, name, cb, ctx);
	if (rx_take(ch, j) == -1 || tx_take(ch, j) == -1) {
		chan_free(ch);
		return NULL;
	}
	ch->mute = json_bool(j, "mute", false);
	if (ch->rx.len > 0)
		ev_feed_event(loop, &ch->rio, EV_READ);
	if (chan_queued(ch) > 0)
		ev_io_start(loop, &ch->wio);
	return ch;
}
