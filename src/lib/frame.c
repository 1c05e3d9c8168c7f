/*
 * The length prefix of our channels. Runs in every process of ours. The peer
 * chose each length read here: it is compared with the limit before anybody
 * believes it, and nothing is allocated on its word.
 */
#include "frame.h"
#include <string.h>

size_t
frame_begin(struct buf *b)
{
	static const char none[FRAME_HEADER];
	size_t pos = b->len;

	(void)buf_add(b, none, sizeof(none)); /* frame_end sees the failure */
	return pos;
}

int
frame_end(struct buf *b, size_t pos)
{
	unsigned char *h;
	size_t len;

	if (b->failed || b->len < pos + FRAME_HEADER)
		goto drop;
	len = b->len - pos - FRAME_HEADER;
	if (len == 0 || len > FRAME_MAX)
		goto drop;
	h = (unsigned char *)b->data + pos;
	h[0] = (unsigned char)(len >> 24);
	h[1] = (unsigned char)(len >> 16);
	h[2] = (unsigned char)(len >> 8);
	h[3] = (unsigned char)len;
	return 0;
drop:
	/* Earlier frames in B stay whole and the next may be tried. */
	b->failed = false;
	if (b->len > pos) {
		b->len = pos;
		b->data[pos] = '\0';
	}
	return -1;
}

int
frame_peek(
    const char *p, size_t n, size_t max, const char **body_out, size_t *len_out)
{
	unsigned char h[FRAME_HEADER];
	size_t len;

	if (n < FRAME_HEADER)
		return 0;
	memcpy(h, p, sizeof(h));
	len = (size_t)h[0] << 24 | (size_t)h[1] << 16 | (size_t)h[2] << 8 |
	      (size_t)h[3];
	if (len == 0 || len > max)
		return -1;
	if (n - FRAME_HEADER < len)
		return 0;
	*body_out = p + FRAME_HEADER;
	*len_out = len;
	return 1;
}
