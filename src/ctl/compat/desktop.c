/*
 * `sandbox-agent install desktop`: what a desktop in a sandbox needs of the
 * system, and the command that installs it. It is printed and never run: the
 * packages belong into the root image of sandboxes, which a package manager of
 * this host need not be the one of. Runs as the caller.
 */
#include "ctl/compat/compat.h"

#include "lib/buf.h"
#include "lib/strutil.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PACKAGES_MAX 10

struct manager {
	const char *name, *program;
	const char *command;
	/* The fonts last. */
	const char *packages[PACKAGES_MAX];
};

static const struct manager managers[] = {
	{ "apt", "apt-get",
	    "apt-get update && env DEBIAN_FRONTEND=noninteractive apt-get "
	    "install -y",
	    { "xvfb", "openbox", "xdotool", "imagemagick", "ffmpeg",
		"x11-xserver-utils", "dbus-x11", "xauth", "fonts-dejavu-core",
		NULL } },
	{ "dnf", "dnf", "dnf install -y",
	    { "xorg-x11-server-Xvfb", "openbox", "xdotool", "ImageMagick",
		"ffmpeg", "xrandr", "dbus-x11", "xauth", "dejavu-sans-fonts",
		NULL } },
	{ "apk", "apk", "apk add --no-cache",
	    { "xvfb", "openbox", "xdotool", "imagemagick", "ffmpeg", "xrandr",
		"dbus", "xauth", "ttf-dejavu", NULL } },
};

static bool
is_on_path(const char *program)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	while (path != NULL && *path != '\0') {
		size_t n = strcspn(path, ":");

		if (str_format(file, sizeof(file), "%.*s/%s", (int)n, path,
			program) == 0 &&
		    access(file, X_OK) == 0)
			return true;
		path += n + (path[n] == ':');
	}
	return false;
}

/* The one that was named, or the first that is here. */
static int
find_manager(const char *name, const struct manager **out, struct err *e)
{
	for (size_t i = 0; i < countof(managers); i++) {
		const struct manager *m = &managers[i];

		if (name != NULL ? strcmp(m->name, name) == 0
				 : is_on_path(m->program)) {
			*out = m;
			return 0;
		}
	}
	if (name != NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "invalid value '%.32s' for '--package-manager': apt, dnf "
		    "or apk",
		    name);
	return err_set(e, ERR_DENIED,
	    "no package manager found: say --package-manager apt, dnf or apk");
}

static void
print_plan(const struct manager *m, size_t n)
{
	(void)printf(
	    "Desktop package manager: %s\nDesktop packages:\n", m->name);
	for (size_t i = 0; i < n; i++)
		(void)printf("  - %s\n", m->packages[i]);
	(void)printf("Install command:\n  %s", m->command);
	for (size_t i = 0; i < n; i++)
		(void)printf(" %s", m->packages[i]);
	(void)putchar('\n');
}

static int
run_install_desktop(struct ctl *ctl, const struct args *a)
{
	const char *name = args_str(a, "package-manager", NULL);
	const struct manager *m = NULL;
	struct err e;
	size_t n = 0;

	if (find_manager(name, &m, &e) == -1)
		return name != NULL ? ctl_misuse(ctl, &e) : ctl_fail(ctl, &e);
	while (m->packages[n] != NULL)
		n++;
	if (args_has(a, "no-fonts"))
		n--;
	print_plan(m, n);
	if (args_has(a, "print-only"))
		return EXIT_OK;
	(void)err_set(&e, ERR_DENIED,
	    "nothing was installed: run the command above in the image that "
	    "your sandboxes use, or as root on this host if that is the host "
	    "itself");
	return ctl_fail(ctl, &e);
}

static const struct opt_def desktop_opts[] = {
	{ "yes", '\0', NULL, "Taken, but we install nothing ourselves." },
	{ "print-only", '\0', NULL, "Only print what is needed." },
	{ "package-manager", '\0', "WHICH", "apt, dnf or apk." },
	{ "no-fonts", '\0', NULL, "Without fonts." },
};

const struct command compat_install_desktop = {
	.name = "install desktop",
	.operands = "",
	.help = "Print what a desktop in a sandbox needs.",
	COMMAND_OPTS(desktop_opts),
	.max = 0,
	.run = run_install_desktop,
};
