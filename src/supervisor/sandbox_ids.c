/*
 * Whose ids a sandbox has on the host. Runs in the supervisor. Root gives each
 * a range of its own, by its slot. An ordinary user gives each a slice of what
 * the host lends him (sandbox/subids.h), if anything, and when all are in use
 * one that the fewest others have. Either is kept as long as the sandbox is
 * there, since its files belong to those ids.
 */
#include "supervisor/sandbox_priv.h"

#include <limits.h>

uid_t
sandbox_first_id(const struct sandbox *sb)
{
	return (uid_t)(sb->s->conf.ids_base + (int64_t)sb->slot * PLAN_IDS);
}

uint32_t
sandbox_ids_size(const struct super *s)
{
	if (s->host.root && s->root)
		return PLAN_IDS;
	if (s->host.reduced || s->host.subids.lack != SUBIDS_HAVE)
		return 1;
	return subids_slice(&s->host.subids, 0).count;
}

int
sandbox_ids_check(
    const struct super *s, const struct sandbox_spec *sp, struct err *e)
{
	uint32_t n = sandbox_ids_size(s);

	if (s->host.reduced || (subids_self(n, sp->uid) == sp->uid &&
				   subids_self(n, sp->gid) == sp->gid))
		return 0;
	if (n == 1)
		return err_set(e, ERR_USER_NOT_FOUND,
		    "user: %.60s: a sandbox has no ids but root's here; "
		    "`sandboxctl doctor` tells how to have more",
		    sp->user);
	return err_set(e, ERR_USER_NOT_FOUND,
	    "user: %.60s: a sandbox has ids 0 to %u and %u here; `sandboxctl "
	    "doctor` tells from where",
	    sp->user, n - 2, SUBIDS_NOBODY);
}

static unsigned
users_of(const struct sandbox *of, const struct subids_slice *sl)
{
	const struct sandbox *sb;
	unsigned n = 0;

	LIST_FOREACH (sb, &of->s->sandboxes, link)
		n += sb != of && sb->lent.count != 0 &&
		     sb->lent.uid < sl->uid + sl->count &&
		     sl->uid < sb->lent.uid + sb->lent.count;
	return n;
}

struct subids_slice
sandbox_ids_take(struct sandbox *sb)
{
	const struct subids *si = &sb->s->host.subids;
	unsigned best = 0, n, k, fewest = UINT_MAX;
	struct subids_slice sl;

	if (subids_holds(si, &sb->lent))
		return sb->lent;
	if (sb->lent.count != 0)
		log_warn("sandbox", "its ids are lent to us no more",
		    LOG_STR("sandbox", sb->id), LOG_INT("uid", sb->lent.uid));
	sb->lent = (struct subids_slice){ 0, 0, 0 };
	for (k = 0; k < subids_count(si) && fewest > 0; k++) {
		sl = subids_slice(si, k);
		n = users_of(sb, &sl);
		if (n < fewest) {
			fewest = n;
			best = k;
		}
	}
	if (fewest != UINT_MAX)
		sb->lent = subids_slice(si, best);
	return sb->lent;
}

static void
ids_write(struct jw *w, int64_t count, uid_t uid, gid_t gid)
{
	jw_kint(w, "count", count);
	jw_kint(w, "uid", uid);
	jw_kint(w, "gid", gid);
}

void
sandbox_ids_store(const struct sandbox *sb, struct jw *w)
{
	if (sb->s->root)
		return;
	if (sb->lent.count == 0) {
		jw_knull(w, "ids");
		return;
	}
	jw_key(w, "ids");
	jw_object(w);
	ids_write(w, sb->lent.count, sb->lent.uid, sb->lent.gid);
	jw_object_end(w);
}

void
sandbox_ids_load(struct sandbox *sb, const struct json *rec)
{
	const struct json *ids = json_get(rec, "ids");
	int64_t count = json_int(ids, "count", 0);
	int64_t uid = json_int(ids, "uid", 0), gid = json_int(ids, "gid", 0);

	if (count > 0 && count <= PLAN_IDS && uid > 0 && gid > 0 &&
	    uid <= UINT32_MAX - count && gid <= UINT32_MAX - count)
		sb->lent = (struct subids_slice){ (uint32_t)uid, (uint32_t)gid,
			(uint32_t)count };
}

void
sandbox_ids_write(const struct sandbox *sb, struct jw *w)
{
	const struct host *h = &sb->s->host;
	bool shared = true;

	if (!sb->have[MECH_USER])
		return;
	jw_key(w, "ids");
	jw_object(w);
	if (h->root && sb->s->root) {
		ids_write(
		    w, PLAN_IDS, sandbox_first_id(sb), sandbox_first_id(sb));
		shared = false;
	} else if (sb->lent.count != 0) {
		ids_write(w, sb->lent.count, sb->lent.uid, sb->lent.gid);
		shared = users_of(sb, &sb->lent) > 0;
	} else {
		ids_write(w, 1, geteuid(), getegid());
	}
	jw_kbool(w, "shared", shared);
	if (!sb->s->root) {
		uint32_t n = MAX(sb->lent.count, 1u);

		jw_kint(w, "self_uid", subids_self(n, sb->spec.uid));
		jw_kint(w, "self_gid", subids_self(n, sb->spec.gid));
	}
	jw_object_end(w);
}
