/*
 * Bodies of `sandboxctl api`: flags and files as members of JSON. Runs as the
 * caller.
 */
#include "ctl/http/api.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include <fcntl.h>
#include <string.h>

void
api_kstr(struct api *a, struct jw *w, const char *flag, const char *key)
{
	const char *v = args_str(&a->args, flag, NULL);

	if (v != NULL)
		jw_kstr(w, key, v);
}

int
api_kint(struct api *a, struct jw *w, const char *flag, const char *key,
    struct err *e)
{
	const char *v = args_str(&a->args, flag, NULL);
	int64_t n;

	if (v == NULL)
		return 0;
	if (str_to_int(v, 0, INT64_MAX, &n) == -1)
		return err_set(
		    e, ERR_BAD_REQUEST, "--%s: '%s' is no number", flag, v);
	jw_kint(w, key, n);
	return 0;
}

void
api_kbool(struct api *a, struct jw *w, const char *flag, const char *key)
{
	if (args_has(&a->args, flag))
		jw_kbool(w, key, true);
}

int
api_ktext(struct jw *w, const char *text, const char *key, struct err *e)
{
	struct json *j;

	if (json_parse(text, strlen(text), JSON_DEPTH_AGENT - 4, &j, e) == -1)
		return err_prefix(e, "%s is no JSON", key);
	jw_kvalue(w, key, j);
	json_free(j);
	return 0;
}

int
api_slurp(const char *file, char **text_out, size_t *len_out, struct err *e)
{
	autofd int fd = strcmp(file, "-") == 0
			    ? dup(STDIN_FILENO)
			    : open(file, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return err_sys(e, "open %s", file);
	return fd_slurp(fd, API_BODY_MAX, text_out, len_out, e);
}

int
api_parse(
    const char *text, const char *file, struct json **j_out, struct err *e)
{
	autofree char *held = NULL;
	size_t len;

	if (text == NULL && api_slurp(file, &held, &len, e) == -1)
		return -1;
	if (text == NULL)
		text = held;
	if (json_parse(text, strlen(text), JSON_DEPTH_AGENT - 4, j_out, e) ==
	    -1)
		return err_prefix(e, "the body is no JSON");
	if ((*j_out)->type == JSON_OBJECT)
		return 0;
	json_free(*j_out);
	return err_set(e, ERR_BAD_REQUEST, "the body is no JSON object");
}

int
api_kfile(struct api *a, struct jw *w, const char *flag, const char *key,
    struct err *e)
{
	const char *path = args_str(&a->args, flag, NULL);
	autofree char *text = NULL;
	size_t len;

	if (path == NULL)
		return 0;
	if (api_slurp(path, &text, &len, e) == -1)
		return -1;
	return api_ktext(w, text, key, e);
}
