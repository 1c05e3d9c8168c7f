/*
 * Looking at a database; see look.h. Runs in a child of `sandboxd --doctor`
 * that has the store's few rights. No lock is taken and nothing is written, so
 * that it can be looked at whoever uses it: what was read may be wrong then, or
 * take us down, and the caller believes neither.
 */
#include "store/look.h"

#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "store/schema.h"

#include <lmdb.h>
#include <stdio.h>
#include <string.h>

static int
schema_read(MDB_env *env, int64_t *version_out)
{
	MDB_val k = { strlen(KEY_SCHEMA), (void *)(uintptr_t)KEY_SCHEMA }, v;
	MDB_txn *txn = NULL;
	char text[24];
	MDB_dbi dbi;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	if (rc == 0)
		rc = mdb_dbi_open(txn, "meta", 0, &dbi);
	if (rc == 0)
		rc = mdb_get(txn, dbi, &k, &v);
	if (rc == 0 && v.mv_size < sizeof(text)) {
		memcpy(text, v.mv_data, v.mv_size);
		text[v.mv_size] = '\0';
		if (str_to_int(text, 1, INT64_MAX, version_out) == -1)
			rc = MDB_CORRUPTED;
	} else if (rc == 0) {
		rc = MDB_CORRUPTED;
	}
	if (txn != NULL)
		mdb_txn_abort(txn);
	return rc;
}

int
look_here(int fd)
{
	int64_t version = 0;
	char text[48];
	MDB_env *env;
	int rc = mdb_env_create(&env);

	if (rc == 0) {
		rc = mdb_env_set_maxdbs(env, DB_N);
		if (rc == 0)
			rc = mdb_env_open(env, ".",
			    MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0640);
		if (rc == 0)
			rc = schema_read(env, &version);
		mdb_env_close(env);
	}
	if (rc != 0) {
		log_error("store", "the database cannot be read",
		    LOG_STR("detail", mdb_strerror(rc)));
		return EXIT_SYS;
	}
	(void)snprintf(text, sizeof(text), "%lld %d\n", (long long)version,
	    SCHEMA_VERSION);
	if (fd_write_all(fd, text, strlen(text)) == -1)
		return EXIT_SYS;
	return version > SCHEMA_VERSION ? EXIT_NEWER : EXIT_OK;
}
