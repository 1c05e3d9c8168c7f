/*
 * What MHD answers by itself: requests that it cannot parse get a page of HTML
 * from it. Clients of an API want a problem document. Runs in sandboxd-gateway.
 *
 * MHD makes that answer by its own public function, which this one replaces
 * while the program is linked: for everything else it does the same. Should a
 * version of MHD not come by here, clients get the page.
 */
#include "gateway/http_priv.h"
#include "lib/xalloc.h"

#include <string.h>

static const struct {
	const char *word; /* in the page */
	const char *text;
} pages[] = {
#define PAGE(title, status, detail)                              \
	"{\"type\":\"urn:sandbox-agent:error:invalid_request\"," \
	"\"title\":\"" title "\"" status ",\"detail\":\"" detail "\"}"
	{ "too big", PAGE("Request Too Large", "",
			 "the request line or the headers are too long") },
	{ "too large", PAGE("Payload Too Large", ",\"status\":413",
			   "the body is too long") },
	{ "version", PAGE("Version Not Supported", ",\"status\":505",
			 "this version of HTTP is not supported") },
	{ "malformed", PAGE("Invalid Request", ",\"status\":400",
			   "invalid request: this is not HTTP") },
	{ "Internal",
	    PAGE("Internal Error", ",\"status\":500", "internal error") },
};

static void
keep(void *p)
{
	(void)p;
}

static const char *
page_find(const char *html, size_t size)
{
	size_t i;

	for (i = 0; i < countof(pages); i++)
		if (memmem(html, size, pages[i].word, strlen(pages[i].word)) !=
		    NULL)
			return pages[i].text;
	return pages[countof(pages) - 1].text;
}

struct MHD_Response *
MHD_create_response_from_buffer(
    size_t size, void *buffer, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *resp;
	const char *text;

	if (mode == MHD_RESPMEM_MUST_COPY) {
		buffer = memcpy(xmalloc(size + 1), buffer, size);
		mode = MHD_RESPMEM_MUST_FREE;
	}
	if (mode == MHD_RESPMEM_MUST_FREE)
		return MHD_create_response_from_buffer_with_free_callback(
		    size, buffer, free);
	if (size < 6 || memcmp(buffer, "<html>", 6) != 0)
		return MHD_create_response_from_buffer_with_free_callback(
		    size, buffer, keep);
	text = page_find(buffer, size);
	resp = MHD_create_response_from_buffer_with_free_callback(
	    strlen(text), (void *)(uintptr_t)text, keep);
	if (resp != NULL && text[0] != '\0')
		(void)MHD_add_response_header(
		    resp, "content-type", "application/problem+json");
	return resp;
}
