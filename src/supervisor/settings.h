/*
 * What the command line and the configuration say about HTTP, checked at the
 * start, and what of it the gateways are told.
 *
 * Tokens are kept as hashes only: the words of the command line are wiped where
 * they stood, since anybody on the host may read them there.
 */
#ifndef SUPERVISOR_SETTINGS_H
#define SUPERVISOR_SETTINGS_H

#include "lib/json.h"
#include "supervisor/conf.h"

#define SETTINGS_WORDS_MAX 64
#define SETTINGS_TOKENS_MAX 8
#define SHA256_HEX 64

/* Words of a flag that may be repeated; owned. */
struct words {
	char *v[SETTINGS_WORDS_MAX];
	size_t n;
};

struct http_settings {
	/* From the command line. */
	bool off;	     /* --no-http */
	bool no_token;	     /* --no-token */
	bool auth;	     /* a token was given, be it empty */
	bool credentials;    /* --cors-allow-credentials */
	struct words listen; /* in place of gateway.listen */
	struct words origins, methods, headers;
	char token_sha256[SETTINGS_TOKENS_MAX][SHA256_HEX + 1];
	size_t ntokens;
	/* From files, by settings_load(). */
	char *tls_cert, *tls_key; /* owned: PEM; NULL without TLS */
};

/* Hex digits of the SHA-256 of TEXT. */
void sha256_hex(const char *text, size_t len, char hex_out[SHA256_HEX + 1]);

int words_add(struct words *w, const char *word, struct err *e);
/* A token of the command line: hashed, then wiped. */
int settings_token(struct http_settings *h, char *token, struct err *e);
/* Check the words, and read the files that C names. -1: wrong use. */
int settings_load(struct http_settings *h, const struct conf *c, struct err *e);
/* The member "settings" of MSG_GATEWAY_START. */
void settings_write(
    const struct http_settings *h, const struct conf *c, struct jw *w);
/* Read the TLS files again; what is in force stays when that fails. */
int
settings_reload(struct http_settings *h, const struct conf *c, struct err *e);
void settings_free(struct http_settings *h);

#endif
