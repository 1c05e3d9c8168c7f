/*
 * The content blocks of a prompt: texts become one text, what comes with them
 * becomes the parts that adapters know (agent.h). Runs in the session worker,
 * on what a client wrote.
 */
#include "session/acp/serve.h"

#include "lib/xalloc.h"
#include <string.h>

#define BLOCKS_MAX 1024

static bool
has_text(const struct json *v, const char *key)
{
	return json_str(v, key, NULL) != NULL;
}

static int
check_part(const struct json *block, const char *type, struct err *e)
{
	const struct json *resource = json_get(block, "resource");
	bool ok;

	if (strcmp(type, "image") == 0)
		ok = has_text(block, "data") && has_text(block, "mimeType");
	else if (strcmp(type, "resource_link") == 0)
		ok = has_text(block, "uri") && has_text(block, "name");
	else if (strcmp(type, "resource") == 0)
		ok = has_text(resource, "uri") &&
		     (has_text(resource, "text") || has_text(resource, "blob"));
	else
		return err_set(e, ERR_BAD_REQUEST,
		    "content of type %.32s is not supported", type);
	if (!ok)
		return err_set(e, ERR_BAD_REQUEST,
		    "content of type %.32s lacks a member", type);
	return 0;
}

static int
add_block(const struct json *block, struct buf *text, struct jw *parts,
    unsigned *nparts, struct err *e)
{
	const char *type = json_str(block, "type", "");
	const struct json *v;

	if (strcmp(type, "text") != 0) {
		if (check_part(block, type, e) == -1)
			return -1;
		jw_value(parts, block);
		++*nparts;
		return 0;
	}
	v = json_get(block, "text");
	if (v == NULL || v->type != JSON_STRING)
		return err_set(e, ERR_BAD_REQUEST, "a text that is none");
	if (text->len > 0)
		(void)buf_addc(text, '\n');
	(void)buf_add(text, v->str, strnlen(v->str, v->len));
	return 0;
}

int
serve_content(const struct json *blocks, char **text_out, size_t *len_out,
    char **parts_out, struct err *e)
{
	struct buf text, parts;
	unsigned nparts = 0;
	struct jw w;
	int rc = 0;

	*text_out = *parts_out = NULL;
	if (blocks == NULL || blocks->type != JSON_ARRAY ||
	    blocks->len > BLOCKS_MAX)
		return err_set(
		    e, ERR_BAD_REQUEST, "prompt is no list of content blocks");
	buf_init(&text, ACP_INPUT_MAX);
	buf_init(&parts, 6 * ACP_INPUT_MAX); /* however it is escaped */
	jw_init(&w, &parts);
	jw_array(&w);
	json_foreach (it, blocks)
		if (rc == 0)
			rc = add_block(it, &text, &w, &nparts, e);
	jw_array_end(&w);
	if (rc == 0 && (text.failed || parts.failed))
		rc = err_set(e, ERR_TOO_LARGE, "the prompt is too long");
	if (rc == 0) {
		*len_out = text.len;
		*text_out = text.data != NULL ? buf_steal(&text) : xstrdup("");
		*parts_out = nparts > 0 ? buf_steal(&parts) : NULL;
	}
	buf_free(&text);
	buf_free(&parts);
	return rc;
}
