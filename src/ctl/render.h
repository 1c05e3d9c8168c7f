/*
 * Events for people: streamed text as it comes, tools in a line each, results
 * in a few, requests and errors where they happen. Knows the event schema and
 * nothing of connections.
 */
#ifndef CTL_RENDER_H
#define CTL_RENDER_H

#include "ctl/ctl.h"
#include "lib/buf.h"
#include <stdio.h>

#define RENDER_ITEMS 64

struct render_item {
	char id[128]; /* "" when the slot is free */
	bool is_user, is_reasoning, is_shown;
	bool has_delta;
	struct buf text; /* what its deltas have shown so far */
};

struct render {
	FILE *out; /* borrowed */
	bool colour, utf8;
	bool show_user;	 /* user messages too: for history */
	size_t width;	 /* of a line; 0: as long as it wants */
	bool mid_line;	 /* the last thing written was not a newline */
	bool after_tool; /* a blank line is due before text */
	struct render_item items[RENDER_ITEMS];
	size_t next_slot; /* to take when all are in use */
};

void render_init(struct render *r, const struct ctl *ctl, FILE *out);
void render_free(struct render *r);
/* Show one event. Whatever is in it, nothing but text comes out. */
void render_event(struct render *r, const struct json *event);
/* Begin a line of our own. */
void render_fresh_line(struct render *r);

/* What a tool is asked to do, in a line: the command, the path, … COLUMNS 0:
 * all of it, with its lines. Appends. */
void render_value(struct buf *b, const struct json *v, size_t columns);

#endif
