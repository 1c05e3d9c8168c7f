/*
 * What the fuzz targets share: a check that is there in every build, and,
 * where the compiler brings no fuzzer (FUZZ_MAIN defined), a main that plays
 * files and the files of directories once each, so that kept inputs are tests
 * like others.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond)) {                                                 \
			fprintf(                                               \
			    stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                               \
		}                                                              \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef FUZZ_MAIN
#	include <dirent.h>
#	include <limits.h>
#	include <sys/stat.h>

static int
play_file(const char *path)
{
	static uint8_t data[4 << 20];
	uint8_t *exact;
	size_t n;
	FILE *f;

	f = fopen(path, "rbe");
	if (f == NULL) {
		perror(path);
		return 0;
	}
	n = fread(data, 1, sizeof(data), f);
	(void)fclose(f); /* nothing was written */
	/* Of the right size, so that a sanitizer sees a read beyond. */
	exact = malloc(n > 0 ? n : 1);
	CHECK(exact != NULL);
	for (size_t i = 0; i < n; i++)
		exact[i] = data[i];
	(void)LLVMFuzzerTestOneInput(exact, n); /* always 0 */
	free(exact);
	return 1;
}

int
main(int argc, char *argv[])
{
	char path[PATH_MAX];
	struct dirent *d;
	struct stat st;
	int i, n = 0;
	DIR *dir;

	for (i = 1; i < argc; i++) {
		if (stat(argv[i], &st) == -1 || !S_ISDIR(st.st_mode)) {
			n += play_file(argv[i]);
			continue;
		}
		dir = opendir(argv[i]);
		CHECK(dir != NULL);
		while ((d = readdir(dir)) != NULL) {
			if (d->d_name[0] == '.')
				continue;
			CHECK(snprintf(path, sizeof(path), "%s/%s", argv[i],
				  d->d_name) < (int)sizeof(path));
			n += play_file(path);
		}
		(void)closedir(dir); /* opened just now */
	}
	/* Having played nothing is a failure: the corpus was not found. */
	printf("%sok 1 - %d inputs played\n1..1\n", n > 0 ? "" : "not ", n);
	return n > 0 ? 0 : 1;
}
#endif

#endif
