/*
 * Reading the command line by tables; see opt.h. Runs as the caller.
 */
#include "ctl/opt.h"
#include "lib/xalloc.h"
#include <string.h>

#define DISTANCE_WORD_MAX 63
#define FLAG_TEXT_MAX 48

const struct opt_def opt_global[] = {
	{ "socket", '\0', "PATH", "The supervisor's control socket." },
	{ "endpoint", '\0', "URL",
	    "Over HTTP: http://…, https://… or unix:PATH." },
	{ "token", '\0', "TOKEN", "With --endpoint: the token." },
	{ "token-file", '\0', "FILE",
	    "With --endpoint: a file with the token." },
	{ "json", '\0', NULL, "Answers, events and errors as JSON." },
	{ "help", 'h', NULL, "Tell how the command is used." },
	{ "version", 'V', NULL, "Print the version." },
};
const size_t opt_nglobal = countof(opt_global);

/* Next definition in the command's own flags, then the global ones. */
static const struct opt_def *
opt_at(const struct command *cmd, size_t i)
{
	size_t n = cmd == NULL ? 0 : cmd->nopts;

	if (i < n)
		return &cmd->opts[i];
	if (cmd != NULL && cmd->program != NULL)
		return NULL;
	return i - n < opt_nglobal ? &opt_global[i - n] : NULL;
}

unsigned
opt_distance(const char *a, const char *b, unsigned max)
{
	unsigned row[DISTANCE_WORD_MAX + 1];
	size_t na = strlen(a);
	size_t nb = strlen(b);
	size_t i;
	size_t j;

	if (na > DISTANCE_WORD_MAX || nb > DISTANCE_WORD_MAX)
		return max + 1;
	for (j = 0; j <= nb; j++)
		row[j] = (unsigned)j;
	for (i = 1; i <= na; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (j = 1; j <= nb; j++) {
			unsigned replace = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = MIN(replace, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return MIN(row[nb], max + 1);
}

static int
unknown_flag(
    const struct command *cmd, const char *name, size_t len, struct err *e)
{
	const struct opt_def *best = NULL;
	unsigned best_d = 3;
	char word[64];
	size_t i;

	len = MIN(len, sizeof(word) - 1);
	memcpy(word, name, len);
	word[len] = '\0';
	for (i = 0; opt_at(cmd, i) != NULL; i++) {
		const char *flag = opt_at(cmd, i)->name;
		unsigned d = opt_distance(word, flag, 2);

		if (len >= 2 && strncmp(flag, word, len) == 0)
			d = 0; /* cut short */

		if (d < best_d) {
			best_d = d;
			best = opt_at(cmd, i);
		}
	}
	if (best != NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "there is no flag --%s; did you mean --%s?", word,
		    best->name);
	return err_set(e, ERR_BAD_REQUEST, "there is no flag --%s", word);
}

static void
add_value(struct args *a, const struct opt_def *def, const char *value)
{
	a->values =
	    xreallocarray(a->values, a->nvalues + 1, sizeof(a->values[0]));
	a->values[a->nvalues++] = (struct opt_value){ def, value };
}

/* --name, --name=value, --name value. Advances *I over a value. */
static int
parse_long(struct args *a, int argc, char **argv, int *i, struct err *e)
{
	const char *name = argv[*i] + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] == '=' ? name + len + 1 : NULL;
	const struct opt_def *o;
	size_t k;

	for (k = 0; (o = opt_at(a->cmd, k)) != NULL; k++)
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			break;
	if (o == NULL)
		return unknown_flag(a->cmd, name, len, e);
	if (o->arg == NULL) {
		if (value != NULL)
			return err_set(
			    e, ERR_BAD_REQUEST, "--%s takes no value", o->name);
		add_value(a, o, "");
		return 0;
	}
	if (value == NULL && *i + 1 < argc)
		value = argv[++*i];
	if (value == NULL)
		return err_set(e, ERR_BAD_REQUEST, "--%s needs a value: %s",
		    o->name, o->arg);
	add_value(a, o, value);
	return 0;
}

/* -x, -xy for switches, -xVALUE, -x VALUE. */
static int
parse_short(struct args *a, int argc, char **argv, int *i, struct err *e)
{
	const char *p;

	for (p = argv[*i] + 1; *p != '\0'; p++) {
		const struct opt_def *o;
		size_t k;

		for (k = 0; (o = opt_at(a->cmd, k)) != NULL; k++)
			if (o->letter == *p)
				break;
		if (o == NULL)
			return err_set(
			    e, ERR_BAD_REQUEST, "there is no flag -%c", *p);
		if (o->arg == NULL) {
			add_value(a, o, "");
			continue;
		}
		if (p[1] != '\0')
			add_value(a, o, p + 1);
		else if (*i + 1 < argc)
			add_value(a, o, argv[++*i]);
		else
			return err_set(e, ERR_BAD_REQUEST,
			    "-%c needs a value: %s", *p, o->arg);
		return 0;
	}
	return 0;
}

static int
parse_word(struct args *a, int argc, char **argv, int *i, struct err *e)
{
	if (argv[*i][1] == '-')
		return parse_long(a, argc, argv, i, e);
	return parse_short(a, argc, argv, i, e);
}

static bool
is_flag(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

int
args_parse_global(
    struct args *a, int argc, char **argv, int *used_out, struct err *e)
{
	int i;

	*a = (struct args){ 0 };
	for (i = 0; i < argc && is_flag(argv[i]); i++)
		if (parse_word(a, argc, argv, &i, e) == -1)
			return -1;
	*used_out = i;
	return 0;
}

int
args_parse(struct args *a, const struct command *cmd, int argc, char **argv,
    struct err *e)
{
	bool flags = true;
	int i;

	*a = (struct args){ .cmd = cmd };
	a->operands = xcalloc((size_t)argc + 1, sizeof(char *));
	for (i = 0; i < argc; i++) {
		/* The first "--" is ours, also behind `exec ID`. */
		if (flags && strcmp(argv[i], "--") == 0) {
			flags = false;
			continue;
		}
		if (flags && is_flag(argv[i])) {
			if (parse_word(a, argc, argv, &i, e) == -1)
				return -1;
			continue;
		}
		a->operands[a->noperands++] = argv[i];
		if (cmd->verbatim && flags) {
			flags = false;
			if (i + 1 < argc && strcmp(argv[i + 1], "--") == 0)
				i++;
		}
	}
	if (args_has(a, "help"))
		return 0;
	if (a->noperands < (size_t)cmd->min)
		return err_set(e, ERR_BAD_REQUEST, "%s needs %s", cmd->name,
		    cmd->operands);
	if (cmd->max >= 0 && a->noperands > (size_t)cmd->max)
		return err_set(e, ERR_BAD_REQUEST, "%s: '%s' is too much",
		    cmd->name, a->operands[cmd->max]);
	return 0;
}

void
args_free(struct args *a)
{
	free(a->values);
	free(a->operands);
	*a = (struct args){ 0 };
}

const char *
args_next(const struct args *a, const char *name, size_t *pos)
{
	while (*pos < a->nvalues) {
		const struct opt_value *v = &a->values[(*pos)++];

		if (strcmp(v->def->name, name) == 0)
			return v->value;
	}
	return NULL;
}

const char *
args_str(const struct args *a, const char *name, const char *def)
{
	size_t pos = 0;
	const char *v;

	while ((v = args_next(a, name, &pos)) != NULL)
		def = v;
	return def;
}

bool
args_has(const struct args *a, const char *name)
{
	return args_str(a, name, NULL) != NULL;
}

/* "-p, --port PORT" */
static void
flag_text(const struct opt_def *o, char left[FLAG_TEXT_MAX])
{
	(void)snprintf(left, FLAG_TEXT_MAX, "%c%c%s --%s%s%s",
	    o->letter == '\0' ? ' ' : '-', o->letter == '\0' ? ' ' : o->letter,
	    o->letter == '\0' ? " " : ",", o->name, o->arg == NULL ? "" : " ",
	    o->arg == NULL ? "" : o->arg);
}

void
opt_usage(const struct command *cmd, FILE *f)
{
	char left[FLAG_TEXT_MAX];
	size_t width = 26;
	size_t i;

	(void)fprintf(f, "usage: %s %s%s%s%s\n\n%s\n\n",
	    cmd->program == NULL ? "sandboxctl" : cmd->program, cmd->name,
	    cmd->nopts > 0 ? " [flags]" : "", *cmd->operands == '\0' ? "" : " ",
	    cmd->operands, cmd->help);
	for (i = 0; opt_at(cmd, i) != NULL; i++) {
		flag_text(opt_at(cmd, i), left);
		width = MAX(width, strlen(left));
	}
	for (i = 0; opt_at(cmd, i) != NULL; i++) {
		flag_text(opt_at(cmd, i), left);
		(void)fprintf(
		    f, "  %-*s %s\n", (int)width, left, opt_at(cmd, i)->help);
	}
}

void
opt_write_json(struct jw *w, const struct opt_def *o, size_t n)
{
	size_t i;

	jw_array(w);
	for (i = 0; i < n; i++) {
		char letter[2] = { o[i].letter, '\0' };

		jw_object(w);
		jw_kstr(w, "name", o[i].name);
		jw_kstr(w, "letter", letter[0] == '\0' ? NULL : letter);
		jw_kstr(w, "argument", o[i].arg);
		jw_kstr(w, "help", o[i].help);
		jw_object_end(w);
	}
	jw_array_end(w);
}
