/*
 * A user's message in words, for agents that take nothing else. Runs in the
 * session worker. The parts were checked when they came; their texts are the
 * user's.
 */
#include "session/agent.h"

#include "lib/buf.h"
#include "lib/defs.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>

#define FLAT_BYTES_MAX (4u << 20)

/* The path behind a file:// address, else the address. */
static const char *
place(const char *uri)
{
	return str_starts(uri, "file://") ? uri + strlen("file://") : uri;
}

static void
add_links(struct buf *b, const struct json *parts)
{
	bool any = false;

	json_foreach (it, parts) {
		const char *uri = json_str(it, "uri", NULL);

		if (strcmp(json_str(it, "type", ""), "resource_link") != 0 ||
		    uri == NULL)
			continue;
		if (!any)
			(void)buf_adds(b, "\n\nAttachments:\n");
		any = true;
		(void)buf_addf(b, "- %s\n", place(uri));
	}
}

static void
add_rest(struct buf *b, const struct json *parts, bool images_said)
{
	const struct json *resource;
	const char *type, *uri;

	json_foreach (it, parts) {
		type = json_str(it, "type", "");
		if (strcmp(type, "image") == 0 && !images_said)
			(void)buf_addf(b, "\n[image %s]\n",
			    json_str(it, "mimeType", "of unknown type"));
		if (strcmp(type, "resource") != 0)
			continue;
		resource = json_get(it, "resource");
		uri = json_str(resource, "uri", "");
		if (json_str(resource, "text", NULL) != NULL)
			(void)buf_addf(b, "\n%s:\n%s\n", place(uri),
			    json_str(resource, "text", NULL));
		else
			(void)buf_addf(b, "\n[%s]\n", place(uri));
	}
}

char *
agent_message_flat(const struct agent_message *m, bool images_said)
{
	struct buf b;

	buf_init(&b, FLAT_BYTES_MAX);
	(void)buf_add(&b, m->text, m->len);
	add_links(&b, m->parts);
	add_rest(&b, m->parts, images_said);
	if (b.failed || b.data == NULL) {
		/* Parts of more than a frame cannot come. */
		buf_free(&b);
		return xstrdup(m->text);
	}
	return buf_steal(&b);
}
