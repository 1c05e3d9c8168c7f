/*
 * Looking at a process that process.create has started, and typing to it, until
 * it ends or the user leaves it by his keys.
 */
#ifndef CTL_ATTACH_H
#define CTL_ATTACH_H

#include "ctl/client.h"

#define ATTACH_KEYS_MAX 8
#define ATTACH_KEYS "ctrl-p,ctrl-q" /* unless the user says others */

struct attach_opts {
	const char *sandbox;
	int64_t process;
	bool replay;	 /* first what was printed before */
	bool with_stdin; /* hand on our standard input */
	bool tty;	 /* it runs on a terminal; ours is set to raw */
	char keys[ATTACH_KEYS_MAX]; /* that leave it; none: "none" was said */
	size_t nkeys;
};

/* "ctrl-p,ctrl-q", "ctrl-],x", "none". */
int attach_keys(struct attach_opts *o, const char *text, struct err *e);

enum attach_end {
	ATTACH_EXITED, /* *CODE_OUT is its code */
	ATTACH_LEFT,   /* it goes on */
	ATTACH_N
};

/* -1 with E: neither. */
int attach(struct ctl *ctl, const struct attach_opts *o,
    enum attach_end *end_out, int *code_out, struct err *e);

#endif
