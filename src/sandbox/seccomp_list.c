/*
 * Prints the list of system calls; see seccomp_list.h. Runs in the program that
 * was asked, as whoever asked. Reads nothing; what it prints are words of
 * seccomp.def, which need no escaping.
 */
#include "sandbox/seccomp_list.h"
#include "lib/defs.h"

#include <errno.h>
#include <seccomp.h>
#include <string.h>

enum verdict {
	V_GROUP, /* begins one: name and reason */
	V_ALLOW,
	V_REFUSE,
	V_ABSENT,
	V_RULE
};

struct entry {
	enum verdict verdict;
	int nr; /* negative: not on this architecture */
	const char *name, *reason;
	int err;     /* of a rule; 0: passes */
	bool strict; /* of a rule */
};

#define PASS 0
#define ALWAYS false
#define STRICT true
#define GROUP(name, reason) { V_GROUP, 0, name, reason, 0, false },
#define CALL(verdict, call, nr) { verdict, nr, #call, NULL, 0, false },
#define ALLOW(call) CALL(V_ALLOW, call, SCMP_SYS(call))
#define ALLOW_NR(call, nr) CALL(V_ALLOW, call, nr)
#define REFUSE(call) CALL(V_REFUSE, call, SCMP_SYS(call))
#define REFUSE_NR(call, nr) CALL(V_REFUSE, call, nr)
#define ABSENT(call) CALL(V_ABSENT, call, SCMP_SYS(call))
#define ABSENT_NR(call, nr) CALL(V_ABSENT, call, nr)
#define RULE(call, err, strict, conds, reason) \
	{ V_RULE, SCMP_SYS(call), #call, reason, err, strict },
#define RULE_NR(call, nr, err, strict, conds, reason) \
	{ V_RULE, nr, #call, reason, err, strict },

static const struct entry entries[] = {
#include "sandbox/seccomp.def"
};

static const struct {
	enum verdict verdict;
	const char *word, *text;
} lists[] = {
	{ V_ALLOW, "allowed", "allowed" },
	{ V_REFUSE, "refused", "refused with EPERM" },
	{ V_ABSENT, "absent", "as if there were none (ENOSYS)" },
};

static const char *
err_word(int err)
{
	return err == PASS ? "allowed" : strerrorname_np(err);
}

/* Wraps at 78 columns. */
static void
calls_text(FILE *f, size_t from, size_t to, enum verdict v, const char *text)
{
	size_t i, column = 0;

	for (i = from; i < to; i++) {
		const struct entry *e = &entries[i];

		if (e->verdict != v || e->nr < 0)
			continue;
		if (column == 0)
			column = (size_t)fprintf(f, "  %s:", text);
		if (column + strlen(e->name) + 1 > 78)
			column = (size_t)fprintf(f, "\n   ") - 1;
		column += (size_t)fprintf(f, " %s", e->name);
	}
	if (column > 0)
		(void)fputc('\n', f);
}

static void
group_text(FILE *f, size_t from, size_t to)
{
	size_t i;

	(void)fprintf(f, "%s: %s\n", entries[from].name, entries[from].reason);
	for (i = 0; i < countof(lists); i++)
		calls_text(f, from, to, lists[i].verdict, lists[i].text);
	for (i = from; i < to; i++) {
		const struct entry *e = &entries[i];

		if (e->verdict == V_RULE && e->nr >= 0)
			(void)fprintf(f, "  %s %s: %s%s\n", e->name,
			    err_word(e->err), e->reason,
			    e->strict ? " (with a read-write mount)" : "");
	}
	(void)fputc('\n', f);
}

static void
group_json(FILE *f, size_t from, size_t to)
{
	const char *comma = "";
	size_t i, k;

	(void)fprintf(f, "{\"group\":\"%s\",\"reason\":\"%s\"",
	    entries[from].name, entries[from].reason);
	for (k = 0; k < countof(lists); k++) {
		(void)fprintf(f, ",\"%s\":{", lists[k].word);
		for (i = from, comma = ""; i < to; i++) {
			if (entries[i].verdict != lists[k].verdict ||
			    entries[i].nr < 0)
				continue;
			(void)fprintf(f, "%s\"%s\":%d", comma, entries[i].name,
			    entries[i].nr);
			comma = ",";
		}
		(void)fputc('}', f);
	}
	(void)fprintf(f, ",\"rules\":[");
	for (i = from, comma = ""; i < to; i++) {
		const struct entry *e = &entries[i];

		if (e->verdict != V_RULE || e->nr < 0)
			continue;
		(void)fprintf(f,
		    "%s{\"call\":\"%s\",\"gives\":\"%s\",\"strict\":%s,"
		    "\"reason\":\"%s\"}",
		    comma, e->name, err_word(e->err),
		    e->strict ? "true" : "false", e->reason);
		comma = ",";
	}
	(void)fprintf(f, "]}");
}

void
filter_print(FILE *f, bool json)
{
	size_t from, to;

	if (json)
		(void)fprintf(f, "{\"otherwise\":\"ENOSYS\",\"groups\":[");
	for (from = 0; from < countof(entries); from = to) {
		for (to = from + 1; to < countof(entries); to++)
			if (entries[to].verdict == V_GROUP)
				break;
		if (!json)
			group_text(f, from, to);
		else if (from > 0)
			(void)fputc(',', f);
		if (json)
			group_json(f, from, to);
	}
	(void)fprintf(f, json ? "]}\n" : "all others: ENOSYS\n");
}
