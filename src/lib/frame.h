/*
 * The length prefix of our channels: u32 big endian, then that many bytes of
 * JSON. Pure: no I/O here.
 */
#ifndef LIB_FRAME_H
#define LIB_FRAME_H

#include "buf.h"
#include "defs.h"

#define FRAME_MAX (1u << 20) /* bytes of JSON in one frame */
#define FRAME_HEADER 4

/* Begin a frame in B: reserves the header. Returns its position, which
 * frame_end wants. Frames may be written one behind the other. */
size_t frame_begin(struct buf *b);
/* Fill in the length. -1 when the buf failed, or the body is empty or over
 * FRAME_MAX; then everything from POS is dropped. */
int frame_end(struct buf *b, size_t pos);
/* Is there a whole frame at P[0..n)? 1: *BODY_OUT and *LEN_OUT tell; 0: more
 * bytes are needed; -1: the length is 0 or over MAX (a breach). */
int frame_peek(const char *p, size_t n, size_t max, const char **body_out,
    size_t *len_out);

#endif
