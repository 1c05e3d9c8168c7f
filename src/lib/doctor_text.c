/*
 * See doctor_text.h. Runs in sandboxd --doctor and in sandboxctl. The text is
 * ours, but for names of files and what the system says; what cannot be printed
 * is left out.
 */
#include "lib/doctor_text.h"

#include <string.h>

static void
put(const char *s, FILE *f)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s >= 0x20 && *s != 0x7f)
			(void)fputc(*s, f);
	}
}

void
doctor_text(const struct json *answer, FILE *f)
{
	unsigned missing = 0, notes = 0;

	json_foreach (c, json_get(answer, "checks")) {
		const char *state = json_str(c, "state", "?");
		const char *mend = json_str(c, "mend", NULL);

		missing += strcmp(state, "missing") == 0;
		notes += strcmp(state, "note") == 0;
		(void)fprintf(f, "%-8s", state);
		(void)fprintf(f, "%-18s ", json_str(c, "name", "?"));
		put(json_str(c, "detail", ""), f);
		(void)fputc('\n', f);
		if (mend == NULL)
			continue;
		(void)fputs("          mend: ", f);
		put(mend, f);
		(void)fputc('\n', f);
	}
	(void)fprintf(f, "%u missing, %u notes\n", missing, notes);
}
