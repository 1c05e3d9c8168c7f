/*
 * Opening, checking and growing the database. Runs in the store only, after
 * it has given up every privilege: a damaged file is read by nobody else.
 *
 * The file's content is our own writing, yet nothing here trusts a length or
 * a version in it. What must never happen: a newer schema written by an older
 * program, or two writers (the supervisor's lock on the state directory keeps
 * a second store away; LMDB's own lock is the second fence).
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include "store/schema.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "store/notes.h"
#include "store/stored.h"
#include "store/upgrade.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAP_MIN (64u << 10)
#define MAP_STEP_MAX ((size_t)4 << 30)
#define READERS_MAX 512
#define OPEN_GROW_TRIES 4
/* Readers of a group to come need the lock file writable and the data
 * readable; the directory's mode decides whether they get that far. */
#define DATA_MODE 0640
#define LOCK_MODE 0660

static const char *const table_names[DB_N] = {
	[DB_META] = "meta",
	[DB_SANDBOXES] = "sandboxes",
	[DB_SESSIONS] = "sessions",
	[DB_LOGS] = "logs",
	[DB_EVENTS] = "events",
	[DB_FEED] = "feed",
	[DB_TOKENS] = "tokens",
	[DB_AGENTS] = "agents",
	[DB_SANDBOX_LOGS] = "sandbox_logs",
};

enum db_name
db_by_name(const char *name)
{
	static const enum db_name records[] = { DB_SANDBOXES, DB_SESSIONS,
		DB_TOKENS, DB_AGENTS };
	size_t i;

	for (i = 0; i < countof(records); i++) {
		if (strcmp(name, table_names[records[i]]) == 0)
			return records[i];
	}
	return DB_N;
}

int
durability_parse(const char *word, enum durability *d_out)
{
	static const char *const words[DURABILITY_N] = {
		[DURABILITY_FULL] = "full",
		[DURABILITY_RELAXED] = "relaxed",
		[DURABILITY_NONE] = "none",
	};
	unsigned i;

	for (i = 0; i < DURABILITY_N; i++) {
		if (strcmp(word, words[i]) == 0) {
			*d_out = (enum durability)i;
			return 0;
		}
	}
	return -1;
}

int
db_err(struct err *e, int rc, const char *what)
{
	switch (rc) {
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EIO:
	case ENOMEM: /* no address space for a larger map */
		return err_set(
		    e, ERR_DISK_FULL, "%s: %s", what, mdb_strerror(rc));
	default:
		return err_set(e, rc > 0 ? ERR_SYSTEM : ERR_INTERNAL, "%s: %s",
		    what, mdb_strerror(rc));
	}
}

int
db_counter_get(
    MDB_txn *txn, const struct db *db, const char *name, uint64_t *v_out)
{
	MDB_val k = val(name, strlen(name)), v;
	uint64_t be;
	int rc = mdb_get(txn, db->dbi[DB_META], &k, &v);

	*v_out = 0;
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return rc;
	if (v.mv_size != sizeof(be))
		return MDB_CORRUPTED;
	memcpy(&be, v.mv_data, sizeof(be));
	*v_out = be64toh(be);
	return 0;
}

int
db_counter_put(MDB_txn *txn, const struct db *db, const char *name, uint64_t v)
{
	uint64_t be = htobe64(v);
	MDB_val k = val(name, strlen(name)), d = val(&be, sizeof(be));

	return mdb_put(txn, db->dbi[DB_META], &k, &d, 0);
}

static int
version_get(struct db *db, MDB_txn *txn, int64_t *version_out, struct err *e)
{
	MDB_val k = val(KEY_SCHEMA, strlen(KEY_SCHEMA)), v;
	char text[24];
	int rc = mdb_get(txn, db->dbi[DB_META], &k, &v);

	*version_out = 0;
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return db_err(e, rc, "read the schema's version");
	if (v.mv_size < sizeof(text)) {
		memcpy(text, v.mv_data, v.mv_size);
		text[v.mv_size] = '\0';
	}
	if (v.mv_size >= sizeof(text) ||
	    str_to_int(text, 1, INT64_MAX, version_out) == -1)
		return err_set(
		    e, ERR_INTERNAL, "the schema's version is no number");
	if (*version_out > SCHEMA_VERSION)
		return err_set(e, ERR_PRECONDITION,
		    "the database has schema %" PRId64
		    " and this program (%s) knows %d at most: a newer "
		    "sandboxd has used it. Install that or a later one; or "
		    "take a backup of before back: sandboxd --restore FILE "
		    "--force",
		    *version_out, PACKAGE_VERSION, SCHEMA_VERSION);
	return 0;
}

static int
version_put(struct db *db, MDB_txn *txn, int64_t version)
{
	MDB_val k = val(KEY_SCHEMA, strlen(KEY_SCHEMA)), v;
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, version);
	v = val(text, strlen(text));
	return mdb_put(txn, db->dbi[DB_META], &k, &v, 0);
}

/* Make the tables, go one version up, or find one that we do not know. Nothing
 * has been changed when this fails: the caller aborts the transaction.
 * *VERSION_OUT is the version afterwards. */
static int
schema_check(struct db *db, MDB_txn *txn, int64_t *version_out, struct err *e)
{
	unsigned i;
	int rc;

	rc = mdb_dbi_open(
	    txn, table_names[DB_META], MDB_CREATE, &db->dbi[DB_META]);
	if (rc != 0)
		return db_err(e, rc, "open table meta");
	if (version_get(db, txn, version_out, e) == -1)
		return -1;
	for (i = DB_META + 1; i < DB_N; i++) {
		rc = mdb_dbi_open(txn, table_names[i], MDB_CREATE, &db->dbi[i]);
		if (rc != 0)
			return db_err(e, rc, table_names[i]);
	}
	if (*version_out == SCHEMA_VERSION)
		return 0;
	if (*version_out > 0) {
		rc = upgrade_step(db, txn, (*version_out)++);
		if (rc != 0)
			return db_err(e, rc, "upgrade the database");
	} else {
		*version_out = SCHEMA_VERSION;
	}
	rc = version_put(db, txn, *version_out);
	return rc == 0 ? 0 : db_err(e, rc, "write the schema's version");
}

/* What all sessions' logs hold together. */
static int
totals_read(struct db *db, MDB_txn *txn)
{
	struct log_value lv;
	MDB_cursor *cur;
	MDB_val k, v;
	int rc = mdb_cursor_open(txn, db->dbi[DB_LOGS], &cur);

	if (rc != 0)
		return rc;
	db->totals = (struct db_totals){ 0, 0 };
	while ((rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) == 0) {
		if (!log_value_get(v.mv_data, v.mv_size, &lv)) {
			rc = MDB_CORRUPTED;
			break;
		}
		if (v.mv_size == LOG_VALUE_BYTES)
			continue; /* a sandbox's */
		db->totals.events += lv.last + 1 - lv.first;
		db->totals.bytes += lv.bytes;
	}
	mdb_cursor_close(cur);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Where numbering goes on. */
static int
counters_read(struct db *db, MDB_txn *txn, struct err *e)
{
	MDB_cursor *cur;
	MDB_val k, v;
	uint64_t be;
	int rc;

	rc = db_counter_get(txn, db, COUNTER_LOG, &db->next_log);
	if (rc == 0)
		rc = db_counter_get(txn, db, COUNTER_GLOBAL, &db->next_global);
	if (rc == 0)
		rc = mdb_cursor_open(txn, db->dbi[DB_FEED], &cur);
	if (rc != 0)
		return db_err(e, rc, "read counters");
	rc = mdb_cursor_get(cur, &k, &v, MDB_LAST);
	mdb_cursor_close(cur);
	if (rc == 0 && k.mv_size == sizeof(be)) {
		memcpy(&be, k.mv_data, sizeof(be));
		db->next_global = MAX(db->next_global, be64toh(be) + 1);
	} else if (rc != MDB_NOTFOUND) {
		return db_err(e, rc != 0 ? rc : MDB_CORRUPTED, "read the feed");
	}
	db->next_log = MAX(db->next_log, 1u);
	db->next_global = MAX(db->next_global, 1u);
	return 0;
}

static int
tables_open(struct db *db, struct err *e)
{
	int64_t version = 0;
	MDB_txn *txn;
	int rc;

	while (version != SCHEMA_VERSION) {
		rc = mdb_txn_begin(db->env, NULL, 0, &txn);
		if (rc != 0)
			return db_err(e, rc, "begin");
		if (schema_check(db, txn, &version, e) == -1 ||
		    counters_read(db, txn, e) == -1) {
			mdb_txn_abort(txn);
			return -1;
		}
		rc = mdb_txn_commit(txn);
		if (rc != 0)
			return db_err(e, rc, "commit");
	}
	rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
	if (rc == 0) {
		rc = totals_read(db, txn);
		mdb_txn_abort(txn);
	}
	return rc == 0 ? 0 : db_err(e, rc, "read logs");
}

void
db_readers_clear(struct db *db)
{
	int dead = 0, rc = mdb_reader_check(db->env, &dead);

	if (rc != 0)
		log_error("store", "cannot check readers",
		    LOG_STR("cause", mdb_strerror(rc)));
	else if (dead > 0)
		log_info(
		    "store", "stale readers cleared", LOG_INT("count", dead));
}

/* Transactions begin at what the lock file says was the last one. If that is
 * not what the data say, as after another file was put in their place under a
 * reader, we would write upon a state that is none: what was stored would be
 * gone. Nobody but us writes, so the two are equal now; or the lock file is one
 * behind, when a store was killed between telling the one and the other. */
static bool
counts_agree(MDB_env *env, const MDB_envinfo *info)
{
	MDB_txn *txn;
	size_t id;

	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0)
		return true; /* says so where it is used */
	id = mdb_txn_id(txn);
	mdb_txn_abort(txn);
	return id == info->me_last_txnid || id + 1 == info->me_last_txnid;
}

static int
env_open(struct db *db, struct err *e)
{
	static const unsigned flags[DURABILITY_N] = {
		[DURABILITY_FULL] = 0,
		[DURABILITY_RELAXED] = MDB_NOMETASYNC,
		[DURABILITY_NONE] = MDB_NOSYNC,
	};
	MDB_envinfo info;
	int rc;

	rc = mdb_env_create(&db->env);
	if (rc != 0)
		return db_err(e, rc, "create environment");
	rc = mdb_env_set_maxdbs(db->env, DB_N);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(db->env, READERS_MAX);
	if (rc == 0)
		rc = mdb_env_set_mapsize(db->env, db->map_bytes);
	if (rc == 0)
		rc = mdb_env_open(db->env, db->opt.path,
		    flags[db->opt.durability] | MDB_NOTLS, DATA_MODE);
	if (rc != 0)
		return db_err(e, rc, "open database");
	db_readers_clear(db);
	rc = mdb_env_info(db->env, &info);
	if (rc != 0)
		return db_err(e, rc, "read map size");
	if (!counts_agree(db->env, &info))
		return err_set(e, ERR_STORE_UNAVAILABLE,
		    "the lock file is of another database");
	db->map_bytes = info.me_mapsize; /* never less than what is used */
	return 0;
}

static int
lock_mode_set(const struct db *db, struct err *e)
{
	char path[4096];

	if (str_format(path, sizeof(path), "%s/lock.mdb", db->opt.path) == -1)
		return err_set(e, ERR_TOO_LARGE, "path of the database");
	if (chmod(path, LOCK_MODE) == -1)
		return err_sys(e, "chmod lock.mdb");
	return 0;
}

static int
db_open_all(struct db *db, struct err *e)
{
	unsigned tries = OPEN_GROW_TRIES;

	if (env_open(db, e) == -1 || lock_mode_set(db, e) == -1)
		goto fail;
	/* A map that is exactly full has no room for the tables' pages. */
	while (tables_open(db, e) == -1) {
		if (e->code != ERR_DISK_FULL || tries-- == 0 ||
		    db_grow(db, e) == -1)
			goto fail;
	}
	return 0;
fail:
	db_close(db);
	return -1;
}

int
db_open(struct db *db, const struct db_options *opt, struct err *e)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	memset(db, 0, sizeof(*db));
	db->opt = *opt;
	db->notes_max = NOTES_MAX_DEFAULT;
	db->map_bytes = MAX(opt->map_bytes, (size_t)MAP_MIN) / page * page;
	return db_open_all(db, e);
}

void
db_close(struct db *db)
{
	if (db->env == NULL)
		return;
	assert(!db->reading);
	if (db->read != NULL)
		mdb_txn_abort(STEAL(db->read));
	/* What the setting let wait; an error here is what it risked. */
	if (db->opt.durability != DURABILITY_FULL)
		(void)mdb_env_sync(db->env, 1);
	mdb_env_close(STEAL(db->env));
}

int
db_reopen(struct db *db, struct err *e)
{
	db_close(db);
	return db_open_all(db, e);
}

int
db_grow(struct db *db, struct err *e)
{
	size_t step = MIN(db->map_bytes, MAP_STEP_MAX);
	int rc;

	if (db->map_bytes > SIZE_MAX / 2 - step)
		return db_err(e, MDB_MAP_FULL, "grow map");
	rc = mdb_env_set_mapsize(db->env, db->map_bytes + step);
	if (rc != 0)
		return db_err(e, rc, "grow map");
	db->map_bytes += step;
	log_info("store", "map grown", LOG_INT("bytes", db->map_bytes));
	return 0;
}

int
db_read(struct db *db, MDB_txn **txn_out, struct err *e)
{
	int rc;

	assert(!db->reading);
	if (db->read != NULL)
		rc = mdb_txn_renew(db->read);
	else
		rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->read);
	if (rc == MDB_READERS_FULL) {
		db_readers_clear(db);
		rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->read);
	}
	if (rc != 0)
		return db_err(e, rc, "begin read");
	db->reading = true;
	*txn_out = db->read;
	return 0;
}

void
db_read_done(struct db *db)
{
	assert(db->reading);
	db->reading = false;
	mdb_txn_reset(db->read);
}

int
db_figures(struct db *db, struct db_figures *f_out, struct err *e)
{
	MDB_txn *txn;
	MDB_stat sessions, events;
	MDB_envinfo info;
	int rc;

	if (db_read(db, &txn, e) == -1)
		return -1;
	rc = mdb_stat(txn, db->dbi[DB_SESSIONS], &sessions);
	if (rc == 0)
		rc = mdb_stat(txn, db->dbi[DB_EVENTS], &events);
	if (rc == 0)
		rc = mdb_env_info(db->env, &info);
	db_read_done(db);
	if (rc != 0)
		return db_err(e, rc, "read figures");
	f_out->sessions = sessions.ms_entries;
	f_out->events = events.ms_entries;
	f_out->used_bytes = (info.me_last_pgno + 1) * (uint64_t)events.ms_psize;
	return 0;
}
