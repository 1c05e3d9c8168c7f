/*
 * The answers to requests, and handing a connection over to those who write
 * the longer ones. Runs in the supervisor.
 */
#include "lib/xalloc.h"
#include "supervisor/client.h"

#include <fcntl.h>
#include <string.h>

void
client_add_error(struct client *c, const char *id, const struct err *e)
{
	struct jw w;

	jw_init(&w, &c->out);
	jw_object(&w);
	jw_key(&w, "id");
	jw_raw(&w, id, strlen(id));
	jw_key(&w, "error");
	jw_object(&w);
	jw_kstr(&w, "code", err_wire(e->code));
	jw_kstr(&w, "detail", e->text);
	jw_object_end(&w);
	jw_object_end(&w);
	(void)buf_addc(&c->out, '\n'); /* failure shows in out.failed */
}

static void
request_free(struct request *r)
{
	struct client *c = r->client;

	fd_close_all(r->fds, r->nfds);
	op_request_free(&r->op);
	free(r);
	if (c == NULL)
		return;
	c->req = NULL;
	c->handed = false;
	if (c->out.failed) {
		client_free(c); /* an answer of over 64 MiB to one who waits */
		return;
	}
	if (client_flush(c)) {
		client_touch(c);
		client_serve(c);
	}
}

/* A scratch writer for answers that nobody will read. */
static struct jw *
nowhere(void)
{
	static struct buf b;
	static struct jw w;

	buf_free(&b);
	buf_init(&b, CLIENT_OUT_MAX);
	jw_init(&w, &b);
	return &w;
}

static struct jw *
begin_line(struct request *r, const char *member)
{
	struct client *c = r->client;

	if (c == NULL)
		return nowhere();
	jw_init(&c->jw, &c->out);
	jw_object(&c->jw);
	jw_key(&c->jw, "id");
	jw_raw(&c->jw, r->op.id, strlen(r->op.id));
	jw_key(&c->jw, member);
	return &c->jw;
}

struct jw *
request_ok(struct request *r)
{
	struct answer *a = r->answer;

	if (a == NULL)
		return begin_line(r, "ok");
	jw_init(&a->jw, &a->out);
	return &a->jw;
}

/* The answer of a request that has no client. */
static void
answer_done(struct request *r, const struct err *e)
{
	struct answer *a = STEAL(r->answer);
	struct err too_long;

	if (a == NULL)
		return;
	if (e == NULL && a->out.failed) {
		err_set(&too_long, ERR_TOO_LARGE,
		    "the answer is longer than a frame");
		e = &too_long;
	}
	a->done(a, e);
}

void
request_end_ok(struct request *r)
{
	if (r->client != NULL) {
		jw_object_end(&r->client->jw);
		(void)buf_addc(&r->client->out, '\n'); /* see out.failed */
	}
	answer_done(r, NULL);
	request_free(r);
}

void
request_end_err(struct request *r, const struct err *e)
{
	if (r->client != NULL)
		client_add_error(r->client, r->op.id, e);
	answer_done(r, e);
	request_free(r);
}

void
request_answer(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct request *r = ctx;

	if (ok == NULL) {
		request_end_err(r, e);
		return;
	}
	jw_value(request_ok(r), ok);
	request_end_ok(r);
}

struct jw *
request_item(struct request *r)
{
	return begin_line(r, "item");
}

void
request_item_end(struct request *r, const int *fds, size_t nfds)
{
	struct client *c = r->client;
	ssize_t n;

	if (c == NULL)
		return;
	jw_object_end(&c->jw);
	(void)buf_addc(&c->out, '\n'); /* failure shows in out.failed */
	if (nfds == 0)
		return;
	/* Descriptors ride on the first byte of their line, which is the first
	 * of OUT: a request begins only when OUT is empty. */
	n = fd_send(c->fd, c->out.data, c->out.len, fds, nfds);
	if (n > 0)
		buf_consume(&c->out, (size_t)n);
}

/* Items that say how far something is; one who reads slowly gets fewer. */
#define ITEMS_WAIT_MAX (64u << 10)

bool
request_takes_items(const struct request *r)
{
	return r->client != NULL && r->client->out.len < ITEMS_WAIT_MAX;
}

void
request_item_soon(struct request *r)
{
	struct client *c = r->client;

	request_item_end(r, NULL, 0);
	if (c != NULL)
		ev_io_start(c->s->loop, &c->wr);
}

int
request_hand_over(struct request *r)
{
	int fd;

	if (r->client == NULL || r->client->out.len > 0)
		return -1;
	fd = fcntl(r->client->fd, F_DUPFD_CLOEXEC, 3);
	if (fd != -1)
		r->client->handed = true;
	return fd;
}

void
request_end_handed(struct request *r, bool gone)
{
	struct client *c = r->client;

	if (gone && c != NULL) {
		r->gone = NULL;
		c->req = NULL;
		r->client = NULL;
		client_free(c);
	}
	request_free(r);
}
