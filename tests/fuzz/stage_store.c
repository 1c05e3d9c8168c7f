/*
 * The store's own check of what a session adds; see stage.h. A file of its own,
 * since the store and the worker have their limits by the same names.
 */
#include "fuzz.h"
#include "store/append.h"

#include <string.h>

void stage_scan(const char *frame, size_t len);

void
stage_scan(const char *frame, size_t len)
{
	static struct append_scanner *sc;
	struct append_in in;
	struct err e;

	if (sc == NULL)
		sc = append_scanner_new();
	err_clear(&e);
	if (append_scan(sc, frame, len, &in, &e) == -1) {
		fprintf(stderr, "the store refuses: %s\n%.*s\n", e.text,
		    (int)(len < 4000 ? len : 4000), frame);
		abort();
	}
}
