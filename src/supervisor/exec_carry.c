/*
 * Commands that go on while the supervisor is replaced (carry.h). Runs in the
 * supervisor.
 */
#include "lib/xalloc.h"
#include "supervisor/carry_parts.h"
#include "supervisor/exec_priv.h"
#include "supervisor/relay.h"

bool
exec_waits(const struct super *s, const struct request *r)
{
	const struct sandbox *sb;
	const struct exec *x;

	LIST_FOREACH (sb, &s->sandboxes, link) {
		LIST_FOREACH (x, &sb->execs, link) {
			if (x->r == r && (x->running || x->ended))
				return true;
		}
	}
	return false;
}

void
execs_put(struct sandbox *sb, struct carry *c)
{
	struct jw *w = &c->w;
	const struct exec *x;

	jw_key(w, "execs");
	jw_array(w);
	LIST_FOREACH (x, &sb->execs, link) {
		jw_object(w);
		jw_kint(w, "id", x->id);
		jw_kint(w, "carry", x->carry);
		jw_kint(w, "client", client_place(sb->s, x->r));
		jw_kbool(w, "tty", x->tty);
		jw_kbool(w, "running", x->running);
		jw_kbool(w, "ended", x->ended);
		jw_kbool(w, "carried", x->carried);
		jw_kint(w, "started_ms", x->started_ms);
		jw_object_end(w);
	}
	jw_array_end(w);
}

int
execs_take(
    struct sandbox *sb, const struct json *list, struct err *e ATTR_UNUSED)
{
	json_foreach (it, list) {
		struct exec *x = xcalloc(1, sizeof(*x));

		x->sb = sb;
		x->id = json_int(it, "id", 0);
		x->carry = json_int(it, "carry", 0);
		x->r = client_request(sb->s, json_int(it, "client", -1));
		x->tty = json_bool(it, "tty", false);
		x->running = json_bool(it, "running", false);
		x->ended = json_bool(it, "ended", false);
		x->carried = json_bool(it, "carried", false);
		x->started_ms = json_int(it, "started_ms", 0);
		LIST_INSERT_HEAD(&sb->execs, x, link);
		if (x->carry != 0 && !x->carried) {
			proc_call_take(relay_proc(sb->s->relay), x->carry,
			    MSG_RELAY_CARRY, exec_on_carried, x);
		} else if (x->carry == 0 && x->r != NULL) {
			x->r->work = x;
			x->r->gone = exec_on_gone;
		}
	}
	return 0;
}
