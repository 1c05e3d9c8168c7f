/*
 * What several commands do alike; see commands.h. Runs as the caller.
 */
#include "ctl/commands.h"
#include "ctl/show.h"

int
command_send(struct client *c, int r, struct answer *a_out, struct err *e)
{
	struct ctl *ctl = c->ctl;

	if (r == 0)
		r = client_call(c, a_out, e);
	client_close(c);
	return r == 0 ? EXIT_OK : ctl_fail(ctl, e);
}

static int
say(const struct ctl *ctl, struct answer *a, const char *id,
    const char *sentence)
{
	if (ctl->json) {
		ctl_print_json(a->body);
	} else {
		ctl_put(id);
		(void)printf(" %s\n", sentence);
	}
	answer_free(a);
	return EXIT_OK;
}

int
command_finish(struct client *c, int r, const char *id, const char *sentence,
    struct err *e)
{
	const struct ctl *ctl = c->ctl;
	struct answer a;
	int code = command_send(c, r, &a, e);

	return code == EXIT_OK ? say(ctl, &a, id, sentence) : code;
}

int
command_simple(
    struct ctl *ctl, const char *op, const char *id, const char *sentence)
{
	struct answer a;
	struct err e;

	if (client_ask(ctl, op, id, &a, &e) == -1)
		return ctl_fail(ctl, &e);
	return say(ctl, &a, id, sentence);
}

int
command_each(
    struct ctl *ctl, const struct args *a, const char *op, const char *sentence)
{
	int worst = EXIT_OK;
	size_t i;

	for (i = 0; i < a->noperands; i++) {
		int code = command_simple(ctl, op, a->operands[i], sentence);

		if (code != EXIT_OK)
			worst = code;
	}
	return worst;
}

int
command_record(const struct ctl *ctl, struct answer *a)
{
	if (ctl->json)
		ctl_print_json(a->body);
	else
		show_record(a->body);
	answer_free(a);
	return EXIT_OK;
}

int
command_look(struct ctl *ctl, const char *op, const char *id)
{
	struct answer a;
	struct err e;

	if (client_ask(ctl, op, id, &a, &e) == -1)
		return ctl_fail(ctl, &e);
	return command_record(ctl, &a);
}
