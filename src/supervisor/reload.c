/*
 * Reading the configuration and the definitions of agents again; see super.h.
 * Runs in the supervisor. Both are the operator's files: what is wrong in them
 * is told, and changes nothing.
 */
#include "lib/frame.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/agents.h"
#include "supervisor/courier.h"
#include "supervisor/egress.h"
#include "supervisor/gateway.h"
#include "supervisor/listen.h"
#include "supervisor/logfile.h"
#include "supervisor/notify.h"
#include "supervisor/retain.h"
#include "supervisor/super.h"

#include <string.h>

static void
settings_text(
    const struct http_settings *h, const struct conf *c, struct buf *b)
{
	struct jw w;

	buf_init(b, 2 * FRAME_MAX);
	jw_init(&w, b);
	settings_write(h, c, &w);
}

/* Gateways are replaced only if they would be told something else. */
static void
reload_http(struct super *s, const struct conf *fresh)
{
	struct buf was, is;
	struct err e;

	settings_text(&s->http, &s->conf, &was);
	if (settings_reload(&s->http, fresh, &e) == -1)
		log_error("super", "HTTP keeps its certificate",
		    LOG_STR("detail", e.text));
	settings_text(&s->http, fresh, &is);
	s->http_changed =
	    was.len != is.len || memcmp(was.data, is.data, is.len) != 0;
	explicit_bzero(was.data, was.len);
	explicit_bzero(is.data, is.len);
	buf_free(&was);
	buf_free(&is);
}

/* What the command line or the start fixed stays. */
static void
keep_fixed(struct super *s, struct conf *fresh)
{
	char **const now[] = { &s->conf.state_dir, &s->conf.run_dir,
		&s->conf.libexec_dir, &s->conf.installed_dir,
		&s->conf.log_level, &s->conf.log_format };
	char **const new[] = { &fresh->state_dir, &fresh->run_dir,
		&fresh->libexec_dir, &fresh->installed_dir, &fresh->log_level,
		&fresh->log_format };

	for (size_t i = 0; i < countof(now); i++) {
		free(*new[i]);
		*new[i] = STEAL(*now[i]);
	}
	fresh->ids_base = s->conf.ids_base;
}

/* The configuration and the definitions of agents; NULL: MISTAKES tells. */
static struct agents *
read_again(struct super *s, struct conf *fresh, struct buf *mistakes)
{
	struct agents *agents = NULL;
	char text[4000];

	conf_defaults(fresh, geteuid() == 0);
	if (conf_load(fresh, s->conf_path, s->conf_optional, text,
		sizeof(text)) == -1) {
		(void)buf_adds(mistakes, text); /* it fits */
	} else {
		for (size_t i = 0; i < s->nset; i++)
			(void)conf_set(fresh, s->set[i].name, s->set[i].value,
			    NULL); /* was good */
		agents = agents_load(fresh->agent_directory, mistakes);
	}
	if (agents == NULL)
		conf_free(fresh);
	return agents;
}

/* What the files say, and the sockets that go with it. */
static struct agents *
read_and_open(struct super *s, struct conf *fresh, struct listeners **ls_out,
    struct buf *mistakes)
{
	struct agents *agents = read_again(s, fresh, mistakes);
	struct err e;

	if (agents == NULL || listen_reload(s, fresh, ls_out, &e) == 0)
		return agents;
	(void)buf_adds(mistakes, e.text); /* it fits */
	agents_free(agents);
	conf_free(fresh);
	return NULL;
}

/* Options that can change while we run: who may use the control socket, limits
 * on what is made from now on, where and how HTTP is served, which agents there
 * are. By how many it is served stays. All or nothing. */
void
super_reload(struct super *s)
{
	struct listeners *ls = NULL;
	struct agents *agents;
	struct buf mistakes;
	struct conf fresh;

	notify_reloading(s);
	buf_init(&mistakes, AGENT_MISTAKES_MAX);
	agents = read_and_open(s, &fresh, &ls, &mistakes);
	/* Also when nothing else changes: it may have been renamed. */
	logfile_reopen(s->logfile, agents != NULL ? &fresh : &s->conf);
	if (agents == NULL) {
		log_error("super", "configuration not reloaded",
		    LOG_STR("mistakes", mistakes.data));
		notify_reloaded(s, mistakes.data);
		buf_free(&mistakes);
		return;
	}
	buf_free(&mistakes);
	reload_http(s, &fresh);
	keep_fixed(s, &fresh);
	conf_free(&s->conf);
	s->conf = fresh;
	listen_commit(s, ls);
	agents_replace(s, agents);
	courier_renew(s->courier);
	egress_renew(s->egress);
	if (s->http_changed)
		gateways_renew(s->gateways);
	retain_tell(s);
	log_info(
	    "super", "configuration reloaded", LOG_STR("file", s->conf_path));
	notify_reloaded(s, NULL);
}
