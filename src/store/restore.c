/*
 * Restoring; see restore.h. Runs in a child of `sandboxd --restore` that has
 * the store's few rights and an empty directory: the file may come from
 * anywhere, and LMDB believes the pages that it maps. If it takes us down, the
 * caller sees that and has changed nothing.
 */
#include "store/restore.h"

#include "lib/fdio.h"
#include "lib/json.h"
#include "lib/log.h"
#include "store/record.h"
#include "store/schema.h"
#include "store/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define DATA "data.mdb"

static int
copy_in(int from, struct err *e)
{
	static char piece[1 << 20];
	autofd int to = open(
	    DATA, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	ssize_t n;

	if (to == -1)
		return err_sys(e, "make " DATA);
	while ((n = read(from, piece, sizeof(piece))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_sys(e, "read the backup");
		if (fd_write_all(to, piece, (size_t)n) == -1)
			return err_sys(e, "write " DATA);
	}
	return fsync(to) == -1 ? err_sys(e, "flush " DATA) : 0;
}

/* Every entry of a table can be read; records are JSON. */
static int
table_look(struct db *db, MDB_txn *txn, enum db_name table, struct err *e)
{
	bool records = table == DB_SANDBOXES || table == DB_SESSIONS;
	uint64_t n = 0;
	MDB_cursor *cur;
	struct json *j;
	MDB_stat stat;
	MDB_val k, v;
	int rc = mdb_stat(txn, db->dbi[table], &stat);

	if (rc == 0)
		rc = mdb_cursor_open(txn, db->dbi[table], &cur);
	if (rc != 0)
		return db_err(e, rc, "look at the backup");
	while ((rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) == 0) {
		n++;
		if (!records)
			continue;
		if (json_parse(v.mv_data, v.mv_size, RECORD_DEPTH, &j, e) ==
		    -1) {
			mdb_cursor_close(cur);
			return err_prefix(e, "a record of the backup");
		}
		json_free(j);
	}
	mdb_cursor_close(cur);
	if (rc != MDB_NOTFOUND)
		return db_err(e, rc, "look at the backup");
	if (n != stat.ms_entries)
		return err_set(e, ERR_BAD_REQUEST,
		    "the backup is damaged: a table has not all its entries");
	return 0;
}

/* Before it is opened for writing, which would make tables in a stranger's. */
static int
is_ours(struct err *e)
{
	MDB_env *env;
	MDB_txn *txn = NULL;
	MDB_val k = val("schema", 6), v;
	MDB_dbi dbi;
	int rc = mdb_env_create(&env);

	if (rc == 0)
		rc = mdb_env_set_maxdbs(env, DB_N);
	if (rc == 0)
		rc = mdb_env_open(env, ".", MDB_NOTLS, 0640);
	if (rc == 0)
		rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (rc == 0)
		rc = mdb_dbi_open(txn, "meta", 0, &dbi);
	if (rc == 0)
		rc = mdb_get(txn, dbi, &k, &v);
	if (txn != NULL)
		mdb_txn_abort(txn);
	mdb_env_close(env);
	if (rc == 0)
		return 0;
	return err_set(e, ERR_BAD_REQUEST,
	    "this is no database of sandboxd: %s", mdb_strerror(rc));
}

int
restore_here(int fd, struct err *e)
{
	struct db_options opt = {
		.path = ".", .durability = DURABILITY_FULL, .map_bytes = 1 << 20
	};
	struct db db;
	MDB_txn *txn;
	int rc = 0;

	if (copy_in(fd, e) == -1 || is_ours(e) == -1 ||
	    db_open(&db, &opt, e) == -1)
		return -1;
	if (db_read(&db, &txn, e) == -1) {
		db_close(&db);
		return -1;
	}
	for (unsigned i = 0; rc == 0 && i < DB_N; i++)
		rc = table_look(&db, txn, (enum db_name)i, e);
	db_read_done(&db);
	if (rc == 0)
		log_info("restore", "the backup is whole",
		    LOG_INT("events", db.totals.events),
		    LOG_INT("schema", SCHEMA_VERSION));
	db_close(&db);
	return rc;
}
