/*
 * What the benches that drive a daemon share: its control socket as any client
 * uses it, the run of a peer's program, and figures out of many times. Each
 * ends the program with a sentence when it fails.
 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct client {
	int fd;
	size_t len;	 /* of what came and is not yet a line */
	char line[4096]; /* no answer that a bench asks for is longer */
};

void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
double now_ms(void);

void client_open(struct client *c, const char *path);
void client_close(struct client *c);
/* ARGS: the members of "args", as text. */
void client_send(struct client *c, const char *op, const char *args);
/* Run /bin/true in sandbox ID, as sandboxctl does it: NULL_FD becomes the
 * command's standard descriptors. */
void client_send_true(struct client *c, const char *id, int null_fd);
/* Read what has come; true when the final line was among it. Items are passed
 * over, an error ends the program. */
bool client_answered(struct client *c, const char *what);
void client_await(struct client *c, const char *what);
void client_ask(struct client *c, const char *op, const char *args);

int null_open(void);
/* A program by its name in PATH: its pid; and its end, which must be good. */
int peer_start(char *const argv[]);
void peer_await(int pid, const char *name);

/* Sorts V. SHARE 0.5 is the median. */
double quantile(double *v, size_t n, double share);

#endif
