/*
 * Answers to prompts of ACP clients: why the turn has ended, and what it took;
 * see serve.h. Runs in the session worker.
 */
#include "session/acp/serve.h"

#include "lib/xalloc.h"
#include <string.h>

void
serve_prompt_free(struct serve_prompt *p)
{
	if (p == NULL)
		return;
	free(p->id);
	free(p->text);
	free(p->parts);
	free(p->echo);
	free(p);
}

void
serve_prompt_cancelled(struct serve *sv, const struct serve_prompt *p)
{
	struct jw *w = serve_result(sv, p->echo, p->id);

	jw_kstr(w, "stopReason", "cancelled");
	serve_result_end(sv, p->id);
}

/* Tokens of the turn, from the metadata of its end. */
static void
write_usage(struct jw *w, const char *more)
{
	static const struct {
		const char *ours, *theirs;
	} optional[] = {
		{ "cached_input_tokens", "cachedReadTokens" },
		{ "reasoning_tokens", "thoughtTokens" },
	};
	const struct json *usage;
	struct json *j = NULL;
	int64_t in, out;
	size_t i;

	if (more == NULL ||
	    json_parse(more, strlen(more), JSON_DEPTH_AGENT, &j, NULL) == -1)
		return;
	usage = json_get(j, "usage");
	if (usage != NULL && usage->type == JSON_OBJECT) {
		in = json_int(usage, "input_tokens", 0);
		out = json_int(usage, "output_tokens", 0);
		jw_key(w, "usage");
		jw_object(w);
		jw_kint(w, "inputTokens", in);
		jw_kint(w, "outputTokens", out);
		jw_kint(w, "totalTokens",
		    json_int(usage, "total_tokens", in + out));
		for (i = 0; i < countof(optional); i++)
			if (json_int(usage, optional[i].ours, -1) >= 0)
				jw_kint(w, optional[i].theirs,
				    json_int(usage, optional[i].ours, 0));
		jw_object_end(w);
	}
	json_free(j);
}

static void
answer_error(struct serve_session *ss, const struct serve_prompt *p)
{
	const struct acp_encoder *en = &ss->out;
	struct buf b;
	struct jw w;

	buf_init(&b, ACP_ENVELOPE_MAX / 2);
	jw_init(&w, &b);
	jw_object(&w);
	if (en->error_code != NULL)
		jw_kstr(&w, "code", en->error_code);
	if (en->error_details != NULL) {
		jw_key(&w, "details");
		jw_raw(&w, en->error_details, strlen(en->error_details));
	}
	jw_object_end(&w);
	serve_error(ss->sv, p->id, RPC_INTERNAL,
	    en->error_text != NULL ? en->error_text
				   : "the agent's turn has failed",
	    b.failed ? NULL : b.data);
	buf_free(&b);
}

void
serve_prompt_answer(struct serve_session *ss, const struct serve_prompt *p,
    const char *stop_reason, const char *more)
{
	static const struct {
		const char *ours, *theirs;
	} reasons[] = {
		{ "max_tokens", "max_tokens" },
		{ "max_turns", "max_turn_requests" },
		{ "refusal", "refusal" },
		{ "cancelled", "cancelled" },
	};
	const char *reason = "end_turn";
	struct jw *w;
	size_t i;

	if (strcmp(stop_reason, "error") == 0) {
		answer_error(ss, p);
		return;
	}
	for (i = 0; i < countof(reasons); i++)
		if (strcmp(reasons[i].ours, stop_reason) == 0)
			reason = reasons[i].theirs;
	w = serve_result(ss->sv, p->echo, p->id);
	jw_kstr(w, "stopReason", reason);
	write_usage(w, more);
	serve_result_end(ss->sv, p->id);
}
