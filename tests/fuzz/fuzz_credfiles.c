/*
 * The files in which agents keep their keys: whatever stands in them, what is
 * found is fit to be a variable of a program.
 *
 * Input: the files, in the order below, each ended by a byte 0xff.
 *
 * Also: src/ctl/beneath.c
 * Also: src/ctl/credentials.c
 * Also: src/ctl/credfiles.c
 */
#include "fuzz.h"

#include "ctl/credentials.h"
#include "lib/secret.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX (64u << 10)

static const char *const files[] = { ".amp/config.json", ".claude.json.api",
	".claude.json", ".claude/.credentials.json",
	".claude-oauth-credentials.json", ".codex/auth.json",
	".local/share/opencode/auth.json" };
static const char *const dirs[] = { ".amp", ".claude", ".codex", ".local",
	".local/share", ".local/share/opencode" };
static char home[64];

static void
path_of(char dst[128], const char *name)
{
	(void)snprintf(dst, 128, "%s/%s", home, name);
}

static void
end(void)
{
	char path[128];

	for (size_t i = countof(files); i-- > 0;) {
		path_of(path, files[i]);
		(void)unlink(path);
	}
	for (size_t i = countof(dirs); i-- > 0;) {
		path_of(path, dirs[i]);
		(void)rmdir(path);
	}
	(void)rmdir(home);
}

static void
begin(void)
{
	char path[128];

	(void)snprintf(home, sizeof(home), "/tmp/fuzz-XXXXXX");
	CHECK(mkdtemp(home) != NULL);
	(void)atexit(end);
	for (size_t i = 0; i < countof(dirs); i++) {
		path_of(path, dirs[i]);
		CHECK(mkdir(path, 0700) == 0);
	}
}

static void
write_files(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < countof(files); i++) {
		const uint8_t *stop = memchr(data, 0xff, size);
		size_t n = stop != NULL ? (size_t)(stop - data) : size;
		char path[128];
		FILE *f;

		path_of(path, files[i]);
		(void)unlink(path);
		if (n > 0) {
			f = fopen(path, "we");
			CHECK(f != NULL && fwrite(data, 1, n, f) == n);
			CHECK(fclose(f) == 0);
		}
		n += stop != NULL;
		data += n;
		size -= n;
	}
}

static const char *
no_env(const char *name)
{
	(void)name;
	return NULL;
}

static void
on_note(void *ctx, const char *file, const struct err *e)
{
	(void)ctx;
	CHECK(file[0] == '.' && e->code != ERR_NONE && e->text[0] != '\0');
}

static void
check(const struct credential *c)
{
	char room[CREDENTIAL_NAME_MAX], mask[SECRET_MASK_MAX];
	const char *names[3] = { NULL, NULL, NULL };
	size_t n = strlen(c->secret);

	CHECK(c->provider[0] != '\0' && n > 0 && c->source != NULL);
	for (size_t i = 0; i < n; i++)
		CHECK(c->secret[i] > ' ' && c->secret[i] <= '~');
	credential_names(c, room, names);
	for (size_t i = 0; i < 3 && names[i] != NULL; i++)
		CHECK(names[i][0] != '\0' && strchr(names[i], '=') == NULL);
	secret_mask(mask, c->secret);
	CHECK(n < 9 ? strcmp(mask, "****") == 0 : strlen(mask) == 11);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const agents[] = { "claude", "codex", "opencode",
		"amp" };
	struct credentials_from from = { .home = home,
		.now_ms = 1700000000000,
		.env = no_env,
		.note = on_note };
	const struct credential *one;
	struct credentials c;
	struct err e;

	if (size > INPUT_MAX)
		return 0;
	if (home[0] == '\0')
		begin();
	write_files(data, size);
	from.no_oauth = size % 2 == 0;
	memset(&c, 0, sizeof(c));
	credentials_find(&c, &from);
	CHECK(c.n <= CREDENTIALS_MAX);
	for (size_t i = 0; i < c.n; i++) {
		check(&c.v[i]);
		CHECK(
		    i == 0 || strcmp(c.v[i - 1].provider, c.v[i].provider) < 0);
		CHECK(!c.v[i].oauth || !from.no_oauth);
		CHECK(credentials_get(&c, c.v[i].provider) == &c.v[i]);
	}
	for (size_t i = 0; i < countof(agents); i++)
		if (credentials_for_agent(&c, agents[i], NULL, &one, &e) == 0)
			CHECK(one != NULL);
	credentials_free(&c);
	return 0;
}
