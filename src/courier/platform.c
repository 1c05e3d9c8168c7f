/*
 * See platform.h. Runs in the courier; maps and manifests come from recipes and
 * packages, and may be anything.
 */
#include "courier/platform.h"

#include "lib/defs.h"
#include "lib/strutil.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* The kernel's words and npm's. */
static const struct {
	const char *machine, *cpu;
} cpus[] = { { "x86_64", "x64" }, { "aarch64", "arm64" }, { "armv7l", "arm" },
	{ "armv6l", "arm" }, { "i686", "ia32" }, { "ppc64le", "ppc64" },
	{ "riscv64", "riscv64" }, { "s390x", "s390x" },
	{ "loongarch64", "loong64" } };

static bool
dir_has(const char *root, const char *dir, const char *prefix)
{
	char path[256];
	struct dirent *d;
	bool found = false;
	DIR *h;

	if (str_format(path, sizeof(path), "%s/%s", root, dir) == -1)
		return false;
	h = opendir(path);
	if (h == NULL)
		return false;
	while (!found && (d = readdir(h)) != NULL)
		found = str_starts(d->d_name, prefix);
	(void)closedir(h); /* only read */
	return found;
}

/* A system that has both (musl beside Debian's own) is one of glibc. */
static bool
is_musl(const char *root)
{
	return !dir_has(root, "lib64", "ld-linux") &&
	       !dir_has(root, "lib", "ld-linux") &&
	       dir_has(root, "lib", "ld-musl-");
}

static bool
lacks_avx2(void)
{
#if defined(__x86_64__)
	__builtin_cpu_init();
	return !__builtin_cpu_supports("avx2");
#else
	return false;
#endif
}

void
platform_look(struct platform *p, const char *root)
{
	struct utsname u;

	memset(p, 0, sizeof(*p));
	if (uname(&u) == -1)
		memset(&u, 0, sizeof(u));
	str_show(p->cpu, sizeof(p->cpu), u.machine, strlen(u.machine));
	for (size_t i = 0; i < countof(cpus); i++) {
		if (strcmp(u.machine, cpus[i].machine) != 0)
			continue;
		(void)!str_copy(p->cpu, sizeof(p->cpu), cpus[i].cpu);
		p->known_cpu = true;
	}
	p->old_cpu = lacks_avx2();
	p->musl = is_musl(root);
}

void
platform_text(const struct platform *p, char dst[PLATFORM_TEXT_MAX])
{
	(void)snprintf(dst, PLATFORM_TEXT_MAX, "linux-%s-%s", p->cpu,
	    p->musl ? "musl" : "glibc");
}

const struct json *
platform_choose(const struct platform *p, const struct json *map)
{
	static const char *const variants[] = { "-baseline", "" };
	const char *const libc[] = { p->musl ? "-musl" : "-glibc", "" };
	char key[64];

	for (size_t v = p->old_cpu ? 0 : 1; v < countof(variants); v++) {
		for (size_t c = 0; c < countof(libc); c++) {
			const struct json *found;

			(void)snprintf(key, sizeof(key), "linux-%s%s%s", p->cpu,
			    variants[v], libc[c]);
			found = json_get(map, key);
			if (found != NULL)
				return found;
		}
	}
	return NULL;
}

/* One word of such a field: 1 it names WANT, -1 it excludes it, 0 neither. */
static int
word_says(const struct json *word, const char *want)
{
	if (word->type != JSON_STRING)
		return 0;
	if (word->str[0] == '!')
		return strcmp(word->str + 1, want) == 0 ? -1 : 0;
	return strcmp(word->str, want) == 0 || strcmp(word->str, "any") == 0;
}

static bool
field_suits(const struct json *f, const char *want)
{
	bool some = false, named = false;

	if (f == NULL)
		return true;
	if (f->type == JSON_STRING) {
		int says = word_says(f, want);

		return f->str[0] == '!' ? says == 0 : says == 1;
	}
	json_foreach (w, f) {
		int says = word_says(w, want);

		if (says == -1)
			return false;
		named = named || says == 1;
		some = some || (w->type == JSON_STRING && w->str[0] != '!');
	}
	return named || !some;
}

bool
platform_suits(const struct platform *p, const struct json *manifest)
{
	return field_suits(json_get(manifest, "os"), "linux") &&
	       field_suits(json_get(manifest, "cpu"), p->cpu) &&
	       field_suits(
		   json_get(manifest, "libc"), p->musl ? "musl" : "glibc");
}
