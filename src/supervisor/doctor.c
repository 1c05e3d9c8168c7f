/*
 * The frame of doctor: collecting what was found, the operation, and the run
 * without a daemon. Runs in the supervisor, or in a sandboxd that serves
 * nobody.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include "supervisor/doctor.h"

#include "lib/doctor_text.h"
#include "lib/xalloc.h"
#include "sandbox/cgroup.h"
#include "supervisor/powers.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 512
#define ANSWER_MAX (1u << 20)

void
doctor_say(struct doctor *d, const char *name, enum doctor_state state,
    const char *mend, const char *fmt, ...)
{
	static const char *const names[DOCTOR_N] = { "ok", "note", "missing" };
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut: a sentence */
	va_end(ap);
	d->bad = d->bad || state == DOCTOR_MISSING;
	jw_object(d->w);
	jw_kstr(d->w, "name", name);
	jw_kstr(d->w, "state", names[state]);
	jw_kstr(d->w, "detail", text);
	jw_kstr(d->w, "mend", state == DOCTOR_OK ? NULL : mend);
	jw_object_end(d->w);
}

void
doctor_run(struct doctor *d)
{
	jw_kstr(d->w, "version", PACKAGE_VERSION);
	jw_kbool(d->w, "running", d->running);
	jw_kbool(d->w, "root", d->s->root);
	jw_key(d->w, "checks");
	jw_array(d->w);
	doctor_host(d);
	doctor_place(d);
	jw_array_end(d->w);
	jw_kbool(d->w, "ok", !d->bad);
}

void
op_doctor(struct request *r)
{
	struct doctor d = { r->s, request_ok(r), true, false };

	jw_object(d.w);
	doctor_run(&d);
	jw_object_end(d.w);
	request_end_ok(r);
}

int
doctor_alone(struct super *s, const char *how)
{
	struct doctor d = { s, NULL, false, false };
	struct json *answer;
	struct buf b;
	struct jw w;
	struct err e;

	if (how != NULL && strcmp(how, "json") != 0) {
		(void)fprintf(
		    stderr, "sandboxd: --doctor=%s: json or nothing\n", how);
		return EXIT_USAGE;
	}
	s->root = powers_of_root(&s->conf);
	host_probe(&s->host);
	buf_init(&b, ANSWER_MAX);
	jw_init(&w, &b);
	d.w = &w;
	jw_object(&w);
	doctor_run(&d);
	jw_object_end(&w);
	host_free(&s->host);
	if (how != NULL) {
		(void)printf("%s\n", b.data);
	} else if (json_parse(b.data, b.len, JSON_DEPTH_CONTROL, &answer, &e) ==
		   0) {
		doctor_text(answer, stdout);
		json_free(answer);
	}
	buf_free(&b);
	if (fflush(stdout) != 0)
		return EXIT_SYS;
	return d.bad ? 1 : EXIT_OK;
}
