/*
 * See recipe.h. Runs in the courier. Recipes come from files of the
 * administrator's by way of the supervisor: trusted to mean no harm, checked
 * all the same.
 */
#include "courier/recipe.h"

#include "courier/beneath.h"
#include "courier/packument.h"
#include "lib/defs.h"
#include "lib/strutil.h"

#include <string.h>

#define DEPTH 8u

static const struct json_field npm_fields[] = {
	{ "type", JK_STR, true, 1, 16 },
	{ "package", JK_STR, true, 1, PACKAGE_NAME_MAX },
	{ "version", JK_STR, false, 1, RANGE_TEXT_MAX },
	{ "program", JK_STR, false, 1, 64 },
	{ "bin", JK_STR, false, 1, BENEATH_PATH_MAX - 1 },
	{ "native", JK_OBJECT, false, 0, 0 },
	{ "with", JK_ARRAY, false, 0, 0 },
};
/* Those of `with` have no more of these. */
#define WITH_FIRST 1
#define WITH_LAST 6

static const struct json_field native_fields[] = {
	{ "package", JK_STR, true, 1, PACKAGE_NAME_MAX },
	{ "version", JK_STR, false, 1, RANGE_TEXT_MAX },
	{ "bin", JK_STR, true, 1, BENEATH_PATH_MAX - 1 },
};

static const struct json_field archive_fields[] = {
	{ "type", JK_STR, true, 1, 16 },
	{ "version", JK_STR, true, 1, SEMVER_TEXT_MAX - 1 },
	{ "urls", JK_OBJECT, true, 0, 0 },
	{ "sha256", JK_OBJECT, true, 0, 0 },
	{ "bin", JK_STR, true, 1, BENEATH_PATH_MAX - 1 },
	{ "program", JK_STR, false, 1, 64 },
	{ "strip", JK_INT, false, 0, 16 },
};

bool
recipe_word_valid(const char *s, size_t max)
{
	size_t n = strlen(s);

	if (n == 0 || n > max || s[0] == '.' || s[0] == '-')
		return false;
	for (; *s != '\0'; s++) {
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			(*s >= '0' && *s <= '9') || strchr("._+-", *s) != NULL))
			return false;
	}
	return true;
}

static int
bad(struct err *e, const char *what)
{
	return err_set(e, ERR_BAD_REQUEST, "recipe: %s", what);
}

static int
path_check(const char *path, struct err *e)
{
	char clean[BENEATH_PATH_MAX];

	if (beneath_clean(clean, path, 0) == -1 || clean[0] == '\0')
		return bad(e, "bin: not a path inside the package");
	return 0;
}

static int
nothing_for(const struct platform *pf, struct err *e)
{
	char text[PLATFORM_TEXT_MAX];

	platform_text(pf, text);
	return err_set(
	    e, ERR_INSTALL_FAILED, "the recipe has nothing for %s", text);
}

static int
read_native(struct recipe_root *root, const struct json *native,
    const struct platform *pf, struct err *e)
{
	const struct json *one;

	if (native == NULL)
		return 0;
	one = platform_choose(pf, native);
	if (one == NULL) /* with a script of its own it runs everywhere */
		return root->bin != NULL ? 0 : nothing_for(pf, e);
	if (json_check(one, native_fields, countof(native_fields), e) == -1)
		return err_prefix(e, "recipe: native");
	root->native_package = json_str(one, "package", "");
	root->native_bin = json_str(one, "bin", "");
	root->native_version = json_str(one, "version", NULL);
	if (!package_name_valid(root->native_package))
		return bad(e, "native: package: not a name of one");
	return path_check(root->native_bin, e);
}

static int
read_root(struct recipe *r, const struct json *j, const char *program,
    const char *version, const struct platform *pf, struct err *e)
{
	struct recipe_root *root = &r->roots[r->nroots];

	if (r->nroots == RECIPE_ROOTS_MAX)
		return bad(e, "with: too many packages");
	root->package = json_str(j, "package", "");
	root->version =
	    version != NULL ? version : json_str(j, "version", "latest");
	root->program = json_str(j, "program", program);
	root->bin = json_str(j, "bin", NULL);
	if (!package_name_valid(root->package))
		return bad(e, "package: not a name of one");
	if (root->program == NULL)
		return bad(e, "with: program: missing");
	if (!recipe_word_valid(root->program, 64))
		return bad(e, "program: not a name of one");
	if (root->bin != NULL && path_check(root->bin, e) == -1)
		return -1;
	if (read_native(root, json_get(j, "native"), pf, e) == -1)
		return -1;
	r->nroots++;
	return 0;
}

static int
read_npm(struct recipe *r, const char *agent, const char *version,
    const struct platform *pf, struct err *e)
{
	if (json_check(r->j, npm_fields, countof(npm_fields), e) == -1)
		return err_prefix(e, "recipe");
	if (read_root(r, r->j, agent, version, pf, e) == -1)
		return -1;
	json_foreach (one, json_get(r->j, "with")) {
		if (json_check(one, npm_fields + WITH_FIRST,
			WITH_LAST - WITH_FIRST, e) == -1)
			return err_prefix(e, "recipe: with");
		if (read_root(r, one, NULL, NULL, pf, e) == -1)
			return -1;
	}
	return 0;
}

static int
read_archive(struct recipe *r, const char *agent, const char *version,
    const struct platform *pf, struct err *e)
{
	const struct json *url, *sum;

	if (json_check(r->j, archive_fields, countof(archive_fields), e) == -1)
		return err_prefix(e, "recipe");
	r->archive = true;
	r->version = json_str(r->j, "version", "");
	r->bin = json_str(r->j, "bin", "");
	r->program = json_str(r->j, "program", agent);
	r->strip = (unsigned)json_int(r->j, "strip", 0);
	if (!recipe_word_valid(r->version, SEMVER_TEXT_MAX - 1))
		return bad(e, "version: not fit for the name of a directory");
	if (!recipe_word_valid(r->program, 64))
		return bad(e, "program: not a name of one");
	if (path_check(r->bin, e) == -1)
		return -1;
	if (version != NULL && strcmp(version, r->version) != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "version: this agent's recipe has %s and no other",
		    r->version);
	url = platform_choose(pf, json_get(r->j, "urls"));
	if (url == NULL)
		return nothing_for(pf, e);
	if (url->type != JSON_STRING || url->len > 4000 ||
	    strlen(url->str) != url->len)
		return bad(e, "urls: not an address");
	r->url = url->str;
	sum = json_get(json_get(r->j, "sha256"), url->key);
	if (sum == NULL || sum->type != JSON_STRING ||
	    digest_hex(&r->digest, DIGEST_SHA256, sum->str) == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "recipe: sha256: %.60s: 64 hexadecimal digits are wanted",
		    url->key);
	return 0;
}

int
recipe_read(struct recipe *r, const struct json *recipe, const char *agent,
    const char *version, const struct platform *pf, struct err *e)
{
	const char *type = json_str(recipe, "type", "");
	struct buf b;
	struct jw w;
	int rc;

	memset(r, 0, sizeof(*r));
	buf_init(&b, 1 << 20);
	jw_init(&w, &b);
	jw_value(&w, recipe);
	rc = b.failed ? bad(e, "too long")
		      : json_parse(b.data, b.len, DEPTH, &r->j, e);
	buf_free(&b);
	if (rc == -1)
		return -1;
	if (strcmp(type, "npm") == 0)
		rc = read_npm(r, agent, version, pf, e);
	else if (strcmp(type, "archive") == 0)
		rc = read_archive(r, agent, version, pf, e);
	else
		rc = bad(e, "type: neither npm nor archive");
	if (rc == -1)
		recipe_free(r);
	return rc;
}

void
recipe_free(struct recipe *r)
{
	json_free(STEAL(r->j));
}
