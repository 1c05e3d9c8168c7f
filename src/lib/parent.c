/*
 * See parent.h. Any child of the supervisor; trusts nothing, as it only writes.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif
#include "parent.h"

int
parent_hello(struct chan *ch, enum role role)
{
	struct jw *w = chan_begin(ch);

	proto_begin(w, MSG_HELLO, 0);
	jw_kstr(w, "role", role_name(role));
	jw_kstr(w, "version", PACKAGE_VERSION);
	return chan_end(ch, NULL, 0);
}

void
parent_log(struct chan *ch, enum log_level level, const char *line, size_t len)
{
	struct jw *w = chan_begin(ch);

	proto_begin(w, MSG_LOG, 0);
	jw_kstr(w, "level", log_level_name(level));
	jw_key(w, "line");
	jw_strn(w, line, MIN(len, LOG_LINE_MAX));
	(void)chan_end(ch, NULL, 0);
}
