/*
 * Recipes of installations: what is taken from one is fit for the paths and
 * names that come of it.
 *
 * Input: the recipe.
 *
 * Also: src/courier/beneath.c
 * Also: src/courier/digest.c
 * Also: src/courier/packument.c
 * Also: src/courier/platform.c
 * Also: src/courier/recipe.c
 * Also: src/courier/semver.c
 * Needs: -lmd
 */
#include "fuzz.h"

#include "courier/beneath.h"
#include "courier/packument.h"
#include "courier/recipe.h"
#include <string.h>

#define INPUT_MAX (64u << 10)

static void
check_path(const char *path)
{
	char clean[BENEATH_PATH_MAX], again[BENEATH_PATH_MAX];

	CHECK(beneath_clean(clean, path, 0) == 0 && clean[0] != '\0');
	CHECK(clean[0] != '/' && strstr(clean, "//") == NULL);
	CHECK(strncmp(clean, "../", 3) != 0 && strstr(clean, "/../") == NULL);
	CHECK(beneath_clean(again, clean, 0) == 0 && strcmp(clean, again) == 0);
}

static void
check_root(const struct recipe_root *r)
{
	CHECK(package_name_valid(r->package));
	CHECK(recipe_word_valid(r->program, 64));
	CHECK(r->version != NULL);
	if (r->bin != NULL)
		check_path(r->bin);
	if (r->native_package != NULL) {
		CHECK(package_name_valid(r->native_package));
		check_path(r->native_bin);
	}
}

static void
play(const struct json *j, const char *version, const struct platform *pf)
{
	struct recipe r;
	struct err e;

	err_clear(&e);
	if (recipe_read(&r, j, "agent", version, pf, &e) == -1) {
		CHECK(
		    e.code == ERR_BAD_REQUEST || e.code == ERR_INSTALL_FAILED);
		CHECK(e.text[0] != '\0' && r.j == NULL);
		return;
	}
	CHECK(r.archive == (r.nroots == 0));
	for (size_t i = 0; i < r.nroots; i++)
		check_root(&r.roots[i]);
	if (r.archive) {
		check_path(r.bin);
		CHECK(recipe_word_valid(r.version, 127));
		CHECK(recipe_word_valid(r.program, 64));
		CHECK(r.digest.kind == DIGEST_SHA256 && r.strip <= 16);
		CHECK(r.url[0] != '\0' || r.url != NULL);
	}
	recipe_free(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct platform gnu = { .cpu = "x64", .known_cpu = true };
	static const struct platform musl = {
		.cpu = "arm64", .musl = true, .known_cpu = true
	};
	struct json *j;

	if (size > INPUT_MAX ||
	    json_parse((const char *)data, size, 16, &j, NULL) == -1)
		return 0;
	play(j, NULL, &gnu);
	play(j, "1.2.3", &musl);
	json_free(j);
	return 0;
}
